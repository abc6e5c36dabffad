//! Evidence without servers: documents that somebody forged are found by the program for auditors (`docs/verify-evidence.py`) and
//! by the plugin's own code, and what was signed passes both.

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use contract::{Report, RunSpec, ValidationReport};
use evidence::{DOCUMENT, ENVELOPE, PAGES, PAYLOAD_TYPE, Statement, authenticated, canonical, sha256};
use keys::Signer;
use serde_json::{Value, json};

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn signer() -> Signer {
    Signer::read(&openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])).unwrap()
}

/// Evidence of a run that found something.
fn statement() -> Statement {
    let spec: RunSpec = serde_json::from_value(json!({
        "formatVersion": 1, "name": "weekly", "namespace": "shop", "storage": {"type": "filesystem", "path": "b"},
        "validation": {"from": "orders", "checks": {"structure": true, "decode": true}, "evidence": {}},
    }))
    .unwrap();
    let finding = json!({"subject": "päyments-日本/0", "what": "a CRC does not match", "isWrong": true});
    let found: ValidationReport = serde_json::from_value(json!({
        "verdict": "fail", "scope": "log", "segmentsRead": 3, "bytesRead": 900, "batchesRead": 9, "recordsRead": 90,
        "readMillis": 12, "bytesPerSec": 75_000,
        "sample": {"size": {"percent": 10}, "seed": 7, "segments": 3, "ofSegments": 30, "bytes": 900, "ofBytes": 9_000},
        "point": {"id": "orders-20261129-020000", "set": "orders", "entry": 4, "digest": "ab".repeat(32),
            "at": "2026-11-29T02:00:00Z", "topics": 1, "partitions": 1, "records": 90, "bytes": 9_000, "gaps": 0, "heldBack": 0},
        "checks": [
            {"name": "structure", "verdict": "pass", "message": "all is there", "millis": 12},
            {"name": "decode", "verdict": "fail", "message": "1 batch", "millis": 12, "findings": [finding], "findingsTotal": 1},
        ],
    }))
    .unwrap();
    let report = Report {
        run: "weekly-20261129-060000".into(),
        started_at: "2026-11-29T06:00:00.000Z".into(),
        ..Report::default()
    };
    let of = ("weekly-20261129-060000-0a1b2c3d", "file:///b", "2026-11-29T06:00:02.000Z");
    Statement::of(&spec, (&report, &found), of, vec!["a\tword".into()]).unwrap().unwrap()
}

/// A folder with what an auditor has.
struct Auditor {
    folder: tempfile::TempDir,
    signer: Signer,
}

impl Auditor {
    fn new() -> Self {
        let auditor = Self { folder: tempfile::tempdir().unwrap(), signer: signer() };
        auditor.put("pub.pem", auditor.signer.public().pem().as_bytes());
        auditor
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// The files of the evidence as they were signed.
    fn fresh(&self) {
        for file in evidence::files(&statement(), true, Some(&self.signer)).unwrap() {
            self.put(file.name, &file.bytes);
        }
    }

    fn get(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Puts a document, signed by the right key.
    fn signed(&self, bytes: &[u8]) {
        self.put(DOCUMENT, bytes);
        self.put("evidence.json.sig", &self.signer.sign(bytes).unwrap());
    }

    /// Puts an envelope around a payload, signed by the right key.
    fn sealed(&self, payload: &[u8], payload_type: &str) {
        let signature = self.signer.sign(&authenticated(payload_type, payload)).unwrap();
        self.put(ENVELOPE, &envelope(payload, payload_type, &signature));
    }

    /// What the program for auditors says of a file.
    fn program(&self, file: &str) -> (bool, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/verify-evidence.py");
        let output = Command::new("python3")
            .arg(script)
            .arg("--key")
            .arg(self.path("pub.pem"))
            .arg(self.path(file))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let broken = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 1)) && broken.is_empty(), "{file}: {text}{broken}");
        (output.status.success(), text)
    }

    /// What the plugin's own code says of it.
    fn own(&self, file: &str) -> bool {
        let signature = std::fs::read(self.path(&format!("{file}.sig"))).ok();
        evidence::verify(&self.get(file), signature.as_deref(), self.signer.public()).is_ok()
    }
}

