//! Numbers, sizes, durations and texts from outside, in few words. Pure.

use std::fmt::Write;

use unicode_width::UnicodeWidthChar;

/// Seconds of larger units.
const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "m")];

/// A duration in at most two units.
#[must_use]
pub fn duration(seconds: i64) -> String {
    let Some(place) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else { return format!("{seconds}s") };
    let below = [UNITS.get(place + 1).copied(), Some((1, "s"))].into_iter().flatten().next();
    let (unit, name) = UNITS.get(place).copied().unwrap_or((1, "s"));
    let rest = below.map(|(size, name)| (seconds % unit / size, name)).filter(|(count, _)| *count > 0);
    // Seconds beside hours, and hours beside months of days, tell nothing.
    match rest.filter(|_| seconds < 10 * 86_400) {
        Some((count, below)) => format!("{}{name} {count}{below}", seconds / unit),
        None => format!("{}{name}", seconds / unit),
    }
}

/// Bytes with a binary prefix.
#[must_use]
pub fn size(bytes: u64) -> String {
    scaled(bytes as f64)
}

/// Bytes in a second with a binary prefix.
#[must_use]
pub fn rate(bytes_per_sec: f64) -> String {
    format!("{}/s", scaled(bytes_per_sec.max(0.0)))
}

fn scaled(mut value: f64) -> String {
    const PREFIXES: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut place = 0;
    while value >= 1023.95 && place + 1 < PREFIXES.len() {
        value /= 1024.0;
        place += 1;
    }
    let prefix = PREFIXES.get(place).copied().unwrap_or_default();
    if place == 0 { format!("{value:.0} {prefix}") } else { format!("{value:.1} {prefix}") }
}

/// A count with groups of three digits.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// A count and its noun.
#[must_use]
pub fn plural(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

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
    fn durations_have_two_units_at_most() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (61, "1m 1s"),
            (3_600, "1h"),
            (5_400, "1h 30m"),
            (90_000, "1d 1h"),
            (30 * 86_400 + 3_600, "30d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn sizes_and_counts_are_short() {
        let sizes = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (5 << 30, "5.0 GiB")];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
        assert_eq!((count(12), count(1_234), count(1_234_567)), ("12".into(), "1 234".into(), "1 234 567".into()));
        assert_eq!((plural(1, "topic"), plural(0, "topic")), ("1 topic".into(), "0 topics".into()));
    }

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
