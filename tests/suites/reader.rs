//! The archive read by a program that was written from FORMAT.md alone agrees with librdkafka's view of the source.

use std::collections::BTreeMap;
use std::process::Command;

use harness::kafka::{Kafka, Options};
use harness::load::{self, Make};
use harness::oracle::{self, Seen};
use harness::pair::{source, target};
use harness::runner::{Bench, files, python};
use serde_json::{Value, json};

fn call(bench: &Bench, arguments: &[&str]) -> String {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reader/reader.py");
    let output = Command::new(python())
        .arg(script)
        .arg(arguments[0])
        .arg(bench.archive())
        .args(&arguments[1..])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(|text| {
        let mut out = Vec::new();
        let (mut bits, mut count) = (0u32, 0);
        for c in text.bytes().filter(|c| *c != b'=') {
            let table = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            bits = bits << 6 | u32::try_from(table.iter().position(|t| *t == c).unwrap()).unwrap();
            count += 6;
            if count >= 8 {
                count -= 8;
                out.push((bits >> count & 0xff) as u8);
            }
        }
        out
    })
}

fn seen(line: &str) -> ((String, i32), Seen) {
    let value: Value = serde_json::from_str(line).unwrap();
    let header = |h: &Value| (h[0].as_str().unwrap().to_owned(), bytes(&h[1]));
    let record = Seen {
        offset: value["offset"].as_i64().unwrap(),
        timestamp: value["timestamp"].as_i64().unwrap(),
        append_time: false,
        key: bytes(&value["key"]),
        value: bytes(&value["value"]),
        headers: value["headers"].as_array().unwrap().iter().map(header).collect(),
    };
    let partition = i32::try_from(value["partition"].as_i64().unwrap()).unwrap();
    ((value["topic"].as_str().unwrap().to_owned(), partition), record)
}

/// Committed records of the newest point, by partition, as the independent reader finds them.
fn archived(bench: &Bench) -> BTreeMap<(String, i32), Vec<Seen>> {
    let mut archive: BTreeMap<_, Vec<Seen>> = BTreeMap::new();
    for line in call(bench, &["records"]).lines() {
        let (key, record) = seen(line);
        archive.entry(key).or_default().push(record);
    }
    archive
}

#[test]
fn a_reader_written_from_the_format_document_agrees_with_the_source() {
    let topics = load::mixed(&source().bootstrap(), 2_000);
    let mut source_view = BTreeMap::new();
    for topic in &topics {
        for partition in 0..oracle::partitions(&source().bootstrap(), topic) {
            let seen = oracle::read(&source().bootstrap(), topic, partition, false);
            source_view.insert((topic.clone(), partition), seen);
        }
    }
    source_view.retain(|_, seen| !seen.is_empty());
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let bench = Bench::new();
        let backup = json!({"topics": ["*"], "incremental": true, "compression": compression});
        bench.run(&bench.backup("read", &source().bootstrap(), backup)).ok();
        let listed: Value = serde_json::from_str(&call(&bench, &["ls"])).unwrap();
        assert_eq!((listed["set"].as_str(), listed["points"].as_array().unwrap().len()), (Some("read"), 1));
        let archive = archived(&bench);
        for (key, source) in &source_view {
            assert_eq!(Some(source), archive.get(key), "{key:?} with {compression}");
        }
        assert_eq!(source_view.len(), archive.len());
    }
}

/// Removes the segments of the n-th run, oldest first, as a lifecycle rule does.
fn lose(bench: &Bench, run: usize) {
    let mut folders: Vec<_> = std::fs::read_dir(bench.archive().join("lost/data")).unwrap().collect();
    folders.sort_by_key(|entry| entry.as_ref().unwrap().file_name());
    let folder = folders[run].as_ref().unwrap().path();
    let segments = files(&folder);
    assert!(!segments.is_empty(), "{}", folder.display());
    for (path, _) in segments {
        std::fs::remove_file(if path.is_absolute() { path } else { folder.join(path) }).unwrap();
    }
}

