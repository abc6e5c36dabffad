//! Runs simulations of new seeds for a while, or one seed: `simulate SECONDS [FIRST-SEED]`, `simulate restores SECONDS
//! [FIRST-SEED]`, `simulate seed SEED`. Every fourth seed is a restore; `restores` runs these alone. `STEPS` ends it as soon as
//! so many steps were made, `SHRINK` says how many failures are shrunk (3).

use std::process::ExitCode;
use std::time::{Duration, Instant};

use sim::draw::of_seed;
use sim::script::Mode;
use sim::shrink::shrink;
use sim::world::{Outcome, simulate};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok());
    match (arguments.first().map(String::as_str), number(0), number(1)) {
        (Some("seed"), _, Some(seed)) => one(seed),
        (Some("restores"), _, Some(seconds)) => many(Duration::from_secs(seconds), number(2), true),
        (_, Some(seconds), first) => many(Duration::from_secs(seconds), first, false),
        _ => {
            println!("simulate SECONDS [FIRST-SEED] | simulate restores SECONDS [FIRST-SEED] | simulate seed SEED");
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

/// What simulations of one kind came to.
#[derive(Default)]
struct Sum {
    seeds: u64,
    steps: u64,
    points: u64,
    records: u64,
    given_up: u64,
    virtual_ms: u64,
    failed: Vec<u64>,
}

impl Sum {
    fn add(&mut self, seed: u64, outcome: &Outcome) {
        self.seeds += 1;
        self.steps += outcome.steps;
        self.points += outcome.points;
        self.records += outcome.records;
        self.given_up += outcome.given_up;
        self.virtual_ms += outcome.virtual_ms;
        if !outcome.violations.is_empty() {
            self.failed.push(seed);
        }
    }

    fn tell(&self, kind: &str) {
        println!(
            "{kind}: {} seeds, {} steps, {} recovery points, {} records compared, {} claims that gave up segments, {} h of virtual time, {} seeds failed: {:?}",
            self.seeds,
            self.steps,
            self.points,
            self.records,
            self.given_up,
            self.virtual_ms / 3_600_000,
            self.failed.len(),
            self.failed
        );
    }
}

fn many(limit: Duration, first: Option<u64>, restores_alone: bool) -> ExitCode {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let first = first.unwrap_or_else(|| clock.map_or(0, |since| since.as_secs() * 1000));
    let of_environment = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (most, shrinks) = (of_environment("STEPS").unwrap_or(u64::MAX), of_environment("SHRINK").unwrap_or(3));
    let begun = Instant::now();
    let (mut backups, mut restores) = (Sum::default(), Sum::default());
    for seed in first.. {
        if begun.elapsed() >= limit || backups.steps + restores.steps >= most {
            break;
        }
        let script = of_seed(seed);
        let is_restore = script.settings.mode == Mode::Restore;
        if restores_alone && !is_restore {
            continue;
        }
        let outcome = simulate(&script);
        if !outcome.violations.is_empty() {
            println!("seed {seed}: {:#?}", outcome.violations);
            if ((backups.failed.len() + restores.failed.len()) as u64) < shrinks {
                println!("{}", shrink(&script, 150));
            }
        }
        if is_restore { &mut restores } else { &mut backups }.add(seed, &outcome);
    }
    backups.tell("backups");
    restores.tell("restores");
    let steps = backups.steps + restores.steps;
    println!("{steps} steps in all, {:.0} a second", steps as f64 / begun.elapsed().as_secs_f64());
    ExitCode::from(u8::from(!(backups.failed.is_empty() && restores.failed.is_empty())))
}
