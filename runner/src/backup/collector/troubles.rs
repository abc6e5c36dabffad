//! What a collection does about partitions in trouble, and about quotas: who is told, and what ends it.

use archive::TopicIdPartition;
use std::collections::BTreeMap;
use std::time::Duration;

use contract::{Code, Failure, MemberChange, Membership};
use tokio::time::Instant;
use uuid::Uuid;

use super::Collector;
use crate::backup::health::Verdict;
use crate::backup::moment::{PATIENCE, missing};
use crate::backup::reader::Trouble;

impl Collector {
    /// A batch that is larger than what a quota allows in its window is never delivered: that ends the run.
    pub(super) fn watch_quota(&mut self) {
        let (throttled, limit) = ((self.throttled)(), self.health.limit());
        if self.quota.is_stuck(throttled, (self.totals.records, self.moved_offsets), limit) {
            let text = format!(
                "brokers held answers back for {} s in all because of a quota, and nothing came for {} s: the next batch may be larger than the quota lets through; raise consumer_byte_rate for this user or client id (kafka-backup)",
                throttled.total.as_secs(),
                limit.as_secs()
            );
            self.failed = Some(Failure::new(Code::BrokerFailed, text));
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        if let Some(failure) = &self.failed {
            return Verdict::Fails(failure.clone());
        }
        let verdict = if self.follow.is_some() { self.health.of_followed() } else { self.health.of_snapshot() };
        let gives_up = matches!(verdict, Verdict::Without(_) | Verdict::Fails(_));
        if gives_up && Instant::now() < self.stale_until { Verdict::GoesOn } else { verdict }
    }

    /// The point is made without what these partitions lack, unless the specification says that the run fails then. Those that
    /// were read to their ends at last lack nothing.
    pub(super) fn give_up(&mut self, mut lost: Vec<(TopicIdPartition, Trouble)>) -> Option<Failure> {
        lost.retain(|(key, _)| self.health.is_open(*key) && !self.positions.is_at_target(*key));
        if let Some((key, trouble)) = lost.first().filter(|_| self.gap_is_failure) {
            let text = format!(
                "{} of {} partitions cannot be read, and backup.onGap is fail; {}/{}: {}",
                lost.len(),
                self.health.count(),
                self.name_of(key.0),
                key.1,
                trouble.failure.message
            );
            return Some(Failure::new(trouble.failure.code, text));
        }
        let mut told: BTreeMap<Uuid, (String, usize)> = BTreeMap::new();
        for (key, trouble) in lost {
            let row = self.positions.row(key);
            let next = row.map_or(0, |row| row.next);
            let to = row.map_or(next, |row| if row.target > next { row.target } else { row.high_watermark.max(next) });
            let name = self.name_of(key.0);
            let text = || {
                let place = format!("{name}/{}", key.1);
                let cause =
                    // Only how it is told: the place is not said twice.
                    trouble.failure.message.strip_prefix(&format!("{place}: ")).unwrap_or(&trouble.failure.message);
                let what = if to > next {
                    format!("offsets {next} to {} are", to - 1)
                } else {
                    format!("what follows from offset {next} on is")
                };
                format!("{place}: {what} not in this recovery point: {cause}; a later run reads on from there")
            };
            told.entry(key.0).or_insert_with(|| (text(), 0)).1 += 1;
            self.held_back.push(missing(&name, key.1, (next, to), Some(&trouble)));
        }
        for (text, partitions) in told.into_values() {
            let more = partitions - 1;
            let more = if more > 0 { format!(" (and {more} more partitions of this topic)") } else { String::new() };
            self.emitter.warn(format!("{text}{more}"));
        }
        None
    }

    /// What became of a topic that is described, and read or not.
    fn tell_member(&self, topic: Uuid, change: Membership) {
        let member = MemberChange {
            topic: self.name_of(topic),
            topic_id: topic.to_string(),
            change,
            partitions_before: None,
            partitions: None,
        };
        self.emitter.member(&member);
    }

    pub(super) fn name_of(&self, topic: Uuid) -> String {
        self.names.get(&topic).cloned().unwrap_or_else(|| topic.to_string())
    }

    /// People are told of partitions that have been failing for a while, once.
    pub(super) fn troubled(&mut self, troubled: Vec<(TopicIdPartition, Trouble)>) {
        let mut new = Vec::new();
        for (key, trouble) in troubled {
            let lasts = trouble.hopeless || trouble.failing >= PATIENCE;
            if lasts && self.told_troubles.insert(key) {
                new.push((key, trouble.failure.message.clone()));
                if trouble.failure.code == Code::NotAuthorized {
                    self.tell_member(key.0, Membership::Forbidden);
                }
            }
            self.health.troubles(key, trouble);
        }
        if let Some(((topic, partition), cause)) = new.first() {
            let more = if new.len() > 1 { format!(" and {} more partitions", new.len() - 1) } else { String::new() };
            let place = format!("{}/{partition}", self.name_of(*topic));
            let cause = cause.strip_prefix(&format!("{place}: ")).unwrap_or(cause);
            self.emitter.warn(format!("{place}{more} cannot be read for now; others go on: {cause}"));
        }
    }

    pub(super) fn recovered(&mut self, keys: &[TopicIdPartition]) {
        let mut again = Vec::new();
        for key in keys {
            let forbidden = |trouble: &Trouble| trouble.failure.code == Code::NotAuthorized;
            let was_forbidden = self.health.trouble(*key, Duration::ZERO).is_some_and(forbidden);
            self.health.recovers(*key);
            if self.told_troubles.remove(key) {
                if was_forbidden {
                    self.tell_member(key.0, Membership::Returned);
                }
                again.push(*key);
            }
        }
        if let Some((topic, partition)) = again.first() {
            let more =
                if again.len() > 1 { format!(" and {} more partitions", again.len() - 1) } else { String::new() };
            tracing::info!("{}/{partition}{more} can be read again", self.name_of(*topic));
        }
    }
}