fn envelope(payload: &[u8], payload_type: &str, signature: &[u8]) -> Vec<u8> {
    let signatures = json!([{"keyid": "", "sig": BASE64_STANDARD.encode(signature)}]);
    let whole =
        json!({"payloadType": payload_type, "payload": BASE64_STANDARD.encode(payload), "signatures": signatures});
    canonical(&whole).unwrap()
}

/// A document with one change.
fn changed(change: impl Fn(&mut Value)) -> Vec<u8> {
    let mut value = serde_json::to_value(statement()).unwrap();
    change(&mut value);
    canonical(&value).unwrap()
}

/// The statement inside an envelope with one change.
fn inside(change: impl Fn(&mut Value)) -> Vec<u8> {
    let document = serde_json::to_value(statement()).unwrap();
    let digest = sha256(&canonical(&document).unwrap());
    let mut statement = json!({
        "_type": "https://in-toto.io/Statement/v1", "predicateType": evidence::SCHEMA, "predicate": document,
        "subject": [{"name": DOCUMENT, "digest": {"sha256": digest}},
            {"name": "orders-20261129-020000", "digest": {"blake3": "ab".repeat(32)}}],
    });
    change(&mut statement);
    canonical(&statement).unwrap()
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    text.replacen(from, to, 1).into_bytes()
}

#[test]
fn what_was_signed_passes() {
    let auditor = Auditor::new();
    auditor.fresh();
    for file in [DOCUMENT, PAGES, ENVELOPE] {
        let (is_proven, text) = auditor.program(file);
        assert!(is_proven && auditor.own(file) && text.contains("VERIFIED"), "{file}: {text}");
    }
    let (_, text) = auditor.program(DOCUMENT);
    assert!(text.contains(&auditor.signer.public().id()) && text.contains("weekly-20261129-060000"), "{text}");
    auditor.sealed(&inside(|_| ()), PAYLOAD_TYPE);
    assert!(auditor.program(ENVELOPE).0 && auditor.own(ENVELOPE));
}

/// A forgery: its name, the file that is shown, and what is done to the files of an auditor.
type Forgery = (&'static str, &'static str, Box<dyn Fn(&Auditor)>);

/// A document that was changed and signed anew with the right key, and is no evidence.
fn resigned(name: &'static str, change: fn(&mut Value)) -> Forgery {
    (name, DOCUMENT, Box::new(move |at| at.signed(&changed(change))))
}

/// Bytes that were changed after they were signed.
fn touched(name: &'static str, file: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Forgery {
    (name, file, Box::new(move |at| at.put(file, &change(at.get(file)))))
}

