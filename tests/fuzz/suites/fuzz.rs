//! Every target bears changed inputs for a while, in a process with little memory. `FUZZ_SECONDS` says for how long.

use std::path::PathBuf;
use std::process::Command;

#[test]
fn no_input_of_somebody_who_means_harm_ends_a_reader() {
    let seconds = std::env::var("FUZZ_SECONDS").unwrap_or_else(|_| "7".to_owned());
    let program = PathBuf::from(env!("CARGO_BIN_EXE_fuzz"));
    let status = Command::new(program).arg(&seconds).status().unwrap();
    assert!(status.success(), "a target failed: look for FAILED above");
}
