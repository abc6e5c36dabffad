//! The end of a restore: configs back to what they shall be, except where that would delete restored records.

use std::collections::BTreeMap;

use contract::{CrashPoint, Failure, Report, crash};

use super::Restore;
use super::configs::expiring;
use super::facts::existing;
use super::plan::RestorePlan;
use super::state::TargetTopic;

/// Gives topics their final configs and marks the restore as finished.
///
/// # Errors
/// What the cluster or the store refuses.
pub(crate) async fn finish(restore: &mut Restore<'_>, plan: &RestorePlan, report: &mut Report) -> Result<(), Failure> {
    let names: Vec<_> = restore.state.topics.iter().map(|topic| topic.name.clone()).collect();
    let targets = existing(&restore.cluster, &names).await?;
    let now_ms = restore.context.clock.now().as_millisecond();
    for topic in &restore.state.topics {
        let Some(planned) = plan.topics.iter().find(|planned| planned.target == topic.name) else { continue };
        let mut changes = topic.previous.clone();
        if let Some(reverted) = targets.get(&topic.name).and_then(|target| reverted(topic, &target.effective)) {
            restore.emitter.warn(format!("{}: somebody changed {reverted} during the restore (an operator that manages this topic?); records may be gone", topic.name));
        }
        for expiry in expiring(&topic.effective, now_ms, planned.oldest, planned.largest_partition) {
            let name = &topic.name;
            if topic.created && changes.remove(expiry.config).is_some() {
                restore.emitter.warn(format!(
                    "{name}: {} stays -1, because {} would delete restored records; set it when they may go",
                    expiry.config, expiry.value
                ));
            } else {
                restore.emitter.warn(format!(
                    "{name}: {} is {} again and will delete restored records",
                    expiry.config, expiry.value
                ));
            }
        }
        if topic.effective.get("message.timestamp.type").is_some_and(|kind| kind == "LogAppendTime") {
            restore.emitter.warn(format!(
                "{}: restored records keep their times, their timestamp type reads CreateTime",
                topic.name
            ));
        }
        let changes: BTreeMap<_, _> = changes.into_iter().collect();
        if !changes.is_empty() {
            restore.cluster.alter_topic(&topic.name, &changes).await?;
        }
    }
    crash::at(CrashPoint::ConfigsFinal);
    restore.state.finished = true;
    restore.save().await?;
    crash::at(CrashPoint::FinishSaved);
    report.outcome = "Completed".into();
    Ok(())
}

/// A held config that no longer has the value that we gave it.
fn reverted(topic: &TargetTopic, now: &BTreeMap<String, String>) -> Option<String> {
    let held_values = [("retention.ms", "-1"), ("retention.bytes", "-1"), ("cleanup.policy", "delete")];
    let changed = |(name, value): &&(&str, &str)| {
        topic.previous.contains_key(*name) && now.get(*name).is_some_and(|v| v != value)
    };
    held_values.iter().find(changed).map(|(name, _)| (*name).to_owned())
}
