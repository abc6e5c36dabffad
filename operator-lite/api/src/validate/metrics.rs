//! Rules of `metrics` blocks.

use crate::finding::Findings;
use crate::oso::Metrics;

pub(super) fn metrics(out: &mut Findings, metrics: Option<&Metrics>) {
    let Some(metrics) = metrics.filter(|metrics| metrics.enabled) else { return };
    out.above_zero("spec.metrics.port", metrics.port);
    out.above_zero("spec.metrics.updateIntervalMs", metrics.update_interval_ms);
    path(out, &metrics.path);
    bind_address(out, &metrics.bind_address);
}

pub(super) fn path(out: &mut Findings, path: &str) {
    if !path.starts_with('/') {
        out.wrong("spec.metrics.path", format!("{path:?}"), "must begin with /", "write /metrics");
    }
}

pub(super) fn bind_address(out: &mut Findings, address: &str) {
    if address.parse::<std::net::IpAddr>().is_err() {
        let fix = "write 0.0.0.0";
        out.wrong("spec.metrics.bindAddress", format!("{address:?}"), "must be an IP address", fix);
    }
}
