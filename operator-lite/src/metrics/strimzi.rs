//! The series that Strimzi's users know, from the statuses of their resources: an operator that was started anew tells the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use api::lower::job::Owner;
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

const RUNS: [f64; 9] = [10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];

/// What a status of a Strimzi group says that its series tell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Name of the Strimzi cluster.
    pub cluster: String,
    /// Whether it is a restore.
    pub restores: bool,
    /// When the resource was made.
    pub created: Option<Timestamp>,
    /// Records of all its runs.
    pub records: u64,
    /// Bytes of these records.
    pub bytes: u64,
    /// Bytes that its runs stored.
    pub stored: u64,
    /// When a run last ended well, and when one last failed.
    pub last: (Option<Timestamp>, Option<Timestamp>),
    /// Runs that ended: a name for each, and the seconds that it took.
    pub runs: Vec<(String, f64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct ByBackup {
    backup_name: String,
    cluster: String,
    resource_namespace: String,
    group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, EncodeLabelSet)]
struct ByRestore {
    restore_name: String,
    cluster: String,
    resource_namespace: String,
    group: String,
}

/// What is kept of a resource beside its series.
#[derive(Debug, Default)]
struct Kept {
    /// Since when there is no newer backup.
    since: Option<Timestamp>,
    /// Runs whose time is told already.
    timed: BTreeSet<String>,
}

/// The series.
#[derive(Debug)]
pub(super) struct Strimzi {
    records: Family<ByBackup, Counter>,
    bytes: Family<ByBackup, Counter>,
    time: Family<ByBackup, Histogram>,
    success: Family<ByBackup, Gauge>,
    failure: Family<ByBackup, Gauge>,
    storage: Family<ByBackup, Gauge>,
    lag: Family<ByBackup, Gauge>,
    restored_records: Family<ByRestore, Counter>,
    restored_bytes: Family<ByRestore, Counter>,
    restore_time: Family<ByRestore, Histogram>,
    backups: Mutex<BTreeMap<ByBackup, Kept>>,
    restores: Mutex<BTreeMap<ByRestore, Kept>>,
    registry: Mutex<Registry>,
}

impl Strimzi {
    pub(super) fn new() -> Self {
        let strimzi = Self {
            records: Family::default(),
            bytes: Family::default(),
            time: Family::new_with_constructor(|| Histogram::new(RUNS)),
            success: Family::default(),
            failure: Family::default(),
            storage: Family::default(),
            lag: Family::default(),
            restored_records: Family::default(),
            restored_bytes: Family::default(),
            restore_time: Family::new_with_constructor(|| Histogram::new(RUNS)),
            backups: Mutex::default(),
            restores: Mutex::default(),
            registry: Mutex::default(),
        };
        let mut all = Registry::with_prefix("strimzi");
        all.register("backup_records", "Records that were backed up", strimzi.records.clone());
        all.register("backup_bytes", "Bytes of these records", strimzi.bytes.clone());
        all.register("backup_duration_seconds", "Time of a backup", strimzi.time.clone());
        let help = "When a backup last ended well, in seconds since 1970";
        all.register("backup_last_success_timestamp", help, strimzi.success.clone());
        let help = "When a backup last failed for good, in seconds since 1970";
        all.register("backup_last_failure_timestamp", help, strimzi.failure.clone());
        all.register("backup_storage_bytes", "Bytes that backups of the resource stored", strimzi.storage.clone());
        let help = "Seconds since a backup last ended well, or since the resource was made";
        all.register("backup_lag_seconds", help, strimzi.lag.clone());
        all.register("restore_records", "Records that were restored", strimzi.restored_records.clone());
        all.register("restore_bytes", "Bytes of these records", strimzi.restored_bytes.clone());
        all.register("restore_duration_seconds", "Time of a restore", strimzi.restore_time.clone());
        *strimzi.registry.lock().unwrap_or_else(PoisonError::into_inner) = all;
        strimzi
    }

    /// A resource is there, and this is what its status says.
    pub(super) fn seen(&self, owner: &Owner, told: &Told) {
        let group = owner.api_version.split('/').next().unwrap_or_default().to_owned();
        let (name, cluster, resource_namespace) = (owner.name.clone(), told.cluster.clone(), owner.namespace.clone());
        if told.restores {
            let by = ByRestore { restore_name: name, cluster, resource_namespace, group };
            count(&self.restored_records, &by, told.records);
            count(&self.restored_bytes, &by, told.bytes);
            let mut all = self.restores.lock().unwrap_or_else(PoisonError::into_inner);
            return time(&self.restore_time, &by, &mut all.entry(by.clone()).or_default().timed, &told.runs);
        }
        let by = ByBackup { backup_name: name, cluster, resource_namespace, group };
        count(&self.records, &by, told.records);
        count(&self.bytes, &by, told.bytes);
        self.storage.get_or_create(&by).set(i64::try_from(told.stored).unwrap_or(i64::MAX));
        for (series, at) in [(&self.success, told.last.0), (&self.failure, told.last.1)] {
            if let Some(at) = at {
                series.get_or_create(&by).set(at.as_second());
            }
        }
        let mut all = self.backups.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(by.clone()).or_default();
        kept.since = told.last.0.or(told.created);
        time(&self.time, &by, &mut kept.timed, &told.runs);
    }

