//! Numbers, sizes and durations for people, in few words. Pure.

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

#[cfg(test)]
mod tests {
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
}
