//! Ours over what another operator of the same groups left in a cluster: its definitions, its objects, its CronJob. The
//! chart is installed in an older version first, and upgraded.

use std::process::Command;

use harness::cluster::{Cluster, NAMESPACE, Operator, PATIENCE, wait_for};
use harness::process::{Scratch, free_port};
use serde_json::{Value, json};

const BACKUPS: &str = "kafkabackups.kafka.oso.sh";
const RESTORES: &str = "kafkarestores.kafka.oso.sh";
const STRIMZI: &str = "kafkabackups.kafkabackup.com";
/// A field that the older chart's definition does not know.
const NEWER: &str = "sourceClusterId";

fn fixture(name: &str) -> String {
    std::fs::read_to_string(format!("{}/fixtures/released/{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The chart as a version before a field was added to a definition.
fn older_chart(into: &Scratch) -> String {
    let ours = format!("{}/../manifests/helm/kafka-backup-operator", env!("CARGO_MANIFEST_DIR"));
    let older = into.path().join("older");
    assert!(Command::new("cp").args(["-r", &ours]).arg(&older).status().unwrap().success());
    let definition = older.join("files/crds/kafka.oso.sh/kafkabackups.yaml");
    let text = std::fs::read_to_string(&definition).unwrap();
    assert!(text.contains(&format!("{NEWER}:")));
    std::fs::write(&definition, text.replace(&format!("{NEWER}:"), "somethingElse:")).unwrap();
    let about = std::fs::read_to_string(older.join("Chart.yaml")).unwrap();
    std::fs::write(
        older.join("Chart.yaml"),
        about.replace(concat!("version: ", env!("CARGO_PKG_VERSION")), "version: 0.0.9"),
    )
    .unwrap();
    older.to_str().unwrap().to_owned()
}

/// Creates the stored objects with the status that the other operator wrote.
fn leave_objects(cluster: &Cluster) {
    let admin = cluster.kubeconfig();
    for text in fixture("objects").split("\n---\n") {
        let output = cluster.kubectl_with(&admin, &["create", "-f", "-", "-o", "json"], text);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let made: Value = serde_json::from_slice(&output.stdout).unwrap();
        let manager = ["--field-manager", "kafka-backup-operator"];
        let arguments = ["replace", "--subresource=status", "-f", "-"];
        let whole = text.to_owned();
        let output = cluster.kubectl_with(&admin, &[&arguments[..], &manager[..]].concat(), &whole);
        assert!(output.status.success(), "{}: {}", made["metadata"]["name"], String::from_utf8_lossy(&output.stderr));
    }
}

/// The CronJob that the other operator made for a schedule of Strimzi's group; its owner is the object.
fn leave_cron_job(cluster: &Cluster) {
    let owner = cluster.get(STRIMZI, "prod", "events");
    let cron = json!({
        "apiVersion": "batch/v1", "kind": "CronJob",
        "metadata": {"name": "events-scheduled", "namespace": "prod", "ownerReferences": [{
            "apiVersion": "kafkabackup.com/v1alpha1", "kind": "KafkaBackup", "name": "events",
            "uid": owner["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
        }]},
        "spec": {"schedule": "0 2 * * *", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "backup", "image": "backup"}],
        }}}}},
    });
    cluster.apply(&cron).unwrap();
}

fn helm(cluster: &Cluster, arguments: &[&str]) -> Result<(), String> {
    let output = cluster.helm(arguments);
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Installs the older chart, sees it told by the operator, and upgrades to ours.
fn install_and_upgrade(cluster: &Cluster, port: u16) -> Operator {
    let (scratch, release) = (Scratch::new("kafka-backup-chart-"), "kafka-backup-operator");
    let older = older_chart(&scratch);
    let ours = format!("{}/../manifests/helm/kafka-backup-operator", env!("CARGO_MANIFEST_DIR"));
    let groups = "groups={kafka.oso.sh,backup.strimzi.io,kafkabackup.com}";
    // The operator is a process here, and its runs have an image that the chart does not name.
    let images = "runner.allowedImages={runner:test}";
    let common = ["-n", NAMESPACE, "--create-namespace", "--set", groups, "--set", images];
    let refused = helm(cluster, &[&["install", release, &older][..], &common].concat()).unwrap_err();
    assert!(refused.contains("invalid ownership metadata"), "{refused}");
    helm(cluster, &[&["install", release, &older, "--take-ownership"][..], &common].concat()).unwrap();
    let operator = cluster.operator_unready("op-1", port, &[]);
    wait_for(PATIENCE, || {
        let (status, text) = operator.http("/readyz");
        if status == 503 && text.contains("CRDOutdated") { Ok(()) } else { Err(format!("{status} {text}")) }
    });
    helm(cluster, &[&["upgrade", release, &ours][..], &common].concat()).unwrap();
    let definition = cluster.get("crd", "", BACKUPS);
    assert!(definition.to_string().contains(NEWER), "an upgrade reaches the definitions");
    assert_eq!(definition["spec"]["names"]["categories"], json!(["kafka-backup"]));
    cluster.point_webhook(port);
    operator.wait_ready();
    operator
}

/// Waits until the operator has looked at a resource that came after all that happened: what it has not done by then, it does not
/// do.
fn settled(cluster: &Cluster, name: &str) {
    let later = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": name, "namespace": "prod"},
        "spec": {
            "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["orders"], "suspend": true,
            "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}},
        },
    });
    cluster.apply(&later).unwrap();
    cluster.wait(BACKUPS, "prod", name, "looked at", |object| object["status"]["message"].is_string());
    cluster.ok(&["delete", BACKUPS, "-n", "prod", name, "--timeout=20s"]);
}

