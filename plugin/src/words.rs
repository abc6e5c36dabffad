//! Texts from outside, and the words of numbers. Pure.

use std::borrow::Cow;
use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

pub use contract::words::{count, duration, plural, rate, safe, safe_json, safe_lines, size};

/// Text of lines, some of them painted: nothing acts but the ends of lines, tabs, and `ours`.
#[must_use]
pub fn harmless<'a>(text: &'a str, ours: &[String]) -> Cow<'a, str> {
    let acts = |character: char| !matches!(character, '\n' | '\t') && contract::words::acts(character);
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(next) = rest.chars().next() {
        if let Some(code) = ours.iter().find(|code| rest.starts_with(code.as_str())) {
            out.push_str(code);
            rest = rest.strip_prefix(code.as_str()).unwrap_or_default();
            continue;
        }
        if acts(next) {
            out.extend(next.escape_default());
        } else {
            out.push(next);
        }
        rest = rest.strip_prefix(next).unwrap_or_default();
    }
    Cow::Owned(out)
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
        assert_eq!(safe("\u{2019}\u{2013}\u{e4}"), "\u{2019}\u{2013}\u{e4}", "quotes, dashes and letters do not act");
        assert_eq!(bytes(b"k\xff\xfe1"), "k\\xff\\xfe1");
        assert_eq!(bytes("schlüssel".as_bytes()), "schlüssel");
    }

    #[test]
    fn only_our_own_codes_pass() {
        let ours = ["\u{1b}[31m".to_owned(), "\u{1b}[0m".to_owned()];
        let text = "\u{1b}[31mred\u{1b}[0m\n\u{1b}]0;title\u{7}\u{1b}[2J\u{202e}";
        assert_eq!(harmless(text, &ours), "\u{1b}[31mred\u{1b}[0m\n\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{202e}");
        assert_eq!(harmless("\u{1b}[31m", &[]), "\\u{1b}[31m");
    }

    #[test]
    fn json_stays_the_same_document() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}[31m\u{202e}\u{7f}\n\u{e0041}", "b": [1, "\u{2028}"]});
        let text = safe_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(text.is_ascii() && !text.contains('\u{7f}'), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    proptest! {
        #[test]
        fn what_is_safe_stays_as_it_is(text: String) {
            let once = safe(&text);
            prop_assert_eq!(safe(&once), once.clone());
            prop_assert!(!once.contains(contract::words::acts));
        }

        #[test]
        fn nothing_that_is_cut_is_too_wide(text: String, most in 0_usize..40) {
            let cut = cut(&text, most);
            prop_assert!(width(&cut) <= most || width(&text) <= most);
        }
    }
}
