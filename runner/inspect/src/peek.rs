//! Records of a recovery point, found without restoring it.

use archive::{Point, ReadBatch, Seal, Store, Timelines, TopicState, Wanted};
use batch::{BatchError, RecordPlace, RecordStream, Window};
use contract::{Code, Failure, SetOwner};

use crate::owned::opened;
use crate::replies::Replies;
use crate::{Answer, LARGEST_RECORD, Payload, Peek, Record, Scanned};

/// Larger records do not wait in a row for whoever asked.
const LARGE: usize = 256 << 10;

/// Answers with the records that are asked for, in the order of the archive: of one partition by offset.
pub(crate) async fn peek(
    store: &Store,
    peek: &Peek,
    owner: Option<&SetOwner>,
    replies: &mut Replies,
) -> Result<(), Failure> {
    let point = opened(store, &peek.name, owner).await?;
    let topic = topic_of(&point.seal, &peek.topic)?;
    let wanted = wanted(&point, topic, peek)?;
    let window = wanted.window;
    let mut search = Search { peek, window, topic: &topic.name, done: Scanned::default() };
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
}

impl Search<'_> {
    async fn look(&mut self, share: &ReadBatch, replies: &mut Replies) -> Result<(), Failure> {
        let (window, mut room) = (self.window, Vec::new());
        let from = self.peek.offset.unwrap_or(i64::MIN).max(share.from);
        for batch in &share.batches {
            if window.misses(&batch.header) || batch.header.next_offset() <= from {
                continue;
            }
            let damaged = |error: batch::BatchError| {
                let text = format!("a batch of {}/{}: {error}", self.topic, share.partition);
                Failure::new(Code::ArchiveDamaged, text)
            };
            let mut records = RecordStream::new(batch).map_err(damaged)?;
            while let Some(place) = records.advance().map_err(damaged)? {
                self.done.records += 1;
                if !window.contains(place.timestamp) || !(from..share.until).contains(&place.offset) {
                    continue;
                }
                let record = match records.record(LARGEST_RECORD, &mut room) {
                    Ok(record) => record,
                    Err(BatchError::TooLarge { .. }) => {
                        self.done.too_large += 1;
                        continue;
                    }
                    Err(error) => return Err(damaged(error)),
                };
                let size = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
                self.done.bytes += size as u64;
                if self.peek.key.as_ref().is_some_and(|key| record.key != Some(key.0.as_slice())) {
                    continue;
                }
                if self.done.shown >= self.peek.limit {
                    self.done.more = true;
                    break;
                }
                self.done.shown += 1;
                let answer = self.answer(share.partition, place, &record);
                if size > LARGE { replies.send_alone(answer).await? } else { replies.send(answer).await? }
            }
        }
        Ok(())
    }

    fn answer(&self, partition: i32, place: RecordPlace, record: &batch::Record<'_>) -> Answer {
        let headers = record.headers().map(|header| (header.key.into(), header.value.map(Payload::from)));
        Answer::Record(Record {
            topic: self.topic.to_owned(),
            partition,
            offset: place.offset,
            timestamp: place.timestamp,
            key: record.key.map(Payload::from),
            value: record.value.map(Payload::from),
            headers: headers.collect(),
        })
    }
}
