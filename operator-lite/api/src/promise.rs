//! What a schedule promises: how often a recovery point is made or a validation passes, and from when on the next one is late.
//! Pure, and the only place that says so: status pages and alerts judge by it. Continuous backups promise nothing here: one
//! that has nothing to archive makes no points.

use contract::stamp::{split_point, stamp_time};
use jiff::{SignedDuration, Timestamp};

use crate::oso::{KafkaBackup, KafkaBackupValidation};
use crate::strimzi::{BackupOf, Group};
use crate::ticks::Scheduled;

/// A tick may take this long to become a point or a result, or half an interval if that is longer.
const LEAST: SignedDuration = SignedDuration::from_mins(5);

/// What a schedule promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// Time between the next two ticks.
    pub every: SignedDuration,
    /// From when on the next recovery point or result is late.
    pub late: Timestamp,
}

impl Promise {
    /// The promise of a backup; `None` without a schedule that has two more ticks.
    #[must_use]
    pub fn of(backup: &KafkaBackup) -> Option<Self> {
        if backup.spec.continuous { None } else { Self::of_schedule(backup, newest(backup)) }
    }

    /// The promise of a validation: when the next one must have passed.
    #[must_use]
    pub fn of_validation(validation: &KafkaBackupValidation) -> Option<Self> {
        let passed = validation.status.as_ref().and_then(|status| status.last_pass_time.as_deref()?.parse().ok());
        Self::of_schedule(validation, passed)
    }

    /// The promise of a backup of a Strimzi group.
    #[must_use]
    pub fn of_strimzi<G: Group>(backup: &BackupOf<G>) -> Option<Self> {
        let status = backup.status.as_ref();
        let last = status.and_then(|status| stamped(status.backup_id.as_ref(), status.last_backup_time.as_ref()));
        if backup.spec.is_continuous() { None } else { Self::of_schedule(backup, last) }
    }

    fn of_schedule<S: Scheduled>(object: &S, last: Option<Timestamp>) -> Option<Self> {
        let schedule = object.ticks()?;
        let begun = last.or_else(|| object.creation_timestamp().map(|time| time.0))?;
        // What an edited schedule did not promise yet is not late.
        let since = object.noted().and_then(|noted| noted.since?.parse().ok());
        let anchor = since.map_or(begun, |since: Timestamp| since.max(begun));
        let due = schedule.next_after(anchor)?;
        let every = schedule.next_after(due)?.duration_since(due);
        Some(Self { every, late: due.checked_add((every / 2).max(LEAST)).ok()? })
    }
}

/// When the newest recovery point of a backup was made.
#[must_use]
pub fn newest(backup: &KafkaBackup) -> Option<Timestamp> {
    let status = backup.status.as_ref()?;
    stamped(status.backup_id.as_ref(), status.last_backup_time.as_ref())
}

/// The time in the name of a point, else the other one.
fn stamped(point: Option<&String>, time: Option<&String>) -> Option<Timestamp> {
    let stamped = point.and_then(|point| split_point(point)).and_then(|(_, stamp)| stamp_time(stamp).parse().ok());
    stamped.or_else(|| time?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn late(spec: Value, status: Value) -> Option<String> {
        let mut whole = json!({
            "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "topics": ["orders"],
            "storage": {"storageType": "pvc", "pvc": {"claimName": "b"}},
        });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
            "metadata": {"name": "b", "namespace": "shop", "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": whole, "status": status,
        });
        Promise::of(&serde_json::from_value(object).unwrap()).map(|promise| promise.late.to_string())
    }

    #[test]
    fn a_schedule_is_late_half_an_interval_after_the_next_tick() {
        let daily = || json!({"schedule": "0 0 2 * * *"});
        let point = json!({"backupId": "b-20261120-020000"});
        assert_eq!(late(daily(), point.clone()).as_deref(), Some("2026-11-21T14:00:00Z"));
        assert_eq!(late(daily(), Value::Null).as_deref(), Some("2026-11-01T14:00:00Z"), "counted from its creation");
        let edited = json!({"backupId": "b-20261120-020000", "scheduleSince": "2026-11-21T10:00:00Z"});
        assert_eq!(late(daily(), edited).as_deref(), Some("2026-11-22T14:00:00Z"), "counted from the edit");
        let weekdays = json!({"schedule": "0 0 2 * * 1-5"});
        // Friday's point: nothing is late before Monday.
        assert_eq!(late(weekdays, point.clone()).as_deref(), Some("2026-11-23T14:00:00Z"));
        let minutely = json!({"schedule": "0 * * * * *"});
        assert_eq!(late(minutely, point.clone()).as_deref(), Some("2026-11-20T02:06:00Z"));
        assert_eq!(late(json!({}), point.clone()), None, "once is for ever");
        assert_eq!(late(json!({"schedule": "0 0 2 * * *", "continuous": true}), point), None);
    }
}
