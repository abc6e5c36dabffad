//! Fields and names of a cron expression as the `cron` crate wants them, and what is wrong with one.

use std::collections::BTreeSet;
use std::str::FromStr;

/// Names of schedules, as CronJobs have them, with five fields.
pub(super) const MACROS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The five fields of a name, in any letter case.
pub(super) fn of_name(text: &str) -> Option<&'static str> {
    let lower = text.to_ascii_lowercase();
    MACROS.iter().find(|(name, _)| *name == lower).map(|(_, fields)| *fields)
}

/// Why a schedule does not read, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unread {
    /// What does not fit, in words that follow "the schedule".
    pub rule: String,
    /// What to write in its place.
    pub fix: String,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.rule, self.fix)
    }
}

impl Unread {
    pub(super) fn new(rule: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { rule: rule.into(), fix: fix.into() }
    }
}

/// That a name is none, with those that are.
pub(super) fn no_name(fix: String) -> Unread {
    let known: Vec<_> = MACROS.iter().map(|(name, _)| *name).collect();
    Unread::new(format!("knows only {}", known.join(", ")), fix)
}

/// The name that somebody meant who left its `@` out.
pub(super) fn meant(text: &str) -> Option<&'static str> {
    let lower = text.trim_start_matches('@').to_ascii_lowercase();
    MACROS.iter().map(|(name, _)| *name).find(|name| name.trim_start_matches('@') == lower)
}

/// Six fields for `@every` and a duration, where such a duration fits into an hour or a day.
pub(super) fn every(duration: &str) -> String {
    let form = "write a step that divides a minute, an hour or a day, as 0 */30 * * * * for each 30 minutes".to_owned();
    let Ok(duration) = duration.trim().parse::<jiff::SignedDuration>() else { return form };
    let seconds = duration.as_secs();
    let fits = |unit: i64, whole: i64| seconds > 0 && seconds % unit == 0 && whole % seconds == 0;
    if fits(3_600, 86_400) {
        let hours = seconds / 3_600;
        if hours == 24 { "write @daily".to_owned() } else { format!("write 0 0 */{hours} * * *") }
    } else if fits(60, 3_600) {
        format!("write 0 */{} * * * *", seconds / 60)
    } else if fits(1, 60) {
        format!("write */{seconds} * * * * *")
    } else {
        form
    }
}

const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Which field the crate stumbled over: each alone in a schedule that is otherwise open.
pub(super) fn explain(fields: &[String]) -> Unread {
    const NAMES: [(&str, &str, &str); 7] = [
        ("seconds", "0-59", "write 0 for the full minute, or a number of 0-59"),
        ("minutes", "0-59", "write 0 for the full hour, or a number of 0-59"),
        ("hours", "0-23", "write 0 for midnight, or a number of 0-23"),
        ("day of month", "1-31", "write 1 for the first day, or a number of 1-31"),
        ("month", "1-12 or names like JAN or January", "write a number of 1-12, or a name like JAN"),
        (
            "weekday",
            "0-6 from Sunday, or names like SUN or Sunday",
            "write a number of 0-6 from Sunday, or a name like SUN",
        ),
        ("year", "1970-2100", "write a year, or leave it out"),
    ];
    for (place, (field, (name, range, fix))) in fields.iter().zip(NAMES).enumerate() {
        let mut open = vec!["*"; fields.len()];
        if let Some(slot) = open.get_mut(place) {
            *slot = field;
        }
        if cron::Schedule::from_str(&open.join(" ")).is_err() {
            return Unread::new(format!("has {field:?} for {name}, which takes {range}, lists, ranges and steps"), fix);
        }
    }
    let rule = format!("does not read as cron: its {} fields do not fit together", fields.len());
    Unread::new(rule, "write * for all but the time of day, and add the others one by one")
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

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// The place of a name in a list, written in full or by three letters or more, in any letter case.
fn named(text: &str, names: &[&str]) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    names.iter().position(|name| lower.len() >= 3 && name.starts_with(&lower))
}

/// A month field with numbers for names; ranges of names may go over the end of the year. What is none of these stays.
pub(super) fn number_months(field: &str) -> String {
    if !field.contains(|c: char| c.is_ascii_alphabetic()) {
        return field.to_owned();
    }
    let part = |part: &str| {
        let (range, step) = part.split_once('/').map_or((part, ""), |(range, step)| (range, step));
        let number = |text: &str| named(text, &MONTHS).map(|place| place + 1).or_else(|| text.parse().ok());
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let Some((first, last)) = number(first).zip(number(last)) else { return part.to_owned() };
        if first <= last && !step.is_empty() {
            return if range.contains('-') { format!("{first}-{last}/{step}") } else { format!("{first}/{step}") };
        }
        let months =
            if first <= last { (first..=last).collect::<Vec<_>>() } else { (first..=12).chain(1..=last).collect() };
        // It was judged to be a number before.
        let step = step.parse().unwrap_or(1usize).max(1);
        months.into_iter().step_by(step).map(|month| month.to_string()).collect::<Vec<_>>().join(",")
    };
    field.split(',').map(part).collect::<Vec<_>>().join(",")
}

/// Reads a weekday field that counts from 0 for Sunday.
pub(super) fn name_weekdays(field: &str) -> Result<Weekdays, Unread> {
    if field == "*" || field == "?" {
        return Ok(Weekdays { names: field.to_owned(), numeric: false, seven: false });
    }
    let mut days = BTreeSet::new();
    let (mut numeric, mut seven) = (false, false);
    for part in field.split(',') {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        // The caller says what is no number.
        let step = step.map_or(Ok(1), str::parse::<usize>).ok().filter(|step| *step > 0);
        let step = step.ok_or_else(|| {
            Unread::new(
                format!("has a step in {part:?} that is not a number above 0"),
                "write a number of days behind the /",
            )
        })?;
        let mut day = |text: &str| {
            let found = weekday(text).ok_or_else(|| {
                let rule =
                    format!("has {text:?} for a weekday, which takes 0-6 from Sunday, or names like SUN or Sunday");
                Unread::new(rule, "write a number of 0-6 from Sunday, or a name like SUN")
            })?;
            numeric |= text.parse::<usize>().is_ok();
            seven |= found == 7;
            Ok::<_, Unread>(found)
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
        if first > last && range.contains(|c: char| c.is_ascii_digit()) {
            let fix = format!("write {first}-6,0-{last}");
            return Err(Unread::new(format!("has the weekdays {range:?} the wrong way round"), fix));
        }
        // Friday to Monday goes over the end of the week.
        let last = if first > last { last + 7 } else { last };
        days.extend((first..=last).step_by(step).map(|day| day % 7));
    }
    let names: Vec<_> = days.iter().filter_map(|day| DAYS.get(*day).copied()).collect();
    Ok(Weekdays { names: names.join(","), numeric, seven })
}

fn weekday(text: &str) -> Option<usize> {
    named(text, &WEEKDAYS).or_else(|| text.parse().ok().filter(|day| *day <= 7))
}
