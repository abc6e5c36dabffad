//! What each field of a resource changes in the specification of its run. The list is complete: a field of a schema that
//! is neither here nor among those that the operator itself acts on fails the test.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use api::document::KINDS;
use api::lower::{self, Identity};
use api::oso::{
    KafkaBackup, KafkaBackupSpec, KafkaBackupValidationSpec, KafkaOffsetResetSpec, KafkaOffsetRollbackSpec,
    KafkaRestoreSpec, ResetStrategy,
};
use contract::{MappingPlace, RestoreName, RunSpec};
use serde_json::{Value, json};

/// Field below `spec`, its value, where it shows in the run's specification, and as what.
type Effect = (&'static str, Value, &'static str, Value);

fn identity() -> Identity {
    Identity { namespace: "team".into(), name: "nightly".into(), run: None }
}

fn kafka() -> Value {
    json!({"bootstrapServers": ["kafka:9092"]})
}

/// Everything present, so that a path can be set anywhere.
fn base_backup() -> Value {
    json!({
        "kafkaCluster": {
            "bootstrapServers": ["kafka:9092"], "securityProtocol": "SASL_SSL", "connection": {},
            "tlsSecret": {"name": "tls"}, "saslSecret": {"name": "login", "mechanism": "PLAIN"},
        },
        "topics": ["a"], "stopAtCurrentOffsets": true, "storage": {"pvc": {"claimName": "backups"}},
        "rateLimiting": {}, "circuitBreaker": {}, "metrics": {}, "checkpoint": {},
    })
}

fn base_restore() -> Value {
    json!({
        "backupRef": {"name": "nightly"}, "kafkaCluster": kafka(), "rateLimiting": {}, "circuitBreaker": {},
        "autoConsumerGroups": true, "rollback": {},
    })
}

fn base_reset() -> Value {
    json!({"kafkaCluster": kafka(), "consumerGroups": ["shop"], "resetStrategy": "to-latest"})
}

fn base_rollback() -> Value {
    json!({"kafkaCluster": kafka(), "snapshotRef": {"name": "before-1"}})
}

fn base_validation() -> Value {
    json!({
        "backupRef": {"name": "nightly"}, "kafkaCluster": kafka(), "restoreRef": {"name": "back"},
        "checks": {"messageCount": {}, "offsetRange": {}, "consumerGroupOffsets": {}},
        "notifications": {"pagerduty": {"routingKeySecret": {"name": "p", "key": "k"}}},
    })
}

fn set(document: &mut Value, path: &str, value: &Value) {
    let mut place = document;
    for name in path.split('.') {
        place = &mut place[name];
    }
    *place = value.clone();
}

fn lowered(kind: &str, spec: Value) -> Value {
    let place = || serde_json::from_value(json!({"storageType": "pvc", "pvc": {"claimName": "backups"}})).unwrap();
    let run: RunSpec = match kind {
        "KafkaBackup" => lower::backup(identity(), &serde_json::from_value::<KafkaBackupSpec>(spec).unwrap()).unwrap(),
        "KafkaRestore" => {
            let spec: KafkaRestoreSpec = serde_json::from_value(spec).unwrap();
            let place = spec.backup_ref.storage.clone().unwrap_or_else(place);
            lower::restore(identity(), &spec, &place, None).unwrap()
        }
        "KafkaOffsetReset" => {
            let spec: KafkaOffsetResetSpec = serde_json::from_value(spec).unwrap();
            let place = spec.state_storage.clone().unwrap_or_else(place);
            let from = || MappingPlace { path: "m/offset-mapping.json".into(), storage: None };
            let mapping = (spec.reset_strategy == ResetStrategy::FromMapping).then(from);
            lower::offset_reset(identity(), &spec, &place, mapping).unwrap()
        }
        "KafkaOffsetRollback" => {
            let spec: KafkaOffsetRollbackSpec = serde_json::from_value(spec).unwrap();
            let place = lower::offset_store(&spec.state_storage.clone().unwrap_or_else(place)).unwrap();
            lower::offset_rollback(identity(), &spec, place, None).unwrap()
        }
        "KafkaBackupValidation" => {
            let spec: KafkaBackupValidationSpec = serde_json::from_value(spec).unwrap();
            let place = spec.backup_ref.storage.clone().unwrap_or_else(place);
            let named = |restore: &api::oso::RestoreRef| RestoreName {
                name: restore.name.clone(),
                namespace: "team".into(),
                state_storage: None,
            };
            lower::validation(identity(), &spec, &place, None, spec.restore_ref.as_ref().map(named)).unwrap()
        }
        other => panic!("{other} does not run"),
    };
    assert!(run.findings().is_empty(), "{:?}", run.findings());
    serde_json::to_value(run).unwrap()
}

/// A field that is set so shows in the run's specification there, and as that.
fn shows(kind: &str, base: &Value, (field, value): (&str, &Value), (pointer, want): (&str, &Value)) {
    let mut spec = base.clone();
    set(&mut spec, field, value);
    let run = lowered(kind, spec);
    assert_eq!(&run.pointer(pointer).cloned().unwrap_or_default(), want, "{kind}.{field}: {pointer}");
}

