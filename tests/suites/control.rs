//! The controllers on a real control plane: claims, attempts, schedules, replicas that die, what other operators left.
//! The pods are played: see `kubelet`.

mod hostile;
mod interference;
mod kubelet;
mod moves;
mod strimzi;
mod validations;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::cluster::{Cluster, Operator, PATIENCE, wait_for};
use harness::process::free_port;
use kubelet::{Kubelet, Play, Seen, failure, report};
use serde_json::{Value, json};

const BACKUPS: &str = "kafkabackups.kafka.oso.sh";
const RESTORES: &str = "kafkarestores.kafka.oso.sh";
const RESETS: &str = "kafkaoffsetresets.kafka.oso.sh";

/// One cluster, one operator and one stand-in for the kubelet, for all tests that need no others.
fn shared() -> &'static (Cluster, Operator, Kubelet) {
    static SHARED: OnceLock<(Cluster, Operator, Kubelet)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cluster = Cluster::start();
        let port = free_port();
        cluster.install(port);
        let operator = cluster.operator(
            "op-1",
            port,
            &["--max-concurrent-runs=0", "--max-concurrent-runs-per-namespace=2", "--lost-node-secs=10"],
        );
        admits(&cluster);
        let kubelet = Kubelet::play(&cluster.kubeconfig(), by_name);
        (cluster, operator, kubelet)
    })
}

/// What becomes of a pod stands in the name of its resource.
fn by_name(pod: &Seen) -> Play {
    let name = pod.spec.name.as_str();
    let done = || Play::Exit(0, report(&pod.spec, "Completed", 1_000));
    match name.split('-').next().unwrap_or_default() {
        "held" | "endless" => Play::Run,
        "wrong" => Play::Exit(4, failure(&pod.spec, "KB2002", "the broker refused the credentials")),
        "lost" if pod.attempt == 1 => Play::Run,
        "flaky" if pod.attempt < 3 => Play::Exit(3, failure(&pod.spec, "KB2001", "no broker could be reached")),
        "evicted" if pod.attempt == 1 => Play::Evict,
        "queued" if !interference::RESUMED.load(Ordering::Relaxed) => Play::Run,
        "well" | "lost" | "flaky" | "evicted" | "queued" => done(),
        "unscheduled" => Play::Unschedulable,
        "crashing" => Play::SidecarCrashes,
        "natively" => Play::BesideSidecar(report(&pod.spec, "Completed", 1_000)),
        // Containers beside the runner: one that goes on, one that ended well, one that did not.
        "meshed" => Play::Beside(0, report(&pod.spec, "Completed", 1_000), None),
        "proxied" => Play::Beside(4, failure(&pod.spec, "KB2002", "the broker refused the credentials"), Some(0)),
        "traced" => Play::Beside(0, report(&pod.spec, "Completed", 1_000), Some(137)),
        "again" => Play::Exit(0, report(&pod.spec, "AlreadyDone", 0)),
        "moves" => moves::play(pod),
        "passes" => Play::Exit(0, validations::found(&pod.spec, "pass")),
        "turns" if validations::MENDED.load(Ordering::Relaxed) => Play::Exit(0, validations::found(&pod.spec, "pass")),
        "finds" | "turns" => Play::Exit(1, validations::found(&pod.spec, "fail")),
        _ => Play::Leave,
    }
}

/// Waits until the API server reaches the webhook.
fn admits(cluster: &Cluster) {
    let probe = backup("default", "probe", json!({"suspend": true}));
    wait_for(PATIENCE, || cluster.apply(&probe).map(drop));
}

