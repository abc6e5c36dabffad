//! Somebody writes large resources and large Jobs into a namespace of their own: the operator, with no more memory than its
//! pod has, goes on. It runs in a process of its own against an API server in memory.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use api::lower::job::Placement;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use operator::capacity::Capacity;
use operator::controller::{Context, Readings, start};
use operator::metrics::Metrics;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

/// Address space of the process: the pod has 256 MiB, and a test program reserves more than it takes.
const MIB: u64 = 400;
/// Resources, half of them with a large specification, all with large metadata.
const BACKUPS: usize = 40;
/// Jobs that carry the label of each of them.
const JOBS: usize = 6;
const PATIENCE: Duration = Duration::from_secs(400);

#[test]
fn large_objects_of_a_tenant_do_not_fill_the_memory() {
    let status = Command::new("sh")
        .args(["-c", &format!("ulimit -v {}; exec \"$0\" \"$@\"", MIB << 10)])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "controllers", "--ignored", "--nocapture", "--test-threads=1"])
        // Each arena of the allocator reserves addresses.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

/// An API server: the resources whose Jobs were looked at, by uid.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<BTreeSet<String>>>);

/// The metadata of an object whose name is NAME.
fn metadata() -> Value {
    let written: Map<String, Value> = (0..15_000).map(|number| (format!("f:topic-{number}"), json!({}))).collect();
    json!({
        "name": "NAME", "namespace": "tenant", "uid": "NAME", "generation": 1, "resourceVersion": "7",
        "creationTimestamp": "2026-11-29T10:00:00Z", "labels": {"app.kubernetes.io/managed-by": "kafka-backup.dev"},
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(250_000)},
        "managedFields": [{
            "manager": "apply", "operation": "Update", "time": "2026-11-29T10:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:topicMapping": written}},
        }],
    })
}

/// A `KafkaBackup` with so many topics, and a run whose Jobs are looked at.
fn backup(topics: usize) -> String {
    let topics: Vec<_> = (0..topics).map(|topic| format!("topic-with-a-long-name-{topic}")).collect();
    let backup = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": metadata(),
        "spec": {
            "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": topics, "schedule": "0 0 2 * * *",
            "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}},
        },
        "status": {"run": {
            "id": "r", "at": "2026-11-29T10:00:00Z", "trigger": "schedule", "generation": 1, "digest": "d", "attempt": 1,
            "failures": 0, "jobUid": "j",
        }},
    });
    backup.to_string()
}

static SMALL: LazyLock<String> = LazyLock::new(|| backup(1));
static LARGE: LazyLock<String> = LazyLock::new(|| backup(9_000));
static JOB: LazyLock<String> = LazyLock::new(|| {
    let containers: Vec<_> = (0..5_000).map(|name| json!({"name": format!("c{name}"), "image": "i"})).collect();
    let spec = json!({"template": {"spec": {"containers": containers}}});
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata(), "spec": spec}).to_string()
});

fn backup_of(number: usize) -> String {
    let text = if number.is_multiple_of(2) { &SMALL } else { &LARGE };
    text.replace("\"NAME\"", &format!("\"b{number}\""))
}

fn job_of(number: usize) -> String {
    JOB.replace("\"NAME\"", &format!("\"j{number}\""))
}

/// As many of the objects as are asked for.
fn page(query: &BTreeMap<String, String>, count: usize, one: impl Fn(usize) -> String) -> Response {
    let number = |name: &str| query.get(name).and_then(|text| text.parse::<usize>().ok());
    let from = number("continue").unwrap_or(0);
    let to = number("limit").map_or(count, |limit| (from + limit).min(count));
    let more = if to < count { to.to_string() } else { String::new() };
    let items = (from..to).map(one).collect::<Vec<_>>().join(",");
    let meta = json!({"resourceVersion": "7", "continue": more});
    format!(r#"{{"apiVersion": "v1", "kind": "List", "metadata": {meta}, "items": [{items}]}}"#).into_response()
}

async fn serve(State(server): State<Server>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let query: BTreeMap<_, _> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let number = path.rsplit('/').next().and_then(|name| name.strip_prefix('b')?.parse().ok());
    match (method.as_str(), number) {
        ("GET", _) if query.get("watch").is_some_and(|watch| watch == "true") => {
            Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>()).into_response()
        }
        ("GET", Some(number)) => backup_of(number).into_response(),
        ("GET", None) if path.ends_with("/kafkabackups") => page(&query, BACKUPS, backup_of),
        ("GET", None) if path.ends_with("/namespaces/tenant/jobs") => {
            // The label names the resource.
            let owner = query.get("labelSelector").and_then(|label| label.rsplit("%3D").next()).unwrap_or_default();
            server.0.lock().unwrap().insert(owner.to_owned());
            page(&query, JOBS, job_of)
        }
        ("GET", None) if path.ends_with("/jobs") => page(&query, BACKUPS, job_of),
        ("GET", None) => page(&query, 0, job_of),
        _ => {
            let refused = json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": "Conflict", "message": "no", "code": 409,
            });
            (StatusCode::CONFLICT, refused.to_string()).into_response()
        }
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn controllers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::default();
        let client = Client::new(Router::new().fallback(serve).with_state(server.clone()), "tenant");
        let client = asks::sparing(client, Duration::from_secs(60), "the test");
        let context = Context {
            recorder: Recorder::new(client.clone(), Reporter { controller: "test".into(), instance: None }),
            client,
            lost_after: Some(SignedDuration::from_secs(600)),
            allowed_endpoints: Arc::new([]),
            offsets_storage: None,
            placement: Arc::new(Placement { image: "runner".into(), ..Placement::default() }),
            readings: Readings::default(),
            capacity: Arc::new(Capacity::new(10, 0)),
            metrics: Arc::new(Metrics::new()),
        };
        let (groups, stop) = (["kafka.oso.sh".to_owned()], CancellationToken::new());
        let looks = async {
            while server.0.lock().unwrap().len() < BACKUPS {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::select! {
            () = start(context, &[], &groups, stop.clone()) => panic!("the controllers ended"),
            looked = tokio::time::timeout(PATIENCE, looks) => {
                let seen = server.0.lock().unwrap().len();
                assert!(looked.is_ok(), "{seen} of {BACKUPS} resources had a look");
            }
        }
        // What the process took at most, for whoever reads the output.
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        eprintln!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    });
}
