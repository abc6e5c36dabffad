//! What validations found, from the resources alone. Pure.

use api::oso::{KafkaBackupValidation, KafkaBackupValidationStatus, RunClaim};
use api::promise::Promise;
use jiff::Timestamp;
use kube::ResourceExt;
use serde::Serialize;

use super::health::{Health, condition, condition_of, text, waiting, works};

/// A validation in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidationLine {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// How it is.
    pub health: Health,
    /// Pass, Warn or Fail, of the last validation.
    pub result: Option<String>,
    /// The recovery point that was looked at.
    pub point: Option<String>,
    /// When the last validation ended that has a result.
    pub ended: Option<Timestamp>,
    /// The next tick.
    pub next: Option<Timestamp>,
    /// What is wrong, or waited for.
    pub problem: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl ValidationLine {
    /// The line of a validation.
    #[must_use]
    pub fn of(object: &KafkaBackupValidation, now: Timestamp) -> Self {
        let none = KafkaBackupValidationStatus::default();
        let status = object.status.as_ref().unwrap_or(&none);
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let late = Promise::of_validation(object).is_some_and(|promise| now > promise.late);
        let running = status.run.as_ref().is_some_and(RunClaim::is_unfinished);
        let has_failed =
            status.phase.as_deref() == Some("Failed") || status.validation_result.as_deref() == Some("Fail");
        let ready = || condition_of(&status.conditions, "Ready");
        let (health, problem) = match condition(&status.conditions, "Stalled") {
            Some(stalled) => (Health::Failed, Some(stalled)),
            None if has_failed && !running => (Health::Failed, ready()),
            None if late && !object.spec.suspend && !running => (Health::Late, waiting(&status.conditions)),
            None if running => works(&status.conditions),
            None if object.spec.suspend => (Health::Paused, None),
            None if status.validation_result.is_none() => (Health::Waiting, waiting(&status.conditions)),
            None => (Health::Ok, None),
        };
        let hint =
            (health == Health::Failed).then(|| format!("kubectl kafka-backup validation show {name} -n {namespace}"));
        Self {
            health,
            result: status.validation_result.clone(),
            point: status.recovery_point.clone(),
            ended: time(status.last_validation_time.as_ref()),
            next: time(status.next_scheduled_validation.as_ref()),
            problem: problem.map(text),
            hint,
            namespace,
            name,
        }
    }
}

fn time(text: Option<&String>) -> Option<Timestamp> {
    text?.parse().ok()
}

/// A validation by itself: what was checked, what came of it, and what came of those before.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// What its status says.
    pub status: KafkaBackupValidationStatus,
}

impl Validation {
    /// What a resource tells.
    #[must_use]
    pub fn of(object: &KafkaBackupValidation) -> Self {
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            schedule: object.spec.schedule.clone(),
            status: object.status.clone().unwrap_or_default(),
        }
    }

    /// Whether its last run found that all is well.
    #[must_use]
    pub fn is_good(&self) -> bool {
        matches!(self.status.validation_result.as_deref(), Some("Pass" | "Warn"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn line(spec: Value, status: Value) -> ValidationLine {
        let mut whole = json!({"backupRef": {"name": "nightly"}, "checks": {"decode": {}}});
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation",
            "metadata": {"name": "weekly", "namespace": "shop", "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": whole, "status": status,
        });
        let now = "2026-11-22T12:00:00Z".parse().unwrap();
        ValidationLine::of(&serde_json::from_value(object).unwrap(), now)
    }

    fn ready(status: &str) -> Value {
        json!([{"type": "Ready", "status": status, "reason": "ChecksFailed", "message": "KB6001: decode failed",
                "lastTransitionTime": "2026-11-22T00:00:00Z"}])
    }

    #[test]
    fn a_failed_check_is_bad_whatever_the_phase_says() {
        let failed =
            line(json!({}), json!({"phase": "Completed", "validationResult": "Fail", "conditions": ready("False")}));
        assert_eq!((failed.health, failed.result.as_deref()), (Health::Failed, Some("Fail")));
        assert_eq!(failed.problem.as_deref(), Some("ChecksFailed: KB6001: decode failed"));
        assert_eq!(failed.hint.as_deref(), Some("kubectl kafka-backup validation show weekly -n shop"));
        assert_eq!(line(json!({}), json!({"phase": "Failed", "conditions": ready("False")})).health, Health::Failed);
        assert_eq!(line(json!({}), json!({"phase": "Completed", "validationResult": "Pass"})).health, Health::Ok);
        assert_eq!(line(json!({}), json!({})).health, Health::Waiting);
    }

    #[test]
    fn a_schedule_that_has_not_passed_in_time_is_late() {
        let daily = |status: Value| line(json!({"schedule": "0 0 2 * * *"}), status).health;
        assert_eq!(daily(json!({"validationResult": "Pass", "lastPassTime": "2026-11-22T02:10:00Z"})), Health::Ok);
        assert_eq!(daily(json!({"validationResult": "Pass", "lastPassTime": "2026-11-20T02:10:00Z"})), Health::Late);
        let paused = line(json!({"schedule": "0 0 2 * * *", "suspend": true}), json!({"phase": "Ready"}));
        assert_eq!(paused.health, Health::Paused);
    }
}
