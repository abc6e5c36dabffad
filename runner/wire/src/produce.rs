//! Producing prepared batches: one batch per partition in a request, sent from where it lies in memory.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use kafka_protocol::messages::{ProduceRequest, ProduceResponse};

use crate::WireError;
use crate::connection::Connection;
use crate::frame::Frame;

/// A batch and where it goes.
#[derive(Debug, Clone)]
pub struct ProduceSpot {
    /// Topic name.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// One batch with base offset 0: its parts one after the other.
    pub batch: [Bytes; 2],
}

/// The broker's word on one batch.
#[derive(Debug, Clone)]
pub struct ProduceAnswer {
    /// Topic name.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Error code, 0 for none.
    pub error: i16,
    /// Offset of the batch's first record; -1 with `acks` 0 or on error.
    pub base_offset: i64,
    /// The broker's words on an error.
    pub message: Option<String>,
}

/// The broker's words on the batches of one request, still to come.
pub type ProduceAnswers = BoxFuture<'static, Result<Vec<ProduceAnswer>, WireError>>;

impl Connection {
    /// Sends one request and returns without its answer, so that the next one can follow: brokers work on the requests
    /// of a connection one after the other. With `acks` 0 there is no answer, and every batch counts as written.
    ///
    /// # Errors
    /// When the connection fails, here or in the answer: the outcome of every batch is then unknown.
    pub async fn post_produce(
        self: &Arc<Self>,
        spots: &[ProduceSpot],
        acks: i16,
        timeout: Duration,
    ) -> Result<ProduceAnswers, WireError> {
        let (version, frame) = self.begin::<ProduceRequest>(i16::MAX)?;
        let frame = write_request(frame, spots, acks, timeout);
        if acks == 0 {
            self.fire(frame).await?;
            let unknown = |spot: &ProduceSpot| ProduceAnswer {
                topic: spot.topic.clone(),
                partition: spot.partition,
                error: 0,
                base_offset: -1,
                message: None,
            };
            return Ok(ready(Ok(spots.iter().map(unknown).collect())).boxed());
        }
        let posted = self.post::<ProduceRequest>(frame, version, timeout).await?;
        let connection = Arc::clone(self);
        Ok(async move { Ok(read_answer(connection.answer(posted).await?)) }.boxed())
    }
}

fn read_answer(answer: ProduceResponse) -> Vec<ProduceAnswer> {
    let mut out = Vec::new();
    for topic in answer.responses {
        for p in topic.partition_responses {
            let record_error = p.record_errors.first().and_then(|e| e.batch_index_error_message.clone());
            out.push(ProduceAnswer {
                topic: topic.name.0.to_string(),
                partition: p.index,
                error: p.error_code,
                base_offset: p.base_offset,
                message: record_error.or(p.error_message).map(|m| m.to_string()),
            });
        }
    }
    out
}

/// The body of versions 3 to 8 (protocol guide, "Produce"): the batches are not copied into it.
fn write_request(mut frame: Frame, spots: &[ProduceSpot], acks: i16, timeout: Duration) -> Frame {
    let mut text = BytesMut::new();
    text.put_i16(-1); // no transactional id
    text.put_i16(acks);
    text.put_i32(i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    put_count(&mut text, spots.chunk_by(|a, b| a.topic == b.topic).count());
    for group in spots.chunk_by(|a, b| a.topic == b.topic) {
        let name = group.first().map_or("", |spot| &spot.topic);
        text.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
        text.put_slice(name.as_bytes());
        put_count(&mut text, group.len());
        for spot in group {
            text.put_i32(spot.partition);
            put_count(&mut text, spot.batch.iter().map(Bytes::len).sum());
            frame.push(text.split().freeze());
            spot.batch.iter().for_each(|part| frame.push(part.clone()));
        }
    }
    frame
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).unwrap_or(i32::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Request;
    use crate::metadata::topic_name;
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn the_request_is_what_the_protocol_library_writes() {
        let spot = |topic: &str, partition, text: &'static str| ProduceSpot {
            topic: topic.into(),
            partition,
            batch: [Bytes::from_static(b"head "), Bytes::from_static(text.as_bytes())],
        };
        let spots = [spot("a", 0, "one"), spot("a", 7, "two"), spot("b", 1, "")];
        let frame = write_request(Frame::default(), &spots, -1, Duration::from_secs(3));
        let data = |index, text: &'static str| {
            PartitionProduceData::default().with_index(index).with_records(Some(Bytes::from_static(text.as_bytes())))
        };
        let topic = |name, data| TopicProduceData::default().with_name(topic_name(name)).with_partition_data(data);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(3_000).with_topic_data(vec![
            topic("a", vec![data(0, "head one"), data(7, "head two")]),
            topic("b", vec![data(1, "head ")]),
        ]);
        let (oldest, newest) = Request::Produce.versions();
        for version in oldest..=newest {
            let mut bytes = BytesMut::new();
            request.encode(&mut bytes, version).unwrap();
            assert_eq!(frame.body(), bytes.freeze(), "version {version}");
        }
    }
}