/// Whatever is lost: what the source still has is read again, what only the archive has stays, and the rest is named.
#[test]
fn what_a_lifecycle_rule_removed_is_read_again_or_named() {
    // A broker of its own: the other test looks at all topics of the shared one.
    let kafka = Kafka::with(Options::default());
    let (bootstrap, topic) = (kafka.bootstrap(), "read-again");
    load::create(&bootstrap, topic, 4, 1, &[]);
    let batches = [("linger.ms", "50"), ("batch.num.messages", "20")];
    let write = |from: i64, to: i64| {
        let records = (from..to).flat_map(|n| (0..4).map(move |partition| Make::new(n, partition)));
        load::produce(&bootstrap, topic, &batches, records);
    };
    let view = || -> Vec<Vec<Seen>> { (0..4).map(|p| oracle::read(&bootstrap, topic, p, false)).collect() };
    let bench = Bench::new();
    let backup = json!({"topics": [topic], "incremental": true});
    let strict = bench.backup("lost", &bootstrap, backup.clone());
    let mut reread = strict.clone();
    reread["backup"]["onMissingSegments"] = json!("reread");
    for run in 0..3 {
        write(run * 100, run * 100 + 100);
        bench.run(&strict).ok();
    }
    let whole = view();
    // The first run's records are lost. Of partition 0 the source still has all, of 1 the end, and of 2 and 3 none.
    for (partition, start) in [(1, 50), (2, 150), (3, 250)] {
        load::delete_records(&bootstrap, topic, partition, start);
    }
    lose(&bench, 0);
    let log = || files(&bench.archive().join("lost/log"));
    let before = log();
    bench.run(&strict).fails("KB4007", 4, &["onMissingSegments: reread", "read-again/0 offsets 0 to 99 (100 records)"]);
    assert_eq!(log(), before, "nothing was written");
    let report = bench.run(&reread).ok().report();
    assert_eq!(report["outcome"], "CompletedWithGaps", "{report}");
    let gap =
        |gap: &Value| (gap["partition"].as_i64(), gap["from"].as_i64(), gap["to"].as_i64(), gap["reason"].clone());
    let gaps: Vec<_> = report["gaps"].as_array().unwrap().iter().map(gap).collect();
    let lost = |partition, to| (Some(partition), Some(0), Some(to), json!("segment-lost"));
    assert_eq!(gaps, [lost(1, 50), lost(2, 100), lost(3, 100)]);
    let warnings = report["warnings"].to_string();
    for words in
        ["read again", "read-again/0 from offset 0", "read-again/1 from offset 50", "read-again/3 offsets 0 to 99"]
    {
        assert!(warnings.contains(words), "{words}: {warnings}");
    }
    // What is read again is in the archive twice, and counts once: each partition from where the source still has it.
    let holds = |records: i64| {
        let verified: Value =
            serde_json::from_str(&bench.call("verify", &strict, &["-o", "json", "lost"]).ok().stdout).unwrap();
        assert_eq!((&verified["problems"], verified["records"].as_i64()), (&json!([]), Some(records)));
        let listed = bench.call("ls", &strict, &["lost"]).ok().stdout;
        assert!(listed.contains("segment-lost") && listed.contains(&records.to_string()), "{listed}");
    };
    holds(300 + 250 + 200 + 200);
    let expected = |whole: &[Vec<Seen>]| -> BTreeMap<(String, i32), Vec<Seen>> {
        let first = [0, 50, 100, 100];
        let left = |p: usize| whole[p].iter().filter(|seen| seen.offset >= first[p]).cloned().collect();
        (0..4).map(|p| ((topic.to_owned(), i32::try_from(p).unwrap()), left(p))).collect()
    };
    assert_eq!(archived(&bench), expected(&whole));
    let restored = |name: &str, whole: &[Vec<Seen>]| {
        let restore = json!({"from": "lost", "includeOffsetHeaders": false, "topicMapping": {topic: name}});
        let report = bench.run(&bench.restore(name, &target().bootstrap(), restore)).ok().report();
        let all = expected(whole).values().map(Vec::len).sum::<usize>();
        assert_eq!(report["records"].as_u64(), Some(all as u64), "{report}");
        for ((_, partition), records) in expected(whole) {
            let there = oracle::read(&target().bootstrap(), name, partition, false);
            assert_eq!(
                there.iter().map(Seen::content).collect::<Vec<_>>(),
                records.iter().map(Seen::content).collect::<Vec<_>>(),
                "partition {partition}"
            );
        }
    };
    restored("read-again-1", &whole);
    // Older points stay damaged; the set goes on under the default, and what was given up is not given up again.
    write(300, 400);
    let report = bench.run(&strict).ok().report();
    assert_eq!((report["outcome"].as_str(), report["records"].as_i64()), (Some("Completed"), Some(400)), "{report}");
    let mut longer = whole.clone();
    let append = |longer: &mut Vec<Vec<Seen>>| {
        for (known, now) in longer.iter_mut().zip(view()) {
            let end = known.last().unwrap().offset;
            known.extend(now.into_iter().filter(|seen| seen.offset > end));
        }
    };
    append(&mut longer);
    assert_eq!(archived(&bench), expected(&longer));
    // A second loss: the segments with which the first one was made good.
    lose(&bench, 3);
    bench.run(&strict).fails("KB4007", 4, &["read-again/0"]);
    write(400, 420);
    let report = bench.run(&reread).ok().report();
    assert_eq!((report["outcome"].as_str(), &report["gaps"]), (Some("Completed"), &Value::Null), "{report}");
    append(&mut longer);
    holds(420 + 370 + 320 + 320);
    assert_eq!(archived(&bench), expected(&longer));
    restored("read-again-2", &longer);
}