fn backup(namespace: &str, name: &str, more: Value) -> Value {
    let mut spec = json!({
        "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["orders"],
        "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}},
    });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

fn restore(namespace: &str, name: &str, from: &str, more: Value) -> Value {
    let mut spec = json!({"backupRef": {"name": from}, "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}});
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaRestore",
        "metadata": {"name": name, "namespace": namespace}, "spec": spec,
    })
}

fn namespace(cluster: &Cluster, name: &str) {
    cluster.ok(&["create", "namespace", name]);
}

/// Waits until the pods of a namespace are gone.
fn no_pod_is_left(cluster: &Cluster, namespace: &str) {
    wait_for(PATIENCE, || {
        let left = cluster.list("pods", namespace).len();
        if left == 0 { Ok(()) } else { Err(format!("{left} pods left")) }
    });
}

/// Waits until the operator has looked at resources that came after all that happened in a namespace: what it has not done by then,
/// it does not do. Takes them away again.
fn settled(cluster: &Cluster, namespace: &str) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("settled-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
    cluster.apply(&backup(namespace, &name, json!({"suspend": true}))).unwrap();
    cluster.apply(&restore(namespace, &name, "nowhere", json!({}))).unwrap();
    for kind in [BACKUPS, RESTORES] {
        cluster.wait(kind, namespace, &name, "looked at", |object| object["status"]["message"].is_string());
        cluster.ok(&["delete", kind, "-n", namespace, &name, "--timeout=20s"]);
    }
}

/// Waits until the operator has looked at a resource as it is asked for now.
fn looked_at(cluster: &Cluster, kind: &str, namespace: &str, name: &str) -> Value {
    cluster.wait(kind, namespace, name, "looked at", |object| {
        object["status"]["observedGeneration"] == object["metadata"]["generation"]
    })
}

fn phase(object: &Value) -> &str {
    object["status"]["phase"].as_str().unwrap_or_default()
}

fn condition(object: &Value, name: &str) -> Value {
    let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|condition| condition["type"] == name).unwrap_or(Value::Null)
}

fn is(object: &Value, name: &str, status: &str, reason: &str) -> bool {
    let found = condition(object, name);
    found["status"] == status && found["reason"] == reason
}

#[test]
fn a_backup_runs_once_and_its_status_tells_all() {
    let (cluster, ..) = shared();
    namespace(cluster, "once");
    let create = json!({"enabled": true, "size": "1Gi"});
    let storage = json!({"storageType": "pvc", "pvc": {"claimName": "made", "create": create}});
    cluster.apply(&backup("once", "well", json!({"storage": storage}))).unwrap();
    let done = cluster.wait(BACKUPS, "once", "well", "completed", |object| phase(object) == "Completed");
    let status = &done["status"];
    assert_eq!(status["message"], "Backup completed successfully");
    assert_eq!((&status["recordsProcessed"], &status["bytesProcessed"]), (&json!(1_000), &json!(10_000)));
    assert_eq!(status["backupId"], status["run"]["id"]);
    assert!(status["backupId"].as_str().unwrap().starts_with("well-20"));
    assert_eq!(status["observedGeneration"], 1);
    assert!(status["lastBackupTime"].is_string() && status["lastCheckpointTime"].is_string());
    for (name, wanted) in
        [("Ready", "True"), ("Stalled", "False"), ("Reconciling", "False"), ("Complete", "True"), ("Failed", "False")]
    {
        assert!(is(&done, name, wanted, "BackupSucceeded"), "{name}: {}", condition(&done, name));
    }
    // The claim that it asked for is there, and nothing owns it.
    let claim = cluster.get("pvc", "once", "made");
    assert!(
        claim["metadata"]["ownerReferences"].is_null() && claim["spec"]["resources"]["requests"]["storage"] == "1Gi"
    );
    // It does not run again, neither by itself nor after a change.
    cluster
        .apply(&backup("once", "well", json!({"storage": {"pvc": {"claimName": "made"}}, "topics": ["other"]})))
        .unwrap();
    let still = looked_at(cluster, BACKUPS, "once", "well");
    assert_eq!((&still["status"]["run"]["id"], &still["metadata"]["generation"]), (&status["run"]["id"], &json!(2)));
    settled(cluster, "once");
    assert_eq!(cluster.list("jobs", "once").len(), 1);
    // Events tell the story, and deleting the resource takes the Job along, but not the archive's claim.
    let events = cluster.ok(&["get", "events", "-n", "once", "-o", "jsonpath={.items[*].reason}"]);
    assert!(events.contains("RunClaimed") && events.contains("RunCompleted"), "{events}");
    cluster.ok(&["delete", BACKUPS, "-n", "once", "well", "--timeout=20s"]);
    // The collector learns of new kinds only every half minute.
    wait_for(PATIENCE, || {
        let left = cluster.list("jobs", "once").len();
        if left == 0 { Ok(()) } else { Err(format!("{left} Jobs left")) }
    });
    assert!(!cluster.get("pvc", "once", "made").is_null());
}

