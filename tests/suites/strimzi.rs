//! The kinds of the Strimzi groups on a real control plane: what they find of Strimzi's resources, wait for and make. Strimzi's
//! definitions are stood in for by ones that take any document.

use std::time::Duration;

use harness::cluster::{Cluster, PATIENCE, wait_for};
use serde_json::{Value, json};

use super::{condition, is, namespace, phase, shared};

const BACKUPS: &str = "kafkabackups.backup.strimzi.io";
const RELEASED: &str = "kafkabackups.kafkabackup.com";
const RESTORES: &str = "kafkarestores.backup.strimzi.io";

/// Definitions of `Kafka` and `KafkaUser`, and the right to read them, as `install` gives it with these groups.
fn strimzi(cluster: &Cluster) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        for (kind, plural) in [("Kafka", "kafkas"), ("KafkaUser", "kafkausers")] {
            let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
            let version = json!({
                "name": "v1beta2", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object",
                    "properties": {"spec": open, "status": open}}},
            });
            let definition = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.kafka.strimzi.io")},
                "spec": {
                    "group": "kafka.strimzi.io", "scope": "Namespaced", "versions": [version],
                    "names": {"kind": kind, "plural": plural, "singular": kind.to_ascii_lowercase(), "listKind": format!("{kind}List")},
                },
            });
            cluster.apply(&definition).unwrap();
        }
        cluster.wait_for_definitions();
        let rule = json!({"apiGroups": ["kafka.strimzi.io"], "resources": ["kafkas", "kafkausers"], "verbs": ["get", "list", "watch"]});
        let api = "rbac.authorization.k8s.io/v1";
        cluster.apply(&json!({"apiVersion": api, "kind": "ClusterRole", "metadata": {"name": "reads-strimzi"}, "rules": [rule]})).unwrap();
        cluster
            .apply(&json!({
                "apiVersion": api, "kind": "ClusterRoleBinding", "metadata": {"name": "reads-strimzi"},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reads-strimzi"},
                "subjects": [{"kind": "ServiceAccount", "name": "kafka-backup-operator", "namespace": "kafka-backup"}],
            }))
            .unwrap();
    });
}

fn kafka(namespace: &str) -> Value {
    let listener = |name: &str, tls: bool, authentication: Value| json!({"name": name, "port": 9092, "type": "internal", "tls": tls, "authentication": authentication});
    json!({
        "apiVersion": "kafka.strimzi.io/v1beta2", "kind": "Kafka", "metadata": {"name": "events", "namespace": namespace},
        "spec": {"kafka": {"listeners": [listener("plain", false, Value::Null), listener("mutual", true, json!({"type": "tls"}))]}},
    })
}

fn ready(mut kafka: Value, certificate: &str) -> Value {
    kafka["status"] = json!({"listeners": [
        {"name": "plain", "bootstrapServers": "kafka:9092"},
        {"name": "mutual", "bootstrapServers": "kafka:9093",
            "certificates": [format!("-----BEGIN CERTIFICATE-----\n{certificate}\n-----END CERTIFICATE-----\n")]},
    ]});
    kafka
}

fn object(group: &str, kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    let mut whole = json!({"strimziClusterRef": {"name": "events"}});
    if kind == "KafkaBackup" {
        whole["storage"] = json!({"type": "filesystem", "filesystem": {"path": "backups/events"}});
    }
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    json!({
        "apiVersion": format!("{group}/v1alpha1"), "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": whole,
    })
}

