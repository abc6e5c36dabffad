//! A partition on its way, and what can stop a request.

use std::sync::Arc;
use std::time::Duration;

use contract::{Code, Failure};
use tokio::time::Instant;
use wire::{BrokerId, FetchSpot, WireError};

use crate::backup::source::Cursor;

/// Most bytes of one partition in an answer.
pub(super) const PARTITION: i32 = 4 << 20;
/// How long a nearer replica is read from before the leader is asked again (the Java consumer's metadata age).
pub(super) const REPLICA_LEASE: Duration = Duration::from_secs(300);

/// A partition that is being read.
pub(super) struct Active {
    pub(super) cursor: Cursor,
    pub(super) max_bytes: i32,
    /// Records wait in the source, as far as we know.
    pub(super) behind: bool,
    /// The last marks that were told.
    pub(super) told: (i64, i64, i64),
    /// A replica in our rack, and until when it is asked.
    pub(super) replica: Option<(BrokerId, Instant)>,
    /// The replica failed: until then only the leader is asked.
    pub(super) leader_until: Option<Instant>,
    /// Set while only open transactions are in the way.
    pub(super) stalled_since: Option<Instant>,
    /// The damaged batch was fetched once already.
    pub(super) suspect: Option<i64>,
}

impl Active {
    pub(super) fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            max_bytes: PARTITION,
            behind: true,
            told: (0, 0, 0),
            replica: None,
            leader_until: None,
            stalled_since: None,
            suspect: None,
        }
    }

    pub(super) fn follows(&self) -> bool {
        self.cursor.target == i64::MAX
    }

    /// Goes back to the leader for a while; `true` when a replica was asked.
    pub(super) fn leave_replica(&mut self) -> bool {
        let left = self.replica.take().is_some();
        if left {
            self.leader_until = Some(Instant::now() + REPLICA_LEASE);
        }
        left
    }

    /// The broker to ask.
    pub(super) fn broker(&self) -> BrokerId {
        self.replica.filter(|(_, until)| Instant::now() < *until).map_or(self.cursor.leader, |(id, _)| id)
    }
}

pub(super) fn leave_replicas(batch: &mut [Active]) {
    for active in batch {
        active.leave_replica();
    }
}

/// Why a round of requests ended early.
pub(super) enum Stop {
    Retry(WireError),
    Fail(Failure),
}

pub(super) fn closed() -> Stop {
    Stop::Fail(Failure::new(Code::Internal, "the collector ended before its readers"))
}

pub(super) fn subject(cursor: &Cursor) -> String {
    format!("{}/{}", cursor.topic, cursor.partition)
}

pub(super) fn spot(active: &Active) -> FetchSpot {
    FetchSpot {
        topic: Arc::clone(&active.cursor.topic),
        topic_id: active.cursor.wire_id,
        partition: active.cursor.partition,
        offset: active.cursor.offset,
        leader_epoch: active.cursor.leader_epoch,
        last_epoch: active.cursor.last_epoch,
        max_bytes: active.max_bytes,
    }
}
