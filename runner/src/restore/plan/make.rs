//! Making a plan: both sides are looked at once, and everything that will be done is written down. Nothing is changed.

use std::collections::{BTreeMap, HashMap, HashSet};

use archive::{Digest, Fork, Point, Seal, Timelines, TopicConfigs};
use batch::Window;
use contract::{Code, ExistingTopics, Failure, RestoreSpec};
use wire::{Cluster, NewTopic};

use super::count::{Sums, count, ends};
use super::judge::judge;
use super::{FORMAT, OlderTimeline, Proposal, RestorePlan, SourceRange, TargetAction, TargetRange, TopicPlan};
use crate::context::Context;
use crate::restore::configs::{for_creation, holds, left_out};
use crate::restore::facts::{Existing, existing};
use crate::restore::fit::{check_in_sync, check_transactions, fit};
use crate::restore::route::Route;
use crate::restore::select::{Chosen, choose};
use crate::restore::{cut_reader, cuts};

/// Looks at both sides and plans.
///
/// # Errors
/// When one side cannot be read, or nothing is chosen.
pub(crate) async fn make(
    context: &Context,
    cluster: &Cluster,
    point: &Point,
    spec: &RestoreSpec,
) -> Result<Proposal, Failure> {
    let (chosen, warnings) = choose(&point.seal, spec)?;
    let names: Vec<_> = chosen.iter().map(|chosen| chosen.target.clone()).collect();
    let targets = existing(cluster, &names).await?;
    let configs = point.configs().await?;
    let no_id = || Failure::new(Code::BrokerUnsupported, "the target cluster does not tell its id");
    let (plan, refusals) = outline(cluster.cluster_id().ok_or_else(no_id)?, &Sealed::of(point), spec, &chosen)?;
    let mut out = Proposal { refusals, warnings, ..Proposal::new(plan) };
    out.warnings.extend(point.notes().iter().map(ToString::to_string));
    let without = |chosen: &&Chosen| chosen.topic.live && !configs.contains_key(&chosen.topic.name);
    out.warnings.extend(chosen.iter().filter(without).map(|chosen| unknown_configs(chosen, &targets)));
    let created = chosen.iter().filter(|chosen| !targets.contains_key(&chosen.target));
    out.warnings.extend(created.filter_map(|chosen| strange_configs(chosen, configs.get(&chosen.topic.name)?)));
    let places = chosen.iter().flat_map(|chosen| (0..chosen.topic.partitions).map(|p| (chosen.topic.id, p)));
    if let Some(secs) = spec.before_end_secs {
        out.plan.ends = ends(point, &out.plan, secs).await?;
    }
    let windows = out.plan.windows();
    let sums = count(point, places.collect(), &out.plan.timelines(), &windows, spec.on_unreadable).await?;
    let describe = |chosen: &Chosen| describe(point, spec, chosen, &configs, &sums, targets.get(&chosen.target));
    out.plan.topics = chosen.iter().map(describe).collect();
    let source_counts = chosen.iter().map(|c| (c.topic.name.clone(), c.topic.partitions)).collect();
    let now_ms = context.clock.now().as_millisecond();
    judge(&mut out, spec, &targets, &source_counts, sums.without_window, now_ms);
    fit_target(cluster, &mut out, &targets).await?;
    out.cut_transactions = cut_reader::find(point, &out.plan).await?;
    out.warnings.extend(cuts::warning(&out.cut_transactions));
    Ok(out)
}

/// The point does not say how the topic was configured.
fn unknown_configs(chosen: &Chosen, targets: &HashMap<String, Existing>) -> String {
    let then = if targets.contains_key(&chosen.target) {
        "target topic stays as it is"
    } else {
        "target topic is created with the cluster's defaults"
    };
    format!(
        "the configs of topic {} are not known: the backup could not read them (DescribeConfigs); its {then}",
        chosen.topic.name
    )
}

