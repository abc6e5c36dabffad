//! Lines of the table in docs/reliability.md: what was injected, how often, and what came of it.

use std::io::Write;
use std::time::Duration;

/// Whether the long form runs (`just torture`).
pub fn torture() -> bool {
    std::env::var("TORTURE").is_ok()
}

/// `short` in CI, `long` under torture.
pub fn rounds(short: u64, long: u64) -> u64 {
    if torture() { long } else { short }
}

/// The result of one kind of fault. `lost` and `doubled` were counted by comparing with an independent client.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// What was injected.
    pub fault: String,
    /// Runs that met faults.
    pub rounds: u64,
    /// Faults in all.
    pub injected: u64,
    /// Records compared.
    pub records: u64,
    /// Records that are missing at the end.
    pub lost: u64,
    /// Records that are there more than once.
    pub doubled: u64,
    /// The longest time from a fault to the end of the run that recovered.
    pub recovery: Duration,
}

impl Outcome {
    /// Prints the line, and appends it to the file that `RELIABILITY` names; panics if anything was lost or doubled.
    pub fn report(&self) {
        let line = format!(
            "| {} | {} | {} | {} | {} | {} | {:.1} s |",
            self.fault,
            self.rounds,
            self.injected,
            self.records,
            self.lost,
            self.doubled,
            self.recovery.as_secs_f64()
        );
        println!("{line}");
        if let Ok(path) = std::env::var("RELIABILITY") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(file, "{line}").unwrap();
        }
        assert!(self.rounds > 0 && self.injected > 0, "nothing was injected: {self:?}");
        assert_eq!((self.lost, self.doubled), (0, 0), "{self:?}");
    }
}
