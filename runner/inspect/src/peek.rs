//! Records of a recovery point, found without restoring it.

use archive::{Point, ReadBatch, Seal, Store, Timelines, TopicState, Wanted, resolve};
use batch::{Decompressor, Selected, Window, payload, select_records};
use contract::{Code, Failure};

use crate::ask::Replies;
use crate::{Answer, Payload, Peek, Record, Scanned};

/// Answers with the records that are asked for, in the order of the archive: of one partition by offset.
pub(crate) async fn peek(store: &Store, peek: &Peek, replies: &mut Replies) -> Result<(), Failure> {
    let (layout, seal) = resolve(store, &peek.name).await?;
    let point = Point::load(store, &layout, seal).await?;
    let topic = topic_of(&point.seal, &peek.topic)?;
    let wanted = wanted(&point, topic, peek)?;
    let window = wanted.window;
    let mut search =
        Search { peek, window, topic: &topic.name, done: Scanned::default(), decompressor: Decompressor::default() };
    let mut stream = point.stream(wanted).await?;
    while !search.done.more
        && let Some(share) = stream.next().await?
    {
        search.look(&share, replies).await?;
    }
    replies.send(Answer::Scanned(search.done)).await
}

/// By name, the live lineage first, or by the id of any lineage.
fn topic_of<'a>(seal: &'a Seal, wanted: &str) -> Result<&'a TopicState, Failure> {
    let by_name = seal.topics.iter().filter(|topic| topic.name == wanted).max_by_key(|topic| topic.live);
    let by_id = || seal.topics.iter().find(|topic| topic.id.to_string() == wanted);
    by_name.or_else(by_id).ok_or_else(|| {
        let text = format!("recovery point {} has no topic {wanted:?}", seal.point);
        Failure::new(Code::UnknownTopic, text)
    })
}

fn wanted(point: &Point, topic: &TopicState, peek: &Peek) -> Result<Wanted, Failure> {
    let place = point.seal.topics.iter().position(|known| known.id == topic.id);
    let rows = point.seal.partitions.iter().filter(|row| Some(row.topic as usize) == place);
    let rows = rows.filter(|row| peek.partition.is_none_or(|wanted| wanted == row.partition));
    let from: std::collections::HashMap<_, _> =
        rows.map(|row| ((topic.id, row.partition), peek.offset.unwrap_or(row.first))).collect();
    if from.is_empty() {
        let text = format!(
            "topic {} has {} partitions in recovery point {}; {} is not one of them",
            topic.name,
            topic.partitions,
            point.seal.point,
            peek.partition.unwrap_or(0)
        );
        return Err(Failure::new(Code::UnknownTopic, text));
    }
    let window = Window { start: peek.at.unwrap_or(i64::MIN), end: i64::MAX };
    Ok(Wanted::new(from, Timelines::new(point.forks()), window))
}

struct Search<'a> {
    peek: &'a Peek,
    window: Window,
    topic: &'a str,
    done: Scanned,
    decompressor: Decompressor,
}

impl Search<'_> {
    async fn look(&mut self, share: &ReadBatch, replies: &mut Replies) -> Result<(), Failure> {
        let window = self.window;
        let from = self.peek.offset.unwrap_or(i64::MIN).max(share.from);
        for batch in &share.batches {
            if window.misses(&batch.header) || batch.header.next_offset() <= from {
                continue;
            }
            let damaged = |error: batch::BatchError| {
                let text = format!("a batch of {}/{}: {error}", self.topic, share.partition);
                Failure::new(Code::ArchiveDamaged, text)
            };
            let bytes = payload(batch, &mut self.decompressor, batch::PAYLOAD_LIMIT).map_err(damaged)?;
            let mut selected = Vec::with_capacity(usize::try_from(batch.header.record_count).unwrap_or(0));
            select_records(&batch.header, &bytes, window, &mut selected).map_err(damaged)?;
            self.done.records += batch.header.records();
            self.done.bytes += bytes.len() as u64;
            for found in selected.iter().filter(|found| (from..share.until).contains(&found.offset)) {
                if !self.is_wanted(found) {
                    continue;
                }
                if self.done.shown >= self.peek.limit {
                    self.done.more = true;
                    return Ok(());
                }
                self.done.shown += 1;
                replies.send(Answer::Record(self.record(share.partition, found))).await?;
            }
        }
        Ok(())
    }

    fn is_wanted(&self, found: &Selected<'_>) -> bool {
        self.peek.key.as_ref().is_none_or(|key| found.record.key == Some(key.0.as_slice()))
    }

    fn record(&self, partition: i32, found: &Selected<'_>) -> Record {
        let headers = found.record.headers().map(|header| (header.key.into(), header.value.map(Payload::from)));
        Record {
            topic: self.topic.to_owned(),
            partition,
            offset: found.offset,
            timestamp: found.timestamp,
            key: found.record.key.map(Payload::from),
            value: found.record.value.map(Payload::from),
            headers: headers.collect(),
        }
    }
}
