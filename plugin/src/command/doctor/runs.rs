//! Whether runs are stuck, as far as their resources can be looked at.

use std::fmt::Debug;

use api::oso::{KafkaBackup, KafkaBackupValidation, KafkaRestore, RunClaim};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::{Check, bad, good, is_forbidden, unseen};
use crate::cluster::{Cluster, pages};
use crate::view::health::{RECOVERY_POINT_OVERDUE, condition};

/// A one-off that ended so long ago is history: nothing has to be mended for it to be well again.
const HISTORY: SignedDuration = SignedDuration::from_hours(24);
/// A run that says nothing for so long is stuck.
const STUCK: SignedDuration = SignedDuration::from_mins(10);

/// What is known of the run of a resource.
struct RunFacts {
    kind: &'static str,
    namespace: String,
    name: String,
    stalled: Option<String>,
    /// Since when an unfinished run has saved nothing; `None` for a continuous one, which saves nothing while nothing comes.
    silent_since: Option<Timestamp>,
    /// When the only run of a one-off ended.
    over: Option<Timestamp>,
}

/// Runs that are stalled, or say nothing any more.
pub(super) async fn runs(cluster: &Cluster, now: Timestamp) -> Vec<Check> {
    let (backups, restores) = (seen::<KafkaBackup>(cluster).await, seen::<KafkaRestore>(cluster).await);
    let validations = seen::<KafkaBackupValidation>(cluster).await;
    let found = backups.found.iter().flatten().map(of_backup).chain(restores.found.iter().flatten().map(of_restore));
    let found: Vec<RunFacts> = found.chain(validations.found.iter().flatten().map(of_validation)).collect();
    let mut checks: Vec<Check> = found.iter().filter_map(|facts| judge(facts, now)).collect();
    if checks.is_empty() && (backups.found.is_some() || restores.found.is_some()) {
        checks.push(good("runs", format!("{} resources, none stuck", found.len())));
    }
    checks.extend(backups.unseen);
    checks.extend(restores.unseen);
    checks.extend(validations.unseen);
    checks
}

/// The resources of a kind that the caller may look at, and what was not looked at.
struct Seen<K> {
    /// Those of all namespaces, else those of this one; `None` where neither may be listed.
    found: Option<Vec<K>>,
    unseen: Option<Check>,
}

async fn seen<K>(cluster: &Cluster) -> Seen<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let everywhere: Api<K> = Api::all(cluster.client.clone());
    let error = match pages(&everywhere, ListParams::default()).await {
        Ok(found) => return Seen { found: Some(found), unseen: None },
        Err(error) => error,
    };
    // Why one namespace is not listed either says nothing more.
    let here = if is_forbidden(&error) { pages(&cluster.api::<K>(), ListParams::default()).await.ok() } else { None };
    let right = format!("list {} of all namespaces", K::plural(&()));
    Seen { found: here, unseen: Some(unseen("runs", error, &right)) }
}

fn of_backup(object: &KafkaBackup) -> RunFacts {
    let status = object.status.clone().unwrap_or_default();
    let run = status.run.as_ref().filter(|run| run.is_unfinished() && !object.spec.continuous);
    let one_off = object.spec.schedule.is_none() && !object.spec.continuous;
    let last = run.and_then(|run| status.last_checkpoint_time.clone().max(run.started_at.clone()));
    RunFacts {
        kind: "backup",
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        stalled: stalled(&status.conditions).or_else(|| overdue(&status.conditions).filter(|_| !object.spec.suspend)),
        silent_since: last.and_then(|last| last.parse().ok()),
        over: status.run.as_ref().filter(|_| one_off).and_then(ended),
    }
}

fn of_restore(object: &KafkaRestore) -> RunFacts {
    let status = object.status.clone().unwrap_or_default();
    RunFacts {
        kind: "restore",
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        stalled: stalled(&status.conditions),
        silent_since: None,
        over: status.run.as_ref().and_then(ended),
    }
}

/// One whose schedule found something wrong is not stalled: its next tick is another chance. Somebody must look all the same.
fn of_validation(object: &KafkaBackupValidation) -> RunFacts {
    let status = object.status.clone().unwrap_or_default();
    let one_off = object.spec.schedule.is_none();
    let is_bad = status.validation_result.as_deref() == Some("Fail");
    let ready = status.conditions.iter().find(|one| one.type_ == "Ready").filter(|_| is_bad);
    let found = ready.map(|ready| format!("{}: {}", ready.reason, ready.message));
    RunFacts {
        kind: "validation",
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        stalled: found.or_else(|| stalled(&status.conditions)),
        silent_since: None,
        over: status.run.as_ref().filter(|_| one_off).and_then(ended),
    }
}

fn ended(run: &RunClaim) -> Option<Timestamp> {
    run.finished_at.as_deref()?.parse().ok()
}

