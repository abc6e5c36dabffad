//! The controllers against an API server in memory: it keeps versions, refuses old ones, and can let another writer in
//! before each status that is written.

mod begins;
mod calm;
mod edited;
mod going;
mod hangs;
mod offsets;
mod rare;
mod retention;
mod validations;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use api::lower::job::{MANAGER, OWNER_LABEL, Placement, RUN_ANNOTATION};
use api::oso::{KafkaBackup, KafkaRestore};
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use kube::Client;
use kube::core::DeserializeGuard;
use kube::runtime::events::{Recorder, Reporter};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Context, Kind, Readings, reconcile, unreadable};
use crate::capacity::Capacity;
use crate::metrics::Metrics;

const JOBS: &str = "/apis/batch/v1/namespaces/team/jobs";
const PODS: &str = "/api/v1/namespaces/team/pods";
const EVENTS: &str = "/api/v1/namespaces/team/events";
const BACKUPS: &str = "/apis/kafka.oso.sh/v1alpha1/namespaces/team/kafkabackups";
const RESTORES: &str = "/apis/kafka.oso.sh/v1alpha1/namespaces/team/kafkarestores";

#[derive(Default)]
struct World {
    objects: BTreeMap<String, Value>,
    version: u64,
    /// Whether somebody else writes to an object before the next status of it is written, one by one.
    rivals: VecDeque<bool>,
    /// Events that were written.
    told: usize,
    /// Their reasons.
    reasons: Vec<String>,
    /// Statuses that were kept.
    kept: usize,
    /// What the operator has no rights for.
    forbidden: Option<String>,
    /// Whether logs are never answered.
    silent: bool,
    /// Whether the definitions are of a time when statuses had no claims.
    older: bool,
    /// Field managers of the statuses that were written.
    writers: Vec<Option<String>>,
}

#[derive(Clone, Default)]
struct Server(Arc<Mutex<World>>);

fn status(code: StatusCode) -> Response {
    // The one reason that clients look at.
    let reason = if code == StatusCode::NOT_FOUND { "NotFound".to_owned() } else { code.to_string() };
    let body = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": code.to_string(), "code": code.as_u16()});
    (code, body.to_string()).into_response()
}

async fn serve(State(server): State<Server>, request: Request) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let owner = request.uri().query().and_then(owner_asked_for);
    if path.ends_with("/status") {
        let query = request.uri().query().unwrap_or_default();
        let name = query.split('&').find_map(|part| part.strip_prefix("fieldManager=")).map(str::to_owned);
        server.0.lock().unwrap().writers.push(name);
    }
    if path.ends_with("/log") && server.0.lock().unwrap().silent {
        std::future::pending::<()>().await;
    }
    let strict = request.uri().query().is_some_and(|query| query.contains("fieldValidation=Strict"));
    let body = to_bytes(request.into_body(), usize::MAX).await.unwrap_or_else(|_| Bytes::new());
    let mut body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
    let claims = path.ends_with("/status") && body["status"]["run"].is_object();
    if claims && server.0.lock().unwrap().older {
        if strict {
            return status(StatusCode::BAD_REQUEST);
        }
        // What a definition does not know is dropped without a word.
        body["status"]["run"].take();
    }
    server.answer(&method, &path, owner.as_deref(), body)
}

/// The owner whose objects a list is asked for.
fn owner_asked_for(query: &str) -> Option<String> {
    let selector = query.split('&').find_map(|part| part.strip_prefix("labelSelector="))?;
    let selector = selector.replace("%2F", "/").replace("%3D", "=");
    Some(selector.strip_prefix(OWNER_LABEL)?.strip_prefix('=')?.to_owned())
}

