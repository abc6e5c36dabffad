use super::*;

fn spec(change: impl Fn(&mut serde_json::Value)) -> Result<RunSpec, serde_json::Error> {
    let mut value = serde_json::json!({
        "formatVersion": 1, "name": "orders",
        "kafka": {"bootstrapServers": ["127.0.0.1:9092"]},
        "storage": {"type": "filesystem", "path": "/tmp/a"},
        "backup": {"topics": ["orders"]},
    });
    change(&mut value);
    serde_json::from_value(value)
}

fn fields(change: impl Fn(&mut serde_json::Value)) -> Vec<String> {
    spec(change).unwrap().findings().into_iter().map(|finding| finding.field).collect()
}

#[test]
fn defaults_are_the_documented_ones() {
    let spec = spec(|_| ()).unwrap();
    assert!(spec.findings().is_empty());
    let backup = spec.backup.unwrap();
    assert_eq!((backup.compression, backup.compression_level), (crate::Compression::Zstd, 3));
    assert_eq!((backup.segment_max_bytes, backup.segment_max_interval_ms), (134_217_728, 60_000));
    assert_eq!((backup.checkpoint_interval_secs, backup.include_offset_headers), (Some(30), true));
    assert_eq!(spec.kafka.connection.connections_per_broker, 4);
}

#[test]
fn unknown_fields_are_refused_by_name() {
    for path in ["", "kafka", "storage", "backup"] {
        let error = spec(|v| {
            let at = if path.is_empty() { v } else { &mut v[path] };
            at["topicz"] = 1.into();
        });
        assert!(error.unwrap_err().to_string().contains("topicz"), "{path}");
    }
}

#[test]
fn broken_rules_are_all_found_at_once() {
    let found = fields(|v| {
        v["name"] = "../x".into();
        v["kafka"]["bootstrapServers"] = serde_json::json!(["nohost", ":1", "h:0"]);
        v["kafka"]["securityProtocol"] = "SASL_SSL".into();
        v["kafka"]["tls"] = serde_json::json!({"certificateFile": "a.pem"});
        v["backup"]["topics"] = serde_json::json!([]);
        v["backup"]["compressionLevel"] = 0.into();
        v["backup"]["segmentMaxBytes"] = 5.into();
    });
    for field in [
        "name",
        "kafka.bootstrapServers",
        "kafka.sasl",
        "kafka.tls",
        "backup.topics",
        "backup.compressionLevel",
        "backup.segmentMaxBytes",
    ] {
        assert!(found.iter().any(|f| f == field), "{field} in {found:?}");
    }
}

#[test]
fn a_run_does_exactly_one_thing() {
    let all = ["backup, restore, offsetReset, offsetRollback, validation, prune"];
    assert_eq!(fields(|v| v["backup"] = serde_json::Value::Null), all);
    assert_eq!(fields(|v| v["restore"] = serde_json::json!({"from": "x"})), all);
}

#[test]
fn restore_rules() {
    let restore = |value: serde_json::Value| {
        fields(move |v| {
            v["backup"] = serde_json::Value::Null;
            v["restore"] = value.clone();
        })
    };
    assert!(restore(serde_json::json!({"from": "orders-20260101-000000"})).is_empty());
    let found = restore(serde_json::json!({
        "from": "a/b", "startTime": "2026-01-02T00:00:00Z", "endTime": "1", "produceAcks": 2, "produceBatchSize": 0,
        "produceTimeoutMs": 0, "defaultReplicationFactor": 0, "topicMapping": {"a": "x", "b": "x", "c": "no/slash"},
        "sourcePartitions": [-1], "maxConcurrentPartitions": 0,
    }));
    assert_eq!(found.len(), 10, "{found:?}");
}

#[test]
fn the_schema_names_every_block() {
    let text = serde_json::to_string(&RunSpec::schema()).unwrap();
    for word in ["bootstrapServers", "openTransactionWaitSecs", "topicMapping", "sharedFile", "shared-file"] {
        assert!(text.contains(word) || word.starts_with("shared"), "{word}");
    }
}

#[test]
fn prefixes_that_no_store_could_have_as_they_are_written_are_refused() {
    let found = |prefix: &str| fields(|v| v["storage"]["prefix"] = prefix.into());
    for good in ["", "team/a", "/team/a/", "ä b/%2F~x", "100%"] {
        assert!(found(good).is_empty(), "{good}");
    }
    for bad in ["a/../b", "a//b", "a\nb", "a\\b", "\u{7f}"] {
        assert_eq!(found(bad), ["storage.prefix"], "{bad:?}");
    }
}

