//! A real queue for Jobs beside the operator: Kueue, built from its module and installed by its chart, suspends every Job at its
//! birth, admits as many as its quota allows, and suspends one that works for one that is more urgent. Long (minutes of building),
//! so that only `just torture kueue` asks for it.

use std::path::PathBuf;
use std::process::Command;

use harness::cluster::{Cluster, PATIENCE, wait_for};
use serde_json::{Value, json};

use super::{BACKUPS, RESTORES, Team, world};

/// The label by which Kueue takes a Job.
const QUEUE: &str = "kueue.x-k8s.io/queue-name";
/// The label of a Job's urgency.
const URGENCY: &str = "kueue.x-k8s.io/priority-class";

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("kubernetes")
}

/// Installs Kueue for Jobs only: its webhooks for pods and Deployments are not what this is about.
fn install_kueue(cluster: &Cluster) {
    let built = Command::new(here().join("kueue.sh")).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let folder = PathBuf::from(String::from_utf8(built.stdout).unwrap().trim());
    let loaded = Command::new(here().join("load.sh")).env("K8S_MODE", "node").arg(folder.join("kueue.tar")).output();
    assert!(loaded.unwrap().status.success());
    let config = "apiVersion: config.kueue.x-k8s.io/v1beta2\nkind: Configuration\n\
        health: {healthProbeBindAddress: \":8081\"}\nmetrics: {bindAddress: \":8443\"}\nwebhook: {port: 9443}\n\
        leaderElection: {leaderElect: false}\nclientConnection: {qps: 50, burst: 100}\n\
        integrations: {frameworks: [\"batch/job\"]}\n";
    let image = "controllerManager.manager.image";
    let chart = folder.join("kueue-chart");
    let installed = cluster.helm(&[
        "install",
        "kueue",
        chart.to_str().unwrap(),
        "--namespace=kueue-system",
        "--create-namespace",
        "--wait",
        "--timeout=5m",
        &format!("--set={image}.repository=localhost/kueue,{image}.tag=test,{image}.pullPolicy=Never"),
        "--set=controllerManager.manager.resources.requests.cpu=50m",
        &format!("--set-json=managerConfig.controllerManagerConfigYaml={}", json!(config)),
    ]);
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
}

/// A queue of the namespace with room for one pod, and two degrees of urgency of which the higher one preempts.
fn queue_for_one(cluster: &Cluster, namespace: &str) {
    let kueue = |kind: &str, name: &str, more: Value| {
        let mut object = json!({"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}});
        for (key, value) in more.as_object().unwrap() {
            object[key] = value.clone();
        }
        object
    };
    let flavors = json!([{"name": "any", "resources": [{"name": "pods", "nominalQuota": 1}]}]);
    let queue = json!({
        "namespaceSelector": {}, "preemption": {"withinClusterQueue": "LowerPriority"},
        "resourceGroups": [{"coveredResources": ["pods"], "flavors": flavors}],
    });
    let mut local = kueue("LocalQueue", "team", json!({"spec": {"clusterQueue": "one"}}));
    local["metadata"]["namespace"] = namespace.into();
    let objects = [
        kueue("ResourceFlavor", "any", json!({})),
        kueue("ClusterQueue", "one", json!({"spec": queue})),
        local,
        kueue("WorkloadPriorityClass", "late", json!({"value": 1, "description": "May wait"})),
        kueue("WorkloadPriorityClass", "soon", json!({"value": 1000, "description": "Goes first"})),
    ];
    for object in objects {
        // Its webhooks answer some time after its pod is ready.
        wait_for(PATIENCE, || cluster.apply(&object));
    }
}

impl Team<'_> {
    /// A backup through the queue.
    fn queued_backup(&self, name: &str, urgency: &str, more: Value) {
        let mut spec = json!({"kafkaCluster": self.cluster_block(), "topics": [self.topic], "storage": self.storage()});
        for (key, value) in more.as_object().unwrap() {
            spec[key] = value.clone();
        }
        let mut object = self.object("KafkaBackup", name, spec);
        object["metadata"]["labels"] = json!({QUEUE: "team", URGENCY: urgency});
        self.world.cluster.apply(&object).unwrap();
    }

    /// Waits until the queue holds the run of a resource, and the status tells it.
    fn held(&self, kind: &str, name: &str) -> Value {
        self.wait(kind, name, "held by the queue", |object| {
            assert_ne!(object["status"]["phase"], "Completed", "{}", object["status"]);
            let conditions = object["status"]["conditions"].as_array().cloned();
            conditions.is_some_and(|all| all.iter().any(|one| one["reason"] == "JobSuspended"))
        })
    }
}

/// Quota for one pod. A second backup waits and says so, then runs; a restore that works gives way to an urgent backup, waits, goes
/// on, and has each record once; none of them is called complete before its runner says so.
#[test]
#[ignore = "builds Kueue for minutes: just torture kueue"]
fn kueue_admits_and_preempts_runs() {
    let Some(world) = world() else { return };
    let team = world.team("kueue", 6_000);
    install_kueue(&world.cluster);
    queue_for_one(&world.cluster, &team.name);

    team.queued_backup("first", "late", json!({"rateLimiting": {"recordsPerSec": 600}}));
    team.wait(BACKUPS, "first", "running", |object| object["status"]["run"]["ran"] == true);
    team.queued_backup("second", "late", json!({}));
    let waits = team.held(BACKUPS, "second");
    println!("a backup that waits: {}", waits["status"]["message"]);
    assert_eq!(team.done(BACKUPS, "first")["status"]["recordsProcessed"], 6_000);
    assert_eq!(team.done(BACKUPS, "second")["status"]["recordsProcessed"], 6_000);

    let spec = json!({
        "kafkaCluster": team.cluster_block(), "createTopics": true, "topicMapping": {team.topic.clone(): "kueue-back"},
        "backupRef": {"name": "second"}, "rateLimiting": {"recordsPerSec": 300}, "produceBatchSize": 50,
    });
    let mut restore = team.object("KafkaRestore", "back", spec);
    restore["metadata"]["labels"] = json!({QUEUE: "team", URGENCY: "late"});
    world.cluster.apply(&restore).unwrap();
    team.wait(RESTORES, "back", "writing", |object| object["status"]["run"]["ran"] == true);
    team.queued_backup("urgent", "soon", json!({}));
    let preempted = team.held(RESTORES, "back");
    println!("a restore that gives way: {}", preempted["status"]["message"]);
    assert_eq!(team.done(BACKUPS, "urgent")["status"]["recordsProcessed"], 6_000);
    let done = team.done(RESTORES, "back");
    assert_eq!(done["status"]["recordsRestored"], 6_000, "{}", done["status"]);
    assert_eq!(team.assert_equal("kueue-back"), 6_000, "nothing lost, nothing doubled");
    let workloads = world.cluster.list("workloads.kueue.x-k8s.io", &team.name);
    let preemptions = workloads.iter().filter(|one| one["status"]["conditions"].to_string().contains("Preempted"));
    assert!(preemptions.count() >= 1, "Kueue preempted the restore");
}