fn cluster_effects() -> Vec<Effect> {
    vec![
        ("kafkaCluster.bootstrapServers", json!(["b:1"]), "/kafka/bootstrapServers", json!(["b:1"])),
        ("kafkaCluster.securityProtocol", json!("ssl"), "/kafka/securityProtocol", json!("SSL")),
        ("kafkaCluster.tlsSecret.name", json!("t"), "/kafka/tls/caFile", json!("t/ca.crt")),
        ("kafkaCluster.tlsSecret.caKey", json!("x"), "/kafka/tls/caFile", json!("tls/x")),
        (
            "kafkaCluster.tlsSecret",
            json!({"name": "tls", "certKey": "c", "keyKey": "k"}),
            "/kafka/tls/certificateFile",
            json!("tls/c"),
        ),
        (
            "kafkaCluster.tlsSecret",
            json!({"name": "tls", "certKey": "c", "keyKey": "k"}),
            "/kafka/tls/keyFile",
            json!("tls/k"),
        ),
        (
            "kafkaCluster.tlsSecret",
            json!({"name": "tls", "certKey": "user.p12", "keyPasswordKey": "user.password"}),
            "/kafka/tls/keyPasswordFile",
            json!("tls/user.password"),
        ),
        ("kafkaCluster.caSecret", json!({"name": "ca"}), "/kafka/tls/caFile", json!("ca/ca.crt")),
        ("kafkaCluster.saslSecret.name", json!("s"), "/kafka/sasl/usernameFile", json!("s/username")),
        ("kafkaCluster.saslSecret.mechanism", json!("scram-sha-512"), "/kafka/sasl/mechanism", json!("SCRAM-SHA-512")),
        ("kafkaCluster.saslSecret.usernameKey", json!("u"), "/kafka/sasl/usernameFile", json!("login/u")),
        ("kafkaCluster.saslSecret.passwordKey", json!("p"), "/kafka/sasl/passwordFile", json!("login/p")),
        ("kafkaCluster.connection.tcpKeepalive", json!(false), "/kafka/connection/tcpKeepalive", json!(false)),
        ("kafkaCluster.connection.keepaliveTimeSecs", json!(7), "/kafka/connection/keepaliveTimeSecs", json!(7)),
        (
            "kafkaCluster.connection.keepaliveIntervalSecs",
            json!(8),
            "/kafka/connection/keepaliveIntervalSecs",
            json!(8),
        ),
        ("kafkaCluster.connection.tcpNodelay", json!(false), "/kafka/connection/tcpNodelay", json!(false)),
        ("kafkaCluster.connection.connectionsPerBroker", json!(2), "/kafka/connection/connectionsPerBroker", json!(2)),
    ]
}

fn limit_effects() -> Vec<Effect> {
    vec![
        ("circuitBreaker.enabled", json!(false), "/circuitBreaker/enabled", json!(false)),
        ("circuitBreaker.failureThreshold", json!(9), "/circuitBreaker/failureThreshold", json!(9)),
        ("circuitBreaker.resetTimeoutSecs", json!(9), "/circuitBreaker/resetTimeoutSecs", json!(9)),
        ("circuitBreaker.successThreshold", json!(9), "/circuitBreaker/successThreshold", json!(9)),
        ("circuitBreaker.operationTimeoutMs", json!(9), "/circuitBreaker/operationTimeoutMs", json!(9)),
    ]
}

