//! Tests that cannot run on this machine. Each is counted: without that, nobody tells one that did nothing from one that
//! passed. `tests/suites.sh` names the file, shows what was skipped, and fails where nothing may be.

use std::io::Write;

/// The file that takes a line for each skipped test.
const FILE: &str = "KAFKA_BACKUP_SKIPPED";

/// Notes that this test is skipped, and why.
pub fn note(why: &str) {
    let thread = std::thread::current();
    let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
    print!("skipped: {line}");
    let Ok(path) = std::env::var(FILE) else { return };
    // One write for each line: suites run side by side.
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
}

/// What a test works with, or a note that the machine does not have it.
pub fn or_noted<T>(found: Option<T>, why: &str) -> Option<T> {
    if found.is_none() {
        note(why);
    }
    found
}
