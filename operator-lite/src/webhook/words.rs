//! Texts of answers, as long as they may be. Pure.

use contract::words::cut;

/// Longest warning that clients show whole.
const LONGEST_WARNING: usize = 256;
/// What stands at its end where it is cut.
const DOTS: usize = "...".len();

/// A warning as clients show it whole.
pub(super) fn shorten(text: &str) -> String {
    cut(text.to_owned(), LONGEST_WARNING - DOTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_shown_whole() {
        assert_eq!(shorten("a"), "a");
        assert_eq!(shorten(&"x".repeat(300)).len(), LONGEST_WARNING);
    }
}