fn storage_effects(at: &'static str, to: &'static str) -> Vec<(String, Value, String, Value)> {
    let s3 = |more: Value| {
        let mut block = json!({"bucket": "b", "region": "r", "credentialsSecret": {"name": "s"}});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"storageType": "s3", "s3": block})
    };
    let azure = |more: Value| {
        let mut block = json!({"accountName": "acc", "container": "con"});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"storageType": "azure", "azure": block})
    };
    let gcs = |more: Value| {
        let mut block = json!({"bucket": "b", "credentialsSecret": {"name": "s"}});
        block.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"storageType": "gcs", "gcs": block})
    };
    let own = |text: &str| json!({"name": "s", "accessKeyIdKey": text, "secretAccessKeyKey": text});
    let principal = json!({"name": "s", "clientIdKey": "i", "tenantIdKey": "t", "clientSecretKey": "x"});
    let all: Vec<(&str, Value, &str, Value)> = vec![
        ("pvc.claimName", json!({"pvc": {"claimName": "c"}}), "/path", json!("c")),
        ("pvc.subPath", json!({"pvc": {"claimName": "c", "subPath": "x/y/"}}), "/prefix", json!("x/y")),
        ("storageType", s3(json!({})), "/type", json!("s3")),
        ("s3.bucket", s3(json!({})), "/bucket", json!("b")),
        ("s3.region", s3(json!({})), "/region", json!("r")),
        ("s3.prefix", s3(json!({"prefix": "p"})), "/prefix", json!("p")),
        ("s3.endpoint", s3(json!({"endpoint": "https://e"})), "/endpoint", json!("https://e")),
        ("s3.pathStyle", s3(json!({"pathStyle": true})), "/pathStyle", json!(true)),
        ("s3.allowHttp", s3(json!({"allowHttp": true})), "/allowHttp", json!(true)),
        ("s3.credentialsSecret.name", s3(json!({})), "/credentials/keys/accessKeyIdFile", json!("s/AWS_ACCESS_KEY_ID")),
        (
            "s3.credentialsSecret.accessKeyIdKey",
            s3(json!({"credentialsSecret": own("k")})),
            "/credentials/keys/accessKeyIdFile",
            json!("s/k"),
        ),
        (
            "s3.credentialsSecret.secretAccessKeyKey",
            s3(json!({"credentialsSecret": own("k")})),
            "/credentials/keys/secretAccessKeyFile",
            json!("s/k"),
        ),
        ("azure.accountName", azure(json!({})), "/account", json!("acc")),
        ("azure.container", azure(json!({})), "/container", json!("con")),
        ("azure.prefix", azure(json!({"prefix": "p"})), "/prefix", json!("p")),
        (
            "azure.endpoint",
            azure(json!({"endpoint": "https://e.blob.core.windows.net"})),
            "/endpoint",
            json!("https://e.blob.core.windows.net"),
        ),
        ("s3.caSecret.name", s3(json!({"caSecret": {"name": "c"}})), "/tls/caFile", json!("c/ca.crt")),
        ("s3.caSecret.caKey", s3(json!({"caSecret": {"name": "c", "caKey": "k"}})), "/tls/caFile", json!("c/k")),
        (
            "s3.caSecret.systemRoots",
            s3(json!({"caSecret": {"name": "c", "systemRoots": false}})),
            "/tls/systemRoots",
            json!(false),
        ),
        ("azure.caSecret.name", azure(json!({"caSecret": {"name": "c"}})), "/tls/caFile", json!("c/ca.crt")),
        ("azure.caSecret.caKey", azure(json!({"caSecret": {"name": "c", "caKey": "k"}})), "/tls/caFile", json!("c/k")),
        ("azure.caSecret.systemRoots", azure(json!({"caSecret": {"name": "c"}})), "/tls/systemRoots", json!(true)),
        ("gcs.caSecret.name", gcs(json!({"caSecret": {"name": "c"}})), "/tls/caFile", json!("c/ca.crt")),
        ("gcs.caSecret.caKey", gcs(json!({"caSecret": {"name": "c", "caKey": "k"}})), "/tls/caFile", json!("c/k")),
        ("gcs.caSecret.systemRoots", gcs(json!({"caSecret": {"name": "c"}})), "/tls/systemRoots", json!(true)),
        (
            "azure.useWorkloadIdentity",
            azure(json!({"useWorkloadIdentity": true})),
            "/credentials",
            json!({"workload-identity": {}}),
        ),
        (
            "azure.credentialsSecret.name",
            azure(json!({"credentialsSecret": {"name": "s"}})),
            "/credentials/account-key/file",
            json!("s/AZURE_STORAGE_KEY"),
        ),
        (
            "azure.credentialsSecret.accountKeyKey",
            azure(json!({"credentialsSecret": {"name": "s", "accountKeyKey": "k"}})),
            "/credentials/account-key/file",
            json!("s/k"),
        ),
        (
            "azure.sasTokenSecret.name",
            azure(json!({"sasTokenSecret": {"name": "s"}})),
            "/credentials/sas-token/file",
            json!("s/AZURE_SAS_TOKEN"),
        ),
        (
            "azure.sasTokenSecret.sasTokenKey",
            azure(json!({"sasTokenSecret": {"name": "s", "sasTokenKey": "k"}})),
            "/credentials/sas-token/file",
            json!("s/k"),
        ),
        (
            "azure.servicePrincipalSecret.name",
            azure(json!({"servicePrincipalSecret": {"name": "s"}})),
            "/credentials/service-principal/tenantIdFile",
            json!("s/AZURE_TENANT_ID"),
        ),
        (
            "azure.servicePrincipalSecret.clientIdKey",
            azure(json!({"servicePrincipalSecret": principal})),
            "/credentials/service-principal/clientIdFile",
            json!("s/i"),
        ),
        (
            "azure.servicePrincipalSecret.tenantIdKey",
            azure(json!({"servicePrincipalSecret": principal})),
            "/credentials/service-principal/tenantIdFile",
            json!("s/t"),
        ),
        (
            "azure.servicePrincipalSecret.clientSecretKey",
            azure(json!({"servicePrincipalSecret": principal})),
            "/credentials/service-principal/clientSecretFile",
            json!("s/x"),
        ),
        ("gcs.bucket", gcs(json!({})), "/bucket", json!("b")),
        ("gcs.prefix", gcs(json!({"prefix": "p"})), "/prefix", json!("p")),
        (
            "gcs.credentialsSecret.name",
            gcs(json!({})),
            "/credentials/service-account/file",
            json!("s/SERVICE_ACCOUNT_JSON"),
        ),
        (
            "gcs.credentialsSecret.serviceAccountJsonKey",
            gcs(json!({"credentialsSecret": {"name": "s", "serviceAccountJsonKey": "k"}})),
            "/credentials/service-account/file",
            json!("s/k"),
        ),
    ];
    all.into_iter()
        .map(|(field, block, pointer, want)| (format!("{at}.{field}"), block, format!("{to}{pointer}"), want))
        .collect()
}

