//! The statuses of the Strimzi groups: the same states as those of `kafka.oso.sh`, told with the fields and conditions of these
//! groups. `Ready`, `Stalled` and `Reconciling` are for tools (kstatus); `Error`, `BackupComplete`, `RestoreComplete` and
//! `ReconciliationPaused` are Strimzi's manner.

use api::lower::strimzi::checkpoint_secs;
use api::oso::{self, RunClaim};
use api::strimzi::{
    BackupRun, HistoryEntry, KafkaBackupSpec, KafkaBackupStatus, KafkaRestoreSpec, KafkaRestoreStatus, RestoreResult,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::conditions::{put, set};
use super::{Moment, State, backup, backup_plan, engine, restore};
use crate::decide::Verdict;

/// The reason and the condition of a resource that is not looked after for now.
pub const PAUSED: &str = "ReconciliationPaused";
const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const ERROR: &str = "Error";
/// Earlier runs that a status keeps.
const MOST: usize = 50;

impl From<&KafkaBackupSpec> for backup_plan::Plan {
    fn from(spec: &KafkaBackupSpec) -> Self {
        let prunes = spec.retention.as_ref().is_some_and(|retention| {
            retention.prune_on_schedule && (retention.max_backups.is_some() || retention.max_age.is_some())
        });
        Self {
            scheduled: spec.schedule.is_some(),
            continuous: spec.is_continuous(),
            suspend: spec.schedule.as_ref().is_some_and(|schedule| schedule.suspend),
            checkpoint_secs: Some(checkpoint_secs(spec)),
            retention: prunes && spec.schedule.is_some(),
        }
    }
}

impl From<&KafkaRestoreSpec> for restore::Plan {
    fn from(spec: &KafkaRestoreSpec) -> Self {
        let spec = spec.merged();
        let groups = spec.consumer_groups.as_ref().filter(|groups| groups.restore);
        Self {
            dry_run: spec.restore.as_ref().is_some_and(|options| options.dry_run == Some(true)),
            only_computes: groups.is_some_and(|groups| groups.strategy.as_deref() == Some("manual")),
            puts_back: false,
        }
    }
}

/// The conditions as `kafka.oso.sh` has them. How a run ended stands in `complete`, whose reason holds for both.
fn read(all: &[Condition], complete: &str, run: Option<&RunClaim>) -> Vec<Condition> {
    let mut out = Vec::new();
    for condition in all.iter().filter(|condition| ![ERROR, PAUSED, engine::ENGINE].contains(&condition.type_.as_str()))
    {
        if condition.type_ != complete {
            out.push(condition.clone());
            continue;
        }
        let failed = run.is_some_and(|run| run.outcome.as_deref() == Some("Failed")) && condition.status == "False";
        let status = if failed { "True" } else { "False" };
        out.push(Condition { type_: COMPLETE.to_owned(), ..condition.clone() });
        out.push(Condition { type_: FAILED.to_owned(), status: status.to_owned(), ..condition.clone() });
    }
    out
}

/// The conditions as these groups have them.
fn write(all: Vec<Condition>, old: &[Condition], complete: &str, state: &State, moment: Moment) -> Vec<Condition> {
    let failed = all.iter().find(|condition| condition.type_ == FAILED && condition.status == "True").cloned();
    let mut out: Vec<Condition> = all
        .into_iter()
        .filter(|condition| condition.type_ != FAILED)
        .map(|condition| match condition.type_.as_str() {
            COMPLETE => Condition { type_: complete.to_owned(), ..condition },
            _ => condition,
        })
        .collect();
    let find = |name: &str| out.iter().find(|condition| condition.type_ == name).cloned();
    let stalled = find("Stalled").filter(|condition| condition.status == "True");
    // A place in a queue is no error; whatever else a resource waits for is.
    let waits = matches!(state, State::Pending(reason, _) if *reason != "Queued").then(|| find("Ready")).flatten();
    let ready = find("Ready").filter(|ready| ready.status == "True");
    let failed = failed.filter(|_| ready.is_none() && waits.is_none());
    // Its time is that of the last change.
    out.extend(old.iter().find(|condition| condition.type_ == ERROR).cloned());
    match stalled.or(waits).or(failed) {
        Some(why) => set(&mut out, ERROR, true, &why.reason, &why.message, moment),
        None => set(&mut out, ERROR, false, "NoError", "nothing is wrong", moment),
    }
    if old.iter().any(|condition| condition.type_ == PAUSED) {
        out.extend(old.iter().find(|condition| condition.type_ == PAUSED).cloned());
        put(&mut out, PAUSED, "False", ("Resumed", "the resource is looked after"), moment);
    }
    out
}

/// What a paused resource says: that it is paused; all else stays as it was.
fn pause(conditions: &mut Vec<Condition>, state: &State, moment: Moment) -> bool {
    let State::Pending(PAUSED, text) = state else { return false };
    put(conditions, PAUSED, "True", (PAUSED, text), moment);
    true
}

fn time(text: Option<&String>) -> Option<Time> {
    text?.parse::<Timestamp>().ok().map(Time)
}

fn number<T: TryInto<U>, U>(value: T) -> Option<U> {
    value.try_into().ok()
}

/// The new status of a KafkaBackup.
#[must_use]
pub fn strimzi_backup(
    old: &KafkaBackupStatus,
    spec: &KafkaBackupSpec,
    state: &State,
    moment: Moment,
) -> KafkaBackupStatus {
    const OWN: &str = "BackupComplete";
    let mut new = old.clone();
    if pause(&mut new.conditions, state, moment) {
        return new;
    }
    let before = oso::KafkaBackupStatus {
        phase: old.phase.clone(),
        message: old.message.clone(),
        last_backup_time: old.last_backup_time.clone(),
        last_schedule_time: old.last_schedule_time.clone(),
        next_scheduled_backup: old.next_scheduled_backup.clone(),
        records_processed: old.records_processed,
        bytes_processed: old.bytes_processed,
        backup_id: old.backup_id.clone(),
        recent_points: old.recent_points.clone(),
        run: old.run.clone(),
        last_trigger: old.last_trigger.clone(),
        conditions: read(&old.conditions, OWN, old.run.as_ref()),
        ..oso::KafkaBackupStatus::default()
    };
    let after = backup(&before, spec, state, moment);
    new.conditions = write(after.conditions, &old.conditions, OWN, state, moment);
    new.observed_generation = after.observed_generation;
    new.phase = after.phase;
    new.message = after.message;
    new.last_backup_time = after.last_backup_time;
    new.last_schedule_time = after.last_schedule_time;
    new.next_scheduled_backup = after.next_scheduled_backup;
    new.records_processed = after.records_processed;
    new.bytes_processed = after.bytes_processed;
    new.backup_id = after.backup_id;
    new.recent_points = after.recent_points;
    new.run = after.run;
    new.last_trigger = after.last_trigger;
    let image = new.run.as_ref().and_then(|run| run.image.as_deref());
    engine::tell(&mut new.conditions, &old.conditions, image, moment);
    match state {
        State::Claimed(_) | State::Running(_) | State::Retrying(..) => working(&mut new),
        State::Over(claim, verdict) => ended(&mut new, claim, verdict),
        // The others change nothing of a run.
        _ => {}
    }
    new
}

fn working(new: &mut KafkaBackupStatus) {
    let Some(run) = &new.run else { return };
    new.last_backup = Some(BackupRun {
        id: run.id.clone(),
        start_time: time(run.started_at.as_ref()).or_else(|| time(Some(&run.at))),
        status: Some("Running".to_owned()),
        image: run.image.clone(),
        ..BackupRun::default()
    });
}

fn ended(new: &mut KafkaBackupStatus, claim: &RunClaim, verdict: &Verdict) {
    let run = new.run.as_ref().unwrap_or(claim);
    let said = verdict.said();
    let made = said.and_then(|said| said.made.as_ref());
    let id = said.and_then(|said| said.point.clone()).unwrap_or_else(|| run.id.clone());
    // One that was told to stop did what it was told.
    let status = if verdict.outcome() == "Failed" { "Failed" } else { "Completed" };
    let entry = HistoryEntry {
        id,
        status: status.to_owned(),
        start_time: time(run.started_at.as_ref()).or_else(|| time(Some(&run.at))),
        completion_time: time(run.finished_at.as_ref()),
        size_bytes: said.and_then(|said| number(said.stored_bytes)),
        topics_backed_up: made.and_then(|made| number(made.topics)),
        partitions_backed_up: made.and_then(|made| number(made.partitions)),
        image: run.image.clone(),
    };
    new.last_backup = Some(BackupRun {
        id: entry.id.clone(),
        start_time: entry.start_time.clone(),
        completion_time: entry.completion_time.clone(),
        status: Some(entry.status.clone()),
        size_bytes: entry.size_bytes,
        topics_backed_up: entry.topics_backed_up,
        partitions_backed_up: entry.partitions_backed_up,
        oldest_timestamp: None,
        image: entry.image.clone(),
        newest_timestamp: made.and_then(|made| Timestamp::from_millisecond(made.newest?).ok()).map(Time),
    });
    if let Some(said) = said {
        let add = |total: &mut Option<u64>, more: u64| *total = Some(total.unwrap_or(0).saturating_add(more));
        add(&mut new.records_total, said.records);
        add(&mut new.bytes_total, said.bytes);
        add(&mut new.stored_bytes_total, said.stored_bytes);
    }
    new.backup_history.insert(0, entry);
    new.backup_history.truncate(MOST);
}

/// The new status of a KafkaRestore.
#[must_use]
pub fn strimzi_restore(
    old: &KafkaRestoreStatus,
    spec: &KafkaRestoreSpec,
    state: &State,
    moment: Moment,
) -> KafkaRestoreStatus {
    const OWN: &str = "RestoreComplete";
    let mut new = old.clone();
    if pause(&mut new.conditions, state, moment) {
        return new;
    }
    let result = old.restore.clone().unwrap_or_default();
    let text = |time: &Option<Time>| time.as_ref().map(|time| time.0.to_string());
    let before = oso::KafkaRestoreStatus {
        phase: old.phase.clone(),
        message: old.message.clone(),
        start_time: text(&result.start_time),
        completion_time: text(&result.completion_time),
        progress_percent: old.progress_percent,
        records_restored: old.records_restored,
        bytes_restored: result.restored_bytes.and_then(number),
        recovery_point: old.recovery_point.clone(),
        positions_point: old.positions_point.clone(),
        offset_mapping_path: old.offset_mapping_path.clone(),
        plan_fingerprint: old.plan_fingerprint.clone(),
        plan: old.plan.clone(),
        run: old.run.clone(),
        conditions: read(&old.conditions, OWN, old.run.as_ref()),
        ..oso::KafkaRestoreStatus::default()
    };
    let after = restore(&before, spec, state, moment);
    new.conditions = write(after.conditions, &old.conditions, OWN, state, moment);
    new.observed_generation = after.observed_generation;
    new.phase = after.phase;
    new.message = after.message;
    new.progress_percent = after.progress_percent;
    new.records_restored = after.records_restored;
    new.recovery_point = after.recovery_point;
    new.positions_point = after.positions_point;
    new.offset_mapping_path = after.offset_mapping_path;
    new.plan_fingerprint = after.plan_fingerprint;
    new.plan = after.plan;
    new.run = after.run;
    let image = new.run.as_ref().and_then(|run| run.image.clone());
    engine::tell(&mut new.conditions, &old.conditions, image.as_deref(), moment);
    if let Some(run) = &new.run {
        let said = match state {
            State::Over(_, verdict) => verdict.said(),
            _ => None, // what is known of a run that works is no result
        };
        let spec = spec.merged();
        let wanted = spec.point_in_time.as_ref().and_then(|window| window.timestamp.as_ref());
        let status = if run.is_unfinished() { "Running" } else { run.outcome.as_deref().unwrap_or("Failed") };
        new.restore = Some(RestoreResult {
            start_time: time(after.start_time.as_ref()),
            completion_time: time(after.completion_time.as_ref()),
            status: Some(status.to_owned()),
            restored_bytes: after.bytes_restored.and_then(number),
            point_in_time_target: time(wanted),
            restored_topics: said.and_then(|said| number(said.topics)).or(result.restored_topics),
            restored_partitions: said.and_then(|said| number(said.partitions)).or(result.restored_partitions),
            actual_point_in_time: None,
            image,
        });
    }
    new
}

#[cfg(test)]
mod tests;
