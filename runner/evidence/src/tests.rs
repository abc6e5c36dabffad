//! Documents, signatures that OpenSSL takes, pages, and the map of controls.

use std::process::Command;
use std::sync::OnceLock;

use contract::{
    CheckFinding, CheckVerdict, Report, RunSpec, SampleSize, SampleTaken, ValidatedPoint, ValidatedRestore,
    ValidationCheck, ValidationReport, ValidationScope,
};
use keys::{PublicKey, Signer};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// What OpenSSL writes.
fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn private_key() -> &'static [u8] {
    static KEY: OnceLock<Vec<u8>> = OnceLock::new();
    KEY.get_or_init(|| openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]))
}

fn spec() -> RunSpec {
    serde_json::from_value(json!({
        "formatVersion": 1, "name": "weekly", "namespace": "shop", "storage": {"type": "filesystem", "path": "backups"},
        "validation": {
            "from": "orders", "owner": {"namespace": "shop", "name": "orders"},
            "checks": {"structure": true, "decode": true, "messageCount": {"failThreshold": 3, "topics": ["eu-*"]},
                "webhooks": [{"name": "ledger", "url": "https://ledger.example.com/secret-path"}]},
            "sample": {"size": {"percent": 10}},
            "evidence": {"pdf": true, "retentionDays": 365},
        },
    }))
    .unwrap()
}

fn found(verdicts: [CheckVerdict; 4]) -> ValidationReport {
    let names = ["structure", "decode", "messageCount", "ledger"];
    let text = "4,000 segments are there, each with its size, header and index";
    let mut checks: Vec<_> =
        names.into_iter().zip(verdicts).map(|(name, verdict)| ValidationCheck::new(name, verdict, text)).collect();
    checks[1].counts = [("batches".to_owned(), 120_000), ("records".to_owned(), 4_000_000)].into();
    checks[1].millis = 61_250;
    if verdicts[1] == CheckVerdict::Fail {
        let finding = |n: u64| CheckFinding {
            subject: format!("orders-日本-{n}/7"),
            what: "the CRC of the batch at offset 1,024 does not match its bytes".to_owned(),
            is_wrong: n < 50,
        };
        checks[1] = checks[1].clone().with_findings((0..60).map(finding).collect());
    }
    ValidationReport {
        verdict: ValidationReport::judge(&checks),
        checks,
        point: Some(ValidatedPoint {
            id: "orders-20261129-020000".to_owned(),
            set: "orders".to_owned(),
            entry: 412,
            digest: "ab".repeat(32),
            at: "2026-11-29T02:00:00Z".to_owned(),
            source_cluster: Some("4L6g3nShT-eMCtK--X86sw".to_owned()),
            topics: 12,
            partitions: 96,
            records: 40_000_000,
            bytes: 12 << 30,
            gaps: 1,
            held_back: 0,
            written_by: Some("0.1.0".to_owned()),
        }),
        scope: Some(ValidationScope::Log),
        sample: Some(SampleTaken {
            size: SampleSize::Percent(10),
            seed: 7,
            segments: 400,
            of_segments: 4_000,
            bytes: 1 << 30,
            of_bytes: 10 << 30,
        }),
        cluster: Some("target".to_owned()),
        restore: Some(ValidatedRestore {
            name: "back".to_owned(),
            namespace: "shop".to_owned(),
            point: "orders-20261129-020000".to_owned(),
            digest: "ab".repeat(32),
            plan_fingerprint: "0123456789abcdef".to_owned(),
            records: 40_000_000,
        }),
        segments_read: 400,
        bytes_read: 1 << 30,
        batches_read: 120_000,
        records_read: 4_000_000,
        read_millis: 61_250,
        bytes_per_sec: Some(17 << 20),
        evidence: None,
    }
}

fn statement(verdicts: [CheckVerdict; 4]) -> Statement {
    let report = Report {
        run: "weekly-20261129-060000".to_owned(),
        started_at: "2026-11-29T06:00:01.000Z".to_owned(),
        ..Report::default()
    };
    let of = ("weekly-20261129-060000-0a1b2c3d", "s3://backups/kafka", "2026-11-29T06:01:03.250Z");
    let warnings = vec!["a certificate ends in 5 days".to_owned()];
    Statement::of(&spec(), (&report, &found(verdicts)), of, warnings).unwrap().unwrap()
}

const GOOD: [CheckVerdict; 4] = [CheckVerdict::Pass; 4];
const BAD: [CheckVerdict; 4] = [CheckVerdict::Pass, CheckVerdict::Fail, CheckVerdict::Skipped, CheckVerdict::NotRun];

fn made(verdicts: [CheckVerdict; 4], signer: Option<&Signer>) -> Vec<File> {
    files(&statement(verdicts), true, signer).unwrap()
}