fn is_held(object: &Value) -> bool {
    let all = object["status"]["conditions"].as_array().cloned().unwrap_or_default();
    all.iter().any(|one| one["type"] == "Ready" && one["status"] == "False" && one["reason"] == "ForeignOperator")
}

#[test]
fn objects_and_definitions_of_other_operators_are_taken_over() {
    let (cluster, port) = (Cluster::start(), free_port());
    let output = cluster.kubectl_with(&cluster.kubeconfig(), &["create", "-f", "-"], &fixture("definitions"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    cluster.wait_for_definitions();
    cluster.ok(&["create", "namespace", "prod"]);
    leave_objects(&cluster);
    leave_cron_job(&cluster);
    let _operator = install_and_upgrade(&cluster, port);

    let ours = [(BACKUPS, "once"), (BACKUPS, "cut"), (BACKUPS, "yearly"), (BACKUPS, "unwanted"), (RESTORES, "back")];
    for (kind, name) in ours {
        cluster.wait(kind, "prod", name, "held", is_held);
    }
    settled(&cluster, "before");
    assert!(cluster.list("jobs", "prod").is_empty(), "nothing runs before the hand-over");
    assert_eq!(cluster.get(BACKUPS, "prod", "once")["status"]["backupId"], "once-20260101-000000", "kept");

    // What is deleted without a hand-over is gone: the other operator is.
    cluster.ok(&["delete", BACKUPS, "-n", "prod", "unwanted", "--timeout=60s"]);
    cluster.ok(&["delete", STRIMZI, "-n", "prod", "events", "--timeout=60s"]);
    wait_for(PATIENCE, || match cluster.list("cronjobs", "prod").len() {
        0 => Ok(()),
        left => Err(format!("{left} CronJob is left")),
    });

    for (kind, name) in ours.into_iter().filter(|(_, name)| *name != "unwanted") {
        cluster.ok(&["annotate", kind, "-n", "prod", name, "kafka.oso.sh/take-over=true"]);
        let object = cluster.wait(kind, "prod", name, "taken over", |object| {
            object["metadata"]["finalizers"].is_null() && !is_held(object)
        });
        let phase = if name == "cut" {
            "Failed"
        } else if name == "yearly" {
            "Ready"
        } else {
            "Completed"
        };
        assert_eq!(object["status"]["phase"], phase, "{name}: {}", object["status"]);
    }
    settled(&cluster, "after");
    assert!(cluster.list("jobs", "prod").is_empty(), "nothing that is finished runs again");
    // From now on it is ours: it runs when it is asked to.
    cluster.ok(&["annotate", BACKUPS, "-n", "prod", "yearly", "kafka.oso.sh/trigger-backup=now"]);
    wait_for(PATIENCE, || match cluster.list("jobs", "prod").len() {
        1 => Ok(()),
        count => Err(format!("{count} Jobs")),
    });
    for (kind, name) in ours.into_iter().filter(|(_, name)| *name != "unwanted") {
        cluster.ok(&["delete", kind, "-n", "prod", name, "--timeout=60s"]);
    }
}

#[test]
fn what_is_installed_is_uninstalled_and_resources_stay_unless_asked() {
    let cluster = Cluster::start();
    let call = |arguments: &[&str]| {
        let mut command = Command::new(harness::plugin::binary());
        harness::plugin::said(command.args(arguments).env("KUBECONFIG", cluster.kubeconfig()))
    };
    let manifests = call(&["install"]).ok();
    let definitions = call(&["install", "--crds-only", "--apply"]).ok();
    assert!(definitions.contains("kafkabackups.kafka.oso.sh applied"), "{definitions}");
    cluster.wait_for_definitions();
    let output = cluster.kubectl_with(&cluster.kubeconfig(), &["apply", "--server-side", "-f", "-"], &manifests);
    assert!(!output.status.success() || output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let all = call(&["uninstall"]);
    assert!(all.stderr.contains("nothing was removed: add --apply"), "{}", all.stderr);
    let listed = all.ok();
    assert!(listed.starts_with("validatingwebhookconfiguration"), "admission goes first: {listed}");
    assert!(!listed.contains("customresourcedefinition"), "{listed}");
    let webhooks = || cluster.list("validatingwebhookconfigurations", "");
    assert_eq!(webhooks().len(), 1);
    let refused = call(&["uninstall", "--apply", "--crds"]);
    assert_eq!((refused.code, webhooks().len()), (5, 1), "{}", refused.stderr);

    let unasked = call(&["uninstall", "--apply"]);
    assert_eq!((unasked.code, webhooks().len()), (5, 1), "{}", unasked.stderr);
    // A user's Secret in the namespace of the operator.
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "kafka-backup"}, "stringData": {"a": "b"},
    });
    cluster.apply(&secret).unwrap();
    let kept = call(&["uninstall", "--apply", "--yes"]);
    assert!(kept.stderr.contains("namespace/kafka-backup stays: it holds secret/users"), "{}", kept.stderr);
    let removed = kept.ok();
    assert!(!cluster.get("secrets", "kafka-backup", "users").is_null(), "a user's Secret stays");
    cluster.ok(&["delete", "secret", "-n", "kafka-backup", "users"]);
    assert!(call(&["uninstall", "--apply", "--yes"]).ok().contains("namespace/kafka-backup removed"));
    assert!(removed.contains("deployment.apps/kafka-backup-operator removed"), "{removed}");
    assert!(webhooks().is_empty());
    let backup = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": "kept", "namespace": "default"},
        "spec": {
            "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["orders"],
            "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}},
        },
    });
    cluster.apply(&backup).unwrap();
    assert_eq!(call(&["uninstall", "--apply", "--yes"]).ok(), "", "what was removed is gone");
    assert_eq!(cluster.list(BACKUPS, "default").len(), 1, "resources stay");
    assert!(call(&["uninstall", "--apply", "--crds", "--yes"]).ok().contains("kafkabackups.kafka.oso.sh removed"));
    assert_eq!(cluster.list("customresourcedefinitions", "").len(), 0, "definitions are gone when it ends");
    let after = call(&["status"]);
    assert!(after.code == 3 && after.stderr.contains("does not know the kind"), "{}", after.stderr);
}

