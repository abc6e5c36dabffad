//! `life SECONDS [SEED]`: a cluster lives beside a continuous backup. Exit code 0 only if nothing was lost, doubled, late
//! or made up. `docs/reliability.md` says what is promised.

use std::process::ExitCode;
use std::time::SystemTime;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number = |otherwise: u64| arguments.next().map_or(Some(otherwise), |text| text.parse().ok());
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (Some(seconds), Some(seed)) = (number(3600), number(clock)) else {
        eprintln!("life SECONDS [SEED]");
        return ExitCode::from(2);
    };
    println!("seed {seed}, {seconds} s");
    let outcome = harness::life::live(seconds, seed);
    println!("{outcome:#?}");
    ExitCode::from(u8::from(!outcome.faults.is_empty()))
}
