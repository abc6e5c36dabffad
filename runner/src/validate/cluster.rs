//! The checks of a cluster: what it holds is read from its brokers and held against what a restore noted, or against the
//! recovery point. It reads logs' ends and committed offsets, and never a record.

use std::collections::HashMap;

use archive::{Point, Store};
use contract::{Code, Failure, RestoreName, ValidationReport};
use futures::{StreamExt, TryStreamExt, stream};
use tokio::time::Instant;
use uuid::Uuid;
use wire::{Cluster, CoordinatorPatience, Group, TopicPartition};

use super::Run;
use super::asked::Asked;
use super::counts::{self, Account};
use super::positions::{self, Committed, Wanted};
use super::ranges;
use super::sides::{Shall, Side, archived, is};
use crate::connect;
use crate::logs::{Span, present, spans};
use crate::offsets::commit::{AT_ONCE, PATIENCE, listed, offsets_of};
use crate::restore::finished::{self, Finished};

/// What the cluster is held against, and what it is.
struct Compared<'a> {
    restore: Option<Finished>,
    point: Option<&'a Point>,
    sides: Vec<Side>,
    logs: HashMap<TopicPartition, Span>,
}

/// Makes the checks of the cluster that were asked for.
///
/// # Errors
/// Why some could not be made.
pub(super) async fn check(
    run: &Run<'_>,
    cluster: &Cluster,
    store: &Store,
    point: Option<&Point>,
    asked: &mut Asked,
    out: &mut ValidationReport,
) -> Result<(), Failure> {
    out.cluster = Some(connect::cluster_id(cluster)?);
    let compared = match compared(run, cluster, store, point, out).await {
        Ok(Some(compared)) => compared,
        Ok(None) => {
            asked.not_run_of_cluster("the recovery point cannot be read: there is nothing to compare the cluster with");
            return Ok(());
        }
        Err(failure) => {
            asked.not_run_of_cluster(&failure.to_string());
            return Err(failure);
        }
    };
    if let Some(spec) = &run.part.checks.message_count {
        let began = Instant::now();
        let account = compared.restore.as_ref().map(account);
        let made = counts::check(spec, &compared.sides, account.as_ref()).map_err(bad_pattern)?;
        asked.made_since(began, made, run.emitter);
    }
    if run.part.checks.offset_range {
        let began = Instant::now();
        asked.made_since(began, ranges::check(&compared.sides), run.emitter);
    }
    if let Some(spec) = &run.part.checks.consumer_group_offsets {
        let began = Instant::now();
        let (all, nothing) = compared.groups(store).await?;
        let (mine, unknown) = positions::select(&spec.groups, all).map_err(bad_pattern)?;
        let committed = committed(cluster, &mine).await?;
        let made = positions::check(&mine, &committed, &compared.logs, unknown, nothing);
        asked.made_since(began, made, run.emitter);
    }
    Ok(())
}

fn bad_pattern(rule: String) -> Failure {
    Failure::new(Code::SpecInvalid, rule)
}

/// Finds what the cluster is held against, and looks at its logs; `None` where there is neither a restore nor a point.
async fn compared<'a>(
    run: &Run<'_>,
    cluster: &Cluster,
    store: &Store,
    point: Option<&'a Point>,
    out: &mut ValidationReport,
) -> Result<Option<Compared<'a>>, Failure> {
    let restore = match &run.part.restore {
        Some(name) => Some(find(run, cluster, store, name, out).await?),
        None => None,
    };
    let shall: Vec<(String, String, i32, Option<Uuid>, Shall)> = match (&restore, point) {
        (Some(restore), _) => {
            let placed = restore.placed()?.into_iter();
            let one = |placed: finished::Placed| {
                let (source, topic) = (placed.source.clone(), placed.topic.clone());
                (source, topic, placed.partition, Some(placed.id), Shall::Restored(placed))
            };
            placed.map(one).collect()
        }
        (None, Some(point)) => {
            let one = |(topic, partition, shall): (String, i32, Shall)| (topic.clone(), topic, partition, None, shall);
            archived(&point.seal).into_iter().map(one).collect()
        }
        (None, None) => return Ok(None),
    };
    let mut names: Vec<String> = shall.iter().map(|(_, topic, ..)| topic.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let topics = if names.is_empty() { Vec::new() } else { present(cluster, &names).await? };
    let logs = spans(cluster, &topics).await?;
    let ids: HashMap<&str, Uuid> = topics.iter().map(|topic| (topic.name.as_str(), topic.id)).collect();
    let side = |(source, topic, partition, id, shall): (String, String, i32, Option<Uuid>, Shall)| {
        let log = logs.get(&(topic.clone(), partition)).copied();
        let is = is(ids.get(topic.as_str()).copied(), id, log);
        Side { source, topic, partition, shall, is }
    };
    let sides = shall.into_iter().map(side).collect();
    Ok(Some(Compared { restore, point, sides, logs }))
}

