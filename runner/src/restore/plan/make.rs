//! Making a plan: both sides are looked at, and every target topic is judged. Nothing is written.

use std::collections::{BTreeMap, HashMap};

use archive::{Point, Timelines, TopicConfigs};
use batch::Window;
use contract::{Code, ExistingTopics, Failure, RestoreSpec};
use uuid::Uuid;
use wire::{Cluster, NewTopic};

use super::{RestorePlan, TopicPlan};
use crate::context::Context;
use crate::restore::configs::{expiring, for_creation, number};
use crate::restore::facts::{Existing, existing};
use crate::restore::fit::{check_in_sync, check_transactions, fit};
use crate::restore::route::Route;
use crate::restore::select::{Chosen, choose};
use crate::restore::state::RestoreState;
use crate::restore::{cut_reader, cuts};

/// Bytes that offset headers may add to a batch with a single record.
const HEADER_ROOM: u64 = 1024;

/// Looks at both sides and plans.
///
/// # Errors
/// When one side cannot be read, or nothing is chosen.
pub(crate) async fn make(
    context: &Context,
    cluster: &Cluster,
    point: &Point,
    spec: &RestoreSpec,
    saved: Option<&RestoreState>,
) -> Result<RestorePlan, Failure> {
    let (chosen, warnings) = choose(&point.seal, spec)?;
    let names: Vec<_> = chosen.iter().map(|chosen| chosen.target.clone()).collect();
    let targets = existing(cluster, &names).await?;
    let configs = point.configs().await?;
    let now_ms = context.clock.now().as_millisecond();
    let mut out = outline(point, spec, warnings);
    choose_timelines(&mut out, spec, &chosen);
    let sums = sum_rows(point, &chosen, &out).await?;
    fill(&mut out, point, spec, &chosen, &targets, &configs, &sums, saved, now_ms);
    fit_target(cluster, &mut out, &targets).await?;
    out.cut_transactions = cut_reader::find(point, &out).await?;
    out.warnings.extend(cuts::warning(&out.cut_transactions));
    Ok(out)
}

/// What the target itself says to what the plan asks of it.
async fn fit_target(
    cluster: &Cluster,
    out: &mut RestorePlan,
    targets: &HashMap<String, Existing>,
) -> Result<(), Failure> {
    for topic in out.topics.iter_mut().filter(|topic| topic.action == "create") {
        let new = NewTopic {
            name: topic.target.clone(),
            partitions: topic.partition_count.max(1),
            replication: topic.replication,
            configs: topic.configs.clone(),
        };
        let fitted = fit(cluster, &new).await?;
        topic.configs = fitted.configs;
        out.warnings.extend(fitted.warnings);
        out.refusals.extend(fitted.refusals);
    }
    let in_sync = |target: &Existing| check_in_sync(&target.topic, &target.effective);
    out.warnings.extend(out.topics.iter().filter_map(|topic| targets.get(&topic.target)).filter_map(in_sync));
    out.refusals.extend(check_transactions(cluster).await?);
    Ok(())
}

/// A plan without topics.
fn outline(point: &Point, spec: &RestoreSpec, mut warnings: Vec<String>) -> RestorePlan {
    warnings.extend(point.notes().iter().map(ToString::to_string));
    let (start, end) = spec.window().unwrap_or((i64::MIN, i64::MAX));
    RestorePlan {
        point: point.seal.point.clone(),
        topics: Vec::new(),
        offset_headers: spec.include_offset_headers.unwrap_or(point.seal.include_offset_headers),
        refusals: Vec::new(),
        warnings,
        cut_transactions: Vec::new(),
        estimate: None,
        window: Window { start, end },
        timelines: Timelines::new(point.forks()),
    }
}

