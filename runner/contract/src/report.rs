//! The result of a run. A short form fits into a pod's termination message.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Failure, GroupChange, GroupLine, GroupOutcome, MemberChange, OffsetsBefore, PointLine, PruneReport,
    ValidationReport,
};

/// Most bytes that Kubernetes keeps of a termination message.
pub const TERMINATION_LIMIT: usize = 4096;

/// Offsets of a group that are not what they should be, in the short form.
const INEXACT: usize = 3;
/// Bytes of a plan's text in the short form.
const PLAN_ROOM: usize = 1800;

/// Lengths of a report's lists.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lengths {
    /// Of `warnings`.
    pub warnings: u64,
    /// Of `gaps`.
    pub gaps: u64,
    /// Of `timelines`.
    pub timelines: u64,
    /// Of `heldBack`.
    pub held_back: u64,
    /// Of `members`.
    pub members: u64,
    /// Of `groups`.
    pub groups: u64,
    /// Of `positions`.
    #[serde(default)]
    pub positions: u64,
    /// Of those of `positions` that failed.
    #[serde(default)]
    pub failed_positions: u64,
    /// Of those of `positions` that are committed, were read back and are what they should be; absent where an older release wrote
    /// the report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed_positions: Option<u64>,
    /// Of those of `positions` that did not fail and have offsets that are not what they should be.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub inexact_positions: u64,
}

/// What attempts of a run moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Records.
    pub records: u64,
    /// Batch bytes.
    pub bytes: u64,
    /// Bytes written to the store.
    pub stored_bytes: u64,
    /// Segments written.
    pub segments: u64,
}

