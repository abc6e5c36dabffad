//! Runs simulations of new seeds for a while, or one seed: `simulate SECONDS [FIRST-SEED]`, `simulate seed SEED`. Every
//! fourth is a restore.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sim::draw::of_seed;
use sim::shrink::shrink;
use sim::world::simulate;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    match (arguments.first().map(String::as_str), number(0), number(1)) {
        (Some("seed"), _, Some(seed)) => one(seed),
        (_, Some(seconds), first) => many(Duration::from_secs(seconds), first),
        _ => {
            println!("simulate SECONDS [FIRST-SEED] | simulate seed SEED");
            ExitCode::from(2)
        }
    }
}

fn one(seed: u64) -> ExitCode {
    let outcome = simulate(&of_seed(seed));
    println!("{}\n{}\n{:#?}", of_seed(seed), outcome.trace, outcome.attempts);
    println!(
        "{:#?}\n{} steps, {} points, {} records, {} claims that gave up segments",
        outcome.violations, outcome.steps, outcome.points, outcome.records, outcome.given_up
    );
    ExitCode::from(u8::from(!outcome.violations.is_empty()))
}

fn many(limit: Duration, first: Option<u64>) -> ExitCode {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut seed = first.unwrap_or_else(|| clock.map_or(0, |since| since.as_secs() * 1000));
    let begun = Instant::now();
    let (mut seeds, mut steps, mut points, mut records, mut virtual_ms) = (0u64, 0u64, 0u64, 0u64, 0u64);
    let mut given_up = 0u64;
    let mut failed = Vec::new();
    let shrinks = std::env::var("SHRINK").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    while begun.elapsed() < limit {
        let outcome = simulate(&of_seed(seed));
        seeds += 1;
        steps += outcome.steps;
        points += outcome.points;
        records += outcome.records;
        given_up += outcome.given_up;
        virtual_ms += outcome.virtual_ms;
        if !outcome.violations.is_empty() {
            println!("seed {seed}: {:#?}", outcome.violations);
            if failed.len() < shrinks {
                println!("{}", shrink(&of_seed(seed), 150));
            }
            failed.push(seed);
        }
        seed += 1;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {steps} steps ({:.0} a second), {points} recovery points, {records} records compared, {given_up} claims that gave up segments, {} h of virtual time, {} seeds failed: {failed:?}",
        steps as f64 / seconds,
        virtual_ms / 3_600_000,
        failed.len()
    );
    ExitCode::from(u8::from(!failed.is_empty()))
}