/// The rest of the plan, from facts alone.
#[allow(clippy::too_many_arguments)]
fn fill(
    out: &mut RestorePlan,
    point: &Point,
    spec: &RestoreSpec,
    chosen: &[Chosen],
    targets: &HashMap<String, Existing>,
    configs: &TopicConfigs,
    sums: &HashMap<(Uuid, i32), Sum>,
    saved: Option<&RestoreState>,
    now_ms: i64,
) {
    for chosen in chosen {
        let mut topic = describe(point, spec, chosen, configs, sums);
        let target = targets.get(&chosen.target);
        let mine = saved.and_then(|state| state.topics.iter().find(|topic| topic.name == chosen.target));
        topic.action = action(spec, target, mine.is_some(), saved.is_some_and(RestoreState::started)).into();
        judge(out, &mut topic, spec, target, mine.is_some_and(|mine| mine.created), now_ms);
        out.topics.push(topic);
    }
    if spec.produce_acks != -1 {
        let lost = if spec.produce_acks == 0 {
            "records may be lost without notice, and offsets are not checked as they are written"
        } else {
            "records may be lost when a leader fails"
        };
        out.warnings.push(format!("restore.produceAcks is {}: {lost}; exactly once needs -1", spec.produce_acks));
    }
}

/// Older timelines that the specification names.
fn choose_timelines(out: &mut RestorePlan, spec: &RestoreSpec, chosen: &[Chosen]) {
    for (place, timeline) in &spec.timelines {
        let named = place.rsplit_once('/').and_then(|(topic, number)| Some((topic, number.parse::<i32>().ok()?)));
        let Some((name, partition)) = named else { continue };
        let newest = chosen.iter().find(|chosen| chosen.topic.name == name).map(|chosen| chosen.topic.id);
        match newest {
            Some(id) if out.timelines.newest(id, partition) >= *timeline => {
                out.timelines.choose(id, partition, *timeline);
            }
            _ => {
                let text =
                    format!("restore.timelines.{place}: recovery point {} has no timeline {timeline} there", out.point);
                out.refusals.push(Failure::new(Code::UnknownTopic, text));
            }
        }
    }
}

/// Records, bytes and oldest time by (topic, partition) inside the window.
#[derive(Default)]
struct Sum {
    records: u64,
    bytes: u64,
    oldest: Option<i64>,
}

async fn sum_rows(point: &Point, chosen: &[Chosen], plan: &RestorePlan) -> Result<HashMap<(Uuid, i32), Sum>, Failure> {
    let mut out: HashMap<(Uuid, i32), Sum> = HashMap::new();
    let window = plan.window;
    let topics = || chosen.iter().map(|chosen| &chosen.topic);
    let only = topics().flat_map(|topic| (0..topic.partitions).map(|partition| (topic.id, partition))).collect();
    let mut take = |topic: Uuid, row: &archive::SegmentRow| {
        let outside = row.max_timestamp < window.start || (row.min_exact && row.min_timestamp > window.end);
        let replaced = row.first >= plan.timelines.end_of(topic, row.partition, row.timeline);
        if row.committed > 0 && !outside && !replaced {
            let sum = out.entry((topic, row.partition)).or_default();
            sum.records += row.committed;
            sum.bytes += row.bytes;
            let oldest = row.min_timestamp.max(window.start);
            sum.oldest = Some(sum.oldest.map_or(oldest, |before| before.min(oldest)));
        }
    };
    point.each_row(Some(&only), &mut take).await?;
    Ok(out)
}

