//! Producing prepared batches: one batch per partition in a request.

use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

use crate::WireError;
use crate::cluster::topic_name;
use crate::connection::Connection;

/// A batch and where it goes.
#[derive(Debug, Clone)]
pub struct ProduceSpot {
    /// Topic name.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// One batch with base offset 0.
    pub batch: Bytes,
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

impl Connection {
    /// Produces with one request.
    ///
    /// The version stays below 12: from there on the broker takes part in transactions by itself (KIP-890), and
    /// these batches are plain idempotent ones.
    ///
    /// # Errors
    /// When the exchange fails: the outcome of every batch is then unknown.
    pub async fn produce(
        &self,
        spots: &[ProduceSpot],
        acks: i16,
        timeout: Duration,
    ) -> Result<Vec<ProduceAnswer>, WireError> {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        for group in spots.chunk_by(|a, b| a.topic == b.topic) {
            let Some(first) = group.first() else { continue };
            let data = |spot: &ProduceSpot| {
                PartitionProduceData::default().with_index(spot.partition).with_records(Some(spot.batch.clone()))
            };
            let partitions = group.iter().map(data).collect();
            topics
                .push(TopicProduceData::default().with_name(topic_name(&first.topic)).with_partition_data(partitions));
        }
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX))
            .with_topic_data(topics);
        if acks == 0 {
            self.fire(&request, 11).await?;
            let unknown = |spot: &ProduceSpot| ProduceAnswer {
                topic: spot.topic.clone(),
                partition: spot.partition,
                error: 0,
                base_offset: -1,
                message: None,
            };
            return Ok(spots.iter().map(unknown).collect());
        }
        let answer = self.call(&request, 11, timeout).await?;
        let mut out = Vec::with_capacity(spots.len());
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
        Ok(out)
    }
}