fn forgeries() -> Vec<Forgery> {
    vec![
        touched("a verdict", DOCUMENT, |b| replaced(&b, "\"verdict\":\"fail\"}", "\"verdict\":\"pass\"}")),
        touched("a digest", DOCUMENT, |b| replaced(&b, "abab", "abac")),
        touched("a time", DOCUMENT, |b| replaced(&b, "2026-11-29T06", "2026-11-28T06")),
        touched("a line feed at the end", DOCUMENT, |b| [b, b"\n".to_vec()].concat()),
        touched("the first byte", DOCUMENT, |b| b[1..].to_vec()),
        touched("nothing left", DOCUMENT, |_| Vec::new()),
        touched("the last byte of the pages", PAGES, |b| b[..b.len() - 1].to_vec()),
        touched("a byte of the pages", PAGES, |mut b| {
            b[700] ^= 1;
            b
        }),
        (
            "the signature of the pages",
            DOCUMENT,
            Box::new(|at| at.put("evidence.json.sig", &at.get("evidence.pdf.sig"))),
        ),
        ("an empty signature", DOCUMENT, Box::new(|at| at.put("evidence.json.sig", b""))),
        ("half a signature", DOCUMENT, Box::new(|at| at.put("evidence.json.sig", &at.get("evidence.json.sig")[..30]))),
        (
            "another key",
            DOCUMENT,
            Box::new(|at| at.put("evidence.json.sig", &signer().sign(&at.get(DOCUMENT)).unwrap())),
        ),
        ("no signature", DOCUMENT, Box::new(|at| std::fs::remove_file(at.path("evidence.json.sig")).unwrap())),
        resigned("a better verdict", |v| v["verdict"] = "warn".into()),
        resigned("a check that is left out", |v| drop(v["checks"].as_array_mut().unwrap().pop())),
        resigned("a check that passed with a finding", |v| {
            v["checks"][1]["verdict"] = "pass".into();
            v["verdict"] = "pass".into();
        }),
        resigned("a check twice", |v| v["checks"][0]["name"] = "decode".into()),
        resigned("fewer findings than there are", |v| v["checks"][1]["findingsTotal"] = 0.into()),
        resigned("a sample of more than all", |v| v["sample"]["bytes"] = 9_001.into()),
        resigned("an end before the start", |v| v["finishedAt"] = "2026-11-29T05:59:59Z".into()),
        resigned("another run's name", |v| v["subject"]["run"] = "daily-20261129-060000".into()),
        resigned("another form", |v| v["schema"] = "https://kafka-backup.dev/evidence/v9".into()),
        resigned("no point in time", |v| v["startedAt"] = "yesterday".into()),
        resigned("a field that is missing", |v| drop(v.as_object_mut().unwrap().remove("asked"))),
        resigned("a word for a number", |v| v["read"]["bytes"] = "900".into()),
        (
            "a name twice",
            DOCUMENT,
            Box::new(|at| at.signed(&replaced(&at.get(DOCUMENT), "{\"archive\"", "{\"archive\":\"x\",\"archive\""))),
        ),
        ("a space", DOCUMENT, Box::new(|at| at.signed(&replaced(&at.get(DOCUMENT), ",\"asked\":", ", \"asked\":")))),
        (
            "a fraction",
            DOCUMENT,
            Box::new(|at| at.signed(&replaced(&at.get(DOCUMENT), "\"readMillis\":12", "\"readMillis\":12.0"))),
        ),
        (
            "an envelope by another key",
            ENVELOPE,
            Box::new(|at| {
                let payload = inside(|_| ());
                let signature = signer().sign(&authenticated(PAYLOAD_TYPE, &payload)).unwrap();
                at.put(ENVELOPE, &envelope(&payload, PAYLOAD_TYPE, &signature));
            }),
        ),
        (
            "a signature of the payload alone",
            ENVELOPE,
            Box::new(|at| {
                let payload = inside(|_| ());
                at.put(ENVELOPE, &envelope(&payload, PAYLOAD_TYPE, &at.signer.sign(&payload).unwrap()));
            }),
        ),
        ("another kind of payload", ENVELOPE, Box::new(|at| at.sealed(&inside(|_| ()), "application/json"))),
        (
            "another predicate",
            ENVELOPE,
            Box::new(|at| {
                at.sealed(&inside(|v| v["predicateType"] = "https://slsa.dev/provenance/v1".into()), PAYLOAD_TYPE);
            }),
        ),
        (
            "a document that it is not about",
            ENVELOPE,
            Box::new(|at| at.sealed(&inside(|v| v["predicate"]["archive"] = "s3://elsewhere".into()), PAYLOAD_TYPE)),
        ),
        (
            "a better verdict in an envelope",
            ENVELOPE,
            Box::new(|at| {
                let better = inside(|v| {
                    v["predicate"]["verdict"] = "pass".into();
                    let digest = sha256(&canonical(&v["predicate"]).unwrap());
                    v["subject"][0]["digest"]["sha256"] = digest.into();
                });
                at.sealed(&better, PAYLOAD_TYPE);
            }),
        ),
    ]
}

#[test]
fn every_forgery_is_found() {
    let auditor = Auditor::new();
    let all = forgeries();
    assert!(all.len() >= 30, "{}", all.len());
    for (name, file, forge) in all {
        auditor.fresh();
        forge(&auditor);
        let (is_proven, text) = auditor.program(file);
        assert!(!is_proven && text.contains("NOT VERIFIED"), "the program takes {name}: {text}");
        assert!(!auditor.own(file), "the plugin takes {name}");
    }
    // The program also looks at what stands beside an envelope.
    auditor.fresh();
    auditor.put(PAGES, b"%PDF-1.7 something else");
    assert!(!auditor.program(ENVELOPE).0, "the pages beside it are others");
}
