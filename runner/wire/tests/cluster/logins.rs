//! Servers that say in a login what no server should.

use std::sync::Arc;
use std::time::Duration;

use contract::{ConnectionSpec, SaslMechanism, SecurityProtocol};
use kafka_protocol::messages::{RequestKind, ResponseKind, SaslAuthenticateResponse, SaslHandshakeResponse};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wire::{Cluster, ClusterConfig, SaslConfig, TlsFiles, WireError};

use crate::script::{Ask, Kafka, Reply, versions};

/// A broker whose first answer in SCRAM asks for so many rounds.
fn asks_for(rounds: &'static str) -> Kafka {
    Kafka::new(move |ask: &Ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::SaslHandshake(_) => Reply::Answer(ResponseKind::SaslHandshake(SaslHandshakeResponse::default())),
        RequestKind::SaslAuthenticate(request) => {
            let client = String::from_utf8(request.auth_bytes.to_vec()).unwrap();
            let Some((_, nonce)) = client.split_once("r=") else { return Reply::Nothing };
            let first = format!("r={nonce}server,s=c2FsdA==,i={rounds}").into_bytes();
            let answer = SaslAuthenticateResponse::default().with_auth_bytes(first.into());
            Reply::Answer(ResponseKind::SaslAuthenticate(answer))
        }
        other => panic!("nobody is logged in: {other:?}"),
    })
}

async fn connect(kafka: Kafka, options: ConnectionSpec) -> WireError {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        path
    };
    let (username, password) = (file("username"), file("password"));
    let config = ClusterConfig {
        bootstrap: vec!["kafka:1".into()],
        protocol: SecurityProtocol::SaslPlaintext,
        tls: TlsFiles::default(),
        allowed: contract::AllowedEndpoints::default(),
        sasl: Some(SaslConfig {
            mechanism: SaslMechanism::ScramSha256,
            username: wire::UserName::File(username),
            password,
        }),
        options,
        seed: 7,
        stop: CancellationToken::new(),
        waits: contract::Waits::default(),
    };
    Cluster::connect(config, Arc::new(kafka)).await.unwrap_err()
}

#[tokio::test]
async fn too_many_rounds_end_the_run_at_once() {
    for rounds in ["1", "4294967295"] {
        let since = Instant::now();
        let error = connect(asks_for(rounds), crate::script::options()).await;
        assert!(matches!(&error, WireError::Authentication { reason, .. } if reason.contains(rounds)), "{error}");
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    }
}

#[tokio::test]
async fn hashing_neither_stops_the_clock_nor_outlives_the_limit() {
    let options = ConnectionSpec { connect_timeout_ms: 100, retry_deadline_ms: 300, ..crate::script::options() };
    let since = Instant::now();
    let mut ticks = 0;
    let connecting = connect(asks_for("300000"), options);
    let mut clock = tokio::time::interval(Duration::from_millis(10));
    tokio::pin!(connecting);
    let error = loop {
        tokio::select! {
            error = &mut connecting => break error,
            _ = clock.tick() => ticks += 1,
        }
    };
    let took = since.elapsed();
    assert!(error.to_string().contains("was not connected and logged in within 100 ms"), "{error}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(ticks >= 5, "{ticks} in {took:?}");
}
