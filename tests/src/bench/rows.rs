//! The table of the benchmark: medians and spreads of rounds, as text and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::measure::Measured;

/// Something that takes time, next to the work it is compared with.
pub struct Yardstick<'a> {
    /// What it is.
    pub name: String,
    /// Does it once for the same payload.
    pub run: Box<dyn FnMut() -> Duration + 'a>,
    /// Takes so long that the machine is another one afterwards: measured once, when the rounds are over.
    slow: bool,
}

impl<'a> Yardstick<'a> {
    /// A yardstick of this name.
    pub fn new(name: impl Into<String>, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run), slow: false }
    }

    /// One that is measured once, when the rounds are over.
    pub fn slow(name: impl Into<String>, run: impl FnMut() -> Duration + 'a) -> Self {
        Self { slow: true, ..Self::new(name, run) }
    }
}

/// A line of the table: a work and one yardstick.
#[derive(Debug)]
pub struct Row {
    work: String,
    yardstick: String,
    ours: Vec<f64>,
    theirs: Vec<f64>,
    cpu_s_per_gb: f64,
    user_s_per_gb: f64,
    rss_mib: u64,
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Largest minus smallest value, as a share of the middle one.
fn spread(values: &[f64]) -> f64 {
    let (min, max) = values.iter().fold((f64::MAX, 0.0), |(min, max), v| (f64::min(min, *v), f64::max(max, *v)));
    (max - min) / median(values)
}

/// Lets a work and its yardsticks take turns, the other first in each round. A first run of the work does not count:
/// memory that the machine's host took back is slow when it is first written to.
pub fn compare(
    work: &str,
    payload_mb: f64,
    rounds: usize,
    mut ours: impl FnMut() -> Measured,
    yardsticks: &mut [Yardstick<'_>],
) -> Vec<Row> {
    let (mut rates, mut cpu, mut user, mut rss_mib) = (Vec::new(), Vec::new(), Vec::new(), 0);
    let mut theirs = vec![Vec::new(); yardsticks.len()];
    let rate = |time: Duration| payload_mb / time.as_secs_f64();
    let mut work_once = |rates: &mut Vec<f64>| {
        let measured = ours();
        rates.push(rate(measured.time));
        cpu.push(measured.cpu / (payload_mb / 1000.0));
        user.push(measured.user / (payload_mb / 1000.0));
        rss_mib = rss_mib.max(measured.peak_mib);
    };
    work_once(&mut Vec::new());
    for round in 0..rounds {
        if round % 2 == 0 {
            work_once(&mut rates);
        }
        for (yardstick, theirs) in yardsticks.iter_mut().zip(&mut theirs).filter(|(yardstick, _)| !yardstick.slow) {
            theirs.push(rate((yardstick.run)()));
        }
        if round % 2 == 1 {
            work_once(&mut rates);
        }
    }
    for (yardstick, theirs) in yardsticks.iter_mut().zip(&mut theirs).filter(|(yardstick, _)| yardstick.slow) {
        theirs.push(rate((yardstick.run)()));
    }
    let row = |(yardstick, theirs): (&Yardstick<'_>, Vec<f64>)| Row {
        work: work.to_owned(),
        yardstick: yardstick.name.clone(),
        ours: rates.clone(),
        theirs,
        cpu_s_per_gb: median(&cpu),
        user_s_per_gb: median(&user),
        rss_mib,
    };
    let rows: Vec<_> = yardsticks.iter().zip(theirs).map(row).collect();
    for row in &rows {
        println!("  {}", row.text());
    }
    rows
}

impl Row {
    fn ratio(&self) -> f64 {
        median(&self.ours) / median(&self.theirs)
    }

    fn text(&self) -> String {
        let side = |values: &[f64]| format!("{:.0} ± {:.0} %", median(values), 50.0 * spread(values));
        format!(
            "| {} | {} | {} | {} | {:.2} | {:.2} ({:.2}) | {} |",
            self.work,
            side(&self.ours),
            self.yardstick,
            side(&self.theirs),
            self.ratio(),
            self.cpu_s_per_gb,
            self.user_s_per_gb,
            self.rss_mib
        )
    }

    fn json(&self) -> Value {
        json!({
            "work": self.work, "ours_mb_s": median(&self.ours), "yardstick": self.yardstick,
            "yardstick_mb_s": median(&self.theirs), "ratio": self.ratio(), "rss_mib": self.rss_mib,
            "cpu_s_per_gb": self.cpu_s_per_gb, "user_s_per_gb": self.user_s_per_gb, "ours_spread": spread(&self.ours), "yardstick_spread": spread(&self.theirs),
        })
    }
}

/// All rows as a table.
pub fn table(rows: &[Row]) -> String {
    let mut out =
        String::from("| work | MB/s | yardstick | MB/s | ratio | core-s per GB (outside the kernel) | peak MiB |\n");
    out.push_str("|---|---|---|---|---|---|---|\n");
    for row in rows {
        writeln!(out, "{}", row.text()).unwrap();
    }
    out
}

/// All rows for programs.
pub fn json(rows: &[Row]) -> Vec<Value> {
    rows.iter().map(Row::json).collect()
}
