//! Documents of restores and of committed offsets that are small where they are stored, and would be large in memory: in a
//! process with no more memory than a small pod each is refused.
#![allow(clippy::unwrap_used)]

use std::fmt::Write;
use std::process::{Command, Stdio};

use contract::RunSpec;
use runner::documents::{are_saved_offsets, is_offset_mapping, may_go_on};

/// Address space of such a process.
const MIB: u64 = 400;
/// Bytes of a document.
const LARGE: usize = 36 << 20;

/// Small values under many names.
fn many(value: &str) -> String {
    let mut out = String::new();
    let mut number = 0u32;
    while out.len() < LARGE {
        write!(out, "\"{number:x}\":{value},").unwrap();
        number += 1;
    }
    out.push_str("\"\":");
    out.push_str(value);
    out
}

fn spec() -> RunSpec {
    let text = r#"{"formatVersion": 1, "name": "r", "kafka": {"bootstrapServers": ["h:1"]},
        "storage": {"type": "filesystem", "path": "x"}, "restore": {}}"#;
    serde_json::from_str(text).unwrap()
}

#[test]
fn documents_take_bounded_memory_however_they_unpack() {
    for test in ["saved_offsets", "mappings", "plans", "states"] {
        let status = Command::new("sh")
            .args(["-c", &format!("ulimit -v {}; exec \"$0\" \"$@\"", MIB << 10)])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
            // Each arena of the allocator reserves addresses.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{test}: {status}");
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn saved_offsets() {
    let document = |topics: &str| {
        format!(
            r#"{{"snapshot_id":"s","created_at":"2026-11-01T00:00:00Z","group_offsets":{{"g":{{"group_id":"g","offsets":{{{topics}}}}}}}}}"#
        )
    };
    assert!(are_saved_offsets(document(r#""t":{"0":{"offset":1}}"#).as_bytes()));
    assert!(!are_saved_offsets(document(&many(r#"{"0":{"offset":1}}"#)).as_bytes()));
}

#[test]
#[ignore = "runs in a process of its own"]
fn mappings() {
    let document = |topics: &str| {
        format!(
            r#"{{"format_version":2,"entries":{{}},"consumer_groups":{{"g":{{"group_id":"g","offsets":{{{topics}}}}}}}}}"#
        )
    };
    assert!(is_offset_mapping(document(r#""t":{"0":{"source_offset":1}}"#).as_bytes(), "t", &[]));
    assert!(!is_offset_mapping(document(&many(r#"{"0":{"source_offset":1}}"#)).as_bytes(), "t", &[]));
}

/// A topic's configs come before what is wrong with the rest.
#[test]
#[ignore = "runs in a process of its own"]
fn plans() {
    let plan = format!(
        r#"{{"format":1,"point":"p","digest":"","cluster":"c","offsetHeaders":true,"window":[0,1],"forks":[],"older":[],"topics":[{{"configs":{{{}}}}}]}}"#,
        many("\"\"")
    );
    assert!(!may_go_on(&spec(), plan.as_bytes(), b"{}"));
}

#[test]
#[ignore = "runs in a process of its own"]
fn states() {
    let plan = br#"{"format":1,"point":"p","digest":"","cluster":"c","offsetHeaders":true,"window":[0,1],"forks":[],"older":[],"topics":[]}"#;
    let state = format!(
        r#"{{"namespace":"","name":"r","life":"l","set":"s","entry":0,"digest":"","plan":"","topics":[{{"held":{{{}}}}}]}}"#,
        many("\"\"")
    );
    assert!(!may_go_on(&spec(), plan, state.as_bytes()));
}
