//! Documents that are small where they are stored, and would be large in memory: few bytes of JSON make a map, a text or a
//! number of many. Each is refused by name, with the limit, in a process that has no more memory than a small pod.

use std::collections::BTreeMap;
use std::fmt::Write;

use archive::{ArchiveError, Chain, Layout, Point, RestoreJournal, newest_configs};

use crate::forge::{Objects, with_document, with_packed_footer};
use crate::made::SET;
use crate::{DEADLINE, LAST, MIB, honest, read, runtime, stored, within, write};

/// Bytes of a document, unpacked.
const LARGE: usize = 36 << 20;

fn packed(text: &str) -> Vec<u8> {
    zstd::bulk::compress(text.as_bytes(), 1).unwrap()
}

/// An object of small objects: some fifteen bytes each, and more than six hundred in memory.
fn maps() -> String {
    let mut out = String::from("{");
    let mut number = 0u32;
    while out.len() < LARGE {
        write!(out, "\"{number:x}\":{{\"\":\"\"}},").unwrap();
        number += 1;
    }
    out.push_str("\"\":{}}");
    out
}

/// A list of empty texts: three bytes each, and twenty-four in memory, which grows by doubling.
fn texts() -> String {
    let mut out = String::from("[");
    out.push_str(&"\"\",".repeat(LARGE / 3));
    out.push_str("\"\"]");
    out
}

/// A document that requires what `texts` names, where every document can have it.
fn requiring() -> Vec<u8> {
    packed(&format!(r#"{{"format":1,"requires":{},"entry":1,"digest":""}}"#, texts()))
}

fn key(good: &Objects, part: &str) -> String {
    good.keys().rfind(|key| key.contains(part)).unwrap().clone()
}

fn is_named(error: &ArchiveError, part: &str) -> bool {
    let words = error.to_string();
    matches!(error, ArchiveError::TooLarge { .. }) && words.contains(part) && words.contains("266 MiB of memory")
}

#[test]
fn documents_take_bounded_memory_however_they_unpack() {
    for test in ["entries", "side_documents", "footers", "states"] {
        within(&format!("expansion::{test}"), MIB, DEADLINE);
    }
}

/// Entries, and documents that are small or nothing: what says who and where has at most a MiB.
#[test]
#[ignore = "runs in a process of its own"]
fn entries() {
    let good = runtime().block_on(honest());
    let bomb = requiring();
    assert!(bomb.len() < 1 << 20);
    for part in ["/log/main/", "/set.json", "/points/"] {
        let key = key(&good, part);
        let mut bad = good.clone();
        bad.insert(key.clone(), bomb.clone());
        runtime().block_on(async {
            let made = stored(&bad).await;
            Box::pin(read(&made)).await;
            write(&made).await;
            if let Some(number) = key.rsplit('/').next().and_then(|name| name.parse().ok()) {
                let error = Chain::new(made.store.clone(), Layout::new(SET)).entry(number).await.unwrap_err();
                assert!(is_named(&error, "/log/main/"), "{error}");
            }
        });
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn side_documents() {
    let good = runtime().block_on(honest());
    let key = key(&good, "configs.json");
    let bad = with_document(&good, &key, packed(&format!(r#"{{"format":1,"content":{}}}"#, maps())));
    runtime().block_on(async {
        let made = stored(&bad).await;
        let error = newest_configs(&made.store, &Layout::new(SET)).await.unwrap_err();
        assert!(is_named(&error, "configs.json"), "{error}");
        Box::pin(read(&made)).await;
        write(&made).await;
    });
}

#[test]
#[ignore = "runs in a process of its own"]
fn footers() {
    let good = runtime().block_on(honest());
    let text = format!(
        r#"{{"format":1,"claim":0,"nonce":"","seq":0,"topics":[],"blocks":{{"digest":{}}},"shares":{{}},"aborted":{{}}}}"#,
        texts()
    );
    let bad = with_packed_footer(&good, packed(&text));
    runtime().block_on(async {
        let made = stored(&bad).await;
        let point = Point::load(&made.store, &Layout::new(SET), LAST).await.unwrap();
        let error = point.footer(point.segments().last().unwrap()).await.unwrap_err();
        assert!(is_named(&error, ".seg"), "{error}");
        Box::pin(read(&made)).await;
    });
}

/// States of restores and of offset runs, and claims: what is free in them is read as what it is.
#[test]
#[ignore = "runs in a process of its own"]
fn states() {
    type Content = BTreeMap<String, BTreeMap<String, String>>;
    let bomb = packed(&format!(r#"{{"format":1,"n":0,"nonce":"","previous":null,"content":{}}}"#, maps()));
    runtime().block_on(async {
        let made = crate::made::Made::new();
        made.put("_restores/c/r/state/00000000000000000000", bomb.clone()).await;
        let opened = RestoreJournal::open::<Content>(&made.store, "c", "r", String::new()).await;
        let error = opened.unwrap_err();
        assert!(is_named(&error, "_restores/c/r/state"), "{error}");
    });
}
