//! The room: partitions that nobody can be asked about for now. It asks the cluster where they are led, and sends each on to
//! the reader of its leader. It is the only place of a collection that asks.

use std::time::Duration;

use contract::{Code, Failure};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use wire::{Isolation, OffsetAt, Request, Retry, Topic, WireError, code};

use super::active::{Active, NOBODY};
use super::pacing::Pacing;
use super::{Chunk, Shared, Trouble};
use crate::backup::positions::Key;
use crate::backup::source::{Cursor, Unplanned};

/// Partitions that are due within this time are asked about together.
const TOGETHER: Duration = Duration::from_millis(20);
/// How long one question may take: the room has others to look after.
const QUESTION: Duration = Duration::from_secs(10);

/// The room.
pub(crate) struct Room {
    shared: Shared,
    inbox: mpsc::UnboundedReceiver<Active>,
    waiting: Vec<Active>,
    unplanned: Vec<(Unplanned, Pacing)>,
    away: bool,
}

impl Room {
    pub(crate) fn new(shared: Shared, inbox: mpsc::UnboundedReceiver<Active>, unplanned: Vec<Unplanned>) -> Self {
        let with_pacing = |partition: Unplanned| {
            let mut pacing = Pacing::new();
            pacing.fails_by(&partition.error);
            (partition, pacing)
        };
        let unplanned = unplanned.into_iter().map(with_pacing).collect();
        Self { shared, inbox, waiting: Vec::new(), unplanned, away: false }
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
        let answer = self.ask(&names).await?;
        let mut troubled = Vec::new();
        for mut active in due {
            let failed = match &answer {
                Ok(topics) => find_leader(&mut active.cursor, topics)?,
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

    /// The topics of these names. An error that passes is part of the answer.
    async fn ask(&mut self, names: &[String]) -> Result<Result<Vec<Topic>, WireError>, Failure> {
        let answer = match timeout(QUESTION, self.shared.cluster.topics(Some(names))).await {
            Ok(answer) => answer,
            Err(_) => Err(WireError::no_progress(
                "metadata".to_owned(),
                format!("no broker answered within {} s", QUESTION.as_secs()),
            )),
        };
        match answer {
            Ok(topics) => {
                if std::mem::replace(&mut self.away, false) {
                    self.shared.tell(Chunk::ClusterAway(None)).await?;
                }
                Ok(Ok(topics))
            }
            Err(error) if error.retry() == Retry::Never && !error.is_deadline() => Err(error.into()),
            Err(error) => {
                self.away = true;
                self.shared.tell(Chunk::ClusterAway(Some(error.clone().into()))).await?;
                Ok(Err(error))
            }
        }
    }

    /// Partitions that could not be planned: when one can be, the source changed, and the run plans again.
    async fn look_at_unplanned(&mut self) -> Result<(), Failure> {
        let due_at = Instant::now() + TOGETHER;
        let mut troubled = Vec::new();
        let mut all = std::mem::take(&mut self.unplanned);
        for (partition, pacing) in all.iter_mut().filter(|(_, pacing)| pacing.retry_at <= due_at) {
            pacing.begins();
            let name = partition.topic.name.clone();
            let error = match self.ask(std::slice::from_ref(&name)).await? {
                Err(error) => error,
                Ok(topics) => match self.is_there(partition, &topics).await? {
                    None => {
                        let text = format!("partition {} of topic {name} can be read again", partition.partition);
                        return Err(Failure::new(Code::TopicChanged, text));
                    }
                    Some(error) => error,
                },
            };
            pacing.fails_by(&error);
            troubled.extend(trouble(partition.key(), pacing));
        }
        self.unplanned = all;
        self.tell(troubled).await
    }

    /// What keeps a partition from being planned; `None` when its leader answers.
    async fn is_there(&self, partition: &Unplanned, topics: &[Topic]) -> Result<Option<WireError>, Failure> {
        let mut cursor = Cursor::unplanned(&partition.topic, partition.partition);
        if let Some(error) = find_leader(&mut cursor, topics)? {
            return Ok(Some(error));
        }
        let mut one: Vec<_> = topics.iter().filter(|topic| topic.name == partition.topic.name).cloned().collect();
        for topic in &mut one {
            topic.partitions.retain(|p| p.index == partition.partition);
        }
        let asked = self.shared.cluster.offsets(&one, OffsetAt::End, Isolation::Uncommitted);
        Ok(match timeout(QUESTION, asked).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error),
            Err(_) => Some(WireError::no_leader(format!("{}/{}", partition.topic.name, partition.partition))),
        })
    }

    async fn tell_unplanned(&self) -> Result<(), Failure> {
        let all = self.unplanned.iter().filter_map(|(partition, pacing)| trouble(partition.key(), pacing));
        self.tell(all.collect()).await
    }

    async fn tell(&self, troubled: Vec<(Key, Trouble)>) -> Result<(), Failure> {
        if troubled.is_empty() { Ok(()) } else { self.shared.tell(Chunk::Troubled(troubled)).await }
    }
}

fn trouble(key: Key, pacing: &Pacing) -> Option<(Key, Trouble)> {
    pacing.trouble().map(|trouble| (key, trouble.clone()))
}

/// Takes over who leads the partition; otherwise says what is in the way.
///
/// # Errors
/// [`Code::TopicChanged`] when the topic was deleted, or deleted and created again: it must be planned anew.
fn find_leader(cursor: &mut Cursor, topics: &[Topic]) -> Result<Option<WireError>, Failure> {
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
    match partition.filter(|p| p.leader > NOBODY) {
        Some(p) => {
            (cursor.leader, cursor.leader_epoch) = (p.leader, p.leader_epoch);
            cursor.in_sync.clone_from(&p.in_sync);
            Ok(None)
        }
        None => Ok(Some(WireError::no_leader(format!("{}/{}", cursor.topic, cursor.partition)))),
    }
}
