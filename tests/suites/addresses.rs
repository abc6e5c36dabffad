//! Where runs may connect to, on a real API server: the list of the installation holds for every kind and every writer.

use harness::cluster::{Cluster, PATIENCE, wait_for};
use harness::process::free_port;
use serde_json::json;

use super::backup;

#[test]
fn the_installation_says_where_runs_may_connect_to() {
    let (cluster, port) = (Cluster::start(), free_port());
    cluster.install(port);
    let list = "--allowed-endpoints=kafka,*.shop.svc:9092,s3.eu-central-1.amazonaws.com";
    let operator = cluster.operator("op-addresses", port, &[list]);
    wait_for(PATIENCE, || cluster.apply(&backup("inside", json!({}))).map(drop));
    let s3 = |endpoint: &str| {
        json!({"storageType": "s3", "s3": {"bucket": "backups", "region": "eu-central-1", "endpoint": endpoint,
            "credentialsSecret": {"name": "keys"}}})
    };
    let brokers = |address: &str| json!({"bootstrapServers": [address]});
    cluster.apply(&backup("below", json!({"kafkaCluster": brokers("a.shop.svc:9092")}))).unwrap();
    let rule = "is not among the endpoints that this installation allows";
    for (name, more, field) in [
        ("port", json!({"kafkaCluster": brokers("a.shop.svc:9093")}), "spec.kafkaCluster.bootstrapServers[0]"),
        ("broker", json!({"kafkaCluster": brokers("evil.example.com:9092")}), "spec.kafkaCluster.bootstrapServers[0]"),
        ("store", json!({"storage": s3("https://evil.example.com")}), "spec.storage.s3.endpoint"),
    ] {
        let said = cluster.apply(&backup(name, more)).unwrap_err();
        assert!(said.contains(field) && said.contains(rule), "{name}: {said}");
    }
    // A change may not lead elsewhere either; what stands may stay.
    let moved =
        cluster.apply(&backup("inside", json!({"kafkaCluster": brokers("evil.example.com:9092")}))).unwrap_err();
    assert!(moved.contains(rule), "{moved}");
    let restore = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaRestore", "metadata": {"name": "back", "namespace": "default"},
        "spec": {"kafkaCluster": brokers("evil.example.com:9092"), "backupRef": {"name": "inside"}},
    });
    let said = cluster.apply(&restore).unwrap_err();
    assert!(said.contains("spec.kafkaCluster.bootstrapServers[0]") && said.contains(rule), "{said}");
    // What its author may do is asked, and that is a line of the log; of what is refused anyway, nothing is.
    cluster.apply(&backup("kept", json!({"storage": s3("https://s3.eu-central-1.amazonaws.com")}))).unwrap();
    let log = operator.log();
    let asked = |name: &str| {
        let named = format!("\"{name}\"");
        log.lines().any(|line| line.contains("a review asked for rights") && line.contains(&named))
    };
    assert!(asked("kept") && !asked("store"), "{log}");
}
