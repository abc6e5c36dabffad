//! A stand-in for the kubelet: it writes the statuses of the runner's pods, as a test tells it to. Everything else of the
//! cluster is real: the Job controller makes the pods and judges them by these statuses.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use api::lower::job::{MANAGED_LABEL, MANAGER};
use contract::RunSpec;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use serde_json::{Value, json};

/// What becomes of a pod.
#[derive(Debug, Clone)]
pub enum Play {
    /// It stays as it is.
    Leave,
    /// It runs.
    Run,
    /// Its container ended with this code and this termination message.
    Exit(i32, String),
    /// Its container ended so, and a container that admission put beside it ended with the other code, or goes on.
    Beside(i32, String, Option<i32>),
    /// A container that must be there before the runner, and stay (an init container that is restarted), ends again and again.
    SidecarCrashes,
    /// Such a container runs beside the runner, which ended well with this message.
    BesideSidecar(String),
    /// The cluster ended it.
    Evict,
    /// It cannot be scheduled.
    Unschedulable,
}

/// A pod as a script sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The run's specification.
    pub spec: RunSpec,
    /// Number of its attempt, from 1.
    pub attempt: u32,
}

/// The stand-in; it ends with this value.
pub struct Kubelet {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// The report of a run that did well.
pub fn report(spec: &RunSpec, outcome: &str, records: u64) -> String {
    let run = spec.run.as_ref().unwrap();
    let now = Timestamp::now().to_string();
    // Who asks again for what is done moves nothing, and tells what was moved.
    let (records, earlier) = if outcome == "AlreadyDone" { (0, records) } else { (records, 0) };
    let mut report = json!({
        "run": run.id, "attempt": run.attempt, "kind": if spec.backup.is_some() { "backup" } else { "restore" }, "outcome": outcome,
        "point": run.id, "startedAt": now, "finishedAt": now, "topics": 1, "partitions": 1, "records": records,
        "bytes": records * 10, "storedBytes": records * 5, "segments": 1,
        "earlier": {"records": earlier, "bytes": earlier * 10, "storedBytes": earlier * 5, "segments": 0},
    });
    if let Some(prune) = &spec.prune {
        let none = json!({"objects": 0, "bytes": 0});
        report["kind"] = "prune".into();
        report["prune"] = json!({
            "rules": prune.rules, "dryRun": prune.dry_run, "inspected": 3, "eligible": 1, "removed": 1, "givenUp": 0, "comesBack": 5,
            "deleted": none, "leftovers": none, "endedUploads": 0, "waiting": none, "due": none, "unknown": none,
        });
    }
    report.to_string()
}

/// The report of a run that failed.
pub fn failure(spec: &RunSpec, code: &str, message: &str) -> String {
    let mut document: Value = serde_json::from_str(&report(spec, "Failed", 0)).unwrap();
    document["failure"] = json!({"code": code, "message": message});
    document.to_string()
}

impl Kubelet {
    /// Plays a script for every pod of a run, several times a second.
    pub fn play(kubeconfig: &Path, script: impl Fn(&Seen) -> Play + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (ended, path) = (Arc::clone(&stop), kubeconfig.to_owned());
        let thread = std::thread::spawn(move || {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let config = Kubeconfig::read_from(&path).unwrap();
                let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await.unwrap();
                let client = Client::try_from(config).unwrap();
                while !ended.load(Ordering::Relaxed) {
                    // The API server may be away: that is what some tests are about.
                    let _ = round(&client, &script).await;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
            });
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().unwrap().join();
    }
}

async fn round(client: &Client, script: &impl Fn(&Seen) -> Play) -> Result<(), kube::Error> {
    let own = ListParams::default().labels(&format!("{MANAGED_LABEL}={MANAGER}"));
    for pod in Api::<Pod>::all(client.clone()).list(&own).await? {
        let phase = pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
        let has_ended = phase == "Succeeded" || phase == "Failed";
        if pod.metadata.deletion_timestamp.is_some() && !is_lost(&pod) {
            end(client, &pod, &phase, has_ended).await?;
            continue;
        }
        if has_ended || pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let text = &pod.annotations()[api::lower::job::SPEC_ANNOTATION];
        let spec: RunSpec = serde_json::from_str(text).unwrap();
        let job = pod.labels().get("batch.kubernetes.io/job-name").cloned().unwrap_or_default();
        let attempt = job.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let seen = Seen { spec, attempt };
        let Some(status) = status(script(&seen), &phase) else { continue };
        let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
        let _ =
            api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await;
    }
    Ok(())
}

/// Runners that were told to stop, and ended with 75.
pub static STOPPED: AtomicUsize = AtomicUsize::new(0);

/// Whether the node of a pod is one of those that do not answer.
fn is_lost(pod: &Pod) -> bool {
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
    node.is_some_and(|node| node.starts_with("lost"))
}

/// Ends a pod that is being deleted, as the kubelet does: a runner that works gets SIGTERM and says that it was interrupted; what
/// has ended goes.
async fn end(client: &Client, pod: &Pod, phase: &str, has_ended: bool) -> Result<(), kube::Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
    let name = pod.name_any();
    if has_ended {
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        return api.delete(&name, &now).await.map(drop);
    }
    let status = if phase == "Running" {
        let spec: RunSpec = serde_json::from_str(&pod.annotations()[api::lower::job::SPEC_ANNOTATION]).unwrap();
        STOPPED.fetch_add(1, Ordering::Relaxed);
        status(Play::Exit(75, report(&spec, "Interrupted", 0)), phase)
    } else {
        Some(json!({"phase": "Failed"}))
    };
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(json!({"status": status}))).await.map(drop)
}

