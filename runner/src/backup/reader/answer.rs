//! What a reader does with the answer for one partition, once its meaning is known.

use std::sync::Arc;
use std::time::Duration;

use archive::{GapReason, HeldBack, HeldReason, PendingBatch};
use batch::{BatchError, Damage, RawBatch};
use contract::{Code, Failure};
use tokio::time::Instant;
use wire::{FetchOptions, FetchedPartition, Isolation, OffsetAt, Request, Retry, WireError, code};

use super::active::{Active, REPLICA_LEASE};
use super::meaning::{Asked, Batches, Meaning, Next, first_batch, meaning};
use super::{Chunk, LEAST_ANSWER, Reader};
use crate::backup::history::{Evidence, Parting, compare};
use crate::backup::positions::LogEnds;
use crate::backup::source::{Cursor, gap, oldest_open};
use crate::backup::transactions::{Fate, fates};

/// How long a leader is asked for its log start, and how long a topic must be forbidden before that is believed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Nothing came for a partition although the broker has records for it.
fn no_progress(active: &Active, part: &FetchedPartition) -> WireError {
    let from = active.cursor.offset;
    let detail = format!(
        "no records came from offset {from} on, although the broker has records up to {}",
        part.last_stable_offset
    );
    WireError::no_progress(active.subject(), detail)
}

/// A log as its leader describes it.
#[derive(Debug, Clone, Copy)]
struct LogSeen {
    start: i64,
    end: i64,
    /// The end of the epoch that was asked for, as [`Evidence`] has it.
    known: Option<(i32, i64)>,
}

impl LogSeen {
    /// Whether what was read so far is the beginning of this log.
    fn is_ours(&self, cursor: &Cursor) -> bool {
        let Cursor { offset: next, last_epoch: epoch, .. } = *cursor;
        // An epoch that the broker forgot must not be named again: planning leaves it out.
        let is_named = epoch < 0 || self.known.is_some();
        is_named && compare(&Evidence { next, epoch, end: self.end, known: self.known }) == Parting::Same
    }
}

/// What holds for all partitions of an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// Bytes of the frame that each partition's batches keep in memory.
    pub(super) pinned: usize,
    /// Most bytes that were asked for, when one partition was asked for alone.
    pub(super) alone: Option<usize>,
    /// A quota made the answer smaller or later.
    pub(super) throttled: bool,
    /// Others took what the answer had room for.
    pub(super) left_out: bool,
}

impl Reader {
    /// Takes what came for one partition; `true` when the next request will be another one.
    pub(super) async fn take(
        &mut self,
        active: &mut Active,
        part: FetchedPartition,
        round: Round,
        probed: &mut bool,
    ) -> Result<bool, Failure> {
        let Cursor { offset, target, stable, .. } = active.cursor;
        let asked = Asked { offset, target, stable: stable.min(target), joined: active.joined, alone: round.alone };
        let meaning = meaning(asked, &part);
        // A follower may be behind its leader, or cut its log a little later: only the leader is believed.
        if meaning.may_be_of_a_follower() && active.leave_replica() {
            return Ok(true);
        }
        match meaning {
            Meaning::Records(found) => self.take_records(active, found, &part, round.pinned).await,
            Meaning::NothingBefore(next) => self.skip(active, next).await.map(|()| true),
            Meaning::TooLarge(size) => {
                active.max_bytes = i32::try_from(size).unwrap_or(i32::MAX);
                self.recovers(active);
                Ok(true)
            }
            Meaning::Held => self.wait_or_cut(active, &part).await,
            Meaning::Short(end) => Ok(self.falls_short(active, end)),
            Meaning::UpToDate => self.up_to_date(active, &part).await.map(|()| false),
            // A quota emptied the answer: that is no failure of the broker.
            Meaning::Waiting if round.throttled => {
                self.recovers(active);
                Ok(false)
            }
            Meaning::Waiting if round.left_out => {
                active.behind = true;
                Ok(false)
            }
            Meaning::Waiting => self.waits(active, &part, probed).await,
            Meaning::Elsewhere(replica) => {
                active.replica = Some((replica, Instant::now() + REPLICA_LEASE));
                self.recovers(active);
                Ok(true)
            }
            Meaning::OutOfRange => self.out_of_range(active).await.map(|()| true),
            Meaning::Diverged { epoch, end } => Err(diverged(active, epoch, end)),
            Meaning::Damaged(damage) => self.damaged(active, damage).await,
            Meaning::Refused(code::TOPIC_AUTHORIZATION_FAILED) => Ok(self.forbidden(active)),
            Meaning::Refused(code) => {
                let error = WireError::broker(Request::Fetch, active.subject(), code);
                if error.retry() == Retry::Never {
                    return Err(error.into());
                }
                active.loses_broker();
                self.fails(active, &error);
                // Its disk may be damaged where another replica is whole.
                if code == code::CORRUPT_MESSAGE && active.pacing.fails_for(PATIENCE) {
                    active.replica = active.other_replica(&[self.broker]);
                }
                Ok(true)
            }
        }
    }

