//! Seeds that were worth keeping, and new ones for a while.

use std::time::{Duration, Instant, SystemTime};

use sim::draw::script;
use sim::shrink::shrink;
use sim::world::simulate;

/// Seeds that once showed a fault, of the product or of the model, with what it was.
const KEPT: &[(u64, &str)] = &[
    (2010, "startOffset latest: what was written to a new topic before it was seen was skipped"),
    (1002, "a list that fails for a minute is no fault of the run"),
    (5019, "an entry that cannot be read for a moment after it was written ends a run for good"),
    (5010, "every topic is deleted for as long as a continuous run lasts"),
    (1010, "every topic is deleted: the run may say that nothing matches"),
];
/// Seconds for new seeds, unless `SIMULATE_SECS` says otherwise.
const SECONDS: u64 = 45;

fn holds(seed: u64, why: &str) {
    let outcome = simulate(&script(seed));
    if !outcome.violations.is_empty() {
        let small = shrink(&script(seed), 100);
        panic!("seed {seed} ({why}): {:#?}\n{small}\n{:#?}", outcome.violations, simulate(&small).violations);
    }
}

#[test]
fn kept_seeds_hold() {
    for (seed, why) in KEPT {
        holds(*seed, why);
    }
}

#[test]
fn new_seeds_hold() {
    let seconds = std::env::var("SIMULATE_SECS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS);
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let begun = Instant::now();
    let (mut seeds, mut steps) = (0, 0);
    while begun.elapsed() < Duration::from_secs(seconds) {
        let seed = clock * 1000 + seeds;
        let outcome = simulate(&script(seed));
        (seeds, steps) = (seeds + 1, steps + outcome.steps);
        if !outcome.violations.is_empty() {
            let small = shrink(&script(seed), 60);
            panic!("seed {seed}: {:#?}\n{small}", outcome.violations);
        }
    }
    println!("{seeds} seeds, {steps} steps, {:.0} a second", steps as f64 / begun.elapsed().as_secs_f64());
}

#[test]
fn a_seed_repeats_itself() {
    for seed in [7, 8, 9] {
        let (first, second) = (simulate(&script(seed)), simulate(&script(seed)));
        assert_eq!((first.hash, first.steps), (second.hash, second.steps), "seed {seed}");
    }
}
