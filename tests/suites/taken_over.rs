//! Somebody who has the operator's token: what else than making Jobs the API server lets them do.

use std::path::PathBuf;

use harness::cluster::{Cluster, NAMESPACE, PATIENCE, wait_for};
use serde_json::{Value, json};

/// Does something as the operator, without doing it.
struct Thief {
    cluster: &'static Cluster,
    account: PathBuf,
}

impl Thief {
    fn new() -> Self {
        let (cluster, ..) = super::cluster();
        Self { cluster, account: cluster.account(NAMESPACE, "kafka-backup-operator") }
    }

    fn tries(&self, arguments: &[&str], document: &str) -> Result<(), String> {
        let all = [arguments, &["--dry-run=server"]].concat();
        let output = self.cluster.kubectl_with(&self.account, &all, document);
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// What is said where a policy refuses it; it may come into force a moment later.
    fn is_refused(&self, arguments: &[&str], document: &str, words: &str) {
        let said = wait_for(PATIENCE, || match self.tries(arguments, document) {
            Ok(()) => Err(format!("{arguments:?} {document} is taken")),
            Err(said) => Ok(said),
        });
        assert!(said.contains(words) && said.contains("ValidatingAdmissionPolicy"), "{arguments:?} {document}: {said}");
    }
}

#[test]
fn of_jobs_only_those_of_its_kinds_are_removed() {
    let thief = Thief::new();
    let own = super::forged_jobs::made_for(thief.cluster, "removed");
    let owner = &own["metadata"]["ownerReferences"][0];
    let uid = owner["uid"].as_str().unwrap();
    let mut not_controlled = owner.clone();
    not_controlled["controller"] = false.into();
    let none: [Value; 0] = [];
    for (name, labels, owners) in [
        ("foreign", json!({}), json!(none)),
        ("labelled", json!({"kafka-backup.dev/owner-uid": uid}), json!(none)),
        ("named", json!({"kafka-backup.dev/owner-uid": uid}), json!([not_controlled])),
    ] {
        let job = json!({
            "apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": "default", "labels": labels, "ownerReferences": owners},
            "spec": {"suspend": true, "template": {"spec": {
                "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}],
            }}},
        });
        thief.cluster.apply(&job).unwrap();
        thief.is_refused(&["delete", "job", name, "-n", "default"], "", "belongs to a resource of its own kinds");
        thief.cluster.ok(&["delete", "job", name]);
    }
    let name = own["metadata"]["name"].as_str().unwrap();
    thief.tries(&["delete", "job", name, "-n", "default"], "").unwrap();
    thief.cluster.ok(&["delete", "kafkabackups.kafka.oso.sh", "removed"]);
}

#[test]
fn claims_are_empty_ones_of_a_storage_class() {
    let thief = Thief::new();
    let honest = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept", "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "kafka-backup.dev"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "1Gi"}}},
    });
    let create = ["create", "-f", "-"];
    thief.tries(&create, &honest.to_string()).unwrap();
    let snapshot = json!({"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s"});
    for (place, value) in [
        ("/spec/volumeName", json!("pv-of-another")),
        ("/spec/dataSource", json!({"kind": "PersistentVolumeClaim", "name": "other"})),
        ("/spec/dataSource", snapshot.clone()),
        ("/spec/dataSourceRef", snapshot),
        ("/spec/selector", json!({"matchLabels": {"a": "b"}})),
        ("/spec/volumeMode", json!("Block")),
        ("/metadata/annotations", json!({"cdi.kubevirt.io/storage.import.endpoint": "http://evil"})),
        ("/metadata/labels", json!({})),
    ] {
        let mut forged = honest.clone();
        let (parent, name) = place.rsplit_once('/').unwrap();
        forged.pointer_mut(parent).unwrap()[name] = value;
        thief.is_refused(&create, &forged.to_string(), "is empty, of a storage class");
    }
    let mut elsewhere = honest;
    elsewhere["metadata"]["namespace"] = "kube-system".into();
    thief.is_refused(&create, &elsewhere.to_string(), "not made in kube-system");
}

/// What resources ask for is their authors': the operator's webhook would let its own account pass.
#[test]
fn of_resources_finalizers_are_taken_away_only() {
    let thief = Thief::new();
    let mut backup = super::backup("owned", json!({}));
    backup["metadata"]["finalizers"] = json!(["example.com/a", "example.com/b"]);
    backup["metadata"]["annotations"] = json!({"example.com/kept": "yes"});
    thief.cluster.apply(&backup).unwrap();
    let patch = |change: &Value| {
        let text = change.to_string();
        ["patch", "kafkabackups.kafka.oso.sh", "owned", "-n", "default", "--type=merge", "-p", &text].map(str::to_owned)
    };
    let refused = |change: Value| {
        let words = patch(&change);
        let arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        thief.is_refused(&arguments, "", "changes the status, and takes away finalizers and a trigger");
    };
    refused(json!({"spec": {"topics": ["payroll"]}}));
    refused(json!({"spec": {"storage": {"pvc": {"claimName": "other"}}}}));
    refused(json!({"metadata": {"annotations": {"kafka.oso.sh/restore-namespaces": "*"}}}));
    refused(json!({"metadata": {"annotations": {"example.com/kept": null}}}));
    refused(json!({"metadata": {"labels": {"a": "b"}}}));
    refused(json!({"metadata": {"finalizers": ["example.com/a", "example.com/b", "example.com/c"]}}));
    for kept in [json!(["example.com/a"]), json!([])] {
        let words = patch(&json!({"metadata": {"finalizers": kept}}));
        thief.tries(&words.each_ref().map(String::as_str), "").unwrap();
    }
    thief.cluster.ok(&[
        "patch",
        "kafkabackups.kafka.oso.sh",
        "owned",
        "--type=merge",
        "-p",
        r#"{"metadata":{"finalizers":[]}}"#,
    ]);
    thief.cluster.ok(&["delete", "kafkabackups.kafka.oso.sh", "owned"]);
}
