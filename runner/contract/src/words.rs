//! Numbers, sizes, durations and failures of the system for people, in few words, and texts from outside that cannot act on a
//! terminal. Pure.

use std::fmt::Write as _;

pub use crate::system_words::{of_connection, of_system};

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

/// Units in which people write bytes, as [`size`] shows them.
const SIZES: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Bytes as people write them: a number above 0, with a unit or without one.
///
/// # Errors
/// What is wrong, with the fix.
pub fn read_size(text: &str) -> Result<u64, String> {
    let known = SIZES.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
    let (number, unit) = known.unwrap_or((text, 1));
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "must be a number of bytes above 0, with KiB, MiB, GiB, TiB or no unit, as 500GiB".to_owned())
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

/// A text of at most so many characters, with three dots where it is cut.
#[must_use]
pub fn cut(text: String, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "...",
        None => text,
    }
}

/// Whether a character does something to a terminal, or to the order of what stands around it, instead of standing there:
/// controls, ends of lines, marks of direction, and what has no width and hides.
#[must_use]
pub fn acts(character: char) -> bool {
    let hides = matches!(
        character,
        '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    character.is_control() || hides || matches!(character, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text from outside on one line: what acts is escaped. What is safe already stays as it is.
#[must_use]
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if acts(character) { out.extend(character.escape_default()) } else { out.push(character) }
    }
    out
}

/// Text of several lines: nothing acts but the ends of lines, and all lines but the first are indented, so that none of
/// them looks like one of ours.
#[must_use]
pub fn safe_lines(text: &str) -> String {
    text.trim_end().split('\n').map(safe).collect::<Vec<_>>().join("\n  ")
}

/// A JSON text in which nothing acts but the ends of lines: characters that do stand inside of strings, where they can be
/// escaped.
#[must_use]
pub fn safe_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character == '\n' || !acts(character) {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped_and_letters_are_not() {
        assert_eq!(safe("a\u{1b}[31mb\nc\u{9b}"), "a\\u{1b}[31mb\\nc\\u{9b}");
        assert_eq!(safe("a\u{202e}b\u{200b}"), "a\\u{202e}b\\u{200b}");
        assert_eq!(safe("\u{2019}\u{2013}\u{e4}\u{65e5}"), "\u{2019}\u{2013}\u{e4}\u{65e5}");
        assert_eq!(safe(&safe("\u{1b}\\")), safe("\u{1b}\\"));
        assert_eq!(safe_lines("one\r\nerror: two\n"), "one\\r\n  error: two");
    }

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
    fn bytes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("1", 1), ("1099511627776", 1 << 40), ("1KiB", 1024), ("500MiB", 500 << 20), ("2TiB", 2 << 40)]
        {
            assert_eq!(read_size(text), Ok(bytes), "{text}");
        }
        for text in ["0", "0GiB", "", "KiB", "-1", "1.5GiB", "1GB", "1 GiB", "20000000TiB", "5%"] {
            assert!(read_size(text).unwrap_err().contains("500GiB"), "{text}");
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
}
