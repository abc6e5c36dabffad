//! Validations: each kind of damage of an archive is found and a good archive passes; a cluster is held against what a restore
//! put there, whatever it did to the records; webhooks and notices, with a server on this machine.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use harness::consumers::commit;
use harness::load::{self, Make};
use harness::oracle;
use harness::pair::source;
use harness::process::free_port;
use harness::runner::{Bench, Ended, files};
use serde_json::{Value, json};

#[path = "validation/mod.rs"]
mod parts;

use parts::{Hook, flip, wrong_count};

/// All checks of the archive.
fn archive_checks() -> Value {
    json!({"structure": true, "checksum": true, "decode": true})
}

/// The checks of a cluster.
fn cluster_checks() -> Value {
    json!({"messageCount": {}, "offsetRange": true})
}

/// The specification of a validation in the storage of the bench, without a cluster.
fn spec(bench: &Bench, name: &str, what: Value) -> Value {
    json!({"formatVersion": 1, "name": name, "storage": bench.storage, "validation": what})
}

/// The same with the cluster.
fn with_cluster(bench: &Bench, name: &str, what: Value) -> Value {
    let mut spec = spec(bench, name, what);
    spec["kafka"] = json!({"bootstrapServers": [source().bootstrap()]});
    spec
}

/// A topic whose records stay, however old they are.
fn topic(name: &str, partitions: i32) {
    load::create(&source().bootstrap(), name, partitions, 1, &[("retention.ms", "-1")]);
}

fn check<'a>(report: &'a Value, name: &str) -> &'a Value {
    let checks = report["validation"]["checks"].as_array().unwrap_or_else(|| panic!("no checks: {report}"));
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{name}: {report}"))
}

fn verdicts(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["validation"]["checks"].as_array().unwrap();
    checks.iter().map(|check| (text(&check["name"]), text(&check["verdict"]))).collect()
}

fn failed(ended: Ended) -> Value {
    let report = ended.fails("KB6001", 1, &[]).report();
    assert_eq!((&report["outcome"], &report["validation"]["verdict"]), (&json!("Failed"), &json!("fail")), "{report}");
    report
}

fn passed(ended: Ended) -> Value {
    let report = ended.ok().report();
    assert_eq!(
        (&report["outcome"], &report["validation"]["verdict"]),
        (&json!("Completed"), &json!("pass")),
        "{report}"
    );
    report
}

/// A set of three points of one topic with 300 records.
fn archived() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let (bench, bootstrap) = (Bench::new(), source().bootstrap());
        topic("va", 2);
        let backup = bench.backup("va", &bootstrap, json!({"topics": ["va"], "incremental": true}));
        for round in 0..3 {
            let records = |n: i64| Make::new(n, i32::try_from(n % 2).unwrap());
            load::produce(&bootstrap, "va", &[], (round * 100..round * 100 + 100).map(records));
            bench.run(&backup).ok();
        }
        bench
    })
}

/// A copy of the set that somebody may damage.
fn copy() -> Bench {
    let bench = Bench::new();
    for (file, _) in files(&archived().archive()) {
        let to = bench.archive().join(file.strip_prefix(archived().archive()).unwrap());
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(&file, to).unwrap();
    }
    bench
}

fn below(bench: &Bench, part: &str) -> Vec<PathBuf> {
    let root = bench.archive().join("va").join(part);
    let mut found: Vec<_> = files(&root).into_iter().map(|(path, _)| path).collect();
    found.sort();
    assert!(!found.is_empty(), "{part} is empty");
    found
}

