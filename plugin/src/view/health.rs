//! How a resource is, from its conditions. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

/// How a resource is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// It works.
    Running,
    /// It waits for something.
    Waiting,
    /// Somebody suspended it.
    Paused,
    /// The newest point is older than its schedule promises.
    Late,
    /// Its last run failed, or it cannot run.
    Failed,
}

impl Health {
    /// Whether somebody must look at it.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Late | Self::Failed)
    }
}

/// The condition of a continuous backup whose next point takes too long.
pub(crate) const RECOVERY_POINT_OVERDUE: &str = "RecoveryPointOverdue";

/// A condition that is true.
pub(crate) fn condition<'a>(all: &'a [Condition], name: &str) -> Option<&'a Condition> {
    condition_of(all, name).filter(|condition| condition.status == "True")
}

/// A condition, whatever it says.
pub(super) fn condition_of<'a>(all: &'a [Condition], name: &str) -> Option<&'a Condition> {
    all.iter().find(|condition| condition.type_ == name)
}

/// Reasons for which a resource as it stands is never run, asked for or not.
const NEVER_RUN: [&str; 3] = ["ForeignOperator", "NotImplemented", "ValidationFailed"];

/// Why a resource as it stands is never run.
pub(crate) fn never_runs(all: &[Condition], generation: Option<i64>) -> Option<String> {
    let is_now = |condition: &&Condition| condition.observed_generation == generation;
    let found = condition(all, "Stalled").filter(is_now)?;
    NEVER_RUN.contains(&found.reason.as_str()).then(|| format!("{}: {}", found.reason, found.message))
}

/// Reasons that are no news while something works.
const USUAL: [&str; 4] = ["BackupRunning", "RestoreRunning", "ValidationRunning", "ScheduleActive"];

/// What a resource waits for, if that is news.
pub(super) fn waiting(all: &[Condition]) -> Option<&Condition> {
    condition(all, "Reconciling").filter(|condition| !USUAL.contains(&condition.reason.as_str()))
}

/// How a run is that has begun: one whose pod finds no node, or is refused, does not work yet.
pub(super) fn works(all: &[Condition]) -> (Health, Option<&Condition>) {
    let problem = waiting(all);
    (if problem.is_some() { Health::Waiting } else { Health::Running }, problem)
}

/// A condition in words.
pub(super) fn text(condition: &Condition) -> String {
    format!("{}: {}", condition.reason, condition.message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stalled(reason: &str, generation: i64) -> Vec<Condition> {
        let one = json!({
            "type": "Stalled", "status": "True", "reason": reason, "message": "m", "observedGeneration": generation,
            "lastTransitionTime": "2026-11-22T12:00:00Z",
        });
        vec![serde_json::from_value(one).unwrap()]
    }

    #[test]
    fn a_failed_run_is_followed_by_another_and_a_wrong_resource_by_none() {
        assert_eq!(never_runs(&stalled("NotImplemented", 2), Some(2)).as_deref(), Some("NotImplemented: m"));
        assert_eq!(never_runs(&stalled("ForeignOperator", 1), Some(2)), None, "it was edited since");
        assert_eq!(never_runs(&stalled("RetriesExhausted", 2), Some(2)), None, "a trigger begins a run anew");
        assert_eq!(never_runs(&[], Some(2)), None);
    }
}
