//! Archives of somebody who means harm: whatever a store holds, readers end, take bounded memory, and never panic.
//! Each test runs in a process of its own with a limit on its memory.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, clippy::disallowed_methods)]

mod bombs;
mod expansion;
#[allow(dead_code)] // the suites of the command line use the rest
mod forge;
#[path = "../made/mod.rs"]
mod made;
mod ways;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use archive::{Level, verify_named};
use forge::{Objects, forged, harm, harmed};
use made::{SET, read_all};
use proptest::prelude::*;
use serde_json::json;
use ways::{LAST, POINTS, honest, read, runtime, stored, write};

/// Address space of a process that reads small archives.
const MIB: u64 = 400;
const DEADLINE: Duration = Duration::from_secs(900);

/// Runs one of the tests below, which are ignored otherwise, in a process that may take `mib` MiB.
fn within(test: &str, mib: u64, deadline: Duration) {
    let mut child = Command::new("sh")
        .args(["-c", &format!("ulimit -v {}; exec \"$0\" \"$@\"", mib << 10)])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        // Each arena of the allocator reserves addresses.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > deadline {
            child.kill().unwrap();
            panic!("{test} did not end in {deadline:?}: {:?}", child.wait());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.success(), "{test}: {status}");
}

/// Whether a server for builds runs this, which has the time.
fn everything() -> bool {
    std::env::var_os("CI").is_some()
}

fn whole_archives(cases: u32) {
    let runtime = runtime();
    let good = runtime.block_on(honest());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    });
    let result = runner.run(&harm(), |harm| {
        runtime.block_on(async {
            let made = stored(&harmed(&good, &harm)).await;
            Box::pin(read(&made)).await;
            write(&made).await;
        });
        Ok(())
    });
    result.unwrap();
}

#[test]
fn whole_archives_that_were_forged_are_read_to_an_end() {
    within("whole_archives_in_a_small_process", MIB, DEADLINE);
}

#[test]
#[ignore = "runs in a process of its own"]
fn whole_archives_in_a_small_process() {
    whole_archives(if everything() { 800 } else { 100 });
}

/// Numbers and links of each document that readers calculate with or follow.
#[rustfmt::skip]
const LINKS: &[(&str, &[&str])] = &[
    ("/log/main/00000000000000000000/00000000000000000065", &[
        "/previous", "/n", "/claim", "/lastSeal", "/lastState", "/lastRollup", "/lastRollup/from", "/lastRollup/to",
        "/lastRollup/size", "/lastRollup/directoryAt", "/lastRollup/level", "/segments/0/size", "/segments/0/footerAt",
        "/segments/0/footerLength", "/segments/0/seq", "/segments/0/claim", "/rows/first/0", "/rows/next/0", "/rows/bytes/0",
        "/rows/committed/0", "/rows/records/0", "/rows/timeline/0", "/rows/partition/0", "/rows/maxTimestamp/0",
        "/rows/minTimestamp/0", "/positions/next/0", "/positions/committed/0", "/seal/topics/0/partitions",
        "/seal/partitions/next/0", "/seal/partitions/first/0", "/seal/partitions/committed/0", "/seal/partitions/bytes/0",
        "/seal/partitions/timeline/0", "/seal/partitions/partition/0", "/seal/configs/size", "/seal/holdings",
        "/seal/holdings/segments", "/seal/holdings/bytes", "/seal/point", "/point",
    ]),
    ("/log/main/00000000000000000000/00000000000000000064", &["/previous", "/lastSeal", "/lastState", "/lastRollup/to", "/claim"]),
    ("/log/main/00000000000000000000/00000000000000000063", &["/previous", "/lastSeal"]),
    ("/log/main/00000000000000000000/00000000000000000000", &["/previous", "/lastSeal", "/lastState", "/lastRollup", "/claim"]),
    ("/roll/1/", &[
        "/last", "/before", "/previous", "/earlier", "/seals/entry/0", "/seals/records/0", "/segments/0/size", "/pages/at/0",
        "/pages/length/0", "/pages/size/0", "/pages/rows/0", "/pages/topic/0", "/pages/partition/0", "/forks", "/gaps",
    ]),
    ("/00000000.seg", &[
        "/claim", "/seq", "/blocks/at/0", "/blocks/length/0", "/blocks/size/0", "/blocks/codec/0", "/shares/at/0",
        "/shares/length/0", "/shares/block/0", "/shares/first/0", "/shares/next/0", "/shares/records/0",
        "/shares/committed/0", "/shares/timeline/0", "/shares/partition/0", "/shares/topic/0", "/shares/maxTimestamp/0",
    ]),
    ("/points/", &["/entry"]),
];