#[test]
fn a_good_archive_passes_and_the_report_says_what_was_read() {
    let bench = archived();
    let report = passed(bench.run(&spec(bench, "good", json!({"from": "va", "checks": archive_checks()}))));
    let found = &report["validation"];
    assert_eq!(verdicts(&report).iter().filter(|(_, verdict)| verdict == "pass").count(), 3, "{report}");
    assert_eq!(
        (&found["scope"], &found["recordsRead"], &found["point"]["records"]),
        (&json!("log"), &json!(300), &json!(300))
    );
    assert_eq!(
        (&report["records"], &report["point"], &found["point"]["set"]),
        (&json!(300), &found["point"]["id"], &json!("va"))
    );
    assert_eq!(found["point"]["digest"].as_str().unwrap().len(), 64);
    assert!(found["bytesRead"].as_u64().unwrap() > 0 && found["bytesPerSec"].as_u64().unwrap() > 0, "{found}");
    // For people: a table.
    let what = json!({"from": found["point"]["id"], "checks": archive_checks()});
    let text = bench.call("run", &spec(bench, "text", what), &[]).ok().stdout;
    for words in ["PASS", "CHECK", "structure", "decode", "300 records", "digest"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    // Nothing but reports was written.
    let runs = bench.archive().join("va/runs");
    assert!(runs.join(report["run"].as_str().unwrap()).join("report.json").exists(), "{report}");
}

#[test]
fn a_sample_reads_a_part_and_its_seed_draws_it_again() {
    let bench = archived();
    let run = |seed: Value| {
        let mut sample = json!({"size": {"bytes": 1}});
        if !seed.is_null() {
            sample["seed"] = seed;
        }
        let what = json!({"from": "va", "checks": {"structure": true, "decode": true}, "sample": sample});
        passed(bench.run(&spec(bench, "sample", what)))["validation"].clone()
    };
    let first = run(Value::Null);
    let all = first["sample"]["ofSegments"].as_u64().unwrap();
    assert!(all >= 3 && first["sample"]["segments"] == 1 && first["segmentsRead"] == 1, "{first}");
    assert!(first["recordsRead"].as_u64().unwrap() < 300, "{first}");
    let again = run(first["sample"]["seed"].clone());
    for field in ["sample", "bytesRead", "recordsRead"] {
        assert_eq!(again[field], first[field], "{field}");
    }
    let other: Vec<_> = (0..20).map(|seed| run(json!(seed))["bytesRead"].clone()).collect();
    assert!(other.iter().any(|bytes| *bytes != first["bytesRead"]), "each seed draws the same: {other:?}");
}

/// A pair of keys, as an auditor's specification names it.
fn keys(bench: &Bench, name: &str) -> Value {
    let path = |end: &str| bench.dir.path().join(format!("{name}{end}.pem")).display().to_string();
    let openssl = |arguments: &[&str]| assert!(is_fine("openssl", arguments), "{arguments:?}");
    openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &path("")]);
    openssl(&["pkey", "-in", &path(""), "-pubout", "-out", &path("-pub")]);
    json!({"privateKeyFile": path(""), "publicKeyFile": path("-pub")})
}

fn is_fine(program: &str, arguments: &[&str]) -> bool {
    std::process::Command::new(program).args(arguments).output().unwrap().status.success()
}

/// Whether OpenSSL, the plugin and the program for auditors take a file with its signature: all of them or none.
fn is_proven(folder: &Path, file: &str, key: &str) -> bool {
    let path = folder.join(file).display().to_string();
    let signature = format!("{path}.sig");
    let said = harness::plugin::call(&["evidence", "verify", &path, "--key", key]);
    assert!(matches!(said.code, 0 | 1), "{}{}", said.stdout, said.stderr);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/verify-evidence.py");
    let program = is_fine("python3", &[script, "--key", key, &path]);
    let answers = [is_fine("openssl", &["dgst", "-sha256", "-verify", key, "-signature", &signature, &path]), program];
    assert_eq!(answers, [said.code == 0; 2], "{file}: {}{}", said.stdout, said.stderr);
    said.code == 0
}

