//! A plan to look at: what would be done, what speaks against it, and what a person should know.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use contract::words::{safe, size};
use contract::{Code, Failure, GroupLine, Report};
use serde::Serialize;

use super::{RestorePlan, TargetAction, TopicPlan};
use crate::restore::cuts::CutTransaction;
use crate::restore::estimate::Estimate;

/// A plan with what was found while it was made.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Proposal {
    /// The plan.
    #[serde(flatten)]
    pub plan: RestorePlan,
    /// Why the restore would not start; empty when it would.
    pub refusals: Vec<Failure>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Retention configs that would delete restored records (`retention.ms=1000`), by target topic.
    #[serde(skip)]
    pub expires: BTreeMap<String, Vec<String>>,
    /// Transactions that the time window cuts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut_transactions: Vec<CutTransaction>,
    /// Which consumer groups are taken along, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Ids of these groups in the target.
    #[serde(skip)]
    pub targets: Vec<String>,
    /// Those of these groups on which configs are set.
    #[serde(skip)]
    pub configured: Vec<String>,
    /// Groups of the target whose offsets cannot be committed now, each with what is in the way.
    #[serde(skip)]
    pub blocked: BTreeMap<String, String>,
    /// The recovery point whose committed offsets are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub positions_point: Option<String>,
    /// Where the groups go, where that was computed.
    #[serde(skip)]
    pub positions: Vec<GroupLine>,
    /// How long it may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimate: Option<Estimate>,
}

impl Proposal {
    /// A plan that nothing was found about.
    pub(crate) fn new(plan: RestorePlan) -> Self {
        Self {
            plan,
            refusals: Vec::new(),
            warnings: Vec::new(),
            expires: BTreeMap::new(),
            cut_transactions: Vec::new(),
            groups: Vec::new(),
            targets: Vec::new(),
            configured: Vec::new(),
            blocked: BTreeMap::new(),
            positions_point: None,
            positions: Vec::new(),
            estimate: None,
        }
    }

    /// All refusals as one failure.
    #[must_use]
    pub fn refusal(&self) -> Option<Failure> {
        let first = self.refusals.first()?;
        let all: Vec<_> = self.refusals.iter().map(|refusal| refusal.message.as_str()).collect();
        Some(Failure::new(first.code, format!("{}. Nothing was written", all.join("; "))))
    }

    pub(crate) fn fill(&self, report: &mut Report) -> Result<(), Failure> {
        report.plan_fingerprint = Some(self.plan.fingerprint());
        report.topics = self.plan.topics.len() as u64;
        report.partitions = self.plan.topics.iter().map(|topic| topic.partitions.len() as u64).sum();
        report.refusals = Some(self.refusals.clone());
        report.positions_point.clone_from(&self.positions_point);
        report.positions.clone_from(&self.positions);
        report.details = self.json()?;
        if let Some(map) = report.details.as_object_mut() {
            map.insert("text".into(), self.text().into());
        }
        Ok(())
    }

    /// The plan for machines; what retention would do stands with each topic.
    ///
    /// # Errors
    /// What JSON cannot hold.
    pub fn json(&self) -> Result<serde_json::Value, Failure> {
        let mut out = serde_json::to_value(self).map_err(|error| Failure::new(Code::Internal, error.to_string()))?;
        let topics = out.get_mut("topics").and_then(serde_json::Value::as_array_mut);
        for (shown, topic) in topics.into_iter().flatten().zip(&self.plan.topics) {
            let expires = self.expires.get(&topic.target).map(Vec::as_slice).unwrap_or_default();
            if let Some(map) = shown.as_object_mut() {
                map.insert("expires".into(), expires.into());
            }
        }
        Ok(out)
    }

