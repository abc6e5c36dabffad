//! Resources that are looked after beside backups, restores and validations: what changes committed offsets, and the kinds of the
//! Strimzi groups. From their conditions and phases alone. Pure.

use api::oso::{KafkaOffsetReset, KafkaOffsetRollback};
use api::promise::Promise;
use api::strimzi::{BackupOf, Group, RestoreOf};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{Resource, ResourceExt};
use serde::Serialize;

use super::health::{Health, RECOVERY_POINT_OVERDUE, condition, condition_of, text, waiting, works};

/// One of them in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherLine {
    /// Its kind and its group, as kubectl writes them.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// When its last run ended.
    pub ended: Option<Timestamp>,
    /// What is wrong, or waited for.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What such a line is made from.
struct Known<'a> {
    phase: Option<&'a str>,
    conditions: &'a [Condition],
    ended: Option<Timestamp>,
    paused: bool,
    /// Whether its next recovery point should be there by now.
    late: bool,
}

/// Phases of what did not do all that it was asked for.
const FAILED: [&str; 3] = ["Failed", "PartiallyCompleted", "PartiallyRolledBack"];

impl OtherLine {
    fn of<K: Resource<DynamicType = ()>>(object: &K, known: &Known<'_>) -> Self {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let all = known.conditions;
        let overdue = condition(all, RECOVERY_POINT_OVERDUE);
        let stalled = condition(all, "Stalled");
        let failed = || condition(all, "Error").or_else(|| condition_of(all, "Ready"));
        let (health, problem) = match (stalled, known.phase) {
            (Some(stalled), _) => (Health::Failed, Some(stalled)),
            (None, Some(phase)) if FAILED.contains(&phase) => (Health::Failed, failed()),
            (None, _) if (overdue.is_some() || known.late) && !known.paused => (Health::Late, overdue),
            (None, Some("Running")) => works(all),
            (None, _) if known.paused => (Health::Paused, None),
            (None, Some("Completed" | "Ready" | "RolledBack")) => (Health::Ok, None),
            (None, _) => (Health::Waiting, waiting(all)),
        };
        let (kind, group) = (K::kind(&()).to_lowercase(), K::group(&()));
        let hint = health.is_bad().then(|| format!("kubectl describe {kind}.{group} {name} -n {namespace}"));
        Self {
            kind: format!("{kind}.{group}"),
            health,
            ended: known.ended,
            problem: problem.map(text),
            hint,
            namespace,
            name,
        }
    }

    /// The line of a KafkaOffsetReset.
    #[must_use]
    pub fn of_reset(object: &KafkaOffsetReset) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let ended = status.completion_time.as_deref().and_then(|time| time.parse().ok());
        let phase = status.phase.as_deref();
        Self::of(object, &Known { phase, conditions: &status.conditions, ended, paused: false, late: false })
    }

    /// The line of a KafkaOffsetRollback.
    #[must_use]
    pub fn of_rollback(object: &KafkaOffsetRollback) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let ended = status.completion_time.as_deref().and_then(|time| time.parse().ok());
        let phase = status.phase.as_deref();
        Self::of(object, &Known { phase, conditions: &status.conditions, ended, paused: false, late: false })
    }

    /// The line of a KafkaBackup of a Strimzi group.
    #[must_use]
    pub fn of_backup<G: Group>(object: &BackupOf<G>, now: Timestamp) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let ended = status.last_backup_time.as_deref().and_then(|time| time.parse().ok());
        let known = Known {
            phase: status.phase.as_deref(),
            conditions: &status.conditions,
            ended,
            paused: object.spec.schedule.as_ref().is_some_and(|schedule| schedule.suspend),
            late: Promise::of_strimzi(object).is_some_and(|promise| now > promise.late),
        };
        Self::of(object, &known)
    }

    /// The line of a KafkaRestore of a Strimzi group.
    #[must_use]
    pub fn of_restore<G: Group>(object: &RestoreOf<G>) -> Self {
        let status = object.status.clone().unwrap_or_default();
        let ended = status.restore.as_ref().and_then(|result| result.completion_time.as_ref()).map(|time| time.0);
        let phase = status.phase.as_deref();
        Self::of(object, &Known { phase, conditions: &status.conditions, ended, paused: false, late: false })
    }
}

#[cfg(test)]
mod tests {
    use api::strimzi::Released;
    use serde_json::{Value, json};

    use super::*;

    fn condition(name: &str, status: &str) -> Value {
        json!({"type": name, "status": status, "reason": "RunFailed", "message": "KB2001: away", "lastTransitionTime": "2026-11-22T00:00:00Z"})
    }

    #[test]
    fn what_failed_is_seen_whatever_its_kind() {
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        let failed =
            json!({"phase": "Failed", "conditions": [condition("Ready", "False"), condition("Stalled", "True")]});
        let well = json!({"phase": "Completed", "completionTime": "2026-11-22T11:00:00Z", "conditions": []});
        let metadata = json!({"name": "undo", "namespace": "shop"});
        let spec = json!({"snapshotRef": {"name": "before-1", "restoreRef": "back"}, "kafkaCluster": {"bootstrapServers": ["k:9092"]}});
        let rollback = |status: &Value| {
            let object = json!({
                "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaOffsetRollback", "metadata": metadata, "spec": spec, "status": status,
            });
            OtherLine::of_rollback(&serde_json::from_value(object).unwrap())
        };
        let line = rollback(&failed);
        assert_eq!((line.health, line.problem.as_deref()), (Health::Failed, Some("RunFailed: KB2001: away")));
        assert_eq!(line.kind, "kafkaoffsetrollback.kafka.oso.sh");
        let line = rollback(&well);
        assert_eq!((line.health, line.ended.is_some(), line.hint), (Health::Ok, true, None));
        assert_eq!(rollback(&json!({"phase": "PartiallyCompleted", "conditions": []})).health, Health::Failed);
        let backup = |status: &Value| {
            let object = json!({
                "apiVersion": "kafkabackup.com/v1", "kind": "KafkaBackup", "metadata": metadata,
                "spec": {"strimziClusterRef": {"name": "main"}, "storage": {"type": "s3"}}, "status": status,
            });
            OtherLine::of_backup::<Released>(&serde_json::from_value(object).unwrap(), now)
        };
        let line = backup(&failed);
        assert_eq!((line.health, line.kind.as_str()), (Health::Failed, "kafkabackup.kafkabackup.com"));
        let overdue = json!({"phase": "Completed", "conditions": [condition(RECOVERY_POINT_OVERDUE, "True")]});
        assert_eq!(backup(&overdue).health, Health::Late);
    }
}
