//! The claim of a run. An addition of ours to the status of the kinds that run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A run that was claimed: written before its Job is made, so that no run is made twice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RunClaim {
    /// Id of the run; the archive knows it by this.
    pub id: String,
    /// When it was claimed (RFC 3339, UTC): its data are read then, and its recovery point is named after that.
    pub at: String,
    /// The newest time of the runs before, while it is ahead of `at`: clocks were set back since (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// The tick of the schedule that it is for (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick: Option<String>,
    /// Why it runs: once, schedule, manual or continuous.
    pub trigger: String,
    /// Generation of the resource that it was claimed for.
    pub generation: i64,
    /// Digest of what shapes the run.
    pub digest: String,
    /// Image of the pods of its attempts; absent in claims of versions that did not note it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Digest of what the specification says of the run; absent in claims of versions that did not look. An edit that changes it came
    /// too late for the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Attempts in a row that failed without saving anything.
    pub failures: u32,
    /// Attempts in a row that fail before the run has failed; the operator's own number when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most_failures: Option<u32>,
    /// Attempts in a row that ended without a result: the cluster ended them before they saved anything, or their report was lost.
    #[serde(skip_serializing_if = "is_zero")]
    pub disruptions: u32,
    /// Why the last attempt failed; absent when none did since something was saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Code of that error, or of the failure of a run that is over; `kafka-backup-runner explain CODE` says more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// When the next attempt may begin (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<String>,
    /// Uid of the attempt's Job, once it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
    /// Whether a container of this attempt ever ran; absent in claims of versions that did not look.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ran: Option<bool>,
    /// Whether the attempt's Job was told to end its pod. A Job that is suspended without this was suspended by something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopping: Option<bool>,
    /// Why the run failed, while the committed offsets that it changed are put back (`rollback.autoRollbackOnFailure`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undoing: Option<String>,
    /// The KafkaRestore whose offset mapping all attempts go by, where `offsetMappingRef` names none: the newest that was finished when
    /// the run was claimed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapping_restore: Option<String>,
    /// When the first attempt began (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When the run ended (RFC 3339); absent while it is unfinished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// How it ended: Completed, Stopped or Failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// Whether the run has changed its target; absent while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrote: Option<bool>,
}

// What serde asks for.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl RunClaim {
    /// Whether the run is not over.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.finished_at.is_none()
    }
}
