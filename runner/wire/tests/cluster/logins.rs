//! Servers that say in a login what no server should.

use std::sync::Arc;
use std::time::Duration;

use contract::{Code, ConnectionSpec, SaslMechanism, SecurityProtocol};
use kafka_protocol::messages::{RequestKind, ResponseKind, SaslAuthenticateResponse, SaslHandshakeResponse};
use tokio::time::Instant;
use wire::{Cluster, ClusterConfig, SaslConfig, WireError};

use crate::script::{Ask, Kafka, Reply, metadata, plaintext, versions};

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
    login(kafka, SaslMechanism::ScramSha256, options).await.unwrap_err()
}

async fn login(kafka: Kafka, mechanism: SaslMechanism, options: ConnectionSpec) -> Result<Arc<Cluster>, WireError> {
    let folder = tempfile::tempdir().unwrap().keep();
    let file = |name: &str| {
        let path = folder.join(name);
        std::fs::write(&path, name).unwrap();
        path
    };
    let (username, password) = (file("username"), file("password"));
    let config = ClusterConfig {
        protocol: SecurityProtocol::SaslPlaintext,
        sasl: Some(SaslConfig { mechanism, username: wire::UserName::File(username), password }),
        ..plaintext(options)
    };
    Cluster::connect(config, Arc::new(kafka)).await
}

fn shaken(error: i16, mechanisms: &[&str]) -> Reply {
    let mechanisms = mechanisms.iter().map(|name| (*name).to_owned().into()).collect();
    let answer = SaslHandshakeResponse::default().with_error_code(error).with_mechanisms(mechanisms);
    Reply::Answer(ResponseKind::SaslHandshake(answer))
}

fn authenticated(error: i16) -> Reply {
    Reply::Answer(ResponseKind::SaslAuthenticate(SaslAuthenticateResponse::default().with_error_code(error)))
}

/// A hang-up shows what is wrong: it is told with its field, and final after three tries over ten seconds.
#[tokio::test(start_paused = true)]
async fn a_listener_that_hangs_up_is_named_and_left() {
    type Script = fn(&Ask) -> Reply;
    let cases: [(Script, Code, &str); 5] = [
        (|_| Reply::HangUp, Code::WrongListener, "closes the connection at the first question (ApiVersions)"),
        (
            |ask| match &ask.request {
                RequestKind::ApiVersions(_) => versions(),
                _ => Reply::HangUp,
            },
            Code::WrongListener,
            "closes the connection where the login begins (SaslHandshake), and securityProtocol is SASL_PLAINTEXT; set securityProtocol to PLAINTEXT",
        ),
        (
            |ask| match &ask.request {
                RequestKind::ApiVersions(_) => versions(),
                RequestKind::SaslHandshake(_) => shaken(0, &["PLAIN"]),
                _ => Reply::HangUp,
            },
            Code::AuthenticationFailed,
            "in the middle of the login with PLAIN, as brokers do that refuse a user without a word; correct the files that sasl names",
        ),
        (
            |ask| match &ask.request {
                RequestKind::ApiVersions(_) => versions(),
                _ => shaken(33, &[]),
            },
            Code::AuthenticationFailed,
            "it offers no mechanism at all, and sasl.mechanism is PLAIN",
        ),
        (
            |ask| match &ask.request {
                RequestKind::ApiVersions(_) => versions(),
                _ => shaken(33, &["SCRAM-SHA-512", "GSSAPI"]),
            },
            Code::AuthenticationFailed,
            "it offers SCRAM-SHA-512, GSSAPI, and sasl.mechanism is PLAIN; set sasl.mechanism to one of them",
        ),
    ];
    for (script, code, words) in cases {
        let since = Instant::now();
        let error = login(Kafka::new(script), SaslMechanism::Plain, crate::script::options()).await.unwrap_err();
        assert!(error.is_final() && error.code() == code, "{error:?}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(since.elapsed() <= Duration::from_secs(20), "{:?}: {error}", since.elapsed());
    }
}

/// The bootstrap address let us in, and says nothing of the login at another one.
#[tokio::test(start_paused = true)]
async fn a_login_that_another_address_refuses_ends_the_work_at_once() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::SaslHandshake(_) => shaken(0, &["PLAIN"]),
        RequestKind::SaslAuthenticate(_) => authenticated(if ask.port == 2 { 58 } else { 0 }),
        _ => metadata(&[(1, 1), (2, 2)], &[]),
    });
    let cluster = login(kafka, SaslMechanism::Plain, crate::script::options()).await.unwrap();
    let since = Instant::now();
    let error = cluster.retrying(async || cluster.knock(2).await).await.unwrap_err();
    assert!(error.is_final() && error.code() == Code::AuthenticationFailed, "{error:?}");
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
}

/// Where the address let us in before, the password may be about to be replaced.
#[tokio::test(start_paused = true)]
async fn a_login_that_was_good_at_this_address_is_tried_again() {
    let kafka = Kafka::new(|ask| match &ask.request {
        RequestKind::ApiVersions(_) => versions(),
        RequestKind::SaslHandshake(_) => shaken(0, &["PLAIN"]),
        RequestKind::SaslAuthenticate(_) => authenticated(if ask.nth == 1 { 58 } else { 0 }),
        RequestKind::Metadata(_) if ask.connection == 0 && ask.nth > 0 => Reply::HangUp,
        _ => metadata(&[(1, 1)], &[]),
    });
    let cluster = login(kafka.clone(), SaslMechanism::Plain, crate::script::options()).await.unwrap();
    cluster.retrying(async || cluster.knock(1).await).await.unwrap();
    assert!(kafka.dials().len() >= 2, "{:?}", kafka.dials());
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
