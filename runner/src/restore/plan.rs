//! The plan of a restore: what would be done, what would be refused, what retention would do.

mod make;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use archive::{Digest, Timelines, Wanted};
use batch::Window;
use contract::words::size;
use contract::{Failure, Report};
use serde::Serialize;
use uuid::Uuid;

pub(crate) use self::make::make;
use super::cuts::CutTransaction;
use super::estimate::Estimate;
use super::route::Route;

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
    pub(crate) configs: BTreeMap<String, String>,
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

impl TopicPlan {
    fn wanted(&self, into: &mut Wanted) {
        into.from.extend(self.partitions.iter().map(|partition| ((self.source_id, *partition), i64::MIN)));
    }
}
