//! Making a failing script smaller while it still fails in the same way.

use crate::script::Script;
use crate::world::simulate;

/// What a violation is about, without numbers: a smaller script shall fail for the same reason.
fn kind(violation: &str) -> String {
    violation.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
}

fn kinds(script: &Script) -> Vec<String> {
    simulate(script).violations.iter().map(|violation| words(violation)).collect()
}

/// The words of a violation, after the place that it names.
fn words(violation: &str) -> String {
    kind(violation.rsplit(": ").find(|part| part.split(' ').count() > 3).unwrap_or(violation))
}

/// The smallest script that was found within so many simulations.
pub fn shrink(script: &Script, mut tries: u32) -> Script {
    let mut best = script.clone();
    let Some(wanted) = kinds(&best).into_iter().next() else { return best };
    let mut fails = |candidate: &Script| {
        tries = tries.saturating_sub(1);
        tries > 0 && kinds(candidate).contains(&wanted)
    };
    let mut size = best.actions.len().max(1);
    while size > 0 {
        let mut at = 0;
        while at < best.actions.len() {
            let mut smaller = best.clone();
            smaller.actions.drain(at..(at + size).min(best.actions.len()));
            if fails(&smaller) {
                best = smaller;
            } else {
                at += size;
            }
        }
        size /= 2;
    }
    for at in (0..best.before.len()).rev() {
        let mut smaller = best.clone();
        smaller.before.remove(at);
        if fails(&smaller) {
            best = smaller;
        }
    }
    let mut smaller = best.clone();
    smaller.deaths.clear();
    if fails(&smaller) {
        best = smaller;
    }
    best
}
