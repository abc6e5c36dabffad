//! Texts of answers, as long as they may be. Pure.

use std::fmt::Write;

/// Longest warning that clients show whole.
const LONGEST_WARNING: usize = 256;
/// Most bytes of the text of a refusal.
const LONGEST_REFUSAL: usize = 8 << 10;

/// A warning as clients show it whole.
pub(super) fn shorten(text: &str) -> String {
    if text.chars().count() <= LONGEST_WARNING {
        return text.to_owned();
    }
    text.chars().take(LONGEST_WARNING - 3).chain("...".chars()).collect()
}

/// The text of a refusal: its reasons, a line each, as far as there is room; at least the beginning of the first.
pub(super) fn refusal(reasons: &[String]) -> Option<String> {
    let mut out = String::new();
    for (number, reason) in reasons.iter().enumerate() {
        if number > 0 && out.len() + reason.len() > LONGEST_REFUSAL {
            let _ = write!(out, "\nand {} more", reasons.len() - number);
            break;
        }
        if number > 0 {
            out.push('\n');
        }
        out.extend(reason.chars().take(LONGEST_REFUSAL));
    }
    (!reasons.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_some_of_many_reasons_and_says_how_many_there_are() {
        assert_eq!(refusal(&[]), None);
        assert_eq!(refusal(&["a".into(), "b".into()]).as_deref(), Some("a\nb"));
        let many: Vec<String> = (0..1_000).map(|number| format!("{number}: {}", "x".repeat(1_000))).collect();
        let said = refusal(&many).unwrap();
        assert!(
            said.len() <= LONGEST_REFUSAL + 100 && said.ends_with("and 992 more"),
            "{} {}",
            said.len(),
            &said[8_000..]
        );
        assert_eq!(refusal(&["x".repeat(1 << 20)]).map(|said| said.len()), Some(LONGEST_REFUSAL));
    }

    #[test]
    fn a_warning_is_shown_whole() {
        assert_eq!(shorten("a"), "a");
        assert_eq!(shorten(&"x".repeat(300)).len(), LONGEST_WARNING);
    }
}