    async fn take_records(
        &mut self,
        active: &mut Active,
        found: Batches,
        part: &FetchedPartition,
        pinned: usize,
    ) -> Result<bool, Failure> {
        let Batches { taken: batches, mut next, converted } = found;
        let (pending, unreadable) = self.decide(&active.cursor, batches, &part.aborted);
        if let Some(damage) = unreadable {
            let Some(last) = pending.last() else { return self.damaged(active, damage).await };
            next = Next { offset: last.raw.header.next_offset(), epoch: last.raw.header.leader_epoch };
        }
        let records = pending.iter().map(|batch| batch.raw.header.records()).sum();
        self.shared.limiter.moved(records, part.records.len() as u64);
        let ends = LogEnds::of(part);
        let stored_to = pending.last().map_or(active.cursor.offset, |last| last.raw.header.next_offset());
        self.shared
            .tell(Chunk::Batches {
                topic: active.cursor.topic_id,
                partition: active.cursor.partition,
                batches: pending,
                pinned,
                ends,
                converted: converted.then(|| Arc::clone(&active.cursor.topic)),
            })
            .await?;
        if next.offset > stored_to {
            self.shared.tell(Chunk::Skipped { key: active.key(), to: next.offset, epoch: next.epoch }).await?;
        }
        active.moves(next.offset, next.epoch);
        active.joined = next.offset == stored_to;
        (active.behind, active.told) = (next.offset < part.last_stable_offset, ends);
        self.recovers(active);
        Ok(true)
    }

    /// Batches up to the first whose fate or content cannot be read, and what is wrong with that one.
    fn decide(
        &mut self,
        cursor: &Cursor,
        batches: Vec<RawBatch>,
        aborted: &[(i64, i64)],
    ) -> (Vec<PendingBatch>, Option<Damage>) {
        let mut pending = Vec::with_capacity(batches.len());
        let (fates, unreadable) = fates(&batches, aborted, &mut self.decompressor);
        let damage = |raw: &RawBatch, error| Damage { error, next_base: Some(raw.header.next_offset()) };
        let mut unreadable = unreadable.and_then(|error| Some(damage(batches.get(fates.len())?, error)));
        for (raw, fate) in batches.into_iter().zip(fates) {
            let from = raw.header.base_offset.max(cursor.offset);
            let visible = match self.visible(cursor, &raw) {
                Ok(visible) => visible,
                Err(error) => {
                    unreadable = Some(damage(&raw, error));
                    break;
                }
            };
            pending.push(PendingBatch {
                topic: cursor.topic_id,
                partition: cursor.partition,
                timeline: cursor.timeline,
                from,
                committed: if fate == Fate::Committed { visible } else { 0 },
                aborted: fate == Fate::Aborted,
                raw,
            });
        }
        (pending, unreadable)
    }

    /// Records that consumers see. Only a batch that the log start cuts through has to be decoded for that.
    fn visible(&mut self, cursor: &Cursor, raw: &RawBatch) -> Result<u64, BatchError> {
        if raw.header.base_offset >= cursor.offset {
            return Ok(raw.header.records());
        }
        let mut count = 0;
        batch::places(raw, &mut self.decompressor, |place| count += u64::from(place.offset >= cursor.offset))?;
        Ok(count)
    }

    /// Goes on behind offsets that the source has nothing for.
    async fn skip(&mut self, active: &mut Active, next: Next) -> Result<(), Failure> {
        let (to, epoch) = (next.offset.min(active.cursor.target), next.epoch);
        self.shared.tell(Chunk::Skipped { key: active.key(), to, epoch }).await?;
        active.moves(to, epoch);
        self.recovers(active);
        Ok(())
    }

