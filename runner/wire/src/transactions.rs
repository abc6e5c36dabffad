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
use crate::{Request, WireError, code};

/// The shortest time for which the coordinator must be able to keep a transaction open by itself.
pub const TRANSACTION_TIMEOUT_MS: i32 = 10_000;
/// Times that are tried in this order after one above the retry deadline: `transaction.max.timeout.ms` of the broker may
/// be lower.
const SHORTER_TIMEOUTS_MS: [i32; 2] = [60_000, TRANSACTION_TIMEOUT_MS];
/// What the coordinator may take beyond our retry deadline, so that it never ends a fence that is still tried.
const ABOVE_DEADLINE_MS: u64 = 60_000;
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

/// How an epoch stands among those of its transactional id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nobody took one since.
    Newest,
    /// Somebody took one since.
    Fenced,
    /// The coordinator has forgotten it (`transactional.id.expiration.ms`). Somebody may have taken another one since.
    Forgotten,
}

/// Who holds a transactional id before its first epoch.
const NOBODY: ProducerIdentity = ProducerIdentity { id: -1, epoch: -1 };

impl Cluster {
    /// Takes the next epoch of a transactional id, or a fresh id of nobody when `transactional_id` is `None`.
    ///
    /// # Errors
    /// What the coordinator says.
    pub async fn init_producer(&self, transactional_id: Option<&str>) -> Result<ProducerIdentity, WireError> {
        self.init_producer_after(transactional_id, NOBODY).await
    }

    /// Takes the next epoch of a transactional id as the one who holds `current` (KIP-360). A second try of the same
    /// request, also by a later process, gets the same epoch.
    ///
    /// # Errors
    /// `PRODUCER_FENCED` when somebody else took an epoch since, `INVALID_PRODUCER_ID_MAPPING` when the coordinator has
    /// forgotten the id; what else it says.
    pub async fn renew_producer(
        &self,
        transactional_id: &str,
        current: ProducerIdentity,
    ) -> Result<ProducerIdentity, WireError> {
        self.init_producer_after(Some(transactional_id), current).await
    }

    async fn init_producer_after(
        &self,
        transactional_id: Option<&str>,
        current: ProducerIdentity,
    ) -> Result<ProducerIdentity, WireError> {
        let longest = self.options().retry_deadline_ms.saturating_add(ABOVE_DEADLINE_MS);
        let longest = i32::try_from(longest).unwrap_or(i32::MAX);
        let mut found = self.init_producer_within(transactional_id, current, longest).await;
        for timeout in SHORTER_TIMEOUTS_MS.into_iter().filter(|timeout| *timeout < longest) {
            if found.as_ref().err().and_then(WireError::broker_code) != Some(code::INVALID_TRANSACTION_TIMEOUT) {
                break;
            }
            found = self.init_producer_within(transactional_id, current, timeout).await;
        }
        found
    }

    async fn init_producer_within(
        &self,
        transactional_id: Option<&str>,
        current: ProducerIdentity,
        timeout_ms: i32,
    ) -> Result<ProducerIdentity, WireError> {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(transactional_id.map(transactional))
            .with_transaction_timeout_ms(timeout_ms)
            .with_producer_id(ProducerId(current.id))
            .with_producer_epoch(current.epoch);
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

    /// How `held` stands among the epochs of a transactional id that never had a transaction. It asks to end the one that
    /// is not there: the newest epoch is told so, every other one that it is fenced. Nothing changes.
    ///
    /// # Errors
    /// What else the coordinator says.
    pub async fn standing(&self, transactional_id: &str, held: ProducerIdentity) -> Result<Standing, WireError> {
        let end = end_transaction(transactional_id, held);
        self.retrying(async || {
            let broker = self.coordinator(transactional_id, TRANSACTION).await?;
            match self.send(broker, &end).await?.error_code {
                code::INVALID_TXN_STATE => Ok(Standing::Newest),
                code::PRODUCER_FENCED | code::INVALID_PRODUCER_EPOCH => Ok(Standing::Fenced),
                code::INVALID_PRODUCER_ID_MAPPING => Ok(Standing::Forgotten),
                code => {
                    let subject = format!("transactional id {transactional_id}");
                    Err(WireError::broker(Request::EndTxn, subject, code))
                }
            }
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
        let end = end_transaction(transactional_id, producer);
        self.retrying(async || {
            let broker = self.coordinator(transactional_id, TRANSACTION).await?;
            let answer = self.send(broker, &add).await?;
            let results = answer.results_by_topic_v3_and_below.iter().flat_map(|topic| {
                let each = topic.results_by_partition.iter();
                each.map(move |p| (format!("{}/{}", topic.name.0, p.partition_index), p.partition_error_code))
            });
            match first_refusal(results) {
                None => Ok(()),
                Some((partition, code)) => {
                    Err(WireError::broker(Request::AddPartitionsToTxn, format!("fence of {partition}"), code))
                }
            }
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

/// Why partitions were refused: those that are only not attempted (55) hide the one that is the reason.
fn first_refusal(results: impl Iterator<Item = (String, i16)>) -> Option<(String, i16)> {
    let mut not_attempted = None;
    for (partition, code) in results.filter(|(_, code)| *code != 0) {
        if code != code::OPERATION_NOT_ATTEMPTED {
            return Some((partition, code));
        }
        not_attempted.get_or_insert((partition, code));
    }
    not_attempted
}

/// The request that rolls a transaction back.
fn end_transaction(transactional_id: &str, producer: ProducerIdentity) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(transactional(transactional_id))
        .with_producer_id(ProducerId(producer.id))
        .with_producer_epoch(producer.epoch)
        .with_committed(false)
}

fn transactional(id: &str) -> TransactionalId {
    TransactionalId(StrBytes::from_string(id.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_refusal_is_not_hidden() {
        let of = |codes: &[i16]| first_refusal(codes.iter().enumerate().map(|(p, code)| (format!("t/{p}"), *code)));
        assert_eq!(of(&[0, 0]), None);
        assert_eq!(of(&[55, 55, 29, 3]), Some(("t/2".into(), 29)));
        assert_eq!(of(&[29, 55]), Some(("t/0".into(), 29)));
        assert_eq!(of(&[0, 55]), Some(("t/1".into(), 55)));
    }
}
