//! The document: what was asked, what was read, by which version, when, and what came of each check. Everything in it is whole
//! numbers and text, so that it has one form. Pure.

use std::collections::BTreeMap;

use contract::{
    CLUSTER_CHECKS, CheckVerdict, Report, RunSpec, SampleSpec, SampleTaken, ValidatedPoint, ValidatedRestore,
    ValidationCheck, ValidationReport, ValidationScope, ValidationVerdict, http_target,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::controls::{self, Control, When};

/// Names the form of the document.
pub const SCHEMA: &str = "https://kafka-backup.dev/evidence/v1";

/// What the document does not say.
const LIMITS: [&str; 3] = [
    "It says what was tested and what came of it. It does not say that a requirement of a framework is met.",
    "Times are those of the clock of the pod or machine that made the run.",
    "A signature says that the holder of the key signed these bytes. It says nothing of what the store holds today.",
];

/// Evidence of one validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(title = "Evidence of a validation")]
pub struct Statement {
    /// `https://kafka-backup.dev/evidence/v1`.
    pub schema: String,
    /// Its own name: that of the run, and eight digits drawn by chance. Each attempt of a run that comes to a result has its own.
    pub id: String,
    /// Whose validation it is.
    pub subject: Subject,
    /// What made it.
    pub tool: Tool,
    /// When the attempt began (RFC 3339).
    pub started_at: String,
    /// When all checks were made (RFC 3339).
    pub finished_at: String,
    /// What comes of all checks.
    pub verdict: ValidationVerdict,
    /// What was asked for.
    pub asked: Asked,
    /// Where the archive lies; no credentials.
    pub archive: String,
    /// The recovery point that was looked at; absent where it could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point: Option<ValidatedPoint>,
    /// What of the set was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<ValidationScope>,
    /// The sample that was read; absent where everything was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleTaken>,
    /// The cluster that was asked, by the id that it gives itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The restore that the cluster was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<ValidatedRestore>,
    /// Every check that was asked for, in the order in which they were made.
    pub checks: Vec<ValidationCheck>,
    /// What was read of the archive.
    pub read: Read,
    /// What was measured.
    pub measured: Measured,
    /// Warnings of the run.
    pub warnings: Vec<String>,
    /// For how long it is kept.
    pub retention: Retention,
    /// Controls that ask for what was tested.
    pub controls: Vec<Control>,
    /// What it does not say.
    pub limits: Vec<String>,
}

/// Whose validation it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subject {
    /// Namespace of the resource; empty outside Kubernetes.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The run.
    pub run: String,
}

/// What made the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// Its release.
    pub version: String,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The backup set or recovery point; empty for the newest of the storage.
    pub from: String,
    /// Namespace and name of the resource whose set it had to be; empty where nobody said.
    pub owner: String,
    /// Names of the checks.
    pub checks: Vec<String>,
    /// Most records by which a partition may differ, where records were counted in a cluster.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fail_threshold: Option<u64>,
    /// Topics whose records were counted; all when empty.
    pub topics: Vec<String>,
    /// Consumer groups that were compared; all when empty.
    pub groups: Vec<String>,
    /// The size of the sample, and its seed where one was given; absent for everything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample: Option<SampleSpec>,
    /// The restore by name; empty without.
    pub restore: String,
    /// Hosts of the services that were asked, by name of the check.
    pub webhooks: BTreeMap<String, String>,
}

/// What was read of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Read {
    /// Segments of which blocks were read.
    pub segments: u64,
    /// Bytes of blocks.
    pub bytes: u64,
    /// Batches that were decoded.
    pub batches: u64,
    /// Records that were counted.
    pub records: u64,
}

/// What was measured. A time that nobody took is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Milliseconds that reading the archive took.
    pub read_millis: u64,
    /// Bytes of blocks per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_sec: Option<u64>,
    /// Seconds from the time that names the recovery point to the start: what would have been lost, had the cluster been lost then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point_age_secs: Option<u64>,
}

/// For how long a document is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Days, at least.
    pub days: u32,
}

