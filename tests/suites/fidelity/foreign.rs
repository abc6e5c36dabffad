//! Archives that the OSO tool wrote, by a generator of our own: looked at, verified, and restored into a broker.

use harness::oracle;
use harness::pair::target;
use harness::runner::Bench;
use serde_json::{Value, json};

#[path = "../../../runner/foreign/tests/written/mod.rs"]
pub(super) mod written;

use written::{Made, Pack, key, legacy, listed, manifest, segment};

/// Records of a partition in several segments, of each packing and form.
fn records(partition: i32) -> Vec<Vec<Made>> {
    let made = |offset: i64| Made {
        key: (offset % 7 != 0).then(|| format!("k{partition}-{offset}").into_bytes()),
        value: (offset % 11 != 0).then(|| format!("value {offset} ").repeat(40).into_bytes()),
        headers: if offset % 3 == 0 {
            vec![(b"h".to_vec(), None), (b"h".to_vec(), Some(b"2".to_vec()))]
        } else {
            vec![]
        },
        ..Made::plain(offset)
    };
    (0..4).map(|part| (part * 500..part * 500 + 500).map(made).collect()).collect()
}

fn put(bench: &Bench, key: &str, bytes: &[u8]) {
    let file = bench.archive().join(key);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, bytes).unwrap();
}

/// Writes the set `old` with a topic of three partitions, of which the last has nothing; returns what it holds.
fn write(bench: &Bench, topic: &str) -> Vec<Vec<Made>> {
    let (mut partitions, mut all) = (Vec::new(), Vec::new());
    for partition in 0..2 {
        let (mut segments, mut expected) = (Vec::new(), Vec::new());
        for (number, plain) in records(partition).into_iter().enumerate() {
            expected.extend(plain.clone());
            let mut stored: Vec<Made> = plain.into_iter().map(Made::with_added_headers).collect();
            let last = stored.last().unwrap().offset;
            // The last segment of the first partition ends with a marker, as old releases stored them.
            if (partition, number) == (0, 3) {
                stored.push(Made::marker(last + 1, true).with_added_headers());
            }
            let pack = Pack::ALL[number % 3];
            let key = key("old", topic, partition, stored[0].offset, pack);
            let object = if number == 3 { legacy(&stored, pack) } else { segment(&stored, pack) };
            segments.push(listed(&key, &stored, &object));
            put(bench, &key, &object);
        }
        partitions.push(json!({"partition_id": partition, "segments": segments}));
        all.push(expected);
    }
    let topics = json!([{"name": topic, "original_partition_count": 3, "partitions": partitions}]);
    put(bench, "old/manifest.json", &serde_json::to_vec_pretty(&manifest("old", topics)).unwrap());
    all
}

fn assert_restored(topic: &str, expected: &[Vec<Made>]) {
    for (partition, expected) in (0..).zip(expected) {
        let seen = oracle::read(&target().bootstrap(), topic, partition, true);
        assert_eq!(seen.len(), expected.len(), "{topic}/{partition}");
        for (seen, made) in seen.iter().zip(expected) {
            assert_eq!((&seen.key, &seen.value), (&made.key, &made.value), "{topic}/{partition} {}", made.offset);
            let headers =
                made.headers.iter().map(|(key, value)| (String::from_utf8(key.clone()).unwrap(), value.clone()));
            assert_eq!((seen.timestamp, &seen.headers), (made.timestamp, &headers.collect()), "{}", made.offset);
        }
    }
}

fn spec(bench: &Bench, topic: &str, more: &Value) -> Value {
    let restore = harness::pair::with(json!({"from": "old"}), more);
    bench.restore(&format!("{topic}-r"), &target().bootstrap(), restore)
}

/// What lies in the archive, with sizes.
fn held(bench: &Bench) -> Vec<(std::path::PathBuf, u64)> {
    harness::runner::files(&bench.archive().join("old"))
}