fn describe(
    point: &Point,
    spec: &RestoreSpec,
    chosen: &Chosen,
    configs: &TopicConfigs,
    sums: &HashMap<(Uuid, i32), Sum>,
) -> TopicPlan {
    let wanted = |partition: &i32| spec.source_partitions.is_empty() || spec.source_partitions.contains(partition);
    let partitions: Vec<i32> = (0..chosen.topic.partitions).filter(wanted).collect();
    let route = Route::new(spec, &chosen.target);
    let of = |partition: &i32| sums.get(&(chosen.topic.id, *partition));
    let rows = || point.seal.partitions.iter().filter(|row| row.topic == chosen.place && wanted(&row.partition));
    TopicPlan {
        source: chosen.topic.name.clone(),
        target: chosen.target.clone(),
        action: String::new(),
        records: partitions.iter().filter_map(of).map(|sum| sum.records).sum(),
        bytes: partitions.iter().filter_map(of).map(|sum| sum.bytes).sum(),
        largest_batch: rows().map(|row| row.largest_batch).max().unwrap_or(0),
        expires: Vec::new(),
        source_id: chosen.topic.id,
        targets: route.targets(&partitions),
        partition_count: route.partitions(chosen.topic.partitions, &partitions),
        replication: spec.default_replication_factor.unwrap_or(chosen.topic.replication),
        configs: configs.get(&chosen.topic.name).map(for_creation).unwrap_or_default(),
        oldest: partitions.iter().filter_map(of).filter_map(|sum| sum.oldest).min(),
        largest_partition: partitions.iter().filter_map(of).map(|sum| sum.bytes).max().unwrap_or(0),
        route,
        partitions,
    }
}

fn action(spec: &RestoreSpec, target: Option<&Existing>, mine: bool, started: bool) -> &'static str {
    match target {
        None if spec.create_topics => "create",
        None => "refuse",
        Some(_) if mine && started => "continue",
        Some(existing) if existing.held == 0 => "fill",
        Some(_) => match spec.existing_topics {
            ExistingTopics::Refuse => "refuse",
            ExistingTopics::Append => "append",
            ExistingTopics::Purge => "purge",
        },
    }
}

/// Collects refusals, warnings and what retention would do.
fn judge(
    out: &mut RestorePlan,
    topic: &mut TopicPlan,
    spec: &RestoreSpec,
    target: Option<&Existing>,
    created: bool,
    now_ms: i64,
) {
    let name = topic.target.clone();
    let Some(target) = target else {
        if !spec.create_topics {
            let text = format!("target topic {name} does not exist; create it, or set restore.createTopics: true");
            out.refusals.push(Failure::new(Code::TargetMissing, text));
        }
        let final_configs = topic.configs.clone();
        note_expiry(topic, &final_configs, now_ms);
        return;
    };
    if topic.action == "refuse" {
        let text = format!(
            "target topic {name} already holds {} offsets; restore under another name with topicMapping, or say existingTopics: append or purge (purgeTopics in a KafkaRestore)",
            target.held
        );
        out.refusals.push(Failure::new(Code::TargetNotEmpty, text));
    }
    let has = i32::try_from(target.topic.partitions.len()).unwrap_or(i32::MAX);
    let needs = topic.targets.iter().max().map_or(0, |last| last + 1);
    let exact = topic.route.exact();
    if has < needs || exact.is_some_and(|exact| exact != has) {
        let what = if exact.is_some() { "repartitioning wants" } else { "the restore needs" };
        let text = format!(
            "target topic {name} has {has} partitions, {what} {needs}; change one of the two, or restore under another name"
        );
        out.refusals.push(Failure::new(Code::TargetMismatch, text));
    }
    let room = if out.offset_headers { HEADER_ROOM } else { 0 };
    let limit =
        number(&target.effective, "max.message.bytes").and_then(|limit| u64::try_from(limit).ok()).unwrap_or(u64::MAX);
    if !created && topic.records > 0 && topic.largest_batch + room > limit {
        let text = format!(
            "target topic {name} takes batches of {limit} bytes, the largest to restore may need {}; raise its max.message.bytes",
            topic.largest_batch + room
        );
        out.refusals.push(Failure::new(Code::BatchTooLarge, text));
    }
    if target.effective.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime") {
        out.warnings.push(format!("{name} stamps records itself: it is CreateTime during the restore; times are kept, their type reads CreateTime"));
    }
    note_expiry(topic, &target.effective, now_ms);
}

fn note_expiry(topic: &mut TopicPlan, effective: &BTreeMap<String, String>, now_ms: i64) {
    let found = expiring(effective, now_ms, topic.oldest, topic.largest_partition);
    topic.expires = found.iter().map(|expiry| format!("{}={}", expiry.config, expiry.value)).collect();
}
