//! Fields of a cron expression as the `cron` crate wants them, and what is wrong with one.

use std::collections::BTreeSet;
use std::str::FromStr;

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Which field the crate stumbled over: each alone in a schedule that is otherwise open.
pub(super) fn explain(fields: &[String], whole: &str) -> String {
    const NAMES: [(&str, &str); 7] = [
        ("seconds", "0-59"),
        ("minutes", "0-59"),
        ("hours", "0-23"),
        ("day of month", "1-31"),
        ("month", "1-12 or JAN-DEC"),
        ("weekday", "0-6 from Sunday or SUN-SAT"),
        ("year", "1970-2100"),
    ];
    for (place, (field, (name, range))) in fields.iter().zip(NAMES).enumerate() {
        let mut open = vec!["*"; fields.len()];
        if let Some(slot) = open.get_mut(place) {
            *slot = field;
        }
        if cron::Schedule::from_str(&open.join(" ")).is_err() {
            return format!("has {field:?} for {name}, which takes {range}, lists, ranges and steps");
        }
    }
    format!("does not read as cron: {whole}")
}

/// A weekday field.
pub(super) struct Weekdays {
    /// With names instead of numbers.
    pub(super) names: String,
    /// Whether it was written with numbers.
    pub(super) numeric: bool,
    /// Whether one of them was 7.
    pub(super) seven: bool,
}

/// Reads a weekday field that counts from 0 for Sunday.
pub(super) fn name_weekdays(field: &str) -> Result<Weekdays, String> {
    if field == "*" || field == "?" {
        return Ok(Weekdays { names: field.to_owned(), numeric: false, seven: false });
    }
    let mut days = BTreeSet::new();
    let (mut numeric, mut seven) = (false, false);
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = step.map_or(Ok(1), str::parse::<usize>).ok().filter(|step| *step > 0);
        let step = step.ok_or_else(|| format!("has a step in {part:?} that is not a number above 0"))?;
        let mut day = |text: &str| {
            let found = weekday(text)
                .ok_or_else(|| format!("has {text:?} for a weekday, which takes 0-6 from Sunday or SUN-SAT"))?;
            numeric |= text.parse::<usize>().is_ok();
            seven |= found == 7;
            Ok::<_, String>(found)
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((first, last)) => (day(first)?, day(last)?),
            None if part.contains('/') => (day(range)?, 6),
            None => {
                let only = day(range)?;
                (only, only)
            }
        };
        if first > last {
            return Err(format!("has the weekdays {range:?} the wrong way round"));
        }
        days.extend((first..=last).step_by(step).map(|day| day % 7));
    }
    let names: Vec<_> = days.iter().filter_map(|day| DAYS.get(*day).copied()).collect();
    Ok(Weekdays { names: names.join(","), numeric, seven })
}

fn weekday(text: &str) -> Option<usize> {
    let upper = text.to_ascii_uppercase();
    let named = DAYS.iter().position(|day| upper == *day);
    named.or_else(|| text.parse().ok().filter(|day| *day <= 7))
}
