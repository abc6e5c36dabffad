//! The HTTP listener of a run: metrics and health, nothing else.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use contract::MetricsSpec;
use tokio::net::TcpListener;

use super::Metrics;
use visits::{Bounded, CLOSE, PROBE, PROBES};

/// Listens until the runtime ends.
///
/// # Errors
/// When the address is none, taken, or not ours.
pub(crate) async fn serve(spec: &MetricsSpec, metrics: Arc<Metrics>) -> std::io::Result<SocketAddr> {
    let address: IpAddr = spec.bind_address.parse().map_err(std::io::Error::other)?;
    let listener = TcpListener::bind((address, spec.port)).await?;
    let bound = listener.local_addr()?;
    let ready = Arc::clone(&metrics);
    let text = move || {
        let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        std::future::ready(([(header::CONTENT_TYPE, kind), CLOSE], metrics.text()))
    };
    let readiness = move || {
        let answer = if ready.is_ready() {
            (StatusCode::OK, "ready\n")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "the run has not claimed its work yet\n")
        };
        std::future::ready((answer.0, [CLOSE], answer.1))
    };
    let routes = Router::new()
        .route(&spec.path, get(text))
        .route("/healthz", get(|| std::future::ready(([CLOSE], "alive\n"))))
        .route("/readyz", get(readiness));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(Bounded::new(listener, PROBES, PROBE), routes).await {
            tracing::warn!(%error, "metrics are no longer served");
        }
    });
    Ok(bound)
}
