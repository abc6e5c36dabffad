//! Seeds that were worth keeping, and new ones for a while.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use sim::draw::{of_seed, script};
use sim::script::Script;
use sim::shrink::shrink;
use sim::world::simulate;

/// Seeds that once showed a fault, of the product or of the model, with what it was.
const KEPT: &[(u64, &str)] = &[
    (1_795_900_001_221, "every topic is deleted, and the pod of a continuous run starts again"),
    (
        1_795_900_001_400,
        "a log is cut to nothing and grows past the old position: the position lost its epoch in between",
    ),
    (1_795_829_277_072, "a partition is held back by a transaction, and what lies before it is out of reach"),
    (1_795_830_979_690, "the log start cuts through a batch whose neighbours are stored before it"),
    (1_795_830_979_251, "a topic is deleted before its first plan: the end that an older run had promised stays"),
    (1_795_830_977_761, "an attempt that could not plan a partition left it the end of an older run"),
    (1_795_830_976_257, "a point without an idle partition stays the newest for ever"),
    (1_795_830_976_887, "a connection whose broker answers nothing is used again by whoever asks for less long"),
    (1_795_830_976_073, "a store that is slow for long lets old news of the brokers end the run"),
    (2010, "startOffset latest: what was written to a new topic before it was seen was skipped"),
    (1002, "a list that fails for a minute is no fault of the run"),
    (5019, "an entry that cannot be read for a moment after it was written ends a run for good"),
    (5010, "every topic is deleted for as long as a continuous run lasts"),
    (1010, "every topic is deleted: the run may say that nothing matches"),
];
/// The same of seeds drawn by `of_seed`: every fourth is a restore.
const KEPT_RESTORES: &[(u64, &str)] = &[
    (5019, "a target topic that is deleted before the restore has a plan is one that the restore creates"),
    (7367, "the same, with another attempt before"),
    (910_117, "topics come and go more often than recovery points are made: none was made"),
    (302_296, "a log that was compacted and then cut ends in offsets without a batch: it is held back, and named"),
    (3_001_995, "a fence took longer than coordinators remember guards: the restore said that another one had begun"),
    (3_013_039, "the same with another broken request"),
    (3_014_595, "the same in the first attempt"),
    (
        5_027_143,
        "an attempt died after it had renewed its guards twice: the next ones took its own for another restore's",
    ),
    (5_054_683, "the same in a later attempt"),
    (5_152_543, "the same after a look for another restore, which a foreign record had made necessary"),
    (5_060_307, "guards were forgotten before the first record: the restore said that another one had begun"),
    (5_094_435, "the same after a frozen process"),
    (3_053_163, "somebody set a held config once more to the value of before, in the middle of the attempt"),
    (
        257_162_930_086_856_227,
        "frozen between its last look and its last word, while retention deleted: no fault of the restore",
    ),
    (3_010_999, "a source that ends in offsets without a batch makes no point: it gets one more record"),
];
/// Seconds for new seeds, unless `SIMULATE_SECS` says otherwise.
const SECONDS: u64 = 45;

fn holds(seed: u64, script: &Script, why: &str) {
    let outcome = simulate(script);
    if !outcome.violations.is_empty() {
        let small = shrink(script, 100);
        panic!("seed {seed} ({why}): {:#?}\n{small}\n{:#?}", outcome.violations, simulate(&small).violations);
    }
}

#[test]
fn kept_seeds_hold() {
    for (seed, why) in KEPT {
        holds(*seed, &script(*seed), why);
    }
    for (seed, why) in KEPT_RESTORES {
        holds(*seed, &of_seed(*seed), why);
    }
}

/// The first of the new seeds: others for every commit, and the same ones when a commit is tested again. Without a
/// repository, the clock decides.
fn first_new() -> u64 {
    let head = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok();
    let hash = head.and_then(|out| u64::from_str_radix(String::from_utf8(out.stdout).ok()?.trim(), 16).ok());
    let clock = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    hash.unwrap_or_else(clock).saturating_mul(1000)
}

#[test]
fn new_seeds_hold() {
    let seconds = std::env::var("SIMULATE_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let first = first_new();
    let begun = Instant::now();
    let (mut seeds, mut steps) = (0, 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let seed = first + seeds;
        let outcome = simulate(&of_seed(seed));
        (seeds, steps) = (seeds + 1, steps + outcome.steps);
        if !outcome.violations.is_empty() {
            let small = shrink(&of_seed(seed), 60);
            panic!("seed {seed}: {:#?}\n{small}", outcome.violations);
        }
    }
    println!("{seeds} seeds, {steps} steps, {:.0} a second", steps as f64 / begun.elapsed().as_secs_f64());
}

#[test]
fn a_seed_repeats_itself() {
    for seed in [7, 8, 9] {
        let (first, second) = (simulate(&of_seed(seed)), simulate(&of_seed(seed)));
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "seed {seed}");
    }
}
