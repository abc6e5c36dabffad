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

/// A condition that is true.
pub(super) fn condition<'a>(all: &'a [Condition], name: &str) -> Option<&'a Condition> {
    condition_of(all, name).filter(|condition| condition.status == "True")
}

/// A condition, whatever it says.
pub(super) fn condition_of<'a>(all: &'a [Condition], name: &str) -> Option<&'a Condition> {
    all.iter().find(|condition| condition.type_ == name)
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
