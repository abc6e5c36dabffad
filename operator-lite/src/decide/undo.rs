//! A restore whose attempts are used up puts the committed offsets back that it changed, where that is asked for, before it has
//! failed. Pure.
//!
//! Attempts that end for good do it themselves. Of a run whose Job somebody removed nothing is begun again.

use api::oso::RunClaim;
use contract::words::safe;

use super::attempt::next_attempt;
use super::{Step, Subject};

/// Reasons of runs that nobody tries again, and whose last attempt could not put anything back itself.
const GIVEN_UP: [&str; 2] = ["RetriesExhausted", "OutOfMemory"];
/// Most characters of the reason that a claim keeps.
const LENGTH: usize = 1_000;

/// What is next: the attempt that puts offsets back where a run `undoes` and has failed without, else the same step. It has as
/// many tries as the run had.
#[must_use]
pub fn undo_first(undoes: bool, subject: &Subject, step: Step) -> Step {
    let (Step::Conclude(verdict), Some(claim)) = (&step, &subject.claim) else { return step };
    let is_given_up = GIVEN_UP.contains(&verdict.reason.as_str());
    if !undoes || !is_given_up || claim.undoing.is_some() || verdict.wrote == Some(false) {
        return step;
    }
    let text = safe(&format!("{}: {}", verdict.reason, verdict.message));
    let why = format!("{text}; the committed offsets that it changed are put back now");
    let next = RunClaim {
        undoing: Some(text.chars().take(LENGTH).collect()),
        failures: 0,
        disruptions: 0,
        last_error: None,
        error_code: None,
        wrote: Some(true),
        ..next_attempt(claim)
    };
    Step::Again { next: Box::new(next), why }
}
