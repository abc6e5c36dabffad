//! Patience and answers over a small HTTP server in this process.

use std::time::Duration;

use super::*;

#[test]
fn a_slow_line_is_given_more_time_and_a_quick_one_less() {
    let patience = Patience::new(Duration::from_secs(30));
    let part = 8 << 20;
    assert_eq!(patience.for_body(0), Duration::from_secs(30));
    assert_eq!(patience.for_body(part), Duration::from_secs(62));
    // Four parts at once on a line of 5 Mbit/s: 56 s each.
    assert!(Duration::from_secs(part / 150_000) < patience.for_body(part));
    assert!(patience.note(part, Duration::from_secs(62), false));
    assert_eq!(patience.for_body(part), Duration::from_secs(94));
    assert!(
        patience.note(part, Duration::from_secs(94), false) && patience.note(part, Duration::from_secs(158), false)
    );
    // Even more time would only hide that the line is dead.
    assert!(!patience.note(part, Duration::from_secs(286), false));
    assert_eq!(patience.for_body(part), Duration::from_secs(286));
    patience.note(part, Duration::from_secs(200), true);
    assert_eq!(patience.for_body(part), Duration::from_secs(286));
    patience.note(part, Duration::from_secs(1), true);
    assert_eq!(patience.for_body(part), Duration::from_secs(62));
}