/// Values for them.
fn values(good: &Objects) -> Vec<serde_json::Value> {
    let rollup = |from: u64, to: u64, size: u64, at: u64| {
        let digest = archive::Digest::of(b"");
        json!({"level": 1, "from": from, "to": to, "size": size, "directoryAt": at, "digest": digest})
    };
    let size = good.iter().find(|(key, _)| key.contains("/roll/")).map_or(0, |(_, bytes)| bytes.len() as u64);
    vec![
        json!(null),
        json!(0),
        json!(65),
        json!(1_000_000),
        json!(-1),
        json!(u32::MAX),
        json!(i64::MAX),
        json!(u64::MAX),
        rollup(0, 63, size, 0),
        rollup(0, u64::MAX, size, 0),
        rollup(u64::MAX, 0, 0, 1),
        json!([rollup(0, 63, size, 0), rollup(0, 63, size, 1), rollup(0, u64::MAX, 5, 4)]),
    ]
}

fn links() {
    let runtime = runtime();
    let good = runtime.block_on(honest());
    let (mut failed, mut place_turn) = (Vec::new(), 0);
    for (part, places) in LINKS {
        let since = Instant::now();
        let key = good.keys().rfind(|key| key.contains(part)).unwrap();
        for place in *places {
            for (turn, value) in values(&good).into_iter().enumerate() {
                // Unasked, each place is given a third of the values.
                place_turn += 1;
                if !everything() && (turn + place_turn / 12) % 3 != 0 {
                    continue;
                }
                let forged = forged(&good, key, place, value.clone());
                // What a log of this length cannot do in this time goes in circles.
                let all = async {
                    let made = stored(&forged).await;
                    Box::pin(read(&made)).await;
                    write(&made).await;
                };
                let ends = std::panic::AssertUnwindSafe(|| {
                    runtime.block_on(async { Box::pin(tokio::time::timeout(Duration::from_secs(3_600), all)).await })
                });
                if !matches!(std::panic::catch_unwind(ends), Ok(Ok(()))) {
                    failed.push(format!("{key} {place} {value}"));
                }
            }
        }
        eprintln!("{part}: {} places in {:?}", places.len(), since.elapsed());
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn links_and_numbers_that_were_forged_are_followed_to_an_end() {
    within("links_in_a_small_process", MIB, DEADLINE);
}

#[test]
#[ignore = "runs in a process of its own"]
fn links_in_a_small_process() {
    links();
}

/// What the forger does nothing to is as sound as before: the changes get past the digests.
#[test]
fn a_forger_leaves_no_trace() {
    runtime().block_on(async {
        let good = honest().await;
        let side = good.keys().find(|key| key.contains("/side/")).unwrap();
        let all = forged(&good, side, "/content/t/retention.ms", json!("forged"));
        assert_ne!(all, good);
        let made = stored(&all).await;
        let (layout, seal, found) = verify_named(&made.store, SET, Level::Checksum).await.unwrap();
        assert!(found.problems.is_empty(), "{:?}", found.problems);
        assert_eq!(read_all(&made.store, &layout, seal).await.unwrap(), POINTS);
    });
}
