//! What others do to the Job and the pod of a run: a queue that suspends it, a mesh that puts containers beside the runner.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{BACKUPS, RESTORES, backup, condition, is, namespace, no_pod_is_left, phase, restore, shared};

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
    suspend(false);
    cluster.wait(RESTORES, "queue", "queued", "works again", |object| is(object, "Ready", "False", "RestoreRunning"));
    RESUMED.store(true, Ordering::Relaxed);
    let done = cluster.wait(RESTORES, "queue", "queued", "completed", |object| phase(object) == "Completed");
    assert_eq!((&done["status"]["recordsRestored"], &done["status"]["run"]["attempt"]), (&json!(1_000), &json!(1)));
    assert_eq!(cluster.list("jobs", "queue").len(), 1, "the Job was not made again");
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
