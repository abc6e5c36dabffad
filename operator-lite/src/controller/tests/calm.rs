//! Nothing is looked at again and again: whatever is in the way of a run, a decision is followed by a change or by a wait.

use std::sync::Arc;
use std::time::Duration;

use api::oso::{KafkaBackup, KafkaRestore};
use serde_json::{Value, json};

use super::super::{Action, Context, Kind, reconcile};
use super::{BACKUPS, EVENTS, JOBS, PODS, RESTORES, Server, backup, pod, restore, runtime};
use crate::capacity::{Capacity, Class, Seat};

/// How long a resource is looked at: its waits pass at once.
const WATCHED: Duration = Duration::from_secs(120);
/// How soon a look that failed is repeated.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// Looks at a resource for a while, as the watch and the waits ask for it, and lets `play` change something before each look.
/// How many looks that took.
async fn looks<K: Kind>(server: &Server, at: &str, context: &Arc<Context>, play: &dyn Fn(&Server)) -> usize {
    let (mut looks, mut passed) = (0, Duration::ZERO);
    while passed < WATCHED {
        play(server);
        let Ok(object) = serde_json::from_value::<K>(server.get(at)) else { return looks };
        let before = server.0.lock().unwrap().version;
        let action = Box::pin(reconcile(Arc::new(object), Arc::clone(context))).await;
        looks += 1;
        assert!(looks < 1_000, "{at} is looked at without end: {}", server.get(at)["status"]);
        if server.0.lock().unwrap().version != before {
            // Whoever changed it is told of it.
            continue;
        }
        match action.map_or(Some(AFTER_ERROR), Action::after) {
            Some(wait) => passed += wait,
            None => return looks,
        }
    }
    looks
}

fn container(state: Value) -> Value {
    json!({"name": "runner", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state})
}

/// Gives each Job without a pod one that is so.
fn pods(server: &Server, status: &Value) {
    for job in server.jobs() {
        let name = job["metadata"]["name"].as_str().unwrap().to_owned();
        if server.get(&format!("{PODS}/{name}")).is_null() {
            pod(server, &job, status.clone());
        }
    }
}

/// Changes each Job that is not so yet.
fn jobs(server: &Server, change: impl Fn(&mut Value)) {
    for job in server.jobs() {
        let mut changed = job.clone();
        change(&mut changed);
        if changed != job {
            server.put(&format!("{JOBS}/{}", job["metadata"]["name"].as_str().unwrap()), changed);
        }
    }
}

/// What becomes of the pod of a run.
type Fate = (&'static str, Box<dyn Fn(&Server)>);

fn fate(name: &'static str, play: impl Fn(&Server) + 'static) -> Fate {
    (name, Box::new(play))
}

fn fates() -> Vec<Fate> {
    let all_pods = |status: Value| move |server: &Server| pods(server, &status);
    let ended = |code: i32, reason: &str| {
        let state = json!({"terminated": {"exitCode": code, "reason": reason}});
        json!({"phase": "Failed", "containerStatuses": [container(state)]})
    };
    let running = || json!({"phase": "Running", "containerStatuses": [container(json!({"running": {}}))]});
    let waiting = |reason: &str| json!({"phase": "Pending", "containerStatuses": [container(json!({"waiting": {"reason": reason}}))]});
    let mut lost = running();
    lost["conditions"] = json!([
        {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-21T10:00:00Z"},
        {"type": "ContainersReady", "status": "True"},
    ]);
    let mut evicted = ended(137, "Error");
    evicted["conditions"] = json!([{"type": "DisruptionTarget", "status": "True"}]);
    let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]});
    let mut beside = ended(0, "Completed");
    beside["phase"] = "Running".into();
    beside["containerStatuses"][0]["name"] = "istio-proxy".into();
    vec![
        fate("it runs", all_pods(running())),
        fate("nothing becomes of it", |_| {}),
        fate("it is unschedulable", all_pods(unscheduled)),
        fate("its image is not there", all_pods(waiting("ImagePullBackOff"))),
        fate("its node is lost", all_pods(lost)),
        fate("it is evicted each time", all_pods(evicted)),
        fate("it needs more memory each time", all_pods(ended(137, "OOMKilled"))),
        fate("its brokers are away", all_pods(ended(3, "Error"))),
        fate("its report is lost each time", all_pods(ended(0, "Completed"))),
        fate("only its sidecar ended", all_pods(beside)),
        fate("a queue holds its Job back", |server| jobs(server, |job| job["spec"]["suspend"] = true.into())),
        fate("somebody else's finalizer holds its Job", |server| {
            pods(server, &json!({"phase": "Running"}));
            jobs(server, |job| job["metadata"]["deletionTimestamp"] = "2026-11-21T10:00:00Z".into());
        }),
        fate("a quota refuses its pod", |server| {
            let event = json!({"metadata": {"name": "refused"}, "involvedObject": {}, "reason": "FailedCreate", "message": "exceeded quota"});
            if server.get(&format!("{EVENTS}/refused")).is_null() {
                server.put(&format!("{EVENTS}/refused"), event);
            }
        }),
        fate("each Job is removed once it is noted", |server| {
            let noted = |job: &Value| {
                let uid = job["metadata"]["uid"].as_str().unwrap();
                server.0.lock().unwrap().objects.values().any(|object| object["status"]["run"]["jobUid"] == uid)
            };
            for job in server.jobs().iter().filter(|job| noted(job)) {
                let name = job["metadata"]["name"].as_str().unwrap();
                server.0.lock().unwrap().objects.remove(&format!("{JOBS}/{name}"));
            }
        }),
    ]
}