/// The evidence of a validation: its folders by name.
fn evidence_of(bench: &Bench, name: &str) -> Vec<PathBuf> {
    let root = bench.archive().join("_evidence/_").join(name);
    let Ok(listed) = std::fs::read_dir(root) else { return Vec::new() };
    let mut found: Vec<_> = listed.map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

#[test]
fn evidence_is_proven_by_openssl_and_one_changed_byte_is_found() {
    let bench = copy();
    let pair = keys(&bench, "auditors");
    let evidence = json!({"pdf": true, "retentionDays": 30, "signing": pair});
    let what = json!({"from": "va", "checks": archive_checks(), "evidence": evidence});
    let report = passed(bench.run(&spec(&bench, "kept", what.clone())));
    let line = &report["validation"]["evidence"];
    let folders = evidence_of(&bench, "kept");
    let [folder] = folders.as_slice() else { panic!("{folders:?}") };
    assert!(line["path"].as_str().unwrap().ends_with("/evidence.json"), "{line}");
    assert_eq!((&line["signed"], line["files"].as_array().unwrap().len()), (&json!(true), 5), "{line}");
    let text = std::fs::read_to_string(folder.join("evidence.json")).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["point"], report["validation"]["point"]);
    assert_eq!(document["checks"], report["validation"]["checks"]);
    assert_eq!((&document["verdict"], &document["read"]["records"]), (&json!("pass"), &json!(300)));
    assert_eq!(document["subject"], json!({"namespace": "", "name": "kept", "run": report["run"]}));
    let key = pair["publicKeyFile"].as_str().unwrap();
    assert!(is_proven(folder, "evidence.json", key) && is_proven(folder, "evidence.pdf", key));
    let envelope = folder.join("evidence.dsse.json").display().to_string();
    let said = harness::plugin::call(&["evidence", "verify", &envelope, "--key", key]).ok();
    assert!(said.contains("VERIFIED") && said.contains("pass"), "{said}");
    // Another key, and one changed byte.
    let other = keys(&bench, "others")["publicKeyFile"].as_str().unwrap().to_owned();
    assert!(!is_proven(folder, "evidence.json", &other));
    for file in ["evidence.json", "evidence.pdf"] {
        flip(folder.join(file), 400);
        assert!(!is_proven(folder, file, key), "{file}");
        flip(folder.join(file), 400);
        assert!(is_proven(folder, file, key), "{file}");
    }
    // The private key is in none of the outputs.
    let secret = std::fs::read_to_string(pair["privateKeyFile"].as_str().unwrap()).unwrap();
    let secret = secret.lines().nth(1).unwrap();
    let ended = bench.run(&spec(&bench, "kept", what)).ok();
    assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    for (path, _) in files(&bench.archive()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(secret), "{}", path.display());
    }
    // A person fetches it, and nothing is written over.
    let (store, to) = (bench.archive().display().to_string(), bench.dir.path().join("proofs").display().to_string());
    let run = report["run"].as_str().unwrap();
    let get = ["evidence", "get", "kept", "--outside", "--store", &store, "--run", run, "--to", &to];
    let said = harness::plugin::call(&get).ok();
    assert_eq!(said.lines().count(), 5, "{said}");
    let fetched = Path::new(&to).join(folder.file_name().unwrap());
    assert!(is_proven(&fetched, "evidence.json", key));
    assert_eq!(harness::plugin::call(&get).code, 2, "files that exist are not replaced");
}

#[test]
fn evidence_of_a_failure_is_kept_and_keys_that_do_not_fit_end_the_run() {
    let bench = copy();
    let (pair, other) = (keys(&bench, "auditors"), keys(&bench, "others"));
    let what = |evidence: Value| json!({"from": "va", "checks": archive_checks(), "evidence": evidence});
    let mixed = json!({"privateKeyFile": pair["privateKeyFile"], "publicKeyFile": other["publicKeyFile"]});
    for (signing, words) in [
        (mixed, "another public key"),
        (json!({"privateKeyFile": pair["publicKeyFile"], "publicKeyFile": pair["publicKeyFile"]}), "no private key"),
    ] {
        let ended = bench.run(&spec(&bench, "bad-key", what(json!({"signing": signing}))));
        let report = ended.fails("KB3009", 4, &[words]).report();
        assert_eq!(report["validation"]["bytesRead"], 0, "it is found before anything is read: {report}");
    }
    assert!(evidence_of(&bench, "bad-key").is_empty());
    flip(below(&bench, "data")[0].clone(), 300);
    let report = failed(bench.run(&spec(&bench, "failing", what(json!({"signing": pair})))));
    let folders = evidence_of(&bench, "failing");
    let document: Value = serde_json::from_slice(&std::fs::read(folders[0].join("evidence.json")).unwrap()).unwrap();
    assert_eq!((folders.len(), &document["verdict"]), (1, &json!("fail")));
    assert_eq!(document["checks"], report["validation"]["checks"]);
    assert!(!folders[0].join("evidence.pdf").exists(), "pages were not asked for");
    // Unasked, nothing is kept.
    let report = failed(bench.run(&spec(&bench, "unasked", json!({"from": "va", "checks": archive_checks()}))));
    assert!(report["validation"]["evidence"].is_null() && evidence_of(&bench, "unasked").is_empty());
}