#[test]
fn an_archive_of_the_oso_tool_is_looked_at_verified_and_restored_once_through_kills() {
    let (bench, topic) = (Bench::new(), "t-foreign");
    let expected = write(&bench, topic);
    let spec = spec(&bench, topic, &json!({}));
    let before = held(&bench);
    let list = bench.call("ls", &spec, &[]).ok().stdout;
    assert!(list.contains("OSO tool"), "{list}");
    let point = bench.call("ls", &spec, &["old", "--partitions"]).ok().stdout;
    assert!(point.contains("an archive that the OSO tool wrote, cluster unknown"), "{point}");
    assert!(point.lines().any(|line| line.split_whitespace().take(4).eq([topic, "0", "0", "2001"])), "{point}");
    let segments = bench.call("ls", &spec, &["old", "--segments"]).ok().stdout;
    assert!(segments.contains(&key("old", topic, 1, 500, Pack::Zstd)), "{segments}");
    for level in ["structure", "checksum", "decode"] {
        let verified = bench.call("verify", &spec, &["old", "--level", level]).ok().stdout;
        assert!(verified.contains("nothing wrong"), "{verified}");
    }
    let shown = bench.call("show", &spec, &["old", "set"]).ok().stdout;
    assert!(shown.contains("\"backup_id\": \"old\""), "{shown}");
    bench.call("show", &spec, &["old", "entry"]).fails("KB4004", 4, &["has no log"]);
    for place in ["intent-saved", "producing", "produced"] {
        assert_ne!(bench.run_to(place, &spec).code, 0, "{place}");
    }
    let report = bench.run(&spec).ok().report();
    assert_restored(topic, &expected);
    assert_eq!(report["details"]["topics"][0]["records"].as_u64(), Some(4_000), "{report}");
    let told = report["warnings"].to_string();
    assert!(
        told.contains(&format!("{topic}/0: 1 records that look like markers of transactions are left out")),
        "{told}"
    );
    assert_eq!(bench.run(&spec).ok().report()["outcome"], "AlreadyDone");
    assert_eq!(held(&bench), before, "nothing is written into the archive");
}

#[test]
fn groups_of_another_tool_go_on_at_their_next_record() {
    let (bench, topic) = (Bench::new(), "t-foreign-groups");
    let expected = write(&bench, topic);
    // At the marker, at the end, and in the middle.
    let offsets = json!({"0": 2000, "1": 700});
    let snapshot = json!({"snapshot_time": 1, "groups": [{"group_id": "g-foreign", "offsets": {topic: offsets}}]});
    put(&bench, "old/consumer-groups-snapshot.json", &serde_json::to_vec(&snapshot).unwrap());
    let spec = spec(&bench, topic, &json!({"groups": {"include": ["g-foreign"], "commit": true}}));
    bench.run(&spec).ok();
    assert_restored(topic, &expected);
    let stands = harness::consumers::stands(&target().bootstrap(), "g-foreign", topic);
    assert_eq!(stands, [Some(2000), Some(700), None]);
}

/// The files beside the manifest: where records went, and where groups were.
#[test]
fn offsets_of_another_tool_are_put_back_and_its_mapping_leads_groups() {
    let (bench, topic) = (Bench::new(), "t-foreign-offsets");
    write(&bench, topic);
    bench.run(&spec(&bench, topic, &json!({}))).ok();
    let bootstrap = target().bootstrap();
    for group in ["g-back", "g-mapped"] {
        harness::consumers::commit(&bootstrap, group, topic, &[10, 20]);
    }
    let run = |name: &str, part: &str, what: Value| {
        let mut spec = bench.restore(&format!("{topic}-{name}"), &bootstrap, Value::Null);
        spec.as_object_mut().unwrap().remove("restore");
        spec[part] = what;
        bench.run(&spec)
    };
    // The mapping of a restore in form 1: a pair for each record, by the names of the target.
    let pairs: Vec<Value> =
        (0..100).map(|n| json!({"source_offset": n * 3, "target_offset": n, "timestamp": 1})).collect();
    let entry = json!({
        "topic": topic, "partition": 1, "source_first_offset": 0, "source_last_offset": 297, "target_first_offset": 0,
        "target_last_offset": 99, "first_timestamp": 1, "last_timestamp": 1,
    });
    let place = format!("{topic}/1");
    let group = json!({"group_id": "g-mapped", "offsets": {topic: {"1": {
        "source_offset": 151, "target_offset": null, "timestamp": 1, "metadata": null,
    }}}});
    let file = json!({
        "entries": {&place: entry}, "detailed_mappings": {&place: pairs}, "consumer_groups": {"g-mapped": group},
        "source_cluster_id": null, "target_cluster_id": null, "created_at": 1,
    });
    put(&bench, "old/offset-mapping.json", &serde_json::to_vec(&file).unwrap());
    let to = json!({"mapping": {"path": "old/offset-mapping.json"}});
    run("mapped", "offsetReset", json!({"groups": ["g-mapped"], "to": to})).ok();
    // Offset 151 was not restored: the next one is 153.
    assert_eq!(harness::consumers::stands(&bootstrap, "g-mapped", topic), [Some(10), Some(51), None]);
    // The second group was at an offset that this cluster does not have.
    let groups = json!([{"group_id": "g-back", "offsets": {topic: {"0": 1500, "1": 5_000}}}]);
    let snapshot = json!({"snapshot_time": 1, "groups": groups});
    put(&bench, "old/consumer-groups-snapshot.json", &serde_json::to_vec(&snapshot).unwrap());
    let before = held(&bench);
    let back = run("back", "offsetRollback", json!({"from": {"path": "old/consumer-groups-snapshot.json"}}));
    back.fails("KB2019", 4, &["g-back", "5000", "its log ends before this offset"]);
    assert_eq!(harness::consumers::stands(&bootstrap, "g-back", topic), [Some(1500), Some(20), None]);
    assert_eq!(held(&bench), before, "nothing is written into the archive");
}

