//! The archive read by a program that was written from FORMAT.md alone agrees with librdkafka's view of the source.

use std::collections::BTreeMap;
use std::process::Command;

use harness::load;
use harness::oracle::{self, Seen};
use harness::pair::source;
use harness::runner::{Bench, python};
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
        let mut archive: BTreeMap<_, Vec<Seen>> = BTreeMap::new();
        for line in call(&bench, &["records"]).lines() {
            let (key, record) = seen(line);
            archive.entry(key).or_default().push(record);
        }
        for (key, source) in &source_view {
            assert_eq!(Some(source), archive.get(key), "{key:?} with {compression}");
        }
        assert_eq!(source_view.len(), archive.len());
    }
}
