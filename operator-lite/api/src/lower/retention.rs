//! From the retention block of a resource to the rules that a plan goes by. Pure.
//!
//! `keepLast` of kafka.oso.sh is a minimum that no age goes below; `maxBackups` of the Strimzi groups is a cap.

use contract::RetentionRules;
use contract::retention::age_secs;

use super::unread;
use crate::finding::Finding;
use crate::{oso, strimzi};

const DAY: u64 = 86_400;

/// The rules of a KafkaBackup of kafka.oso.sh; `None` where nothing is to go.
///
/// # Errors
/// A value that validation refuses.
pub fn retention(spec: &oso::KafkaBackupSpec) -> Result<Option<RetentionRules>, Finding> {
    let Some(block) = spec.retention.as_ref().filter(|block| block.enabled) else { return Ok(None) };
    let age = block.max_age_days.map(|days| u64::from(days) * DAY);
    let rules = RetentionRules::keeping(block.keep_last, age, block.max_total_bytes);
    let fix = "set maxAgeDays, keepLast or maxTotalBytes to more than 0";
    rules.map(Some).map_err(|rule| unread("spec.retention", "", &rule, fix))
}

/// The rules of a KafkaBackup of the Strimzi groups; `None` where nothing is to go: without a schedule, or without
/// `pruneOnSchedule`.
///
/// # Errors
/// A value that validation refuses.
pub fn strimzi_retention(spec: &strimzi::KafkaBackupSpec) -> Result<Option<RetentionRules>, Finding> {
    let block = spec.retention.as_ref().filter(|block| block.prune_on_schedule && spec.schedule.is_some());
    let Some(block) = block.filter(|block| block.max_backups.is_some() || block.max_age.is_some()) else {
        return Ok(None);
    };
    let wrong = |field: &str, value: &str, rule: &str, fix: &str| unread(field, value, rule, fix);
    let most = block.max_backups.map(|count| {
        let positive = u32::try_from(count).ok().filter(|count| *count > 0);
        let fix = "set at least 1, or leave it out";
        positive.ok_or_else(|| wrong("spec.retention.maxBackups", &count.to_string(), "must be above 0", fix))
    });
    let age = block.max_age.as_deref().map(|text| {
        let rule = "must be a number above 0 and one of s, m, h, d, w";
        age_secs(text).ok_or_else(|| wrong("spec.retention.maxAge", text, rule, "write it like 30d"))
    });
    let (most, max_age_secs) = (most.transpose()?, age.transpose()?);
    Ok(Some(RetentionRules { least: 1, most, max_age_secs, max_total_bytes: None }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn oso(retention: &Value) -> Result<Option<RetentionRules>, Finding> {
        let spec = json!({
            "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "topics": ["*"],
            "storage": {"storageType": "pvc", "pvc": {"claimName": "c"}}, "retention": retention,
        });
        super::retention(&serde_json::from_value(spec).unwrap())
    }

    fn strimzi(retention: &Value, schedule: bool) -> Result<Option<RetentionRules>, Finding> {
        let mut spec = json!({
            "strimziClusterRef": {"name": "k"}, "storage": {"type": "s3", "s3": {"bucket": "b", "region": "r"}}, "retention": retention,
        });
        if schedule {
            spec["schedule"] = json!({"cron": "0 2 * * *"});
        }
        strimzi_retention(&serde_json::from_value(spec).unwrap())
    }

    #[allow(clippy::unnecessary_wraps)] // as what is compared with it
    fn rules(least: u32, most: Option<u32>, days: Option<u64>, bytes: Option<u64>) -> Option<RetentionRules> {
        Some(RetentionRules { least, most, max_age_secs: days.map(|days| days * DAY), max_total_bytes: bytes })
    }

    #[test]
    fn keep_last_is_a_minimum_and_alone_a_cap_as_well() {
        for (block, expected) in [
            (json!({"enabled": true, "keepLast": 3}), rules(3, Some(3), None, None)),
            (json!({"enabled": true, "keepLast": 3, "maxAgeDays": 14}), rules(3, None, Some(14), None)),
            (json!({"enabled": true, "maxAgeDays": 14}), rules(1, None, Some(14), None)),
            (json!({"enabled": true, "maxTotalBytes": 5}), rules(1, None, None, Some(5))),
            (json!({"enabled": true, "keepLast": 2, "maxTotalBytes": 5}), rules(2, None, None, Some(5))),
            (json!({"enabled": false, "keepLast": 3}), None),
            (json!({"keepLast": 3}), None),
        ] {
            assert_eq!(oso(&block).unwrap(), expected, "{block}");
        }
        for wrong in [json!({"enabled": true}), json!({"enabled": true, "keepLast": 0, "maxAgeDays": 1})] {
            assert!(oso(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn max_backups_of_strimzi_is_a_cap() {
        for (block, expected) in [
            (json!({"pruneOnSchedule": true, "maxBackups": 7}), rules(1, Some(7), None, None)),
            (json!({"pruneOnSchedule": true, "maxAge": "30d"}), rules(1, None, Some(30), None)),
            (json!({"pruneOnSchedule": true, "maxBackups": 7, "maxAge": "2w"}), rules(1, Some(7), Some(14), None)),
            (json!({"pruneOnSchedule": true}), None),
            (json!({"pruneOnSchedule": false, "maxBackups": 7}), None),
            (json!({"maxAge": "30d"}), None),
        ] {
            assert_eq!(strimzi(&block, true).unwrap(), expected, "{block}");
            assert_eq!(strimzi(&block, false).unwrap(), None, "without a schedule nothing goes: {block}");
        }
        for wrong in
            [json!({"pruneOnSchedule": true, "maxBackups": 0}), json!({"pruneOnSchedule": true, "maxAge": "30"})]
        {
            assert!(strimzi(&wrong, true).is_err(), "{wrong}");
        }
    }
}
