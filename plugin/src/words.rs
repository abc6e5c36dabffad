//! Texts from outside, and the words of numbers. Pure.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

pub use contract::words::{count, duration, plural, rate, size};

/// Text from outside on one line of a terminal: control characters cannot act.
#[must_use]
pub fn safe(text: &str) -> String {
    let escape = |character: char| {
        let acts = character.is_control() || matches!(character, '\u{200e}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if acts { character.escape_default().to_string() } else { character.to_string() }
    };
    text.chars().map(escape).collect()
}

/// Bytes on one line: text where they are UTF-8, else `\x` for each byte that is not.
#[must_use]
pub fn bytes(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(&safe(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// The columns that text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// Text cut to so many columns; what is cut is marked.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let mut left = most.saturating_sub(3);
    let keep = |character: &char| {
        let takes = character.width().unwrap_or(0);
        let fits = takes <= left;
        left = left.saturating_sub(takes);
        fits
    };
    let kept: String = text.chars().take_while(keep).collect();
    format!("{kept}{}", "...".get(..most.min(3)).unwrap_or_default())
}

/// Lines of at most so many columns.
#[must_use]
pub fn wrap(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_act() {
        assert_eq!(safe("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(safe("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(bytes(b"k\xff\xfe1"), "k\\xff\\xfe1");
        assert_eq!(bytes("schlüssel".as_bytes()), "schlüssel");
    }

    proptest! {
        #[test]
        fn nothing_that_is_cut_is_too_wide(text: String, most in 0_usize..40) {
            let cut = cut(&text, most);
            prop_assert!(width(&cut) <= most || width(&text) <= most);
        }
    }
}
