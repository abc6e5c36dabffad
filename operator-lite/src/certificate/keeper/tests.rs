//! The keeper against an API server in memory that has one Secret and one webhook configuration.

use std::sync::Mutex;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use serde_json::Value;

use super::*;

/// The Secret, and the authorities that the API server trusts.
#[derive(Default)]
struct World {
    secret: Option<Value>,
    trusted: Value,
    /// How often each method came for the Secret.
    made: u32,
}

type Server = Arc<Mutex<World>>;

async fn serve(State(server): State<Server>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let mut world = server.lock().unwrap();
    if path.contains("validatingwebhookconfigurations") {
        if method == "PATCH" {
            world.trusted = body["webhooks"][0]["clientConfig"]["caBundle"].clone();
        }
        let webhook = json!({"name": "w", "clientConfig": {"caBundle": world.trusted}, "admissionReviewVersions": [], "sideEffects": "None"});
        return json!({"metadata": {"name": "c", "resourceVersion": "1"}, "webhooks": [webhook]})
            .to_string()
            .into_response();
    }
    match method.as_str() {
        "POST" => world.made += 1,
        "PUT" => assert!(world.secret.is_some(), "only what is there is replaced"),
        _ => {}
    }
    if method != "GET" {
        world.secret = Some(body);
    }
    if let Some(secret) = &world.secret {
        return secret.to_string().into_response();
    }
    let status = json!({"status": "Failure", "reason": "NotFound", "message": "not found", "code": 404});
    (StatusCode::NOT_FOUND, status.to_string()).into_response()
}

struct Replica {
    keeper: Keeper,
    client: Client,
    certificate: Certificate,
    held: Material,
}

impl Replica {
    fn new(server: &Server) -> Self {
        let lifetimes = Lifetimes {
            authority: SignedDuration::from_hours(8),
            leaf: SignedDuration::from_hours(1),
            settle: SignedDuration::from_secs(1),
        };
        let keeper = Keeper {
            namespace: "n".into(),
            secret: "s".into(),
            configuration: "c".into(),
            names: vec!["w.n.svc".into()],
            lifetimes,
        };
        let client = Client::new(Router::new().fallback(serve).with_state(Arc::clone(server)), "n");
        Self { keeper, client, certificate: Certificate::default(), held: Material::default() }
    }

    /// Looks until nothing is left to do.
    async fn settle(&mut self) {
        for _ in 0..10 {
            let metrics = Metrics::new();
            let looked = self.keeper.look(&self.client, &self.certificate, &metrics, &mut self.held);
            if looked.await.unwrap() == Renewal::Keep {
                return;
            }
        }
        panic!("it never ends");
    }
}

/// What the API server trusts, as the operator would hold it.
fn trusts(server: &Server, material: &Material) -> bool {
    server.lock().unwrap().trusted == json!(ByteString(material.bundle().into_bytes()))
}

#[tokio::test]
async fn a_secret_that_was_deleted_is_made_again() {
    let server = Server::default();
    let mut first = Replica::new(&server);
    first.settle().await;
    assert!(first.certificate.is_there() && trusts(&server, &first.held));
    // Gone while a replica serves: it comes back as it was, and nothing changes for the API server.
    server.lock().unwrap().secret = None;
    let before = first.held.clone();
    first.settle().await;
    assert_eq!((&first.held, server.lock().unwrap().made), (&before, 2));
    let mut second = Replica::new(&server);
    second.settle().await;
    assert_eq!(second.held, before);
    // Gone, and all replicas are new: they agree on a new one.
    server.lock().unwrap().secret = None;
    let (mut third, mut fourth) = (Replica::new(&server), Replica::new(&server));
    third.settle().await;
    fourth.settle().await;
    assert!(third.certificate.is_there() && third.held != before && third.held == fourth.held);
    assert!(trusts(&server, &third.held));
}

#[tokio::test]
async fn a_secret_that_does_not_read_is_written_anew() {
    let server = Server::default();
    server.lock().unwrap().secret = Some(json!({"metadata": {"name": "s"}, "data": {MATERIAL: "bm90IGpzb24="}}));
    let mut replica = Replica::new(&server);
    replica.settle().await;
    assert!(replica.certificate.is_there() && server.lock().unwrap().made == 0);
}