#[test]
fn whatever_becomes_of_a_pod_no_run_is_looked_at_more_than_once_a_second() {
    runtime().block_on(async {
        let kinds = [
            ("once", json!({})),
            ("nightly", json!({"schedule": "0 0 1 1 1 *"})),
            ("endless", json!({"continuous": true})),
        ];
        for (what, play) in fates() {
            for (name, more) in &kinds {
                let (server, at) = (Server::default(), format!("{BACKUPS}/{name}"));
                let mut object = backup(name);
                object["spec"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                object["metadata"]["creationTimestamp"] = "2025-01-01T00:00:00Z".into();
                server.put(&at, object);
                let looks = looks::<KafkaBackup>(&server, &at, &server.context(Capacity::new(0, 0)), &*play).await;
                assert!(looks > 1 && looks <= 120, "{what}: {looks} looks at {name}: {}", server.get(&at)["status"]);
                let told = server.0.lock().unwrap().told;
                assert!(told <= 40, "{what}: {told} Events of {name}");
            }
            let (server, at) = (Server::default(), format!("{RESTORES}/back"));
            server.put(&at, restore("back"));
            let looks = looks::<KafkaRestore>(&server, &at, &server.context(Capacity::new(0, 0)), &*play).await;
            assert!(looks > 1 && looks <= 120, "{what}: {looks} looks at a restore: {}", server.get(&at)["status"]);
        }
    });
}

type Change = fn(&mut Value);

/// What keeps a run from beginning.
#[test]
fn whatever_keeps_a_run_from_beginning_is_not_asked_about_all_the_time() {
    let cases: Vec<(&str, Change)> = vec![
        ("no KafkaBackup", |object| object["spec"]["backupRef"] = json!({"name": "gone"})),
        ("a KafkaBackup that may not be read", |object| {
            object["spec"]["backupRef"] = json!({"name": "nightly", "namespace": "other"});
        }),
        ("a broken rule", |object| object["spec"]["topics"] = json!([""])),
        ("another operator", |object| object["metadata"]["finalizers"] = json!(["kafka.oso.sh/restore-finalizer"])),
        ("no place", |_| {}),
        ("a Job of its name", |_| {}),
        ("no right to Jobs", |_| {}),
        ("definitions of before claims", |_| {}),
    ];
    runtime().block_on(async {
        for (what, change) in cases {
            let (server, at) = (Server::default(), format!("{RESTORES}/back"));
            let context = server.context(Capacity::new(1, 0));
            server.0.lock().unwrap().forbidden = match what {
                "a KafkaBackup that may not be read" => {
                    Some("/apis/kafka.oso.sh/v1alpha1/namespaces/other/".to_owned())
                }
                "no right to Jobs" => Some(JOBS.to_owned()),
                _ => None,
            };
            server.0.lock().unwrap().older = what == "definitions of before claims";
            let other = Seat { class: Class::Restore, namespace: "other".into(), uid: "other".into() };
            let mut object = restore("back");
            change(&mut object);
            server.put(&at, object);
            let play = |server: &Server| {
                if what == "no place" {
                    context.capacity.count(&other, tokio::time::Instant::now());
                }
                if what == "a Job of its name" {
                    jobs(server, |job| job["metadata"]["ownerReferences"][0]["uid"] = "another".into());
                }
            };
            let looks = looks::<KafkaRestore>(&server, &at, &context, &play).await;
            let status = server.get(&at)["status"].clone();
            assert!(looks <= 120, "{what}: {looks} looks: {status}");
            let (told, kept) = {
                let world = server.0.lock().unwrap();
                (world.told, world.kept)
            };
            assert!(told <= 5 && kept <= 10, "{what}: {told} Events, {kept} statuses");
        }
    });
}

/// Definitions of another age are put in place while runs work, before the operator has compared them: nothing of what is
/// known of a run is lost by what the operator writes.
#[test]
fn definitions_that_lack_claims_lose_none() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
        let context = server.context(Capacity::new(0, 0));
        server.put(&at, backup("nightly"));
        for _ in 0..3 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let claim = server.get(&at)["status"]["run"].clone();
        assert!(claim["jobUid"].is_string(), "{claim}");
        server.0.lock().unwrap().older = true;
        server.end(&server.jobs()[0], 75);
        for _ in 0..5 {
            let object: KafkaBackup = serde_json::from_value(server.get(&at)).unwrap();
            // The write is refused, and tried again later.
            let refused = Box::pin(reconcile(Arc::new(object), Arc::clone(&context))).await;
            assert!(refused.is_err(), "{refused:?}");
        }
        assert_eq!(server.get(&at)["status"]["run"], claim);
        server.0.lock().unwrap().older = false;
        for _ in 0..3 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        assert_eq!(server.get(&at)["status"]["run"]["attempt"], 2);
    });
}
