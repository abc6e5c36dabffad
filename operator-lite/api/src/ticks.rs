//! Which ticks of a schedule count for a backup, and which were missed. Pure, and the only place that says so: the operator
//! decides by it, and the plugin tells what a command does.
//!
//! Ticks count from when the schedule was written: one that is edited in the morning does not make up for the night.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;

use crate::oso::{KafkaBackup, KafkaBackupStatus, RunClaim};
use crate::schedule::Schedule;

/// Annotation of a KafkaBackup: no run makes up for ticks up to this time (RFC 3339).
pub const SKIP_ANNOTATION: &str = "kafka.oso.sh/skip-missed-until";

/// Clocks of replicas, of the API server and of people may differ by so much: a time that little ahead was meant.
pub const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(10);
/// A tick that was missed is looked for in windows of these seconds before now, the narrowest first.
const WINDOWS: [i64; 7] = [60, 3_600, 86_400, 7 * 86_400, 31 * 86_400, 366 * 86_400, 10 * 366 * 86_400];
/// Most ticks that are counted.
pub const COUNTED: u32 = 100;

/// Ticks that have passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The newest.
    pub newest: Timestamp,
    /// How many, at most 100.
    pub count: u32,
}

/// The ticks after `anchor` that are not later than `now`.
#[must_use]
pub fn passed(schedule: &Schedule, anchor: Timestamp, now: Timestamp) -> Option<Passed> {
    let not_later = |tick: &Timestamp| *tick <= now;
    let mut count = 1;
    let mut tick = schedule.next_after(anchor).filter(not_later)?;
    while count < COUNTED {
        let Some(next) = schedule.next_after(tick).filter(not_later) else {
            return Some(Passed { newest: tick, count });
        };
        tick = next;
        count += 1;
    }
    Some(Passed { newest: newest(schedule, anchor, now).unwrap_or(tick), count })
}

/// The newest tick after `anchor` that is not in the future.
fn newest(schedule: &Schedule, anchor: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let not_later = |tick: &Timestamp| *tick <= now;
    let mut begin = WINDOWS.into_iter().map(|seconds| anchor.max(now - SignedDuration::from_secs(seconds)));
    let mut tick = begin.find_map(|from| schedule.next_after(from).filter(not_later))?;
    while let Some(next) = schedule.next_after(tick).filter(not_later) {
        tick = next;
    }
    Some(tick)
}

/// The time after which ticks count: the newest of the tick that was claimed, else when the resource was made, and `since`.
///
/// A claimed tick that is far ahead of now was written by a clock that was wrong, or came with a status from elsewhere: the
/// schedule would stand still until then.
#[must_use]
pub fn anchor(claimed: Option<Timestamp>, created: Timestamp, since: Option<Timestamp>, now: Timestamp) -> Timestamp {
    let near = |time: &Timestamp| time.duration_since(now) <= CLOCKS_DIFFER;
    let begun = claimed.filter(near).unwrap_or(created);
    since.filter(near).map_or(begun, |since| since.max(begun))
}

/// [`anchor`] of a backup.
#[must_use]
pub fn anchor_of(backup: &KafkaBackup, now: Timestamp) -> Timestamp {
    let claimed = backup.status.as_ref().and_then(|status| time(status.last_schedule_time.as_ref()));
    let created = backup.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    anchor(claimed, created, since(backup, now), now)
}

/// From when on ticks of a backup's schedule count, if that is later than its creation: since the schedule was written, or
/// since its author asked for missed ticks to be left out.
#[must_use]
pub fn since(backup: &KafkaBackup, now: Timestamp) -> Option<Timestamp> {
    let written = match &backup.status {
        Some(status) if is_changed(status, backup.spec.schedule.as_ref()) => {
            Some(edited(backup).map_or(now, |at| at.min(now)))
        }
        Some(status) => time(status.schedule_since.as_ref()),
        None => None,
    };
    let asked = time(backup.annotations().get(SKIP_ANNOTATION));
    written.max(asked.filter(|time| time.duration_since(now) <= CLOCKS_DIFFER))
}

