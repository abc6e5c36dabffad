//! The rules of each kind. Pure: every function gives all findings at once, and needs nothing but the resource and,
//! for schedules, the time.
//!
//! What the schema of a kind already refuses (missing fields, types, enumerations) is not said again.

mod backup;
pub(crate) mod bounds;
mod cluster;
mod inspection;
mod metrics;
pub(crate) mod names;
mod offsets;
mod restore;
mod runs;
mod storage;
mod strimzi;
mod validation;

use std::collections::BTreeSet;

use contract::stamp::split_point;
use contract::{KafkaSpec, MappingPlace, RestoreName, SetOwner};
use jiff::Timestamp;

use crate::finding::{Finding, Findings};
use crate::lower::{self, Identity};
use crate::oso::{
    BackupRef, KafkaBackupSpec, KafkaBackupValidationSpec, KafkaOffsetResetSpec, KafkaOffsetRollbackSpec,
    KafkaRestoreSpec, PvcStorage, RateLimiting, Storage,
};
use crate::schedule::{Schedule, Unread, is_often};
use crate::strimzi::{self as strimzi_kinds, Documented, Released};

use runs::{ELSEWHERE, OSO, STRIMZI, fits};

pub use inspection::inspection;
pub use names::is_label;
pub use strimzi::Patterns;

/// Findings on a KafkaBackup.
#[must_use]
pub fn oso_backup(spec: &KafkaBackupSpec, now: Timestamp) -> Vec<Finding> {
    collect(|out| {
        backup::backup(out, spec, now);
        fits(out, lower::backup(Identity::default(), spec), ("spec.storage", OSO), PATTERNS);
    })
}

/// Findings on a KafkaRestore.
#[must_use]
pub fn oso_restore(spec: &KafkaRestoreSpec) -> Vec<Finding> {
    collect(|out| {
        restore::restore(out, spec);
        let elsewhere = elsewhere();
        let storage = spec.backup_ref.storage.as_ref().unwrap_or(&elsewhere);
        let run = lower::restore(Identity::default(), spec, storage, None);
        fits(out, run, ("spec.backupRef.storage", OSO), PATTERNS);
    })
}

/// Findings on a storage block that stands for itself, in the settings of an installation.
#[must_use]
pub fn storage_block(at: &str, storage: &crate::oso::Storage) -> Vec<Finding> {
    collect(|out| self::storage::storage(out, at, storage))
}

/// Findings on a KafkaOffsetReset.
#[must_use]
pub fn oso_offset_reset(spec: &KafkaOffsetResetSpec) -> Vec<Finding> {
    collect(|out| {
        offsets::reset(out, spec);
        let elsewhere = elsewhere();
        let storage = spec.state_storage.as_ref().unwrap_or(&elsewhere);
        // Where its mapping lies is known when it runs, if it does not say so.
        let path = spec.offset_mapping_ref.as_ref().and_then(lower::mapping_path);
        let mapping = MappingPlace { path: path.unwrap_or_else(|| ELSEWHERE.to_owned()), storage: None };
        let run = lower::offset_reset(Identity::default(), spec, storage, Some(mapping));
        fits(out, run, ("spec.stateStorage", OSO), FEWER_GROUPS);
    })
}

/// Findings on a KafkaOffsetRollback.
#[must_use]
pub fn oso_offset_rollback(spec: &KafkaOffsetRollbackSpec) -> Vec<Finding> {
    collect(|out| {
        offsets::rollback(out, spec);
        let elsewhere = elsewhere();
        let storage = lower::offset_store(spec.state_storage.as_ref().unwrap_or(&elsewhere));
        // Another resource knows the name of what it saved.
        let id = Some(ELSEWHERE.to_owned());
        let run = storage.and_then(|storage| lower::offset_rollback(Identity::default(), spec, storage, id));
        fits(out, run, ("spec.stateStorage", OSO), FEWER_GROUPS);
    })
}

/// Findings on a KafkaBackupValidation.
#[must_use]
pub fn oso_validation(spec: &KafkaBackupValidationSpec, now: Timestamp) -> Vec<Finding> {
    collect(|out| {
        validation::validation(out, spec, now);
        let elsewhere = elsewhere();
        let storage = spec.backup_ref.storage.as_ref().unwrap_or(&elsewhere);
        // Where the state of the restore lies is known when it runs.
        let restore = spec.restore_ref.as_ref().map(|restore| RestoreName {
            name: restore.name.clone(),
            namespace: String::new(),
            state_storage: None,
        });
        let run = lower::validation(Identity::default(), spec, storage, None, restore);
        fits(out, run, ("spec.backupRef.storage", OSO), PATTERNS);
    })
}

/// Findings on a KafkaBackup of a Strimzi group.
#[must_use]
pub fn strimzi_backup(spec: &strimzi_kinds::KafkaBackupSpec, patterns: Patterns, now: Timestamp) -> Vec<Finding> {
    collect(|out| {
        strimzi::backup(out, spec, patterns, now);
        let run = match patterns {
            Patterns::Regex => lower::strimzi::backup::<Documented>(Identity::default(), spec, brokers()),
            Patterns::Glob => lower::strimzi::backup::<Released>(Identity::default(), spec, brokers()),
        };
        fits(out, run, ("spec.storage", STRIMZI), PATTERNS);
    })
}

