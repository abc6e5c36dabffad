//! KafkaOffsetReset and KafkaOffsetRollback on a real API server: what their forms become in the specification of the run, what
//! statuses and Events say of it, and the commands of the plugin that make them.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};

use contract::RunSpec;
use harness::cluster::Cluster;
use harness::plugin::{Said, binary, said};
use serde_json::{Value, json};

use super::kubelet::{Play, Seen, report};
use super::{RESETS, backup, is, namespace, shared};

const ROLLBACKS: &str = "kafkaoffsetrollbacks.kafka.oso.sh";
/// What a reset saved.
const SAVED: &str = "before-20261129-154500-24h-0123abcd";

/// The specifications of the runs that were played, by the name of their resource.
static PLAYED: Mutex<BTreeMap<String, RunSpec>> = Mutex::new(BTreeMap::new());

/// A run over committed offsets that does what it is asked to do, for two groups.
pub fn play(pod: &Seen) -> Play {
    let spec = &pod.spec;
    PLAYED.lock().unwrap_or_else(PoisonError::into_inner).insert(spec.name.clone(), spec.clone());
    let (reset, back) = (spec.offset_reset.as_ref(), spec.offset_rollback.as_ref());
    let dry = reset.is_some_and(|part| part.dry_run) || back.is_some_and(|part| part.dry_run);
    let mut document: Value = serde_json::from_str(&report(spec, if dry { "DryRun" } else { "Completed" }, 0)).unwrap();
    document["kind"] = if reset.is_some() { "offsetReset" } else { "offsetRollback" }.into();
    let line = |group: &str| {
        let outcome = if dry { "planned" } else { "committed" };
        json!({"group": group, "target": group, "outcome": outcome, "offsets": [], "done": if dry { 0 } else { 2 }})
    };
    document["positions"] = json!([line("billing"), line("shop")]);
    if dry {
        document["details"] = json!({"text": "group shop\n  orders/0: offset 3 -> offset 5 (saved offset)"});
        document["refusals"] = json!([]);
    } else if reset.is_some() {
        document["offsetsBefore"] =
            json!({"id": SAVED, "at": "2026-11-29T15:45:00Z", "path": format!("_offsets/c/saved/{SAVED}.json")});
    }
    Play::Exit(0, document.to_string())
}

/// The cluster of all tests, with the namespace of these.
fn cluster() -> &'static Cluster {
    static MADE: Once = Once::new();
    let (cluster, ..) = shared();
    MADE.call_once(|| namespace(cluster, "moves"));
    cluster
}

fn object(kind: &str, name: &str, more: &Value) -> Value {
    let mut spec = json!({
        "kafkaCluster": {"bootstrapServers": ["kafka:9092"]},
        "stateStorage": {"storageType": "pvc", "pvc": {"claimName": "positions"}},
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "moves"}, "spec": spec,
    })
}

/// What the run of a resource was told to do.
fn played(name: &str) -> Value {
    let all = PLAYED.lock().unwrap_or_else(PoisonError::into_inner);
    serde_json::to_value(all.get(name).unwrap_or_else(|| panic!("{name} was not played"))).unwrap()
}

fn reasons(cluster: &Cluster, name: &str) -> String {
    let selector = format!("involvedObject.name={name}");
    cluster.ok(&["get", "events", "-n", "moves", "--field-selector", &selector, "-o", "jsonpath={.items[*].reason}"])
}

/// Applies one and waits for its end; its status is as the reason says, and so are the Events.
fn run(cluster: &Cluster, kind: &str, name: &str, spec: &Value, reason: &str) -> Value {
    let (plural, kind) =
        if kind == "reset" { (RESETS, "KafkaOffsetReset") } else { (ROLLBACKS, "KafkaOffsetRollback") };
    cluster.apply(&object(kind, name, spec)).unwrap();
    let ended = cluster.wait(plural, "moves", name, "ended", |object| object["status"]["phase"] == "Completed");
    assert!(is(&ended, "Complete", "True", reason), "{name}: {}", ended["status"]);
    let told = reasons(cluster, name);
    assert!(told.contains("RunClaimed") && told.contains("RunCompleted"), "{name}: {told}");
    ended["status"].clone()
}

fn plugin(cluster: &Cluster, arguments: &[&str]) -> Said {
    let mut command = Command::new(binary());
    said(command.args(arguments).args(["-n", "moves"]).env("KUBECONFIG", cluster.kubeconfig()))
}