fn backup_effects() -> Vec<Effect> {
    vec![
        ("topics", json!(["x-*"]), "/backup/topics", json!(["x-*"])),
        ("compression", json!("lz4"), "/backup/compression", json!("lz4")),
        ("compressionLevel", json!(9), "/backup/compressionLevel", json!(9)),
        ("segmentMaxBytes", json!(2_000_000), "/backup/segmentMaxBytes", json!(2_000_000)),
        ("segmentMaxIntervalMs", json!(5_000), "/backup/segmentMaxIntervalMs", json!(5_000)),
        ("continuous", json!(true), "/backup/continuous", json!(true)),
        ("pollIntervalMs", json!(50), "/backup/pollIntervalMs", json!(50)),
        ("includeOffsetHeaders", json!(false), "/backup/includeOffsetHeaders", json!(false)),
        ("onGap", json!("fail"), "/backup/onGap", json!("fail")),
        ("onMissingTopic", json!("warn"), "/backup/onMissingTopic", json!("warn")),
        ("onMissingSegments", json!("reread"), "/backup/onMissingSegments", json!("reread")),
        ("sourceClusterId", json!("lab"), "/backup/sourceClusterId", json!("lab")),
        ("consumerGroupSnapshot", json!(true), "/backup/consumerGroupSnapshot", json!(true)),
        ("stopAtCurrentOffsets", json!(true), "/backup/incremental", json!(true)),
        ("stopAtCurrentOffsets", json!(false), "/backup/incremental", json!(false)),
        ("checkpoint", json!({}), "/backup/incremental", json!(true)),
        ("checkpoint", Value::Null, "/backup/incremental", json!(false)),
        ("checkpoint.enabled", json!(false), "/backup/incremental", json!(false)),
        ("checkpoint.intervalSecs", json!(5), "/backup/checkpointIntervalSecs", json!(5)),
        ("checkpoint.storage", json!({"pvcName": "h", "subPath": "x"}), "/backup/checkpointFolder", json!("h/x")),
        ("rateLimiting.recordsPerSec", json!(5), "/backup/rateLimit/recordsPerSec", json!(5)),
        ("rateLimiting.bytesPerSec", json!(5), "/backup/rateLimit/bytesPerSec", json!(5)),
        ("rateLimiting.maxConcurrentPartitions", json!(5), "/backup/maxConcurrentPartitions", json!(5)),
        ("metrics.enabled", json!(false), "/metrics", Value::Null),
        ("metrics.port", json!(9), "/metrics/port", json!(9)),
        ("metrics.bindAddress", json!("127.0.0.1"), "/metrics/bindAddress", json!("127.0.0.1")),
        ("metrics.path", json!("/m"), "/metrics/path", json!("/m")),
        ("metrics.updateIntervalMs", json!(9), "/metrics/updateIntervalMs", json!(9)),
        ("metrics.maxPartitionLabels", json!(9), "/metrics/maxPartitionLabels", json!(9)),
    ]
}

