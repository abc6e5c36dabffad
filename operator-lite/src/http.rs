//! Metrics and health over plain HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use visits::{Bounded, CLOSE, PROBE, PROBES};

use crate::error::Error;
use crate::metrics::Metrics;
use crate::webhook::Certificate;

/// What readiness rests on.
#[derive(Debug, Clone)]
pub struct Health {
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// The webhook's certificate.
    pub certificate: Arc<Certificate>,
    /// Whether the definitions in the cluster are as new as this program.
    pub definitions: watch::Receiver<bool>,
    /// The operator ends.
    pub stop: CancellationToken,
}

/// Serves until `drained`.
///
/// # Errors
/// When the address is taken.
pub async fn serve(address: SocketAddr, health: Health, drained: CancellationToken) -> Result<(), Error> {
    let io = |source| Error::Io { what: format!("listening on {address}"), source };
    let listener = TcpListener::bind(address).await.map_err(io)?;
    let routes = Router::new()
        .route("/healthz", get(|| async { ([CLOSE], "ok") }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health);
    let listener = Bounded::new(listener, PROBES, PROBE);
    axum::serve(listener, routes).with_graceful_shutdown(drained.cancelled_owned()).await.map_err(io)
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let (status, text) = readiness(&health);
    (status, [CLOSE], text)
}

fn readiness(health: &Health) -> (StatusCode, &'static str) {
    if health.stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "the operator ends")
    } else if !health.certificate.is_there() {
        (StatusCode::SERVICE_UNAVAILABLE, "the webhook has no certificate yet")
    } else if !*health.definitions.borrow() {
        (StatusCode::SERVICE_UNAVAILABLE, "CRDOutdated: the custom resource definitions are older than this operator")
    } else {
        (StatusCode::OK, "ok")
    }
}

async fn metrics(State(health): State<Health>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind), CLOSE], health.metrics.text())
}
