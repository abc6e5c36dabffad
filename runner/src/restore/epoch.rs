//! Epochs: each attempt to produce begins with one. It fences the attempt before and says where the target stands.

use std::collections::BTreeMap;

use contract::{CrashPoint, Failure, crash};
use wire::{Isolation, OffsetAt, ProducerIdentity, WireError, code};

use super::Restore;
use super::plan::RestorePlan;
use super::state::{Epoch, TargetPartition};
use super::tails::{self, Tail};

/// Fences the epoch before, finds out where every partition stands, and takes a producer id for this epoch.
///
/// Every epoch has a transactional id, and so a producer id, of its own. Brokers keep producer state by record time, and
/// restored records are old: had this epoch's data the fenced producer id, the broker could forget the fence while
/// the data comes. Nothing more is ever written under a fenced id, so its marker's time keeps the fence up.
pub(crate) async fn begin_epoch(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<Vec<Tail>, Failure> {
    let number = restore.state.epochs.len();
    let tails = if restore.state.started() {
        let fence = fence(restore, number.saturating_sub(1)).await?;
        tails::read(&restore.cluster, &restore.state, fence).await?
    } else {
        first_tails(restore, plan).await?
    };
    let transactional_id = restore.identity.transactional_id(number);
    let producer = match restore.cluster.init_producer(Some(&transactional_id)).await {
        Err(error) if no_right(&error) => {
            restore.emitter.warn(format!("no right to transactional id {transactional_id}: duplicates after a crash are detected, not prevented; grant Write and Describe on transactional ids with the prefix kafka-backup-restore-"));
            restore.cluster.init_producer(None).await?
        }
        other => other?,
    };
    crash::at(CrashPoint::ProducerTaken);
    restore.state.epochs.push(Epoch {
        producer_id: producer.id,
        number: producer.epoch,
        bases: tails.iter().map(|tail| tail.done).collect(),
        starts: tails.iter().map(|tail| tail.next).collect(),
    });
    restore.save().await?;
    crash::at(CrashPoint::EpochSaved);
    Ok(tails)
}

fn no_right(error: &WireError) -> bool {
    error.broker_code() == Some(code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
}

/// Ends an epoch for good: its producer id gets a newer epoch and a marker in every partition. `None` where the
/// user may not do that.
async fn fence(restore: &Restore<'_>, number: usize) -> Result<Option<ProducerIdentity>, Failure> {
    let transactional_id = restore.identity.transactional_id(number);
    let producer = match restore.cluster.init_producer(Some(&transactional_id)).await {
        Err(error) if no_right(&error) => return Ok(None),
        other => other?,
    };
    crash::at(CrashPoint::FenceBegun);
    let mut partitions: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in &restore.state.partitions {
        if let Some(topic) = restore.state.topics.get(partition.topic) {
            partitions.entry(topic.name.clone()).or_default().push(partition.partition);
        }
    }
    restore.cluster.fence(&transactional_id, producer, &partitions).await?;
    crash::at(CrashPoint::Fenced);
    Ok(Some(producer))
}

/// The start offsets of a restore that has not produced yet; from here on nothing is purged any more.
async fn first_tails(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<Vec<Tail>, Failure> {
    let names: Vec<_> = restore.state.topics.iter().map(|topic| topic.name.clone()).collect();
    let topics = restore.cluster.topics(Some(&names)).await?;
    let ends = restore.cluster.offsets(&topics, OffsetAt::End, Isolation::Uncommitted).await?;
    for (place, topic) in restore.state.topics.iter().enumerate() {
        let planned = plan.topics.iter().find(|planned| planned.target == topic.name);
        for partition in planned.map(|planned| planned.targets.as_slice()).unwrap_or_default() {
            let start = ends.get(&(topic.name.clone(), *partition)).copied().unwrap_or(0);
            restore.state.partitions.push(TargetPartition { topic: place, partition: *partition, start });
        }
    }
    Ok(restore.state.partitions.iter().map(|partition| Tail { done: 0, next: partition.start }).collect())
}
