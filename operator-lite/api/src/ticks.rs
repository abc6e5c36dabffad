//! Which ticks of a schedule count for a resource, and which were missed. Pure, and the only place that says so: the operator
//! decides by it, and the plugin tells what a command does.
//!
//! Ticks count from when the schedule was written: one that is edited in the morning does not make up for the night.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::ResourceExt;

use crate::oso::{KafkaBackup, KafkaBackupValidation, RunClaim};
use crate::schedule::{CronJob, Schedule};
use crate::strimzi::{BackupOf, Group};

/// Annotation of a resource with a schedule: no run makes up for ticks up to this time (RFC 3339).
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

/// A resource whose runs may follow a schedule.
pub trait Scheduled: ResourceExt {
    /// Its schedule as it is written: when this changes, ticks count anew.
    fn schedule(&self) -> Option<String>;
    /// Its schedule, if it has one that reads.
    fn ticks(&self) -> Option<Schedule> {
        Schedule::parse(&self.schedule()?).ok()
    }
    /// Whether its ticks start runs: not while it is suspended, nor where it runs all the time.
    fn follows_ticks(&self) -> bool;
    /// What its status noted of its schedule; `None` without a status.
    fn noted(&self) -> Option<Noted<'_>>;
}

/// What a status noted of a schedule.
#[derive(Debug, Clone, Copy)]
pub struct Noted<'a> {
    /// The newest tick that a run was claimed for.
    pub claimed: Option<&'a String>,
    /// The schedule that was seen.
    pub observed: Option<&'a String>,
    /// From when on its ticks count.
    pub since: Option<&'a String>,
}

/// What a status is to note of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// The schedule that was seen; empty after one was taken back.
    pub observed: Option<String>,
    /// From when on its ticks count.
    pub since: Option<String>,
    /// Ticks that came while a run worked.
    pub missed: Option<u32>,
    /// The next tick, while a run works; told by who decides otherwise.
    pub next: Option<Timestamp>,
}

/// Statuses are different types with the same three fields.
macro_rules! noted_in_status {
    () => {
        fn noted(&self) -> Option<Noted<'_>> {
            let status = self.status.as_ref()?;
            Some(Noted {
                claimed: status.last_schedule_time.as_ref(),
                observed: status.observed_schedule.as_ref(),
                since: status.schedule_since.as_ref(),
            })
        }
    };
}

impl Scheduled for KafkaBackup {
    fn schedule(&self) -> Option<String> {
        self.spec.schedule.clone()
    }

    fn follows_ticks(&self) -> bool {
        !self.spec.suspend && !self.spec.continuous
    }

    noted_in_status!();
}

impl Scheduled for KafkaBackupValidation {
    fn schedule(&self) -> Option<String> {
        self.spec.schedule.clone()
    }

    fn follows_ticks(&self) -> bool {
        !self.spec.suspend
    }

    noted_in_status!();
}

impl<G: Group> Scheduled for BackupOf<G> {
    fn schedule(&self) -> Option<String> {
        let block = self.spec.schedule.as_ref()?;
        let zone = block.timezone.as_ref().map(|zone| format!(" {zone}")).unwrap_or_default();
        Some(block.cron.clone() + &zone)
    }

    fn ticks(&self) -> Option<Schedule> {
        let block = self.spec.schedule.as_ref()?;
        let zone = CronJob::zone(block.timezone.as_deref().unwrap_or("UTC"))?;
        CronJob::parse(&block.cron, zone).ok().map(Schedule::from)
    }

    fn follows_ticks(&self) -> bool {
        self.spec.schedule.as_ref().is_some_and(|schedule| !schedule.suspend) && !self.spec.is_continuous()
    }

    noted_in_status!();
}

/// [`anchor`] of a resource.
#[must_use]
pub fn anchor_of<S: Scheduled>(object: &S, now: Timestamp) -> Timestamp {
    anchored(object, object.noted().and_then(|noted| noted.claimed), now)
}

fn anchored<S: Scheduled>(object: &S, claimed: Option<&String>, now: Timestamp) -> Timestamp {
    let created = object.creation_timestamp().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    anchor(time(claimed), created, since(object, now), now)
}

/// From when on ticks of a resource's schedule count, if that is later than its creation: since the schedule was written, or
/// since its author asked for missed ticks to be left out.
#[must_use]
pub fn since<S: Scheduled>(object: &S, now: Timestamp) -> Option<Timestamp> {
    let written = match object.noted() {
        Some(noted) if is_changed(noted, object.schedule().as_ref()) => {
            Some(edited(object).map_or(now, |at| at.min(now)))
        }
        Some(noted) => time(noted.since),
        None => None,
    };
    let asked = time(object.annotations().get(SKIP_ANNOTATION));
    written.max(asked.filter(|time| time.duration_since(now) <= CLOCKS_DIFFER))
}

