//! Reading on in a partition of the source: the headers of its committed batches, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use batch::{BatchHeader, Decompressor, split_sound};
use wire::{Cluster, FetchOptions, FetchSpot, FetchedPartition, Isolation, Request, Retry, Topic, WireError, code};

use crate::backup::{Fate, fates};

/// Bytes of one answer.
const ANSWER: i32 = 8 << 20;

/// One partition of the source, read from a place on.
#[derive(Debug)]
pub(super) struct Ahead {
    topic: Topic,
    partition: i32,
    /// Where the next answer begins.
    at: i64,
    /// Where reading ends: consumers may read no further.
    end: i64,
    /// Headers that were read and not taken yet.
    pub(super) headers: VecDeque<BatchHeader>,
    /// Why nothing more can be told: the source itself is damaged, or its log start moved while it was read.
    pub(super) stopped: Option<String>,
    decompressor: Decompressor,
}

impl Ahead {
    pub(super) fn new(topic: Topic, partition: i32, (from, end): (i64, i64)) -> Self {
        let decompressor = Decompressor::default();
        Self { topic, partition, at: from, end, headers: VecDeque::new(), stopped: None, decompressor }
    }

    /// Reads until the headers reach beyond this offset, or to the end.
    ///
    /// # Errors
    /// When the leader does not answer until the deadline.
    pub(super) async fn reach(&mut self, cluster: &Cluster, offset: i64) -> Result<(), WireError> {
        let mut backoff = cluster.backoff();
        while self.at <= offset && self.at < self.end && self.stopped.is_none() {
            let before = self.at;
            let error = match self.fetch(cluster).await {
                Ok(answer) => match self.take(&answer) {
                    Ok(()) if self.at > before || self.stopped.is_some() => {
                        backoff.reset();
                        continue;
                    }
                    Ok(()) => WireError::no_progress(self.subject(), "a fetch brought nothing"),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if backoff.wait(error).await? == Retry::Refresh {
                self.refresh(cluster).await?;
            }
        }
        Ok(())
    }

    /// Offset after the last that consumers may read.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// Whether everything up to this offset was read, as far as there is anything.
    pub(super) fn has_reached(&self, offset: i64) -> bool {
        self.at > offset || self.at >= self.end
    }

    fn subject(&self) -> String {
        format!("{}/{}", self.topic.name, self.partition)
    }

    async fn refresh(&mut self, cluster: &Cluster) -> Result<(), WireError> {
        let names = [self.topic.name.clone()];
        let newer = cluster.topics(Some(&names)).await?.into_iter().find(|topic| topic.error == 0);
        match newer {
            Some(newer) if newer.id == self.topic.id => self.topic = newer,
            Some(_) => self.stopped = Some("the topic was deleted and made again while it was read".to_owned()),
            // What is not described yet is asked for again.
            None => {}
        }
        Ok(())
    }

    async fn fetch(&self, cluster: &Cluster) -> Result<FetchedPartition, WireError> {
        let leader = self.topic.partitions.iter().find(|p| p.index == self.partition).map(|p| p.leader);
        let leader = leader.filter(|id| *id >= 0).ok_or_else(|| WireError::no_leader(self.subject()))?;
        let connection = cluster.broker(leader, 0, None).await?;
        let options = FetchOptions {
            isolation: Isolation::Committed,
            max_bytes: ANSWER,
            max_wait: Duration::ZERO,
            rack: Arc::from(""),
        };
        let spot = FetchSpot {
            topic: Arc::from(self.topic.name.as_str()),
            topic_id: self.topic.wire_id,
            partition: self.partition,
            offset: self.at,
            leader_epoch: -1,
            last_epoch: -1,
            max_bytes: ANSWER,
        };
        let answer = connection.fetch(&[spot], &options).await?;
        let part = answer.partitions.into_iter().next();
        part.ok_or_else(|| WireError::Unanswered { request: Request::Fetch, subject: self.subject() })
    }

    fn take(&mut self, answer: &FetchedPartition) -> Result<(), WireError> {
        if answer.error == code::OFFSET_OUT_OF_RANGE {
            self.stopped = Some(format!(
                "the source deleted records or cut its log while it was read: offset {} is no longer there",
                self.at
            ));
            return Ok(());
        }
        if answer.error != 0 {
            return Err(WireError::broker(Request::Fetch, self.subject(), answer.error));
        }
        let (split, damage) = split_sound(&answer.records);
        if split.converted {
            let text = "the source holds messages of an old format, which have no header to compare";
            self.stopped = Some(text.to_owned());
            return Ok(());
        }
        let (fates, unreadable) = fates(&split.batches, &answer.aborted, &mut self.decompressor);
        for (batch, fate) in split.batches.iter().zip(&fates) {
            let header = &batch.header;
            if header.last_offset() >= self.at && header.base_offset < self.end {
                self.at = header.next_offset();
                if *fate == Fate::Committed {
                    self.headers.push_back(*header);
                }
            }
        }
        let error = unreadable.or(damage.map(|damage| damage.error));
        // What came before the damage is taken first; the next answer begins with it.
        if let Some(error) = error.filter(|_| fates.is_empty()) {
            self.stopped = Some(format!("the batch of the source at offset {} is damaged: {error}", self.at));
        }
        Ok(())
    }
}