    async fn up_to_date(&mut self, active: &mut Active, part: &FetchedPartition) -> Result<(), Failure> {
        let ends = LogEnds::of(part);
        active.behind = false;
        self.recovers(active);
        if active.told != ends {
            active.told = ends;
            self.shared.tell(Chunk::Ends { key: active.key(), ends }).await?;
        }
        Ok(())
    }

    /// Everything below the last stable offset is read: only transactions are open. They are waited for from here on.
    async fn wait_or_cut(&mut self, active: &mut Active, part: &FetchedPartition) -> Result<bool, Failure> {
        self.recovers(active);
        let since = *active.held_since.get_or_insert_with(Instant::now);
        if since.elapsed() < self.shared.transaction_wait {
            return Ok(false);
        }
        let (cluster, now_ms) = (&self.shared.cluster, self.shared.now_ms);
        let cursor = &mut active.cursor;
        let (producer_id, age_ms) = oldest_open(cluster, &cursor.topic, cursor.partition, now_ms).await;
        let held = HeldBack {
            topic: cursor.topic.to_string(),
            partition: cursor.partition,
            from: cursor.offset,
            to: cursor.target,
            reason: HeldReason::OpenTransaction,
            producer_id,
            age_ms,
        };
        self.shared.tell(Chunk::Ends { key: (cursor.topic_id, cursor.partition), ends: LogEnds::of(part) }).await?;
        self.shared.tell(Chunk::HeldBack(held)).await?;
        cursor.target = cursor.offset;
        Ok(true)
    }

    /// The log ends below the target, which it had when the run began. That passes when a new leader has heard from its
    /// followers; when it stays so, an unclean election lost what is missing, and waiting on cannot bring it back.
    fn falls_short(&mut self, active: &mut Active, end: i64) -> bool {
        let Cursor { target, stable, .. } = active.cursor;
        let text = format!(
            "{}: its log ends at offset {end} now; it ended at {target} when the run began, and consumers saw records up to {}: a new leader lacks what is missing (unclean leader election)",
            active.subject(),
            stable.min(target)
        );
        // Before the run's patience is over: what was read of the partition is worth a recovery point.
        if active.pacing.fails_for(self.shared.cluster.deadline() / 2) {
            active.pacing.gives_up(Code::SourceDiverged, text);
        } else {
            active.pacing.stalls(Failure::new(Code::SourceDiverged, text), self.lull);
        }
        self.note_trouble(active);
        false
    }

    /// This user may not Read the topic. A broker that just started may not know all rights for a moment.
    fn forbidden(&mut self, active: &mut Active) -> bool {
        let topic = &active.cursor.topic;
        let said = WireError::broker(Request::Fetch, active.subject(), code::TOPIC_AUTHORIZATION_FAILED);
        let text = format!("{said}; grant this user Read on topic {topic}, or add it to exclude");
        if active.pacing.fails_for(PATIENCE) {
            active.pacing.gives_up(Code::NotAuthorized, text);
        } else {
            active.pacing.fails(Failure::new(Code::NotAuthorized, text));
        }
        self.note_trouble(active);
        true
    }

    /// Records wait, and none came. The broker may be slow, or compaction left nothing below the last stable offset:
    /// then the first batch of an open transaction shows it.
    async fn waits(
        &mut self,
        active: &mut Active,
        part: &FetchedPartition,
        probed: &mut bool,
    ) -> Result<bool, Failure> {
        let again = active.pacing.trouble().is_some();
        active.behind = true;
        if again
            && !std::mem::replace(probed, true)
            && let Some(next) = self.ask_any(active).await
        {
            return self.skip(active, next).await.map(|()| true);
        }
        active.leave_replica();
        active.pacing.stalls(no_progress(active, part).into(), self.lull);
        self.note_trouble(active);
        Ok(false)
    }

    /// Where the next batch of any kind begins, when that lies behind the position. A failure here shows again at the next fetch.
    async fn ask_any(&self, active: &Active) -> Option<Next> {
        // See above: the next fetch meets it.
        let connection = self.shared.cluster.broker(self.broker, self.lane, Some(&self.shared.budget)).await.ok()?;
        let options = FetchOptions {
            isolation: Isolation::Uncommitted,
            max_bytes: LEAST_ANSWER,
            max_wait: Duration::ZERO,
            rack: "".into(),
        };
        // The same.
        let answer = connection.fetch(&[active.spot()], &options).await.ok()?;
        self.shared.limiter.moved(0, answer.bytes as u64);
        answer.partitions.first().and_then(|part| first_batch(active.cursor.offset, part))
    }

