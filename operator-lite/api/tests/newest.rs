//! What the newest releases of both other operators brought: each field with each value, and what becomes of it. A resource that
//! they take is applied unchanged: the value arrives in the run, or a warning says that it has no effect, or it is refused by name.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use api::document::check;
use api::finding::Level;
use api::lower::strimzi::Source;
use api::lower::{self, Identity};
use api::{oso, strimzi};
use contract::{KafkaSpec, RunSpec, SetOwner};
use jiff::Timestamp;
use serde_json::{Value, json};

/// What becomes of a value.
#[derive(Debug)]
enum Fate {
    /// It is here in the run, as this.
    Is(&'static str, Value),
    /// The same, and a warning names the field.
    Told(&'static str, &'static str, Value),
    /// A warning names the field, and that is all.
    Idle(&'static str),
    /// The resource is refused for the field.
    Refused(&'static str),
}
use Fate::{Idle, Is, Refused, Told};

const NULL: Value = Value::Null;

fn merge(base: &mut Value, more: &Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (name, value) in more {
                merge(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more.clone(),
    }
}

fn document(version: &str, kind: &str, more: &Value) -> Value {
    let spec = match (version.split('/').next().unwrap(), kind) {
        ("kafka.oso.sh", "KafkaBackup") => json!({
            "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["orders"],
            "storage": {"storageType": "pvc", "pvc": {"claimName": "archive"}},
        }),
        ("kafka.oso.sh", _) => json!({
            "kafkaCluster": {"bootstrapServers": ["kafka:9092"]},
            "backupRef": {"name": "nightly", "storage": {"storageType": "pvc", "pvc": {"claimName": "archive"}}},
        }),
        (_, "KafkaBackup") => json!({
            "strimziClusterRef": {"name": "events"},
            "storage": {"type": "s3", "s3": {"bucket": "backups", "credentialsSecret": {"name": "aws", "key": "file"}}},
        }),
        (_, _) => json!({"strimziClusterRef": {"name": "events"}, "backupRef": {"name": "nightly"}}),
    };
    let mut document =
        json!({"apiVersion": version, "kind": kind, "metadata": {"name": "x", "namespace": "shop"}, "spec": spec});
    merge(&mut document["spec"], more);
    document
}

fn run(document: &Value) -> RunSpec {
    let identity = Identity { namespace: "shop".into(), name: "x".into(), run: None };
    let kafka = || KafkaSpec { bootstrap_servers: vec!["kafka:9092".into()], ..KafkaSpec::default() };
    let spec = document["spec"].clone();
    let is_backup = document["kind"] == "KafkaBackup";
    if document["apiVersion"] == "kafka.oso.sh/v1alpha1" {
        if is_backup {
            let spec: oso::KafkaBackupSpec = serde_json::from_value(spec).unwrap();
            return lower::backup(identity, &spec).unwrap();
        }
        let spec: oso::KafkaRestoreSpec = serde_json::from_value(spec).unwrap();
        return lower::restore(identity, &spec, spec.backup_ref.storage.as_ref().unwrap(), None).unwrap();
    }
    if is_backup {
        let spec: strimzi::KafkaBackupSpec = serde_json::from_value(spec).unwrap();
        return lower::strimzi::backup::<strimzi::Released>(identity, &spec, kafka()).unwrap();
    }
    let spec: strimzi::KafkaRestoreSpec = serde_json::from_value(spec).unwrap();
    let backup = document_of_backup();
    let owner = SetOwner { name: "nightly".into(), namespace: Some("shop".into()), cluster_id: None };
    lower::strimzi::restore::<strimzi::Released>(identity, &spec, kafka(), Source { spec: &backup, owner }).unwrap()
}

fn document_of_backup() -> strimzi::KafkaBackupSpec {
    let document = document("kafkabackup.com/v1", "KafkaBackup", &json!({}));
    serde_json::from_value(document["spec"].clone()).unwrap()
}

fn judge(version: &str, kind: &str, more: &Value, fate: &Fate) {
    let document = document(version, kind, more);
    let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let findings = check(&document, now);
    let fields = |level: Level| -> Vec<&str> {
        findings.iter().filter(|finding| finding.level == level).map(|finding| finding.field.as_str()).collect()
    };
    let (refused, told) = match fate {
        Is(..) => (vec![], vec![]),
        Told(field, ..) | Idle(field) => (vec![], vec![*field]),
        Refused(field) => (vec![*field], vec![]),
    };
    assert_eq!(fields(Level::Error), refused, "{kind} {more}: {findings:#?}");
    if let Refused(_) = fate {
        return;
    }
    // The older version of a group warns of itself alone.
    assert_eq!(fields(Level::Warning), told, "{kind} {more}: {findings:#?}");
    let run = run(&document);
    assert_eq!(run.findings(), [], "{kind} {more}");
    if let Is(path, value) | Told(_, path, value) = fate {
        let lowered = serde_json::to_value(&run).unwrap();
        assert_eq!(lowered.pointer(path).unwrap_or(&NULL), value, "{kind} {more}: {path}");
    }
}

/// The OSO operator 1.2.2 to 1.4.1.
#[test]
fn fields_of_the_oso_group() {
    const BREAKER: &str = "/circuitBreaker/failureThreshold";
    const STRIP: &str = "spec.stripOffsetHeaders";
    let backup = [
        (json!({}), Is("/backup/onMissingTopic", NULL)),
        (json!({"onMissingTopic": "fail"}), Is("/backup/onMissingTopic", NULL)),
        (json!({"onMissingTopic": "warn"}), Is("/backup/onMissingTopic", json!("warn"))),
        (json!({"onMissingTopic": "Warn"}), Refused("spec.onMissingTopic")),
        (json!({"onMissingTopic": "skip"}), Refused("spec.onMissingTopic")),
        (json!({"circuitBreaker": {"failureThreshold": 7}}), Is(BREAKER, json!(7))),
    ];
    for (more, fate) in &backup {
        judge("kafka.oso.sh/v1alpha1", "KafkaBackup", more, fate);
    }
    let restore = [
        // Absent, the recovery point says it, and says yes.
        (json!({}), Is("/restore/includeOffsetHeaders", NULL)),
        (json!({"includeOriginalOffsetHeader": true}), Is("/restore/includeOffsetHeaders", json!(true))),
        (json!({"includeOriginalOffsetHeader": false}), Is("/restore/includeOffsetHeaders", json!(false))),
        (json!({"includeOriginalOffsetHeader": "no"}), Refused("spec.includeOriginalOffsetHeader")),
        (
            json!({"includeOriginalOffsetHeader": false, "includeOffsetHeaders": true}),
            Refused("spec.includeOffsetHeaders"),
        ),
        (json!({"stripOffsetHeaders": false}), Is("/restore/stripOffsetHeaders", NULL)),
        (
            json!({"stripOffsetHeaders": true, "includeOriginalOffsetHeader": false}),
            Is("/restore/stripOffsetHeaders", json!(true)),
        ),
        (json!({"stripOffsetHeaders": true}), Told(STRIP, "/restore/stripOffsetHeaders", json!(true))),
        (json!({"stripOffsetHeaders": 1}), Refused(STRIP)),
        (json!({"headerPreflight": "auto"}), Is("/restore/headerPreflight", NULL)),
        (json!({"headerPreflight": "full"}), Is("/restore/headerPreflight", json!("full"))),
        (json!({"headerPreflight": "skip"}), Is("/restore/headerPreflight", json!("skip"))),
        (json!({"headerPreflight": "FULL"}), Refused("spec.headerPreflight")),
        (json!({"circuitBreaker": {"successThreshold": 7}}), Is("/circuitBreaker/successThreshold", json!(7))),
    ];
    for (more, fate) in &restore {
        judge("kafka.oso.sh/v1alpha1", "KafkaRestore", more, fate);
    }
}

/// The Strimzi operator 0.2.20 to 0.4.0: fields of a `KafkaBackup`.
#[test]
fn fields_of_a_backup_of_strimzis_group() {
    let trusted = |all: Value| json!({"storage": {"tls": {"trustedCertificates": all}}});
    let one = |name: &str| json!({"secretName": name, "certificate": "ca.crt"});
    let fields = [
        (trusted(json!([])), Is("/storage/tls", NULL)),
        (trusted(json!([one("a")])), Is("/storage/tls/caFile", json!("a/ca.crt"))),
        (trusted(json!([one("a"), one("b")])), Is("/storage/tls/moreCaFiles", json!(["b/ca.crt"]))),
        (trusted(json!([one("")])), Refused("spec.storage.tls.trustedCertificates[0].secretName")),
        (
            trusted(json!([{"secretName": "a", "certificate": ""}])),
            Refused("spec.storage.tls.trustedCertificates[0].certificate"),
        ),
        (trusted(json!([{"secretName": "a"}])), Refused("spec.storage.tls.trustedCertificates[0].certificate")),
        (json!({"metrics": {"keepAliveSeconds": 30}}), Is("/metrics/keepAliveSecs", json!(30))),
        (json!({"offsetStorage": {"s3Key": "k"}}), Idle("spec.offsetStorage.s3Key")),
        (json!({"offsetStorage": {"backend": "memory"}}), Idle("spec.offsetStorage.backend")),
    ];
    for (more, fate) in &fields {
        for version in ["kafkabackup.com/v1", "kafkabackup.com/v1alpha1", "backup.strimzi.io/v1alpha1"] {
            judge(version, "KafkaBackup", more, fate);
        }
    }
}

/// Each key of `backup.config`.
#[test]
fn keys_of_the_config_of_a_backup() {
    let at = |key: &str| -> &'static str { format!("spec.backup.config.{key}").leak() };
    let keys = [
        ("segment_max_bytes", json!(2_000_000), Is("/backup/segmentMaxBytes", json!(2_000_000))),
        ("segment_max_bytes", json!(0), Refused(at("segment_max_bytes"))),
        ("segment_max_bytes", json!("1Mi"), Refused(at("segment_max_bytes"))),
        ("segment_max_interval_ms", json!(5), Is("/backup/segmentMaxIntervalMs", json!(5))),
        ("compression", json!("lz4"), Is("/backup/compression", json!("lz4"))),
        ("compression", json!("brotli"), Refused(at("compression"))),
        ("compression_level", json!(9), Is("/backup/compressionLevel", json!(9))),
        ("compression_level", json!(23), Refused(at("compression_level"))),
        ("start_offset", json!("latest"), Is("/backup/startOffset", json!("latest"))),
        ("start_offset", json!({"orders": {"0": 5}}), Refused(at("start_offset"))),
        ("continuous", json!(true), Is("/backup/continuous", json!(true))),
        ("stop_at_current_offsets", json!(true), Is("/backup/continuous", json!(false))),
        ("include_internal_topics", json!(true), Is("/backup/includeInternalTopics", json!(true))),
        ("include_offset_headers", json!(false), Is("/backup/includeOffsetHeaders", json!(false))),
        ("source_cluster_id", json!("x"), Is("/backup/sourceClusterId", json!("x"))),
        ("max_concurrent_partitions", json!(9), Is("/backup/maxConcurrentPartitions", json!(9))),
        ("max_concurrent_partitions", json!(0), Refused(at("max_concurrent_partitions"))),
        ("poll_interval_ms", json!(7), Is("/backup/pollIntervalMs", json!(7))),
        ("checkpoint_interval_secs", json!(7), Is("/backup/checkpointIntervalSecs", json!(7))),
        ("sync_interval_secs", json!(7), Idle(at("sync_interval_secs"))),
        ("consumer_group_snapshot", json!(false), Is("/backup/consumerGroupSnapshot", json!(false))),
        ("on_missing_topic", json!("warn"), Is("/backup/onMissingTopic", json!("warn"))),
        ("on_missing_topic", json!("fail"), Is("/backup/onMissingTopic", NULL)),
        ("on_missing_topic", json!("WARN"), Refused(at("on_missing_topic"))),
        ("circuit_breaker", json!({"failure_threshold": 7}), Is("/circuitBreaker/failureThreshold", json!(7))),
        ("circuit_breaker", json!({"reset_timeout_ms": 1_500}), Is("/circuitBreaker/resetTimeoutSecs", json!(2))),
        ("circuit_breaker", json!({}), Is("/circuitBreaker/successThreshold", json!(2))),
        ("circuit_breaker", json!({"enabled": false}), Is("/circuitBreaker/enabled", json!(false))),
        ("circuit_breaker", json!({"success_threshold": 0}), Refused(at("circuit_breaker"))),
        ("circuit_breaker", json!({"threshold": 5}), Refused(at("circuit_breaker"))),
        ("capture_topic_configs", json!(true), Is("/backup/topics", json!(["*"]))),
        ("capture_topic_configs", json!(false), Refused(at("capture_topic_configs"))),
        ("require_topic_configs", json!(false), Is("/backup/topics", json!(["*"]))),
        ("require_topic_configs", json!(true), Refused(at("require_topic_configs"))),
        ("retention", json!({"max_age": "30d"}), Refused(at("retention"))),
        ("fetch_max_bytes", json!(1), Idle(at("fetch_max_bytes"))),
        ("segment_max_records", json!(1), Idle(at("segment_max_records"))),
        ("no_such_key", json!(1), Idle(at("no_such_key"))),
        ("no_such_key", NULL, Is("/backup/topics", json!(["*"]))),
    ];
    for (key, value, fate) in &keys {
        let more = json!({"backup": {"config": {*key: value}}});
        judge("kafkabackup.com/v1", "KafkaBackup", &more, fate);
    }
    // It wins, and says so where both differ.
    let (told, path) = (at("compression"), "/backup/compression");
    let both = |typed: &str| json!({"backup": {"compression": typed, "config": {"compression": "lz4"}}});
    judge("kafkabackup.com/v1", "KafkaBackup", &both("gzip"), &Told(told, path, json!("lz4")));
    judge("kafkabackup.com/v1", "KafkaBackup", &both("lz4"), &Is(path, json!("lz4")));
    for wrong in [json!([]), json!("a"), json!(1)] {
        judge(
            "kafkabackup.com/v1",
            "KafkaBackup",
            &json!({"backup": {"config": wrong}}),
            &Refused("spec.backup.config"),
        );
    }
}

/// Each key of `restore.config`, and the typed field that came with it.
#[test]
fn keys_of_the_config_of_a_restore() {
    let at = |key: &str| -> &'static str { format!("spec.restore.config.{key}").leak() };
    let (start, end) = ("/restore/startTime", "/restore/endTime");
    let groups = json!({"consumerGroups": {"restore": true}});
    let keys = [
        ("time_window_start", json!(0), Is(start, json!("1970-01-01T00:00:00Z"))),
        ("time_window_end", json!(1_500), Is(end, json!("1970-01-01T00:00:01.5Z"))),
        ("time_window_end", json!("now"), Refused(at("time_window_end"))),
        ("source_partitions", json!([1]), Is("/restore/sourcePartitions", json!([1]))),
        ("source_partitions", json!([-1]), Refused(at("source_partitions[0]"))),
        ("topic_mapping", json!({"a": "b"}), Is("/restore/topicMapping", json!({"a": "b"}))),
        ("topic_mapping", json!({"a": "b c"}), Refused(at("topic_mapping[0].targetTopic"))),
        ("partition_mapping", json!({"0": 2}), Is("/restore/partitionMapping", json!({"0": 2}))),
        ("partition_mapping", json!({"x": 2}), Refused(at("partition_mapping"))),
        (
            "repartitioning",
            json!({"a": {"strategy": "automatic", "target_partitions": 3}}),
            Is("/restore/repartitioning/a/targetPartitions", json!(3)),
        ),
        ("repartitioning", json!({"a": {"partitions": 3}}), Refused(at("repartitioning"))),
        ("create_topics", json!(false), Is("/restore/createTopics", json!(false))),
        ("create_topics", json!(true), Is("/restore/createTopics", json!(true))),
        ("default_replication_factor", json!(2), Is("/restore/defaultReplicationFactor", json!(2))),
        ("purge_topics", json!(true), Is("/restore/existingTopics", json!("purge"))),
        ("include_original_offset_header", json!(true), Is("/restore/includeOffsetHeaders", json!(true))),
        ("strip_offset_headers", json!(true), Is("/restore/stripOffsetHeaders", json!(true))),
        ("dry_run", json!(true), Is("/restore/dryRun", json!(true))),
        ("produce_batch_size", json!(5), Is("/restore/produceBatchSize", json!(5))),
        ("produce_acks", json!(1), Is("/restore/produceAcks", json!(1))),
        ("produce_acks", json!(2), Refused(at("produce_acks"))),
        ("produce_timeout_ms", json!(5), Is("/restore/produceTimeoutMs", json!(5))),
        ("max_concurrent_partitions", json!(2), Is("/restore/maxConcurrentPartitions", json!(2))),
        ("rate_limit_records_per_sec", json!(5), Is("/restore/rateLimit/recordsPerSec", json!(5))),
        ("rate_limit_bytes_per_sec", json!(5), Is("/restore/rateLimit/bytesPerSec", json!(5))),
        ("checkpoint_state", json!("x"), Idle(at("checkpoint_state"))),
        ("checkpoint_interval_secs", json!(5), Idle(at("checkpoint_interval_secs"))),
        ("reset_consumer_offsets", json!(true), Is("/restore/groups/commit", json!(true))),
        ("header_preflight", json!("full"), Is("/restore/headerPreflight", json!("full"))),
        ("header_preflight", json!("Full"), Refused(at("header_preflight"))),
        ("circuit_breaker", json!({"enabled": false}), Is("/circuitBreaker/enabled", json!(false))),
        ("restore_topic_configs", json!(true), Is("/restore/dryRun", json!(false))),
        ("restore_topic_configs", json!(false), Refused(at("restore_topic_configs"))),
        ("existing_topic_config_policy", json!("validate_only"), Is("/restore/dryRun", json!(false))),
        ("existing_topic_config_policy", json!("apply"), Refused(at("existing_topic_config_policy"))),
        ("existing_topic_config_policy", json!("fail"), Refused(at("existing_topic_config_policy"))),
        ("topic_config_overrides", json!({}), Is("/restore/dryRun", json!(false))),
        ("topic_config_overrides", json!({"a": {"b": "c"}}), Refused(at("topic_config_overrides"))),
        ("rewrite_schema_ids", json!(false), Is("/restore/dryRun", json!(false))),
        ("rewrite_schema_ids", json!(true), Refused(at("rewrite_schema_ids"))),
        ("schema_id_mapping", json!({"1": 2}), Refused(at("schema_id_mapping"))),
        ("dry_run_check_segments", json!(true), Idle(at("dry_run_check_segments"))),
        ("no_such_key", json!(1), Idle(at("no_such_key"))),
    ];
    for (key, value, fate) in &keys {
        let more = json!({"restore": {"config": {*key: value}}});
        judge("kafkabackup.com/v1", "KafkaRestore", &more, fate);
    }
    // Those of groups count where groups are restored.
    let of_groups = [
        ("consumer_groups", json!(["a"]), Is("/restore/groups/include", json!(["a"]))),
        ("auto_consumer_groups", json!(true), Is("/restore/groups/include", NULL)),
        ("consumer_group_strategy", json!("manual"), Is("/restore/groups/commit", json!(false))),
        ("consumer_group_strategy", json!("other"), Refused(at("consumer_group_strategy"))),
        ("offset_report", json!("/tmp/x"), Idle(at("offset_report"))),
    ];
    for (key, value, fate) in &of_groups {
        let mut more = groups.clone();
        merge(&mut more, &json!({"restore": {"config": {*key: value}}}));
        judge("kafkabackup.com/v1", "KafkaRestore", &more, fate);
    }
    // Nothing is deleted that another field keeps.
    let contradicts = json!({"restore": {"existingTopicPolicy": "append", "config": {"purge_topics": true}}});
    judge("kafkabackup.com/v1", "KafkaRestore", &contradicts, &Refused(at("purge_topics")));
    for (strip, lowered) in [(json!(true), json!(true)), (json!(false), NULL), (NULL, NULL)] {
        let more = json!({"restore": {"stripOffsetHeaders": strip}});
        judge("kafkabackup.com/v1", "KafkaRestore", &more, &Is("/restore/stripOffsetHeaders", lowered));
    }
    judge("kafkabackup.com/v1", "KafkaRestore", &json!({}), &Is("/restore/includeOffsetHeaders", json!(false)));
}
