//! What the operator counts, in Prometheus' text format.

mod strimzi;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::lower::job::Owner;
use api::oso::RunClaim;
use contract::ValidationVerdict;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabel, EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::decide::{End, Verdict};
pub use strimzi::Told;

const LOOKS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const RUNS: [f64; 10] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct ByResource {
    resource_namespace: String,
    name: String,
    #[prometheus(flatten)]
    group: ByGroup,
}

/// An object that does not read.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Unreadable {
    kind: String,
    #[prometheus(flatten)]
    of: ByResource,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
    #[prometheus(flatten)]
    of: ByResource,
}

/// The group of a resource, where it is not `kafka.oso.sh`: resources of two groups may have one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct ByGroup(Option<String>);

impl EncodeLabelSet for ByGroup {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.as_ref().map_or(Ok(()), |group| ("group", group.as_str()).encode(encoder.encode_label()))
    }
}

impl ByResource {
    fn of(owner: &Owner) -> Self {
        let group = owner.api_version.split('/').next().unwrap_or_default();
        let group = ByGroup((group != api::oso::GROUP).then(|| group.to_owned()));
        Self { resource_namespace: owner.namespace.clone(), name: owner.name.clone(), group }
    }
}

/// The kind whose runs have results of their own.
const VALIDATION: &str = "KafkaBackupValidation";

/// How runs of a kind end.
fn outcomes(kind: &str) -> &'static [&'static str] {
    if kind == VALIDATION { &["Pass", "Warn", "Fail", "error"] } else { &["success", "stopped", "failure"] }
}

/// How a run ended.
fn outcome(kind: &str, verdict: &Verdict) -> &'static str {
    if kind != VALIDATION {
        return match verdict.end {
            End::Completed(_) => "success",
            End::Stopped(_) => "stopped",
            End::Failed(_) => "failure",
        };
    }
    match verdict.said().and_then(|said| said.validation.as_ref()?.verdict) {
        Some(ValidationVerdict::Pass) if verdict.is_completed() => "Pass",
        Some(ValidationVerdict::Warn) if verdict.is_completed() => "Warn",
        Some(ValidationVerdict::Fail) => "Fail",
        Some(ValidationVerdict::Pass | ValidationVerdict::Warn) | None => "error",
    }
}

/// What the status of a resource says that alerts ask for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// When a run of it last ended well.
    pub last_success: Option<Timestamp>,
    /// When its newest run failed for good, if it did.
    pub last_failure: Option<Timestamp>,
    /// Whether the next recovery point of a continuous backup is overdue; `None` when nobody waits for one.
    pub overdue: Option<bool>,
    /// From when on the next recovery point of a scheduled backup is late, or the next result of a scheduled validation; `None`
    /// when none is promised.
    pub late_at: Option<Timestamp>,
    /// When a run of retention last ended well, and when the newest failed, if it did; `None` where a backup has no rules.
    pub retention: Option<[Option<Timestamp>; 2]>,
}

/// What the runs of one kind are counted by.
#[derive(Debug)]
struct Runs {
    time: Family<ByResource, Histogram>,
    ended: Family<ByOutcome, Counter>,
    last_success: Family<ByResource, Gauge>,
    last_failure: Family<ByResource, Gauge>,
    records: Family<ByResource, Gauge>,
    bytes: Family<ByResource, Gauge>,
}

impl Default for Runs {
    fn default() -> Self {
        Self {
            time: Family::new_with_constructor(|| Histogram::new(RUNS)),
            ended: Family::default(),
            last_success: Family::default(),
            last_failure: Family::default(),
            records: Family::default(),
            bytes: Family::default(),
        }
    }
}