/// Writes down the schedule that was seen, since when its ticks count, and while a run works which tick is next.
pub fn note(new: &mut KafkaBackupStatus, backup: &KafkaBackup, now: Timestamp) {
    let since = since(backup, now).map(|time| time.to_string());
    let known = new.observed_schedule.is_some() || backup.spec.schedule.is_some();
    new.observed_schedule = known.then(|| backup.spec.schedule.clone().unwrap_or_default());
    new.schedule_since = since.filter(|_| known);
    let told = KafkaBackup { status: Some(new.clone()), ..backup.clone() };
    let Some(schedule) = at_work(&told) else {
        new.missed_ticks = None;
        return;
    };
    let anchor = anchor_of(&told, now);
    let meanwhile = passed(&schedule, anchor, now);
    new.missed_ticks = meanwhile.map(|passed| passed.count);
    // A tick that came meanwhile runs next.
    let next = meanwhile.map(|passed| passed.newest).or_else(|| schedule.next_after(anchor.max(now)));
    new.next_scheduled_backup = next.map(|time| time.to_string());
}

/// The schedule of a backup whose run works, where a tick starts the next one.
fn at_work(backup: &KafkaBackup) -> Option<Schedule> {
    let works = backup.status.as_ref()?.run.as_ref().is_some_and(RunClaim::is_unfinished);
    let schedule = backup.spec.schedule.as_deref();
    Schedule::parse(schedule.filter(|_| works && !backup.spec.suspend && !backup.spec.continuous)?).ok()
}

/// What a status says of so many ticks that came meanwhile; empty when none did.
#[must_use]
pub fn meanwhile_words(missed: Option<u32>) -> String {
    match missed {
        None | Some(0) => String::new(),
        Some(1) => "; a tick came meanwhile and runs next".to_owned(),
        Some(count) => format!("; {count} ticks came meanwhile, the newest runs next"),
    }
}

/// Whether a schedule is another one than was seen before. Versions that did not look left nothing of it: what ran by a
/// schedule then still does.
fn is_changed(status: &KafkaBackupStatus, schedule: Option<&String>) -> bool {
    let Some(schedule) = schedule else { return false };
    match &status.observed_schedule {
        Some(seen) => seen != schedule,
        None => status.last_schedule_time.is_none(),
    }
}

/// When whoever wrote the schedule wrote last.
fn edited(backup: &KafkaBackup) -> Option<Timestamp> {
    let wrote = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().filter(|_| entry.subresource.is_none());
        fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:schedule").is_some())
    };
    backup.managed_fields().iter().filter(wrote).filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
}