/// What the new status of a resource notes: the schedule that was seen, since when its ticks count, and while a run works
/// which tick is next. `claimed` and `run` are those of the new status; `next` is left as it is where none is told.
#[must_use]
pub fn note<S: Scheduled>(object: &S, claimed: Option<&String>, run: Option<&RunClaim>, now: Timestamp) -> Notes {
    let observed = object.noted().and_then(|noted| noted.observed);
    let known = observed.is_some() || object.schedule().is_some();
    let mut out = Notes {
        observed: known.then(|| object.schedule().unwrap_or_default()),
        since: since(object, now).filter(|_| known).map(|time| time.to_string()),
        ..Notes::default()
    };
    let Some(schedule) = at_work(object, run) else { return out };
    let anchor = anchored(object, claimed, now);
    let meanwhile = passed(&schedule, anchor, now);
    out.missed = meanwhile.map(|passed| passed.count);
    // A tick that came meanwhile runs next.
    out.next = meanwhile.map(|passed| passed.newest).or_else(|| schedule.next_after(anchor.max(now)));
    out
}

/// The schedule of a resource whose run works, where a tick starts the next one.
fn at_work<S: Scheduled>(object: &S, run: Option<&RunClaim>) -> Option<Schedule> {
    let works = run.is_some_and(RunClaim::is_unfinished);
    if works && object.follows_ticks() { object.ticks() } else { None }
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
fn is_changed(noted: Noted<'_>, schedule: Option<&String>) -> bool {
    let Some(schedule) = schedule else { return false };
    match noted.observed {
        Some(seen) => seen != schedule,
        None => noted.claimed.is_none(),
    }
}

/// When whoever wrote the schedule wrote last.
fn edited<S: Scheduled>(object: &S) -> Option<Timestamp> {
    let wrote = |entry: &&ManagedFieldsEntry| {
        let fields = entry.fields_v1.as_ref().filter(|_| entry.subresource.is_none());
        fields.is_some_and(|fields| fields.0.pointer("/f:spec/f:schedule").is_some())
    };
    object.managed_fields().iter().filter(wrote).filter_map(|entry| entry.time.as_ref()).map(|time| time.0).max()
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
        let noted = note(&nightly(new, seen("0 0 2 * * *")), None, None, now);
        assert_eq!((noted.observed.as_deref(), noted.since), (Some(new), Some(at("09:58:00").to_string())));
    }

    /// Releases before this one admitted validations and ran none: an upgrade makes up for no tick of theirs.
    #[test]
    fn the_schedule_of_a_validation_counts_as_that_of_a_backup() {
        let now = at("10:00:00");
        let due = |status: Value| {
            let object: KafkaBackupValidation = serde_json::from_value(json!({
                "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation",
                "metadata": {"name": "hourly", "creationTimestamp": "2026-11-01T00:00:00Z"},
                "spec": {"backupRef": {"name": "nightly"}, "checks": {"decode": {}}, "schedule": "0 0 * * * *"},
                "status": status,
            }))
            .unwrap();
            passed(&Schedule::parse("0 0 * * * *").unwrap(), anchor_of(&object, now), now).map(|passed| passed.newest)
        };
        assert_eq!(due(json!({"observedGeneration": 1, "conditions": []})), None, "as an older release left it");
        let claimed = |time: &str| json!({"observedSchedule": "0 0 * * * *", "lastScheduleTime": at(time)});
        assert_eq!(due(claimed("10:00:00")), None);
        assert_eq!(due(claimed("08:00:00")), Some(now), "the newest tick that was missed");
    }

    #[test]
    fn while_a_run_works_the_next_tick_is_told() {
        let next = |suspend: bool, now: &str| {
            let status = json!({
                "observedSchedule": "0 0 3 * * *", "lastScheduleTime": at("03:00:00"),
                "run": {"id": "nightly-1", "at": at("03:00:05"), "trigger": "schedule", "generation": 1, "digest": "d", "attempt": 1},
            });
            let mut backup = nightly("0 0 3 * * *", status);
            backup.spec.suspend = suspend;
            let status = backup.status.clone().unwrap();
            let noted = note(&backup, status.last_schedule_time.as_ref(), status.run.as_ref(), now.parse().unwrap());
            (noted.next.map(|next| next.to_string()), noted.missed)
        };
        let told = |time: &str| Some(time.to_owned());
        assert_eq!(next(false, "2026-11-21T03:00:05Z"), (told("2026-11-22T03:00:00Z"), None));
        assert_eq!(next(false, "2026-11-22T04:00:00Z"), (told("2026-11-22T03:00:00Z"), Some(1)), "it runs next");
        assert_eq!(next(true, "2026-11-21T03:00:05Z").0, None, "told when the run is over");
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