    /// All series as text; what grows by itself is as of now.
    pub(super) fn write(&self, out: &mut String, now: Timestamp) {
        for (by, kept) in self.backups.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(since) = kept.since {
                self.lag.get_or_create(by).set(now.duration_since(since).as_secs().max(0));
            }
        }
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = prometheus_client::encoding::text::encode_registry(out, &registry);
    }

    /// Ends the series of resources of a kind of a group that are not there any more.
    pub(super) fn forget(&self, group: &str, kind: &str, is_there: impl Fn(&str, &str) -> bool) {
        if kind == "KafkaRestore" {
            let mut all = self.restores.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|by, _| {
                let stays = by.group != group || is_there(&by.resource_namespace, &by.restore_name);
                if !stays {
                    self.restored_records.remove(by);
                    self.restored_bytes.remove(by);
                    self.restore_time.remove(by);
                }
                stays
            });
            return;
        }
        if kind != "KafkaBackup" {
            return;
        }
        let mut all = self.backups.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|by, _| {
            let stays = by.group != group || is_there(&by.resource_namespace, &by.backup_name);
            if !stays {
                self.records.remove(by);
                self.bytes.remove(by);
                self.time.remove(by);
                for series in [&self.success, &self.failure, &self.storage, &self.lag] {
                    series.remove(by);
                }
            }
            stays
        });
    }

    /// Another replica knows better from now on.
    pub(super) fn clear(&self) {
        for kind in ["KafkaBackup", "KafkaRestore"] {
            for group in [api::strimzi::GROUP, api::strimzi::RELEASED_GROUP] {
                self.forget(group, kind, |_, _| false);
            }
        }
    }
}

/// A count as a status has it. It never falls: a status that lost it begins anew, as a counter may.
fn count<L: Clone + std::hash::Hash + Eq>(series: &Family<L, Counter>, by: &L, value: u64) {
    series.get_or_create(by).inner().store(value, Ordering::Relaxed);
}

/// Tells the times of runs that were not told yet.
fn time<L: Clone + std::hash::Hash + Eq>(
    series: &Family<L, Histogram>,
    by: &L,
    timed: &mut BTreeSet<String>,
    runs: &[(String, f64)],
) {
    let histogram = series.get_or_create(by);
    for (run, seconds) in runs {
        if timed.insert(run.clone()) {
            histogram.observe(*seconds);
        }
    }
    // A status keeps some runs only.
    timed.retain(|run| runs.iter().any(|(known, _)| known == run));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(kind: &str) -> Owner {
        Owner {
            api_version: "kafkabackup.com/v1".into(),
            kind: kind.into(),
            namespace: "shop".into(),
            name: "nightly".into(),
            uid: "u".into(),
            part: None,
        }
    }

    #[test]
    fn the_ten_series_have_the_values_of_statuses() {
        let strimzi = Strimzi::new();
        let at = |second| Timestamp::from_second(second).unwrap();
        let told = Told {
            cluster: "events".into(),
            records: 7,
            bytes: 70,
            stored: 30,
            created: Some(at(1)),
            last: (Some(at(1_000)), Some(at(900))),
            runs: vec![("a".into(), 12.0), ("b".into(), 40.0)],
            ..Told::default()
        };
        // Looks do not add up.
        strimzi.seen(&owner("KafkaBackup"), &told);
        strimzi.seen(&owner("KafkaBackup"), &told);
        let restored = Told { restores: true, runs: vec![("r".into(), 3.0)], ..told.clone() };
        strimzi.seen(&owner("KafkaRestore"), &restored);
        let text = |now| {
            let mut out = String::new();
            strimzi.write(&mut out, at(now));
            out
        };
        let labels = r#"cluster="events",resource_namespace="shop",group="kafkabackup.com""#;
        for (name, value) in [
            ("backup_records_total", "7"),
            ("backup_bytes_total", "70"),
            ("backup_duration_seconds_count", "2"),
            ("backup_duration_seconds_sum", "52.0"),
            ("backup_last_success_timestamp", "1000"),
            ("backup_last_failure_timestamp", "900"),
            ("backup_storage_bytes", "30"),
            ("backup_lag_seconds", "500"),
            ("restore_records_total", "7"),
            ("restore_bytes_total", "70"),
            ("restore_duration_seconds_count", "1"),
        ] {
            let what = if name.starts_with("backup") { "backup_name" } else { "restore_name" };
            let line = format!(r#"strimzi_{name}{{{what}="nightly",{labels}}} {value}"#);
            assert!(text(1_500).contains(&line), "{line}\n{}", text(1_500));
        }
        assert!(text(2_000).contains(&format!(r#"lag_seconds{{backup_name="nightly",{labels}}} 1000"#)), "it grows");
        strimzi.forget("backup.strimzi.io", "KafkaBackup", |_, _| false);
        assert!(text(0).contains("nightly"), "those of the other group stay");
        strimzi.clear();
        assert!(!text(0).contains("nightly"), "{}", text(0));
    }
}
