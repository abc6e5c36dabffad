//! Archives of another tool become sets of ours, and incremental backups of the cluster that they came from go on with them: each
//! record once, and where nothing shows that it is the same topic, the run says so and begins anew.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use harness::load::{self, Make};
use harness::oracle::{self, Seen};
use harness::pair::{source, target, with};
use harness::runner::{Bench, Ended, binary, ended};
use serde_json::{Value, json};

use super::foreign::written::{Made, Pack, key, listed, manifest, segment};

/// Places where a conversion is ended.
const PLACES: [&str; 9] = [
    "set-created",
    "claim-created",
    "claimed",
    "packed",
    "segment-closing",
    "segment-durable",
    "entry-frozen",
    "entry-created",
    "side-written",
];

fn put(bench: &Bench, key: &str, bytes: &[u8]) {
    let file = bench.archive().join(key);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, bytes).unwrap();
}

/// A topic with records in each partition.
fn topic(name: &str, partitions: i32, records: i64) {
    load::create(&source().bootstrap(), name, partitions, 1, &[]);
    more(name, partitions, 0, records);
}

fn more(name: &str, partitions: i32, from: i64, to: i64) {
    let all = (0..partitions)
        .flat_map(|partition| (from..to).map(move |n| Make::new(n * 7 + i64::from(partition), partition)));
    load::produce(&source().bootstrap(), name, &[], all);
}

fn made(seen: &Seen) -> Made {
    Made {
        offset: seen.offset,
        timestamp: seen.timestamp,
        key: seen.key.clone(),
        value: seen.value.clone(),
        headers: seen.headers.iter().map(|(key, value)| (key.clone().into_bytes(), value.clone())).collect(),
    }
}

/// Writes the archive `nightly` of these topics as the source has them now.
fn archive(bench: &Bench, topics: &[&str]) {
    let mut all = Vec::new();
    for topic in topics {
        let mut partitions = Vec::new();
        for partition in 0..oracle::partitions(&source().bootstrap(), topic) {
            let records: Vec<Made> =
                oracle::read(&source().bootstrap(), topic, partition, true).iter().map(made).collect();
            let mut segments = Vec::new();
            for (records, pack) in records.chunks(250).zip(Pack::ALL.into_iter().cycle()) {
                let stored: Vec<Made> = records.iter().cloned().map(Made::with_added_headers).collect();
                let key = key("nightly", topic, partition, stored[0].offset, pack);
                let object = segment(&stored, pack);
                segments.push(listed(&key, &stored, &object));
                put(bench, &key, &object);
            }
            partitions.push(json!({"partition_id": partition, "segments": segments}));
        }
        all.push(json!({"name": topic, "original_partition_count": partitions.len(), "partitions": partitions}));
    }
    put(bench, "nightly/manifest.json", &serde_json::to_vec(&manifest("nightly", json!(all))).unwrap());
}

fn backup(bench: &Bench, topics: &[&str], more: &Value) -> Value {
    let part =
        json!({"topics": topics, "incremental": true, "includeOffsetHeaders": false, "segmentMaxBytes": 1 << 20});
    bench.backup("orders", &source().bootstrap(), with(part, more))
}

/// The command `convert` with a restore's and a backup's specification.
fn convert(bench: &Bench, backup: &Value, place: Option<&str>) -> Ended {
    let file = bench.dir.path().join("backup.json");
    std::fs::write(&file, serde_json::to_vec(backup).unwrap()).unwrap();
    let from = bench.restore("r", &target().bootstrap(), json!({"from": "nightly"}));
    let mut command = bench.command("convert", &from, &[file.to_str().unwrap(), "-o", "json"]);
    if let Some(place) = place {
        command.env("KAFKA_BACKUP_CRASH_AT", place);
    }
    ended(command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap())
}

