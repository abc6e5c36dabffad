//! The room: partitions that nobody can be asked about for now. It asks the cluster where they are led, and sends each on to
//! the reader of its leader. It is the only place of a collection that asks.

use archive::TopicIdPartition;
use std::collections::HashSet;
use std::time::Duration;

use contract::{Code, Failure};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use wire::{BrokerId, Isolation, OffsetAt, Request, Retry, Topic, WireError, code};

use super::active::{Active, NOBODY};
use super::pacing::Pacing;
use super::{Chunk, Shared, Trouble};
use crate::backup::source::{Cursor, Unplanned, ends_all};
use crate::backup::stale::{BEHIND, behind, is_behind, take_from_another};

/// Partitions that are due within this time are asked about together.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long one question may take: the room has others to look after.
const QUESTION: Duration = Duration::from_secs(10);
/// Trouble that lasts for so long may come from an answer of a broker that is behind.
const LASTS: Duration = Duration::from_secs(3);
/// How long leaders of partitions that could not be planned may take to answer.
const LEADERS: Duration = Duration::from_secs(5);

/// The room.
pub(crate) struct Room {
    shared: Shared,
    inbox: mpsc::UnboundedReceiver<Active>,
    waiting: Vec<Active>,
    unplanned: Vec<(Unplanned, Pacing)>,
    away: bool,
    /// Brokers that were asked beside the first one, while trouble lasts: each look asks another.
    asked: HashSet<BrokerId>,
}

impl Room {
    pub(crate) fn new(shared: Shared, inbox: mpsc::UnboundedReceiver<Active>, unplanned: Vec<Unplanned>) -> Self {
        let with_pacing = |partition: Unplanned| {
            let mut pacing = Pacing::new();
            pacing.fails_by(&partition.error);
            (partition, pacing)
        };
        let unplanned = unplanned.into_iter().map(with_pacing).collect();
        Self { shared, inbox, waiting: Vec::new(), unplanned, away: false, asked: HashSet::new() }
    }

