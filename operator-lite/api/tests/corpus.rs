//! The corpus: documents with the verdict that they get. The first lines of a document say it: `# refused: FIELD` and
//! `# told: FIELD`, one line for each finding. `EXTRA_CORPUS=DIR` adds a folder with `accept/` and `reject/`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::disallowed_methods, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use api::document::{KINDS, check};
use api::finding::Level;
use jiff::Timestamp;
use serde_json::Value;

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

fn documents(dir: &Path) -> Vec<(PathBuf, String)> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn read(path: &Path, text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_document_gets_the_verdict_that_it_names() {
    let all = documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus"));
    assert!(all.len() >= 30, "{} documents", all.len());
    for (path, text) in all {
        let mut wanted = BTreeSet::new();
        for line in text.lines() {
            if let Some(field) = line.strip_prefix("# refused: ") {
                wanted.insert((Level::Error, field.to_owned()));
            } else if let Some(field) = line.strip_prefix("# told: ") {
                wanted.insert((Level::Warning, field.to_owned()));
            }
        }
        let findings = check(&read(&path, &text), now());
        let found: BTreeSet<_> = findings.iter().map(|finding| (finding.level, finding.field.clone())).collect();
        let shown: Vec<_> = findings.iter().map(ToString::to_string).collect();
        assert_eq!(found, wanted, "{}: {shown:#?}", path.display());
    }
}

/// The samples that we ship are taken as they are, and cover each kind and each kind of storage.
#[test]
fn samples_are_accepted() {
    let all = documents(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/samples"));
    let mut kinds = BTreeSet::new();
    let mut stores = BTreeSet::new();
    for (path, text) in all {
        let document = read(&path, &text);
        kinds.insert(format!("{} {}", document["apiVersion"], document["kind"]));
        let storage = &document["spec"]["storage"];
        stores.extend(storage.as_object().into_iter().flatten().map(|(name, _)| name.clone()));
        let refused: Vec<_> = check(&document, now())
            .into_iter()
            .filter(|finding| finding.level == Level::Error)
            .map(|finding| finding.to_string())
            .collect();
        assert!(refused.is_empty(), "{}: {refused:#?}", path.display());
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    assert!(["s3", "azure", "gcs", "pvc"].iter().all(|store| stores.contains(*store)), "{stores:?}");
}

#[test]
fn a_specification_that_no_pod_can_carry_is_refused() {
    let topics: Vec<_> = (0..9_000).map(|number| format!("a-topic-with-a-name-{number}")).collect();
    let mut document = read(Path::new("smallest"), include_str!("corpus/backup-once.yaml"));
    document["spec"]["topics"] = serde_json::json!(topics);
    let findings = check(&document, now());
    assert_eq!(findings.iter().map(|finding| finding.field.as_str()).collect::<Vec<_>>(), ["spec"], "{findings:?}");
}

/// Names of groups travel with the pod, too: a reset or a rollback that none can carry is refused.
#[test]
fn changes_of_offsets_that_no_pod_can_carry_are_refused() {
    let groups: Vec<_> = (0..9_000).map(|number| format!("a-group-with-a-name-{number}")).collect();
    for text in [
        include_str!("corpus/reset-earliest.yaml"),
        include_str!("corpus/reset-mapping-found.yaml"),
        include_str!("corpus/rollback-by-name.yaml"),
        include_str!("corpus/rollback-by-restore.yaml"),
    ] {
        let mut document = read(Path::new("offsets"), text);
        document["spec"]["consumerGroups"] = serde_json::json!(groups);
        let findings = check(&document, now());
        let errors: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Error).collect();
        assert_eq!(errors.iter().map(|finding| finding.field.as_str()).collect::<Vec<_>>(), ["spec"], "{findings:?}");
        assert!(errors[0].fix.contains("several resources"), "{findings:?}");
    }
}

/// Whatever a document holds, judging it gives a bounded answer.
#[test]
fn a_document_that_no_honest_author_writes_is_refused_in_few_words() {
    let smallest = || read(Path::new("smallest"), include_str!("corpus/backup-once.yaml"));
    let mut many = smallest();
    many["spec"]["topics"] = serde_json::json!(vec!["a b"; 9_000]);
    let findings = check(&many, now());
    assert_eq!(findings.len(), 101);
    assert!(findings[100].rule.contains("more is wrong"), "{}", findings[100]);
    let mut large = smallest();
    large["spec"]["sourceClusterId"] = "x".repeat(600_000).into();
    let findings = check(&large, now());
    assert!(findings.len() == 1 && findings[0].rule.contains("is larger than"), "{findings:?}");
    let mut long = smallest();
    long["spec"]["schedule"] = format!("0 {} * * * *", ["1"; 1_000].join(",")).into();
    let findings = check(&long, now());
    assert!(findings.len() == 1 && findings[0].rule == "must have at most 1000 bytes", "{findings:?}");
    // Inspections of inspections are not looked into, however deep.
    let mut inner = serde_json::json!({"apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "spec": {}});
    for _ in 0..20 {
        inner = serde_json::json!({
            "apiVersion": "kafka-backup.dev/v1alpha1", "kind": "KafkaBackupInspection", "metadata": {"name": "a"},
            "spec": {"level": "check", "tokenDigest": "a".repeat(64), "resource": inner},
        });
    }
    let findings = check(&inner, now());
    assert_eq!(findings.iter().map(|finding| finding.field.as_str()).collect::<Vec<_>>(), ["spec.resource.kind"]);
}

#[test]
fn findings_say_field_value_rule_and_fix() {
    let text = include_str!("corpus/backup-codec-unknown.yaml");
    let findings = check(&read(Path::new("codec"), text), now());
    assert_eq!(
        findings[0].to_string(),
        "spec.compression (\"gzip\"): must be one of none, lz4, zstd; write one of them"
    );
}

#[test]
fn an_extra_corpus_agrees() {
    let Ok(dir) = std::env::var("EXTRA_CORPUS") else { return };
    let (mut judged, mut wrong) = (0, Vec::new());
    for (folder, accepted) in [("accept", true), ("reject", false)] {
        for (path, text) in documents(&Path::new(&dir).join(folder)) {
            let document = read(&path, &text);
            let version = document["apiVersion"].as_str().unwrap_or_default();
            if !KINDS.iter().any(|kind| version.starts_with(kind.group)) {
                continue;
            }
            judged += 1;
            let findings = check(&document, now());
            let refused: Vec<_> =
                findings.iter().filter(|finding| finding.level == Level::Error).map(ToString::to_string).collect();
            if refused.is_empty() != accepted {
                wrong.push(format!("{}: {refused:?}", path.display()));
            }
        }
    }
    println!("{judged} documents judged");
    assert!(judged > 0 && wrong.is_empty(), "{wrong:#?}");
}

/// Each form of an address that can be none is refused with the one that was meant.
#[test]
fn addresses_are_refused_with_their_right_form() {
    let findings = check(&read(Path::new("forms"), include_str!("corpus/backup-address-forms.yaml")), now());
    let said: Vec<_> = findings.iter().map(ToString::to_string).collect();
    let fixes = [
        "(\"::1:9092\"): must be host:port, an IPv6 address in brackets; write [::1]:9092",
        "write [fe80::1]:9092, with the port of the listener",
        "write kafka:9092, without SASL_SSL://",
        "write a port of 1 to 65535 behind the ':'",
        "write a port of 1 to 65535 behind the ':'",
        "write one address in each entry, as kafka:9092",
    ];
    assert_eq!(said.len(), fixes.len(), "{said:#?}");
    for (number, fix) in fixes.iter().enumerate() {
        let field = format!("spec.kafkaCluster.bootstrapServers[{number}]");
        assert!(said.iter().any(|text| text.starts_with(&field) && text.contains(fix)), "{field} {fix}: {said:#?}");
    }
}