/// Restores the newest point, and compares it with all that the source has.
fn assert_restored(bench: &Bench, topic: &str, first: i64) {
    let restore = json!({"from": "orders", "includeOffsetHeaders": false, "topics": [topic]});
    let name = format!("{topic}-r");
    bench.run(&bench.restore(&name, &target().bootstrap(), restore)).ok();
    for partition in 0..oracle::partitions(&source().bootstrap(), topic) {
        let read = |bootstrap: String| oracle::read(&bootstrap, topic, partition, false);
        let expected: Vec<_> =
            read(source().bootstrap()).iter().filter(|seen| seen.offset >= first).map(Seen::content).collect();
        let restored: Vec<_> = read(target().bootstrap()).iter().map(Seen::content).collect();
        assert_eq!(restored.len(), expected.len(), "{topic}/{partition}");
        assert!(restored == expected, "{topic}/{partition}");
    }
}

#[test]
fn an_incremental_backup_goes_on_with_a_converted_set_through_kills() {
    let (bench, name) = (Bench::new(), "t-converted");
    topic(name, 2, 1_000);
    archive(&bench, &[name]);
    let spec = backup(&bench, &[name], &json!({}));
    for place in PLACES {
        assert_ne!(convert(&bench, &spec, Some(place)).code, 0, "{place} was not reached");
    }
    let report = convert(&bench, &spec, None).ok().report();
    assert_eq!(report["outcome"], "Completed", "{report}");
    assert_eq!(report["made"]["records"], 2_000, "{report}");
    assert_eq!(convert(&bench, &spec, None).ok().report()["outcome"], "AlreadyDone");
    bench.call("verify", &spec, &["orders"]).ok();
    // Nothing new: the run goes on, and reads nothing.
    let report = bench.run(&spec).ok().report();
    assert_eq!((&report["records"], &report["outcome"]), (&json!(0), &json!("Completed")), "{report}");
    assert_eq!((&report["warnings"], &report["members"]), (&Value::Null, &Value::Null), "{report}");
    more(name, 2, 1_000, 1_300);
    // A run that is ended in the middle has decided already.
    assert_ne!(bench.run_to("entry-created", &spec).code, 0);
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["made"]["records"], 2_600, "{report}");
    assert_eq!(report["gaps"], Value::Null, "{report}");
    more(name, 2, 1_300, 1_310);
    let report = bench.run(&spec).ok().report();
    assert_eq!((&report["records"], &report["made"]["records"]), (&json!(20), &json!(2_620)), "{report}");
    let verified = bench.call("verify", &spec, &["orders"]).ok().stdout;
    assert!(verified.contains("nothing wrong"), "{verified}");
    assert_restored(&bench, name, 0);
}

#[test]
fn a_topic_that_was_made_again_begins_anew_and_nothing_of_it_is_missing() {
    let (bench, same, other) = (Bench::new(), "t-converted-same", "t-converted-other");
    topic(same, 1, 300);
    topic(other, 1, 300);
    archive(&bench, &[same, other]);
    load::delete(&source().bootstrap(), other);
    // As many records and more, of which none is the one that was archived.
    load::create(&source().bootstrap(), other, 1, 1, &[]);
    load::produce(&source().bootstrap(), other, &[], (0..400).map(|n| Make::new(90_000 + n, 0)));
    let spec = backup(&bench, &[same, other], &json!({}));
    convert(&bench, &spec, None).ok();
    let report = bench.run(&spec).ok().report();
    let told = report["warnings"].to_string();
    assert!(told.contains(&format!("topic {other}: partition 0: the source has another record at offset")), "{told}");
    assert!(told.contains("begins anew") && !told.contains(&format!("topic {same}:")), "{told}");
    assert_eq!(report["records"], 400, "{report}");
    // What was decided stays.
    let report = bench.run(&spec).ok().report();
    assert_eq!((&report["records"], &report["warnings"]), (&json!(0), &Value::Null), "{report}");
    assert_restored(&bench, same, 0);
    assert_restored(&bench, other, 0);
}