impl Server {
    fn answer(&self, method: &Method, path: &str, owner: Option<&str>, body: Value) -> Response {
        let mut world = self.0.lock().unwrap();
        let known = |world: &World, path: &str| world.objects.get(path).map(ToString::to_string);
        if path.contains("events.k8s.io") {
            world.told += 1;
            world.reasons.push(body["reason"].as_str().unwrap_or_default().to_owned());
            return body.to_string().into_response();
        }
        if world.forbidden.as_ref().is_some_and(|forbidden| path.starts_with(forbidden)) {
            return status(StatusCode::FORBIDDEN);
        }
        match method.as_str() {
            "GET" if [JOBS, PODS, EVENTS, BACKUPS, RESTORES].contains(&path) => {
                let of_owner =
                    |object: &&Value| owner.is_none_or(|owner| object["metadata"]["labels"][OWNER_LABEL] == owner);
                let items: Vec<&Value> = world.inside(path).filter(of_owner).collect();
                json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items}).to_string().into_response()
            }
            "GET" => known(&world, path).map_or_else(|| status(StatusCode::NOT_FOUND), IntoResponse::into_response),
            "POST" => {
                let at = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
                if world.objects.contains_key(&at) {
                    return status(StatusCode::CONFLICT);
                }
                world.keep(&at, body);
                known(&world, &at).unwrap().into_response()
            }
            "PUT" => {
                let at = path.trim_end_matches("/status").to_owned();
                let rival = world.rivals.pop_front().unwrap_or(false);
                let Some(mut object) = world.objects.get(&at).cloned() else { return status(StatusCode::NOT_FOUND) };
                if rival {
                    world.keep(&at, object.clone());
                }
                let current = world.objects[&at]["metadata"]["resourceVersion"].clone();
                if body["metadata"]["resourceVersion"] != current {
                    return status(StatusCode::CONFLICT);
                }
                object["status"] = body["status"].clone();
                world.kept += 1;
                world.keep(&at, object);
                known(&world, &at).unwrap().into_response()
            }
            "PATCH" if path.ends_with("/status") => {
                let at = path.trim_end_matches("/status").to_owned();
                let mut object = world.objects[&at].clone();
                for (name, value) in body["status"].as_object().unwrap() {
                    object["status"][name] = value.clone();
                }
                world.keep(&at, object);
                known(&world, &at).unwrap().into_response()
            }
            "PATCH" => {
                let Some(mut object) = world.objects.get(path).cloned() else { return status(StatusCode::NOT_FOUND) };
                merge(&mut object, &body);
                world.keep(path, object);
                known(&world, path).unwrap().into_response()
            }
            "DELETE" => match world.objects.remove(path) {
                Some(object) => object.to_string().into_response(),
                None => status(StatusCode::NOT_FOUND),
            },
            _ => status(StatusCode::METHOD_NOT_ALLOWED),
        }
    }

    fn context(&self, capacity: Capacity) -> Arc<Context> {
        let client = Client::new(Router::new().fallback(serve).with_state(self.clone()), "team");
        let reporter = Reporter { controller: "test".into(), instance: None };
        Arc::new(Context {
            recorder: Recorder::new(client.clone(), reporter),
            client,
            lost_after: None,
            offsets_storage: None,
            allowed_endpoints: Arc::new([]),
            readings: Readings::default(),
            placement: Arc::new(Placement { image: "runner".into(), ..Placement::default() }),
            capacity: Arc::new(capacity),
            metrics: Arc::new(Metrics::new()),
        })
    }

    fn put(&self, at: &str, object: Value) {
        self.0.lock().unwrap().keep(at, object);
    }

    fn get(&self, at: &str) -> Value {
        self.0.lock().unwrap().objects.get(at).cloned().unwrap_or_default()
    }

    fn jobs(&self) -> Vec<Value> {
        self.0.lock().unwrap().inside(JOBS).cloned().collect()
    }

    /// The Jobs of a resource.
    fn jobs_of(&self, uid: &str) -> Vec<Value> {
        self.jobs().into_iter().filter(|job| job["metadata"]["labels"][OWNER_LABEL] == uid).collect()
    }

    /// Reconciles a resource as it is now.
    async fn look<K: Kind>(&self, at: &str, context: &Arc<Context>) {
        let object: K = serde_json::from_value(self.get(at)).unwrap();
        Box::pin(reconcile(Arc::new(object), Arc::clone(context))).await.unwrap();
    }

    fn end(&self, job: &Value, code: i32) {
        self.end_saying(job, code, &json!({}));
    }

    /// Ends a Job whose report has this, too.
    fn end_saying(&self, job: &Value, code: i32, more: &Value) {
        let mut job = job.clone();
        let (kind, outcome) = if code == 0 { ("Complete", "Completed") } else { ("Failed", "Failed") };
        let message = "in words";
        let mut report = json!({
            "run": job["metadata"]["annotations"][RUN_ANNOTATION], "kind": "backup", "outcome": outcome, "startedAt": "x",
            "finishedAt": "y", "topics": 1, "partitions": 1, "records": 7, "bytes": 9, "storedBytes": 3, "segments": 1,
        });
        merge(&mut report, more);
        let state = json!({"terminated": {"exitCode": code, "message": report.to_string()}});
        let status =
            json!({"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        pod(
            self,
            &job,
            json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [status]}),
        );
        job["status"] = json!({"conditions": [{"type": kind, "status": "True", "message": message}]});
        let at = format!("{JOBS}/{}", job["metadata"]["name"].as_str().unwrap());
        self.put(&at, job);
    }
}

