//! The status of a KafkaBackupValidation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunClaim;

/// What is known of a validation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct KafkaBackupValidationStatus {
    /// Ready, Pending, Running, Completed or Failed. A validation whose checks failed is Completed; Failed is one whose checks
    /// could not all be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// The phase in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Pass, Warn or Fail, of the last validation; absent when its checks could not all be made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_result: Option<String>,
    /// When it began (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// When it ended (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<String>,
    /// Checks of the last validation in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_total: Option<u64>,
    /// Checks that were made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_completed: Option<u64>,
    /// Checks that passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_passed: Option<u64>,
    /// Checks that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_failed: Option<u64>,
    /// Checks that warn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks_warned: Option<u64>,
    /// What came of each check.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub check_results: Vec<CheckResult>,
    /// Where the evidence of the last validation lies: its document; the other files stand beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_report_path: Option<String>,
    /// Whether it is signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence_report_signed: Option<bool>,
    /// When the last validation ended that made all of its checks (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_validation_time: Option<String>,
    /// The next tick (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_scheduled_validation: Option<String>,
    /// When a validation last ended without a failed check (RFC 3339). An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_pass_time: Option<String>,
    /// The recovery point that was looked at. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<String>,
    /// Seed of the sample that was read. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_seed: Option<u64>,
    /// Where the whole report of the run lies. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_path: Option<String>,
    /// Results of past validations, the newest last; `spec.historyLimit` of them. An addition of this operator.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<PastValidation>,
    /// The newest tick that a run was claimed for (RFC 3339). An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<String>,
    /// The schedule whose ticks are counted; empty after one was taken back. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_schedule: Option<String>,
    /// From when on ticks count, if not from the creation (RFC 3339). An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule_since: Option<String>,
    /// Ticks that came while a run worked, 100 at most: the newest of them runs next. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missed_ticks: Option<u32>,
    /// The value of the annotation `kafka.oso.sh/trigger-validation` that a run was claimed for. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_trigger: Option<String>,
    /// The claimed run, or the last one. An addition of this operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunClaim>,
    /// The generation that this status tells of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckResult {
    /// Name of the check.
    pub check_name: String,
    /// Passed, Failed, Skipped or Warning.
    pub outcome: String,
    /// The outcome in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Milliseconds that it took; the checks of the archive are made in one pass, and each has the time of the pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// What came of a past validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PastValidation {
    /// Id of the run.
    pub run: String,
    /// When it ended (RFC 3339).
    pub at: String,
    /// Pass, Warn or Fail; Error when its checks could not all be made.
    pub result: String,
    /// The recovery point that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_point: Option<String>,
    /// Where its evidence lies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_report_path: Option<String>,
    /// Whether it is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence_report_signed: Option<bool>,
    /// What failed, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