#[test]
fn evidence_is_deleted_when_its_time_is_over_and_nothing_else_is() {
    let bench = copy();
    let what = |days: u32| json!({"from": "va", "checks": {"structure": true}, "evidence": {"pdf": true, "retentionDays": days}});
    let run = |name: &str, days: u32| passed(bench.run(&spec(&bench, name, what(days))));
    let old = |folder: &Path| {
        for (path, _) in files(folder) {
            assert!(is_fine("touch", &["-d", "40 days ago", &path.display().to_string()]));
        }
    };
    for (name, days) in [("kept", 30), ("kept", 365), ("kept-eu", 30), ("kept", 30)] {
        run(name, days);
    }
    let own = evidence_of(&bench, "kept");
    assert_eq!(own.len(), 3);
    let days = |folder: &PathBuf| {
        let document: Value = serde_json::from_slice(&std::fs::read(folder.join("evidence.json")).unwrap()).unwrap();
        document["retention"]["days"].as_u64().unwrap()
    };
    let long = own.iter().find(|folder| days(folder) == 365).unwrap().clone();
    let short: Vec<_> = own.iter().filter(|folder| days(folder) == 30).cloned().collect();
    let neighbour = evidence_of(&bench, "kept-eu")[0].clone();
    // One that promised a year, one of another name, one whose document is another's, one without a document.
    let forged = bench.archive().join("_evidence/_/kept/kept-20260101-000000-00000000");
    let bare = bench.archive().join("_evidence/_/kept/bare");
    for (folder, file) in [(&forged, "evidence.json"), (&bare, "evidence.pdf")] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::copy(neighbour.join(file), folder.join(file)).unwrap();
    }
    // What nobody of us wrote stays, even in a folder whose time is over.
    std::fs::write(short[0].join("notes.txt"), "mine").unwrap();
    for folder in [&long, &short[0], &neighbour, &forged, &bare] {
        old(folder);
    }
    let report = run("kept", 30);
    assert_eq!(report["validation"]["evidence"]["removed"], 1, "{report}");
    let warned = report["warnings"].to_string();
    assert!(warned.contains("2 folders") && warned.contains("kept-20260101-000000-00000000"), "{report}");
    let left = |folder: &Path| files(folder).len();
    assert_eq!((left(&short[0]), left(&short[1]), left(&long)), (1, 2, 2));
    assert_eq!((left(&neighbour), left(&forged), left(&bare)), (2, 1, 1));
    assert!(short[0].join("notes.txt").exists());
    // Whoever asks for a longer time now gets it.
    old(&short[1]);
    let report = run("kept", 60);
    assert!(report["validation"]["evidence"]["removed"].is_null() && left(&short[1]) == 2, "{report}");
}

/// Each kind of damage: the check that finds it, and the object that it names.
#[test]
fn each_kind_of_damage_is_found_by_its_check_and_named() {
    let last = |found: Vec<PathBuf>| found.last().unwrap().clone();
    let middle = |found: Vec<PathBuf>| found[found.len() / 2].clone();
    type Damage<'a> = (&'a str, &'a str, &'a str, Box<dyn Fn(&Bench) -> PathBuf + 'a>);
    let remove = |path: PathBuf| {
        std::fs::remove_file(&path).unwrap();
        path
    };
    let cut = |path: PathBuf| {
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        path
    };
    let cases: Vec<Damage<'_>> = vec![
        ("a missing segment", "structure", "missing", Box::new(|b| remove(middle(below(b, "data"))))),
        ("a truncated segment", "structure", "", Box::new(|b| cut(middle(below(b, "data"))))),
        ("a byte of a block", "checksum", "digest", Box::new(|b| flip(middle(below(b, "data")), 80))),
        ("a byte of a footer", "structure", "digest", Box::new(|b| flip(middle(below(b, "data")), -60))),
        ("a byte of an entry", "structure", "", Box::new(|b| flip(middle(below(b, "log")), 40))),
        ("a byte of the newest entry", "structure", "", Box::new(|b| flip(last(below(b, "log")), 40))),
        ("a lost entry", "structure", "", Box::new(|b| remove(middle(below(b, "log"))))),
        ("a store that was put back", "structure", "", Box::new(|b| remove(last(below(b, "log"))))),
        ("a byte of a side document", "structure", "digest", Box::new(|b| flip(last(below(b, "side")), 40))),
        ("a changed hint", "structure", "", Box::new(|b| flip(last(below(b, "points")), 60))),
        ("a wrong count", "structure", "the seal counts", Box::new(|b| wrong_count(&b.archive().join("va")))),
    ];
    for (name, expected, words, damage) in cases {
        let bench = copy();
        let object = damage(&bench);
        let report = failed(bench.run(&spec(&bench, "bad", json!({"from": "va", "checks": archive_checks()}))));
        let made = check(&report, expected);
        assert_eq!(made["verdict"], "fail", "{name}: {report}");
        let text = made["findings"].to_string();
        let file = object.file_name().unwrap().to_str().unwrap();
        assert!(text.contains(words), "{name}: {words:?} is not in {text}");
        // Whoever lost an entry is told of its number; everything else is named itself.
        let number = file.trim_start_matches('0');
        assert!(
            text.contains(file) || text.contains(&format!("entry {number}")) || name.contains("put back"),
            "{name}: {file} is not in {text}"
        );
        // What is behind the damage was not looked at: that is no pass.
        let deeper = verdicts(&report).into_iter().skip_while(|(name, _)| name != expected).skip(1);
        assert!(deeper.clone().all(|(_, verdict)| verdict != "pass"), "{name}: {:?}", deeper.collect::<Vec<_>>());
    }
}