impl Moved {
    /// Whether it is nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Run id.
    pub run: String,
    /// Number of the attempt, where the specification has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// `backup`, `restore`, `offsetReset`, `offsetRollback`, `validation`, `prune`, `convert`.
    pub kind: String,
    /// `Completed`, `CompletedWithGaps`, `PartiallyCompleted`, `RolledBack`, `PartiallyRolledBack`, `Interrupted`, `Failed`,
    /// `AlreadyDone`, `DryRun`.
    pub outcome: String,
    /// Set of the archive that was written or read; what the run said is kept in its `runs/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Recovery point made or used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<String>,
    /// What the recovery point of a backup holds, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<PointLine>,
    /// RFC 3339 start of this attempt.
    pub started_at: String,
    /// RFC 3339 end of this attempt.
    pub finished_at: String,
    /// Topics of the point or restore.
    pub topics: u64,
    /// Partitions of the point or restore.
    pub partitions: u64,
    /// Records moved by this attempt: of a backup those that consumers see (committed, and not before the log start),
    /// of a restore those produced.
    pub records: u64,
    /// Batch bytes moved by this attempt.
    pub bytes: u64,
    /// Bytes written to the store by this attempt.
    pub stored_bytes: u64,
    /// Segments written by this attempt, or that a restore reads.
    pub segments: u64,
    /// What attempts of this run before this one moved, as far as the archive or the target keeps it. Of a run that was done
    /// already, all of it.
    #[serde(default, skip_serializing_if = "Moved::is_nothing")]
    pub earlier: Moved,
    /// Uploads that killed runs of the set had left in the store, and that this attempt ended.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub ended_uploads: u64,
    /// Whether this run, in this attempt or an earlier one, began to change the archive or the target.
    #[serde(default)]
    pub changed: bool,
    /// Warnings, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Offsets that the source no longer had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Value>,
    /// Timelines that began, because the source's log was cut below what was archived.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub timelines: Vec<Value>,
    /// Open transactions that cut a partition short.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held_back: Vec<Value>,
    /// Topics that are not as the set knew them, or new in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberChange>,
    /// Consumer groups of the last recovery point whose positions are not in this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupChange>,
    /// Where consumer groups stand in the target of a restore, or after a reset or a rollback, by group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<GroupLine>,
    /// Recovery point whose committed offsets a restore takes: that of the restore, or an older one where it ends with a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions_point: Option<String>,
    /// Where the committed offsets are that consumer groups had before the run changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offsets_before: Option<OffsetsBefore>,
    /// Where the offset mapping of a restore is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_mapping: Option<String>,
    /// Where this report lies whole in the store; absent where it could not be stored, or the run did nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_at: Option<String>,
    /// Whether it only tells again what an earlier attempt did, whose report stays.
    #[serde(skip)]
    pub is_repeated: bool,
    /// How long the lists were before they were shortened; absent when they are whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shortened: Option<Lengths>,
    /// Records that a restore left out, because their batches cannot be decoded and `onUnreadable` is `skip`.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub left_out_records: u64,
    /// Those batches: topic, partition, offset, records, reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Value>,
    /// Fingerprint of a restore's plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_fingerprint: Option<String>,
    /// Why the restore that a dry run planned would not start: none when it would, absent where nothing was planned. Decisions
    /// read this, people the text of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusals: Option<Vec<Failure>>,
    /// What a validation found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationReport>,
    /// What a run of retention did, also one that failed on the way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<PruneReport>,
    /// What the run planned or found, by kind of run.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub details: Value,
    /// Why it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Report {
    /// The report as JSON of at most [`TERMINATION_LIMIT`] bytes: lists are cut, and it says so.
    ///
    /// # Errors
    /// Details that JSON cannot hold.
    pub fn short(&self) -> Result<String, serde_json::Error> {
        let whole = |report: &Self| serde_json::to_string(report);
        let full = whole(self)?;
        if full.len() <= TERMINATION_LIMIT {
            return Ok(full);
        }
        let mut cut = self.clone();
        cut.shortened = Some(self.lengths());
        let text = self.details.get("text").and_then(Value::as_str);
        cut.details = text.map_or(Value::Null, |text| serde_json::json!({"text": first_lines(text)}));
        cut.warnings = self.warnings.iter().take(3).map(|w| shorten(w, 300)).collect();
        cut.warnings.push(match &self.stored_at {
            Some(place) => format!("shortened; the full report is {place}"),
            None => "shortened; the full report is in the log of the run".into(),
        });
        cut.gaps.truncate(3);
        cut.timelines.truncate(3);
        cut.held_back.truncate(3);
        // What is missing comes first.
        cut.members.sort_by_key(|member| !member.change.is_missing());
        cut.members.truncate(3);
        cut.groups.sort_by_key(|group| !group.change.is_missing());
        cut.groups.truncate(3);
        // What failed comes first, then what is not as it should be, then what somebody asked for in vain; their offsets
        // stand in the full report.
        cut.positions.sort_by_key(|group| {
            (group.outcome != GroupOutcome::Failed, group.inexact.is_empty(), group.reason.is_none())
        });
        for group in &mut cut.positions {
            group.inexact.truncate(INEXACT);
            for at in &mut group.inexact {
                at.reason = shorten(&at.reason, 100);
            }
            group.offsets.clear();
            group.deleted.clear();
            group.configs.clear();
            group.reason = group.reason.as_deref().map(|reason| shorten(reason, 200));
        }
        cut.unreadable.truncate(3);
        cut.validation = self.validation.as_ref().map(ValidationReport::short);
        cut.prune = self.prune.as_ref().map(PruneReport::short);
        if let Some(refusals) = &mut cut.refusals {
            refusals.truncate(3);
            for refusal in refusals {
                refusal.message = shorten(&refusal.message, 100);
            }
        }
        if let Some(failure) = &mut cut.failure {
            failure.message = shorten(&failure.message, 1000);
        }
        while cut.positions.len() > 3 && whole(&cut)?.len() > TERMINATION_LIMIT {
            cut.positions.truncate(cut.positions.len() / 2);
        }
        if whole(&cut)?.len() > TERMINATION_LIMIT {
            cut.details = Value::Null;
            cut.gaps.clear();
            cut.timelines.clear();
            cut.held_back.clear();
            cut.members.clear();
            cut.groups.clear();
            cut.positions.clear();
            cut.unreadable.clear();
            cut.validation = self.validation.as_ref().map(ValidationReport::shorter);
            cut.prune = self.prune.as_ref().map(PruneReport::shortest);
        }
        if whole(&cut)?.len() > TERMINATION_LIMIT {
            cut.validation = self.validation.as_ref().map(ValidationReport::shortest);
            cut.warnings = cut.warnings.pop().into_iter().collect();
        }
        whole(&cut)
    }

    /// How many gaps, warnings and the like there are, also in a report that was shortened.
    #[must_use]
    pub fn lengths(&self) -> Lengths {
        let groups = |outcome| self.positions.iter().filter(|group| group.outcome == outcome).count() as u64;
        let inexact = |outcome: GroupOutcome| {
            self.positions.iter().filter(|group| group.outcome == outcome && group.is_inexact()).count() as u64
        };
        self.shortened.unwrap_or_else(|| Lengths {
            warnings: self.warnings.len() as u64,
            gaps: self.gaps.len() as u64,
            timelines: self.timelines.len() as u64,
            held_back: self.held_back.len() as u64,
            members: self.members.len() as u64,
            groups: self.groups.len() as u64,
            positions: self.positions.len() as u64,
            failed_positions: groups(GroupOutcome::Failed),
            committed_positions: Some(groups(GroupOutcome::Committed) - inexact(GroupOutcome::Committed)),
            inexact_positions: inexact(GroupOutcome::Committed) + inexact(GroupOutcome::NoOffsets),
        })
    }
}

