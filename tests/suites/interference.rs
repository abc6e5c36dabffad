//! What others do to the Job and the pod of a run: a queue that suspends it, a mesh that puts containers beside the runner.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use harness::cluster::Cluster;
use harness::process::free_port;

use super::kubelet::{Kubelet, Play, STOPPED, report};
use super::{BACKUPS, RESTORES, admits, backup, condition, is, namespace, no_pod_is_left, phase, restore, shared};

/// Whether the runners of `queued` end.
pub static RESUMED: AtomicBool = AtomicBool::new(false);

/// A queue suspends the Job of a restore that works (it preempts it), and resumes it later: the restore waits, and is
/// complete when its runner says so.
#[test]
fn a_job_that_a_queue_suspends_only_waits() {
    let (cluster, ..) = shared();
    namespace(cluster, "queue");
    cluster.apply(&backup("queue", "held", json!({"suspend": true}))).unwrap();
    let mut wanted = restore("queue", "queued", "held", json!({}));
    wanted["metadata"]["labels"] = json!({"kueue.x-k8s.io/queue-name": "team"});
    cluster.apply(&wanted).unwrap();
    cluster.wait(RESTORES, "queue", "queued", "running", |object| object["status"]["run"]["ran"] == true);
    let job = cluster.list("jobs", "queue").remove(0);
    let name = job["metadata"]["name"].as_str().unwrap().to_owned();
    assert_eq!(job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"], "team");
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "works-1"}})).unwrap();
    let pod = cluster.list("pods", "queue").remove(0);
    bind(cluster, "queue", pod["metadata"]["name"].as_str().unwrap(), "works-1");
    let suspend = |suspend: bool| {
        let patch = json!({"spec": {"suspend": suspend}}).to_string();
        cluster.ok(&["patch", "job", "-n", "queue", &name, "--type=merge", "-p", &patch]);
    };
    suspend(true);
    let waiting =
        cluster.wait(RESTORES, "queue", "queued", "told", |object| is(object, "Ready", "False", "JobSuspended"));
    assert_eq!(phase(&waiting), "Running");
    assert_eq!(condition(&waiting, "Complete")["status"].as_str(), None, "{}", waiting["status"]);
    no_pod_is_left(cluster, "queue");
    assert!(STOPPED.load(Ordering::Relaxed) > 0, "its runner got SIGTERM, and ended with 75");
    let held = cluster.list("jobs", "queue").remove(0);
    let failed = held["status"]["conditions"].as_array().cloned().unwrap_or_default();
    assert!(failed.iter().all(|one| one["type"] == "Suspended"), "{}", held["status"]);
    suspend(false);
    cluster.wait(RESTORES, "queue", "queued", "works again", |object| is(object, "Ready", "False", "RestoreRunning"));
    RESUMED.store(true, Ordering::Relaxed);
    let done = cluster.wait(RESTORES, "queue", "queued", "completed", |object| phase(object) == "Completed");
    assert_eq!((&done["status"]["recordsRestored"], &done["status"]["run"]["attempt"]), (&json!(1_000), &json!(1)));
    assert_eq!(cluster.list("jobs", "queue").len(), 1, "the Job was not made again");
}

/// Puts a pod on a node: a pod without one is gone at once when it is deleted, and nobody tells its runner to stop.
fn bind(cluster: &Cluster, namespace: &str, pod: &str, node: &str) {
    let target = json!({"apiVersion": "v1", "kind": "Node", "name": node});
    let binding =
        json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod}, "target": target}).to_string();
    let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding");
    let bound = cluster.kubectl_with(&cluster.kubeconfig(), &["create", "--raw", &path, "-f", "-"], &binding);
    assert!(bound.status.success(), "{}", String::from_utf8_lossy(&bound.stderr));
}

#[test]
fn only_the_runner_of_a_pod_says_how_its_run_ended() {
    let (cluster, ..) = shared();
    namespace(cluster, "mesh");
    for name in ["meshed", "proxied", "traced"] {
        cluster.apply(&backup("mesh", name, json!({}))).unwrap();
    }
    for name in ["meshed", "traced"] {
        let done = cluster.wait(BACKUPS, "mesh", name, "completed", |object| phase(object) == "Completed");
        assert_eq!(done["status"]["recordsProcessed"], 1_000, "{name}");
        assert_eq!(done["status"]["run"]["attempt"], 1, "{name}");
    }
    let failed = cluster.wait(BACKUPS, "mesh", "proxied", "failed", |object| phase(object) == "Failed");
    let text = failed["status"]["message"].as_str().unwrap();
    assert!(text.contains("KB2002"), "{text}");
    // Nobody asked for sidecars.
    let pod = cluster.list("pods", "mesh").remove(0);
    assert_eq!(pod["metadata"]["annotations"]["sidecar.istio.io/inject"], "false");
}

/// Native sidecars: init containers that are restarted, and stay. One that ends again and again keeps the runner from starting; one
/// that stays when the runner has ended keeps nothing.
#[test]
fn a_native_sidecar_is_named_where_it_is_in_the_way() {
    let (cluster, ..) = shared();
    namespace(cluster, "natives");
    for name in ["crashing", "natively"] {
        cluster.apply(&backup("natives", name, json!({}))).unwrap();
    }
    let stuck =
        cluster.wait(BACKUPS, "natives", "crashing", "told", |object| is(object, "Ready", "False", "CrashLoopBackOff"));
    let text = condition(&stuck, "Ready")["message"].as_str().unwrap().to_owned();
    assert!(text.contains("container proxy: back-off 40s"), "{text}");
    let done = cluster.wait(BACKUPS, "natives", "natively", "completed", |object| phase(object) == "Completed");
    assert_eq!(done["status"]["recordsProcessed"], 1_000);
}