impl Statement {
    /// What a run found, as a document; `None` where the specification asks for none, or there is no verdict.
    ///
    /// # Errors
    /// When the map of controls does not read.
    pub fn of(
        spec: &RunSpec,
        (report, found): (&Report, &ValidationReport),
        (id, archive, finished_at): (&str, &str, &str),
        warnings: Vec<String>,
    ) -> Result<Option<Self>, serde_json::Error> {
        let part = spec.validation.as_ref();
        let kept = part.and_then(|part| part.evidence.as_ref());
        let (Some(part), Some(kept), Some(verdict)) = (part, kept, found.verdict) else { return Ok(None) };
        Ok(Some(Self {
            schema: SCHEMA.to_owned(),
            id: id.to_owned(),
            subject: Subject { namespace: spec.namespace.clone(), name: spec.name.clone(), run: report.run.clone() },
            tool: Tool { name: "kafka-backup-runner".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() },
            started_at: report.started_at.clone(),
            finished_at: finished_at.to_owned(),
            verdict,
            asked: Asked::of(part, found),
            archive: archive.to_owned(),
            point: found.point.clone(),
            scope: found.scope,
            sample: found.sample.clone(),
            cluster: found.cluster.clone(),
            restore: found.restore.clone(),
            checks: found.checks.clone(),
            read: Read {
                segments: found.segments_read,
                bytes: found.bytes_read,
                batches: found.batches_read,
                records: found.records_read,
            },
            measured: Measured {
                read_millis: found.read_millis,
                bytes_per_sec: found.bytes_per_sec,
                point_age_secs: found.point.as_ref().and_then(|point| age(&point.at, &report.started_at)),
            },
            warnings,
            retention: Retention { days: kept.retention_days },
            controls: bearing(found)?,
            limits: LIMITS.map(str::to_owned).to_vec(),
        }))
    }
}

impl Asked {
    fn of(part: &contract::ValidationSpec, found: &ValidationReport) -> Self {
        let owner = part.owner.as_ref().map(|owner| {
            let namespace = owner.namespace.as_ref().map(|namespace| format!("{namespace}/")).unwrap_or_default();
            format!("{namespace}{}", owner.name)
        });
        let (count, groups) = (part.checks.message_count.as_ref(), part.checks.consumer_group_offsets.as_ref());
        Self {
            from: part.from.clone(),
            owner: owner.unwrap_or_default(),
            checks: found.checks.iter().map(|check| check.name.clone()).collect(),
            fail_threshold: count.map(|count| count.fail_threshold),
            topics: count.map(|count| count.topics.clone()).unwrap_or_default(),
            groups: groups.map(|groups| groups.groups.clone()).unwrap_or_default(),
            sample: part.sample.clone(),
            restore: part.restore.as_ref().map(|restore| restore.name.clone()).unwrap_or_default(),
            webhooks: part
                .checks
                .webhooks
                .iter()
                .map(|hook| (hook.name.clone(), http_target::shown(&hook.url)))
                .collect(),
        }
    }
}

/// Whole seconds from one time to a later one; `None` where a clock says otherwise.
fn age(from: &str, to: &str) -> Option<u64> {
    let millis = |text| contract::stamp::parse_millis(text).ok();
    u64::try_from(millis(to)?.checked_sub(millis(from)?)?).ok().map(|millis| millis / 1000)
}

/// Controls that ask for what was tested: what was not made, or had nothing to look at, bears on none.
fn bearing(found: &ValidationReport) -> Result<Vec<Control>, serde_json::Error> {
    let is_made = |check: &&ValidationCheck| {
        matches!(check.verdict, CheckVerdict::Pass | CheckVerdict::Warn | CheckVerdict::Fail)
    };
    let of = |names: &[&str]| found.checks.iter().filter(is_made).any(|check| names.contains(&check.name.as_str()));
    let (archive, cluster) = (of(&contract::ARCHIVE_CHECKS), of(&CLUSTER_CHECKS));
    let bears = |control: &&Control| match control.when {
        When::Archive => archive && found.point.is_some(),
        When::Restore => cluster && found.restore.is_some(),
    };
    Ok(controls::all()?.iter().filter(bears).cloned().collect())
}

/// The JSON schema of the document.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Statement)
}
