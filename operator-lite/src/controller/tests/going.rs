//! A KafkaBackup that is being deleted: its author may still change it, so whatever refers to it finds it gone.

use std::sync::Arc;

use api::inspection::KafkaBackupInspection;
use api::oso::KafkaRestore;
use serde_json::{Value, json};

use super::super::{Context, inspection};
use super::{BACKUPS, RESTORES, Server, backup, restore, runtime};
use crate::capacity::Capacity;

const INSPECTIONS: &str = "/apis/kafka-backup.dev/v1alpha1/namespaces/team/kafkabackupinspections";

fn going(mut object: Value) -> Value {
    object["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z".into();
    object["metadata"]["finalizers"] = json!(["example.com/hold"]);
    object
}

/// The message of an inspection with this specification, once it was looked at.
async fn inspected(server: &Server, context: &Arc<Context>, spec: Value) -> String {
    let at = format!("{INSPECTIONS}/look");
    let mut spec = spec;
    spec["tokenDigest"] = "a".repeat(64).into();
    let object = json!({
        "apiVersion": "kafka-backup.dev/v1alpha1", "kind": "KafkaBackupInspection", "spec": spec,
        "metadata": {"name": "look", "namespace": "team", "uid": "look", "generation": 1},
    });
    server.put(&at, object);
    let object: KafkaBackupInspection = serde_json::from_value(server.get(&at)).unwrap();
    Box::pin(inspection::reconcile(Arc::new(object), Arc::clone(context))).await.unwrap();
    server.get(&at)["status"]["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_restore_reads_no_backup_that_is_being_deleted() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let context = server.context(Capacity::new(10, 0));
        let mut object = restore("back");
        object["spec"]["backupRef"] = json!({"name": "nightly"});
        server.put(&at, object);
        server.put(&format!("{BACKUPS}/nightly"), going(backup("nightly")));
        for _ in 0..4 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        let text = status["message"].as_str().unwrap();
        assert!(text.contains("KafkaBackup \"nightly\" in namespace \"team\" is being deleted"), "{text}");
        assert!(status["run"].is_null() && server.jobs().is_empty(), "{status}");
        server.put(&format!("{BACKUPS}/nightly"), backup("nightly"));
        for _ in 0..4 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        assert_eq!(server.jobs().len(), 1);
    });
}

#[test]
fn an_inspection_reads_nothing_that_is_being_deleted() {
    runtime().block_on(async {
        let server = Server::default();
        let context = server.context(Capacity::new(10, 0));
        server.put(&format!("{BACKUPS}/nightly"), going(backup("nightly")));
        server.put(&format!("{RESTORES}/back"), going(restore("back")));
        for (spec, kind) in [
            (json!({"backupRef": {"name": "nightly"}}), "KafkaBackup"),
            (json!({"backupRef": {"name": "nightly"}, "level": "check"}), "KafkaBackup"),
            (json!({"backupRef": {"name": "nightly"}, "level": "compare"}), "KafkaBackup"),
            (json!({"restoreRef": {"name": "back"}, "level": "check"}), "KafkaRestore"),
        ] {
            let said = inspected(&server, &context, spec).await;
            assert!(said.starts_with(kind) && said.ends_with("is being deleted"), "{said}");
        }
        assert!(server.jobs().is_empty());
        server.put(&format!("{BACKUPS}/nightly"), backup("nightly"));
        assert_eq!(inspected(&server, &context, json!({"backupRef": {"name": "nightly"}})).await, "the pod starts");
    });
}

/// Only whoever may compare has a pod that knows the brokers.
#[test]
fn the_pod_of_a_look_knows_no_brokers() {
    runtime().block_on(async {
        for (level, knows) in [("inspect", false), ("peek", false), ("compare", true), ("diff", true)] {
            let server = Server::default();
            let context = server.context(Capacity::new(10, 0));
            server.put(&format!("{BACKUPS}/nightly"), backup("nightly"));
            let said = inspected(&server, &context, json!({"backupRef": {"name": "nightly"}, "level": level})).await;
            assert_eq!(said, "the pod starts", "{level}");
            let job = server.jobs().remove(0);
            let told = job["spec"]["template"]["metadata"]["annotations"][api::lower::job::SPEC_ANNOTATION].as_str();
            let told: Value = serde_json::from_str(told.unwrap()).unwrap();
            assert_eq!(told["source"]["kafka"].is_object(), knows, "{level}: {told}");
            assert_eq!(told["readsSource"] == true, level == "diff", "{level}: {told}");
            assert_eq!(told["name"], "nightly", "{level}");
        }
    });
}

/// Of a resource that comes with the question, nothing is read that admission has not judged.
#[test]
fn a_check_takes_the_specification_and_the_names_of_a_file() {
    runtime().block_on(async {
        let server = Server::default();
        let context = server.context(Capacity::new(10, 0));
        let mut file = backup("other");
        file["metadata"]["annotations"] = json!({"note": 1});
        file["status"] = json!({"phase": 5});
        let said = inspected(&server, &context, json!({"resource": file, "level": "check"})).await;
        assert_eq!(said, "the pod starts");
        let job = server.jobs().remove(0);
        let told =
            job["spec"]["template"]["metadata"]["annotations"][api::lower::job::SPEC_ANNOTATION].as_str().unwrap();
        let told: Value = serde_json::from_str(told).unwrap();
        assert_eq!((&told["check"]["name"], &told["check"]["namespace"]), (&json!("other"), &json!("team")), "{told}");
    });
}
