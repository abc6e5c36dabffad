//! A partition on its way: where it is, who is asked, and what troubles it.

use archive::TopicIdPartition;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use wire::{BrokerId, FetchSpot};

use super::pacing::Pacing;
use crate::backup::positions::LogEnds;
use crate::backup::source::Cursor;

/// Most bytes of one partition in an answer.
pub(super) const PARTITION: i32 = 4 << 20;
/// How long a nearer replica is read from before the leader is asked again (the Java consumer's metadata age).
pub(super) const REPLICA_LEASE: Duration = Duration::from_secs(300);
/// No broker.
pub(super) const NOBODY: BrokerId = -1;

/// A batch that is damaged, and who was asked for it.
#[derive(Debug)]
pub(super) struct Damaged {
    /// The position at which it was met.
    pub(super) offset: i64,
    pub(super) damage: batch::Damage,
    /// The broker that is asked now sent it damaged once: the network may have been at fault.
    pub(super) once: bool,
    /// Brokers that sent it damaged twice, or could not send it.
    pub(super) asked: Vec<BrokerId>,
}

/// A partition that is being read.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) cursor: Cursor,
    pub(super) max_bytes: i32,
    /// Records wait in the source, as far as we know.
    pub(super) behind: bool,
    /// The last ends that were told.
    pub(super) told: LogEnds,
    /// A replica that is asked instead of the leader, and until when.
    pub(super) replica: Option<(BrokerId, Instant)>,
    /// A replica failed: until then only the leader is asked.
    pub(super) leader_until: Option<Instant>,
    /// The batch before the position was stored by this collection.
    pub(super) joined: bool,
    /// Since when only open transactions are in the way.
    pub(super) held_since: Option<Instant>,
    pub(super) damaged: Option<Damaged>,
    pub(super) pacing: Pacing,
    /// The round of its reader in which it last had its turn.
    pub(super) turn: u64,
}

impl Active {
    pub(crate) fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            max_bytes: PARTITION,
            behind: true,
            told: LogEnds::default(),
            replica: None,
            leader_until: None,
            joined: false,
            held_since: None,
            damaged: None,
            pacing: Pacing::new(),
            turn: 0,
        }
    }

    pub(crate) fn key(&self) -> TopicIdPartition {
        (self.cursor.topic_id, self.cursor.partition)
    }

    pub(super) fn follows(&self) -> bool {
        self.cursor.target == i64::MAX
    }

    pub(super) fn is_done(&self) -> bool {
        self.cursor.offset >= self.cursor.target
    }

    /// Goes back to the leader for a while; `true` when a replica was asked.
    pub(super) fn leave_replica(&mut self) -> bool {
        let Some((id, _)) = self.replica.take() else { return false };
        self.leader_until = Some(Instant::now() + REPLICA_LEASE);
        if let Some(damaged) = &mut self.damaged {
            damaged.once = false;
            damaged.asked.push(id);
        }
        true
    }

    /// Nobody is known who could be asked: the room looks for somebody.
    pub(super) fn loses_broker(&mut self) {
        if !self.leave_replica() {
            self.cursor.leader = NOBODY;
        }
    }

    /// Another replica in sync than these, and until when it is asked.
    pub(super) fn other_replica(&self, asked: &[BrokerId]) -> Option<(BrokerId, Instant)> {
        let other = self.cursor.in_sync.iter().find(|id| !asked.contains(id));
        other.map(|id| (*id, Instant::now() + REPLICA_LEASE))
    }

    /// The broker to ask.
    pub(crate) fn broker(&self) -> BrokerId {
        self.replica.filter(|(_, until)| Instant::now() < *until).map_or(self.cursor.leader, |(id, _)| id)
    }

    /// It goes on from `offset`, behind a batch of this leader epoch.
    pub(super) fn moves(&mut self, offset: i64, epoch: i32) {
        (self.cursor.offset, self.cursor.last_epoch) = (offset, epoch);
        (self.held_since, self.max_bytes, self.joined) = (None, PARTITION, false);
        if self.damaged.take().is_some() {
            // A replica was asked for one batch only.
            self.replica = None;
        }
    }

    /// What it names itself in messages.
    pub(super) fn subject(&self) -> String {
        format!("{}/{}", self.cursor.topic, self.cursor.partition)
    }

    pub(super) fn spot(&self) -> FetchSpot {
        FetchSpot {
            topic: Arc::clone(&self.cursor.topic),
            topic_id: self.cursor.wire_id,
            partition: self.cursor.partition,
            offset: self.cursor.offset,
            leader_epoch: self.cursor.leader_epoch,
            last_epoch: self.cursor.last_epoch,
            max_bytes: self.max_bytes,
        }
    }
}
