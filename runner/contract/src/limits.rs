//! How fast a run may go, and how it treats a store that fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most that a run moves in a second, averaged over a few seconds. 0: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RateLimit {
    /// Records per second.
    pub records_per_sec: u64,
    /// Bytes of record batches per second.
    pub bytes_per_sec: u64,
}

impl RateLimit {
    /// Whether there is a limit at all.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.records_per_sec > 0 || self.bytes_per_sec > 0
    }
}

/// A circuit breaker before the object store: after several failed requests in a row it lets the store rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct CircuitBreakerSpec {
    /// Without it requests are tried again with back-off for up to three minutes, then the run ends.
    pub enabled: bool,
    /// Failed requests in a row that open the circuit.
    pub failure_threshold: u32,
    /// Seconds without any request while it is open; then one at a time is let through.
    pub reset_timeout_secs: u64,
    /// Good answers in a row that close it again.
    pub success_threshold: u32,
    /// Milliseconds after which a request counts as failed.
    pub operation_timeout_ms: u64,
}

impl Default for CircuitBreakerSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            failure_threshold: 5,
            reset_timeout_secs: 60,
            success_threshold: 3,
            operation_timeout_ms: 30_000,
        }
    }
}

impl CircuitBreakerSpec {
    /// Broken rules: field below `circuitBreaker`, and the rule.
    pub(crate) fn findings(&self) -> Vec<(&'static str, String)> {
        let fields = [
            ("failureThreshold", u64::from(self.failure_threshold)),
            ("resetTimeoutSecs", self.reset_timeout_secs),
            ("successThreshold", u64::from(self.success_threshold)),
            ("operationTimeoutMs", self.operation_timeout_ms),
        ];
        let zero =
            |(field, value): &(&'static str, u64)| (*value == 0).then(|| (*field, "must be greater than 0".into()));
        fields.iter().filter_map(zero).collect()
    }
}
