//! Resets and rollbacks of offsets that read the storage of another resource: their authors must be allowed to restore from it.

use harness::cluster::{PATIENCE, wait_for};
use serde_json::{Value, json};

#[test]
fn reading_the_storage_of_another_resource_takes_the_right_to_restore_from_it() {
    let (cluster, ..) = super::cluster();
    let namespace = "mappings";
    cluster.ok(&["create", "namespace", namespace]);
    cluster.ok(&["create", "serviceaccount", "-n", namespace, "ann"]);
    let grant = |role: &str, verbs: &str, resources: &str| {
        let (verbs, resources) = (format!("--verb={verbs}"), format!("--resource={resources}"));
        cluster.ok(&["create", "role", "-n", namespace, role, &verbs, &resources]);
        let (role, account) = (format!("--role={role}"), format!("--serviceaccount={namespace}:ann"));
        let name = role.trim_start_matches('-').replace('=', "-");
        cluster.ok(&["create", "rolebinding", "-n", namespace, &name, &role, &account]);
    };
    grant("writer", "create,get,update,patch", "kafkaoffsetresets.kafka.oso.sh,kafkaoffsetrollbacks.kafka.oso.sh");
    let ann = cluster.account(namespace, "ann");
    let create = |kind: &str, more: &Value| {
        let mut spec = json!({
            "kafkaCluster": {"bootstrapServers": ["kafka:9092"]},
            "consumerGroups": ["a"],
        });
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let document = json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": kind,
            "metadata": {"generateName": "a-", "namespace": namespace}, "spec": spec,
        });
        let output = cluster.kubectl_with(&ann, &["create", "--dry-run=server", "-f", "-"], &document.to_string());
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let place = json!({"storageType": "pvc", "pvc": {"claimName": "kept"}});
    let reset = |mapping: Value| {
        create(
            "KafkaOffsetReset",
            &json!({"resetStrategy": "from-mapping", "offsetMappingRef": mapping, "stateStorage": place}),
        )
    };
    let rollback = |saved: Value| create("KafkaOffsetRollback", &json!({"snapshotRef": saved}));
    let refused = |asked: &dyn Fn() -> Result<(), String>, words: &str| {
        let said = wait_for(PATIENCE, || asked().err().ok_or_else(|| format!("it was kept, without: {words}")));
        assert!(said.contains(words), "{words}: {said}");
    };
    wait_for(PATIENCE, || reset(json!({"pvcName": "kept"})));
    refused(&|| reset(json!({"restoreName": "nightly"})), "may not restore kafkarestores.kafka.oso.sh \"nightly\"");
    refused(&|| reset(json!({})), "may not restore kafkarestores.kafka.oso.sh in namespace");
    refused(
        &|| rollback(json!({"name": "", "restoreRef": "nightly"})),
        "may not restore kafkarestores.kafka.oso.sh \"nightly\"",
    );
    refused(
        &|| rollback(json!({"name": "", "offsetResetRef": "back"})),
        "may not restore kafkaoffsetresets.kafka.oso.sh \"back\"",
    );
    grant("restorer", "restore", "kafkarestores.kafka.oso.sh,kafkaoffsetresets.kafka.oso.sh");
    wait_for(PATIENCE, || reset(json!({"restoreName": "nightly"})));
    wait_for(PATIENCE, || rollback(json!({"name": "", "offsetResetRef": "back"})));
    reset(json!({})).unwrap();
}