fn file<'a>(all: &'a [File], name: &str) -> &'a [u8] {
    &all.iter().find(|file| file.name == name).unwrap_or_else(|| panic!("{name}")).bytes
}

#[test]
fn the_document_says_what_was_asked_and_nothing_secret() {
    let document = statement(GOOD);
    let text = String::from_utf8(canonical(&document).unwrap()).unwrap();
    assert!(!text.contains("secret-path"), "only the host of a webhook is told");
    assert_eq!(document.asked.webhooks["ledger"], "ledger.example.com:443");
    assert_eq!((document.asked.owner.as_str(), document.asked.fail_threshold), ("shop/orders", Some(3)));
    assert_eq!(document.measured.point_age_secs, Some(4 * 3600 + 1));
    assert_eq!((document.retention.days, document.subject.namespace.as_str()), (365, "shop"));
    let back: Statement = serde_json::from_str(&text).unwrap();
    assert_eq!(back, document);
    // Without a verdict, or unasked, there is none.
    let open = ValidationReport { verdict: None, ..found(GOOD) };
    assert!(Statement::of(&spec(), (&Report::default(), &open), ("", "", ""), Vec::new()).unwrap().is_none());
    let mut unasked = spec();
    unasked.validation.as_mut().unwrap().evidence = None;
    assert!(Statement::of(&unasked, (&Report::default(), &found(GOOD)), ("", "", ""), Vec::new()).unwrap().is_none());
}

#[test]
fn controls_say_what_was_tested_and_nothing_that_was_not() {
    use CheckVerdict::{Fail, NotRun, Skipped};
    let of = |found: &ValidationReport| {
        let all = Statement::of(&spec(), (&Report::default(), found), ("", "", ""), Vec::new()).unwrap().unwrap();
        all.controls.iter().map(|control| control.control.clone()).collect::<Vec<_>>()
    };
    assert_eq!(of(&found(GOOD)), ["A1.2", "A1.3", "A.8.13", "Art. 11", "Art. 12", "12.10"]);
    let alone = ValidationReport { restore: None, ..found(GOOD) };
    assert_eq!(of(&alone), ["A1.2", "A.8.13", "Art. 12", "12.10"]);
    let unread = ValidationReport { point: None, ..found(GOOD) };
    assert_eq!(of(&unread), ["A1.3", "Art. 11"]);
    assert_eq!(of(&found([NotRun, NotRun, Skipped, Fail])), Vec::<String>::new());
    for control in controls().unwrap() {
        for word in ["compliant", "compliance", "complies", "satisfie", "certif", "fulfil"] {
            assert!(!control.tested.to_lowercase().contains(word), "{}: {word}", control.tested);
        }
    }
}

/// The schema of a field, as `checks[].counts` or `point.id`.
fn at<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    fn resolved<'a>(root: &'a Value, mut one: &'a Value) -> &'a Value {
        loop {
            let wanted = one["anyOf"].as_array().and_then(|all| all.iter().find(|one| one["type"] != "null"));
            if let Some(wanted) = wanted {
                one = wanted;
            } else if let Some(name) = one["$ref"].as_str() {
                one = root.pointer(name.trim_start_matches('#')).unwrap();
            } else {
                return one;
            }
        }
    }
    path.split('.').try_fold(root, |one, part| {
        let inner = resolved(root, one)["properties"].get(part.trim_end_matches("[]"))?;
        if part.ends_with("[]") { resolved(root, inner).get("items") } else { Some(inner) }
    })
}

#[test]
fn every_field_that_the_map_cites_is_in_the_schema() {
    let schema = schema().to_value();
    let mut seen = 0;
    for control in controls().unwrap() {
        for field in &control.fields {
            assert!(at(&schema, field).is_some(), "{} cites {field}, which no document has", control.control);
            seen += 1;
        }
        for part in control.tested.split('`').skip(1).step_by(2) {
            assert!(at(&schema, part).is_some(), "{}: {part}", control.tested);
        }
    }
    assert!(seen > 20);
    assert!(at(&schema, "point.nothing").is_none() && at(&schema, "checks[].nothing").is_none());
}

#[test]
fn the_schema_in_docs_is_fresh() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/evidence.schema.json");
    let wanted = serde_json::to_string_pretty(&schema()).unwrap();
    assert!(std::fs::read_to_string(docs).unwrap().trim_end() == wanted, "run `just gen`");
}

