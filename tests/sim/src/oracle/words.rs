//! What a report says must have happened: no broker error that no broker sent.

use contract::Report;

use crate::attempt::Ground;

/// Codes that the model's brokers send by themselves.
const NATURAL: [i16; 9] = [1, 3, 5, 6, 15, 16, 29, 74, 75];
const BY_ID: i16 = 100;

/// Codes that a failure names and nobody sent.
pub(super) fn made_up(ground: &Ground, report: &Report) -> Vec<String> {
    let sent = ground.kafka.look().faults.sent.clone();
    let mut out = Vec::new();
    if let Some(failure) = &report.failure {
        for code in codes(&failure.message) {
            if !NATURAL.contains(&code) && code != BY_ID && !sent.contains(&code) {
                out.push(format!("names error {code}, which no broker sent: {failure}"));
            }
        }
    }
    out
}

/// Numbers in the form `NAME_OF_ERROR (7)`.
fn codes(text: &str) -> Vec<i16> {
    let mut out = Vec::new();
    for (before, after) in text.match_indices(" (").map(|(at, _)| (&text[..at], &text[at + 2..])) {
        let name = before.rsplit(|c: char| !(c.is_ascii_uppercase() || c == '_')).next().unwrap_or_default();
        let number = after.split(')').next().and_then(|number| number.parse().ok());
        if let (true, Some(number)) = (name.len() > 4 && name.contains('_'), number) {
            out.push(number);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::codes;

    #[test]
    fn codes_of_brokers_are_found() {
        let text = "gave up after 3 s (of 4): REQUEST_TIMED_OUT (7): words; topic a (1), NOT_LEADER_OR_FOLLOWER (6)";
        assert_eq!(codes(text), [7, 6]);
    }
}
