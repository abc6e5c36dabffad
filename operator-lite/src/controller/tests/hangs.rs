//! What hangs before it starts, is held by somebody else, or is gone: it is told, holds nobody up, and goes on when it is mended.

use std::sync::Arc;
use std::time::Duration;

use api::inspection::KafkaBackupInspection;
use api::lower::job::Placement;
use api::oso::{KafkaBackup, KafkaRestore};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::kept::Kept;
use super::super::start::look_at;
use super::super::{Action, Context, inspection, reconcile};
use super::{BACKUPS, EVENTS, JOBS, PODS, RESTORES, Server, backup, pod, restore, runtime};
use crate::capacity::Capacity;
use crate::error::Error;

const INSPECTIONS: &str = "/apis/kafka-backup.dev/v1alpha1/namespaces/team/kafkabackupinspections";
const NODES: &str = "/api/v1/nodes";

/// A restore whose Job is made, and its Job.
async fn begun(server: &Server, context: &Arc<Context>, name: &str) -> Value {
    let at = format!("{RESTORES}/{name}");
    server.put(&at, restore(name));
    for _ in 0..4 {
        server.look::<KafkaRestore>(&at, context).await;
    }
    server.jobs_of(name).pop().expect("it has a Job")
}

fn condition(object: &Value, name: &str) -> Value {
    let all = object["status"]["conditions"].as_array().unwrap();
    all.iter().find(|one| one["type"] == name).unwrap().clone()
}

/// A pod that is there for so long.
fn old_pod(server: &Server, job: &Value, minutes: i64, status: Value) {
    pod(server, job, status);
    let at = format!("{PODS}/{}", job["metadata"]["name"].as_str().unwrap());
    let mut object = server.get(&at);
    let made = Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    object["metadata"]["creationTimestamp"] = made.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into();
    object["spec"] = json!({"containers": [], "nodeName": "n-1"});
    server.put(&at, object);
}

fn creating() -> Value {
    json!({"phase": "Pending", "containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]})
}

/// A volume that cannot be mounted, a network that gives no address: the kubelet says `ContainerCreating` for ever, and only the
/// pod's Events say why.
#[test]
fn a_pod_that_never_starts_is_told_with_its_event_and_holds_no_place() {
    runtime().block_on(async {
        let server = Server::default();
        let context = server.context(Capacity::new(1, 0));
        let at = format!("{RESTORES}/hangs");
        let job = begun(&server, &context, "hangs").await;
        old_pod(&server, &job, 1, creating());
        server.look::<KafkaRestore>(&at, &context).await;
        assert_eq!(server.get(&at)["status"]["message"], "Restore is running", "it may still start");
        old_pod(&server, &job, 5, creating());
        for (name, time, reason, text) in [
            ("b", "2026-11-21T10:02:00Z", "FailedMount", "MountVolume.SetUp failed: \u{1b}[31mno such claim"),
            ("a", "2026-11-21T10:01:00Z", "Scheduled", "assigned to n-1"),
        ] {
            let event = json!({"metadata": {"name": name, "namespace": "team"}, "reason": reason, "message": text, "lastTimestamp": time});
            server.put(&format!("{EVENTS}/{name}"), event);
        }
        server.look::<KafkaRestore>(&at, &context).await;
        let told = server.get(&at);
        let text = told["status"]["message"].as_str().unwrap();
        assert!(text.contains("its runner has not started. FailedMount: MountVolume.SetUp failed"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        let ready = condition(&told, "Ready");
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("FailedMount")));
        // Its place is free, and a placement that was corrected makes it anew.
        begun(&server, &context, "other").await;
        let placement = Placement { image: "corrected".into(), ..Placement::default() };
        let mended = Arc::new(Context { placement: Arc::new(placement), ..(*server.context(Capacity::new(0, 0))).clone() });
        for _ in 0..6 {
            server.look::<KafkaRestore>(&at, &mended).await;
        }
        let jobs = server.jobs_of("hangs");
        let images: Vec<_> = jobs.iter().map(|job| &job["spec"]["template"]["spec"]["containers"][0]["image"]).collect();
        assert_eq!(images, [&json!("corrected")], "{}", server.get(&at)["status"]);
        assert_eq!(server.get(&at)["status"]["run"]["attempt"], 2);
    });
}

/// The node of a pod that still pulls its image falls silent: the pod's own conditions do not show it, the node's do.
#[test]
fn a_lost_node_is_told_of_a_pod_that_has_not_started() {
    runtime().block_on(async {
        for (status, lost) in [("True", false), ("False", false), ("Unknown", true)] {
            let server = Server::default();
            let context = server.context(Capacity::new(1, 0));
            let job = begun(&server, &context, "pulls").await;
            old_pod(&server, &job, 1, creating());
            let ready = json!({"type": "Ready", "status": status, "lastTransitionTime": "2026-11-21T10:00:00Z"});
            server
                .put(&format!("{NODES}/n-1"), json!({"metadata": {"name": "n-1"}, "status": {"conditions": [ready]}}));
            let at = format!("{RESTORES}/pulls");
            server.look::<KafkaRestore>(&at, &context).await;
            let told = server.get(&at);
            let stalled = condition(&told, "Stalled");
            assert_eq!((stalled["reason"] == "NodeLost", stalled["status"] == "True"), (lost, lost), "{told}");
        }
    });
}

/// Of large resources few are looked at at once: one whose look hangs gives its turn to the others.
#[test]
fn large_resources_that_hang_hold_no_other_up() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let server = Server::default();
        let context = server.context(Capacity::new(1, 0));
        let name = |number: u32| format!("large-{number}");
        for number in 0..6 {
            server.put(&format!("{BACKUPS}/{}", name(number)), backup(&name(number)));
        }
        let kept = |number: u32| {
            let meta = serde_json::from_value(json!({"name": name(number), "namespace": "team"})).unwrap();
            Kept::<KafkaBackup>::Large(Box::new(meta))
        };
        let hang = |_| std::future::pending::<Result<Action, Error>>();
        let hangs: Vec<_> = (0..5).map(kept).collect();
        let hanging = futures::future::join_all(hangs.iter().map(|kept| look_at(kept, &context, hang)));
        let last = kept(5);
        let other = look_at(&last, &context, |_| std::future::ready(Ok(Action::await_change())));
        let limit = Duration::from_secs(600);
        let both = Box::pin(async { tokio::join!(hanging, other) });
        let (ended, looked) = tokio::time::timeout(limit, both).await.unwrap();
        assert!(ended.iter().all(|one| matches!(one, Err(Error::TooSlow(_)))) && looked.is_ok());
    });
}