fn stalled(conditions: &[Condition]) -> Option<String> {
    condition(conditions, "Stalled").map(|found| format!("{}: {}", found.reason, found.message))
}

/// Its alert fires, too.
fn overdue(conditions: &[Condition]) -> Option<String> {
    condition(conditions, RECOVERY_POINT_OVERDUE).map(|found| found.message.clone())
}

fn judge(facts: &RunFacts, now: Timestamp) -> Option<Check> {
    let RunFacts { kind, namespace, name, .. } = facts;
    if facts.over.is_some_and(|over| now.duration_since(over) > HISTORY) {
        return None;
    }
    let silent = || {
        let since = facts.silent_since.filter(|since| now.duration_since(*since) > STUCK)?;
        Some(format!("nothing was saved since {since}"))
    };
    let text = facts.stalled.clone().or_else(silent)?;
    let mut codes = text.split([':', ' ']).filter_map(|word| word.parse::<contract::Code>().ok());
    let fix = if *kind == "validation" {
        format!("kubectl kafka-backup validation show {name} -n {namespace}")
    } else if codes.any(contract::Code::is_found_by_check) {
        format!("kubectl kafka-backup check {kind}/{name} -n {namespace}")
    } else {
        format!("kubectl kafka-backup logs {name} -n {namespace}")
    };
    Some(bad("runs", format!("{kind} {namespace}/{name}: {text}"), fix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_goes_on_is_stuck() {
        let now: Timestamp = "2026-11-25T12:00:00Z".parse().unwrap();
        let backup = |spec: &str, run: &str| {
            let text = format!(
                r#"{{"apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {{"name": "a", "namespace": "shop"}},
                "spec": {{"kafkaCluster": {{"bootstrapServers": ["k:1"]}}, "topics": ["a"], "storage": {{}}, {spec}}},
                "status": {{"run": {run}, "conditions": [{{"type": "Stalled", "status": "STALLED", "reason": "RunFailed",
                "message": "no", "lastTransitionTime": "2026-11-22T00:00:00Z"}}]}}}}"#
            );
            let stalled = if run.contains("finishedAt") { "True" } else { "False" };
            judge(&of_backup(&serde_json::from_str(&text.replace("STALLED", stalled)).unwrap()), now).is_some()
        };
        let going = r#"{"id": "r", "startedAt": "2026-11-25T10:00:00Z"}"#;
        assert!(backup(r#""continuous": false"#, going), "silent for two hours");
        assert!(!backup(r#""continuous": true"#, going), "idle");
        let over = |at: &str| format!(r#"{{"id": "r", "finishedAt": "{at}", "outcome": "Failed"}}"#);
        assert!(backup(r#""continuous": false"#, &over("2026-11-25T10:00:00Z")));
        assert!(!backup(r#""continuous": false"#, &over("2026-11-20T10:00:00Z")), "history");
        assert!(backup(r#""schedule": "0 0 2 * * *""#, &over("2026-11-20T10:00:00Z")), "the next run fails, too");
    }

    #[test]
    fn a_validation_that_failed_is_told_until_one_passes() {
        let judged = |result: &str| {
            let text = format!(
                r#"{{"apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation",
                "metadata": {{"name": "weekly", "namespace": "shop"}},
                "spec": {{"backupRef": {{"name": "a"}}, "checks": {{"decode": {{}}}}, "schedule": "0 0 2 * * *"}},
                "status": {{"validationResult": "{result}", "conditions": [{{"type": "Ready", "status": "False",
                "reason": "ChecksFailed", "message": "KB6001: no", "lastTransitionTime": "2026-11-22T00:00:00Z"}}]}}}}"#
            );
            judge(&of_validation(&serde_json::from_str(&text).unwrap()), "2026-11-25T12:00:00Z".parse().unwrap())
        };
        let found = judged("Fail").unwrap();
        assert_eq!(found.fix.as_deref(), Some("kubectl kafka-backup validation show weekly -n shop"));
        assert!(judged("Pass").is_none());
    }

    #[test]
    fn what_keeps_a_run_from_brokers_and_stores_is_to_be_checked() {
        let judged = |text: &str| {
            let facts = RunFacts {
                kind: "restore",
                namespace: "shop".into(),
                name: "back".into(),
                stalled: Some(text.into()),
                silent_since: None,
                over: None,
            };
            judge(&facts, "2026-11-25T12:00:00Z".parse().unwrap()).unwrap().fix.unwrap()
        };
        let check = "kubectl kafka-backup check restore/back -n shop";
        assert_eq!(judged("RunFailed: KB2014: kafka:9092 is another kind of listener"), check);
        assert_eq!(judged("RunFailed: KB4001: damaged"), "kubectl kafka-backup logs back -n shop");
    }
}