#[test]
fn a_restore_bounds_what_is_on_its_way_and_fails_at_what_it_cannot_read() {
    let restore = |more: serde_json::Value| {
        let mut value = serde_json::json!({"from": "x"});
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let value = spec(|v| {
            v["backup"] = serde_json::Value::Null;
            v["restore"] = value.clone();
        });
        value.unwrap()
    };
    let defaults = restore(serde_json::json!({})).restore.unwrap();
    assert_eq!((defaults.max_in_flight_bytes, defaults.on_unreadable), (32 << 20, crate::OnUnreadable::Fail));
    assert_eq!(restore(serde_json::json!({"maxInFlightBytes": 0})).findings()[0].field, "restore.maxInFlightBytes");
    let skip = restore(serde_json::json!({"onUnreadable": "skip"}));
    assert_eq!(skip.restore.unwrap().on_unreadable, crate::OnUnreadable::Skip);
}

#[test]
fn what_a_run_connects_to_is_in_the_list_of_allowed_endpoints() {
    let found = |allowed: &[&str]| {
        fields(|v| {
            v["allowedEndpoints"] = serde_json::json!(allowed);
            v["storage"] = serde_json::json!({"type": "s3", "bucket": "b", "region": "eu-central-1"});
            v["backup"] = serde_json::Value::Null;
            v["restore"] = serde_json::json!({
                "stateStorage": {"type": "s3", "bucket": "c", "region": "r", "endpoint": "https://minio.shop.svc:10000"},
            });
        })
    };
    assert!(found(&[]).is_empty(), "everything is allowed");
    assert_eq!(found(&["elsewhere"]), ["kafka.bootstrapServers", "storage", "restore.stateStorage"]);
    assert!(found(&["127.0.0.0/8", "s3.eu-central-1.amazonaws.com:443", "*.shop.svc:10000"]).is_empty());
    assert_eq!(found(&["127.0.0.0/8:9093", "*.amazonaws.com", "*.shop.svc"]), ["kafka.bootstrapServers"]);
    assert_eq!(found(&["127.0.0.1", "https://x"]), ["allowedEndpoints[1]"]);
}

#[test]
fn only_a_validation_may_be_without_a_cluster() {
    let without = |more: serde_json::Value| {
        fields(move |v| {
            let all = v.as_object_mut().unwrap();
            all.remove("kafka");
            all.remove("backup");
            all.extend(more.as_object().unwrap().clone());
        })
    };
    let archive = serde_json::json!({"validation": {"from": "orders", "checks": {"decode": true}}});
    assert!(without(archive).is_empty());
    let count = serde_json::json!({"validation": {"from": "orders", "checks": {"messageCount": {}}}});
    assert_eq!(without(count), ["validation.checks"]);
    assert_eq!(without(serde_json::json!({"restore": {"from": "orders"}})), ["kafka.bootstrapServers"]);
    // What was a good specification is one, and is written as it was.
    let spec = spec(|_| ()).unwrap();
    let text = serde_json::to_string(&spec).unwrap();
    assert!(text.contains("bootstrapServers") && !text.contains("validation"), "{text}");
}

#[test]
fn a_run_of_retention_asks_no_cluster() {
    let prune = |more: serde_json::Value| {
        fields(move |v| {
            let all = v.as_object_mut().unwrap();
            all.remove("kafka");
            all.remove("backup");
            all.extend(more.as_object().unwrap().clone());
        })
    };
    let good = serde_json::json!({"rules": {"least": 1, "most": 7}});
    assert!(prune(serde_json::json!({"prune": good})).is_empty());
    let kafka = serde_json::json!({"prune": good, "kafka": {"bootstrapServers": ["127.0.0.1:9092"]}});
    assert_eq!(prune(kafka), ["kafka"]);
    assert_eq!(prune(serde_json::json!({"prune": good, "name": "orders-20260101-000000"})), ["name"]);
    assert_eq!(
        prune(serde_json::json!({"prune": {"rules": {"least": 0}, "graceSecs": 0}})),
        ["prune.rules", "prune.graceSecs"]
    );
}

#[test]
fn webhooks_go_where_the_installation_allows_it() {
    let found = |allowed: &[&str]| {
        fields(|v| {
            v["allowedEndpoints"] = serde_json::json!(allowed);
            v["backup"] = serde_json::Value::Null;
            let hook = serde_json::json!({"name": "a", "url": "https://hooks.example.com/secret"});
            let notify = serde_json::json!({"pagerduty": {"routingKeyFile": "p/key"}});
            v["validation"] = serde_json::json!({"checks": {"webhooks": [hook]}, "notify": notify});
        })
    };
    assert!(found(&[]).is_empty());
    let both = ["validation.checks.webhooks[0].url", "validation.notify.pagerduty.url"];
    assert_eq!(found(&["127.0.0.1"]), both);
    assert!(found(&["127.0.0.1", "*.example.com:443", "events.pagerduty.com"]).is_empty());
}