impl Runs {
    /// How runs of a resource that is there ended, from its status.
    fn show(&self, by: &ByResource, outcomes: &[&'static str], last: [Option<Timestamp>; 2]) {
        // Counters are there before their first event: whoever asks by how much one grew must see it at zero.
        for outcome in outcomes.iter().copied() {
            drop(self.ended.get_or_create(&ByOutcome { outcome, of: by.clone() }));
        }
        // How an older run ended is not forgotten while a newer one works.
        for (series, at) in [&self.last_success, &self.last_failure].into_iter().zip(last) {
            if let Some(at) = at {
                series.get_or_create(by).set(at.as_second());
            }
        }
    }

    /// The resource is gone.
    fn forget(&self, by: &ByResource, outcomes: &[&'static str]) {
        self.time.remove(by);
        for series in [&self.last_success, &self.last_failure, &self.records, &self.bytes] {
            series.remove(by);
        }
        for outcome in outcomes.iter().copied() {
            self.ended.remove(&ByOutcome { outcome, of: by.clone() });
        }
    }
}

/// All counts.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    looks: Family<ByKind, Counter>,
    errors: Family<ByKind, Counter>,
    look_time: Family<ByKind, Histogram>,
    backups: Runs,
    restores: Runs,
    resets: Runs,
    rollbacks: Runs,
    validations: Runs,
    retentions: Runs,
    retention_failing: Family<ByResource, Gauge>,
    overdue: Family<ByResource, Gauge>,
    late_at: Family<ByResource, Gauge>,
    unproved_at: Family<ByResource, Gauge>,
    unreadable: Family<Unreadable, Gauge>,
    /// The kinds and labels of the resources that have series.
    resources: Mutex<BTreeSet<(String, ByResource)>>,
    leader: Gauge,
    strimzi: strimzi::Strimzi,
    refused: Counter,
    admitted: Counter,
    certificate_expiry: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counts from zero.
    #[must_use]
    pub fn new() -> Self {
        let metrics = Self {
            registry: Mutex::default(),
            looks: Family::default(),
            errors: Family::default(),
            look_time: Family::new_with_constructor(|| Histogram::new(LOOKS)),
            backups: Runs::default(),
            restores: Runs::default(),
            resets: Runs::default(),
            rollbacks: Runs::default(),
            validations: Runs::default(),
            retentions: Runs::default(),
            retention_failing: Family::default(),
            overdue: Family::default(),
            late_at: Family::default(),
            unproved_at: Family::default(),
            unreadable: Family::default(),
            resources: Mutex::default(),
            leader: Gauge::default(),
            strimzi: strimzi::Strimzi::new(),
            refused: Counter::default(),
            admitted: Counter::default(),
            certificate_expiry: Gauge::default(),
        };
        let mut all = Registry::with_prefix("kafka_backup_operator");
        all.register("build", "Version of the operator", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        all.register("reconciliations", "Looks at resources", metrics.looks.clone());
        all.register("reconciliation_errors", "Looks that failed", metrics.errors.clone());
        all.register("unreadable_objects", "Objects that do not read as their kind", metrics.unreadable.clone());
        all.register_with_unit("reconcile_duration", "Time of a look", Unit::Seconds, metrics.look_time.clone());
        for (word, runs, moves) in [
            ("backup", &metrics.backups, true),
            ("restore", &metrics.restores, true),
            ("offset_reset", &metrics.resets, false),
            ("offset_rollback", &metrics.rollbacks, false),
            ("validation", &metrics.validations, false),
            ("retention", &metrics.retentions, false),
        ] {
            all.register(format!("{word}s"), "Runs that ended", runs.ended.clone());
            all.register_with_unit(format!("{word}_duration"), "Time of a run", Unit::Seconds, runs.time.clone());
            if moves {
                let (size, help) = (format!("{word}_size"), "Bytes of the last run");
                all.register_with_unit(size, help, Unit::Bytes, runs.bytes.clone());
                all.register(format!("{word}_records"), "Records of the last run", runs.records.clone());
            }
            for (end, help, series) in [
                ("success", "When a run last ended well, in seconds since 1970", &runs.last_success),
                ("failure", "When a run last failed for good, in seconds since 1970", &runs.last_failure),
            ] {
                all.register_with_unit(format!("{word}_last_{end}_timestamp"), help, Unit::Seconds, series.clone());
            }
        }
        let help = "Whether the newest run of retention failed";
        all.register("retention_failing", help, metrics.retention_failing.clone());
        let help =
            "Whether the next recovery point of a continuous backup is overdue: three checkpoint intervals went by";
        all.register("backup_overdue", help, metrics.overdue.clone());
        let help = "From when on a scheduled backup without a newer recovery point is late, in seconds since 1970";
        all.register_with_unit("backup_late_timestamp", help, Unit::Seconds, metrics.late_at.clone());
        let help = "From when on a scheduled validation that has not passed since is late, in seconds since 1970";
        all.register_with_unit("validation_late_timestamp", help, Unit::Seconds, metrics.unproved_at.clone());
        all.register("leader", "Whether this replica runs the controllers", metrics.leader.clone());
        all.register("admissions_refused", "Resources that admission refused", metrics.refused.clone());
        all.register("admissions_accepted", "Resources that admission accepted", metrics.admitted.clone());
        let help = "When the webhook's certificate ends, in seconds since 1970";
        all.register_with_unit("certificate_expiry_timestamp", help, Unit::Seconds, metrics.certificate_expiry.clone());
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = all;
        metrics
    }

    /// All counts as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.strimzi.write(&mut out, Timestamp::now());
        let _ = encode(&mut out, &self.registry.lock().unwrap_or_else(PoisonError::into_inner));
        out
    }

    /// A resource of a Strimzi group is there, and this is what its status says.
    pub fn strimzi_seen(&self, owner: &Owner, told: &Told) {
        self.strimzi.seen(owner, told);
    }

    /// A resource was looked at.
    pub fn reconciled(&self, kind: &str, well: bool, time: Duration) {
        let labels = ByKind { kind: kind.to_owned() };
        self.looks.get_or_create(&labels).inc();
        if !well {
            self.errors.get_or_create(&labels).inc();
        }
        self.look_time.get_or_create(&labels).observe(time.as_secs_f64());
    }

    /// The series of a kind.
    fn runs(&self, kind: &str) -> &Runs {
        match kind {
            "KafkaRestore" => &self.restores,
            "KafkaOffsetReset" => &self.resets,
            "KafkaOffsetRollback" => &self.rollbacks,
            VALIDATION => &self.validations,
            _ => &self.backups, // every other kind that runs makes backups
        }
    }

    fn remember(&self, owner: &Owner) {
        let key = (owner.kind.clone(), ByResource::of(owner));
        self.resources.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// Ends the series of resources of a kind of a group that are not there any more.
    pub fn forget(&self, group: &str, kind: &str, is_there: impl Fn(&str, &str) -> bool) {
        self.strimzi.forget(group, kind, &is_there);
        let mut resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = |(of, by): &(String, ByResource)| {
            let same = of == kind && by.group.0.as_deref().unwrap_or(api::oso::GROUP) == group;
            same && !is_there(&by.resource_namespace, &by.name)
        };
        let runs = self.runs(kind);
        for (of, by) in resources.iter().filter(|key| gone(key)) {
            self.unreadable.remove(&Unreadable { kind: of.clone(), of: by.clone() });
            runs.forget(by, outcomes(of));
            if of == "KafkaBackup" {
                self.retentions.forget(by, outcomes(of));
                self.retention_failing.remove(by);
                self.overdue.remove(by);
                self.late_at.remove(by);
            }
            if of == VALIDATION {
                self.unproved_at.remove(by);
            }
        }
        resources.retain(|key| !gone(key));
    }

    /// A run is over.
    pub fn run_ended(&self, owner: &Owner, claim: &RunClaim, verdict: &Verdict, now: Timestamp) {
        self.count(self.runs(&owner.kind), owner, claim, verdict, now);
    }

    /// A run of retention is over.
    pub fn retention_ended(&self, owner: &Owner, claim: &RunClaim, verdict: &Verdict, now: Timestamp) {
        self.count(&self.retentions, owner, claim, verdict, now);
    }

    fn count(&self, runs: &Runs, owner: &Owner, claim: &RunClaim, verdict: &Verdict, now: Timestamp) {
        self.remember(owner);
        let by = ByResource::of(owner);
        let outcome = outcome(&owner.kind, verdict);
        let ended = ByOutcome { outcome, of: by.clone() };
        runs.ended.get_or_create(&ended).inc();
        if let Some(began) = claim.started_at.as_ref().and_then(|time| time.parse::<Timestamp>().ok()) {
            runs.time.get_or_create(&by).observe(now.duration_since(began).as_secs_f64());
        }
        let amount = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if let End::Completed(said) = &verdict.end {
            runs.records.get_or_create(&by).set(amount(said.records));
            runs.bytes.get_or_create(&by).set(amount(said.bytes));
        }
    }

    /// A resource does not read: nothing runs for it.
    pub fn unreadable(&self, owner: &Owner) {
        self.remember(owner);
        let of = Unreadable { kind: owner.kind.clone(), of: ByResource::of(owner) };
        self.unreadable.get_or_create(&of).set(1);
    }

    /// A resource is there, and this is what its status says.
    pub fn seen(&self, owner: &Owner, seen: &Seen) {
        self.remember(owner);
        self.unreadable.remove(&Unreadable { kind: owner.kind.clone(), of: ByResource::of(owner) });
        let by = ByResource::of(owner);
        let last = [seen.last_success, seen.last_failure];
        self.runs(&owner.kind).show(&by, outcomes(&owner.kind), last);
        let late_at = seen.late_at.map(Timestamp::as_second);
        if owner.kind == "KafkaBackup" {
            show(&self.overdue, &by, seen.overdue.map(i64::from));
            show(&self.late_at, &by, late_at);
            let failing = seen.retention.map(|[success, failure]| i64::from(failure > success));
            show(&self.retention_failing, &by, failing);
            match seen.retention {
                Some(last) => self.retentions.show(&by, outcomes(&owner.kind), last),
                None => self.retentions.forget(&by, outcomes(&owner.kind)),
            }
        }
        if owner.kind == VALIDATION {
            show(&self.unproved_at, &by, late_at);
        }
    }

    /// Whether this replica runs the controllers.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
        if !leads {
            // Another replica knows better from now on.
            self.strimzi.clear();
            self.unreadable.clear();
            for series in [&self.overdue, &self.late_at, &self.unproved_at, &self.retention_failing] {
                series.clear();
            }
            let other = [&self.validations, &self.resets, &self.rollbacks, &self.retentions];
            for runs in [&self.backups, &self.restores].into_iter().chain(other) {
                for series in [&runs.last_success, &runs.last_failure, &runs.records, &runs.bytes] {
                    series.clear();
                }
            }
        }
    }

    /// A resource was judged.
    pub fn judged(&self, accepted: bool) {
        if accepted {
            self.admitted.inc()
        } else {
            self.refused.inc()
        };
    }

    /// When the webhook's certificate ends.
    pub fn certificate_ends(&self, at: Timestamp) {
        self.certificate_expiry.set(at.as_second());
    }
}

/// Shows a value of a resource, or that there is none.
fn show(series: &Family<ByResource, Gauge>, by: &ByResource, value: Option<i64>) {
    match value {
        Some(value) => drop(series.get_or_create(by).set(value)),
        None => drop(series.remove(by)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validation_that_could_not_check_is_no_failed_check() {
        let metrics = Metrics::new();
        let owner = Owner {
            api_version: "kafka.oso.sh/v1alpha1".into(),
            kind: VALIDATION.into(),
            namespace: "a".into(),
            name: "v".into(),
            uid: "u".into(),
            part: None,
        };
        let ended = |verdict: Option<ValidationVerdict>, completed: bool| {
            let report = contract::ValidationReport { verdict, ..Default::default() };
            let said = Box::new(crate::decide::Said { validation: Some(Box::new(report)), ..Default::default() });
            let end = if completed { End::Completed(said) } else { End::Failed(Some(said)) };
            let verdict = Verdict { end, ..Verdict::stopped(None) };
            metrics.run_ended(&owner, &RunClaim::default(), &verdict, Timestamp::UNIX_EPOCH);
        };
        metrics.seen(&owner, &Seen { late_at: Some(Timestamp::UNIX_EPOCH), ..Seen::default() });
        ended(Some(ValidationVerdict::Pass), true);
        ended(Some(ValidationVerdict::Fail), false);
        ended(None, false);
        // Whoever says that all passed, and ends otherwise, has not shown it.
        ended(Some(ValidationVerdict::Pass), false);
        let text = metrics.text();
        for (outcome, count) in [("Pass", 1), ("Warn", 0), ("Fail", 1), ("error", 2)] {
            let line = format!(
                r#"kafka_backup_operator_validations_total{{outcome="{outcome}",resource_namespace="a",name="v"}} {count}"#
            );
            assert!(text.contains(&line), "{line}\n{text}");
        }
        assert!(text.contains(r#"validation_late_timestamp_seconds{resource_namespace="a",name="v"} 0"#), "{text}");
        metrics.forget(api::oso::GROUP, VALIDATION, |_, _| false);
        assert!(!metrics.text().contains(r#"name="v""#), "{}", metrics.text());
    }

    #[test]
    fn a_replica_that_does_not_lead_tells_nothing_of_runs() {
        let metrics = Metrics::new();
        for kind in ["KafkaBackup", "KafkaRestore", "KafkaOffsetReset", "KafkaOffsetRollback", VALIDATION] {
            let owner = Owner {
                api_version: "kafka.oso.sh/v1alpha1".into(),
                kind: kind.into(),
                namespace: "a".into(),
                name: "b".into(),
                uid: kind.into(),
                part: None,
            };
            let at = Some(Timestamp::UNIX_EPOCH);
            metrics.seen(&owner, &Seen { last_success: at, last_failure: at, ..Seen::default() });
        }
        let count = || metrics.text().lines().filter(|line| line.contains("_timestamp_seconds{")).count();
        assert_eq!(count(), 10, "{}", metrics.text());
        metrics.leads(false);
        assert_eq!(count(), 0, "{}", metrics.text());
    }

    #[test]
    fn names_and_units_are_as_documented() {
        let metrics = Metrics::new();
        metrics.reconciled("KafkaBackup", false, Duration::from_millis(20));
        let owner = Owner {
            api_version: "kafka.oso.sh/v1alpha1".into(),
            kind: "KafkaBackup".into(),
            namespace: "a".into(),
            name: "b".into(),
            uid: "u".into(),
            part: None,
        };
        let claim = RunClaim { started_at: Some("2026-11-21T10:00:00Z".into()), ..RunClaim::default() };
        let said = crate::decide::Said { records: 7, ..Default::default() };
        let verdict = Verdict { end: End::Completed(Box::new(said)), ..Verdict::stopped(None) };
        metrics.run_ended(&owner, &claim, &verdict, "2026-11-21T10:00:09Z".parse().unwrap());
        let text = metrics.text();
        for line in [
            r#"kafka_backup_operator_reconciliation_errors_total{kind="KafkaBackup"} 1"#,
            r#"kafka_backup_operator_backups_total{outcome="success",resource_namespace="a",name="b"} 1"#,
            r#"kafka_backup_operator_backup_records{resource_namespace="a",name="b"} 7"#,
            r#"kafka_backup_operator_backup_duration_seconds_sum{resource_namespace="a",name="b"} 9.0"#,
            "kafka_backup_operator_build_info{version=",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let overdue = r#"kafka_backup_operator_backup_overdue{resource_namespace="a",name="b"} 1"#;
        let seen = Seen { overdue: Some(true), ..Seen::default() };
        metrics.seen(&owner, &seen);
        assert!(metrics.text().contains(overdue), "{}", metrics.text());
        metrics.leads(false);
        assert!(!metrics.text().contains(overdue), "a replica that does not lead does not know");
        metrics.seen(&owner, &seen);
        metrics.forget(api::oso::GROUP, "KafkaRestore", |_, _| false);
        metrics.forget(api::oso::GROUP, "KafkaBackup", |namespace, name| (namespace, name) == ("a", "b"));
        assert!(metrics.text().contains(r#"name="b""#), "it is there still");
        metrics.forget(api::oso::GROUP, "KafkaBackup", |_, _| false);
        assert!(!metrics.text().contains(r#"name="b""#), "{}", metrics.text());
    }
}