#[test]
fn a_paused_backup_runs_when_it_is_asked_to() {
    let (cluster, ..) = shared();
    namespace(cluster, "paused");
    cluster.apply(&backup("paused", "well", json!({"suspend": true}))).unwrap();
    cluster.wait(BACKUPS, "paused", "well", "suspended", |object| is(object, "Ready", "True", "BackupSuspended"));
    settled(cluster, "paused");
    assert!(cluster.list("jobs", "paused").is_empty(), "suspend holds at creation");
    cluster.ok(&["annotate", BACKUPS, "-n", "paused", "well", "kafka.oso.sh/trigger-backup=monday"]);
    let done = cluster.wait(BACKUPS, "paused", "well", "completed", |object| phase(object) == "Completed");
    assert_eq!(done["status"]["run"]["trigger"], "manual");
    assert_eq!(done["status"]["lastTrigger"], "monday");
    cluster.ok(&["patch", BACKUPS, "-n", "paused", "well", "--type=merge", "-p", r#"{"spec":{"topics":["other"]}}"#]);
    let still = looked_at(cluster, BACKUPS, "paused", "well");
    settled(cluster, "paused");
    assert_eq!(still["status"]["run"]["id"], done["status"]["run"]["id"], "one value, one run");
}

#[test]
fn attempts_follow_until_the_run_is_over() {
    let (cluster, ..) = shared();
    namespace(cluster, "attempts");
    for name in ["flaky", "wrong", "evicted"] {
        let namespace = format!("attempts-{name}");
        cluster.ok(&["create", "namespace", &namespace]);
        cluster.apply(&backup(&namespace, name, json!({}))).unwrap();
    }
    let wrong = cluster.wait(BACKUPS, "attempts-wrong", "wrong", "failed", |object| phase(object) == "Failed");
    assert_eq!(wrong["status"]["message"], "KB2002: the broker refused the credentials");
    assert_eq!(wrong["status"]["run"]["attempt"], 1);
    assert!(
        is(&wrong, "Ready", "False", "RunFailed") && is(&wrong, "Stalled", "True", "RunFailed"),
        "{}",
        wrong["status"]
    );
    let evicted =
        cluster.wait(BACKUPS, "attempts-evicted", "evicted", "completed", |object| phase(object) == "Completed");
    assert_eq!(evicted["status"]["run"]["attempt"], 2);
    let flaky = cluster.wait(BACKUPS, "attempts-flaky", "flaky", "completed", |object| phase(object) == "Completed");
    assert_eq!(flaky["status"]["run"]["attempt"], 3);
    assert_eq!(flaky["status"]["run"]["id"], flaky["status"]["backupId"], "attempts are one run");
}

#[test]
fn what_keeps_a_pod_from_starting_is_shown() {
    let (cluster, ..) = shared();
    namespace(cluster, "stuck");
    namespace(cluster, "quota");
    let begun = Instant::now();
    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none", "namespace": "quota"}, "spec": {"hard": {"pods": "0"}}});
    cluster.apply(&quota).unwrap();
    cluster.apply(&backup("stuck", "unscheduled", json!({}))).unwrap();
    cluster.apply(&backup("quota", "held", json!({}))).unwrap();
    let object = cluster
        .wait(BACKUPS, "stuck", "unscheduled", "unschedulable", |object| is(object, "Ready", "False", "Unschedulable"));
    assert!(condition(&object, "Ready")["message"].as_str().unwrap().contains("0/3 nodes are available"));
    let object = cluster.wait(BACKUPS, "quota", "held", "refused", |object| is(object, "Ready", "False", "PodRefused"));
    assert!(condition(&object, "Ready")["message"].as_str().unwrap().contains("exceeded quota"), "{object}");
    println!("an unschedulable pod and a refused one are shown after {:?}", begun.elapsed());
}

/// Neither the resource nor the installation says where offsets are saved first: nothing runs, and the fix is named.
#[test]
fn a_reset_without_a_place_for_offsets_does_not_begin() {
    let (cluster, ..) = shared();
    namespace(cluster, "nowhere");
    let reset = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaOffsetReset",
        "metadata": {"name": "well", "namespace": "nowhere"},
        "spec": {
            "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "consumerGroups": ["a"], "resetStrategy": "to-latest",
        },
    });
    cluster.apply(&reset).unwrap();
    let pending =
        cluster.wait(RESETS, "nowhere", "well", "pending", |object| is(object, "Ready", "False", "NoPlaceForOffsets"));
    assert!(pending["status"]["message"].as_str().unwrap().contains("positions.storage"), "{}", pending["status"]);
    assert!(cluster.list("jobs", "nowhere").is_empty());
}