fn status(play: Play, phase: &str) -> Option<Value> {
    let container = |state: Value| json!([{"name": "runner", "image": "runner:test", "imageID": "", "ready": false, "restartCount": 0, "state": state}]);
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap().to_string();
    match play {
        Play::Leave => None,
        Play::Run if phase == "Running" => None,
        Play::Run => Some(json!({
            "phase": "Running", "containerStatuses": container(json!({"running": {"startedAt": now}})),
        })),
        Play::Exit(code, message) => Some(json!({
            "phase": if code == 0 { "Succeeded" } else { "Failed" },
            "containerStatuses": container(json!({"terminated": {
                "exitCode": code, "message": message, "reason": "Completed", "startedAt": now, "finishedAt": now,
            }})),
        })),
        Play::Beside(code, message, side) => {
            let ended = |code: i32| {
                json!({"terminated": {
                    "exitCode": code, "reason": "Completed", "startedAt": now, "finishedAt": now,
                }})
            };
            let mut own = ended(code);
            own["terminated"]["message"] = message.into();
            let mut all = container(side.map_or(json!({"running": {"startedAt": now}}), ended));
            all[0]["name"] = "istio-proxy".into();
            all.as_array_mut()?.push(container(own)[0].clone());
            let phase = match side {
                None => "Running",
                Some(0) if code == 0 => "Succeeded",
                Some(_) => "Failed",
            };
            Some(json!({"phase": phase, "containerStatuses": all}))
        }
        Play::SidecarCrashes => {
            let state = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}});
            let mut first = container(state);
            first[0]["name"] = "proxy".into();
            Some(json!({
                "initContainerStatuses": first,
                "containerStatuses": container(json!({"waiting": {"reason": "PodInitializing"}})),
            }))
        }
        Play::BesideSidecar(message) => {
            let mut first = container(json!({"running": {"startedAt": now}}));
            first[0]["name"] = "proxy".into();
            let ended = json!({"terminated": {
                "exitCode": 0, "message": message, "reason": "Completed", "startedAt": now, "finishedAt": now,
            }});
            Some(json!({
                "phase": "Running", "initContainerStatuses": first, "containerStatuses": container(ended),
            }))
        }
        Play::Evict => Some(json!({
            "phase": "Failed",
            "conditions": [{"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI", "lastTransitionTime": now}],
            "containerStatuses": container(json!({"terminated": {
                "exitCode": 75, "reason": "Error", "startedAt": now, "finishedAt": now,
            }})),
        })),
        Play::Unschedulable => Some(json!({
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available", "lastTransitionTime": now}],
        })),
    }
}