/// Whatever a status says of times that are far ahead, and of a claim that does not read: it is told, and stops nothing else.
#[test]
fn what_a_status_says_wrongly_is_told() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
        let context = server.context(Capacity::new(0, 0));
        let mut object = backup("nightly");
        object["spec"]["schedule"] = "0 0 1 1 1 *".into();
        object["status"] = json!({
            "observedGeneration": 1, "observedSchedule": "0 0 1 1 1 *", "conditions": [],
            "lastScheduleTime": "2099-01-01T00:00:00Z",
        });
        server.put(&at, object.clone());
        for _ in 0..4 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let ahead = server.0.lock().unwrap().reasons.iter().filter(|reason| *reason == "TickAhead").count();
        assert_eq!(ahead, 1, "{:?}", server.0.lock().unwrap().reasons);
        let mut object = backup("nightly");
        object["status"] = json!({
            "observedGeneration": 1, "phase": "Running", "conditions": [],
            "run": {"id": "nightly-1", "at": "soon", "attempt": 1, "generation": 1, "digest": "d"},
        });
        server.put(&at, object);
        server.look::<KafkaBackup>(&at, &context).await;
        let text = server.get(&at)["status"]["message"].as_str().unwrap().to_owned();
        assert!(text.contains("status.run.at") && text.contains("soon"), "{text}");
        assert!(server.jobs().is_empty(), "no Job of 1970 is made");
    });
}