/// The restore that is named, which must be one of the set that is looked at.
async fn find(
    run: &Run<'_>,
    cluster: &Cluster,
    store: &Store,
    name: &RestoreName,
    out: &mut ValidationReport,
) -> Result<Finished, Failure> {
    let states = match &name.state_storage {
        None => store.clone(),
        Some(storage) => connect::open(run.context, storage, &run.spec.circuit_breaker).await?,
    };
    let who = (name.namespace.as_str(), name.name.as_str());
    let restore = finished::find(&states, &connect::cluster_id(cluster)?, who, &run.context.nonce()).await?;
    let (set, entry) = restore.point();
    if let Some(point) = &out.point {
        if point.set != set {
            let text = format!(
                "validation.restore: restore {} is one of set {set}, and validation.from leads to set {}; name a point of \
                 the set that was restored",
                name.name, point.set
            );
            return Err(Failure::new(Code::StateMismatch, text));
        }
        if point.entry != entry {
            run.emitter.warn(format!(
                "restore {} is one of another recovery point (entry {entry}) than the one that is looked at ({}, entry {}): the \
                 cluster is compared with what was restored",
                name.name, point.id, point.entry
            ));
        }
    }
    let records = restore.placed()?.iter().map(finished::Placed::records).fold(0, u64::saturating_add);
    out.restore = Some(restore.named(records));
    Ok(restore)
}

fn account(restore: &Finished) -> Account {
    let planned = restore.planned().into_iter().map(|(topic, records, exact)| (topic.to_owned(), records, exact));
    Account { planned: planned.collect(), left_out: restore.left_out() }
}

impl Compared<'_> {
    /// The groups that shall stand in the cluster, and why there are none, where there are none.
    async fn groups(&self, archive: &Store) -> Result<(Vec<Wanted>, &'static str), Failure> {
        if let Some(restore) = &self.restore {
            let of = |group: contract::GroupLine| Wanted {
                stands: group.offsets.into_iter().map(|at| ((at.topic, at.partition), Some(at.offset))).collect(),
                source: group.group,
                target: group.target,
                kind: group.kind,
            };
            let groups = restore.groups(archive).await?.into_iter().map(of);
            return Ok((groups.collect(), "the restore committed the offsets of no consumer group"));
        }
        let found = match self.point {
            Some(point) => point.groups().await?,
            None => None,
        };
        let Some(found) = found else {
            return Ok((Vec::new(), "the recovery point has no committed offsets: consumerGroupSnapshot was not set"));
        };
        let is_compared = |topic: &str| self.sides.iter().any(|side| side.source == topic);
        let of = |group: archive::GroupSnapshot| Wanted {
            stands: group
                .offsets
                .into_iter()
                .filter(|at| is_compared(&at.topic))
                .map(|at| ((at.topic, at.partition), None))
                .collect(),
            source: group.group.clone(),
            target: group.group,
            kind: group.kind,
        };
        let groups = found.into_iter().map(of).filter(|group| !group.stands.is_empty());
        Ok((groups.collect(), "no consumer group of the recovery point stands in its topics"))
    }
}

/// What these groups have committed in the cluster.
async fn committed(cluster: &Cluster, groups: &[Wanted]) -> Result<Committed, Failure> {
    if groups.is_empty() {
        return Ok(Committed::new());
    }
    let there = listed(cluster).await?;
    let patience = CoordinatorPatience::new(PATIENCE);
    let one = |wanted: &Wanted| {
        // Lists may lack one whose coordinator moves: what it has, only its coordinator says.
        let unlisted = Group { id: wanted.target.clone(), kind: wanted.kind.clone(), state: "Dead".to_owned() };
        let group = there.get(&wanted.target).cloned().unwrap_or(unlisted);
        let patience = &patience;
        async move {
            let found = offsets_of(cluster, &group, patience).await?;
            let offsets = found.into_iter().map(|at| ((at.topic, at.partition), at.offset)).collect();
            Ok::<_, Failure>((group.id, offsets))
        }
    };
    let work: Vec<_> = groups.iter().map(one).collect();
    stream::iter(work).buffered(AT_ONCE).try_collect().await
}