#[test]
fn openssl_takes_the_signatures() {
    let signer = Signer::read(private_key()).unwrap();
    let all = made(GOOD, Some(&signer));
    let names: Vec<_> = all.iter().map(|file| file.name).collect();
    assert_eq!(names, FILES);
    let folder = tempfile::tempdir().unwrap();
    for one in &all {
        std::fs::write(folder.path().join(one.name), &one.bytes).unwrap();
    }
    let place = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(place("pub.pem"), signer.public().pem()).unwrap();
    let verifies = |file: &str, signature: &str| {
        let (key, signature, file) = (place("pub.pem"), place(signature), place(file));
        let arguments = ["dgst", "-sha256", "-verify", &key, "-signature", &signature, &file];
        Command::new("openssl").args(arguments).output().unwrap().status.success()
    };
    assert!(verifies(DOCUMENT, "evidence.json.sig") && verifies(PAGES, "evidence.pdf.sig"));
    assert!(!verifies(DOCUMENT, "evidence.pdf.sig"));
    // The signature of the envelope is one of its authenticated bytes.
    let envelope: Envelope = serde_json::from_slice(file(&all, ENVELOPE)).unwrap();
    let decode = |text: &str| base64::Engine::decode(&base64::prelude::BASE64_STANDARD, text).unwrap();
    std::fs::write(place("pae"), authenticated(PAYLOAD_TYPE, &decode(&envelope.payload))).unwrap();
    std::fs::write(place("pae.sig"), decode(&envelope.signatures[0].sig)).unwrap();
    assert!(verifies("pae", "pae.sig"));
    let statement: Value = serde_json::from_slice(&decode(&envelope.payload)).unwrap();
    assert_eq!(statement["subject"][0], json!({"name": DOCUMENT, "digest": {"sha256": sha256(file(&all, DOCUMENT))}}));
    assert_eq!(statement["subject"][1]["digest"]["sha256"], sha256(file(&all, PAGES)));
    assert_eq!(statement["subject"][2]["digest"]["blake3"], "ab".repeat(32));
    // OpenSSL's own signature and its own public key are taken, too.
    std::fs::write(place("key.pem"), private_key()).unwrap();
    openssl(&["dgst", "-sha256", "-sign", &place("key.pem"), "-out", &place("own.sig"), &place(DOCUMENT)]);
    let public = PublicKey::read(&openssl(&["pkey", "-in", &place("key.pem"), "-pubout"])).unwrap();
    assert_eq!(&public, signer.public());
    let own = std::fs::read(place("own.sig")).unwrap();
    assert_eq!(verify(file(&all, DOCUMENT), Some(&own), &public).unwrap().claim, Claim::Document);
    // The name of a key is the digest that OpenSSL computes.
    openssl(&["pkey", "-in", &place("key.pem"), "-pubout", "-outform", "DER", "-out", &place("pub.der")]);
    let digest = String::from_utf8(openssl(&["dgst", "-sha256", "-r", &place("pub.der")])).unwrap();
    assert!(digest.starts_with(&public.id()), "{digest}");
}