/// The node of a backup and of a restore falls silent, as the node controller tells it: the backup goes on with another
/// attempt, and what ticks came meanwhile is told; the restore waits for somebody.
#[test]
fn a_backup_whose_node_is_lost_goes_on_and_a_restore_waits() {
    let (cluster, ..) = shared();
    namespace(cluster, "lost");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "lost-1"}});
    cluster.apply(&node).unwrap();
    let node_speaks = || {
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap().to_string();
        let condition = json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastHeartbeatTime": now, "lastTransitionTime": now,
        });
        let patch = json!({"status": {"conditions": [condition]}}).to_string();
        cluster.ok(&["patch", "node", "lost-1", "--subresource=status", "--type=strategic", "-p", &patch]);
    };
    cluster.apply(&backup("lost", "lost-nightly", json!({"schedule": "*/2 * * * * *"}))).unwrap();
    cluster.apply(&restore("lost", "lost-back", "lost-nightly", json!({}))).unwrap();
    for (kind, name) in [(BACKUPS, "lost-nightly"), (RESTORES, "lost-back")] {
        cluster.wait(kind, "lost", name, "runs", |object| object["status"]["run"]["ran"] == true);
    }
    let late = |object: &serde_json::Value| object["status"]["missedTicks"].as_u64() > Some(1);
    let told = cluster.wait(BACKUPS, "lost", "lost-nightly", "missed ticks", late);
    assert!(told["status"]["message"].as_str().unwrap().contains("ticks came meanwhile"), "{}", told["status"]);
    for pod in cluster.list("pods", "lost") {
        let name = pod["metadata"]["name"].as_str().unwrap();
        node_speaks();
        bind(cluster, "lost", name, "lost-1");
        let good = json!([{"type": "Ready", "status": "True"}, {"type": "ContainersReady", "status": "True"}]);
        let speaks = json!({"status": {"conditions": good}}).to_string();
        cluster.ok(&["patch", "pod", "-n", "lost", name, "--subresource=status", "--type=strategic", "-p", &speaks]);
    }
    // It says nothing more: the node controller notices after a while.
    for (kind, name, words) in [(BACKUPS, "lost-nightly", true), (RESTORES, "lost-back", false)] {
        let told = cluster.wait(kind, "lost", name, "lost", |object| is(object, "Stalled", "True", "NodeLost"));
        let text = condition(&told, "Ready")["message"].as_str().unwrap().to_owned();
        assert_eq!(text.contains("The next attempt begins at"), words, "{text}");
        assert!(text.contains("\"lost-1\""), "{text}");
    }
    cluster.wait(BACKUPS, "lost", "lost-nightly", "completed by another attempt", |object| {
        object["status"]["recordsProcessed"] == 1_000 && object["status"]["lastBackupTime"].is_string()
    });
    let still = cluster.get(RESTORES, "lost", "lost-back");
    assert!(is(&still, "Stalled", "True", "NodeLost") && still["status"]["run"]["attempt"] == 1, "{}", still["status"]);
    cluster.ok(&["delete", BACKUPS, "-n", "lost", "lost-nightly"]);
    cluster.ok(&["delete", "node", "lost-1"]);
}

/// The operator is away while a run ends well, and its pod is gone when it is back: another attempt asks the archive, and the
/// status has the point, the time and the counts.
#[test]
fn what_ended_while_nobody_looked_is_asked_of_the_archive() {
    let (cluster, port) = (Cluster::start(), free_port());
    cluster.install(port);
    let operator = cluster.operator("op-1", port, &[]);
    admits(&cluster);
    let ends = std::sync::Arc::new(AtomicBool::new(false));
    let (end, namespace) = (std::sync::Arc::clone(&ends), "default");
    let _kubelet = Kubelet::play(&cluster.kubeconfig(), move |pod| match pod.attempt {
        1 if !end.load(Ordering::Relaxed) => Play::Run,
        1 => Play::Exit(0, report(&pod.spec, "Completed", 1_000)),
        _ => Play::Exit(0, report(&pod.spec, "AlreadyDone", 1_000)),
    });
    cluster.apply(&backup(namespace, "away", json!({}))).unwrap();
    cluster.wait(BACKUPS, namespace, "away", "runs", |object| object["status"]["run"]["ran"] == true);
    operator.end("KILL");
    ends.store(true, Ordering::Relaxed);
    let job = cluster.list("jobs", namespace)[0]["metadata"]["name"].as_str().unwrap().to_owned();
    cluster.wait("jobs", namespace, &job, "complete", is_complete);
    cluster.ok(&["delete", "pods", "-n", namespace, "--all", "--force", "--grace-period=0"]);
    let _operator = cluster.operator("op-2", port, &[]);
    let done = cluster.wait(BACKUPS, namespace, "away", "completed", |object| phase(object) == "Completed");
    let status = &done["status"];
    assert_eq!((&status["recordsProcessed"], &status["run"]["attempt"]), (&json!(1_000), &json!(2)), "{status}");
    assert!(status["backupId"].is_string() && status["lastBackupTime"].is_string(), "{status}");
}

fn is_complete(job: &serde_json::Value) -> bool {
    let all = job["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.iter().any(|one| one["type"] == "Complete" && one["status"] == "True")
}