fn time(text: Option<&String>) -> Option<Timestamp> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-11-21T{text}Z").parse().unwrap()
    }

    fn nightly(schedule: &str, status: Value) -> KafkaBackup {
        serde_json::from_value(json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
            "metadata": {"name": "nightly", "creationTimestamp": "2026-11-01T00:00:00Z", "managedFields": [
                {"manager": "kubectl", "operation": "Update", "time": at("09:58:00"), "fieldsV1": {"f:spec": {"f:schedule": {}}}},
                {"manager": "git", "operation": "Apply", "time": at("09:59:00"), "fieldsV1": {"f:metadata": {"f:labels": {}}}},
            ]},
            "spec": {
                "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "topics": ["orders"], "schedule": schedule,
                "storage": {"storageType": "pvc", "pvc": {"claimName": "b"}},
            },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_schedule_that_is_edited_counts_from_the_edit() {
        let (new, now) = ("0 0 3 * * *", at("10:00:00"));
        let seen = |schedule: &str| json!({"observedSchedule": schedule, "lastScheduleTime": "2026-11-20T02:00:00Z"});
        let due = |status: Value| {
            let backup = nightly(new, status);
            passed(&Schedule::parse(new).unwrap(), anchor_of(&backup, now), now).map(|passed| passed.newest)
        };
        assert_eq!(due(seen(new)), Some(at("03:00:00")), "the tick of this night was missed");
        assert_eq!(due(seen("0 0 2 * * *")), None, "edited a moment ago");
        assert_eq!(due(seen("")), None, "a backup that ran once gets a schedule");
        assert_eq!(due(json!({"phase": "Completed"})), None, "the same, as a version told that did not look");
        assert_eq!(
            due(json!({"lastScheduleTime": "2026-11-20T02:00:00Z"})),
            Some(at("03:00:00")),
            "an upgrade loses no tick"
        );
        assert_eq!(due(Value::Null), Some(at("03:00:00")), "no operator was there since it was made");
        let mut noted = KafkaBackupStatus::default();
        note(&mut noted, &nightly(new, seen("0 0 2 * * *")), now);
        assert_eq!(
            (noted.observed_schedule.as_deref(), noted.schedule_since),
            (Some(new), Some(at("09:58:00").to_string()))
        );
    }

    #[test]
    fn while_a_run_works_the_next_tick_is_told() {
        let next = |suspend: bool, now: &str| {
            let status = json!({
                "observedSchedule": "0 0 3 * * *", "lastScheduleTime": at("03:00:00"), "nextScheduledBackup": at("03:00:00"),
                "run": {"id": "nightly-1", "at": at("03:00:05"), "trigger": "schedule", "generation": 1, "digest": "d", "attempt": 1},
            });
            let mut backup = nightly("0 0 3 * * *", status);
            backup.spec.suspend = suspend;
            let mut noted = backup.status.clone().unwrap();
            note(&mut noted, &backup, now.parse().unwrap());
            (noted.next_scheduled_backup.unwrap(), noted.missed_ticks)
        };
        assert_eq!(next(false, "2026-11-21T03:00:05Z"), ("2026-11-22T03:00:00Z".to_owned(), None));
        assert_eq!(next(false, "2026-11-22T04:00:00Z"), ("2026-11-22T03:00:00Z".to_owned(), Some(1)), "it runs next");
        assert_eq!(next(true, "2026-11-21T03:00:05Z").0, at("03:00:00").to_string(), "told when the run is over");
    }

    #[test]
    fn ticks_are_left_out_when_their_author_says_so() {
        let now = at("10:00:00");
        let status = json!({"observedSchedule": "0 0 * * * *", "lastScheduleTime": at("05:00:00"), "scheduleSince": at("01:00:00")});
        let anchor = |until: &str| {
            let mut backup = nightly("0 0 * * * *", status.clone());
            backup.annotations_mut().insert(SKIP_ANNOTATION.to_owned(), until.to_owned());
            anchor_of(&backup, now)
        };
        assert_eq!(anchor("2026-11-21T09:30:00Z"), at("09:30:00"));
        assert_eq!(anchor("2026-11-21T10:05:00Z"), at("10:05:00"), "a clock that is a little ahead");
        for not in ["2026-11-20T09:30:00Z", "2027-11-21T09:30:00Z", "now"] {
            assert_eq!(anchor(not), at("05:00:00"), "{not}");
        }
    }

    #[test]
    fn ticks_that_passed_are_counted_up_to_a_hundred() {
        let passed = |schedule: &str, from: &str, to: &str| {
            let passed = passed(&Schedule::parse(schedule).unwrap(), from.parse().unwrap(), to.parse().unwrap());
            passed.map(|passed| (passed.newest.to_string(), passed.count))
        };
        let found = |time: &str, count| Some((time.to_owned(), count));
        let hourly = "0 0 * * * *";
        assert_eq!(passed(hourly, "2026-11-21T10:00:00Z", "2026-11-21T10:59:59Z"), None);
        assert_eq!(passed(hourly, "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"), found("2026-11-21T11:00:00Z", 1));
        assert_eq!(passed(hourly, "2026-11-21T10:00:00Z", "2026-11-21T14:10:00Z"), found("2026-11-21T14:00:00Z", 4));
        assert_eq!(
            passed("* * * * * *", "2006-11-21T10:00:00Z", "2026-11-21T14:10:00Z"),
            found("2026-11-21T14:10:00Z", 100)
        );
    }
}