/// Two releases, each for its own namespace: names of the cluster differ, and each judges its own resources only.
#[test]
fn two_releases_share_a_cluster() {
    let cluster = Cluster::start();
    let chart = format!("{}/../manifests/helm/kafka-backup-operator", env!("CARGO_MANIFEST_DIR"));
    let install = |release: &str, namespace: &str, more: &[&str]| {
        let watched = format!("watchNamespaces={{{namespace}}}");
        let common = ["install", release, &chart, "-n", namespace, "--create-namespace", "--set", &watched];
        helm(&cluster, &[&common[..], more].concat()).unwrap();
    };
    install("kafka-backup-operator", "team-a", &["--set", "maxConcurrentRuns=null,replicaCount=0"]);
    let others = ["--set", "crds.install=false,roles.create=false"];
    install("kafka-backup-operator", "team-b", &others);
    for kind in ["clusterrole", "clusterrolebinding", "validatingadmissionpolicy", "validatingadmissionpolicybinding"] {
        let names = cluster.ok(&["get", kind, "-o", "name"]);
        let own = |team: &str| names.lines().filter(|name| name.contains(&format!("operator-team-{team}"))).count();
        assert!(own("a") > 0 && own("a") == own("b"), "{kind}: {names}");
    }
    for team in ["team-a", "team-b"] {
        let hook = cluster.get("validatingwebhookconfiguration", "", &format!("kafka-backup-operator-{team}"));
        let hook = &hook["webhooks"][0];
        assert_eq!(hook["clientConfig"]["service"]["namespace"], team);
        assert_eq!(hook["namespaceSelector"]["matchExpressions"][0]["values"], json!([team]));
        let operator = cluster.get("deployment", team, "kafka-backup-operator");
        let all = operator["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap().clone();
        let value = |name: &str| all.iter().find(|one| one["name"] == name).unwrap()["value"].clone();
        assert_eq!(value("WEBHOOK_CONFIGURATION"), format!("kafka-backup-operator-{team}"));
        assert_eq!(value("MAX_CONCURRENT_RUNS"), if team == "team-a" { "0" } else { "10" });
    }
    let budget = cluster.get("poddisruptionbudget", "team-b", "kafka-backup-operator");
    assert_eq!(budget["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    for team in ["a", "b"] {
        helm(&cluster, &["uninstall", "kafka-backup-operator", "-n", &format!("team-{team}")]).unwrap();
    }
}