#[test]
fn every_form_of_a_reset_and_a_rollback_is_run_as_it_is_written() {
    let cluster = cluster();
    let groups = ["shop", "billing"];
    for (name, more, pointer, expected) in [
        (
            "time",
            json!({"resetStrategy": "to-timestamp", "resetTimestamp": 1_750_000_000_000_i64}),
            "/to/timestamp",
            json!(1_750_000_000_000_i64),
        ),
        ("offset", json!({"resetStrategy": "to-offset", "resetOffset": 1_500}), "/to/offset", json!(1_500)),
        (
            "path",
            json!({"resetStrategy": "from-mapping", "offsetMappingRef": {"path": "m/moved.json"}}),
            "/to/mapping",
            json!({"path": "m/moved.json"}),
        ),
        (
            "volume",
            json!({"resetStrategy": "from-mapping", "offsetMappingRef": {"pvcName": "files"}}),
            "/to/mapping/path",
            json!("offset-mapping.json"),
        ),
    ] {
        let name = format!("moves-{name}");
        let mut spec = json!({"consumerGroups": groups});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let status = run(cluster, "reset", &name, &spec, "ResetSucceeded");
        let told = &played(&name)["offsetReset"];
        assert_eq!(told.pointer(pointer), Some(&expected), "{name}: {told}");
        assert_eq!((&status["groupsReset"], &status["snapshotId"]), (&json!(2), &json!(SAVED)), "{name}: {status}");
    }
    let volume = &played("moves-volume")["offsetReset"]["to"]["mapping"]["storage"];
    assert!(
        volume.is_object() && played("moves-path")["offsetReset"]["to"]["mapping"]["storage"].is_null(),
        "{volume}"
    );
    let by_path = json!({"name": "", "path": "saved/one.json"});
    for (name, more, pointer, expected, reason) in [
        ("back-path", json!({}), "/from/path", json!("saved/one.json"), "RollbackSucceeded"),
        ("back-groups", json!({"consumerGroups": groups}), "/groups", json!(groups), "RollbackSucceeded"),
        ("back-dry", json!({"dryRun": true}), "/dryRun", json!(true), "DryRunPassed"),
        ("back-blind", json!({"verifyAfterRollback": false}), "/withoutVerification", json!(true), "RollbackSucceeded"),
    ] {
        let name = format!("moves-{name}");
        let mut spec = json!({"snapshotRef": by_path});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let status = run(cluster, "rollback", &name, &spec, reason);
        let told = &played(&name)["offsetRollback"];
        assert_eq!(told.pointer(pointer), Some(&expected), "{name}: {told}");
        if reason == "DryRunPassed" {
            assert!(status["plan"].as_str().unwrap().contains("orders/0: offset 3 -> offset 5"), "{status}");
            assert!(status["groupsRolledBack"].is_null() && status["verification"].is_null(), "{status}");
        } else {
            assert_eq!(status["groupsRolledBack"], 2, "{name}: {status}");
            let verified = &status["verification"]["allMatched"];
            assert_eq!(
                verified,
                &if name == "moves-back-blind" { Value::Null } else { json!(true) },
                "{name}: {status}"
            );
        }
    }
}

#[test]
fn the_plugin_resets_and_puts_back_by_file_name_and_volume() {
    let cluster = cluster();
    cluster.apply(&backup("moves", "base", json!({"suspend": true}))).unwrap();
    let by_file = ["offsets", "reset", "moves-plug", "--backup", "base", "--groups", "shop", "--groups", "billing"];
    let how = ["--mapping", "m/moved.json", "--mapping-pvc", "files", "--parallelism", "7", "--yes", "--wait"];
    plugin(cluster, &[&by_file[..], &how].concat()).ok();
    let told = played("moves-plug")["offsetReset"].clone();
    assert_eq!((&told["to"]["mapping"]["path"], &told["parallelism"]), (&json!("m/moved.json"), &json!(7)), "{told}");
    let listed = plugin(cluster, &["offsets", "snapshots"]).ok();
    assert!(listed.contains(SAVED), "{listed}");
    // Another test may have saved offsets of that name, too: whose they are says the list.
    plugin(cluster, &["offsets", "rollback", "moves-by-id", "--snapshot", SAVED, "--yes", "--wait"]).ok();
    assert_eq!(played("moves-by-id")["offsetRollback"]["from"], json!({"id": SAVED}));
    let by_path = ["offsets", "rollback", "moves-by-file", "--backup", "base", "--path", "one.json", "--pvc", "files"];
    plugin(cluster, &[&by_path[..], &["--groups", "shop", "--yes", "--wait"]].concat()).ok();
    let told = played("moves-by-file")["offsetRollback"].clone();
    assert_eq!((&told["from"]["path"], &told["groups"]), (&json!("one.json"), &json!(["shop"])), "{told}");
    let wrong = plugin(cluster, &["offsets", "rollback", "moves-none", "--snapshot", "before-none", "--yes"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("offsets snapshots"), "{wrong:?}");
    let both =
        ["offsets", "rollback", "moves-both", "--reset", "moves-plug", "--bootstrap-servers", "kafka:9092", "--yes"];
    assert!(plugin(cluster, &both).stderr.contains("does not go with --restore or --reset"));
}