/// A merge patch.
fn merge(object: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut object[name], value);
        }
    }
}

impl World {
    /// The objects of a collection.
    fn inside(&self, path: &str) -> impl Iterator<Item = &Value> {
        let within = format!("{path}/");
        self.objects.iter().filter(move |(at, _)| at.starts_with(&within)).map(|(_, object)| object)
    }

    fn keep(&mut self, at: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = format!("uid-{}", self.version).into();
        }
        self.objects.insert(at.to_owned(), object);
    }
}

fn backup(name: &str) -> Value {
    json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
        "metadata": {"name": name, "namespace": "team", "uid": name, "generation": 1, "creationTimestamp": "2026-11-21T10:00:00Z"},
        "spec": {
            "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["orders"],
            "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}},
        },
    })
}

fn restore(name: &str) -> Value {
    let mut object = backup(name);
    object["kind"] = "KafkaRestore".into();
    object["spec"] = json!({
        "kafkaCluster": {"bootstrapServers": ["kafka:9092"]},
        "backupRef": {"name": "nightly", "storage": object["spec"]["storage"]},
    });
    object
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Somebody else writes between any read and any write: no attempt loses its Job, and what is told is told once.
    #[test]
    fn a_rival_writer_costs_no_job(rivals in prop::collection::vec(any::<bool>(), 0..40), failures in 1_usize..4) {
        runtime().block_on(async {
            let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
            let context = server.context(Capacity::new(10, 0));
            server.put(&at, backup("nightly"));
            let steps = rivals.len() + 40;
            server.0.lock().unwrap().rivals = rivals.into();
            let mut ended = 0;
            for _ in 0..steps {
                server.look::<KafkaBackup>(&at, &context).await;
                let run = server.get(&at)["status"]["run"].clone();
                if run["outcome"].is_string() {
                    break;
                }
                let Some(uid) = run["jobUid"].as_str() else { continue };
                let job = server.jobs().into_iter().find(|job| job["metadata"]["uid"] == uid);
                let job = job.expect("the Job of the claimed attempt is there");
                if job["status"].is_null() {
                    let code = if ended < failures { 75 } else { 0 };
                    ended += 1;
                    server.end(&job, code);
                }
            }
            let status = server.get(&at)["status"].clone();
            assert_eq!(status["run"]["outcome"], "Completed", "{status}");
            assert_eq!(status["run"]["attempt"], failures + 1);
            // Claimed, retried, completed.
            assert_eq!(server.0.lock().unwrap().told, failures + 2);
        });
    }
}

/// Makes the pod of a Job: it waits as `status` says.
fn pod(server: &Server, job: &Value, status: Value) {
    let name = job["metadata"]["name"].as_str().unwrap();
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": job["metadata"]["uid"], "controller": true}]);
    let object = json!({
        "metadata": {"name": name, "namespace": "team", "ownerReferences": owner, "labels": job["metadata"]["labels"]},
        "status": status,
    });
    server.put(&format!("{PODS}/{name}"), object);
}

#[test]
fn runs_are_told_where_they_may_connect_to() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
        let context = Context {
            allowed_endpoints: Arc::new(["kafka".to_owned(), "*.shop.svc:9092".to_owned()]),
            ..(*server.context(Capacity::new(10, 0))).clone()
        };
        let context = Arc::new(context);
        server.put(&at, backup("nightly"));
        for _ in 0..4 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let jobs = server.jobs();
        let said = jobs.first().expect("a Job").to_string();
        assert!(said.contains("allowedEndpoints") && said.contains("*.shop.svc:9092"), "{said}");
    });
}

