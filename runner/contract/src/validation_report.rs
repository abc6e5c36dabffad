//! What a validation found: part of the report of its run, and all that evidence of it needs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SampleSize;

/// Most findings of one check in a report; the total is told beside them.
pub const MOST_FINDINGS: usize = 100;
/// Findings of one check in the short form of a report.
const FEW_FINDINGS: usize = 2;
/// Characters of a text in the short form, and in one that is still too long.
const SHORT: usize = 160;
const LITTLE: usize = 60;
/// Bytes of a name in the shortest form.
const NAME: usize = 40;

/// The result of a validation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationReport {
    /// What comes of all checks; absent while or because some check could not be made, and none failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<ValidationVerdict>,
    /// The recovery point that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<ValidatedPoint>,
    /// What of the set was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<ValidationScope>,
    /// The sample that `checksum` and `decode` read; absent when they read everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleTaken>,
    /// The cluster that was asked, by the id that it gives itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The restore that the cluster was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<ValidatedRestore>,
    /// Every check that was asked for, in the order in which they are made.
    pub checks: Vec<ValidationCheck>,
    /// Segments of which blocks were read.
    pub segments_read: u64,
    /// Bytes of blocks that were read.
    pub bytes_read: u64,
    /// Batches that were decoded.
    pub batches_read: u64,
    /// Records that were counted, those that consumers see.
    pub records_read: u64,
    /// Milliseconds that reading the archive took.
    pub read_millis: u64,
    /// Bytes of blocks per second; absent where none were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_sec: Option<u64>,
    /// The evidence that was kept of it; absent where none was asked for, or there is no verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceLine>,
}

/// Evidence that was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceLine {
    /// Where its document lies; the other files stand beside it.
    pub path: String,
    /// Whether it is signed.
    pub signed: bool,
    /// SHA-256 of the document, hexadecimal.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// The key that signed it: SHA-256 of the public key in DER, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// Names of the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Evidence of earlier runs that was deleted, because its time was over.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub removed: u64,
}

/// What comes of all checks of a validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValidationVerdict {
    /// Every check was made, and passed.
    Pass,
    /// Every check was made, none failed, and some warned or had nothing to look at.
    Warn,
    /// Some check failed.
    Fail,
}

/// What of a set was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ValidationScope {
    /// What the point needs.
    Point,
    /// What the point needs, and every entry of the log up to it.
    Log,
}

/// A recovery point that was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidatedPoint {
    /// Its name.
    pub id: String,
    /// Its set.
    pub set: String,
    /// Number of the log entry that seals it.
    pub entry: u64,
    /// Digest of that entry: BLAKE3-256, hexadecimal.
    pub digest: String,
    /// RFC 3339 time that names it.
    pub at: String,
    /// Id of the source cluster; absent where the set does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_cluster: Option<String>,
    /// Topics that it holds.
    pub topics: u64,
    /// Partitions that it holds.
    pub partitions: u64,
    /// Records that it holds.
    pub records: u64,
    /// Batch bytes that it holds.
    pub bytes: u64,
    /// Ranges of offsets that it says are missing.
    pub gaps: u64,
    /// Partitions that it holds in part only, for now.
    pub held_back: u64,
    /// Release that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<String>,
}

/// A sample that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SampleTaken {
    /// The size that was asked for.
    pub size: SampleSize,
    /// The seed that draws the same segments again.
    pub seed: u64,
    /// Segments that were drawn.
    pub segments: u64,
    /// Of how many.
    pub of_segments: u64,
    /// Bytes of those that were drawn.
    pub bytes: u64,
    /// Of how many.
    pub of_bytes: u64,
}

/// A restore that a cluster was compared with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidatedRestore {
    /// Its name.
    pub name: String,
    /// Its namespace; empty outside Kubernetes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The recovery point that it restored.
    pub point: String,
    /// Digest of the seal of that point.
    pub digest: String,
    /// Fingerprint of its plan.
    pub plan_fingerprint: String,
    /// Records that it put into the cluster.
    pub records: u64,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValidationCheck {
    /// `structure`, `checksum`, `decode`, `messageCount`, `offsetRange`, `consumerGroupOffsets`, or the name of a webhook.
    pub name: String,
    /// What came of it.
    pub verdict: CheckVerdict,
    /// That in one sentence; of a check that was not made, why.
    pub message: String,
    /// What was looked at, by what it is: `segments`, `entries`, `batches`, `records`, `partitions`, `groups`, ...
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// What is not as it should be, the worst first; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<CheckFinding>,
    /// How many findings there are.
    #[serde(default, skip_serializing_if = "crate::is_zero")]
    pub findings_total: u64,
    /// Milliseconds that it took. The three checks of the archive are made in one pass: each has the time of the pass.
    pub millis: u64,
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CheckVerdict {
    /// All is as it should be.
    Pass,
    /// Something is worth knowing, and nothing is wrong.
    Warn,
    /// Something is wrong.
    Fail,
    /// It was made, and there was nothing to look at: no pass.
    Skipped,
    /// It could not be made.
    NotRun,
}

impl CheckVerdict {
    /// As it is written in tables.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skipped => "skipped",
            Self::NotRun => "not run",
        }
    }
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckFinding {
    /// The object, partition or group; empty when it is about no single one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// What is wrong with it, or what is worth knowing.
    pub what: String,
    /// Whether it is wrong, and not only worth knowing.
    pub is_wrong: bool,
}