#[test]
fn an_extra_object_and_a_gap_are_told_and_fail_nothing() {
    let bench = copy();
    std::fs::write(bench.archive().join("va/data/notes.txt"), "x").unwrap();
    let what = json!({"from": "va", "checks": archive_checks()});
    let report = bench.run(&spec(&bench, "extra", what)).ok().report();
    assert_eq!(report["validation"]["verdict"], "warn", "{report}");
    assert!(check(&report, "structure")["findings"].to_string().contains("notes.txt"), "{report}");
    // Records that retention deleted before a run read them.
    let (bench, bootstrap) = (Bench::new(), source().bootstrap());
    topic("vg", 1);
    let backup = bench.backup("vg", &bootstrap, json!({"topics": ["vg"], "incremental": true}));
    for round in 0..2 {
        load::produce(&bootstrap, "vg", &[], (round * 50..round * 50 + 50).map(|n| Make::new(n, 0)));
        if round == 1 {
            load::delete_records(&bootstrap, "vg", 0, 70);
        }
        bench.run(&backup).ok();
    }
    let report = bench.run(&spec(&bench, "gap", json!({"from": "vg", "checks": archive_checks()}))).ok().report();
    let found = &check(&report, "structure")["findings"][0];
    assert_eq!((&found["subject"], &found["isWrong"]), (&json!("vg/0"), &json!(false)), "{report}");
    assert!(found["what"].as_str().unwrap().contains("offsets 50 to 69"), "{found}");
    assert_eq!(report["validation"]["point"]["gaps"], 1);
}

#[test]
fn an_archive_of_another_owner_or_none_is_refused() {
    let bench = archived();
    let owner = json!({"from": "va", "owner": {"name": "orders"}, "checks": archive_checks()});
    bench.run(&spec(bench, "owner", owner)).fails("KB4003", 4, &["orders"]);
    bench.run(&spec(bench, "none", json!({"from": "nothing", "checks": archive_checks()}))).fails("KB4004", 4, &[]);
    bench.run(&spec(bench, "spec", json!({"from": "va", "checks": cluster_checks()}))).fails("KB1002", 2, &["kafka"]);
}

/// Backs up a topic and restores it into the same cluster under another name.
fn restored(bench: &Bench, topic: &str, to: &str, more: Value) -> Value {
    let bootstrap = source().bootstrap();
    let backup = json!({"topics": [topic], "consumerGroupSnapshot": true});
    let point = bench.run(&bench.backup(to, &bootstrap, backup)).ok().report()["point"].clone();
    let mut what = json!({"from": point, "includeOffsetHeaders": false, "topicMapping": {topic: to}});
    what.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bench.run(&bench.restore(to, &bootstrap, what)).ok().report();
    point
}

fn of_restore(bench: &Bench, point: &Value, to: &str, checks: Value) -> Value {
    with_cluster(bench, "compare", json!({"from": point, "restore": {"name": to}, "checks": checks}))
}