fn restore_effects() -> Vec<Effect> {
    vec![
        ("backupRef.name", json!("n"), "/restore/from", json!("n")),
        ("backupRef.backupId", json!("n-1"), "/restore/from", json!("n-1")),
        ("topics", json!(["x"]), "/restore/topics", json!(["x"])),
        ("topicMapping", json!({"a": "b"}), "/restore/topicMapping/a", json!("b")),
        ("partitionMapping", json!({"3": 4}), "/restore/partitionMapping/3", json!(4)),
        (
            "repartitioning",
            json!({"a": {"strategy": "automatic", "targetPartitions": 3}}),
            "/restore/repartitioning/a",
            json!({"strategy": "automatic", "targetPartitions": 3}),
        ),
        ("pitr.startTimestamp", json!(1_700_000_000_001_i64), "/restore/startTime", json!("2023-11-14T22:13:20.001Z")),
        ("pitr.endTimestamp", json!(1_700_000_000_000_i64), "/restore/endTime", json!("2023-11-14T22:13:20Z")),
        ("pitr.startTime", json!("2026-01-01T00:00:00Z"), "/restore/startTime", json!("2026-01-01T00:00:00Z")),
        ("pitr.endTime", json!("2026-01-01T00:00:00Z"), "/restore/endTime", json!("2026-01-01T00:00:00Z")),
        ("rateLimiting.recordsPerSec", json!(5), "/restore/rateLimit/recordsPerSec", json!(5)),
        ("rateLimiting.bytesPerSec", json!(5), "/restore/rateLimit/bytesPerSec", json!(5)),
        ("rateLimiting.maxConcurrentPartitions", json!(5), "/restore/maxConcurrentPartitions", json!(5)),
        ("planFingerprint", json!("a1"), "/restore/planFingerprint", json!("a1")),
        (
            "accept",
            json!(["compaction", "more-partitions", "other-owner"]),
            "/restore/accept",
            json!(["compaction", "more-partitions", "other-owner"]),
        ),
        ("onUnreadable", json!("skip"), "/restore/onUnreadable", json!("skip")),
        ("foreignRecords", json!("asWritten"), "/restore/foreignRecords", json!("asWritten")),
        ("dryRun", json!(true), "/restore/dryRun", json!(true)),
        ("produceBatchSize", json!(5), "/restore/produceBatchSize", json!(5)),
        ("produceAcks", json!(1), "/restore/produceAcks", json!(1)),
        ("produceTimeoutMs", json!(5), "/restore/produceTimeoutMs", json!(5)),
        ("purgeTopics", json!(true), "/restore/existingTopics", json!("purge")),
        ("createTopics", json!(true), "/restore/createTopics", json!(true)),
        ("autoConsumerGroups", json!(false), "/restore/groups", json!(null)),
        ("rollback.snapshotBeforeRestore", json!(false), "/restore/groups/saving/skip", json!(true)),
        ("rollback.snapshotRetentionHours", json!(7), "/restore/groups/saving/keepHours", json!(7)),
        ("rollback.autoRollbackOnFailure", json!(true), "/restore/groups/rollBackOnFailure", json!(true)),
        (
            "rollback.snapshotStorage",
            json!({"pvcName": "kept", "subPath": "/a/b/"}),
            "/restore/groups/saving/storage",
            json!({"type": "filesystem", "path": "kept", "prefix": "a/b"}),
        ),
        ("groupMapping", json!({"a": "b"}), "/restore/groups/mapping", json!({"a": "b"})),
        ("offsetReset", reset("auto"), "/restore/groups/commit", json!(true)),
        ("offsetReset", reset("manual"), "/restore/groups/commit", json!(false)),
        ("offsetReset", reset("dry_run"), "/restore/groups/commit", json!(false)),
        ("offsetReset", reset("auto"), "/restore/groups/saveMapping", json!(true)),
        ("offsetReset", reset("dry_run"), "/restore/groups/saveMapping", json!(null)),
        ("defaultReplicationFactor", json!(3), "/restore/defaultReplicationFactor", json!(3)),
        ("includeOffsetHeaders", json!(false), "/restore/includeOffsetHeaders", json!(false)),
        ("includeOriginalOffsetHeader", json!(false), "/restore/includeOffsetHeaders", json!(false)),
        ("stripOffsetHeaders", json!(true), "/restore/stripOffsetHeaders", json!(true)),
        ("headerPreflight", json!("full"), "/restore/headerPreflight", json!("full")),
    ]
}

fn reset_effects() -> Vec<Effect> {
    let to = "/offsetReset/to";
    vec![
        ("consumerGroups", json!(["a", "b"]), "/offsetReset/groups", json!(["a", "b"])),
        ("resetStrategy", json!("to-earliest"), to, json!("earliest")),
        ("resetStrategy", json!("to-latest"), to, json!("latest")),
        ("resetStrategy", json!("from-mapping"), to, json!({"mapping": {"path": "m/offset-mapping.json"}})),
        ("topics", json!(["t"]), "/offsetReset/topics", json!(["t"])),
        ("parallelism", json!(7), "/offsetReset/parallelism", json!(7)),
        // More than a run takes: as many as it takes.
        ("parallelism", json!(5_000), "/offsetReset/parallelism", json!(1_000)),
        ("dryRun", json!(true), "/offsetReset/dryRun", json!(true)),
        ("continueOnError", json!(true), "/offsetReset/continueOnError", json!(true)),
        ("snapshotBeforeReset", json!(false), "/offsetReset/saving/skip", json!(true)),
        ("kafkaCluster.bootstrapServers", json!(["b:1"]), "/kafka/bootstrapServers", json!(["b:1"])),
    ]
}

fn rollback_effects() -> Vec<Effect> {
    vec![
        ("snapshotRef.name", json!("before-2"), "/offsetRollback/from/id", json!("before-2")),
        ("snapshotRef.path", json!("/a/b.json"), "/offsetRollback/from/path", json!("a/b.json")),
        ("consumerGroups", json!(["a"]), "/offsetRollback/groups", json!(["a"])),
        ("dryRun", json!(true), "/offsetRollback/dryRun", json!(true)),
        ("verifyAfterRollback", json!(false), "/offsetRollback/withoutVerification", json!(true)),
        ("kafkaCluster.bootstrapServers", json!(["b:1"]), "/kafka/bootstrapServers", json!(["b:1"])),
    ]
}