impl std::fmt::Display for CheckFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.subject.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.subject, self.what) }
    }
}

impl ValidationCheck {
    /// A check that came out so, and looked at nothing yet.
    pub fn new(name: impl Into<String>, verdict: CheckVerdict, message: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            verdict,
            message: message.into(),
            counts: BTreeMap::new(),
            findings: Vec::new(),
            findings_total: 0,
            millis: 0,
        }
    }

    /// The check with these findings, as many as fit: what is wrong comes first.
    #[must_use]
    pub fn with_findings(mut self, mut findings: Vec<CheckFinding>) -> Self {
        findings.sort_by_key(|finding| !finding.is_wrong);
        self.findings_total = findings.len() as u64;
        findings.truncate(MOST_FINDINGS);
        self.findings = findings;
        self
    }
}

impl ValidationReport {
    /// What comes of these checks; `None` where some could not be made and none failed, or there are none.
    #[must_use]
    pub fn judge(checks: &[ValidationCheck]) -> Option<ValidationVerdict> {
        let some = |verdict| checks.iter().any(|check| check.verdict == verdict);
        if some(CheckVerdict::Fail) {
            Some(ValidationVerdict::Fail)
        } else if some(CheckVerdict::NotRun) || checks.is_empty() {
            None
        } else if some(CheckVerdict::Warn) || some(CheckVerdict::Skipped) {
            Some(ValidationVerdict::Warn)
        } else {
            Some(ValidationVerdict::Pass)
        }
    }

    /// The same with fewer findings and shorter texts, for the short form of the report.
    #[must_use]
    pub(crate) fn short(&self) -> Self {
        let mut cut = self.clone();
        for check in &mut cut.checks {
            check.message = shorten(&check.message);
            check.counts.clear();
            check.findings.truncate(FEW_FINDINGS);
            for finding in &mut check.findings {
                finding.what = shorten(&finding.what);
                finding.subject = shorten(&finding.subject);
            }
        }
        cut
    }

    /// Verdicts and times of the checks, and the beginnings of their messages.
    #[must_use]
    pub(crate) fn shorter(&self) -> Self {
        let mut cut = self.short();
        for check in &mut cut.checks {
            check.findings.clear();
            check.message = check.message.chars().take(LITTLE).collect();
        }
        if let Some(evidence) = &mut cut.evidence {
            *evidence = EvidenceLine {
                path: std::mem::take(&mut evidence.path),
                signed: evidence.signed,
                removed: evidence.removed,
                ..EvidenceLine::default()
            };
        }
        cut
    }

    /// The least that is kept: verdicts and times of the checks. Long names of webhooks are cut.
    #[must_use]
    pub(crate) fn shortest(&self) -> Self {
        let mut cut = self.shorter();
        for check in &mut cut.checks {
            check.message.clear();
            let places = check.name.char_indices().map(|(at, one)| at + one.len_utf8());
            let end = places.take_while(|end| *end <= NAME).last().unwrap_or(0);
            check.name.truncate(end);
        }
        cut
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(SHORT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: CheckVerdict) -> ValidationCheck {
        ValidationCheck::new("x", verdict, "")
    }

    #[test]
    fn what_was_not_looked_at_is_no_pass() {
        use CheckVerdict::{Fail, NotRun, Pass, Skipped, Warn};
        let judge =
            |all: &[CheckVerdict]| ValidationReport::judge(&all.iter().map(|one| check(*one)).collect::<Vec<_>>());
        assert_eq!(judge(&[Pass, Pass]), Some(ValidationVerdict::Pass));
        assert_eq!(judge(&[Pass, Warn]), Some(ValidationVerdict::Warn));
        assert_eq!(judge(&[Pass, Skipped]), Some(ValidationVerdict::Warn));
        assert_eq!(judge(&[Skipped]), Some(ValidationVerdict::Warn));
        assert_eq!(judge(&[Pass, NotRun]), None);
        assert_eq!(judge(&[NotRun, Fail]), Some(ValidationVerdict::Fail));
        assert_eq!(judge(&[]), None);
    }

    #[test]
    fn findings_are_bounded_and_what_is_wrong_comes_first() {
        let finding = |n: usize| CheckFinding { subject: n.to_string(), what: "x".into(), is_wrong: n == 250 };
        let made = check(CheckVerdict::Fail).with_findings((0..300).map(finding).collect());
        assert_eq!((made.findings.len(), made.findings_total), (MOST_FINDINGS, 300));
        assert!(made.findings[0].is_wrong);
    }
}
