//! Every text of a specification, and every file of a secret, with values that people paste: whatever they are, they are
//! refused by name or used, and no client ends the process over them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use archive::{Paths, open_unasked};
use contract::{CircuitBreakerSpec, ResetTo, RunSpec, SaslMechanism, SecurityProtocol, StoreSpec, Waits};
use proptest::prelude::*;
use runner::context::Context;
use serde_json::{Value, json};

/// A store that answers every request with an empty list.
static STORE: LazyLock<u16> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            drop(stream.read(&mut [0; 1 << 16]));
            let body = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
            drop(write!(
                stream,
                "HTTP/1.1 404 no\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
    });
    port
});

/// A broker that takes every login as far as this: it offers what a login needs, and answers each of its messages with nothing
/// more to say. How many login messages came.
static BROKER: LazyLock<(u16, Arc<AtomicU32>)> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, logins) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&logins);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let counted = Arc::clone(&counted);
            // Whoever leaves in the middle, or speaks TLS, is no failure here.
            std::thread::spawn(move || drop(answer(stream, &counted)));
        }
    });
    (port, logins)
});

fn answer(mut stream: TcpStream, logins: &AtomicU32) -> std::io::Result<()> {
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length);
        if !(8..1 << 16).contains(&length) {
            return Ok(());
        }
        let mut frame = vec![0; length as usize];
        stream.read_exact(&mut frame)?;
        let body: &[u8] = match frame[1] {
            // ApiVersions 3: no error; ApiVersions, Metadata, SaslHandshake and SaslAuthenticate in their oldest common versions.
            18 => &[
                0, 0, 5, 0, 18, 0, 0, 0, 3, 0, 0, 3, 0, 0, 0, 12, 0, 0, 17, 0, 1, 0, 1, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0,
            ],
            // SaslHandshake 1: no error, no list.
            17 => &[0, 0, 0, 0, 0, 0],
            // SaslAuthenticate 0: no error, no words, no bytes.
            36 => {
                logins.fetch_add(1, Ordering::Relaxed);
                &[0, 0, 0xff, 0xff, 0, 0, 0, 0]
            }
            _ => return Ok(()), // the login is over
        };
        let mut out = u32::try_from(body.len() + 4).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(&frame[4..8]);
        out.extend_from_slice(body);
        stream.write_all(&out)?;
    }
}

/// The works of a run.
const WORKS: [&str; 6] = ["backup", "restore", "offsetReset", "offsetRollback", "validation", "prune"];
/// Storage blocks.
const STORAGES: usize = 8;

/// A storage block of each kind, with every field that holds a text. Where a CA is given, its file is what is looked at first.
fn block(kind: usize, with_ca: bool) -> Value {
    let endpoint = format!("http://127.0.0.1:{}", *STORE);
    let mut storage = match kind {
        0 => {
            json!({"type": "s3", "bucket": "b", "region": "us-east-1", "prefix": "p", "endpoint": endpoint, "allowHttp": true,
            "credentials": {"keys": {"accessKeyIdFile": "value", "secretAccessKeyFile": "value"}}})
        }
        1 => {
            json!({"type": "s3", "bucket": "b", "region": "us-east-1", "prefix": "p", "endpoint": endpoint, "allowHttp": true,
            "credentials": {"shared-file": {"file": "shared", "profile": "default"}}})
        }
        2 => {
            json!({"type": "azure", "account": "acc", "container": "c", "prefix": "p", "endpoint": endpoint, "allowHttp": true,
            "credentials": {"account-key": {"file": "value"}}})
        }
        3 => {
            json!({"type": "azure", "account": "acc", "container": "c", "prefix": "p", "endpoint": endpoint, "allowHttp": true,
            "credentials": {"sas-token": {"file": "value"}}})
        }
        4 => {
            json!({"type": "azure", "account": "acc", "container": "c", "prefix": "p", "endpoint": endpoint, "allowHttp": true,
            "credentials": {"service-principal": {"clientIdFile": "value", "tenantIdFile": "value", "clientSecretFile": "value"}}})
        }
        5 => {
            json!({"type": "azure", "account": "acc", "container": "c", "prefix": "p", "endpoint": endpoint, "allowHttp": true,
            "credentials": {"application": {"clientId": "a", "tenantId": "t", "clientSecretFile": "value"}}})
        }
        6 => json!({"type": "gcs", "bucket": "b", "prefix": "p", "endpoint": endpoint, "allowHttp": true,
            "credentials": {"service-account": {"file": "json"}}}),
        _ => return json!({"type": "filesystem", "path": "folder", "prefix": "p"}),
    };
    if with_ca {
        storage["tls"] = json!({"caFile": "value", "moreCaFiles": ["value"]});
    }
    storage
}

