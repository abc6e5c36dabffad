//! The end of a restore: configs back to what they shall be, except where that would delete restored records. That
//! everything is produced is saved before; an attempt that begins here does nothing else.

use std::collections::BTreeMap;

use contract::{CrashPoint, Failure, Report, crash};

use super::configs::{Expiry, expiring};
use super::facts::same_topics;
use super::plan::{RestorePlan, TopicPlan};
use super::state::{Ended, TargetTopic};
use super::{Restore, groups};

/// Gives topics their final configs and marks the restore as completed.
///
/// # Errors
/// What the cluster or the store refuses.
pub(crate) async fn finish(restore: &mut Restore<'_>, plan: &RestorePlan, report: &mut Report) -> Result<(), Failure> {
    same_topics(&restore.cluster, &restore.state.topics).await?;
    let now_ms = restore.context.clock.now().as_millisecond();
    for (topic, planned) in restore.state.topics.iter().zip(&plan.topics) {
        let expiries = expiring(&topic.effective, now_ms, planned.oldest, planned.largest_partition);
        let (changes, warnings) = last_configs(topic, planned, &expiries);
        for warning in warnings {
            restore.emitter.warn(warning);
        }
        if !changes.is_empty() {
            restore.cluster.alter_topic(&topic.name, &changes).await?;
        }
    }
    crash::at(CrashPoint::ConfigsFinal);
    restore.configs_are_final = true;
    // Whatever becomes of the groups: nothing touches records and configs any more, not even `release`.
    restore.state.ended = Some(Ended::Completed);
    restore.save().await?;
    crash::at(CrashPoint::FinishSaved);
    groups::restore(restore, plan, report).await?;
    completed(restore, report);
    Ok(())
}

/// The outcome of a restore that has done everything.
pub(crate) fn completed(restore: &Restore<'_>, report: &mut Report) {
    // An attempt before may have produced everything: this one read no record.
    report.left_out_records = restore.state.left_out;
    report.outcome = if report.left_out_records == 0 { "Completed" } else { "CompletedWithGaps" }.into();
}

type Changes = BTreeMap<String, Option<String>>;

/// What a topic's configs are changed to at the end, and what a person should know of it.
fn last_configs(topic: &TargetTopic, planned: &TopicPlan, expiries: &[Expiry]) -> (Changes, Vec<String>) {
    let (mut changes, mut warnings, name) = (topic.previous.clone(), Vec::new(), &topic.name);
    for expiry in expiries {
        let (config, value) = (expiry.config, expiry.value);
        if topic.created && changes.contains_key(config) {
            // Set once more: somebody may have changed it meanwhile.
            changes.insert(config.to_owned(), topic.held.get(config).cloned());
            warnings.push(format!(
                "{name}: {config} stays -1, because {value} would delete restored records; set it when they may go"
            ));
        } else {
            warnings.push(format!("{name}: {config} is {value} again and will delete restored records"));
        }
    }
    let says = |config: &str, word: &str| topic.effective.get(config).is_some_and(|value| value.contains(word));
    if says("message.timestamp.type", "LogAppendTime") {
        warnings.push(format!("{name}: restored records keep their times, their timestamp type reads CreateTime"));
    }
    let source_compacts = planned.configs.get("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
    if says("cleanup.policy", "compact") && !source_compacts {
        warnings.push(format!(
            "{name}: it is compacted again: only the newest of the restored records of each key stay, and none without a key"
        ));
    }
    (changes, warnings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::plan::TargetAction;
    use crate::restore::plan::tests::topic;

    #[test]
    fn retention_that_would_delete_comes_back_only_where_it_was_there_before() {
        let planned = topic("t", TargetAction::Create, &[0]);
        let mut target = TargetTopic {
            name: "t".into(),
            created: true,
            held: [("retention.ms".to_owned(), "-1".to_owned())].into(),
            previous: [("retention.ms".to_owned(), Some("5".to_owned()))].into(),
            ..TargetTopic::default()
        };
        let expiries = [Expiry { config: "retention.ms", value: 5 }];
        let value = |(changes, _): (Changes, Vec<String>)| changes["retention.ms"].clone().unwrap();
        assert_eq!(value(last_configs(&target, &planned, &expiries)), "-1");
        assert_eq!(value(last_configs(&target, &planned, &[])), "5");
        target.created = false;
        let (changes, warnings) = last_configs(&target, &planned, &expiries);
        assert_eq!(changes["retention.ms"].as_deref(), Some("5"));
        assert!(warnings[0].contains("will delete restored records"), "{warnings:?}");
        // Into a compacted topic that was asked for: said again at the end.
        target.effective.insert("cleanup.policy".into(), "compact".into());
        assert!(last_configs(&target, &planned, &[]).1[0].contains("compacted again"));
    }
}
