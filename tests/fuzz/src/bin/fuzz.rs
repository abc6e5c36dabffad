//! Fuzzes targets for a while each: `fuzz SECONDS [TARGET...]`. `fuzz again TARGET SEED NUMBER` gives one input again.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use fuzz::drive::{MIB, drive, take};
use fuzz::{TARGETS, Target, mutate, target};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["take", name, seed, from, millis, each] => {
            let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number"));
            take(named(name), number(seed), number(from), Duration::from_millis(number(millis)), *each == "true");
            ExitCode::SUCCESS
        }
        ["again", name, seed, place] => {
            let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number"));
            let target = named(name);
            let input = mutate::input(&(target.seeds)(), number(seed), number(place));
            eprintln!("{}", String::from_utf8_lossy(&input).escape_debug());
            (target.run)(&input);
            ExitCode::SUCCESS
        }
        [seconds, names @ ..] if seconds.parse::<u64>().is_ok() => {
            let targets: Vec<&Target> = if names.is_empty() {
                TARGETS.iter().collect()
            } else {
                names.iter().map(|name| named(name)).collect()
            };
            all(&targets, Duration::from_secs(seconds.parse().unwrap_or(10)))
        }
        _ => {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            eprintln!("fuzz SECONDS [TARGET...], or fuzz again TARGET SEED NUMBER; targets: {}", names.join(", "));
            ExitCode::from(2)
        }
    }
}

fn named(name: &str) -> &'static Target {
    target(name).unwrap_or_else(|| panic!("there is no target {name}"))
}

/// Each target for so long; what ends one is told, and the others go on.
fn all(targets: &[&Target], time: Duration) -> ExitCode {
    let program = std::env::current_exe().expect("this program has a path");
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let seed = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(clock);
    let mut code = ExitCode::SUCCESS;
    println!("seed {seed}, {} s for each of {} targets, {MIB} MiB", time.as_secs(), targets.len());
    for target in targets {
        let name = target.name;
        match drive(&program, target, seed, time) {
            Ok(told) => match told.failed {
                None => println!("{name}: {} inputs", told.inputs),
                Some((number, how)) => {
                    println!("{name}: FAILED at input {number}: {how}; again: fuzz again {name} {seed} {number}");
                    code = ExitCode::FAILURE;
                }
            },
            Err(error) => {
                println!("{name}: FAILED: {error}");
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
