//! Times as names and back: the UTC second of a recovery point, and milliseconds for windows.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `YYYYMMDD-HHMMSS` of a UTC second.
#[must_use]
pub fn stamp(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y%m%d-%H%M%S").to_string()
}

/// The stamp of `at`, or the second after `last` where that is not later: stamps of one set only grow.
#[must_use]
pub fn stamp_after(at: Timestamp, last: Option<&str>) -> String {
    let now = stamp(at);
    let Some(last) = last.filter(|last| now.as_str() <= *last) else { return now };
    let next = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", last).ok();
    let next = next.and_then(|last| last.checked_add(jiff::Span::new().seconds(1)).ok());
    next.map_or(now, |next| next.strftime("%Y%m%d-%H%M%S").to_string())
}

/// A stamp, or the second after `last` where it is not later than that.
#[must_use]
pub fn moved_behind(stamp: &str, last: Option<&str>) -> String {
    let at = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", stamp).ok();
    let at = at.and_then(|at| at.to_zoned(TimeZone::UTC).ok());
    at.map_or_else(|| stamp.to_owned(), |at| stamp_after(at.timestamp(), last))
}

/// The second that a stamp names, RFC 3339; empty where the text is no stamp.
#[must_use]
pub fn stamp_time(stamp: &str) -> String {
    let parsed = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", stamp);
    // What is no time is shown as it is.
    parsed.map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// Splits `<name>-YYYYMMDD-HHMMSS` into name and stamp; `None` when it does not end in a stamp.
#[must_use]
pub fn split_point(point: &str) -> Option<(&str, &str)> {
    let cut = point.len().checked_sub(16)?;
    let (name, stamp) = (point.get(..cut)?, point.get(cut + 1..)?);
    let digits = |part: Option<&str>| part.is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    let shaped = point.as_bytes().get(cut) == Some(&b'-') && stamp.as_bytes().get(8) == Some(&b'-');
    (shaped && !name.is_empty() && digits(stamp.get(..8)) && digits(stamp.get(9..))).then_some((name, stamp))
}

/// Fewer digits than this are no milliseconds of our time: eleven digits begin in March 1973.
const MILLIS_DIGITS: usize = 11;

/// Reads an RFC 3339 time or a number of milliseconds since 1970. A number of 10 digits or fewer is refused: it is one of
/// seconds, or a date. Zero is the beginning in every unit.
///
/// # Errors
/// The rule that is broken, in words.
pub fn parse_millis(text: &str) -> Result<i64, String> {
    if let Ok(millis) = text.parse::<i64>() {
        let digits = text.trim_start_matches(['+', '-']).trim_start_matches('0').len();
        if millis != 0 && digits < MILLIS_DIGITS {
            let rule = "has fewer than 11 digits and would be a time before March 1973: numbers are milliseconds since 1970, not seconds; or write an RFC 3339 time such as 2026-01-31T08:00:00Z";
            return Err(rule.to_owned());
        }
        return Ok(millis);
    }
    let rule = |_| "must be an RFC 3339 time such as 2026-01-31T08:00:00Z, or milliseconds since 1970".to_owned();
    text.parse::<Timestamp>().map(Timestamp::as_millisecond).map_err(rule)
}

/// RFC 3339 of milliseconds since 1970; the number where no such time exists.
#[must_use]
pub fn rfc3339(millis: i64) -> String {
    // What is no time is shown as it is.
    Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_split_into_name_and_stamp() {
        let at = Timestamp::from_second(1_767_225_600).unwrap();
        assert_eq!(stamp(at), "20260101-000000");
        assert_eq!(split_point("orders-eu-20260101-000000"), Some(("orders-eu", "20260101-000000")));
        for other in ["orders", "-20260101-000000", "x-2026010-1000000", "20260101-000000", "ä-20260101-00000"] {
            assert_eq!(split_point(other), None, "{other}");
        }
        assert_eq!(parse_millis("2026-01-01T00:00:00.5Z"), Ok(1_767_225_600_500));
        assert_eq!((parse_millis("0"), parse_millis("10000000000")), (Ok(0), Ok(10_000_000_000)));
        for refused in ["yesterday", "1795737471", "20261126", "9999999999", "-1795737471", "00000000001"] {
            assert!(parse_millis(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn stamps_of_a_set_only_grow() {
        let at = Timestamp::from_second(1_767_225_600).unwrap();
        assert_eq!(stamp_after(at, None), "20260101-000000");
        assert_eq!(stamp_after(at, Some("20251231-235959")), "20260101-000000");
        assert_eq!(stamp_after(at, Some("20260101-000000")), "20260101-000001");
        assert_eq!(stamp_after(at, Some("20351231-235959")), "20360101-000000");
        assert_eq!(moved_behind("20260101-000000", Some("20301231-235959")), "20310101-000000");
        assert_eq!(moved_behind("20260101-000000", Some("20260101-000000")), "20260101-000001");
        assert_eq!(moved_behind("20260101-000001", Some("20260101-000000")), "20260101-000001");
        assert_eq!(stamp_time("20351231-235959"), "2035-12-31T23:59:59Z");
    }
}
