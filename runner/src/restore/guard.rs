//! Guards: the second defence against two restores into one topic, on the broker itself. Claims are in the state store;
//! two restores with different state stores do not see each other's.
//!
//! All restores into a topic share one transactional id. Each takes its next epoch before it writes, and looks now and then
//! whether that still is the newest. So the later one stops the earlier one. A guard never has a transaction and
//! writes nothing.
//!
//! A coordinator knows the newest epoch and the one before, so an attempt that dies after it renewed its guards leaves them
//! to the next one, which knows the epochs before. A guard that nobody used for long is forgotten, and what is taken then has
//! another producer id: it is marked in the state before that.

use std::collections::HashSet;
use std::time::Duration;

use contract::{Code, Failure};
use futures::{StreamExt, TryStreamExt};
use wire::{Cluster, ProducerIdentity, Standing, WireError, code};

use super::Restore;
use super::lane::LaneEnd;
use super::plan::RestorePlan;
use super::start::first_tails;
use super::state::{Guard, TargetTopic};
use super::tails::Tail;

/// How often an attempt looks whether its guards are the newest.
pub(super) const EVERY: Duration = Duration::from_secs(10);
/// Guards of one look.
const AT_A_LOOK: usize = 256;
/// Requests at once.
const AT_ONCE: usize = 16;
/// How long a topic whose guard somebody held before is left alone: who looked at the guard before we took it may be about
/// to write its first record.
const SETTLE: Duration = Duration::from_secs(5);
/// The same where records were written meanwhile: whoever writes shall have looked at its guard again.
const SETTLE_WRITTEN: Duration = Duration::from_secs(20);

