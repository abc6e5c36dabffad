use k8s_openapi::api::core::v1::EnvVar;
use serde_json::{Value, json};

use super::*;
use crate::lower::job::{Placement, digest, job};
use crate::lower::parts::{CONTAINER, Owner};
use crate::strimzi::{Documented, KafkaRestoreSpec, Released};

fn brokers() -> KafkaSpec {
    KafkaSpec { bootstrap_servers: vec!["kafka:9092".into()], ..KafkaSpec::default() }
}

fn identity() -> Identity {
    let at = "2026-11-30T02:00:00Z".parse().unwrap();
    Identity { namespace: "shop".into(), name: "nightly".into(), run: Some(crate::lower::job::run_ref("nightly", at)) }
}

fn merged(mut base: Value, more: &Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

fn backup_spec(more: &Value) -> KafkaBackupSpec {
    let base = json!({"strimziClusterRef": {"name": "events"}, "storage": {"type": "filesystem", "filesystem": {"path": "claim/a/b"}}});
    serde_json::from_value(merged(base, more)).unwrap()
}

fn restore_spec(more: &Value) -> KafkaRestoreSpec {
    let base = json!({"strimziClusterRef": {"name": "events"}, "backupRef": {"name": "nightly"}});
    serde_json::from_value(merged(base, more)).unwrap()
}

fn backed_up(more: &Value) -> Value {
    let run = backup::<Documented>(identity(), &backup_spec(more), brokers()).unwrap();
    assert_eq!(run.findings(), [], "{more}");
    serde_json::to_value(run).unwrap()
}

fn restored_from(backup: &Value, more: &Value) -> Value {
    let source = backup_spec(backup);
    let owner = contract::SetOwner { name: "nightly".into(), namespace: Some("shop".into()), cluster_id: None };
    let run =
        restore::<Documented>(identity(), &restore_spec(more), brokers(), Source { spec: &source, owner }).unwrap();
    assert_eq!(run.findings(), [], "{more}");
    serde_json::to_value(run).unwrap()
}

/// Each field of a KafkaBackup, and what it is in the run.
#[test]
fn every_field_of_a_backup_arrives() {
    for (more, path, expected) in [
        (json!({}), "/backup/topics", json!(["*"])),
        (json!({}), "/backup/incremental", json!(false)),
        (json!({"offsetStorage": {}}), "/backup/incremental", json!(true)),
        (json!({"offsetStorage": {}, "backup": {"continuous": true}}), "/backup/incremental", json!(false)),
        (
            json!({"topics": {"include": ["orders.*", "a.b"], "exclude": ["__.*"]}}),
            "/backup/topics",
            json!(["~^(?:orders.*)$", "a.b"]),
        ),
        (json!({"topics": {"include": ["orders.*"], "exclude": ["__.*"]}}), "/backup/exclude", json!(["~^(?:__.*)$"])),
        (
            json!({"consumerGroups": {"include": ["shop-.*", "one"]}}),
            "/backup/groups",
            json!(["~^(?:shop-.*)$", "one"]),
        ),
        (json!({"consumerGroups": {"exclude": ["x"]}}), "/backup/excludeGroups", json!(["x"])),
        (json!({"backup": {"compression": "gzip"}}), "/backup/compression", json!("gzip")),
        (json!({"backup": {"compression": "snappy"}}), "/backup/compression", json!("snappy")),
        (json!({"backup": {"compressionLevel": 9}}), "/backup/compressionLevel", json!(9)),
        (json!({"backup": {"compression": "lz4", "compressionLevel": 9}}), "/backup/compressionLevel", json!(3)),
        (json!({"backup": {"segmentSize": 2_000_000}}), "/backup/segmentMaxBytes", json!(2_000_000)),
        (json!({"backup": {"segmentSize": 5}}), "/backup/segmentMaxBytes", json!(1 << 20)),
        (json!({"backup": {"segmentMaxIntervalMs": 5}}), "/backup/segmentMaxIntervalMs", json!(5)),
        (json!({}), "/backup/maxConcurrentPartitions", json!(4)),
        (json!({"backup": {"parallelism": 9}}), "/backup/maxConcurrentPartitions", json!(9)),
        (json!({"backup": {"startOffset": "latest"}}), "/backup/startOffset", json!("latest")),
        (json!({"backup": {"continuous": true}}), "/backup/continuous", json!(true)),
        (
            json!({"backup": {"includeInternalTopics": true, "internalTopics": ["__a"]}}),
            "/backup/internalTopics",
            json!(["__a"]),
        ),
        (json!({"backup": {"includeInternalTopics": true}}), "/backup/includeInternalTopics", json!(true)),
        (json!({"backup": {"checkpointIntervalSecs": 7}}), "/backup/checkpointIntervalSecs", json!(7)),
        (json!({"backup": {"includeOffsetHeaders": false}}), "/backup/includeOffsetHeaders", json!(false)),
        (json!({"backup": {"sourceClusterId": "x"}}), "/backup/sourceClusterId", json!("x")),
        (json!({"backup": {"pollIntervalMs": 7}}), "/backup/pollIntervalMs", json!(7)),
        (json!({"backup": {"consumerGroupSnapshot": false}}), "/backup/consumerGroupSnapshot", json!(false)),
        (json!({}), "/backup/consumerGroupSnapshot", json!(true)),
        (json!({"connection": {"connectionsPerBroker": 2}}), "/kafka/connection/connectionsPerBroker", json!(2)),
        (json!({}), "/metrics", Value::Null),
        (json!({"metrics": {"enabled": false}}), "/metrics", Value::Null),
        (json!({"metrics": {}}), "/metrics/port", json!(8080)),
        (json!({"metrics": {"port": 1, "path": "/m"}}), "/metrics/path", json!("/m")),
        (json!({"metrics": {"keepAliveSeconds": 5}}), "/metrics/keepAliveSecs", json!(5)),
        (json!({"metrics": {"keepAliveSeconds": 0}}), "/metrics/keepAliveSecs", Value::Null),
    ] {
        let run = backed_up(&more);
        assert_eq!(run.pointer(path).unwrap_or(&Value::Null), &expected, "{more} {path}");
    }
    let run =
        backup::<Released>(identity(), &backup_spec(&json!({"topics": {"include": ["orders.*", "~^x"]}})), brokers());
    assert_eq!(run.unwrap().backup.unwrap().topics, ["orders.*", "~^x"], "globs in the other group");
}

/// Each way to a store, and its credentials.
#[test]
fn every_form_of_storage_arrives() {
    let key = |name: &str| json!({"name": name, "key": "k"});
    let s3 = |more: Value| json!({"type": "s3", "s3": merged(json!({"bucket": "bucket"}), &more)});
    let azure = |more: Value| json!({"type": "azure", "azure": merged(json!({"storageAccount": "account", "container": "box"}), &more)});
    let gcs = |more: Value| json!({"type": "gcs", "gcs": merged(json!({"bucket": "bucket"}), &more)});
    let trusting = |mut storage: Value, secrets: &[&str]| {
        let all: Vec<_> = secrets.iter().map(|name| json!({"secretName": name, "certificate": "k"})).collect();
        storage["tls"] = json!({"trustedCertificates": all});
        storage
    };
    for (storage, path, expected) in [
        (json!({"type": "filesystem", "filesystem": {"path": "claim"}}), "/path", json!("claim")),
        (json!({"type": "filesystem", "filesystem": {"path": "claim/a/b"}}), "/prefix", json!("a/b")),
        (s3(json!({})), "/region", json!("us-east-1")),
        (s3(json!({})), "/credentials", Value::Null),
        (s3(json!({"prefix": "p", "region": "eu-west-1"})), "/region", json!("eu-west-1")),
        (s3(json!({"endpoint": "https://minio.example.com", "forcePathStyle": true})), "/pathStyle", json!(true)),
        (s3(json!({"endpoint": "http://minio:9000", "allowHttp": true})), "/allowHttp", json!(true)),
        (
            s3(json!({"credentialsSecret": key("aws")})),
            "/credentials",
            json!({"shared-file": {"file": "aws/k", "profile": "default"}}),
        ),
        (
            s3(json!({"accessKeySecret": key("a"), "secretKeySecret": key("b"), "credentialsSecret": key("aws")})),
            "/credentials",
            json!({"keys": {"accessKeyIdFile": "a/k", "secretAccessKeyFile": "b/k"}}),
        ),
        (s3(json!({"caSecret": key("ca")})), "/tls/caFile", json!("ca/k")),
        (azure(json!({"credentialsSecret": key("c")})), "/credentials", json!({"account-key": {"file": "c/k"}})),
        (azure(json!({"accountKeySecret": key("c")})), "/credentials", json!({"account-key": {"file": "c/k"}})),
        (azure(json!({"sasTokenSecret": key("c")})), "/credentials", json!({"sas-token": {"file": "c/k"}})),
        (
            azure(json!({"clientSecretSecret": key("c"), "clientId": "i", "tenantId": "t"})),
            "/credentials",
            json!({"application": {"clientId": "i", "tenantId": "t", "clientSecretFile": "c/k"}}),
        ),
        (azure(json!({"useWorkloadIdentity": true})), "/credentials", json!({"workload-identity": {}})),
        (azure(json!({})), "/credentials", Value::Null),
        (gcs(json!({"credentialsSecret": key("g")})), "/credentials", json!({"service-account": {"file": "g/k"}})),
        (gcs(json!({"prefix": "p"})), "/prefix", json!("p")),
        (gcs(json!({"serviceAccountPath": "/a/b.json"})), "/credentials/service-account/file", json!("/a/b.json")),
        (
            gcs(json!({"credentialsSecret": key("g"), "serviceAccountPath": "/a/b.json"})),
            "/credentials/service-account/file",
            json!("g/k"),
        ),
        (trusting(s3(json!({})), &["ca"]), "/tls", json!({"caFile": "ca/k", "systemRoots": true})),
        (trusting(azure(json!({})), &["ca", "cb"]), "/tls/moreCaFiles", json!(["cb/k"])),
        (
            trusting(gcs(json!({"caSecret": {"name": "own", "key": "k", "systemRoots": false}})), &["ca", "cb"]),
            "/tls",
            json!({"caFile": "own/k", "moreCaFiles": ["ca/k", "cb/k"], "systemRoots": false}),
        ),
    ] {
        let run = backed_up(&json!({"storage": storage}));
        assert_eq!(run["storage"].pointer(path).unwrap_or(&Value::Null), &expected, "{storage} {path}");
    }
    let missing = backup_spec(&json!({"storage": {"type": "s3"}}));
    assert_eq!(backup::<Documented>(identity(), &missing, brokers()).unwrap_err().field, "spec.storage.s3");
}

/// Each field of a KafkaRestore, and what it is in the run.
#[test]
fn every_field_of_a_restore_arrives() {
    for (more, path, expected) in [
        (json!({}), "/from", json!("nightly")),
        (
            json!({"backupRef": {"name": "nightly", "backupId": "nightly-20261130-020000"}}),
            "/from",
            json!("nightly-20261130-020000"),
        ),
        (json!({}), "/owner/namespace", json!("shop")),
        (json!({"topics": {"include": ["orders.*"]}}), "/topics", json!(["~^(?:orders.*)$"])),
        (json!({"topics": {"exclude": ["x"]}}), "/exclude", json!(["x"])),
        (
            json!({"pointInTime": {"timestamp": "2026-02-12T14:30:00.000Z"}}),
            "/endTime",
            json!("2026-02-12T14:30:00.000Z"),
        ),
        (
            json!({"pointInTime": {"startTimestamp": "2026-02-12T14:30:00Z"}}),
            "/startTime",
            json!("2026-02-12T14:30:00Z"),
        ),
        (json!({"pointInTime": {"offsetFromEnd": "2h"}}), "/beforeEndSecs", json!(7_200)),
        (json!({"pointInTime": {"timestamp": "2026-02-12T14:30:00Z"}}), "/beforeEndSecs", Value::Null),
        (json!({"topicMapping": [{"sourceTopic": "a", "targetTopic": "b"}]}), "/topicMapping", json!({"a": "b"})),
        (json!({}), "/groups", Value::Null),
        (json!({"consumerGroups": {"restore": false, "groups": ["a"]}}), "/groups", Value::Null),
        (json!({"consumerGroups": {"restore": true}}), "/groups/commit", json!(true)),
        (json!({"consumerGroups": {"restore": true}}), "/groups/include", Value::Null),
        (json!({"consumerGroups": {"restore": true, "groups": ["a"]}}), "/groups/include", json!(["a"])),
        (json!({"consumerGroups": {"restore": true, "groups": ["a"], "auto": true}}), "/groups/include", Value::Null),
        (
            json!({"consumerGroups": {"restore": true, "mapping": [{"sourceGroup": "a", "targetGroup": "b"}]}}),
            "/groups/mapping",
            json!({"a": "b"}),
        ),
        (
            json!({"consumerGroups": {"restore": true, "mapping": [{"sourceGroup": "a", "targetGroup": "b"}]}}),
            "/groups/include",
            json!(["a"]),
        ),
        (json!({"consumerGroups": {"restore": true, "strategy": "manual"}}), "/groups/commit", json!(false)),
        (json!({"consumerGroups": {"restore": true, "strategy": "header-based"}}), "/groups/commit", json!(true)),
        (json!({"consumerGroups": {"restore": true, "strategy": "skip"}}), "/groups", Value::Null),
        (json!({}), "/createTopics", json!(true)),
        (json!({"restore": {"topicCreation": "manual"}}), "/createTopics", json!(false)),
        (json!({}), "/existingTopics", json!("refuse")),
        (json!({"restore": {"existingTopicPolicy": "fail"}}), "/existingTopics", json!("refuse")),
        (json!({"restore": {"existingTopicPolicy": "append"}}), "/existingTopics", json!("append")),
        (json!({"restore": {"existingTopicPolicy": "overwrite"}}), "/existingTopics", json!("purge")),
        (json!({"restore": {"purgeTopics": true}}), "/existingTopics", json!("purge")),
        (json!({"restore": {"parallelism": 2}}), "/maxConcurrentPartitions", json!(2)),
        (json!({"restore": {"dryRun": true}}), "/dryRun", json!(true)),
        (json!({}), "/includeOffsetHeaders", json!(false)),
        (json!({"restore": {"includeOriginalOffsetHeader": true}}), "/includeOffsetHeaders", json!(true)),
        (json!({"restore": {"sourcePartitions": [1]}}), "/sourcePartitions", json!([1])),
        (
            json!({"restore": {"partitionMapping": [{"sourcePartition": 0, "targetPartition": 2}]}}),
            "/partitionMapping",
            json!({"0": 2}),
        ),
        (json!({"restore": {"rateLimitRecordsPerSec": 5}}), "/rateLimit/recordsPerSec", json!(5)),
        (json!({"restore": {"rateLimitBytesPerSec": 5}}), "/rateLimit/bytesPerSec", json!(5)),
        (json!({"restore": {"produceBatchSize": 5}}), "/produceBatchSize", json!(5)),
        (json!({"restore": {"produceAcks": 1}}), "/produceAcks", json!(1)),
        (json!({"restore": {"produceTimeoutMs": 5}}), "/produceTimeoutMs", json!(5)),
        (json!({"restore": {"defaultReplicationFactor": 2}}), "/defaultReplicationFactor", json!(2)),
        (
            json!({"restore": {"repartitioning": [{"topic": "a", "targetPartitions": 3, "strategy": "automatic"}]}}),
            "/repartitioning/a",
            json!({"strategy": "automatic", "targetPartitions": 3}),
        ),
    ] {
        let run = restored_from(&json!({}), &more);
        assert_eq!(run["restore"].pointer(path).unwrap_or(&Value::Null), &expected, "{more} {path}");
    }
    let asked = restored_from(&json!({"backup": {"includeOffsetHeaders": true}}), &json!({}));
    assert_eq!(asked["restore"]["includeOffsetHeaders"], true, "the backup asks for them");
    assert_eq!(
        restored_from(&json!({}), &json!({}))["storage"],
        json!({"type": "filesystem", "path": "claim", "prefix": "a/b"})
    );
}

/// The template, and everything else that shapes a pod, is on the pod.
#[test]
fn what_shapes_a_pod_is_on_the_pod() {
    let spec = backup_spec(&json!({
        "image": "registry.example.com/runner:1", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
        "logging": {"level": "debug", "modules": {"wire": "trace"}, "format": "json"},
        "resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        "metrics": {},
        "template": {
            "pod": {
                "metadata": {"labels": {"team": "shop", "strimzi.io/cluster": "other"}, "annotations": {"note": "x"}},
                "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{}]}}},
                "tolerations": [{"key": "dedicated", "operator": "Exists"}], "securityContext": {"runAsUser": 1001},
                "imagePullSecrets": [{"name": "pull"}], "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["kafka"]}],
                "serviceAccountName": "backups",
            },
            "container": {"env": [{"name": "B", "value": "2"}], "securityContext": {"readOnlyRootFilesystem": true}},
        },
    }));
    let base = Placement {
        image: "runner:test".into(),
        extra_env: vec![EnvVar { name: "A".into(), ..EnvVar::default() }],
        ..Placement::default()
    };
    let shaped = placement(&base, "kafkabackup.com", "nightly", (&spec).into());
    let run = backup::<Released>(identity(), &spec, brokers()).unwrap();
    let owner = Owner {
        api_version: "kafkabackup.com/v1".into(),
        kind: "KafkaBackup".into(),
        namespace: "shop".into(),
        name: "nightly".into(),
        uid: "u".into(),
        part: None,
    };
    let made = serde_json::to_value(job(&owner, &run, 1, &shaped).unwrap()).unwrap();
    let (meta, pod) = (&made["spec"]["template"]["metadata"], &made["spec"]["template"]["spec"]);
    for (label, value) in [
        ("team", "shop"),
        ("strimzi.io/cluster", "events"),
        ("app.kubernetes.io/instance", "nightly"),
        ("app.kubernetes.io/part-of", "kafka-backup"),
        ("kafkabackup.com/type", "backup"),
        ("kafkabackup.com/backup", "nightly"),
        ("kafkabackup.com/metrics", "enabled"),
        ("kafka-backup.dev/owner-uid", "u"),
    ] {
        assert_eq!(
            (&meta["labels"][label], &made["metadata"]["labels"][label]),
            (&json!(value), &json!(value)),
            "{label}"
        );
    }
    assert_eq!(meta["annotations"]["note"], "x");
    let container = &pod["containers"][0];
    assert_eq!((&container["name"], &container["image"]), (&json!(CONTAINER), &json!("registry.example.com/runner:1")));
    let env = json!([
        {"name": "KAFKA_BACKUP_LOG", "value": "debug,wire=trace"}, {"name": "KAFKA_BACKUP_LOG_FORMAT", "value": "json"},
        {"name": "A", "value": "1"}, {"name": "B", "value": "2"},
    ]);
    assert_eq!(container["env"], env, "the later one counts");
    assert_eq!(container["resources"], json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}}));
    assert_eq!(
        container["securityContext"],
        json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true})
    );
    assert_eq!(container["ports"][0]["containerPort"], 8080);
    assert!(pod["affinity"]["nodeAffinity"].is_object());
    assert_eq!(pod["tolerations"], json!([{"key": "dedicated", "operator": "Exists"}]));
    assert_eq!(pod["securityContext"], json!({"runAsUser": 1001}));
    assert_eq!(pod["imagePullSecrets"], json!([{"name": "pull"}]));
    assert_eq!(pod["hostAliases"], json!([{"ip": "10.0.0.1", "hostnames": ["kafka"]}]));
    assert_eq!(pod["serviceAccountName"], "backups");
    // A change of it is a change of the run; a resource without it has the pod of the installation.
    assert_ne!(digest(&run, &shaped).unwrap(), digest(&run, &base).unwrap());
    let plain = placement(&base, "kafkabackup.com", "nightly", (&backup_spec(&json!({}))).into());
    assert_eq!(Placement { labels: base.labels.clone(), ..plain }, base);
}

#[test]
fn a_long_name_fits_into_a_label() {
    let name = "a".repeat(200);
    let shaped = placement(&Placement::default(), "kafkabackup.com", &name, (&backup_spec(&json!({}))).into());
    let label = &shaped.labels["kafkabackup.com/backup"];
    assert!(label.len() <= 63 && label.starts_with("aaa"), "{label}");
}