#[test]
fn records_of_another_tool_are_restored_as_written_when_that_is_asked_for() {
    let (bench, topic) = (Bench::new(), "t-foreign-raw");
    let expected = write(&bench, topic);
    bench.run(&spec(&bench, topic, &json!({"foreignRecords": "asWritten"}))).ok();
    let seen = oracle::read(&target().bootstrap(), topic, 0, true);
    assert_eq!(seen.len(), expected[0].len() + 1);
    assert_eq!(seen[1].headers.len(), 2, "{:?}", seen[1]);
}

/// Compaction and markers leave holes between the offsets of an archive, and none in what is restored of it.
#[test]
fn records_of_another_tool_with_holes_between_them_follow_each_other_in_the_target() {
    let (bench, topic) = (Bench::new(), "t-foreign-holes");
    let records: Vec<Made> = [3, 4, 9, 20, 21, 40].into_iter().map(Made::plain).collect();
    let segments: Vec<Value> = records
        .chunks(4)
        .map(|records| {
            let (key, object) = (key("old", topic, 0, records[0].offset, Pack::None), segment(records, Pack::None));
            put(&bench, &key, &object);
            listed(&key, records, &object)
        })
        .collect();
    let topics = json!([{"name": topic, "partitions": [{"partition_id": 0, "segments": segments}]}]);
    put(&bench, "old/manifest.json", &serde_json::to_vec(&manifest("old", topics)).unwrap());
    bench.run(&spec(&bench, topic, &json!({}))).ok();
    let seen = oracle::read(&target().bootstrap(), topic, 0, true);
    let found: Vec<_> = seen.iter().map(|seen| (seen.offset, seen.value.clone())).collect();
    let expected: Vec<_> = (0..).zip(&records).map(|(offset, made)| (offset, made.value.clone())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_damaged_archive_of_another_tool_is_refused_before_anything_is_written() {
    let (bench, topic) = (Bench::new(), "t-foreign-damaged");
    write(&bench, topic);
    let name = key("old", topic, 1, 1000, Pack::Lz4);
    let mut bytes = std::fs::read(bench.archive().join(&name)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    put(&bench, &name, &bytes);
    let spec = spec(&bench, topic, &json!({}));
    assert_eq!(bench.call("verify", &spec, &["old", "--level", "structure"]).code, 0);
    for level in ["checksum", "decode"] {
        let verified = bench.call("verify", &spec, &["old", "--level", level]);
        assert!(verified.code == 1 && verified.stdout.contains(&name), "{}", verified.stdout);
    }
    bench.run(&spec).fails("KB4001", 4, &[&name, "CRC-32"]);
    let point = bench.call("ls", &spec, &["old"]).ok().stdout;
    assert!(point.contains(topic), "{point}");
}