fn validation_effects() -> Vec<Effect> {
    let hook = json!([{"name": "a", "url": "https://h/x", "timeoutSecs": 7, "expectedStatusCode": 204}]);
    let checks = "/validation/checks";
    let notify = "/validation/notify";
    let signing = |enabled: bool| {
        let secret = json!({"name": "k", "privateKeyKey": "own.pem", "publicKeyKey": "own-pub.pem"});
        json!({"enabled": enabled, "keySecret": secret})
    };
    let at = |of: &str, name: &str| -> &'static str { Box::leak(format!("{of}/{name}").into_boxed_str()) };
    vec![
        ("backupRef.name", json!("hourly"), "/validation/from", json!("hourly")),
        ("backupRef.backupId", json!("nightly-20260101-000000"), "/validation/from", json!("nightly-20260101-000000")),
        ("kafkaCluster.bootstrapServers", json!(["b:1"]), "/kafka/bootstrapServers", json!(["b:1"])),
        ("restoreRef.name", json!("other"), "/validation/restore/name", json!("other")),
        // Those of the archive are made unless they are disabled.
        ("checks.structure", json!(null), at(checks, "structure"), json!(true)),
        ("checks.structure.enabled", json!(false), at(checks, "structure"), json!(false)),
        ("checks.checksum", json!({}), at(checks, "checksum"), json!(true)),
        ("checks.checksum.enabled", json!(false), at(checks, "checksum"), json!(false)),
        ("checks.decode", json!({"enabled": true}), at(checks, "decode"), json!(true)),
        ("checks.decode.enabled", json!(false), at(checks, "decode"), json!(false)),
        ("checks.messageCount.enabled", json!(false), at(checks, "messageCount"), json!(null)),
        ("checks.messageCount.failThreshold", json!(7), at(checks, "messageCount/failThreshold"), json!(7)),
        ("checks.messageCount.topics", json!(["a-*"]), at(checks, "messageCount/topics"), json!(["a-*"])),
        ("checks.offsetRange.enabled", json!(true), at(checks, "offsetRange"), json!(true)),
        ("checks.offsetRange.enabled", json!(false), at(checks, "offsetRange"), json!(false)),
        ("checks.consumerGroupOffsets.enabled", json!(false), at(checks, "consumerGroupOffsets"), json!(null)),
        (
            "checks.consumerGroupOffsets.consumerGroups",
            json!(["shop"]),
            at(checks, "consumerGroupOffsets/groups"),
            json!(["shop"]),
        ),
        ("checks.customWebhooks", hook.clone(), at(checks, "webhooks"), hook),
        ("sample.percent", json!(10), "/validation/sample/size", json!({"percent": 10})),
        ("sample.bytes", json!(9), "/validation/sample/size", json!({"bytes": 9})),
        ("sample", json!({"bytes": 9, "seed": 5}), "/validation/sample/seed", json!(5)),
        (
            "notifications.slack.webhookSecret",
            json!({"name": "s", "key": "url"}),
            at(notify, "slack/urlFile"),
            json!("s/url"),
        ),
        ("notifications.slack", json!(null), at(notify, "slack"), json!(null)),
        (
            "notifications.pagerduty.routingKeySecret",
            json!({"name": "q", "key": "r"}),
            at(notify, "pagerduty/routingKeyFile"),
            json!("q/r"),
        ),
        ("notifications.pagerduty.severity", json!("info"), at(notify, "pagerduty/severity"), json!("info")),
        ("evidence.formats", json!(["pdf"]), "/validation/evidence/pdf", json!(true)),
        ("evidence.formats", json!(["json"]), "/validation/evidence/pdf", json!(false)),
        ("evidence.retentionDays", json!(2555), "/validation/evidence/retentionDays", json!(2555)),
        ("evidence.signing", signing(true), "/validation/evidence/signing/privateKeyFile", json!("k/own.pem")),
        ("evidence.signing", signing(true), "/validation/evidence/signing/publicKeyFile", json!("k/own-pub.pem")),
        ("evidence.signing", signing(false), "/validation/evidence/signing", json!(null)),
    ]
}

/// Fields of a validation that the operator acts on: they are told, kept or made by it.
const NOT_IN_VALIDATIONS: [&str; 3] = ["historyLimit", "backupRef.namespace", "evidence.storage.pvc.create"];

#[test]
fn every_field_of_a_validation_has_its_effect() {
    let (kind, base) = ("KafkaBackupValidation", base_validation());
    let mut seen: BTreeSet<String> = NOT_IN_VALIDATIONS.iter().map(|field| (*field).to_owned()).collect();
    for (field, value, pointer, want) in validation_effects() {
        shows(kind, &base, (field, &value), (pointer, &want));
        seen.insert(field.to_owned());
    }
    for (field, block, pointer, want) in storage_effects("backupRef.storage", "/storage") {
        shows(kind, &base, ("backupRef.storage", &block), (&pointer, &want));
        seen.insert(field);
    }
    seen.insert("sample.seed".to_owned());
    for (field, block, pointer, want) in storage_effects("evidence.storage", "/validation/evidence/storage") {
        shows(kind, &base, ("evidence", &json!({"storage": block})), (&pointer, &want));
        seen.insert(field);
    }
    complete(kind, &seen);
    // With a sample that has no size, or two, nothing runs.
    let place = serde_json::from_value(json!({"pvc": {"claimName": "backups"}})).unwrap();
    for sample in [json!({}), json!({"percent": 1, "bytes": 1})] {
        let mut spec = base_validation();
        spec["sample"] = sample;
        let spec = serde_json::from_value::<KafkaBackupValidationSpec>(spec).unwrap();
        assert_eq!(lower::validation(identity(), &spec, &place, None, None).unwrap_err().field, "spec.sample");
    }
}