/// A queue that holds a Job takes the labels that its resource has: also those that are corrected later, and also of inspections.
#[test]
fn a_job_that_a_queue_holds_follows_the_labels_of_its_resource() {
    const QUEUE: &str = "kueue.x-k8s.io/queue-name";
    let labelled = |object: &mut Value, queue: &str| object["metadata"]["labels"] = json!({QUEUE: queue, "team": "a"});
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let context = server.context(Capacity::new(1, 0));
        let mut object = restore("back");
        labelled(&mut object, "wrong");
        server.put(&at, object);
        for _ in 0..4 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let suspend = |mut job: Value| {
            job["spec"]["suspend"] = true.into();
            let at = format!("{JOBS}/{}", job["metadata"]["name"].as_str().unwrap());
            server.put(&at, job);
            at
        };
        let held = suspend(server.jobs().remove(0));
        assert_eq!(server.get(&held)["metadata"]["labels"][QUEUE], "wrong");
        let mut object = server.get(&at);
        labelled(&mut object, "right");
        server.put(&at, object);
        server.look::<KafkaRestore>(&at, &context).await;
        let labels = server.get(&held)["metadata"]["labels"].clone();
        assert!(labels[QUEUE] == "right" && labels["team"].is_null(), "{labels}");
        assert_eq!(condition(&server.get(&at), "Ready")["reason"], "JobSuspended");
        server.0.lock().unwrap().objects.clear();

        server.put(&format!("{BACKUPS}/nightly"), backup("nightly"));
        let at = format!("{INSPECTIONS}/look");
        let mut object = json!({
            "apiVersion": "kafka-backup.dev/v1alpha1", "kind": "KafkaBackupInspection",
            "metadata": {"name": "look", "namespace": "team", "uid": "look", "generation": 1},
            "spec": {"backupRef": {"name": "nightly"}, "tokenDigest": "0".repeat(64)},
        });
        labelled(&mut object, "wrong");
        server.put(&at, object);
        let look = || async {
            let object: KafkaBackupInspection = serde_json::from_value(server.get(&at)).unwrap();
            Box::pin(inspection::reconcile(Arc::new(object), Arc::clone(&context))).await.unwrap();
        };
        look().await;
        let held = suspend(server.jobs().remove(0));
        assert_eq!(server.get(&held)["metadata"]["labels"][QUEUE], "wrong");
        let mut object = server.get(&at);
        labelled(&mut object, "right");
        server.put(&at, object);
        look().await;
        assert_eq!(server.get(&held)["metadata"]["labels"][QUEUE], "right");
        let status = server.get(&at)["status"].clone();
        assert!(status["message"].as_str().unwrap().starts_with("JobSuspended: "), "{status}");
        // It works, and then its node falls silent.
        let mut job = server.get(&held);
        job["spec"]["suspend"] = false.into();
        server.put(&held, job.clone());
        let ready = |ready: &str| {
            json!({
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": ready}, {"type": "ContainersReady", "status": "True"}],
                "containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": true, "restartCount": 0,
                    "state": {"running": {"startedAt": "2026-11-21T10:00:00Z"}}}],
            })
        };
        pod(&server, &job, ready("True"));
        look().await;
        assert_eq!(server.get(&at)["status"]["phase"], "Ready");
        pod(&server, &job, ready("False"));
        look().await;
        let status = server.get(&at)["status"].clone();
        assert!(
            status["phase"] == "Pending" && status["message"].as_str().unwrap().starts_with("NodeLost: "),
            "{status}"
        );
    });
}

/// The Job of a run is removed while no operator looks, and the run may be done: the archive is asked.
#[test]
fn a_job_that_was_removed_is_asked_again() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
        let context = server.context(Capacity::new(0, 0));
        server.put(&at, backup("nightly"));
        for _ in 0..4 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let job = server.jobs().remove(0);
        let state = json!({"running": {"startedAt": "2026-11-21T10:00:00Z"}});
        let status =
            json!({"name": "runner", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state});
        pod(&server, &job, json!({"phase": "Running", "containerStatuses": [status]}));
        server.look::<KafkaBackup>(&at, &context).await;
        assert_eq!(server.get(&at)["status"]["run"]["ran"], true);
        let name = job["metadata"]["name"].as_str().unwrap();
        for gone in [format!("{JOBS}/{name}"), format!("{PODS}/{name}")] {
            server.0.lock().unwrap().objects.remove(&gone);
        }
        for _ in 0..4 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let asks = server.jobs().pop().expect("another attempt asks");
        assert!(asks["metadata"]["name"].as_str().unwrap().ends_with("-2"), "{asks}");
        server.end(&asks, 0);
        for _ in 0..3 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        assert!(status["phase"] == "Completed" && status["lastBackupTime"].is_string(), "{status}");
        let object: KafkaBackup = serde_json::from_value(server.get(&at)).unwrap();
        Box::pin(reconcile(Arc::new(object), Arc::clone(&context))).await.unwrap();
    });
}