#[test]
fn a_job_that_somebody_removed_is_asked_again() {
    let (cluster, ..) = shared();
    namespace(cluster, "vanished");
    cluster.apply(&backup("vanished", "lost-job", json!({}))).unwrap();
    cluster.wait(BACKUPS, "vanished", "lost-job", "running", |object| object["status"]["run"]["ran"] == true);
    cluster.ok(&["delete", "jobs", "-n", "vanished", "--all", "--timeout=20s"]);
    // The archive may hold its point: another attempt asks, and the status tells of the whole run.
    let object = cluster.wait(BACKUPS, "vanished", "lost-job", "completed", |object| phase(object) == "Completed");
    assert_eq!(object["status"]["run"]["attempt"], 2, "{}", object["status"]);
}

#[test]
fn a_namespace_has_room_for_so_many_runs() {
    let (cluster, ..) = shared();
    namespace(cluster, "room");
    for name in ["held-1", "held-2", "held-3"] {
        cluster.apply(&backup("room", name, json!({}))).unwrap();
    }
    let waiting = wait_for(PATIENCE, || {
        let all = cluster.list(BACKUPS, "room");
        let queued: Vec<_> = all.iter().filter(|object| is(object, "Ready", "False", "Queued")).collect();
        if queued.len() == 1 && cluster.list("jobs", "room").len() == 2 {
            return Ok(queued[0]["metadata"]["name"].as_str().unwrap().to_owned());
        }
        Err(format!("{} queued", queued.len()))
    });
    let other = ["held-1", "held-2", "held-3"].into_iter().find(|name| *name != waiting).unwrap();
    cluster.ok(&["delete", BACKUPS, "-n", "room", other, "--timeout=20s"]);
    cluster.wait(BACKUPS, "room", &waiting, "running", |object| object["status"]["run"]["jobUid"].is_string());
}

#[test]
fn a_continuous_backup_is_stopped_before_it_begins_anew() {
    let (cluster, ..) = shared();
    namespace(cluster, "endless");
    let with = |topic: &str, suspend: bool| {
        backup("endless", "endless", json!({"continuous": true, "topics": [topic], "suspend": suspend}))
    };
    cluster.apply(&with("a", false)).unwrap();
    let first =
        cluster.wait(BACKUPS, "endless", "endless", "running", |object| object["status"]["run"]["jobUid"].is_string());
    wait_for(PATIENCE, || {
        let running = cluster.list("pods", "endless").iter().any(|pod| phase(pod) == "Running");
        if running { Ok(()) } else { Err("no pod runs".to_owned()) }
    });
    cluster.apply(&with("b", false)).unwrap();
    let second = cluster.wait(BACKUPS, "endless", "endless", "another run", |object| {
        object["status"]["run"]["jobUid"].is_string() && object["status"]["run"]["id"] != first["status"]["run"]["id"]
    });
    assert_ne!(second["status"]["run"]["digest"], first["status"]["run"]["digest"]);
    assert!(cluster.list("pods", "endless").len() <= 1, "never two pods of one set");
    cluster.apply(&with("b", true)).unwrap();
    let stopped = cluster.wait(BACKUPS, "endless", "endless", "stopped", |object| {
        object["status"]["run"]["outcome"].is_string() && is(object, "Ready", "True", "BackupSuspended")
    });
    assert_eq!(stopped["status"]["run"]["outcome"], "Stopped");
    assert!(is(&stopped, "Complete", "False", "Stopped") && phase(&stopped) == "Ready", "{}", stopped["status"]);
    no_pod_is_left(cluster, "endless");
}