/// A run specification with every field that holds a text; those of its work twice where they can have two forms.
fn whole(kind: usize, work: usize) -> Value {
    let storage = |kind| block(kind, work % 2 == 1);
    let mut spec = json!({
        "formatVersion": 1, "name": "orders", "namespace": "shop", "run": {"id": "a", "at": "2026-01-01T00:00:00Z", "attempt": 1},
        "kafka": {"bootstrapServers": [format!("127.0.0.1:{}", BROKER.0)], "securityProtocol": "SASL_SSL",
            "tls": {"caFile": "value", "certificateFile": "value", "keyFile": "value", "keyPasswordFile": "value"},
            "sasl": {"mechanism": "PLAIN", "usernameFile": "value", "passwordFile": "value"},
            "connection": {"clientRack": "a", "connectTimeoutMs": 20, "retryDeadlineMs": 20}},
        "storage": storage(kind), "metrics": {"bindAddress": "127.0.0.1", "path": "/metrics"},
        "allowedEndpoints": ["127.0.0.0/8"],
    });
    // The other forms of a login and of a CA.
    if WORKS[work] == "restore" {
        spec["kafka"]["sasl"] = json!({"mechanism": "PLAIN", "username": "u", "passwordFile": "value"});
        spec["kafka"]["tls"] = json!({"caCertificates": ["AAAA"], "certificateFile": "value", "keyFile": "value", "keyPasswordFile": "value"});
    }
    // Retention asks no cluster.
    if WORKS[work] == "prune" {
        spec.as_object_mut().unwrap().remove("kafka");
    }
    let saving = json!({"storage": storage(kind)});
    spec[WORKS[work]] = match WORKS[work] {
        "backup" => json!({"topics": ["a"], "exclude": ["b"], "checkpointFolder": "f", "sourceClusterId": "x",
            "consumerGroupSnapshot": true, "groups": ["g"], "excludeGroups": ["h"],
            "includeInternalTopics": true, "internalTopics": ["__t"]}),
        "restore" => json!({"from": "orders", "topics": ["a"], "exclude": ["b"], "topicMapping": {"a": "c"},
            "repartitioning": {}, "lineages": {"a": "00000000-0000-0000-0000-000000000000"}, "timelines": {"a/0": 1},
            "startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-02T00:00:00Z", "planFingerprint": "x",
            "owner": {"name": "orders", "namespace": "shop", "clusterId": "x"}, "stateStorage": storage(kind),
            "groups": {"include": ["g"], "exclude": ["h"], "mapping": {"g": "i"}, "saving": saving}, "undoOffsets": "x"}),
        "offsetReset" => json!({"groups": ["g"], "topics": ["a"], "saving": saving,
            "to": {"mapping": {"path": "p", "storage": storage(kind)}}}),
        "validation" => json!({"from": "orders", "owner": {"name": "orders", "namespace": "shop", "clusterId": "x"},
            "restore": {"name": "r", "namespace": "shop", "stateStorage": storage(kind)},
            "checks": {"decode": true, "messageCount": {"topics": ["a"]}, "consumerGroupOffsets": {"groups": ["g"]},
                "webhooks": [{"name": "w", "url": "http://127.0.0.1:1/x"}]},
            "evidence": {"signing": {"privateKeyFile": "value", "publicKeyFile": "value"}, "storage": storage(kind)},
            "notify": {"slack": {"urlFile": "value"},
                "pagerduty": {"routingKeyFile": "value", "severity": "info", "url": "http://127.0.0.1:1/y"}}}),
        "prune" => json!({"rules": {"least": 1, "most": 3}, "clusterId": "x"}),
        _ => {
            json!({"from": if kind.is_multiple_of(2) { json!({"id": "x"}) } else { json!({"path": "p"}) }, "groups": ["g"]})
        }
    };
    spec
}

/// The stores of a specification.
fn stores(spec: &RunSpec) -> Vec<&StoreSpec> {
    let groups = spec.restore.iter().flat_map(|restore| &restore.groups);
    let saving = groups.map(|groups| &groups.saving).chain(spec.offset_reset.iter().map(|reset| &reset.saving));
    let mapping = spec.offset_reset.iter().filter_map(|reset| match &reset.to {
        ResetTo::Mapping(place) => place.storage.as_ref(),
        _ => None,
    });
    let validated = spec.validation.iter().filter_map(|part| part.restore.as_ref()?.state_storage.as_ref());
    let state = spec.restore.iter().filter_map(|restore| restore.state_storage.as_ref()).chain(validated);
    [&spec.storage]
        .into_iter()
        .chain(saving.filter_map(|saving| saving.storage.as_ref()))
        .chain(mapping)
        .chain(state)
        .collect()
}