/// Writes what retention with this number of points would say of a set, and deletes what nothing needs any more.
fn prune(bench: &Bench, set: &str, keep: u32) {
    use archive::{Chain, Digest, Layout, PruneRun, Store, prune_plan};
    let inner = object_store::local::LocalFileSystem::new_with_prefix(bench.archive()).unwrap();
    let store = Store::new(std::sync::Arc::new(inner), "", "folder");
    let owner = contract::SetOwner { name: set.to_owned(), namespace: None, cluster_id: None };
    let rules = contract::retention::RetentionRules::keeping(Some(keep), None, None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let dead = runtime.block_on(async {
        let plan = prune_plan(&store, &owner, &rules, jiff::Timestamp::MAX).await.unwrap();
        let chain = Chain::new(store.clone(), Layout::new(set));
        let head = chain.head().await.unwrap().unwrap();
        let by = PruneRun {
            run: "prune".into(),
            spec: Digest::of(b"prune"),
            nonce: "0123456789abcdef".into(),
            stamp: head.entry.point.clone(),
        };
        let entry = plan.chains[0].cutting.as_ref().unwrap().entry(&head, &by).unwrap();
        chain.append(&entry).await.unwrap();
        entry.prune.unwrap().dead
    });
    assert!(!dead.is_empty());
    let data = bench.archive().join(set).join("data");
    for folder in std::fs::read_dir(data).unwrap().map(|folder| folder.unwrap()) {
        let name = folder.file_name().into_string().unwrap();
        let claim: u64 = name.split_once('-').unwrap().0.parse().unwrap();
        for row in dead.iter().filter(|row| row.claim == claim) {
            for seq in row.from..row.to {
                std::fs::remove_file(folder.path().join(format!("{seq:08}.seg"))).unwrap();
            }
        }
    }
}

/// What retention hides is left out by this reader and by ours, what stays is there and restores, and the set goes on.
#[test]
fn what_retention_hides_is_left_out_and_what_stays_restores() {
    let kafka = Kafka::with(Options::default());
    let (bootstrap, topic) = (kafka.bootstrap(), "kept");
    load::create(&bootstrap, topic, 2, 1, &[]);
    let write = |from: i64, to: i64| {
        let records = (from..to).flat_map(|n| (0..2).map(move |partition| Make::new(n, partition)));
        load::produce(&bootstrap, topic, &[("batch.num.messages", "10")], records);
    };
    let bench = Bench::new();
    let backup = bench.backup("hidden", &bootstrap, json!({"topics": [topic], "incremental": true}));
    for run in 0..4 {
        write(run * 100, run * 100 + 100);
        // From the second run on the source has the newest records only of partition 0; at the end partition 1 loses its first.
        if run > 0 {
            load::delete_records(&bootstrap, topic, 0, run * 100);
        }
        if run == 3 {
            load::delete_records(&bootstrap, topic, 1, 100);
        }
        bench.run(&backup).ok();
    }
    let points = || -> Vec<String> {
        let listed: Value = serde_json::from_str(&call(&bench, &["ls"])).unwrap();
        listed["points"].as_array().unwrap().iter().map(|point| point.as_str().unwrap().to_owned()).collect()
    };
    let before = points();
    prune(&bench, "hidden", 1);
    assert_eq!(points(), before[3..]);
    let view = |from: [i64; 2]| -> BTreeMap<(String, i32), Vec<Seen>> {
        let read = |p: i32| oracle::read(&bootstrap, topic, p, false).into_iter();
        let part = |(p, from): (i32, i64)| ((topic.to_owned(), p), read(p).filter(|s| s.offset >= from).collect());
        (0i32..).zip(from).map(part).collect()
    };
    let check = |name: &str, records: u64| {
        assert_eq!(archived(&bench), view([300, 100]), "{name}");
        let verified: Value =
            serde_json::from_str(&bench.call("verify", &backup, &["-o", "json", "hidden"]).ok().stdout).unwrap();
        assert_eq!((&verified["problems"], verified["records"].as_u64()), (&json!([]), Some(records)));
        let restore = json!({"from": "hidden", "includeOffsetHeaders": false, "topicMapping": {topic: name}});
        let report = bench.run(&bench.restore(name, &target().bootstrap(), restore)).ok().report();
        assert_eq!(report["records"].as_u64(), Some(records), "{report}");
        for ((_, partition), records) in view([300, 100]) {
            let there = oracle::read(&target().bootstrap(), name, partition, false);
            let contents = |all: &[Seen]| all.iter().map(Seen::content).collect::<Vec<_>>();
            assert_eq!(contents(&there), contents(&records), "partition {partition}");
        }
    };
    check("kept-1", 100 + 300);
    // A point that is no more is named as such.
    bench.call("verify", &backup, &[&before[0]]).fails("KB4004", 4, &["retention removed"]);
    write(400, 450);
    let report = bench.run(&backup).ok().report();
    assert_eq!(report["outcome"], "Completed", "{report}");
    assert_eq!(points().len(), 2);
    check("kept-2", 150 + 350);
}