/// Whoever deletes a resource and leaves its Job (`--cascade=orphan`) may make it again: the run that nobody looks at ends first.
#[test]
fn an_orphaned_run_ends_before_that_of_the_resource_made_again() {
    let (cluster, ..) = shared();
    namespace(cluster, "orphans");
    let object = backup("orphans", "endless", json!({"continuous": true}));
    cluster.apply(&object).unwrap();
    cluster.wait(BACKUPS, "orphans", "endless", "running", |object| object["status"]["run"]["jobUid"].is_string());
    wait_for(PATIENCE, || {
        let running = cluster.list("pods", "orphans").iter().any(|pod| phase(pod) == "Running");
        if running { Ok(()) } else { Err("no pod runs".to_owned()) }
    });
    // The garbage collector takes the owner away; it looks for new kinds twice a minute.
    cluster.ok(&["delete", BACKUPS, "-n", "orphans", "endless", "--cascade=orphan", "--timeout=120s"]);
    let orphan = cluster.list("jobs", "orphans").pop().expect("the Job stays");
    assert!(orphan["metadata"]["ownerReferences"].is_null(), "{orphan}");
    cluster.apply(&object).unwrap();
    let again =
        cluster.wait(BACKUPS, "orphans", "endless", "running", |object| object["status"]["run"]["jobUid"].is_string());
    let jobs = cluster.list("jobs", "orphans");
    assert!(jobs.len() == 1 && jobs[0]["metadata"]["uid"] == again["status"]["run"]["jobUid"], "{jobs:?}");
    assert_ne!(jobs[0]["metadata"]["uid"], orphan["metadata"]["uid"]);
    assert!(cluster.list("pods", "orphans").len() <= 1, "never two pods of one set");
    cluster.ok(&["delete", BACKUPS, "-n", "orphans", "endless", "--timeout=20s"]);
    no_pod_is_left(cluster, "orphans");
}

#[test]
fn a_restore_waits_for_its_backup_runs_once_and_never_again() {
    let (cluster, ..) = shared();
    namespace(cluster, "restore");
    let wanted = restore("restore", "well", "held", json!({"topicMapping": {"orders": "orders-2"}}));
    cluster.apply(&wanted).unwrap();
    let pending = cluster.wait(RESTORES, "restore", "well", "pending", |object| phase(object) == "Pending");
    assert!(is(&pending, "Ready", "False", "BackupNotFound"), "{}", pending["status"]);
    cluster.apply(&backup("restore", "held", json!({"suspend": true}))).unwrap();
    let done = cluster.wait(RESTORES, "restore", "well", "completed", |object| phase(object) == "Completed");
    let status = &done["status"];
    assert_eq!(status["message"], "Restore completed successfully");
    assert_eq!((status["progressPercent"].as_f64(), status["recordsRestored"].as_u64()), (Some(100.0), Some(1_000)));
    assert!(status["startTime"].is_string() && status["completionTime"].is_string());
    // Removed and made again from Git: the runner knows the restore by its name, and it is not repeated.
    cluster.ok(&["delete", RESTORES, "-n", "restore", "well", "--timeout=20s"]);
    let again = restore("restore", "again", "held", json!({}));
    cluster.apply(&again).unwrap();
    let done = cluster.wait(RESTORES, "restore", "again", "completed", |object| phase(object) == "Completed");
    assert!(done["status"]["message"].as_str().unwrap().contains("completed before"), "{}", done["status"]);
}