/// The texts of a document, by pointer.
fn texts(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::String(_) => out.push(at.to_owned()),
        Value::Array(list) => list.iter().enumerate().for_each(|(n, value)| texts(value, &format!("{at}/{n}"), out)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            texts(value, &format!("{at}/{}", name.replace('/', "~1")), out);
        }),
        _ => {}
    }
}

fn odd() -> impl Strategy<Value = String> {
    let pasted = [
        "",
        " ",
        "\n",
        "a\nb",
        "a\r\nb",
        "\0",
        "\u{1b}[2J",
        "\u{202e}",
        "'",
        "\"",
        "\"a\"",
        "${VAR}",
        "%00",
        "%",
        "ä",
        "日本",
        "a b",
        "a/b",
        "../x",
        "..",
        ".",
        "/",
        "?",
        "#",
        "a?b#c",
        "http://a:99999",
        "http://h^x",
        "https://",
        "https://[::1",
        "http://a:b@c",
        "::1:9092",
        "[default]\naws_access_key_id = AK\naws_secret_access_key = \"SK\" # mine\n",
        "AccountName=acc;AccountKey=!;x",
        "sv=1&sig=a\nb",
        "{\"type\":\"service_account\",\"client_email\":\"a\",\"private_key\":\"-----BEGIN PRIVATE KEY-----\\nAA==\\n-----END PRIVATE KEY-----\",\"private_key_id\":\"\\n\"}",
        "-----BEGIN PRIVATE KEY-----MIIE-----END PRIVATE KEY-----",
        "~[",
        "~(?i)",
        "a{1000}{1000}",
        "1:2:3",
        "host:0",
        "host:65536",
    ];
    prop_oneof![
        6 => prop::sample::select(pasted.map(str::to_owned).to_vec()),
        2 => any::<String>(),
        1 => (prop::sample::select(vec!["x", "ä", "\n", "/", "a=b&"]), 20_000usize..100_000).prop_map(|(part, n)| part.repeat(n / part.len())),
    ]
}

async fn ask(storage: &StoreSpec, paths: &Paths) {
    let breaker = CircuitBreakerSpec { operation_timeout_ms: 200, ..CircuitBreakerSpec::default() };
    let Ok(store) = open_unasked(storage, paths, &breaker, &Waits::default()) else { return };
    drop(tokio::time::timeout(Duration::from_millis(200), store.folders(&"a".into())).await);
}

/// Reads what the specification names and connects as a run does: with TLS as it says, and the login of each mechanism without.
async fn dial(spec: &RunSpec, paths: &Paths) {
    let context = Context::system(paths.clone());
    let limit = Duration::from_millis(400);
    drop(tokio::time::timeout(limit, runner::connect::cluster(&context, spec, &[])).await);
    for mechanism in [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
        let mut open = spec.clone();
        open.kafka.security_protocol = SecurityProtocol::SaslPlaintext;
        open.kafka.tls = None;
        if let Some(sasl) = &mut open.kafka.sasl {
            sasl.mechanism = mechanism;
        }
        drop(tokio::time::timeout(limit, runner::connect::cluster(&context, &open, &[])).await);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_of_a_user_ends_the_process(
        kind in 0..STORAGES, work in 0..WORKS.len(), which: prop::sample::Index, value in odd(), secret in odd(), as_file: bool,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let plain = |good: &str| if as_file { secret.clone() } else { good.to_owned() };
        write("value", &plain("c2VjcmV0"));
        write("shared", &plain("[default]\naws_access_key_id = AK\naws_secret_access_key = SK\n"));
        write("json", &plain("{}"));
        let paths = Paths { secrets: folder.path().into(), volumes: folder.path().into() };
        let mut document = whole(kind, work);
        let mut places = Vec::new();
        texts(&document, "", &mut places);
        *document.pointer_mut(&places[which.index(places.len())]).unwrap() = value.clone().into();
        // An unknown name of a choice is refused by the reader.
        let Ok(spec) = serde_json::from_value::<RunSpec>(document) else { return Ok(()) };
        let findings = spec.findings();
        for finding in &findings {
            prop_assert!(!finding.field.is_empty() || finding.rule.contains("key"), "{finding:?}");
            prop_assert!(!finding.rule.contains(['\n', '\u{1b}']), "{finding:?}");
        }
        if findings.is_empty() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let asking = futures::future::join_all(stores(&spec).into_iter().map(|store| ask(store, &paths)));
            runtime.block_on(async { tokio::join!(asking, dial(&spec, &paths)) });
        }
    }
}