/// The topic has configs that are not Apache Kafka's.
fn strange_configs(chosen: &Chosen, configs: &BTreeMap<String, String>) -> Option<String> {
    let strange = left_out(configs);
    (!strange.is_empty()).then(|| {
        format!(
            "topic {} has configs in the source that a restore does not set: {}; set them in the target where they are wanted",
            chosen.topic.name,
            strange.join(", ")
        )
    })
}

/// What the target itself says to what the plan asks of it.
async fn fit_target(cluster: &Cluster, out: &mut Proposal, targets: &HashMap<String, Existing>) -> Result<(), Failure> {
    for topic in out.plan.topics.iter_mut().filter(|topic| topic.action == TargetAction::Create) {
        let new = NewTopic {
            name: topic.target.clone(),
            partitions: topic.partition_count,
            replication: topic.replication,
            configs: topic.configs.clone(),
        };
        let fitted = fit(cluster, &new).await?;
        topic.configs = fitted.configs;
        out.warnings.extend(fitted.warnings);
        out.refusals.extend(fitted.refusals);
    }
    let in_sync = |target: &Existing| check_in_sync(&target.topic, &target.effective);
    out.warnings.extend(out.plan.topics.iter().filter_map(|topic| targets.get(&topic.target)).filter_map(in_sync));
    out.refusals.extend(check_transactions(cluster).await?);
    Ok(())
}

/// What a recovery point says that a plan repeats.
pub(crate) struct Sealed<'a> {
    pub(crate) seal: &'a Seal,
    pub(crate) digest: &'a Digest,
    pub(crate) forks: &'a [Fork],
}

impl<'a> Sealed<'a> {
    /// Of a point that is loaded.
    pub(crate) fn of(point: &'a Point) -> Self {
        Self { seal: &point.seal, digest: &point.digest, forks: point.forks() }
    }
}

/// A plan without topics, and what speaks against it. Pure: an attempt that reads the saved plan makes it once more.
pub(crate) fn outline(
    cluster: String,
    sealed: &Sealed<'_>,
    spec: &RestoreSpec,
    chosen: &[Chosen],
) -> Result<(RestorePlan, Vec<Failure>), Failure> {
    let invalid = |(field, rule): (String, String)| Failure::new(Code::SpecInvalid, format!("restore.{field} {rule}"));
    let (start, end) = spec.window().map_err(invalid)?;
    let ids: HashSet<_> = chosen.iter().map(|chosen| chosen.topic.id).collect();
    let forks: Vec<_> = sealed.forks.iter().filter(|fork| ids.contains(&fork.topic)).cloned().collect();
    let (older, refusals) = older_timelines(&Timelines::new(&forks), sealed, spec, chosen);
    let plan = RestorePlan {
        format: FORMAT,
        point: sealed.seal.point.clone(),
        digest: sealed.digest.clone(),
        cluster,
        offset_headers: spec.include_offset_headers.unwrap_or(sealed.seal.include_offset_headers),
        strip_offset_headers: spec.strip_offset_headers,
        on_unreadable: spec.on_unreadable,
        foreign_records: spec.foreign_records,
        window: Window { start, end },
        ends: Vec::new(),
        forks,
        older,
        topics: Vec::new(),
        group_restore: spec.groups.clone(),
    };
    Ok((plan, refusals))
}

/// Older timelines that the specification names, and the refusals of those that are not there.
fn older_timelines(
    timelines: &Timelines,
    sealed: &Sealed<'_>,
    spec: &RestoreSpec,
    chosen: &[Chosen],
) -> (Vec<OlderTimeline>, Vec<Failure>) {
    let (mut older, mut refusals) = (Vec::new(), Vec::new());
    for (place, timeline) in &spec.timelines {
        let named = place.rsplit_once('/').and_then(|(topic, number)| Some((topic, number.parse::<i32>().ok()?)));
        let found = named.and_then(|(name, partition)| {
            let topic = chosen.iter().find(|chosen| chosen.topic.name == name)?.topic.id;
            (timelines.newest(topic, partition) >= *timeline).then_some((topic, partition))
        });
        if let Some((topic, partition)) = found {
            older.push(OlderTimeline { topic, partition, timeline: *timeline });
        } else {
            let point = &sealed.seal.point;
            let text = format!("restore.timelines.{place}: recovery point {point} has no timeline {timeline} there");
            refusals.push(Failure::new(Code::UnknownTopic, text));
        }
    }
    (older, refusals)
}