#[test]
fn a_set_of_which_nothing_shows_that_it_is_of_this_cluster_is_refused() {
    let (bench, name) = (Bench::new(), "t-converted-trimmed");
    topic(name, 1, 300);
    archive(&bench, &[name]);
    more(name, 1, 300, 500);
    // Retention took what could be compared.
    load::delete_records(&source().bootstrap(), name, 0, 400);
    let spec = backup(&bench, &[name], &json!({}));
    convert(&bench, &spec, None).ok();
    let before = harness::runner::files(&bench.archive().join("orders/log"));
    bench.run(&spec).fails("KB4003", 4, &[name, "begins at 400", "backup.adopt: true", "Nothing was written"]);
    assert_eq!(harness::runner::files(&bench.archive().join("orders/log")), before);
    let report = bench.run(&backup(&bench, &[name], &json!({"adopt": true}))).ok().report();
    assert_eq!(report["records"], 100, "{report}");
    assert!(report["warnings"].to_string().contains("begins anew"), "{report}");
    assert_restored(&bench, name, 400);
    // From then on it is a set as any other.
    more(name, 1, 500, 510);
    assert_eq!(bench.run(&spec).ok().report()["records"], 10);
}

#[test]
fn a_source_that_lost_what_follows_goes_on_with_a_gap() {
    let (bench, name) = (Bench::new(), "t-converted-gap");
    topic(name, 2, 300);
    archive(&bench, &[name]);
    more(name, 2, 300, 500);
    load::delete_records(&source().bootstrap(), name, 0, 450);
    let spec = backup(&bench, &[name], &json!({}));
    convert(&bench, &spec, None).ok();
    // The other partition shows that it is the same topic.
    let report = bench.run(&spec).ok().report();
    assert_eq!((&report["outcome"], &report["records"]), (&json!("CompletedWithGaps"), &json!(250)), "{report}");
    let gap = &report["gaps"][0];
    assert_eq!((&gap["partition"], &gap["from"], &gap["to"]), (&json!(0), &json!(300), &json!(450)), "{report}");
}

#[test]
fn the_walk_of_the_page_goes_from_the_oso_tool_to_this_one() {
    let (bench, name) = (Bench::new(), "t-converted-walk");
    topic(name, 2, 500);
    archive(&bench, &[name]);
    more(name, 2, 500, 600);
    let write = |file: &str, spec: &Value| {
        std::fs::write(bench.dir.path().join(file), serde_json::to_vec(spec).unwrap()).unwrap();
    };
    write("restore.yaml", &bench.restore("walk", &target().bootstrap(), json!({"from": "nightly"})));
    write("backup.yaml", &backup(&bench, &[name], &json!({})));
    let page = std::fs::read_to_string(format!("{}/../docs/compatibility.md", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let (_, walk) = page.split_once("<!-- walk begins -->\n```sh\n").expect("the page has a walk");
    let (walk, _) = walk.split_once("```\n<!-- walk ends -->").unwrap();
    for step in [" ls ", " verify ", " run restore", " convert ", " run backup"] {
        assert!(walk.contains(step), "{step} is not in the walk:\n{walk}");
    }
    let folder: PathBuf = binary().parent().unwrap().to_owned();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    bash.args(["-euxc", walk]).env("PATH", path).current_dir(bench.dir.path()).stdin(Stdio::null());
    let ended = ended(bash.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()).ok();
    assert!(
        ended.stdout.contains("an archive that the OSO tool wrote") || ended.stdout.contains("OSO tool"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("convert orders-"), "{ended:?}");
    // The restore of the walk took what the archive had.
    let restored: usize =
        (0..2).map(|partition| oracle::read(&target().bootstrap(), name, partition, false).len()).sum();
    assert_eq!(restored, 1_000);
    let list = bench.call("ls", &backup(&bench, &[name], &json!({})), &["orders"]).ok().stdout;
    assert!(list.contains("1200"), "{list}");
}