/// Without a cluster, the archive alone is looked at: nothing is compared, and nothing else is asked for.
#[test]
fn a_validation_without_a_cluster_looks_at_the_archive() {
    let spec =
        json!({"backupRef": {"name": "nightly"}, "checks": {"messageCount": {"failThreshold": 3}, "offsetRange": {}}});
    let run = lowered("KafkaBackupValidation", spec);
    assert_eq!(run["kafka"], json!(null));
    assert_eq!(
        run["validation"],
        json!({"from": "nightly", "checks": {"structure": true, "checksum": true, "decode": true, "offsetRange": false}})
    );
}

/// Fields of offset kinds that the operator acts on, or that come later.
const NOT_IN_OFFSET_RUNS: [&str; 5] = [
    "offsetMappingRef",
    "snapshotRef.pvcName",
    "snapshotRef.restoreRef",
    "snapshotRef.offsetResetRef",
    "stateStorage.pvc.create",
];

#[test]
fn every_field_of_offset_runs_has_its_effect() {
    for (kind, base, effects) in [
        ("KafkaOffsetReset", base_reset(), reset_effects()),
        ("KafkaOffsetRollback", base_rollback(), rollback_effects()),
    ] {
        let mut seen = BTreeSet::new();
        for (field, value, pointer, want) in effects {
            shows(kind, &base, (field, &value), (pointer, &want));
            seen.insert(field.to_owned());
        }
        for (field, block, pointer, want) in storage_effects("stateStorage", "/storage") {
            shows(kind, &base, ("stateStorage", &block), (&pointer, &want));
            seen.insert(field);
        }
        for (field, strategy, name) in
            [("resetTimestamp", "to-timestamp", "timestamp"), ("resetOffset", "to-offset", "offset")]
        {
            let mut spec = base_reset();
            (spec["resetStrategy"], spec[field]) = (strategy.into(), 7.into());
            assert_eq!(lowered("KafkaOffsetReset", spec)["offsetReset"]["to"], json!({ name: 7 }));
            seen.insert(field.to_owned());
        }
        complete(kind, &seen);
    }
}

fn reset(strategy: &str) -> Value {
    json!({"enabled": true, "consumerGroups": ["shop"], "strategy": strategy})
}

/// Fields that the operator acts on, or that shape a run of retention.
const NOT_IN_RUNS: [&str; 6] =
    ["schedule", "suspend", "retention", "backupRef.namespace", "storage.pvc.create", "stateStorage.pvc.create"];

#[test]
fn every_field_has_its_effect() {
    for (kind, base, own) in
        [("KafkaBackup", base_backup(), backup_effects()), ("KafkaRestore", base_restore(), restore_effects())]
    {
        let backup = kind == "KafkaBackup";
        let mut seen = BTreeSet::new();
        let mut effects: Vec<_> = own.into_iter().chain(limit_effects()).collect();
        if backup {
            effects.extend(cluster_effects());
        }
        for (field, value, pointer, want) in effects {
            shows(kind, &base, (field, &value), (pointer, &want));
            seen.insert(field.to_owned());
        }
        let places: &[(&str, &str)] = if backup {
            &[("storage", "/storage")]
        } else {
            &[("backupRef.storage", "/storage"), ("stateStorage", "/restore/stateStorage")]
        };
        for (at, to) in places {
            for (field, block, pointer, want) in storage_effects(at, to) {
                shows(kind, &base, (at, &block), (&pointer, &want));
                seen.insert(field);
            }
        }
        complete(kind, &seen);
    }
}

/// Every leaf of the schema was seen, or lies below something that was, or belongs to the operator.
fn complete(kind: &str, seen: &BTreeSet<String>) {
    fn leaves(at: &str, schema: &Value, out: &mut Vec<String>) {
        match schema["properties"].as_object() {
            None => out.push(at.to_owned()),
            Some(fields) => {
                for (name, field) in fields {
                    leaves(&if at.is_empty() { name.clone() } else { format!("{at}.{name}") }, field, out);
                }
            }
        }
    }
    let definition = KINDS.iter().find(|known| known.kind == kind).unwrap().definition();
    let definition = serde_json::to_value(definition).unwrap();
    let mut all = Vec::new();
    leaves("", &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], &mut all);
    assert!(all.len() > 40, "{kind}: {}", all.len());
    for leaf in all {
        let below = |known: &str| leaf == known || leaf.starts_with(&format!("{known}."));
        // The cluster block is the same type in both kinds.
        let known = seen.iter().any(|known| below(known))
            || NOT_IN_RUNS.iter().chain(&NOT_IN_OFFSET_RUNS).any(|known| below(known))
            || kind != "KafkaBackup" && (below("kafkaCluster") || leaf.ends_with("storage.pvc.create"))
            || leaf.contains(".pvc.create.");
        assert!(known, "{kind}.{leaf} has no effect");
    }
}