#[test]
fn counts_are_right_for_compacted_transactional_mapped_dealt_and_bounded_restores() {
    let (bench, bootstrap) = (Bench::new(), source().bootstrap());
    let compacted = load::compacted(&bootstrap);
    topic("vc-tx", 1);
    let part = |from: i64| (from..from + 10).map(|n| Make::new(n, 0)).collect::<Vec<_>>();
    load::transactions(&bootstrap, "vc-tx", "vc", (0..6).map(|round| (part(round * 10), round % 3 != 1)).collect());
    topic("vc-plain", 3);
    let plain = |n: i64| Make::new(n, i32::try_from(n % 3).unwrap());
    load::produce(&bootstrap, "vc-plain", &[], (0..300).map(plain));
    let until = (load::T0 + 99).to_string();
    let cases = [
        (compacted.as_str(), "vc-compacted-r", json!({}), None),
        ("vc-tx", "vc-tx-r", json!({}), Some(40u64)),
        ("vc-plain", "vc-map-r", json!({"partitionMapping": {"0": 1, "1": 0, "2": 0}}), Some(300)),
        ("vc-plain", "vc-deal-r", json!({"repartitioning": {"vc-deal-r": {"targetPartitions": 5}}}), Some(300)),
        ("vc-plain", "vc-time-r", json!({"endTime": until}), Some(100)),
    ];
    for (topic, to, more, records) in cases {
        let point = restored(&bench, topic, to, more);
        let report = passed(bench.run(&of_restore(&bench, &point, to, cluster_checks())));
        let counts = &check(&report, "messageCount")["counts"];
        assert_eq!(counts["records"], counts["expectedRecords"], "{to}: {report}");
        // The target goes on compacting: of a compacted topic consumers may see less by now.
        if let Some(records) = records {
            let read = |p: i32| oracle::read(&bootstrap, to, p, false).len() as u64;
            let seen: u64 = (0..oracle::partitions(&bootstrap, to)).map(read).sum();
            assert_eq!((&counts["records"], seen), (&json!(records), records), "{to}: what consumers see");
        }
        assert_eq!(report["validation"]["restore"]["records"], counts["records"], "{report}");
    }
    // What others write behind the restored records is no difference.
    load::produce(&bootstrap, "vc-tx-r", &[], part(900));
    let what = json!({"from": "vc-tx-r", "restore": {"name": "vc-tx-r"}, "checks": cluster_checks()});
    passed(bench.run(&with_cluster(&bench, "later", what)));
    // A topic of the same name that is another one.
    load::delete(&bootstrap, "vc-time-r");
    topic("vc-time-r", 3);
    let what = json!({"from": "vc-time-r", "restore": {"name": "vc-time-r"}, "checks": cluster_checks()});
    let report = failed(bench.run(&with_cluster(&bench, "other", what)));
    assert!(check(&report, "messageCount")["findings"].to_string().contains("created again"), "{report}");
    let what = json!({"from": "vc-tx-r", "restore": {"name": "vc-none"}, "checks": cluster_checks()});
    bench.run(&with_cluster(&bench, "none", what)).fails("KB4004", 4, &["vc-none"]);
}

#[test]
fn a_restore_that_lost_a_record_fails() {
    let (bench, bootstrap) = (Bench::new(), source().bootstrap());
    topic("vl", 1);
    load::produce(&bootstrap, "vl", &[], (0..100).map(|n| Make::new(n, 0)));
    let point = restored(&bench, "vl", "vl-r", json!({}));
    let all = json!({"structure": true, "messageCount": {}, "offsetRange": true});
    passed(bench.run(&of_restore(&bench, &point, "vl-r", all.clone())));
    load::delete_records(&bootstrap, "vl-r", 0, 1);
    let report = failed(bench.run(&of_restore(&bench, &point, "vl-r", all)));
    let expected = [("structure", "pass"), ("messageCount", "fail"), ("offsetRange", "fail")];
    assert_eq!(verdicts(&report), expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())), "{report}");
    let found = &check(&report, "messageCount")["findings"][0];
    assert_eq!(found["subject"], "vl-r/0");
    assert!(found["what"].as_str().unwrap().contains("99 of 100 restored records"), "{found}");
    let tolerant = json!({"messageCount": {"failThreshold": 1}});
    passed(bench.run(&of_restore(&bench, &point, "vl-r", tolerant)));
}

