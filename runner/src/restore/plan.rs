//! The plan of a restore: what would be done, what would be refused, what retention would do. Nothing is written.

use std::collections::HashMap;
use std::fmt::Write as _;

use archive::{Digest, Point, Timelines, TopicConfigs, Wanted};
use batch::Window;
use contract::{Code, ExistingTopics, Failure, Report, RestoreSpec};
use serde::Serialize;
use uuid::Uuid;
use wire::Cluster;

use super::configs::{expiring, for_creation, number};
use super::cuts::CutTransaction;
use super::estimate::Estimate;
use super::facts::{Existing, existing};
use super::route::Route;
use super::select::{Chosen, choose};
use super::state::RestoreState;
use crate::context::Context;
use contract::words::size;

/// Bytes that offset headers may add to a batch with a single record.
const HEADER_ROOM: u64 = 1024;

/// Digits of a plan's fingerprint.
const FINGERPRINT: usize = 16;

/// What a restore would do.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestorePlan {
    /// The recovery point.
    pub point: String,
    /// Topics in order of their target names.
    pub topics: Vec<TopicPlan>,
    /// Whether offset headers are appended.
    pub offset_headers: bool,
    /// Why the restore would not start; empty when it would.
    pub refusals: Vec<Failure>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Transactions that the time window cuts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut_transactions: Vec<CutTransaction>,
    /// How long it may take; no part of what the fingerprint covers.
    #[serde(skip)]
    pub(crate) estimate: Option<Estimate>,
    /// Which records are read.
    #[serde(skip)]
    pub(crate) window: Window,
    /// Which timelines of the source's partitions count.
    #[serde(skip)]
    pub(crate) timelines: Timelines,
}

/// What happens to one topic.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicPlan {
    /// Source name.
    pub source: String,
    /// Target name.
    pub target: String,
    /// `create`, `fill` (exists, empty), `append`, `purge`, `continue`, `refuse`.
    pub action: String,
    /// Source partitions that are restored.
    pub partitions: Vec<i32>,
    /// Committed records at most: a time window may leave some out.
    pub records: u64,
    /// Their bytes as archived.
    pub bytes: u64,
    /// Largest batch.
    pub largest_batch: u64,
    /// Retention configs that would delete restored records: `retention.ms=1000`.
    pub expires: Vec<String>,
    #[serde(skip)]
    pub(crate) source_id: Uuid,
    /// Target partitions.
    pub targets: Vec<i32>,
    #[serde(skip)]
    pub(crate) route: Route,
    #[serde(skip)]
    pub(crate) partition_count: i32,
    #[serde(skip)]
    pub(crate) replication: i16,
    /// Configs that the topic is created with.
    #[serde(skip)]
    pub(crate) configs: std::collections::BTreeMap<String, String>,
    /// Lower bound of the timestamps, when there are records.
    #[serde(skip)]
    pub(crate) oldest: Option<i64>,
    #[serde(skip)]
    pub(crate) largest_partition: u64,
}

impl RestorePlan {
    /// Committed records of all topics.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.topics.iter().map(|topic| topic.records).sum()
    }

    /// Bytes of all topics, as archived.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.topics.iter().map(|topic| topic.bytes).sum()
    }

    /// All refusals as one failure.
    #[must_use]
    pub fn refusal(&self) -> Option<Failure> {
        let first = self.refusals.first()?;
        let all: Vec<_> = self.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
        Some(Failure::new(first.code, format!("{}. Nothing was written", all.join("; "))))
    }

    /// Everything of the plan, from the beginning.
    pub(crate) fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::new(HashMap::new(), self.timelines.clone(), self.window);
        for topic in &self.topics {
            topic.wanted(&mut wanted);
        }
        wanted
    }

    /// Changes whenever something of the plan does.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let text = serde_json::to_string(self).unwrap_or_default();
        Digest::half_of(text.as_bytes()).0.chars().take(FINGERPRINT).collect()
    }

    pub(crate) fn fill(&self, report: &mut Report) {
        report.plan_fingerprint = Some(self.fingerprint());
        report.topics = self.topics.len() as u64;
        report.partitions = self.topics.iter().map(|topic| topic.partitions.len() as u64).sum();
        let mut details = serde_json::to_value(self).unwrap_or_default();
        if let Some(map) = details.as_object_mut() {
            map.insert("text".into(), self.text().into());
            if let Some(estimate) = &self.estimate {
                map.insert("estimate".into(), serde_json::to_value(estimate).unwrap_or_default());
            }
        }
        report.details = details;
    }

    /// The plan for people.
    #[must_use]
    pub fn text(&self) -> String {
        let headers = if self.offset_headers { "with" } else { "without" };
        let mut out = format!("restore of {} {headers} offset headers", self.point);
        for topic in &self.topics {
            let name = if topic.source == topic.target {
                topic.source.clone()
            } else {
                format!("{} -> {}", topic.source, topic.target)
            };
            let _ = write!(
                out,
                "\n  {name}: {}, {} partitions, at most {} records, {}",
                topic.action,
                topic.partitions.len(),
                topic.records,
                size(topic.bytes)
            );
            if let Some(count) = topic.route.exact() {
                let _ = write!(out, ", dealt out to {count} anew");
            }
            for expiry in &topic.expires {
                let _ = write!(out, "\n    {expiry} would delete restored records");
            }
        }
        if let Some(estimate) = &self.estimate {
            let _ = write!(out, "\n  time: {}", estimate.text());
        }
        for refusal in &self.refusals {
            let _ = write!(out, "\n  refused ({}): {}", refusal.code, refusal.message);
        }
        for warning in &self.warnings {
            let _ = write!(out, "\n  warning: {warning}");
        }
        out
    }
}

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
    out.cut_transactions = super::cut_reader::find(point, &out).await?;
    out.warnings.extend(super::cuts::warning(&out.cut_transactions));
    Ok(out)
}

/// A plan without topics.
fn outline(point: &Point, spec: &RestoreSpec, warnings: Vec<String>) -> RestorePlan {
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

fn note_expiry(topic: &mut TopicPlan, effective: &std::collections::BTreeMap<String, String>, now_ms: i64) {
    let found = expiring(effective, now_ms, topic.oldest, topic.largest_partition);
    topic.expires = found.iter().map(|expiry| format!("{}={}", expiry.config, expiry.value)).collect();
}

impl TopicPlan {
    fn wanted(&self, into: &mut Wanted) {
        into.from.extend(self.partitions.iter().map(|partition| ((self.source_id, *partition), i64::MIN)));
    }
}