    /// The log start overtook us (a gap), the log was cut below our position, or the broker denies what it has.
    async fn out_of_range(&mut self, active: &mut Active) -> Result<(), Failure> {
        let log = match self.look_at_log(&active.cursor).await {
            Ok(log) => log,
            Err(error) if error.retry() == Retry::Never => return Err(error.into()),
            Err(error) => {
                active.loses_broker();
                self.fails(active, &error);
                return Ok(());
            }
        };
        let Cursor { offset, last_epoch, target, .. } = active.cursor;
        if log.start > offset {
            return self.lose(active, log.start.min(target), GapReason::LogStartMoved).await;
        }
        if log.is_ours(&active.cursor) {
            self.denied(active, &log);
            return Ok(());
        }
        // The log was cut, or the broker forgot the epoch that we name. Which of them it was, planning finds out by
        // the epochs: to go on without an epoch here would take a log that grew again after the cut for the old one.
        let text = format!(
            "{}: offset {offset} after leader epoch {last_epoch} is out of range, but the log starts at {}: the log was cut below it, or the broker no longer knows the epoch",
            active.subject(),
            log.start
        );
        Err(Failure::new(Code::SourceDiverged, text))
    }

    /// The leader has the offset, by all that it says of its log, and does not give it: that is a matter of this partition alone.
    fn denied(&mut self, active: &mut Active, log: &LogSeen) {
        let text = format!(
            "{}: the broker says that offset {} is out of range, although its log goes from {} to {}; it may not reach what its remote storage holds",
            active.subject(),
            active.cursor.offset,
            log.start,
            log.end
        );
        // Before the run's patience is over: what was read of the partition is worth a recovery point.
        if active.pacing.fails_for(self.shared.cluster.deadline() / 2) {
            active.pacing.gives_up(Code::BrokerFailed, text);
        } else {
            active.pacing.fails(Failure::new(Code::BrokerFailed, text));
        }
        self.note_trouble(active);
    }

    /// What the leader says of the log of a partition.
    async fn look_at_log(&self, cursor: &Cursor) -> Result<LogSeen, WireError> {
        let (cluster, name) = (&self.shared.cluster, [cursor.topic.to_string()]);
        let key = (cursor.topic.to_string(), cursor.partition);
        let mut topics = cluster.topics(Some(&name)).await?;
        for topic in &mut topics {
            topic.partitions.retain(|p| p.index == cursor.partition);
        }
        // The other partitions of this connection wait meanwhile.
        let ask = async |at| cluster.offsets_within(&topics, at, Isolation::Uncommitted, PATIENCE).await;
        let start = ask(OffsetAt::Start).await?.found.get(&key).copied();
        let end = ask(OffsetAt::End).await?.found.get(&key).copied();
        let epochs = [(key.clone(), cursor.last_epoch)].into_iter().filter(|(_, epoch)| *epoch >= 0).collect();
        let known = cluster.epoch_ends_within(&topics, &epochs, PATIENCE).await?.found.get(&key).copied().flatten();
        // Offsets are asked for by name: it must have been this topic until now.
        let now = cluster.topics(Some(&name)).await?;
        let same = now.first().is_some_and(|topic| topic.error == 0 && topic.wire_id == cursor.wire_id);
        let log = start.zip(end).filter(|_| same).map(|(start, end)| LogSeen { start, end, known });
        // The room finds out whether the topic is gone, or is another one.
        log.ok_or_else(|| WireError::no_leader(format!("{}/{}", cursor.topic, cursor.partition)))
    }

    /// Goes on behind offsets that are lost.
    pub(super) async fn lose(&mut self, active: &mut Active, to: i64, reason: GapReason) -> Result<(), Failure> {
        let cursor = &active.cursor;
        let gap = gap(cursor.topic_id, &cursor.topic, cursor.partition, cursor.offset, to, reason);
        self.shared.tell(Chunk::Gap(gap)).await?;
        active.moves(to, -1);
        self.recovers(active);
        Ok(())
    }
}

fn diverged(active: &Active, epoch: i32, end: i64) -> Failure {
    let text = format!(
        "{}: read up to offset {} under leader epoch {}, but the log's epoch {epoch} ends at {end}",
        active.subject(),
        active.cursor.offset,
        active.cursor.last_epoch
    );
    Failure::new(Code::SourceDiverged, text)
}