#[test]
fn groups_stand_where_the_restore_put_them_or_went_on() {
    let (bench, bootstrap) = (Bench::new(), source().bootstrap());
    topic("vp", 1);
    load::produce(&bootstrap, "vp", &[], (0..100).map(|n| Make::new(n, 0)));
    commit(&bootstrap, "vp-group", "vp", &[40]);
    let groups = json!({"groups": {"commit": true, "include": ["vp-group"], "mapping": {"vp-group": "vp-there"}}});
    let point = restored(&bench, "vp", "vp-r", groups);
    let checks = json!({"consumerGroupOffsets": {}});
    let run = |checks: &Value| bench.run(&of_restore(&bench, &point, "vp-r", checks.clone()));
    let report = passed(run(&checks));
    assert_eq!(check(&report, "consumerGroupOffsets")["counts"], json!({"groups": 1, "offsets": 1, "wentOn": 0}));
    commit(&bootstrap, "vp-there", "vp-r", &[60]);
    assert_eq!(check(&passed(run(&checks)), "consumerGroupOffsets")["counts"]["wentOn"], 1);
    commit(&bootstrap, "vp-there", "vp-r", &[39]);
    let report = failed(run(&checks));
    assert!(report.to_string().contains("stands at 39; the restore committed 40"), "{report}");
    failed(run(&json!({"consumerGroupOffsets": {"groups": ["vp-none"]}})));
    // Without the restore, that they stand within their logs is all that can be said.
    let alone = with_cluster(
        &bench,
        "alone",
        json!({"from": point, "checks": {"consumerGroupOffsets": {"groups": ["vp-group"]}}}),
    );
    passed(bench.run(&alone));
    // No group, no pass.
    let point = restored(&bench, "vp", "vp-q", json!({}));
    let report = bench.run(&of_restore(&bench, &point, "vp-q", checks)).ok().report();
    assert_eq!(
        (&report["validation"]["verdict"], &report["outcome"]),
        (&json!("warn"), &json!("Completed")),
        "{report}"
    );
    assert_eq!(check(&report, "consumerGroupOffsets")["verdict"], "skipped");
}

#[test]
fn without_a_restore_the_cluster_is_held_against_the_point() {
    let (bench, bootstrap) = (Bench::new(), source().bootstrap());
    topic("vw", 1);
    load::produce(&bootstrap, "vw", &[], (0..50).map(|n| Make::new(n, 0)));
    bench.run(&bench.backup("vw", &bootstrap, json!({"topics": ["vw"], "incremental": true}))).ok();
    let compare = with_cluster(&bench, "point", json!({"from": "vw", "checks": cluster_checks()}));
    passed(bench.run(&compare));
    load::delete_records(&bootstrap, "vw", 0, 10);
    let report = failed(bench.run(&compare));
    assert!(report.to_string().contains("it has 40 offsets, and the recovery point has 50 records"), "{report}");
    load::delete(&bootstrap, "vw");
    assert!(failed(bench.run(&compare)).to_string().contains("no such topic"));
}

#[test]
fn what_could_not_be_asked_is_no_pass_and_damage_is_told_all_the_same() {
    let bench = archived();
    let checks = json!({"structure": true, "messageCount": {}});
    let mut away = spec(bench, "away", json!({"from": "va", "checks": checks}));
    let connection = json!({"retryDeadlineMs": 1500, "connectTimeoutMs": 500});
    away["kafka"] = json!({"bootstrapServers": [format!("127.0.0.1:{}", free_port())], "connection": connection});
    let report = bench.run(&away).fails("KB2001", 3, &[]).report();
    assert!(report["validation"]["verdict"].is_null(), "{report}");
    assert!(verdicts(&report).iter().all(|(_, verdict)| verdict == "notRun"), "{report}");
    // A restore that nobody knows: the archive is looked at all the same.
    let unknown = json!({"from": "va", "restore": {"name": "nobody"}, "checks": checks});
    let report = bench.run(&with_cluster(bench, "unknown", unknown)).fails("KB4004", 4, &["nobody"]).report();
    assert_eq!(report["outcome"], "PartiallyCompleted", "{report}");
    assert_eq!(check(&report, "structure")["verdict"], "pass");
    assert_eq!(check(&report, "messageCount")["verdict"], "notRun");
    assert_eq!(report["records"], 0, "an attempt that is made again has moved nothing");
}