/// The specification of the only Job of a namespace.
fn run_of(cluster: &Cluster, namespace: &str) -> Value {
    let jobs = cluster.list("jobs", namespace);
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let text = &jobs[0]["spec"]["template"]["metadata"]["annotations"]["kafka-backup.dev/run-spec"];
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

/// What a backup needs comes piece by piece, and each piece that is missing is told with its reason.
#[test]
fn a_backup_waits_for_its_cluster_and_its_user_and_then_runs() {
    let (cluster, ..) = shared();
    strimzi(cluster);
    namespace(cluster, "strimzi");
    let who = json!({"authentication": {"type": "tls", "kafkaUserRef": {"name": "backup"}}, "topics": {"include": ["orders.*"]}});
    cluster.apply(&object("backup.strimzi.io", "KafkaBackup", "strimzi", "well", who)).unwrap();
    let wait = |reason: &str| {
        let told = cluster.wait(BACKUPS, "strimzi", "well", reason, |object| is(object, "Ready", "False", reason));
        assert!(is(&told, "Error", "True", reason), "{}", condition(&told, "Error"));
    };
    wait("StrimziClusterNotFound");
    cluster.apply(&kafka("strimzi")).unwrap();
    wait("KafkaUserNotFound");
    let mut user = json!({
        "apiVersion": "kafka.strimzi.io/v1beta2", "kind": "KafkaUser",
        "metadata": {"name": "backup", "namespace": "strimzi", "labels": {"strimzi.io/cluster": "events"}},
        "spec": {"authentication": {"type": "tls"}},
    });
    cluster.apply(&user).unwrap();
    wait("KafkaUserNotReady");
    user["status"] = json!({"username": "CN=backup", "secret": "backup-secret"});
    cluster.apply(&user).unwrap();
    wait("StrimziClusterNotReady");
    assert!(cluster.list("jobs", "strimzi").is_empty(), "nothing is made before");
    cluster.apply(&ready(kafka("strimzi"), "QUJD")).unwrap();
    let done = cluster.wait(BACKUPS, "strimzi", "well", "completed", |object| {
        is(object, "BackupComplete", "True", "BackupSucceeded")
    });
    assert!(
        is(&done, "Ready", "True", "BackupSucceeded") && is(&done, "Error", "False", "NoError"),
        "{}",
        done["status"]
    );
    let last = &done["status"]["lastBackup"];
    assert_eq!((&last["status"], &last["sizeBytes"]), (&json!("Completed"), &json!(5_000)), "{last}");
    assert_eq!(done["status"]["backupHistory"].as_array().unwrap().len(), 1);
    let run = run_of(cluster, "strimzi");
    assert_eq!(run["kafka"]["bootstrapServers"], json!(["kafka:9093"]));
    let tls = json!({"caCertificates": ["QUJD"], "certificateFile": "backup-secret/user.crt", "keyFile": "backup-secret/user.key"});
    assert_eq!(run["kafka"]["tls"], tls);
    assert_eq!(run["backup"]["topics"], json!(["~^(?:orders.*)$"]));
    let pod = &cluster.list("jobs", "strimzi")[0]["spec"]["template"];
    assert_eq!(pod["metadata"]["labels"]["strimzi.io/cluster"], "events");
    assert_eq!(pod["metadata"]["labels"]["backup.strimzi.io/backup"], "well");
    assert!(
        pod["spec"]["volumes"].to_string().contains("backup-secret"),
        "it is mounted by name: {}",
        pod["spec"]["volumes"]
    );
    // The same document under the other group is another resource, with patterns of its own.
    namespace(cluster, "released");
    cluster.apply(&ready(kafka("released"), "QUJD")).unwrap();
    let topics = json!({"topics": {"include": ["orders.*"]}});
    cluster.apply(&object("kafkabackup.com", "KafkaBackup", "released", "well", topics)).unwrap();
    cluster.wait(RELEASED, "released", "well", "completed", |object| {
        is(object, "BackupComplete", "True", "BackupSucceeded")
    });
    assert_eq!(run_of(cluster, "released")["backup"]["topics"], json!(["orders.*"]));
    // A restore of a group reads the backup of its own group.
    let from = |name: &str| json!({"backupRef": {"name": name}, "restore": {"existingTopicPolicy": "append"}});
    cluster.apply(&object("backup.strimzi.io", "KafkaRestore", "released", "well", from("well"))).unwrap();
    cluster.wait(RESTORES, "released", "well", "pending", |object| is(object, "Error", "True", "BackupNotFound"));
    cluster.apply(&object("kafkabackup.com", "KafkaRestore", "released", "well", from("well"))).unwrap();
    let kind = "kafkarestores.kafkabackup.com";
    let done = cluster.wait(kind, "released", "well", "completed", |object| {
        is(object, "RestoreComplete", "True", "RestoreSucceeded")
    });
    assert_eq!((phase(&done), &done["status"]["restore"]["status"]), ("Completed", &json!("Completed")));
    assert_eq!(done["status"]["restore"]["restoredBytes"], 10_000);
}

/// A trigger is one run and goes then, so that the same value may ask again; a pause keeps it back.
#[test]
fn triggers_and_pauses_are_strimzis() {
    let (cluster, ..) = shared();
    strimzi(cluster);
    namespace(cluster, "asked");
    cluster.apply(&ready(kafka("asked"), "QUJD")).unwrap();
    let yearly = json!({"schedule": {"cron": "0 3 1 1 *", "timezone": "Europe/Berlin"}});
    cluster.apply(&object("kafkabackup.com", "KafkaBackup", "asked", "well", yearly)).unwrap();
    let idle = cluster.wait(RELEASED, "asked", "well", "idle", |object| is(object, "Ready", "True", "ScheduleActive"));
    let next = idle["status"]["nextScheduledBackup"].as_str().unwrap().to_owned();
    assert!(next.ends_with("-01-01T02:00:00Z"), "the zone counts: {next}");
    let annotate = |text: &str| drop(cluster.ok(&["annotate", RELEASED, "-n", "asked", "well", "--overwrite", text]));
    let runs = |object: &Value| object["status"]["backupHistory"].as_array().map_or(0, Vec::len);
    for count in 1..=2 {
        annotate("kafkabackup.com/trigger=now");
        let done = cluster.wait(RELEASED, "asked", "well", "ran", |object| {
            runs(object) == count && object["metadata"]["annotations"]["kafkabackup.com/trigger"].is_null()
        });
        assert_eq!(done["status"]["run"]["trigger"], "manual");
    }
    annotate("strimzi.io/pause-reconciliation=true");
    let reason = "ReconciliationPaused";
    cluster.wait(RELEASED, "asked", "well", "paused", |object| is(object, reason, "True", reason));
    annotate("kafkabackup.com/trigger=now");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(runs(&cluster.get(RELEASED, "asked", "well")), 2, "nothing begins in a pause");
    cluster.ok(&["annotate", RELEASED, "-n", "asked", "well", "strimzi.io/pause-reconciliation-"]);
    let done = cluster.wait(RELEASED, "asked", "well", "resumed", |object| runs(object) == 3);
    assert!(is(&done, reason, "False", "Resumed"), "{}", condition(&done, reason));
}

/// Old points go by the rules of these groups: after a backup, in a Job of its own that has the template's pod.
#[test]
fn retention_of_these_groups_runs_after_a_backup() {
    let (cluster, ..) = shared();
    strimzi(cluster);
    namespace(cluster, "aged");
    cluster.apply(&ready(kafka("aged"), "QUJD")).unwrap();
    let rules = json!({"maxBackups": 2, "maxAge": "30d", "pruneOnSchedule": true});
    let spec =
        json!({"schedule": {"cron": "0 3 1 1 *"}, "retention": rules, "resources": {"limits": {"memory": "300Mi"}}});
    cluster.apply(&object("kafkabackup.com", "KafkaBackup", "aged", "well", spec)).unwrap();
    cluster.wait(RELEASED, "aged", "well", "known", |object| is(object, "RetentionActive", "True", "RulesApply"));
    cluster.ok(&["annotate", RELEASED, "-n", "aged", "well", "kafkabackup.com/trigger=now"]);
    let done = cluster.wait(RELEASED, "aged", "well", "pruned", |object| {
        object["status"]["retention"]["run"]["outcome"] == "Completed"
    });
    assert!(is(&done, "RetentionActive", "True", "RetentionSucceeded"), "{}", done["status"]);
    assert!(is(&done, "BackupComplete", "True", "BackupSucceeded") && is(&done, "Error", "False", "NoError"));
    let known = &done["status"]["retention"];
    assert_eq!(
        (&known["inspected"], &known["removed"], &known["run"]["trigger"]),
        (&json!(3), &json!(1), &json!("backup"))
    );
    assert_eq!(done["status"]["backupHistory"].as_array().unwrap().len(), 1, "it is no backup");
    let jobs = cluster.list("jobs", "aged");
    let named = |job: &&Value| job["metadata"]["name"].as_str().unwrap().starts_with("well-prune-");
    let job = jobs.iter().find(named).unwrap_or_else(|| panic!("{jobs:?}"));
    let template = &job["spec"]["template"];
    let text = template["metadata"]["annotations"]["kafka-backup.dev/run-spec"].as_str().unwrap();
    let run: Value = serde_json::from_str(text).unwrap();
    assert_eq!(run["prune"]["rules"], json!({"least": 1, "most": 2, "maxAgeSecs": 30 * 86_400}), "{run}");
    assert_eq!((&run["backup"], &run["kafka"]), (&Value::Null, &Value::Null), "it asks no cluster");
    assert_eq!(template["spec"]["containers"][0]["resources"]["limits"]["memory"], "300Mi");
}

/// What shapes a pod is on the Job where the installation lets it, and a Job that it does not let is told with what to allow.
#[test]
fn a_template_arrives_where_the_installation_lets_it() {
    let (cluster, ..) = shared();
    strimzi(cluster);
    namespace(cluster, "shaped");
    cluster.apply(&ready(kafka("shaped"), "QUJD")).unwrap();
    let node = json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}},
    ]}});
    let template = json!({
        "logging": {"level": "debug"}, "resources": {"limits": {"memory": "300Mi"}},
        "template": {"pod": {
            "metadata": {"labels": {"team": "shop"}, "annotations": {"note": "x"}}, "serviceAccountName": "backups",
            "securityContext": {"runAsUser": 1001, "fsGroup": 1001}, "affinity": node,
        }},
    });
    cluster.ok(&["create", "serviceaccount", "-n", "shaped", "backups"]);
    cluster.apply(&object("kafkabackup.com", "KafkaBackup", "shaped", "well", template)).unwrap();
    let told = cluster.wait(RELEASED, "shaped", "well", "refused", |object| is(object, "Ready", "False", "JobRefused"));
    assert!(
        condition(&told, "Ready")["message"].as_str().unwrap().contains("runner.allowPlacement"),
        "{}",
        told["status"]
    );
    let anywhere = json!({"data": {"placement": "anywhere"}}).to_string();
    let bounds =
        ["patch", "configmap", "-n", "kafka-backup", "kafka-backup-operator-jobs", "--type=merge", "-p", &anywhere];
    cluster.ok(&bounds);
    wait_for(PATIENCE, || {
        let object = cluster.get(RELEASED, "shaped", "well");
        if is(&object, "BackupComplete", "True", "BackupSucceeded") {
            Ok(())
        } else {
            Err(object["status"].to_string())
        }
    });
    let template = &cluster.list("jobs", "shaped")[0]["spec"]["template"];
    assert_eq!(
        (&template["metadata"]["labels"]["team"], &template["metadata"]["annotations"]["note"]),
        (&json!("shop"), &json!("x"))
    );
    let pod = &template["spec"];
    assert_eq!((&pod["serviceAccountName"], &pod["securityContext"]["runAsUser"]), (&json!("backups"), &json!(1001)));
    assert!(pod["affinity"]["nodeAffinity"].is_object());
    let container = &pod["containers"][0];
    assert_eq!(container["env"], json!([{"name": "KAFKA_BACKUP_LOG", "value": "debug"}]));
    assert_eq!(container["resources"]["limits"]["memory"], "300Mi");
}