/// The resource decides; where it says nothing, the installation.
#[test]
fn runs_serve_metrics_where_somebody_asks_for_it() {
    runtime().block_on(async {
        for (block, installed, serves) in [
            (json!(null), false, false),
            (json!(null), true, true),
            (json!({}), false, true),
            (json!({"enabled": false}), true, false),
        ] {
            let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
            let placement = Placement { image: "runner".into(), metrics: installed, ..Placement::default() };
            let context = server.context(Capacity::new(10, 0));
            let context = Arc::new(Context { placement: Arc::new(placement), ..(*context).clone() });
            let mut nightly = backup("nightly");
            nightly["spec"]["metrics"] = block.clone();
            server.put(&at, nightly);
            for _ in 0..4 {
                server.look::<KafkaBackup>(&at, &context).await;
            }
            let job = server.jobs().remove(0);
            let pod = &job["spec"]["template"];
            let spec = pod["metadata"]["annotations"]["kafka-backup.dev/run-spec"].as_str().unwrap();
            assert_eq!(spec.contains("\"metrics\":{"), serves, "{block} {installed}: {spec}");
            assert_eq!(pod["spec"]["containers"][0]["ports"].is_array(), serves, "{block} {installed}");
        }
    });
}

#[test]
fn stuck_runs_of_every_kind_hold_no_restore_up() {
    runtime().block_on(async {
        let server = Server::default();
        let context = server.context(Capacity::new(1, 0));
        let waiting = |reason: &str| {
            json!({"phase": "Pending", "containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": reason}}}]})
        };
        let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]});
        let stuck = [Some(unscheduled), Some(waiting("ImagePullBackOff")), Some(waiting("CreateContainerConfigError")), None];
        for (number, status) in stuck.into_iter().enumerate() {
            let name = format!("stuck-{number}");
            let at = format!("{RESTORES}/{name}");
            server.put(&at, restore(&name));
            for _ in 0..4 {
                server.look::<KafkaRestore>(&at, &context).await;
            }
            let jobs = server.jobs_of(&name);
            assert_eq!(jobs.len(), 1, "{name} got the place of the one before it");
            match status {
                Some(status) => pod(&server, &jobs[0], status),
                // Its brokers do not answer: it waits for its next attempt.
                None => server.end(&jobs[0], 3),
            }
            for _ in 0..3 {
                server.look::<KafkaRestore>(&at, &context).await;
            }
        }
        let (works, queued) = (format!("{RESTORES}/works"), format!("{RESTORES}/queued"));
        server.put(&works, restore("works"));
        server.put(&queued, restore("queued"));
        for _ in 0..4 {
            server.look::<KafkaRestore>(&works, &context).await;
            server.look::<KafkaRestore>(&queued, &context).await;
        }
        assert_eq!((server.jobs_of("works").len(), server.jobs_of("queued").len()), (1, 0));
        let told = server.get(&queued)["status"]["message"].as_str().unwrap().to_owned();
        assert!(told.contains("waits for one of 1 places for restores") && told.ends_with("it is the next"), "{told}");
        // Backups are another budget.
        let nightly = format!("{BACKUPS}/nightly");
        server.put(&nightly, backup("nightly"));
        for _ in 0..3 {
            server.look::<KafkaBackup>(&nightly, &context).await;
        }
        assert_eq!(server.jobs_of("nightly").len(), 1);
    });
}

#[test]
fn a_restore_that_is_over_needs_its_backup_no_more() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let context = server.context(Capacity::new(1, 0));
        let mut object = restore("back");
        object["spec"]["backupRef"] = json!({"name": "gone"});
        object["metadata"]["annotations"] = json!({"kafka.oso.sh/trigger-backup": "again"});
        object["status"] = json!({
            "phase": "Completed", "observedGeneration": 1,
            "run": {"id": "back-1", "at": "2026-11-21T10:00:00Z", "attempt": 1, "finishedAt": "2026-11-21T10:01:00Z", "outcome": "Completed", "wrote": true},
            "conditions": [],
        });
        server.put(&at, object);
        for _ in 0..3 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        assert_eq!(status["phase"], "Completed", "{status}");
        assert!(server.jobs().is_empty(), "it does not run again");
    });
}