#[test]
fn webhooks_are_asked_once_and_only_where_the_installation_allows_it() {
    let bench = archived();
    let good = Hook::start(&[(200, r#"{"result": "passed", "detail": "fine"}"#)]);
    let bad = Hook::start(&[(500, "the words of the service")]);
    let slow = Hook::silent();
    let hook = |name: &str, hook: &Hook, more: Value| {
        harness::pair::with(json!({"name": name, "url": hook.url("secret-token")}), &more)
    };
    let run = |hooks: Value| bench.run(&spec(bench, "hooks", json!({"from": "va", "checks": {"webhooks": hooks}})));
    let report = passed(run(json!([hook("audit", &good, json!({}))])));
    let asked = good.got();
    assert_eq!(asked.len(), 1);
    assert_eq!((&asked[0]["event"], &asked[0]["backup_id"]), (&json!("kafka_backup_validation"), &report["point"]));
    assert_eq!(check(&report, "audit")["message"], "fine");
    let hooks = json!([
        hook("audit", &good, json!({})),
        hook("bad", &bad, json!({})),
        hook("slow", &slow, json!({"timeoutSecs": 1})),
        hook("accepted", &bad, json!({"expectedStatusCode": 500})),
    ]);
    let ended = run(hooks.clone());
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains("secret-token") && !text.contains("words of the service"), "{text}");
    }
    let report = failed(ended);
    let found: Vec<_> = verdicts(&report).into_iter().map(|(_, verdict)| verdict).collect();
    assert_eq!(found, ["pass", "fail", "fail", "pass"], "{report}");
    assert!(check(&report, "slow")["message"].as_str().unwrap().contains("within 1 s"), "{report}");
    let mut forbidden = spec(bench, "forbidden", json!({"from": "va", "checks": {"webhooks": hooks}}));
    forbidden["allowedEndpoints"] = json!(["10.0.0.0/8"]);
    bench.run(&forbidden).fails("KB1002", 2, &["webhooks[0].url", "127.0.0.1"]);
}

#[test]
fn people_are_told_and_whoever_cannot_be_told_changes_no_result() {
    let bench = archived();
    let service = Hook::start(&[(503, ""), (200, "ok"), (202, "{}")]);
    let secrets = bench.dir.path().join("secrets");
    std::fs::create_dir_all(&secrets).unwrap();
    std::fs::write(secrets.join("slack"), format!("{}\n", service.url("slack-secret"))).unwrap();
    std::fs::write(secrets.join("key"), "routing-secret").unwrap();
    let path = |name: &str| secrets.join(name).to_str().unwrap().to_owned();
    let pager = json!({"routingKeyFile": path("key"), "severity": "error", "url": service.url("v2/enqueue")});
    let notify = json!({"slack": {"urlFile": path("slack")}, "pagerduty": pager});
    let what = json!({"from": "va", "checks": {"structure": true}, "notify": notify});
    passed(bench.run(&spec(bench, "told", what.clone())));
    let got = service.got();
    assert_eq!(got.len(), 3, "Slack is asked again: {got:?}");
    assert!(got[1]["text"].as_str().unwrap().contains("passed") && got[1]["blocks"][0]["type"] == "header", "{got:?}");
    assert_eq!((&got[2]["event_action"], &got[2]["routing_key"]), (&json!("resolve"), &json!("routing-secret")));
    // Nobody listens any more.
    drop(service);
    let mut what = what;
    what["notify"].as_object_mut().unwrap().remove("pagerduty");
    let ended = bench.run(&spec(bench, "untold", what));
    assert!(!ended.stdout.contains("slack-secret") && !ended.stderr.contains("slack-secret"), "{}", ended.stderr);
    let report = passed(ended);
    assert!(report["warnings"].to_string().contains("Slack was not told"), "{report}");
}

/// The archive and the topics are what they were.
#[test]
fn a_validation_changes_nothing() {
    let bench = copy();
    let shot = |root: &Path| -> Vec<(PathBuf, Vec<u8>)> {
        let own = |path: &PathBuf| !path.components().any(|part| part.as_os_str() == "runs");
        let mut found: Vec<_> = files(root).into_iter().map(|(path, _)| path).filter(own).collect();
        found.sort();
        found.into_iter().map(|path| (path.clone(), std::fs::read(&path).unwrap())).collect()
    };
    let before = shot(&bench.archive());
    let checks =
        json!({"structure": true, "decode": true, "messageCount": {}, "offsetRange": true, "consumerGroupOffsets": {}});
    bench.run(&with_cluster(&bench, "look", json!({"from": "va", "checks": checks}))).ok();
    assert_eq!(shot(&bench.archive()), before);
}
