//! What authors of resources, owners of Secrets and runs say to the operator, and what a pod is asked.

use std::sync::LazyLock;

use api::access::questions;
use contract::{AllowedEndpoints, Event, InspectSpec, Report, RunSpec};
use inspect::Question;
use jiff::Timestamp;
use operator::webhook::{Ambient, Rights, Rules, judge};
use serde_json::Value;

static RULES: LazyLock<Rules> = LazyLock::new(|| Rules {
    rights: Rights::Refuse,
    ambient: Ambient::Warn,
    allowed: AllowedEndpoints::parse(&["*.shop.svc".to_owned(), "10.0.0.0/8".to_owned()]).unwrap(),
});

/// The corpus and the samples, as the API server sends them.
pub(crate) fn documents() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for folder in ["operator-lite/api/tests/corpus", "manifests/samples"] {
        let folder = format!("{}/../../{folder}", env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let text = std::fs::read_to_string(path).unwrap();
            let document: Value = serde_saphyr::from_str(&text).unwrap();
            out.push(document.to_string().into_bytes());
        }
    }
    out
}

/// A new resource, and a change of it.
pub(crate) fn review(data: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Value>(data) else { return };
    let now = Timestamp::UNIX_EPOCH;
    let judged = judge(&document, None, &RULES, now);
    assert!(judged.questions.len() <= api::access::MOST);
    let mut before = document.clone();
    if let Some(spec) = before.get_mut("spec").and_then(Value::as_object_mut) {
        spec.clear();
    }
    drop(judge(&document, Some(&before), &RULES, now));
    drop(questions(&document, None));
}

pub(crate) fn specs() -> Vec<Vec<u8>> {
    const COMMON: &str = r#""formatVersion": 1, "name": "orders", "kafka": {"bootstrapServers": ["127.0.0.1:9092", "[::1]:9092"],
        "securityProtocol": "SASL_SSL", "sasl": {"mechanism": "SCRAM-SHA-512", "usernameFile": "a/u", "passwordFile": "a/p"}},
        "storage": {"type": "s3", "bucket": "b", "prefix": "p", "region": "eu-west-1", "endpoint": "https://s3.example.com"},
        "allowedEndpoints": ["*.example.com", "127.0.0.0/8"]"#;
    let run = |part: &str| format!("{{{COMMON}, {part}}}").into_bytes();
    let inspect = r#"{"formatVersion": 1, "name": "a", "storage": {"type": "filesystem", "path": "x/y"}, "records": true,
        "idleSecs": 600, "tokenDigest": "0000000000000000000000000000000000000000000000000000000000000000"}"#;
    vec![
        run(r#""backup": {"topics": ["orders", "pay*"], "compressionLevel": 3, "segmentMaxBytes": 134217728}"#),
        run(r#""restore": {"topics": ["a"], "topicMapping": {"a": "b"}, "existingTopics": "purge"}"#),
        inspect.into(),
    ]
}

/// What a pod is told.
pub(crate) fn spec(data: &[u8]) {
    if let Ok(spec) = serde_json::from_slice::<RunSpec>(data) {
        drop((spec.findings(), spec.action().is_ok(), spec.secret_files().len(), spec.kafka.weak_login()));
    }
    if let Ok(spec) = serde_json::from_slice::<InspectSpec>(data) {
        drop(spec.finding());
    }
}

fn questions_of(name: &str) -> Vec<String> {
    vec![
        format!(r#"{{"question": "points", "name": "{name}", "since": null}}"#),
        format!(r#"{{"question": "point", "name": "{name}"}}"#),
        format!(r#"{{"question": "groups", "name": "{name}", "include": ["a*"]}}"#),
        format!(
            r#"{{"question": "peek", "name": "{name}", "topic": "t", "partition": 0, "offset": 1, "at": null, "key": null, "limit": 9}}"#
        ),
    ]
}

pub(crate) fn questions_seeds() -> Vec<Vec<u8>> {
    ["a", "a-20260101-000000", ""].into_iter().flat_map(questions_of).map(String::into_bytes).collect()
}

/// A question to a pod that answers for backup `a` only.
pub(crate) fn question(data: &[u8]) {
    let Ok(question) = serde_json::from_slice::<Question>(data) else { return };
    let _ = question.shows_records();
    drop(question.confined_to("a"));
}

pub(crate) fn words() -> Vec<Vec<u8>> {
    const EVENTS: [&str; 4] = [
        r#"{"source":"kafka-backup","seq":1,"at":"2026-11-21T10:00:00.000Z","event":"progress","records":5,"bytes":50,"percent":10.0,"recordsPerSec":1.0,"bytesPerSec":10.0,"lag":45,"limitedBy":"broker"}"#,
        r#"{"source":"kafka-backup","seq":2,"at":"2026-11-21T10:00:01.000Z","event":"committed","entry":3,"sealed":true,"point":"a-1"}"#,
        r#"{"source":"kafka-backup","seq":1,"at":"2026-11-21T10:00:00.000Z","event":"waiting","what":"kafka:1: nobody listens there","seconds":5}"#,
        r#"{"source":"kafka-backup","seq":1,"at":"2026-11-21T10:00:00.000Z","event":"warning","message":"in words"}"#,
    ];
    const REPORT: &str = r#"{"run": "r", "kind": "backup", "outcome": "Completed", "point": "a-1", "startedAt": "x", "finishedAt": "y",
        "topics": 1, "partitions": 1, "records": 7, "bytes": 9, "storedBytes": 3, "segments": 1}"#;
    vec![EVENTS.join("\n").into_bytes(), REPORT.into(), EVENTS[0].into()]
}

/// The log and the last words of a pod: whoever may make pods writes both.
pub(crate) fn said(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    drop(operator::progress::read(&text));
    for line in text.lines() {
        drop(serde_json::from_str::<Event>(line));
    }
    drop(serde_json::from_str::<Report>(text.trim()));
}

pub(crate) fn key_files() -> Vec<Vec<u8>> {
    let pem = |name: &str, body: &str| format!("-----BEGIN {name}-----\n{body}\n-----END {name}-----\n").into_bytes();
    let body = "MIIBszCCAVmgAwIBAgIUQ0FOQVJZQ0FOQVJZQ0FOQVJZQ0FOQVJZMAoGCCqGSM49BAMCMB8xHTAbBgNVBAMMFGNhbmFyeS5leGFt";
    vec![
        pem("CERTIFICATE", body),
        pem("PRIVATE KEY", body),
        pem("RSA PRIVATE KEY", body),
        pem("ENCRYPTED PRIVATE KEY", body),
        [pem("CERTIFICATE", body), pem("EC PRIVATE KEY", body)].concat(),
        vec![0x30, 0x82, 0x01, 0x0a, 0x02, 0x01, 0x03, 0x30, 0x80],
    ]
}

/// What stands in a Secret in the place of certificates and keys.
pub(crate) fn key(data: &[u8]) {
    drop(keys::certificates(data));
    drop(keys::about(data));
    let half = data.len() / 2;
    for (chain, key) in [(data, None), (data, Some(data)), (&data[..half], Some(&data[half..]))] {
        for password in [None, Some("secret")] {
            drop(keys::identity(keys::Identity { chain, key, password }));
        }
    }
}