#[test]
fn an_object_that_does_not_read_says_so() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/old"));
        let context = server.context(Capacity::new(1, 0));
        let mut object = restore("old");
        object["spec"]["topics"] = json!({"an": "older form"});
        server.put(&at, object);
        let guarded: DeserializeGuard<KafkaRestore> = serde_json::from_value(server.get(&at)).unwrap();
        let invalid = guarded.0.unwrap_err();
        unreadable::tell::<KafkaRestore>(&invalid, &context).await.unwrap();
        let told = server.get(&at);
        let ready = told["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Ready").unwrap();
        assert_eq!((ready["status"].as_str(), ready["reason"].as_str()), (Some("False"), Some("Unreadable")));
        unreadable::tell::<KafkaRestore>(&invalid, &context).await.unwrap();
        assert_eq!(server.get(&at), told, "it is said once");
        let series = "kafka_backup_operator_unreadable_objects{kind=\"KafkaRestore\",resource_namespace=\"team\",name=\"old\"} 1";
        assert!(context.metrics.text().contains(series), "{}", context.metrics.text());
        server.put(&at, restore("old"));
        server.look::<KafkaRestore>(&at, &context).await;
        assert!(!context.metrics.text().contains(series), "it was mended");
        server.0.lock().unwrap().objects.retain(|at, _| !at.starts_with(JOBS));
        assert!(server.jobs().is_empty());
    });
}

#[test]
fn only_what_another_operator_wrote_is_handed_over() {
    runtime().block_on(async {
        for (manager, foreign) in
            [(MANAGER, false), ("kafka-backup-operator", true), ("strimzi-backup-operator", true), ("kubectl", false)]
        {
            let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
            let context = server.context(Capacity::new(1, 0));
            let mut object = backup("nightly");
            object["metadata"]["managedFields"] =
                json!([{"manager": manager, "operation": "Update", "subresource": "status"}]);
            object["status"] = json!({"phase": "Ready"});
            server.put(&at, object);
            server.look::<KafkaBackup>(&at, &context).await;
            let status = server.get(&at)["status"].clone();
            let held = status["conditions"].to_string().contains("ForeignOperator");
            assert_eq!((held, status["run"].is_null()), (foreign, foreign), "{manager}: {status}");
        }
    });
}

#[test]
fn every_status_is_written_under_our_name() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
        let context = server.context(Capacity::new(1, 0));
        server.put(&at, backup("nightly"));
        server.look::<KafkaBackup>(&at, &context).await;
        let names = server.0.lock().unwrap().writers.clone();
        assert!(!names.is_empty() && names.iter().all(|name| name.as_deref() == Some(MANAGER)), "{names:?}");
    });
}

#[test]
fn a_backup_that_may_not_be_read_is_told() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/across"));
        let context = server.context(Capacity::new(1, 0));
        server.0.lock().unwrap().forbidden = Some("/apis/kafka.oso.sh/v1alpha1/namespaces/other/".to_owned());
        let mut object = restore("across");
        object["spec"]["backupRef"] = json!({"name": "nightly", "namespace": "other"});
        server.put(&at, object);
        for _ in 0..2 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        let text = status["message"].as_str().unwrap();
        assert!(text.contains("\"other\"") && text.contains("watchNamespaces"), "{text}");
        assert_eq!(status["phase"], "Pending");
        assert!(status["conditions"].to_string().contains("BackupForbidden"), "{status}");
        assert_eq!(server.0.lock().unwrap().kept, 1, "it is said once");
        // The rights are given, and then the consent of the owner.
        server.0.lock().unwrap().forbidden = None;
        let nightly = "/apis/kafka.oso.sh/v1alpha1/namespaces/other/kafkabackups/nightly";
        server.put(nightly, backup("nightly"));
        server.look::<KafkaRestore>(&at, &context).await;
        let status = server.get(&at)["status"].clone();
        assert!(status["conditions"].to_string().contains("RestoreNotAllowed"), "{status}");
        assert!(status["run"].is_null() && status["message"].to_string().contains("restore-namespaces"), "{status}");
        let mut consenting = backup("nightly");
        consenting["metadata"]["annotations"] = json!({"kafka.oso.sh/restore-namespaces": "*"});
        server.put(nightly, consenting);
        server.look::<KafkaRestore>(&at, &context).await;
        assert!(server.get(&at)["status"]["run"].is_object());
    });
}