/// Lines that fit, whole ones, and how many more there are.
fn first_lines(text: &str) -> String {
    let (mut out, mut left) = (String::new(), 0_usize);
    for line in text.lines() {
        if left == 0 && out.len() + line.len() < PLAN_ROOM {
            out.push_str(line);
            out.push('\n');
        } else {
            left += 1;
        }
    }
    if left > 0 { format!("{out}and {left} more lines") } else { out.trim_end().to_owned() }
}

fn shorten(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_plan_is_cut_by_lines() {
        let line = |number: u32| format!("  topic-{number}: create, 12 partitions\n");
        let text: String = (0..500).map(line).collect();
        let report = Report { details: serde_json::json!({"text": text, "topics": ["x"]}), ..Report::default() };
        let short = report.short().unwrap();
        assert!(short.len() <= TERMINATION_LIMIT, "{}", short.len());
        let back: Report = serde_json::from_str(&short).unwrap();
        let kept = back.details["text"].as_str().unwrap();
        let lines = kept.lines().count() as u32 - 1;
        assert!(kept.ends_with(&format!("and {} more lines", 500 - lines)), "{kept}");
        assert!(lines > 30, "{lines}");
    }

    #[test]
    fn the_short_form_fits_whatever_the_run_found() {
        let long = "x".repeat(5_000);
        let report = Report {
            warnings: vec![long.clone(); 50],
            gaps: vec![Value::String(long.clone()); 10],
            members: vec![member(&long); 20],
            refusals: Some(vec![Failure::new(crate::Code::TargetMismatch, long.clone()); 9]),
            failure: Some(Failure::new(crate::Code::Internal, long)),
            ..Report::default()
        };
        let short = report.short().unwrap();
        let back: Report = serde_json::from_str(&short).unwrap();
        assert_eq!(back.refusals.unwrap().first().map(|refusal| refusal.code), Some(crate::Code::TargetMismatch));
        assert!(short.len() <= TERMINATION_LIMIT, "{}", short.len());
        let back: Report = serde_json::from_str(&short).unwrap();
        assert_eq!(back.lengths(), report.lengths(), "the numbers stay");
        assert_eq!((back.lengths().gaps, back.lengths().members), (10, 20));
        assert_eq!(back.failure.unwrap().code, crate::Code::Internal);
    }

    fn member(topic: &str) -> MemberChange {
        let change = crate::Membership::Deleted;
        MemberChange { topic: topic.into(), topic_id: "0".into(), change, partitions_before: Some(1), partitions: None }
    }

    #[test]
    fn members_that_are_missing_are_named_first() {
        let missing = MemberChange { change: crate::Membership::Forbidden, ..member("last") };
        let members = (0..60).map(|n| member(&format!("topic-{n}-{}", "x".repeat(60)))).chain([missing.clone()]);
        let report = Report { members: members.collect(), ..Report::default() };
        let back: Report = serde_json::from_str(&report.short().unwrap()).unwrap();
        assert_eq!(back.members.first(), Some(&missing));
        assert_eq!(back.lengths().members, 61);
    }

    #[test]
    fn a_validation_fits_with_all_its_verdicts() {
        let long = "y".repeat(2_000);
        let finding = crate::CheckFinding { subject: long.clone(), what: long.clone(), is_wrong: true };
        let check = |n: usize| {
            let name = format!("check-{n}-{}", "\u{1f600}".repeat(50));
            crate::ValidationCheck::new(name, crate::CheckVerdict::Fail, long.clone()).with_findings(vec![
                finding
                    .clone();
                150
            ])
        };
        let checks: Vec<_> = (0..6 + crate::MOST_WEBHOOKS).map(check).collect();
        let validation =
            ValidationReport { verdict: ValidationReport::judge(&checks), checks, ..ValidationReport::default() };
        let report = Report { validation: Some(validation), warnings: vec![long; 5], ..Report::default() };
        let short = report.short().unwrap();
        assert!(short.len() <= TERMINATION_LIMIT, "{}", short.len());
        let back: Report = serde_json::from_str(&short).unwrap();
        let back = back.validation.unwrap();
        assert_eq!(back.checks.len(), 6 + crate::MOST_WEBHOOKS);
        assert_eq!(back.verdict, Some(crate::ValidationVerdict::Fail));
        assert!(back.checks.iter().all(|check| check.findings_total == 150));
    }
}
