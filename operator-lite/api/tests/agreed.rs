//! What admission takes, the runner takes; and what a run reads is what its resource names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use api::document::check;
use api::finding::Level;
use api::lower::{self, Identity};
use contract::{MappingPlace, RestoreName, RunSpec, UNENCRYPTED};
use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn document(kind: &str) -> Value {
    let kafka = json!({"bootstrapServers": ["kafka:9092"]});
    let s3 = json!({"storageType": "s3", "s3": {"bucket": "b", "region": "r", "endpoint": "https://s", "credentialsSecret": {"name": "s"}}});
    let spec = match kind {
        "KafkaBackup" => json!({
            "kafkaCluster": kafka, "topics": ["a"], "storage": s3, "checkpoint": {"enabled": true}, "metrics": {},
            "circuitBreaker": {}, "rateLimiting": {}, "sourceClusterId": "eu",
        }),
        "KafkaRestore" => json!({
            "kafkaCluster": kafka, "backupRef": {"name": "nightly", "backupId": ""}, "topicMapping": {"a": "b"},
            "groupMapping": {"g": "h"}, "stateStorage": s3, "circuitBreaker": {}, "rateLimiting": {},
            "offsetReset": {"enabled": true, "consumerGroups": ["g"], "strategy": "auto"}, "planFingerprint": "f",
            "pitr": {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z"},
            "rollback": {"snapshotStorage": {"pvcName": "saved", "subPath": "x"}},
        }),
        "KafkaOffsetReset" => json!({
            "kafkaCluster": kafka, "consumerGroups": ["g"], "topics": ["t"], "resetStrategy": "from-mapping",
            "offsetMappingRef": {"restoreName": "back", "path": "m/offset-mapping.json"}, "stateStorage": s3,
        }),
        "KafkaOffsetRollback" => json!({
            "kafkaCluster": kafka, "consumerGroups": ["g"], "snapshotRef": {"name": "before-1"}, "stateStorage": s3,
        }),
        "KafkaBackupValidation" => json!({
            "kafkaCluster": kafka, "backupRef": {"name": "nightly"}, "restoreRef": {"name": "back"},
            "checks": {
                "messageCount": {"topics": ["t"]}, "consumerGroupOffsets": {"consumerGroups": ["g"]},
                "customWebhooks": [{"name": "hook", "url": "https://h/x"}],
            },
            "sample": {"percent": 10}, "notifications": {"slack": {"webhookSecret": {"name": "s", "key": "k"}}},
        }),
        other => panic!("{other}"),
    };
    json!({"apiVersion": "kafka.oso.sh/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec})
}

const KINDS: [&str; 5] =
    ["KafkaBackup", "KafkaRestore", "KafkaOffsetReset", "KafkaOffsetRollback", "KafkaBackupValidation"];

fn refused(document: &Value) -> Vec<(String, String)> {
    let errors = check(document, now()).into_iter().filter(|finding| finding.level == Level::Error);
    errors.map(|finding| (finding.field.clone(), finding.to_string())).collect()
}

fn spec<T: DeserializeOwned>(document: &Value) -> T {
    serde_json::from_value(document["spec"].clone()).unwrap()
}

/// The run of a document, as a controller makes it.
fn lowered(document: &Value) -> RunSpec {
    let identity = || Identity { namespace: "team".into(), name: "a".into(), run: None };
    let place = || serde_json::from_value(json!({"storageType": "pvc", "pvc": {"claimName": "backups"}})).unwrap();
    let kind = document["kind"].as_str().unwrap();
    let run = match kind {
        "KafkaBackup" => lower::backup(identity(), &spec(document)),
        "KafkaRestore" => {
            let spec: api::oso::KafkaRestoreSpec = spec(document);
            let place = spec.backup_ref.storage.clone().unwrap_or_else(place);
            lower::restore(identity(), &spec, &place, None)
        }
        "KafkaOffsetReset" => {
            let spec: api::oso::KafkaOffsetResetSpec = spec(document);
            let place = spec.state_storage.clone().unwrap_or_else(place);
            let path = spec.offset_mapping_ref.as_ref().and_then(lower::mapping_path);
            let mapping = MappingPlace { path: path.unwrap_or_else(|| "m".into()), storage: None };
            lower::offset_reset(identity(), &spec, &place, Some(mapping))
        }
        "KafkaOffsetRollback" => {
            let spec: api::oso::KafkaOffsetRollbackSpec = spec(document);
            let place = lower::offset_store(&spec.state_storage.clone().unwrap_or_else(place)).unwrap();
            lower::offset_rollback(identity(), &spec, place, Some("before".into()))
        }
        "KafkaBackupValidation" => {
            let spec: api::oso::KafkaBackupValidationSpec = spec(document);
            let place = spec.backup_ref.storage.clone().unwrap_or_else(place);
            let restore = spec.restore_ref.as_ref().map(|restore| RestoreName {
                name: restore.name.clone(),
                namespace: "team".into(),
                state_storage: None,
            });
            lower::validation(identity(), &spec, &place, None, restore)
        }
        other => panic!("{other}"),
    };
    run.unwrap_or_else(|finding| panic!("{kind}: {finding}"))
}

/// Whoever may restore a backup may not restore the others of its storage: an empty text names no point, and the name counts.
#[test]
fn an_empty_point_is_the_newest_one_of_the_backup_that_is_named() {
    for kind in ["KafkaRestore", "KafkaBackupValidation"] {
        let block = if kind == "KafkaRestore" { "restore" } else { "validation" };
        let from = |reference: Value| {
            let mut object = document(kind);
            object["spec"]["backupRef"] = reference;
            serde_json::to_value(lowered(&object)).unwrap()[block]["from"].clone()
        };
        assert_eq!(from(json!({"name": "orders", "backupId": ""})), "orders", "{kind}");
        assert_eq!(from(json!({"name": "orders"})), "orders", "{kind}");
        assert_eq!(from(json!({"name": "orders", "backupId": "orders-1"})), "orders-1", "{kind}");
    }
    // Only where neither is named, the newest of the storage is meant, and that is told.
    for more in [json!({"name": ""}), json!({"name": "", "backupId": ""})] {
        let mut object = document("KafkaRestore");
        object["spec"]["backupRef"] = more;
        object["spec"]["backupRef"]["storage"] = json!({"storageType": "pvc", "pvc": {"claimName": "c"}});
        let told = check(&object, now());
        assert!(told.iter().any(|one| one.field == "spec.backupRef.backupId"), "{told:?}");
    }
}

/// What is set where, and the field that is refused then.
type Case = (&'static str, &'static str, Value, &'static str);

fn cases() -> Vec<Case> {
    let (backup, restore, validation) = ("KafkaBackup", "KafkaRestore", "KafkaBackupValidation");
    let folded = || json!("prod\n");
    vec![
        (backup, "/metrics/path", json!("/"), "spec.metrics.path"),
        (backup, "/metrics/path", json!("/healthz"), "spec.metrics.path"),
        (backup, "/metrics/path", json!("/readyz"), "spec.metrics.path"),
        (backup, "/metrics/path", json!("/metrics?x=1"), "spec.metrics.path"),
        (backup, "/sourceClusterId", json!(""), "spec.sourceClusterId"),
        (backup, "/sourceClusterId", folded(), "spec.sourceClusterId"),
        (backup, "/checkpoint/storage", json!({"pvcName": "p", "subPath": "a\tb"}), "spec.checkpoint.storage"),
        (backup, "/storage/s3/region", folded(), "spec.storage.s3.region"),
        (backup, "/kafkaCluster/securityProtocol", json!("SASL_SSL"), "spec.kafkaCluster.saslSecret"),
        (backup, "/kafkaCluster/securityProtocol", json!("SASL_PLAINTEXT"), "spec.kafkaCluster.saslSecret"),
        (restore, "/topicMapping/a", json!("__consumer_offsets"), "spec.topicMapping.a"),
        (restore, "/groupMapping/g", folded(), "spec.groupMapping.g"),
        (restore, "/offsetReset/consumerGroups", json!(["~("]), "spec.offsetReset.consumerGroups"),
        (restore, "/planFingerprint", folded(), "spec.planFingerprint"),
        (restore, "/stateStorage/s3/region", folded(), "spec.stateStorage.s3.region"),
        (
            validation,
            "/checks/consumerGroupOffsets/consumerGroups",
            json!(["~("]),
            "spec.checks.consumerGroupOffsets.consumerGroups",
        ),
        (validation, "/checks/customWebhooks/0/name", json!("a\nb"), "spec.checks.customWebhooks[0].name"),
        ("KafkaOffsetReset", "/offsetMappingRef/path", json!("../x"), "spec.offsetMappingRef.path"),
        ("KafkaOffsetReset", "/consumerGroups", json!(["g\n"]), "spec.consumerGroups[0]"),
        ("KafkaOffsetRollback", "/snapshotRef/name", json!("a b"), "spec.snapshotRef.name"),
        ("KafkaOffsetRollback", "/snapshotRef", json!({"name": "", "path": "/"}), "spec.snapshotRef.path"),
        ("KafkaOffsetRollback", "/snapshotRef", json!({"name": "", "path": "a//b"}), "spec.snapshotRef.path"),
    ]
}

fn set(document: &mut Value, pointer: &str, value: Value) {
    let (before, name) = pointer.rsplit_once('/').unwrap();
    let place = document.pointer_mut(&format!("/spec{before}")).unwrap();
    match place {
        Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
        place => place[name] = value,
    }
}

#[test]
fn what_a_runner_refuses_is_refused_by_its_field() {
    for kind in KINDS {
        assert_eq!(refused(&document(kind)), [], "{kind}");
    }
    for (kind, pointer, value, field) in cases() {
        let mut object = document(kind);
        set(&mut object, pointer, value.clone());
        let found = refused(&object);
        let fields: Vec<_> = found.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, [field], "{kind} {pointer} {value}: {found:?}");
        assert!(!found[0].1.contains('\n'), "{found:?}");
    }
}

/// The kinds beside a Strimzi cluster make runs of the same form.
#[test]
fn what_a_runner_refuses_of_the_strimzi_groups_is_refused() {
    let spec = json!({
        "strimziClusterRef": {"name": "events"}, "topics": {"include": ["orders"]},
        "storage": {"type": "filesystem", "filesystem": {"path": "backups/a"}}, "backup": {"sourceClusterId": "eu"}, "metrics": {},
    });
    let back = json!({"strimziClusterRef": {"name": "events"}, "backupRef": {"name": "nightly", "backupId": ""}, "restore": {}});
    for version in ["backup.strimzi.io/v1alpha1", "kafkabackup.com/v1alpha1"] {
        let object = |kind: &str, spec: &Value| json!({"apiVersion": version, "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        assert_eq!(refused(&object("KafkaBackup", &spec)), []);
        assert_eq!(refused(&object("KafkaRestore", &back)), []);
        for (kind, base, pointer, value, field) in [
            ("KafkaBackup", &spec, "/backup/sourceClusterId", json!("prod\n"), "spec.backup.sourceClusterId"),
            ("KafkaBackup", &spec, "/metrics/path", json!("/healthz"), "spec.metrics.path"),
            ("KafkaRestore", &back, "/backupRef/backupId", json!("a b"), "spec.backupRef.backupId"),
        ] {
            let mut wrong = object(kind, base);
            set(&mut wrong, pointer, value);
            let found = refused(&wrong);
            assert_eq!(
                found.iter().map(|(field, _)| field.as_str()).collect::<Vec<_>>(),
                [field],
                "{version}: {found:?}"
            );
        }
    }
}

#[test]
fn a_continuous_backup_saves_its_progress() {
    let mut object = document("KafkaBackup");
    object["spec"]["continuous"] = true.into();
    assert_eq!(refused(&object), []);
    object["spec"]["checkpoint"]["enabled"] = false.into();
    assert_eq!(refused(&object)[0].0, "spec.checkpoint.enabled");
}

/// The numbers of a breaker that is off mean nothing; a window whose ends are the same has the records of that time.
#[test]
fn what_a_runner_takes_is_taken() {
    let mut object = document("KafkaBackup");
    object["spec"]["circuitBreaker"] = json!({"enabled": false, "failureThreshold": 0});
    assert_eq!(refused(&object), []);
    assert!(!lowered(&object).circuit_breaker.enabled);
    assert!(lowered(&object).findings().is_empty(), "{:?}", lowered(&object).findings());
    let mut object = document("KafkaRestore");
    object["spec"]["pitr"] = json!({"startTimestamp": 1_800_000_000_000_i64, "endTimestamp": 1_800_000_000_000_i64});
    assert_eq!(refused(&object), []);
    assert!(lowered(&object).findings().is_empty());
}

#[test]
fn a_list_of_groups_beside_all_groups_is_refused() {
    let mut object = document("KafkaRestore");
    object["spec"]["autoConsumerGroups"] = true.into();
    let found = refused(&object);
    assert_eq!(found[0].0, "spec.offsetReset.consumerGroups", "{found:?}");
    object["spec"]["offsetReset"]["consumerGroups"] = json!([]);
    assert_eq!(refused(&object), []);
    // A block that is off says nothing.
    object["spec"]["offsetReset"] = json!({"enabled": false, "consumerGroups": ["g"]});
    assert_eq!(refused(&object), []);
}

/// Places of all texts, numbers and flags of a document.
fn leaves(at: &str, value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(&format!("{at}/{name}"), value, out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(number, value)| leaves(&format!("{at}/{number}"), value, out));
        }
        _ => out.push(at.to_owned()),
    }
}

fn texts() -> impl Strategy<Value = Value> {
    let odd = [
        "",
        " ",
        "/",
        "//",
        "..",
        "../x",
        "a/../b",
        "a b",
        "a//b",
        "/healthz",
        "/a?b",
        "~(",
        "~",
        "~a|b",
        "*",
        "__consumer_offsets",
        "prod\n",
        "a\u{0}",
        "SASL_SSL",
        "SSL",
        "s3://b/c",
        "ä",
        "-1",
        "0",
        "true",
        "nightly-20260101-000000",
        "x:1",
        "kafka",
        ":",
        "http://x:1",
        "https://x",
    ];
    prop_oneof![select(odd.to_vec()).prop_map(Value::from), "[ -~]{0,12}".prop_map(Value::from)]
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => texts(),
        1 => select(vec![-1_i64, 0, 1, 23, 101, 100_000, i64::MAX]).prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(json!([])),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever stands in a document: one that is taken makes a run that the runner takes.
    #[test]
    fn what_is_taken_runs(kind in select(KINDS.to_vec()), changes in prop::collection::vec((any::<prop::sample::Index>(), values()), 1..3)) {
        let mut object = document(kind);
        for (place, value) in changes {
            let mut all = Vec::new();
            leaves("", &object["spec"], &mut all);
            if !all.is_empty() {
                set(&mut object, place.get::<String>(&all), value);
            }
        }
        if refused(&object).is_empty() {
            // Admission warns of that one.
            let found: Vec<_> = lowered(&object).findings().into_iter().filter(|found| found.rule != UNENCRYPTED).collect();
            prop_assert!(found.is_empty(), "{object}: {found:?}");
        }
    }
}
