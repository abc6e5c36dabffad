//! Numbers, sizes, durations and failures of the system for people, in few words. Pure.

use std::io::ErrorKind;

/// Seconds of larger units.
const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "m")];

/// Why a file, a folder or a listener cannot be used, in words.
#[must_use]
pub fn of_system(error: &std::io::Error) -> String {
    let said = match error.kind() {
        ErrorKind::NotFound => "does not exist",
        ErrorKind::PermissionDenied => "this process has no right to it",
        ErrorKind::IsADirectory => "is a folder, not a file",
        ErrorKind::NotADirectory => "is no folder",
        ErrorKind::InvalidData => "is no text in UTF-8",
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only",
        ErrorKind::StorageFull => "no space is left there",
        ErrorKind::QuotaExceeded => "a quota of the file system is reached",
        ErrorKind::FileTooLarge => "the file system takes no file of this size",
        ErrorKind::StaleNetworkFileHandle => "the network file system lost it (stale handle); mount it again",
        ErrorKind::TimedOut => "the file system does not answer",
        ErrorKind::Unsupported => "the file system does not offer this",
        ErrorKind::AddrInUse => "the port is taken",
        ErrorKind::AddrNotAvailable => "the address is none of this machine's",
        _ => {
            let words = error.to_string();
            return words.split(" (os error").next().unwrap_or(&words).to_owned();
        }
    };
    said.to_owned()
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_the_system_have_no_numbers() {
        for (number, words) in
            [(2, "does not exist"), (13, "no right"), (28, "no space"), (5, "Input/output error"), (98, "taken")]
        {
            let said = of_system(&std::io::Error::from_raw_os_error(number));
            assert!(said.contains(words) && !said.contains("os error"), "{said}");
        }
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
    fn sizes_and_counts_are_short() {
        let sizes = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_048_575, "1.0 MiB"), (5 << 30, "5.0 GiB")];
        for (bytes, text) in sizes {
            assert_eq!(size(bytes), text);
        }
        assert_eq!((count(12), count(1_234), count(1_234_567)), ("12".into(), "1 234".into(), "1 234 567".into()));
        assert_eq!((plural(1, "topic"), plural(0, "topic")), ("1 topic".into(), "0 topics".into()));
    }
}
