//! Epochs: each attempt to produce begins with one. It fences the epoch before and says where the target stands.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{Code, CrashPoint, Failure, crash};
use wire::{ProducerIdentity, WireError, code};

use super::lease::{Lease, overtaken, taken_over};
use super::plan::RestorePlan;
use super::state::Epoch;
use super::tails::{self, Tail};
use super::{Restore, guard};

/// How often a fence that somebody else ended is made anew.
const FENCES: u32 = 6;
/// How long to wait where an epoch cannot be fenced any more: requests that are still under way arrive meanwhile.
const UNDER_WAY: Duration = Duration::from_secs(30);

/// Fences the epoch before, finds out where every partition stands, and takes a producer id for this epoch.
///
/// Every epoch has a transactional id, and so a producer id, of its own. Brokers keep producer state by record time, and
/// restored records are old: had this epoch's data the fenced producer id, the broker could forget the fence while
/// the data comes. Nothing more is ever written under a fenced id, so its marker's time keeps the fence up.
pub(crate) async fn begin_epoch(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<(Vec<Tail>, Lease), Failure> {
    let tails = match restore.state.epochs.last().cloned() {
        Some(last) => {
            // Whoever took over may have written since: its records are no stranger's.
            if restore.journal.is_overtaken().await? {
                return Err(overtaken());
            }
            let held = Lease::new(std::sync::Arc::clone(&restore.context.clock), restore.longest_epoch);
            guard::renew(restore).await?;
            let fence = fence(restore, &last).await?;
            let tails = tails::read(&restore.cluster, &restore.state, fence).await?;
            if fence.is_none() || held.is_over() {
                // That took so long that the guards may be forgotten, too. Whoever took one since may have written.
                guard::renew(restore).await?;
                tails::read(&restore.cluster, &restore.state, fence).await?
            } else {
                tails
            }
        }
        None => guard::first(restore, plan).await?,
    };
    let transactional_id = restore.identity.transactional_id(&restore.state.life, restore.state.epochs.len());
    // Before the id is taken: from then on its time runs.
    let lease = Lease::new(std::sync::Arc::clone(&restore.context.clock), restore.longest_epoch);
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
    Ok((tails, lease))
}

fn no_right(error: &WireError) -> bool {
    error.broker_code() == Some(code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
}

/// Somebody else took the next epoch of the transactional id, or the coordinator ended the fence by itself, or forgot the
/// id between two requests.
fn is_lost(error: &WireError) -> bool {
    let lost = [code::INVALID_PRODUCER_EPOCH, code::PRODUCER_FENCED, code::INVALID_PRODUCER_ID_MAPPING];
    error.broker_code().is_some_and(|code| lost.contains(&code))
}

/// Ends an epoch for good: its producer id gets a newer epoch and a marker in every partition. `None` where the
/// user may not do that, or the broker has forgotten the id.
async fn fence(restore: &Restore<'_>, last: &Epoch) -> Result<Option<ProducerIdentity>, Failure> {
    let number = restore.state.epochs.len().saturating_sub(1);
    let transactional_id = restore.identity.transactional_id(&restore.state.life, number);
    let mut partitions: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for partition in &restore.state.partitions {
        if let Some(topic) = restore.state.topics.get(partition.topic) {
            partitions.entry(topic.name.clone()).or_default().push(partition.partition);
        }
    }
    let mut backoff = restore.cluster.backoff();
    let mut ended = None;
    for _ in 0..FENCES {
        let error = match fence_once(restore, &transactional_id, last, &partitions).await {
            Ok(fenced) => return Ok(fenced),
            Err(error) if no_right(&error) => return Ok(None),
            Err(error) if is_lost(&error) => error,
            Err(error) => return Err(error.into()),
        };
        tracing::warn!(%error, "the fence was ended by somebody else: it is made again");
        let waiting = WireError::no_progress("the fence of the attempt before", "somebody else ended it");
        backoff.wait(waiting).await?;
        ended = Some(error);
    }
    Err(ended.as_ref().map_or_else(|| Failure::new(Code::Fenced, "the fence was lost"), taken_over))
}

async fn fence_once(
    restore: &Restore<'_>,
    transactional_id: &str,
    last: &Epoch,
    partitions: &BTreeMap<String, Vec<i32>>,
) -> Result<Option<ProducerIdentity>, WireError> {
    let producer = restore.cluster.init_producer(Some(transactional_id)).await?;
    if producer.id != last.producer_id {
        // The id of an attempt without the right to one is nobody's, and no other id fences it.
        restore.emitter.warn(format!(
            "the attempt before cannot be fenced: the broker does not know its transactional id {transactional_id} any more (transactional.id.expiration.ms); waiting {} s for what may still be under way",
            UNDER_WAY.as_secs()
        ));
        tokio::time::sleep(UNDER_WAY).await;
        return Ok(None);
    }
    crash::at(CrashPoint::FenceBegun);
    restore.cluster.fence(transactional_id, producer, partitions).await?;
    crash::at(CrashPoint::Fenced);
    Ok(Some(producer))
}