#[test]
fn what_is_signed_is_proven_and_nothing_else() {
    let signer = Signer::read(private_key()).unwrap();
    let key = signer.public();
    for verdicts in [GOOD, BAD] {
        let all = made(verdicts, Some(&signer));
        let proven = verify(file(&all, DOCUMENT), Some(file(&all, "evidence.json.sig")), key).unwrap();
        assert_eq!(proven.document.as_deref(), Some(&statement(verdicts)));
        assert_eq!(verify(file(&all, ENVELOPE), None, key).unwrap().document, proven.document);
        let pages = verify(file(&all, PAGES), Some(file(&all, "evidence.pdf.sig")), key).unwrap();
        assert_eq!((pages.claim, pages.document), (Claim::Pages, None));
        assert_eq!(verify(file(&all, DOCUMENT), None, key), Err(Unproven::NoSignature));
    }
    let unsigned: Vec<_> = made(GOOD, None).iter().map(|file| file.name).collect();
    assert_eq!(unsigned, [PAGES, DOCUMENT]);
    // Signed by the right key, and still no evidence.
    let tried = |value: &Value| {
        let bytes = canonical(value).unwrap();
        verify(&bytes, Some(&signer.sign(&bytes).unwrap()), key)
    };
    let good = serde_json::to_value(statement(GOOD)).unwrap();
    assert!(tried(&good).is_ok());
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = good.clone();
        change(&mut value);
        tried(&value).map(|_| ()).unwrap_err().to_string()
    };
    assert!(changed(&|v| v["verdict"] = "warn".into()).contains("verdict"));
    assert!(changed(&|v| v["checks"][0]["verdict"] = "fail".into()).contains("verdict"));
    assert!(changed(&|v| drop(v["checks"].as_array_mut().unwrap().pop())).contains("asked for"));
    assert!(changed(&|v| v["sample"]["segments"] = 4_001.into()).contains("sample"));
    assert!(changed(&|v| v["finishedAt"] = "2026-11-29T06:00:00Z".into()).contains("before"));
    assert!(changed(&|v| v["schema"] = "https://kafka-backup.dev/evidence/v2".into()).contains("newer"));
    assert!(changed(&|v| drop(v.as_object_mut().unwrap().remove("checks"))).contains("fields"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn one_changed_byte_is_found(at in any::<prop::sample::Index>(), which in 0..5usize, bit in 0..8u8) {
        static FILES_OF: OnceLock<(Signer, Vec<File>)> = OnceLock::new();
        let (signer, all) = FILES_OF.get_or_init(|| {
            let signer = Signer::read(private_key()).unwrap();
            let all = made(BAD, Some(&signer));
            (signer, all)
        });
        let mut changed = all.clone();
        let one = &mut changed[which];
        let place = at.index(one.bytes.len());
        one.bytes[place] ^= 1 << bit;
        let name = one.name;
        let (tested, signature) = match name {
            ENVELOPE => (ENVELOPE, None),
            "evidence.pdf" | "evidence.pdf.sig" => (PAGES, Some("evidence.pdf.sig")),
            _ => (DOCUMENT, Some("evidence.json.sig")),
        };
        let proof = verify(file(&changed, tested), signature.map(|name| file(&changed, name)), signer.public());
        match proof {
            Err(_) => {}
            // The name of the key in an envelope is a hint, and no part of what is signed.
            Ok(proven) => {
                prop_assert_eq!(name, ENVELOPE);
                prop_assert_eq!(proven.document.as_deref(), Some(&statement(BAD)));
            }
        }
    }
}

#[test]
fn keys_that_do_not_fit_are_refused_by_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).display().to_string();
    let refused = |bytes: &[u8]| Signer::read(bytes).unwrap_err();
    for arguments in [
        &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"][..],
        &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        &["genpkey", "-algorithm", "ED25519"],
    ] {
        let text = refused(&openssl(arguments));
        assert!(text.contains("P-256") && text.contains("openssl genpkey"), "{text}");
    }
    // The older form is read, too.
    let older = openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
    assert!(String::from_utf8_lossy(&older).contains("BEGIN EC PRIVATE KEY"));
    let signer = Signer::read(&older).unwrap();
    assert!(signer.public().has_signed(b"x", &signer.sign(b"x").unwrap()));
    assert!(!signer.public().has_signed(b"y", &signer.sign(b"x").unwrap()));
    assert!(!format!("{signer:?}").contains("PRIVATE"));
    std::fs::write(place("key"), private_key()).unwrap();
    assert!(PublicKey::read(private_key()).unwrap_err().contains("-pubout"));
    assert!(refused(&openssl(&["pkey", "-in", &place("key"), "-pubout"])).contains("no private key"));
    let compressed = openssl(&["ec", "-in", &place("key"), "-pubout", "-conv_form", "compressed", "-outform", "DER"]);
    assert!(PublicKey::read(&compressed).unwrap_err().contains("compressed"));
    for bytes in [&b""[..], b"nothing", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"] {
        assert!(PublicKey::read(bytes).is_err() && Signer::read(bytes).is_err());
    }
}

/// What a program for people reads out of the pages; the pages themselves stay in the folder of the build to be looked at.
#[test]
#[allow(clippy::print_stderr)]
fn pages_hold_the_verdict_the_checks_and_the_chain() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/evidence");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, verdicts) in [("good", GOOD), ("bad", BAD)] {
        let document = statement(verdicts);
        let bytes = pages(&document, &"cd".repeat(32), Some(&"ef".repeat(32))).unwrap();
        assert_eq!(pages(&document, &"cd".repeat(32), Some(&"ef".repeat(32))).unwrap(), bytes, "the same bytes again");
        let file = folder.join(format!("{name}.pdf"));
        std::fs::write(&file, &bytes).unwrap();
        assert!(bytes.starts_with(b"%PDF-1.") && bytes.len() < 150_000, "{}", bytes.len());
        let Ok(output) = Command::new("pdftotext").arg("-layout").arg(&file).arg("-").output() else {
            eprintln!("pdftotext is not here: the text of the pages was not read");
            continue;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the file has no faults");
        let text = String::from_utf8(output.stdout).unwrap();
        let first = text.split('\u{c}').next().unwrap();
        for words in ["orders-20261129-020000", "weekly-20261129-060000", "drawn by seed 7", "does not say"] {
            assert!(first.contains(words), "{words}: {first}");
        }
        assert!(first.contains(if name == "good" { "PASS" } else { "FAIL" }), "{first}");
        let digests: String = text.split_whitespace().collect();
        for digest in ["ab".repeat(32), "cd".repeat(32), "ef".repeat(32)] {
            assert!(digests.contains(&digest), "{digest}: {text}");
        }
        if name == "bad" {
            assert!(text.contains("orders-\\u{65e5}\\u{672c}-3/7"), "no character is left out: {text}");
            assert!(text.contains("and 48 more"), "{text}");
        }
    }
}