/// The start offsets of a restore that has not produced yet, with the guards of its target topics taken.
///
/// # Errors
/// Those of [`first_tails`]; [`Code::Fenced`] when another restore takes the guards meanwhile.
pub(super) async fn first(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<Vec<Tail>, Failure> {
    // What this restore may not write to anyway is no reason to stop another one.
    let mut tails = first_tails(restore, plan).await?;
    let wanted = vec![Take::New; restore.state.topics.len()];
    take_all(&restore.cluster, &mut restore.state.topics, wanted).await?;
    let held_before = |topic: &TargetTopic| topic.guard.is_some_and(|guard| guard.number > 0);
    if restore.state.topics.iter().any(held_before) {
        tokio::time::sleep(SETTLE).await;
        let mut now = first_tails(restore, plan).await?;
        if now != tails {
            tokio::time::sleep(SETTLE_WRITTEN).await;
            now = first_tails(restore, plan).await?;
        }
        tails = now;
    }
    Ok(tails)
}

/// Takes the next epoch of every guard that this restore holds, so that no coordinator forgets it, and saves them.
///
/// # Errors
/// [`Code::Fenced`] when another restore took one since.
pub(super) async fn renew(restore: &mut Restore<'_>) -> Result<(), Failure> {
    let wanted: Vec<_> = restore.state.topics.iter().map(|topic| topic.guard.map_or(Take::Keep, Take::After)).collect();
    let maybe_ours = wanted.iter().any(|take| matches!(take, Take::After(guard) if guard.forgotten));
    mark_forgotten(restore).await?;
    match take_all(&restore.cluster, &mut restore.state.topics, wanted).await {
        // The coordinator knows no epoch before the last two: a second renewal after one that is not saved would make these
        // guards another restore's for the next attempt.
        Ok(()) => restore.note().await?,
        Err(failure) if failure.code == Code::Fenced => {
            // The next attempt shall find the same.
            if mark(&mut restore.state.topics, |_| false) {
                restore.note().await?;
            }
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    }
    if maybe_ours {
        tokio::time::sleep(SETTLE_WRITTEN).await;
    }
    Ok(())
}

/// Marks the guards that their coordinators have forgotten, and saves that.
async fn mark_forgotten(restore: &mut Restore<'_>) -> Result<(), Failure> {
    let cluster = &restore.cluster;
    let ask = |(topic, guard): (String, Guard)| async move {
        let standing = cluster.standing(&transactional_id(&topic), guard.into()).await?;
        Ok::<_, Failure>((standing == Standing::Forgotten).then_some(topic))
    };
    let asked: Vec<_> = held(&restore.state.topics).map(ask).collect();
    let forgotten: Vec<_> = futures::stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    let forgotten: HashSet<_> = forgotten.into_iter().flatten().collect();
    if mark(&mut restore.state.topics, |topic| forgotten.contains(topic)) {
        restore.note().await?;
    }
    Ok(())
}

/// Marks guards as forgotten or not; whether that changed anything.
fn mark(topics: &mut [TargetTopic], forgotten: impl Fn(&str) -> bool) -> bool {
    let mut changed = false;
    for topic in topics {
        let is_forgotten = forgotten(&topic.name);
        if let Some(guard) = topic.guard.as_mut().filter(|guard| guard.forgotten != is_forgotten) {
            guard.forgotten = is_forgotten;
            changed = true;
        }
    }
    changed
}

fn held(topics: &[TargetTopic]) -> impl Iterator<Item = (String, Guard)> {
    topics.iter().filter_map(|topic| Some((topic.name.clone(), topic.guard?)))
}

/// Looks at guards, and goes on as long as they are the newest.
///
/// # Errors
/// [`Code::Fenced`] when another restore took one; [`LaneEnd::Recover`] when a coordinator has forgotten one, so that only
/// the next epoch shows whether somebody took it.
pub(super) async fn check(cluster: &Cluster, topics: &[TargetTopic]) -> Result<(), LaneEnd> {
    let look = |(topic, guard): (String, Guard)| async move {
        match cluster.standing(&transactional_id(&topic), guard.into()).await {
            Ok(Standing::Newest) => Ok(()),
            Ok(Standing::Fenced) => Err(LaneEnd::Fail(superseded(&topic))),
            Ok(Standing::Forgotten) => {
                let what = "its coordinator has forgotten the restore's transactional id";
                Err(LaneEnd::Recover(WireError::no_progress(format!("target topic {topic}"), what)))
            }
            Err(error) => Err(LaneEnd::Fail(error.into())),
        }
    };
    futures::stream::iter(held(topics)).map(look).buffer_unordered(AT_ONCE).try_collect().await
}

/// Looks at some guards at a time, so that restores of many topics do not burden the coordinators.
#[derive(Debug, Default)]
pub(super) struct Round {
    next: usize,
}

impl Round {
    /// Looks at the next guards. Requests that fail are tried again at a later look.
    ///
    /// # Errors
    /// As [`check`].
    pub(super) async fn look(&mut self, restore: &Restore<'_>) -> Result<(), LaneEnd> {
        let topics = &restore.state.topics;
        let (from, upto) = (self.next, (self.next + AT_A_LOOK).min(topics.len()));
        self.next = if upto == topics.len() { 0 } else { upto };
        match check(&restore.cluster, topics.get(from..upto).unwrap_or(&[])).await {
            Err(LaneEnd::Fail(failure)) if failure.code != Code::Fenced => {
                tracing::warn!(%failure, "whether another restore writes to these topics is not known; looking again later");
                Ok(())
            }
            other => other,
        }
    }
}

/// Which epoch of a guard is taken.
#[derive(Debug, Clone, Copy)]
enum Take {
    /// None: it is kept as it is.
    Keep,
    /// The next one, whoever holds it.
    New,
    /// The one after this one, if nobody else took it.
    After(Guard),
}

/// Takes an epoch of each topic's guard, as `wanted` says for each.
async fn take_all(cluster: &Cluster, topics: &mut [TargetTopic], wanted: Vec<Take>) -> Result<(), Failure> {
    let take = |(topic, wanted): (&TargetTopic, Take)| {
        let (name, held) = (topic.name.clone(), topic.guard);
        async move {
            match wanted {
                Take::Keep => Ok(held),
                Take::New => take(cluster, &name, None).await,
                Take::After(guard) => take(cluster, &name, Some(guard)).await,
            }
        }
    };
    let all: Vec<_> = topics.iter().zip(wanted).map(take).collect();
    let guards: Vec<_> = futures::stream::iter(all).buffered(AT_ONCE).try_collect().await?;
    for (topic, guard) in topics.iter_mut().zip(guards) {
        topic.guard = guard;
    }
    Ok(())
}

/// Takes the next epoch of a guard; `None` without the right to.
async fn take(cluster: &Cluster, topic: &str, after: Option<Guard>) -> Result<Option<Guard>, Failure> {
    let id = transactional_id(topic);
    let mut taken = match after {
        Some(holder) => cluster.renew_producer(&id, holder.into()).await,
        None => cluster.init_producer(Some(&id)).await,
    };
    let code = taken.as_ref().err().and_then(WireError::broker_code);
    let is_fenced = matches!(code, Some(code::PRODUCER_FENCED | code::INVALID_PRODUCER_EPOCH));
    // An attempt that found it forgotten died: what is there now may be what it took.
    let maybe_ours = is_fenced && after.is_some_and(|guard| guard.forgotten);
    // The coordinator has forgotten it: so nobody else holds it.
    if maybe_ours || code == Some(code::INVALID_PRODUCER_ID_MAPPING) {
        taken = cluster.init_producer(Some(&id)).await;
    }
    match taken {
        Ok(producer) => Ok(Some(producer.into())),
        Err(error) => match error.broker_code() {
            Some(code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED) => Ok(None),
            Some(code::PRODUCER_FENCED | code::INVALID_PRODUCER_EPOCH) => Err(superseded(topic)),
            _ => Err(error.into()),
        },
    }
}

/// The prefix is the one for which users grant rights.
fn transactional_id(topic: &str) -> String {
    format!("kafka-backup-restore-target-{topic}")
}

fn superseded(topic: &str) -> Failure {
    let text = format!(
        "another restore into target topic {topic}, which keeps its state in another store, began after this one: this \
         restore is superseded and writes no more. Only one of them may go on: remove the other one, or let this one be. \
         Configs that this one holds off stay so until it ends or `kafka-backup-runner release` ends it"
    );
    Failure::new(Code::Fenced, text)
}

impl From<Guard> for ProducerIdentity {
    fn from(guard: Guard) -> Self {
        Self { id: guard.producer_id, epoch: guard.number }
    }
}

impl From<ProducerIdentity> for Guard {
    fn from(producer: ProducerIdentity) -> Self {
        Self { producer_id: producer.id, number: producer.epoch, forgotten: false }
    }
}