#[test]
fn groups_that_are_named_are_those_that_are_restored() {
    let groups = |auto: bool, strategy: &str| {
        let mut spec = base_restore();
        spec["autoConsumerGroups"] = auto.into();
        spec["offsetReset"] = reset(strategy);
        lowered("KafkaRestore", spec)["restore"]["groups"].clone()
    };
    assert_eq!(groups(false, "auto")["include"], json!(["shop"]));
    assert_eq!(groups(true, "auto").get("include"), None, "all of them");
    assert_eq!((&groups(false, "manual")["commit"], &groups(false, "auto")["commit"]), (&json!(false), &json!(true)));
}

/// What validation refuses has no meaning here either: nothing is dropped, and nothing taken for another.
#[test]
fn a_value_without_a_meaning_is_an_error() {
    let backups = [
        ("compression", json!("gzip"), "spec.compression"),
        ("kafkaCluster.securityProtocol", json!("TLS"), "spec.kafkaCluster.securityProtocol"),
        ("kafkaCluster.saslSecret.mechanism", json!("OAUTH"), "spec.kafkaCluster.saslSecret.mechanism"),
        ("storage.storageType", json!("nfs"), "spec.storage.storageType"),
        ("storage.storageType", json!("s3"), "spec.storage.s3"),
    ];
    for (path, value, field) in backups {
        let mut spec = base_backup();
        set(&mut spec, path, &value);
        let spec = serde_json::from_value::<KafkaBackupSpec>(spec).unwrap();
        assert_eq!(lower::backup(identity(), &spec).unwrap_err().field, field);
    }
    let place = serde_json::from_value(json!({"pvc": {"claimName": "backups"}})).unwrap();
    let restores = [
        ("partitionMapping", json!({"first": 1}), "spec.partitionMapping.first"),
        ("repartitioning", json!({"a": {"strategy": "crc", "targetPartitions": 2}}), "spec.repartitioning.a.strategy"),
        ("pitr", json!({"startTime": "yesterday"}), "spec.pitr.startTime"),
        ("pitr", json!({"endTime": "2026-01-31 noon", "endTimestamp": 5}), "spec.pitr.endTime"),
        ("pitr", json!({"endTimestamp": i64::MAX}), "spec.pitr.endTimestamp"),
        ("stateStorage", json!({"storageType": "gcs"}), "spec.stateStorage.gcs"),
    ];
    for (path, value, field) in restores {
        let mut spec = base_restore();
        set(&mut spec, path, &value);
        let spec = serde_json::from_value::<KafkaRestoreSpec>(spec).unwrap();
        assert_eq!(lower::restore(identity(), &spec, &place, None).unwrap_err().field, field);
        let findings = api::validate::oso_restore(&spec);
        assert!(findings.iter().any(|finding| finding.field == field), "validation misses {field}: {findings:?}");
    }
}

#[test]
fn a_reader_expects_the_set_of_the_kafkabackup_and_the_cluster_of_the_point() {
    let line = |name: &str, cluster: &str| {
        json!({"name": name, "at": "2026-01-01T00:00:00Z", "topics": 1, "partitions": 1, "records": 1, "bytes": 1,
               "heldBack": 0, "clusterId": cluster})
    };
    let backup: KafkaBackup = serde_json::from_value(json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
        "metadata": {"name": "nightly", "namespace": "team"}, "spec": base_backup(),
        "status": {"recentPoints": [line("nightly-20260101-000000", "burnt"), line("nightly-20260102-000000", "rebuilt")]},
    }))
    .unwrap();
    let cluster = |point: Option<&str>| {
        let owner = lower::set_owner_of(&backup, point);
        assert_eq!((owner.name.as_str(), owner.namespace.as_deref()), ("nightly", Some("team")));
        owner.cluster_id
    };
    assert_eq!(cluster(None).as_deref(), Some("rebuilt"));
    assert_eq!(cluster(Some("nightly")).as_deref(), Some("rebuilt"));
    assert_eq!(
        cluster(Some("nightly-20260101-000000")).as_deref(),
        Some("burnt"),
        "restored after the cluster was lost"
    );
    assert_eq!(cluster(Some("nightly-20250101-000000")), None, "older than what the status keeps");
    let spec: KafkaRestoreSpec = serde_json::from_value(base_restore()).unwrap();
    let place = serde_json::from_value(json!({"pvc": {"claimName": "backups"}})).unwrap();
    let run = lower::restore(identity(), &spec, &place, Some(lower::set_owner_of(&backup, None))).unwrap();
    let owner = run.restore.unwrap().owner.unwrap();
    assert_eq!(owner.to_string(), "\"nightly\" in namespace \"team\" on cluster rebuilt");
}
