//! What the operator counts, in Prometheus' text format.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use api::lower::job::Owner;
use api::oso::RunClaim;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::decide::Verdict;

const LOOKS: [f64; 9] = [0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const RUNS: [f64; 10] = [1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByResource {
    resource_namespace: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
    resource_namespace: String,
    name: String,
}

/// What the runs of one kind are counted by.
#[derive(Debug, Default)]
struct Runs {
    ended: Family<ByOutcome, Counter>,
    last_success: Family<ByResource, Gauge>,
    records: Family<ByResource, Gauge>,
    bytes: Family<ByResource, Gauge>,
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
    backup_time: Family<ByResource, Histogram>,
    restore_time: Family<ByResource, Histogram>,
    overdue: Family<ByResource, Gauge>,
    /// Kind, namespace and name of the resources that have series.
    resources: Mutex<BTreeSet<(String, String, String)>>,
    leader: Gauge,
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
            backup_time: Family::new_with_constructor(|| Histogram::new(RUNS)),
            restore_time: Family::new_with_constructor(|| Histogram::new(RUNS)),
            overdue: Family::default(),
            resources: Mutex::default(),
            leader: Gauge::default(),
            refused: Counter::default(),
            admitted: Counter::default(),
            certificate_expiry: Gauge::default(),
        };
        let mut all = Registry::with_prefix("kafka_backup_operator");
        all.register("build", "Version of the operator", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        all.register("reconciliations", "Looks at resources", metrics.looks.clone());
        all.register("reconciliation_errors", "Looks that failed", metrics.errors.clone());
        all.register_with_unit("reconcile_duration", "Time of a look", Unit::Seconds, metrics.look_time.clone());
        for (word, runs, time) in
            [("backup", &metrics.backups, &metrics.backup_time), ("restore", &metrics.restores, &metrics.restore_time)]
        {
            all.register(format!("{word}s"), "Runs that ended", runs.ended.clone());
            all.register_with_unit(format!("{word}_duration"), "Time of a run", Unit::Seconds, time.clone());
            all.register_with_unit(format!("{word}_size"), "Bytes of the last run", Unit::Bytes, runs.bytes.clone());
            all.register(format!("{word}_records"), "Records of the last run", runs.records.clone());
            let help = "When a run last ended well, in seconds since 1970";
            all.register_with_unit(
                format!("{word}_last_success_timestamp"),
                help,
                Unit::Seconds,
                runs.last_success.clone(),
            );
        }
        let help =
            "Whether the next recovery point of a continuous backup is overdue: three checkpoint intervals went by";
        all.register("backup_overdue", help, metrics.overdue.clone());
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
        let _ = encode(&mut out, &self.registry.lock().unwrap_or_else(PoisonError::into_inner));
        out
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

    /// The series of a kind, and that a resource has some.
    fn runs(&self, kind: &str) -> (&Runs, &Family<ByResource, Histogram>) {
        if kind == "KafkaRestore" { (&self.restores, &self.restore_time) } else { (&self.backups, &self.backup_time) }
    }

    fn remember(&self, owner: &Owner) {
        let key = (owner.kind.clone(), owner.namespace.clone(), owner.name.clone());
        self.resources.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
    }

    /// Ends the series of resources of a kind that are not there any more.
    pub fn forget(&self, kind: &str, is_there: impl Fn(&str, &str) -> bool) {
        let mut resources = self.resources.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = |(of, namespace, name): &(String, String, String)| of == kind && !is_there(namespace, name);
        let (runs, time) = self.runs(kind);
        for (of, namespace, name) in resources.iter().filter(|key| gone(key)) {
            let by = ByResource { resource_namespace: namespace.clone(), name: name.clone() };
            time.remove(&by);
            for series in [&runs.last_success, &runs.records, &runs.bytes] {
                series.remove(&by);
            }
            if of == "KafkaBackup" {
                self.overdue.remove(&by);
            }
            for outcome in ["success", "failure"] {
                let (resource_namespace, name) = (namespace.clone(), name.clone());
                runs.ended.remove(&ByOutcome { outcome, resource_namespace, name });
            }
        }
        resources.retain(|key| !gone(key));
    }

    /// A run is over.
    pub fn run_ended(&self, owner: &Owner, claim: &RunClaim, verdict: &Verdict, now: Timestamp) {
        self.remember(owner);
        let (runs, time) = self.runs(&owner.kind);
        let by = ByResource { resource_namespace: owner.namespace.clone(), name: owner.name.clone() };
        let outcome = if verdict.completed { "success" } else { "failure" };
        let ended = ByOutcome { outcome, resource_namespace: owner.namespace.clone(), name: owner.name.clone() };
        runs.ended.get_or_create(&ended).inc();
        if let Some(began) = claim.started_at.as_ref().and_then(|time| time.parse::<Timestamp>().ok()) {
            time.get_or_create(&by).observe(now.duration_since(began).as_secs_f64());
        }
        let amount = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        if let Some(said) = verdict.said.as_ref().filter(|_| verdict.completed) {
            runs.records.get_or_create(&by).set(amount(said.records));
            runs.bytes.get_or_create(&by).set(amount(said.bytes));
        }
    }

    /// When a run of a resource last ended well.
    pub fn last_success(&self, owner: &Owner, at: Timestamp) {
        self.remember(owner);
        let (runs, _) = self.runs(&owner.kind);
        let by = ByResource { resource_namespace: owner.namespace.clone(), name: owner.name.clone() };
        runs.last_success.get_or_create(&by).set(at.as_second());
    }

    /// Whether the next recovery point of a resource is overdue; `None` when nobody waits for one.
    pub fn overdue(&self, owner: &Owner, overdue: Option<bool>) {
        let by = ByResource { resource_namespace: owner.namespace.clone(), name: owner.name.clone() };
        match overdue {
            Some(overdue) => {
                self.remember(owner);
                self.overdue.get_or_create(&by).set(overdue.into());
            }
            None if owner.kind == "KafkaBackup" => drop(self.overdue.remove(&by)),
            None => {}
        }
    }

    /// Whether this replica runs the controllers.
    pub fn leads(&self, leads: bool) {
        self.leader.set(leads.into());
        if !leads {
            // Another replica knows better from now on.
            self.overdue.clear();
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

#[cfg(test)]
mod tests {
    use super::*;

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
        };
        let claim = RunClaim { started_at: Some("2026-11-21T10:00:00Z".into()), ..RunClaim::default() };
        let verdict =
            Verdict { said: Some(crate::decide::Said { records: 7, ..Default::default() }), ..Verdict::stopped() };
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
        metrics.overdue(&owner, Some(true));
        assert!(metrics.text().contains(overdue), "{}", metrics.text());
        metrics.leads(false);
        assert!(!metrics.text().contains(overdue), "a replica that does not lead does not know");
        metrics.overdue(&owner, Some(true));
        metrics.forget("KafkaRestore", |_, _| false);
        metrics.forget("KafkaBackup", |namespace, name| (namespace, name) == ("a", "b"));
        assert!(metrics.text().contains(r#"name="b""#), "it is there still");
        metrics.forget("KafkaBackup", |_, _| false);
        assert!(!metrics.text().contains(r#"name="b""#), "{}", metrics.text());
    }
}