    /// Looks until the run shall stop.
    ///
    /// # Errors
    /// A topic that was deleted or recreated, and what ends the run.
    pub(crate) async fn run(mut self) -> Result<(), Failure> {
        let cancel = self.shared.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(()),
            ended = self.work() => ended,
        }
    }

    async fn work(&mut self) -> Result<(), Failure> {
        self.tell_unplanned().await?;
        loop {
            let waiting = self.waiting.iter().map(|active| active.pacing.retry_at);
            let next = waiting.chain(self.unplanned.iter().map(|(_, pacing)| pacing.retry_at)).min();
            tokio::select! {
                biased;
                active = self.inbox.recv() => match active {
                    Some(active) => self.waiting.push(active),
                    None => return Ok(()),
                },
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    self.look().await?;
                    self.look_at_unplanned().await?;
                }
            }
        }
    }

    /// Asks where the partitions are led whose pause is over.
    async fn look(&mut self) -> Result<(), Failure> {
        let due_at = Instant::now() + TOGETHER;
        let (mut due, later): (Vec<_>, Vec<_>) =
            self.waiting.drain(..).partition(|active| active.pacing.retry_at <= due_at);
        self.waiting = later;
        if due.is_empty() {
            return Ok(());
        }
        for active in &mut due {
            active.pacing.begins();
        }
        let mut names: Vec<_> = due.iter().map(|active| active.cursor.topic.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        let lasts = due.iter().any(|active| active.pacing.fails_for(LASTS));
        let answer = self.ask(&names, lasts).await?;
        let mut troubled = Vec::new();
        for mut active in due {
            let failed = match &answer {
                Ok(topics) => find_leader(&mut active.cursor, topics, !active.pacing.fails_for(BEHIND))?,
                Err(error) => Some(error.clone()),
            };
            match failed {
                None => self.shared.hand_over(active),
                Some(error) => {
                    active.pacing.fails_by(&error);
                    troubled.extend(trouble(active.key(), &active.pacing));
                    self.waiting.push(active);
                }
            }
        }
        self.tell(troubled).await
    }

    /// The topics of these names; where trouble lasts, as one more broker knows them, too. An error that passes is part of the answer.
    async fn ask(&mut self, names: &[String], lasts: bool) -> Result<Result<Vec<Topic>, WireError>, Failure> {
        match self.shared.cluster.topics_within(Some(names), QUESTION).await {
            Ok(mut topics) => {
                if std::mem::replace(&mut self.away, false) {
                    self.shared.tell(Chunk::ClusterAway(None)).await?;
                }
                if lasts {
                    take_from_another(&self.shared.cluster, &mut topics, names, &mut self.asked).await;
                }
                Ok(Ok(topics))
            }
            Err(error) if error.is_final() => Err(error.into()),
            Err(error) => {
                self.away = true;
                self.shared.tell(Chunk::ClusterAway(Some(error.clone().into()))).await?;
                Ok(Err(error))
            }
        }
    }

    /// Partitions that could not be planned, all with one question: when one of them can be, the source changed, and the
    /// run plans again.
    async fn look_at_unplanned(&mut self) -> Result<(), Failure> {
        let due_at = Instant::now() + TOGETHER;
        let mut all = std::mem::take(&mut self.unplanned);
        let mut due: Vec<_> = all.iter_mut().filter(|(_, pacing)| pacing.retry_at <= due_at).collect();
        if due.is_empty() {
            self.unplanned = all;
            return Ok(());
        }
        for (_, pacing) in &mut due {
            pacing.begins();
        }
        let mut names: Vec<_> = due.iter().map(|(partition, _)| partition.topic.name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let lasts = due.iter().any(|(_, pacing)| pacing.fails_for(LASTS));
        let found = match self.ask(&names, lasts).await? {
            Ok(topics) => self.who_answers(&due, &topics).await?,
            Err(error) => due.iter().map(|_| error.clone()).collect(),
        };
        let mut troubled = Vec::with_capacity(due.len());
        for ((partition, pacing), error) in due.into_iter().zip(found) {
            pacing.fails_by(&error);
            troubled.extend(trouble(partition.key(), pacing));
        }
        self.unplanned = all;
        self.tell(troubled).await
    }

    /// What keeps each of these partitions from being planned.
    ///
    /// # Errors
    /// [`Code::TopicChanged`] when the leader of one answers.
    async fn who_answers(&self, due: &[&mut (Unplanned, Pacing)], topics: &[Topic]) -> Result<Vec<WireError>, Failure> {
        let mut errors = Vec::with_capacity(due.len());
        let mut led: Vec<Topic> = Vec::new();
        for (partition, pacing) in due {
            let mut cursor = Cursor::unplanned(&partition.topic, partition.partition);
            cursor.last_epoch = partition.last_epoch.unwrap_or(-1);
            let error = find_leader(&mut cursor, topics, !pacing.fails_for(BEHIND))?;
            if error.is_none() {
                let topic = topics.iter().filter(|topic| topic.name == partition.topic.name);
                led.extend(topic.cloned().map(|mut topic| {
                    topic.partitions.retain(|p| p.index == partition.partition);
                    topic
                }));
            }
            errors.push(error);
        }
        let cluster = &self.shared.cluster;
        let wire::Answers { mut found, mut missing } =
            cluster.offsets_within(&led, OffsetAt::End, Isolation::Uncommitted, LEADERS).await?;
        // The same questions as a plan asks.
        let epoch = |((partition, _), error): (&&mut (Unplanned, Pacing), &Option<WireError>)| {
            let epoch = partition.last_epoch.filter(|_| error.is_none())?;
            Some(((partition.topic.name.clone(), partition.partition), epoch))
        };
        let epochs = due.iter().zip(&errors).filter_map(epoch).collect();
        let unanswered = cluster.epoch_ends_within(&led, &epochs, LEADERS).await?.missing;
        found.retain(|key, _| !unanswered.contains_key(key));
        missing.extend(unanswered);
        if let Some(error) = missing.values().find(|error| ends_all(error)) {
            return Err(error.clone().into());
        }
        if let Some((topic, partition)) = found.into_keys().min() {
            let same =
                |(other, _): &&&mut (Unplanned, Pacing)| other.topic.name == topic && other.partition == partition;
            // Should planning fail once more, this is why.
            let before =
                due.iter().find(same).map_or_else(String::new, |(other, _)| format!("; before: {}", other.error));
            let text = format!("partition {partition} of topic {topic} can be read again{before}");
            return Err(Failure::new(Code::TopicChanged, text));
        }
        let mut said = |(partition, _): &&mut (Unplanned, Pacing), error: Option<WireError>| {
            let key = (partition.topic.name.clone(), partition.partition);
            let silent = || WireError::no_leader(format!("{}/{}", key.0, key.1));
            error.or_else(|| missing.remove(&key)).unwrap_or_else(silent)
        };
        Ok(due.iter().zip(errors).map(|(due, error)| said(due, error)).collect())
    }

    async fn tell_unplanned(&self) -> Result<(), Failure> {
        let all = self.unplanned.iter().filter_map(|(partition, pacing)| trouble(partition.key(), pacing));
        self.tell(all.collect()).await
    }

    async fn tell(&self, troubled: Vec<(TopicIdPartition, Trouble)>) -> Result<(), Failure> {
        if troubled.is_empty() { Ok(()) } else { self.shared.tell(Chunk::Troubled(troubled)).await }
    }
}

fn trouble(key: TopicIdPartition, pacing: &Pacing) -> Option<(TopicIdPartition, Trouble)> {
    pacing.trouble().map(|trouble| (key, trouble.clone()))
}

/// Takes over who leads the partition; otherwise says what is in the way. Whoever doubts believes no leader of an older epoch than
/// the partition had.
///
/// # Errors
/// [`Code::TopicChanged`] when the topic was deleted, or deleted and created again: it must be planned anew.
fn find_leader(cursor: &mut Cursor, topics: &[Topic], doubts: bool) -> Result<Option<WireError>, Failure> {
    let topic = topics.iter().find(|topic| topic.name == *cursor.topic);
    let gone = topic.is_none_or(|topic| topic.error == code::UNKNOWN_TOPIC_OR_PARTITION);
    let other = topic.is_some_and(|topic| topic.error == 0 && topic.wire_id != cursor.wire_id);
    if gone || other {
        let what = if gone { "deleted" } else { "deleted and created again" };
        return Err(Failure::new(Code::TopicChanged, format!("topic {} was {what} while it was read", cursor.topic)));
    }
    if let Some(error) = topic.map(|topic| topic.error).filter(|error| *error != 0) {
        let error = WireError::broker(Request::Metadata, format!("topic {}", cursor.topic), error);
        return if error.retry() == Retry::Never { Err(error.into()) } else { Ok(Some(error)) };
    }
    let partition = topic.and_then(|topic| topic.partitions.iter().find(|p| p.index == cursor.partition));
    let known = cursor.leader_epoch.max(cursor.last_epoch);
    match partition.filter(|p| p.leader > NOBODY) {
        Some(p) => {
            if let Some(topic) = topic.filter(|topic| doubts && is_behind(topic, p, known)) {
                return Ok(Some(behind(topic, p, known)));
            }
            (cursor.leader, cursor.leader_epoch) = (p.leader, p.leader_epoch);
            cursor.in_sync.clone_from(&p.in_sync);
            Ok(None)
        }
        None => Ok(Some(WireError::no_leader(format!("{}/{}", cursor.topic, cursor.partition)))),
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn topic(id: u128, leader_epoch: i32) -> Topic {
        let partition = wire::Partition { index: 0, leader: 1, leader_epoch, replicas: 2, in_sync: vec![1, 2] };
        let id = Uuid::from_u128(id);
        Topic { name: "t".into(), id, wire_id: id, internal: false, partitions: vec![partition], error: 0 }
    }

    /// Whether a leader of this epoch is taken over by a cursor that knows others.
    fn takes(id: u128, told: i32, (leader_epoch, last_epoch): (i32, i32), doubts: bool) -> bool {
        let topics = [topic(id, told)];
        let mut cursor = Cursor { leader_epoch, last_epoch, ..Cursor::unplanned(&topics[0], 0) };
        let error = find_leader(&mut cursor, &topics, doubts).unwrap();
        assert_eq!(error.is_none(), cursor.leader == 1 && cursor.leader_epoch == told);
        error.is_none()
    }

    #[test]
    fn a_leader_of_an_older_epoch_is_one_that_slept() {
        assert!(takes(1, 3, (3, 3), true) && takes(1, 4, (3, 3), true) && takes(1, 0, (-1, -1), true));
        assert!(!takes(1, 2, (3, -1), true), "the last leader had a newer one");
        assert!(!takes(1, 2, (-1, 3), true), "the last record was written under a newer one");
        // Who says so for long is right: a cluster may have lost its metadata.
        assert!(takes(1, 2, (3, 3), false));
        // Without ids it may be another topic of that name, and a broker may tell no epoch at all.
        assert!(takes(0, 2, (3, 3), true) && takes(1, -1, (3, 3), true));
    }
}