/// Where the schema has texts: pointers with `*` for each name and number that is not the schema's own. Names of choices and
/// stores inside of a work are left out: a store is the same thing everywhere.
fn of_schema(schema: &Value, at: &Value, path: &str, out: &mut BTreeSet<String>) {
    if let Some(name) = at["$ref"].as_str() {
        let is_inner_store = name.ends_with("/StoreSpec") && path != "/storage";
        if !is_inner_store {
            of_schema(schema, schema.pointer(name.trim_start_matches('#')).unwrap(), path, out);
        }
    }
    for choice in ["anyOf", "oneOf", "allOf"] {
        at[choice].as_array().into_iter().flatten().for_each(|one| of_schema(schema, one, path, out));
    }
    let is_text = at["type"] == "string" || at["type"].as_array().is_some_and(|all| all.contains(&json!("string")));
    if is_text && at.get("enum").is_none() && at.get("const").is_none() {
        out.insert(path.to_owned());
    }
    for (name, field) in at["properties"].as_object().into_iter().flatten() {
        of_schema(schema, field, &format!("{path}/{name}"), out);
    }
    for inner in ["items", "additionalProperties"] {
        if at[inner].is_object() {
            of_schema(schema, &at[inner], &format!("{path}/*"), out);
        }
    }
}

#[test]
fn every_text_of_a_specification_is_among_those_that_are_tried() {
    let schema = serde_json::to_value(RunSpec::schema()).unwrap();
    let mut wanted = BTreeSet::new();
    of_schema(&schema, &schema, "", &mut wanted);
    assert!(wanted.len() > 60, "{wanted:?}");
    let mut tried = Vec::new();
    for (kind, work) in (0..STORAGES).flat_map(|kind| (0..WORKS.len()).map(move |work| (kind, work))) {
        let document = whole(kind, work);
        let spec: RunSpec = serde_json::from_value(document.clone()).unwrap();
        assert!(spec.findings().is_empty(), "{document}: {:?}", spec.findings());
        texts(&document, "", &mut tried);
    }
    let is_tried = |path: &&String| {
        let parts: Vec<&str> = path.split('/').collect();
        tried.iter().any(|tried| {
            let tried: Vec<&str> = tried.split('/').collect();
            tried.len() == parts.len() && tried.iter().zip(&parts).all(|(tried, part)| *part == "*" || tried == part)
        })
    };
    let untried: Vec<_> = wanted.iter().filter(|path| !is_tried(path)).collect();
    assert!(untried.is_empty(), "add them to `whole`: {untried:#?}");
}

/// What the tries above read: files of TLS, and the login of each mechanism.
#[test]
fn certificates_keys_and_logins_are_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("value"), "c2VjcmV0").unwrap();
    let paths = Paths { secrets: folder.path().into(), volumes: folder.path().into() };
    let spec: RunSpec = serde_json::from_value(whole(0, 0)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let reached = |spec: &RunSpec| {
        let context = Context::system(paths.clone());
        runtime.block_on(runner::connect::cluster(&context, spec, &[])).unwrap_err().message
    };
    let with_tls = reached(&spec);
    assert!(with_tls.contains("/value: holds no certificate in PEM or DER"), "{with_tls}");
    let mut given: RunSpec = serde_json::from_value(whole(0, 1)).unwrap();
    given.allowed_endpoints.clear();
    assert!(reached(&given).contains("tls.caCertificates"), "{}", reached(&given));
    let before = BROKER.1.load(Ordering::Relaxed);
    runtime.block_on(dial(&spec, &paths));
    assert!(BROKER.1.load(Ordering::Relaxed) >= before + 3, "a message of a login for each mechanism");
}

/// The one that was seen: a whole credentials file in the place of a key id ended the process.
#[test]
fn a_pasted_credentials_file_is_named_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[default]\naws_access_key_id = canary-id\naws_secret_access_key = canary-secret\n";
    std::fs::write(folder.path().join("value"), text).unwrap();
    let spec: RunSpec = serde_json::from_value(whole(0, 0)).unwrap();
    let paths = Paths { secrets: folder.path().into(), volumes: folder.path().into() };
    let error = open_unasked(&spec.storage, &paths, &CircuitBreakerSpec::default(), &Waits::default()).unwrap_err();
    let words = error.to_string();
    assert_eq!(error.code(), contract::Code::SecretUnusable);
    assert!(words.contains("/value has a line feed at character 10") && !words.contains("canary"), "{words}");
}