#[test]
fn rules_of_retention_are_told_before_they_apply() {
    let (cluster, ..) = shared();
    namespace(cluster, "later");
    cluster
        .apply(&backup("later", "held", json!({"suspend": true, "retention": {"enabled": true, "keepLast": 3}})))
        .unwrap();
    let object =
        cluster.wait(BACKUPS, "later", "held", "told", |object| is(object, "RetentionActive", "True", "RulesApply"));
    assert!(condition(&object, "RetentionActive")["message"].as_str().unwrap().contains("after the next backup"));
    assert!(cluster.list("jobs", "later").is_empty(), "nothing was started");
}

/// Objects of another operator: nothing runs before the hand-over, nothing that is finished runs again.
#[test]
fn objects_of_another_operator_are_taken_over_when_they_say_so() {
    let (cluster, ..) = shared();
    namespace(cluster, "theirs");
    let theirs = |mut document: Value, finalizer: &str, status: Value| {
        let name = document["metadata"]["name"].as_str().unwrap().to_owned();
        let kind = if document["kind"] == "KafkaBackup" { BACKUPS } else { RESTORES };
        document["metadata"]["finalizers"] = json!([finalizer, "example.org/kept"]);
        cluster.apply(&document).unwrap();
        let patch = json!({"status": status}).to_string();
        cluster.ok(&[
            "patch",
            kind,
            "-n",
            "theirs",
            &name,
            "--subresource=status",
            "--type=merge",
            "--field-manager=kafka-backup-operator",
            "-p",
            &patch,
        ]);
    };
    theirs(
        backup("theirs", "well-done", json!({})),
        "kafka.oso.sh/backup-finalizer",
        json!({"phase": "Completed", "backupId": "well-done-20260101-000000"}),
    );
    theirs(backup("theirs", "well-running", json!({})), "kafka.oso.sh/backup-finalizer", json!({"phase": "Running"}));
    theirs(
        restore("theirs", "well-back", "well-done", json!({})),
        "kafka.oso.sh/restore-finalizer",
        json!({"phase": "Completed"}),
    );
    let last = "2026-01-01T00:00:00Z";
    theirs(
        backup("theirs", "well-yearly", json!({"schedule": "0 0 0 1 1 *"})),
        "kafka.oso.sh/backup-finalizer",
        json!({"phase": "Ready", "lastScheduleTime": last}),
    );
    let all = [(BACKUPS, "well-done"), (BACKUPS, "well-running"), (RESTORES, "well-back"), (BACKUPS, "well-yearly")];
    for (kind, name) in all {
        cluster.wait(kind, "theirs", name, "held", |object| is(object, "Ready", "False", "ForeignOperator"));
    }
    settled(cluster, "theirs");
    assert!(cluster.list("jobs", "theirs").is_empty(), "nothing runs before the hand-over");
    for (kind, name) in all {
        cluster.ok(&["annotate", kind, "-n", "theirs", name, "kafka.oso.sh/take-over=true"]);
        let object = cluster.wait(kind, "theirs", name, "taken over", |object| {
            object["metadata"]["finalizers"] == json!(["example.org/kept"])
                && !is(object, "Ready", "False", "ForeignOperator")
        });
        match name {
            "well-running" => assert!(
                phase(&object) == "Failed" && is(&object, "Failed", "True", "Abandoned"),
                "{}",
                object["status"]
            ),
            "well-yearly" => assert_eq!(object["status"]["lastScheduleTime"], last),
            _ => assert_eq!(phase(&object), "Completed", "{name}"),
        }
    }
    settled(cluster, "theirs");
    assert!(cluster.list("jobs", "theirs").is_empty(), "nothing that is finished runs again");
    for (kind, name) in all {
        cluster.ok(&["patch", kind, "-n", "theirs", name, "--type=merge", "-p", r#"{"metadata":{"finalizers":null}}"#]);
        cluster.ok(&["delete", kind, "-n", "theirs", name, "--timeout=20s"]);
    }
}

/// With `watchNamespaces`, the chart gives rights in these namespaces only, and the operator runs what is there.
#[test]
fn an_operator_may_be_confined_to_namespaces() {
    let cluster = Cluster::start();
    let port = free_port();
    cluster.install(port);
    for name in ["inside", "outside"] {
        namespace(&cluster, name);
    }
    let rights = cluster.chart(&["--set", "watchNamespaces={inside}", "--show-only", "templates/rbac.yaml"]);
    cluster.ok(&["delete", "clusterrolebinding", "kafka-backup-operator"]);
    let arguments = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let output = cluster.kubectl_with(&cluster.kubeconfig(), &arguments, &rights);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let operator = cluster.operator("op-1", port, &["--watch-namespaces=inside, imside"]);
    admits(&cluster);
    wait_for(PATIENCE, || {
        let log = operator.log();
        if log.contains("imside") && log.contains("nothing of it is run") { Ok(()) } else { Err(log) }
    });
    let _kubelet = Kubelet::play(&cluster.kubeconfig(), by_name);
    for name in ["inside", "outside"] {
        cluster.apply(&backup(name, "well", json!({}))).unwrap();
    }
    cluster.wait(BACKUPS, "inside", "well", "completed", |object| phase(object) == "Completed");
    assert!(cluster.get(BACKUPS, "outside", "well")["status"].is_null(), "left alone");
    let across = restore("inside", "across", "well", json!({"backupRef": {"name": "well", "namespace": "outside"}}));
    // Whether its owner allows it cannot be seen from here.
    let refused = cluster.apply(&across).unwrap_err();
    assert!(refused.contains("the operator may not read it") && refused.contains("watchNamespaces"), "{refused}");
    let wrong = backup("outside", "wrong", json!({"compression": "gzip"}));
    assert!(cluster.apply(&wrong).is_err(), "admission is for all");
    let account = cluster.account("kafka-backup", "kafka-backup-operator");
    let asked = ["auth", "can-i", "create", "jobs.batch", "-n", "outside"];
    let output = cluster.kubectl_with(&account, &asked, "");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "no");
    let (_, metrics) = operator.http("/metrics");
    assert!(
        metrics.contains(
            r#"kafka_backup_operator_backups_total{outcome="success",resource_namespace="inside",name="well"} 1"#
        ),
        "{metrics}"
    );
    assert!(!operator.log().contains(r#"namespace \"inside\" is not"#), "{}", operator.log());
}

/// Three replicas, one of them killed at random times, 20 resources with a tick every ten seconds: each tick runs or is
/// covered by one that came later, none runs twice, no Job is left over. The API server goes away once, too.
#[test]
fn no_tick_is_lost_or_doubled_while_replicas_die() {
    let long = std::env::var("TORTURE").is_ok();
    let time = Duration::from_secs(if long { 600 } else { 90 });
    let cluster = Cluster::start();
    let port = free_port();
    cluster.install(port);
    let arguments = ["--lease-secs=5", "--max-concurrent-runs=0"];
    let mut replicas: Vec<Operator> = Vec::new();
    for number in 0..3 {
        // Only the first serves the webhook's port; the others have ports of their own.
        let webhook = if number == 0 { port } else { free_port() };
        replicas.push(cluster.operator(&format!("op-{number}"), webhook, &arguments));
    }
    admits(&cluster);
    let _kubelet = Kubelet::play(&cluster.kubeconfig(), |pod| Play::Exit(0, report(&pod.spec, "Completed", 1)));
    const RESOURCES: usize = 20;
    for number in 0..RESOURCES {
        cluster.apply(&backup("default", &format!("tick-{number}"), json!({"schedule": "*/10 * * * * *"}))).unwrap();
    }
    // Every tick that was ever claimed, by resource.
    let mut runs: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut uids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let (begun, mut killed, mut restarted, mut seed) = (Instant::now(), 0, false, 7_u64);
    let mut next_kill = Duration::from_secs(7);
    let mut names = 3;
    while begun.elapsed() < time {
        if begun.elapsed() > next_kill {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // The first one stays: it serves admission, which is not what this test is about.
            let victim = 1 + usize::try_from((seed >> 33) % 2).unwrap();
            replicas.remove(victim).end("KILL");
            replicas.insert(victim, cluster.operator_unready(&format!("op-{names}"), free_port(), &arguments));
            names += 1;
            killed += 1;
            next_kill = begun.elapsed() + Duration::from_secs(5 + (seed >> 40) % 7);
        }
        if !restarted && begun.elapsed() > time / 2 {
            cluster.restart_api_server(Duration::from_secs(2));
            restarted = true;
        }
        std::thread::sleep(Duration::from_millis(500));
        for object in cluster.list(BACKUPS, "default") {
            let run = &object["status"]["run"];
            if let (Some(name), Some(id)) = (object["metadata"]["name"].as_str(), run["id"].as_str()) {
                if let Some(tick) = run["tick"].as_str() {
                    runs.entry(name.to_owned()).or_default().insert(tick.to_owned());
                }
                if let Some(uid) = run["jobUid"].as_str() {
                    uids.entry(id.to_owned()).or_default().insert(uid.to_owned());
                }
            }
        }
    }
    cluster.ok(&["patch", BACKUPS, "tick-0", "--type=merge", "-p", r#"{"spec":{"suspend":true}}"#]);
    for number in 1..RESOURCES {
        cluster.ok(&[
            "patch",
            BACKUPS,
            &format!("tick-{number}"),
            "--type=merge",
            "-p",
            r#"{"spec":{"suspend":true}}"#,
        ]);
    }
    let leader = wait_for(PATIENCE, || {
        let holder = cluster.get("lease", "kafka-backup", "kafka-backup-operator")["spec"]["holderIdentity"].clone();
        holder.as_str().map(str::to_owned).ok_or_else(|| "nobody leads".to_owned())
    });
    let mut total = 0;
    for number in 0..RESOURCES {
        let name = format!("tick-{number}");
        let object = cluster
            .wait(BACKUPS, "default", &name, "at rest", |object| object["status"]["run"]["finishedAt"].is_string());
        assert_eq!(phase(&object), "Completed", "{}", object["status"]);
        let ticks = &runs[&name];
        total += ticks.len();
        // Ticks are ten seconds apart; one that was missed is covered by the next.
        assert!(ticks.iter().all(|tick| tick.ends_with("0Z")), "{ticks:?}");
        let least = usize::try_from(time.as_secs() / 10 / 3).unwrap();
        assert!(ticks.len() >= least, "{name}: {} runs in {time:?}", ticks.len());
    }
    assert!(uids.values().all(|jobs| jobs.len() == 1), "a run was made twice: {uids:?}");
    let jobs = cluster.list("jobs", "default");
    // The last attempt, and the two before it, until the next run.
    assert!(jobs.len() <= 3 * RESOURCES, "{} Jobs are left", jobs.len());
    println!(
        "{killed} replicas killed, the API server restarted, {total} runs of {RESOURCES} resources in {time:?}, none twice; {leader} leads"
    );
    assert!(killed >= 3 && restarted);
}

/// A thousand schedules at rest cost little.
#[test]
fn a_thousand_schedules_at_rest_cost_little() {
    let cluster = Cluster::start();
    let port = free_port();
    cluster.install(port);
    let operator = cluster.operator("op-1", port, &[]);
    admits(&cluster);
    for part in 0..10 {
        let items: Vec<_> = (0..100)
            .map(|number| backup("default", &format!("quiet-{part}-{number}"), json!({"schedule": "0 0 2 * * *"})))
            .collect();
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        cluster.apply(&list).unwrap();
    }
    wait_for(PATIENCE, || {
        let told = cluster
            .list(BACKUPS, "default")
            .iter()
            .filter(|object| object["status"]["nextScheduledBackup"].is_string())
            .count();
        if told >= 1_000 { Ok(()) } else { Err(format!("{told} told")) }
    });
    let used = || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", operator.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // utime and stime, in hundredths of a second.
        fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()
    };
    std::thread::sleep(Duration::from_secs(5));
    let before = used();
    std::thread::sleep(Duration::from_secs(20));
    let cores = (used() - before) / 100.0 / 20.0;
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid())).unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    let peak: u64 = peak.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("1,000 schedules: at most {} MiB, {cores:.3} cores at rest", peak / 1024);
    assert!(peak / 1024 <= 128, "{} MiB", peak / 1024);
    assert!(cores <= 0.2, "{cores} cores");
}