/// Findings on a KafkaRestore of a Strimzi group.
#[must_use]
pub fn strimzi_restore(spec: &strimzi_kinds::KafkaRestoreSpec, patterns: Patterns) -> Vec<Finding> {
    collect(|out| {
        strimzi::restore(out, spec, patterns);
        let backup = strimzi::elsewhere();
        let owner = SetOwner { name: spec.backup_ref.name.clone(), namespace: None, cluster_id: None };
        let source = lower::strimzi::Source { spec: &backup, owner };
        let run = match patterns {
            Patterns::Regex => lower::strimzi::restore::<Documented>(Identity::default(), spec, brokers(), source),
            Patterns::Glob => lower::strimzi::restore::<Released>(Identity::default(), spec, brokers(), source),
        };
        fits(out, run, ("spec.storage", STRIMZI), PATTERNS);
    })
}

/// Stands for the brokers that a resource of Strimzi names.
fn brokers() -> KafkaSpec {
    KafkaSpec { bootstrap_servers: vec![format!("{ELSEWHERE}:9092")], ..KafkaSpec::default() }
}

/// Stands for the storage of the KafkaBackup that a restore names.
fn elsewhere() -> Storage {
    let claim = PvcStorage { claim_name: ELSEWHERE.to_owned(), sub_path: None, create: None };
    Storage { storage_type: "pvc".to_owned(), pvc: Some(claim), s3: None, azure: None, gcs: None }
}

/// What helps where the lists of a backup or a restore are too long.
const PATTERNS: &str = "use patterns instead of long lists of names";
/// What helps where those of a change of committed offsets are.
const FEWER_GROUPS: &str = "make several resources, each with some of the groups";

fn collect(rules: impl FnOnce(&mut Findings)) -> Vec<Finding> {
    let mut out = Findings::default();
    rules(&mut out);
    out.into_vec()
}

/// What a schedule that fires each few seconds comes to.
const OFTEN: &str = "fires more often than each minute: runs follow each other without a pause, and ticks are left out";

/// Most bytes of a schedule.
const LONGEST_SCHEDULE: usize = 1_000;

/// Whether a schedule is short enough to be read.
fn is_readable(out: &mut Findings, field: &str, text: &str) -> bool {
    if text.len() > LONGEST_SCHEDULE {
        let rule = format!("must have at most {LONGEST_SCHEDULE} bytes");
        out.wrong(field, format!("{} bytes", text.len()), &rule, "write steps and ranges in the place of long lists");
        return false;
    }
    true
}

/// A schedule reads and comes to pass; what it means is told where it may surprise.
fn schedule(out: &mut Findings, text: Option<&str>, now: Timestamp) {
    const FIELD: &str = "spec.schedule";
    let Some(text) = text.filter(|text| is_readable(out, FIELD, text)) else { return };
    match Schedule::parse(text) {
        Err(Unread { rule, fix }) => out.wrong(FIELD, format!("{text:?}"), &format!("the schedule {rule}"), &fix),
        Ok(schedule) => {
            if schedule.next_after(now).is_none() {
                out.wrong(FIELD, format!("{text:?}"), "the schedule never comes to pass", "mend its days or its year");
            }
            if is_often(|time| schedule.next_after(time), now) {
                out.warn(FIELD, Some(format!("{text:?}")), OFTEN, "write 0 for the seconds, as 0 */5 * * * *");
            }
            for note in schedule.notes() {
                out.warn(FIELD, Some(format!("{text:?}")), note, "write it so if that is not meant");
            }
        }
    }
}

/// A recovery point is named, or its storage is.
fn backup_ref(out: &mut Findings, reference: &BackupRef) {
    const FIELD: &str = "spec.backupRef";
    if let Some(place) = &reference.storage {
        storage::storage(out, &format!("{FIELD}.storage"), place);
        if reference.from().is_empty() {
            let rule = "is not set, nor is name: the newest recovery point of the storage is meant";
            out.warn(&format!("{FIELD}.backupId"), None, rule, "write a recovery point to be sure");
        }
    } else if reference.name.is_empty() {
        let fix = "name a KafkaBackup, or add backupRef.storage";
        out.missing(&format!("{FIELD}.name"), "must not be empty without backupRef.storage", fix);
    }
    if !reference.name.is_empty() {
        names::object_name(out, &format!("{FIELD}.name"), &reference.name);
    }
    // Admission asks for a right on the backup that is named: the point must be one of its own.
    if let (None, Some(point)) = (&reference.storage, reference.point())
        && point != reference.name
        && split_point(point).is_none_or(|(name, _)| name != reference.name)
    {
        let rule = format!("must be {0}, or {0}-YYYYMMDD-HHMMSS: a recovery point of that backup", reference.name);
        let fix = "`kubectl kafka-backup browse` lists them; for another backup, name it in backupRef.name";
        out.wrong(&format!("{FIELD}.backupId"), format!("{point:?}"), &rule, fix);
    }
    if let Some(namespace) = &reference.namespace {
        names::namespace(out, &format!("{FIELD}.namespace"), namespace);
    }
}

fn rates(out: &mut Findings, limits: Option<&RateLimiting>) {
    if let Some(limits) = limits {
        out.above_zero("spec.rateLimiting.maxConcurrentPartitions", limits.max_concurrent_partitions);
    }
}

fn groups(out: &mut Findings, field: &str, groups: &[String]) {
    not_empty(out, field, groups, "write the name of a group");
}

/// Names, of which none is empty.
fn not_empty(out: &mut Findings, field: &str, names: &[String], fix: &str) {
    for (number, _) in names.iter().enumerate().filter(|(_, name)| name.is_empty()) {
        out.wrong(&format!("{field}[{number}]"), "\"\"", "must not be empty", fix);
    }
}

/// Names of a run of offsets, which takes each once.
fn each_once(out: &mut Findings, field: &str, names: &[String]) {
    let mut seen = BTreeSet::new();
    for (number, name) in names.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
        if !seen.insert(name) {
            out.wrong(
                &format!("{field}[{number}]"),
                format!("{name:?}"),
                "stands in the list a second time",
                "remove it",
            );
        }
    }
}