    /// The plan for people, on several lines, of which nothing acts on a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let headers = if self.plan.offset_headers { "with" } else { "without" };
        let mut out = format!("restore of {} {headers} offset headers", safe(&self.plan.point));
        if !self.plan.ends.is_empty() {
            out.push_str("; each partition ends before its own newest record, as beforeEndSecs says");
        }
        if self.plan.strip_offset_headers {
            out.push_str("; those of an earlier restore are left out");
        }
        for topic in &self.plan.topics {
            write_topic(&mut out, topic);
            for expiry in self.expires.get(&topic.target).into_iter().flatten() {
                let _ = write!(out, "\n    {} would delete restored records", safe(expiry));
            }
        }
        for (number, line) in self.groups.iter().enumerate() {
            let _ = write!(out, "\n  {}{}", if number == 0 { "" } else { "  " }, safe(line));
        }
        if let Some(estimate) = &self.estimate {
            let _ = write!(out, "\n  time: {}", estimate.text());
        }
        for refusal in &self.refusals {
            let _ = write!(out, "\n  refused ({}): {}", refusal.code, safe(&refusal.message));
        }
        for warning in &self.warnings {
            let _ = write!(out, "\n  warning: {}", safe(warning));
        }
        out
    }
}

fn write_topic(out: &mut String, topic: &TopicPlan) {
    let name = if topic.source == topic.target {
        topic.source.clone()
    } else {
        format!("{} -> {}", topic.source, topic.target)
    };
    let name = safe(&name);
    let _ = write!(
        out,
        "\n  {name}: {}, {} partitions, {}{} records, {}",
        topic.action,
        topic.partitions.len(),
        if topic.is_exact() { "" } else { "at most " },
        topic.records,
        size(topic.bytes)
    );
    if let Some(count) = topic.route.exact() {
        let _ = write!(out, ", dealt out to {count} anew");
    }
    if topic.action == TargetAction::Create {
        let replicas = match topic.replication {
            -1 => "as many replicas as the broker's default".to_owned(),
            count => format!("{count} replicas"),
        };
        let _ = write!(out, "\n    created with {} partitions, {replicas}", topic.partition_count);
    }
    let purged: Vec<_> = topic
        .purged()
        .map(|range| format!("offsets {} to {} of partition {}", range.log.start, range.log.end - 1, range.partition))
        .collect();
    if !purged.is_empty() {
        let _ = write!(out, "\n    deletes {}", purged.join(", "));
        let kept = usize::try_from(topic.partition_count).unwrap_or(usize::MAX).saturating_sub(topic.targets.len());
        if kept > 0 {
            let _ = write!(out, "; its {kept} other partitions stay as they are");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::Span;
    use crate::restore::plan::tests::{plan, topic};

    #[test]
    fn names_from_an_archive_make_no_lines_of_their_own() {
        let evil = "t\u{1b}[2J\u{202e}\r\n  refused (KB9999): EVIL";
        let mut topic = topic(evil, TargetAction::Create, &[0]);
        topic.source = format!("{evil}2");
        let mut proposal = Proposal::new(plan(vec![topic]));
        proposal.expires.insert(evil.to_owned(), vec![evil.to_owned()]);
        proposal.refusals.push(Failure::new(Code::UnknownTopic, evil));
        proposal.warnings.push(evil.to_owned());
        let text = proposal.text();
        assert!(!text.chars().any(|letter| letter != '\n' && contract::words::acts(letter)), "{text:?}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }

    #[test]
    fn the_text_names_what_is_created_and_what_is_deleted() {
        let mut purge = topic("b", TargetAction::Purge, &[2]);
        purge.holds[0].log = Span { start: 3, end: 9 };
        let proposal = Proposal::new(plan(vec![topic("a", TargetAction::Create, &[0, 1]), purge]));
        let text = proposal.text();
        assert!(text.contains("a: create, 2 partitions, 10 records"), "{text}");
        assert!(text.contains("created with 3 partitions, 1 replicas"), "{text}");
        assert!(text.contains("deletes offsets 3 to 8 of partition 2; its 2 other partitions stay"), "{text}");
    }
}
