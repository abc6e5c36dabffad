use super::*;

fn fields(kafka: bool, change: impl Fn(&mut serde_json::Value)) -> Vec<String> {
    let mut value = serde_json::json!({"from": "orders", "checks": {"structure": true}});
    change(&mut value);
    let spec: ValidationSpec = serde_json::from_value(value).unwrap();
    let servers = if kafka { vec!["h:1".to_owned()] } else { Vec::new() };
    let kafka = KafkaSpec { bootstrap_servers: servers, ..KafkaSpec::default() };
    let mut out = Vec::new();
    spec.check(&kafka, &mut out);
    out.into_iter().map(|(field, _)| field).collect()
}

#[test]
fn a_validation_checks_something_and_asks_a_cluster_only_where_there_is_one() {
    assert!(fields(false, |_| ()).is_empty());
    assert_eq!(fields(false, |v| v["checks"] = serde_json::json!({})), ["checks"]);
    for check in ["messageCount", "consumerGroupOffsets"] {
        let with = |v: &mut serde_json::Value| v["checks"][check] = serde_json::json!({});
        assert_eq!(fields(false, with), ["checks"], "{check}");
        assert!(fields(true, with).is_empty(), "{check}");
    }
    assert_eq!(fields(false, |v| v["checks"]["offsetRange"] = true.into()), ["checks"]);
    assert_eq!(fields(true, |v| v["restore"] = serde_json::json!({"name": "r"})), ["restore"]);
}

#[test]
fn samples_and_webhooks_keep_their_rules() {
    let sample = |size: serde_json::Value| {
        fields(false, |v| {
            v["checks"]["decode"] = true.into();
            v["sample"] = serde_json::json!({"size": size, "seed": 7});
        })
    };
    assert!(sample(serde_json::json!({"percent": 100})).is_empty());
    assert_eq!(sample(serde_json::json!({"percent": 0})), ["sample.size.percent"]);
    assert_eq!(sample(serde_json::json!({"percent": 101})), ["sample.size.percent"]);
    assert_eq!(sample(serde_json::json!({"bytes": 0})), ["sample.size.bytes"]);
    assert_eq!(fields(false, |v| v["sample"] = serde_json::json!({"size": {"bytes": 1}})), ["sample"]);
    let hooks = |hooks: serde_json::Value| fields(false, |v| v["checks"]["webhooks"] = hooks.clone());
    assert!(hooks(serde_json::json!([{"name": "a", "url": "https://h/x"}])).is_empty());
    let bad = serde_json::json!([
        {"name": "a", "url": "ftp://h", "timeoutSecs": 0, "expectedStatusCode": 99},
        {"name": "a", "url": "https://u:p@h/x"},
        {"name": "decode", "url": "https://h"},
        {"name": "", "url": "https://h"},
    ]);
    let at = |n: usize, field: &str| format!("checks.webhooks[{n}].{field}");
    let expected = [
        at(0, "url"),
        at(0, "timeoutSecs"),
        at(0, "expectedStatusCode"),
        at(1, "name"),
        at(1, "url"),
        at(2, "name"),
        at(3, "name"),
    ];
    assert_eq!(hooks(bad), expected);
    let many: Vec<_> = (0..21).map(|n| serde_json::json!({"name": n.to_string(), "url": "http://h"})).collect();
    assert_eq!(hooks(many.into()), ["checks.webhooks"]);
}

#[test]
fn notices_name_files() {
    let notify = |value: serde_json::Value| fields(false, |v| v["notify"] = value.clone());
    let good = serde_json::json!({"slack": {"urlFile": "s/url"}, "pagerduty": {"routingKeyFile": "p/key"}});
    assert!(notify(good).is_empty());
    let bad = serde_json::json!({"slack": {"urlFile": "../url"}, "pagerduty": {"routingKeyFile": "p", "url": "x"}});
    assert_eq!(notify(bad), ["notify.slack.urlFile", "notify.pagerduty.url"]);
}

#[test]
fn evidence_keeps_its_rules() {
    let evidence = |value: serde_json::Value| fields(false, |v| v["evidence"] = value.clone());
    assert!(evidence(serde_json::json!({})).is_empty());
    let keys = serde_json::json!({"privateKeyFile": "key/signing-key.pem", "publicKeyFile": "key/signing-key-pub.pem"});
    assert!(evidence(serde_json::json!({"pdf": true, "signing": keys, "retentionDays": 2555})).is_empty());
    let bad = serde_json::json!({"retentionDays": 0, "signing": {"privateKeyFile": "../key", "publicKeyFile": ""},
        "storage": {"type": "filesystem", "path": ""}});
    let found = evidence(bad);
    for field in ["evidence.retentionDays", "evidence.signing.privateKeyFile", "evidence.signing.publicKeyFile"] {
        assert!(found.iter().any(|one| one == field), "{field}: {found:?}");
    }
    assert!(found.iter().any(|one| one.starts_with("evidence.storage")), "{found:?}");
}