/// The partitions of a source topic that are restored; it has `count`.
pub(crate) fn source_partitions(spec: &RestoreSpec, count: i32) -> Vec<i32> {
    (0..count).filter(|partition| is_wanted(spec, *partition)).collect()
}

/// Whether the specification restores source partitions of this number.
pub(crate) fn is_wanted(spec: &RestoreSpec, partition: i32) -> bool {
    spec.source_partitions.is_empty() || spec.source_partitions.contains(&partition)
}

fn describe(
    point: &Point,
    spec: &RestoreSpec,
    chosen: &Chosen,
    configs: &TopicConfigs,
    sums: &Sums,
    target: Option<&Existing>,
) -> TopicPlan {
    let partitions = source_partitions(spec, chosen.topic.partitions);
    let route = Route::new(spec, &chosen.target);
    let of = |partition: &i32| Some((*partition, sums.of.get(&(chosen.topic.id, *partition))?));
    let read: Vec<_> = partitions.iter().filter_map(of).collect();
    let rows =
        || point.seal.partitions.iter().filter(|row| row.topic == chosen.place && is_wanted(spec, row.partition));
    let targets = route.targets(&partitions);
    let largest_batch = rows().map(|row| row.largest_batch).max().unwrap_or(0);
    let held = target.map(|target| holds(&target.effective, false, largest_batch)).unwrap_or_default();
    let own = |name: &String| target.and_then(|target| target.own.get(name).cloned());
    let sources = read.iter().map(|(partition, sum)| SourceRange {
        partition: *partition,
        first: sum.first,
        next: sum.next,
        records: sum.records,
        exact: sum.exact,
    });
    TopicPlan {
        source: chosen.topic.name.clone(),
        source_id: chosen.topic.id,
        target: chosen.target.clone(),
        target_id: target.map(|target| target.topic.id),
        action: action(spec, target),
        replication: spec.default_replication_factor.unwrap_or(chosen.topic.replication),
        partition_count: match target {
            Some(target) => i32::try_from(target.topic.partitions.len()).unwrap_or(i32::MAX),
            None => created_partitions(&route, chosen.topic.partitions, &partitions),
        },
        sources: sources.collect(),
        holds: target.map(|target| held_now(target, &targets)).unwrap_or_default(),
        targets,
        records: read.iter().map(|(_, sum)| sum.records).sum(),
        bytes: read.iter().map(|(_, sum)| sum.bytes).sum(),
        largest_batch,
        configs: configs.get(&chosen.topic.name).map(for_creation).unwrap_or_default(),
        before: held.keys().map(|name| (name.clone(), own(name))).collect(),
        held,
        oldest: read.iter().filter_map(|(_, sum)| sum.oldest).min(),
        largest_partition: read.iter().map(|(_, sum)| sum.bytes).max().unwrap_or(0),
        route,
        partitions,
    }
}

/// Partitions that a created topic gets; its source has `count`.
pub(crate) fn created_partitions(route: &Route, count: i32, partitions: &[i32]) -> i32 {
    route.partitions(count, partitions).max(1)
}

/// The logs of the partitions that records go to.
fn held_now(target: &Existing, targets: &[i32]) -> Vec<TargetRange> {
    let range = |partition: &i32| Some(TargetRange { partition: *partition, log: *target.spans.get(partition)? });
    targets.iter().filter_map(range).collect()
}

fn action(spec: &RestoreSpec, target: Option<&Existing>) -> TargetAction {
    match target {
        None if spec.create_topics => TargetAction::Create,
        None => TargetAction::Refuse,
        Some(existing) if existing.held() == 0 => TargetAction::Fill,
        Some(_) => match spec.existing_topics {
            ExistingTopics::Refuse => TargetAction::Refuse,
            ExistingTopics::Append => TargetAction::Append,
            ExistingTopics::Purge => TargetAction::Purge,
        },
    }
}
