//! Producer ids and the fence: what makes a restore exactly once.
//!
//! Only old versions of the transaction requests are used: `Request` says why.

use std::collections::BTreeMap;

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest, ProducerId, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use crate::cluster::Cluster;
use crate::metadata::topic_name;
use crate::{Request, WireError};

/// Longest time that the coordinator keeps a transaction open by itself.
pub const TRANSACTION_TIMEOUT_MS: i32 = 60_000;
/// Key type of transactional ids in coordinator look-ups.
const TRANSACTION: i8 = 1;

/// A producer id and its epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// Producer id.
    pub id: i64,
    /// Epoch; it grows with each [`Cluster::init_producer`] of the same transactional id.
    pub epoch: i16,
}

impl Cluster {
    /// Takes the next epoch of a transactional id, or a fresh id of nobody when `transactional_id` is `None`.
    ///
    /// # Errors
    /// What the coordinator says.
    pub async fn init_producer(&self, transactional_id: Option<&str>) -> Result<ProducerIdentity, WireError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(transactional_id.map(transactional))
            .with_transaction_timeout_ms(TRANSACTION_TIMEOUT_MS)
            .with_producer_id(ProducerId(-1))
            .with_producer_epoch(-1);
        self.retrying(async || {
            let answer = match transactional_id {
                Some(id) => self.send(self.coordinator(id, TRANSACTION).await?, &request).await?,
                None => self.any(&request).await?,
            };
            if answer.error_code != 0 {
                let subject = format!("transactional id {}", transactional_id.unwrap_or("(none)"));
                return Err(WireError::broker(Request::InitProducerId, subject, answer.error_code));
            }
            Ok(ProducerIdentity { id: answer.producer_id.0, epoch: answer.producer_epoch })
        })
        .await
    }

    /// Ends an empty transaction over these partitions: one invisible marker each, after which the broker
    /// refuses every late request of older epochs.
    ///
    /// # Errors
    /// What the coordinator says.
    pub async fn fence(
        &self,
        transactional_id: &str,
        producer: ProducerIdentity,
        partitions: &BTreeMap<String, Vec<i32>>,
    ) -> Result<(), WireError> {
        let topic = |(name, partitions): (&String, &Vec<i32>)| {
            AddPartitionsToTxnTopic::default().with_name(topic_name(name)).with_partitions(partitions.clone())
        };
        let add = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(transactional(transactional_id))
            .with_v3_and_below_producer_id(ProducerId(producer.id))
            .with_v3_and_below_producer_epoch(producer.epoch)
            .with_v3_and_below_topics(partitions.iter().map(topic).collect());
        let end = EndTxnRequest::default()
            .with_transactional_id(transactional(transactional_id))
            .with_producer_id(ProducerId(producer.id))
            .with_producer_epoch(producer.epoch)
            .with_committed(false);
        self.retrying(async || {
            let broker = self.coordinator(transactional_id, TRANSACTION).await?;
            let answer = self.send(broker, &add).await?;
            for topic in answer.results_by_topic_v3_and_below {
                for p in topic.results_by_partition {
                    if p.partition_error_code != 0 {
                        let subject = format!("fence of {}/{}", topic.name.0, p.partition_index);
                        return Err(WireError::broker(Request::AddPartitionsToTxn, subject, p.partition_error_code));
                    }
                }
            }
            Ok(())
        })
        .await?;
        self.retrying(async || {
            let broker = self.coordinator(transactional_id, TRANSACTION).await?;
            let answer = self.send(broker, &end).await?;
            match answer.error_code {
                0 => Ok(()),
                code => {
                    let subject = format!("fence with transactional id {transactional_id}");
                    Err(WireError::broker(Request::EndTxn, subject, code))
                }
            }
        })
        .await
    }
}

fn transactional(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}
