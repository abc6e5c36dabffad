//! Where a run shows its metrics while it works.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An HTTP listener with `/healthz`, `/readyz` and the metrics; the defaults are those of the custom resources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsSpec {
    /// Address to listen on.
    pub bind_address: String,
    /// Port to listen on; 0 takes a free one and logs it.
    pub port: u16,
    /// Path of the metrics.
    pub path: String,
    /// Milliseconds between two updates of gauges.
    pub update_interval_ms: u64,
    /// Partitions with a lag of their own, those with the largest first; the rest is summed up.
    pub max_partition_labels: u32,
    /// Seconds for which they are still served once the run is over, so that its last numbers are read; a stop ends that, too.
    #[serde(skip_serializing_if = "crate::is_zero")]
    pub keep_alive_secs: u64,
}

impl Default for MetricsSpec {
    fn default() -> Self {
        Self {
            bind_address: "0.0.0.0".into(),
            port: 9090,
            path: "/metrics".into(),
            update_interval_ms: 500,
            max_partition_labels: 100,
            keep_alive_secs: 0,
        }
    }
}

impl MetricsSpec {
    /// Broken rules: field below `metrics`, and the rule.
    pub(crate) fn findings(&self) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        if self.bind_address.parse::<std::net::IpAddr>().is_err() {
            out.push(("bindAddress", format!("is {:?}; must be an IP address", self.bind_address)));
        }
        let plain = self.path.chars().all(|c| c.is_ascii_alphanumeric() || "/-_.".contains(c));
        let leads_up = self.path.split('/').any(|part| part == "..");
        let taken = ["/", "/healthz", "/readyz"].contains(&self.path.as_str());
        if !self.path.starts_with('/') || !plain || leads_up || taken {
            let rule = format!(
                "is {:?}; must begin with /, be neither / nor /healthz nor /readyz, and not have '..' as a part",
                self.path
            );
            out.push(("path", rule));
        }
        if self.update_interval_ms == 0 {
            out.push(("updateIntervalMs", "must be greater than 0".into()));
        }
        out
    }
}
