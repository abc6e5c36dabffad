//! Figures that tests measure. What a passing test prints is not shown: they go into a file that `tests/suites.sh` names, which
//! shows the largest of each at the end.

use std::io::Write;
use std::time::Duration;

/// The file that takes a line for each figure.
const FILE: &str = "KAFKA_BACKUP_FIGURES";

/// Notes what was measured, of what.
pub fn note(figure: &str, time: Duration, of: &str) {
    let Ok(path) = std::env::var(FILE) else { return };
    let line = format!("{figure}\t{:.1}\t{of}\n", time.as_secs_f64());
    // One write for each line: suites run side by side.
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
}
