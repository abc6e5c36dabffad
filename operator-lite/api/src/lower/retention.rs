//! From the retention block of a resource to the rules that a plan goes by, and to the run that removes recovery points. Pure.
//!
//! `keepLast` of kafka.oso.sh is a minimum that no age goes below; `maxBackups` of the Strimzi groups is a cap.

use contract::retention::age_secs;
use contract::{KafkaSpec, PruneSpec, RetentionRules, RunSpec, StoreSpec};

use super::{Identity, checkpoint_secs, run, storage, unread};
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

/// Seconds after which what was removed may be deleted: whoever restores from it then may take so long.
const GRACE_SECS: u64 = DAY;

/// The run of retention of a KafkaBackup of kafka.oso.sh; `None` where nothing is to go. `cluster_id` is the source cluster of
/// its newest recovery point, where that is known.
///
/// # Errors
/// A value that validation refuses.
pub fn prune(
    identity: Identity,
    spec: &oso::KafkaBackupSpec,
    cluster_id: Option<String>,
) -> Result<Option<RunSpec>, Finding> {
    let Some(rules) = retention(spec)? else { return Ok(None) };
    let part = PruneSpec {
        rules,
        cluster_id,
        grace_secs: GRACE_SECS,
        wait_secs: patience(spec.continuous, checkpoint_secs(spec)),
        dry_run: spec.retention.as_ref().is_some_and(|block| block.dry_run),
    };
    let deletes = spec.retention.as_ref().and_then(|block| block.credentials_secret.as_ref());
    let with = deletes.map(|secret| spec.storage.with_credentials(&secret.name).ok_or_else(|| unused(&secret.name)));
    let place = with.transpose()?;
    storage::storage("spec.storage", place.as_ref().unwrap_or(&spec.storage))
        .map(|store| Some(of(identity, store, part)))
}

/// Why a Secret for retention is of no use.
fn unused(name: &str) -> Finding {
    let rule = "has no effect: spec.storage has no Secret with credentials, which this one would replace";
    unread("spec.retention.credentialsSecret.name", name, rule, "remove it")
}

/// The same of a KafkaBackup of the Strimzi groups.
///
/// # Errors
/// A value that validation refuses.
pub fn strimzi_prune(
    identity: Identity,
    spec: &strimzi::KafkaBackupSpec,
    cluster_id: Option<String>,
) -> Result<Option<RunSpec>, Finding> {
    let Some(rules) = strimzi_retention(spec)? else { return Ok(None) };
    let wait_secs = patience(spec.is_continuous(), Some(super::strimzi::checkpoint_secs(spec)));
    let part = PruneSpec { rules, cluster_id, grace_secs: GRACE_SECS, wait_secs, dry_run: false };
    super::strimzi::store(&spec.storage).map(|store| Some(of(identity, store, part)))
}

/// How long a run that goes on is waited for: nothing can be removed until it has made its next recovery point.
fn patience(continuous: bool, checkpoint_secs: Option<u64>) -> u64 {
    if continuous { checkpoint_secs.unwrap_or(0).saturating_mul(2).clamp(60, 3_600) } else { 0 }
}

/// It asks no cluster.
fn of(identity: Identity, store: StoreSpec, part: PruneSpec) -> RunSpec {
    RunSpec { prune: Some(part), ..run(identity, KafkaSpec::default(), store, None) }
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

    #[test]
    fn the_run_asks_no_cluster_and_waits_for_a_backup_that_goes_on() {
        let made = |more: Value| {
            let mut spec = json!({
                "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "topics": ["t"],
                "storage": {"storageType": "pvc", "pvc": {"claimName": "c"}}, "retention": {"enabled": true, "keepLast": 2, "dryRun": true},
            });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let identity = Identity { namespace: "shop".into(), name: "orders".into(), run: None };
            prune(identity, &serde_json::from_value(spec).unwrap(), Some("c1".into())).unwrap()
        };
        let run = made(json!({})).unwrap();
        let part = run.prune.clone().unwrap();
        assert_eq!((part.rules.least, part.rules.most, part.dry_run, part.wait_secs), (2, Some(2), true, 0));
        assert_eq!((part.cluster_id.as_deref(), part.grace_secs), (Some("c1"), DAY));
        assert_eq!((run.name.as_str(), run.namespace.as_str(), run.backup.is_none()), ("orders", "shop", true));
        assert_eq!(run.findings(), [], "the runner takes it");
        let waits = |more: Value| made(more).unwrap().prune.unwrap().wait_secs;
        assert_eq!(waits(json!({"continuous": true})), 60);
        assert_eq!(waits(json!({"continuous": true, "checkpoint": {"enabled": true, "intervalSecs": 300}})), 600);
        assert_eq!(made(json!({"retention": {"enabled": false, "keepLast": 2}})), None);
    }

    #[test]
    fn its_pods_may_have_credentials_of_their_own() {
        let made = |storage: Value| {
            let spec = json!({
                "kafkaCluster": {"bootstrapServers": ["k:9092"]}, "topics": ["t"], "storage": storage,
                "retention": {"enabled": true, "keepLast": 2, "credentialsSecret": {"name": "deletes"}},
            });
            let spec: oso::KafkaBackupSpec = serde_json::from_value(spec).unwrap();
            let backup = crate::lower::backup(Identity::default(), &spec).unwrap();
            let files = |run: &RunSpec| run.storage.secret_files().into_iter().map(str::to_owned).collect::<Vec<_>>();
            prune(Identity::default(), &spec, None).map(|run| (files(&backup), files(&run.unwrap())))
        };
        let secret = json!({"name": "reads"});
        let s3 = json!({"storageType": "s3", "s3": {"bucket": "bucket", "region": "r", "credentialsSecret": secret, "caSecret": {"name": "ca"}}});
        let (backs_up, prunes) = made(s3).unwrap();
        assert_eq!(backs_up, ["reads/AWS_ACCESS_KEY_ID", "reads/AWS_SECRET_ACCESS_KEY", "ca/ca.crt"]);
        assert_eq!(prunes, ["deletes/AWS_ACCESS_KEY_ID", "deletes/AWS_SECRET_ACCESS_KEY", "ca/ca.crt"]);
        let azure = |more: Value| {
            let mut block = json!({"accountName": "a", "container": "c"});
            block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!({"storageType": "azure", "azure": block})
        };
        assert_eq!(made(azure(json!({"sasTokenSecret": secret}))).unwrap().1, ["deletes/AZURE_SAS_TOKEN"]);
        assert_eq!(made(azure(json!({"credentialsSecret": secret}))).unwrap().1, ["deletes/AZURE_STORAGE_KEY"]);
        let gcs = json!({"storageType": "gcs", "gcs": {"bucket": "b", "credentialsSecret": secret}});
        assert!(made(gcs).unwrap().1[0].starts_with("deletes/"));
        let pvc = json!({"storageType": "pvc", "pvc": {"claimName": "c"}});
        for without in [azure(json!({"useWorkloadIdentity": true, "credentialsSecret": secret})), azure(json!({})), pvc]
        {
            assert_eq!(made(without).unwrap_err().field, "spec.retention.credentialsSecret.name");
        }
    }
}
