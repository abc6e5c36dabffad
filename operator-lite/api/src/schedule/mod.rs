//! Schedules of `kafka.oso.sh`: cron with seconds first, weekdays 0-6 from Sunday, UTC. Those of the Strimzi groups
//! are [`CronJob`]s.
//!
//! The `cron` crate does the arithmetic. It counts weekdays from 1, so that the weekday field is read here and handed
//! over by name. Both day fields must hold (AND), as the crate has it.

mod cronjob;
mod fields;

use std::str::FromStr;

use chrono::{DateTime, Utc};
use jiff::Timestamp;

pub use cronjob::CronJob;
use fields::{explain, name_weekdays};

const MACROS: [&str; 5] = ["@yearly", "@monthly", "@weekly", "@daily", "@hourly"];

/// A schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    inner: cron::Schedule,
    notes: Vec<String>,
}

impl Schedule {
    /// Reads a schedule: five fields (seconds are 0), six, or seven with the year last; or a macro like `@daily`.
    ///
    /// # Errors
    /// Says what does not fit, in words that follow "the schedule".
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is empty".to_owned());
        }
        if text.starts_with('@') {
            let known = MACROS.contains(&text);
            let inner = known.then(|| cron::Schedule::from_str(text).ok()).flatten();
            let inner = inner.ok_or_else(|| format!("knows only {}", MACROS.join(", ")))?;
            return Ok(Self { inner, notes: Vec::new() });
        }
        let mut fields: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        let mut notes = Vec::new();
        match fields.len() {
            5 => {
                fields.insert(0, "0".to_owned());
                notes.push("five fields are read with seconds 0".to_owned());
            }
            6 | 7 => {}
            other => return Err(format!("has {other} fields instead of 6 (seconds first) or 7 (with the year)")),
        }
        if let Some(weekdays) = fields.get_mut(5) {
            let read = name_weekdays(weekdays)?;
            if read.numeric {
                notes.push(format!("the weekdays {weekdays} mean {}: they count from 0 for Sunday", read.names));
            }
            if read.seven {
                notes.push("weekday 7 is read as Sunday, which is 0 here".to_owned());
            }
            *weekdays = read.names;
        }
        let inner =
            cron::Schedule::from_str(&fields.join(" ")).map_err(|error| explain(&fields, &error.to_string()))?;
        Ok(Self { inner, notes })
    }

    /// What the author may not expect.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The first tick after a time; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = DateTime::<Utc>::from_timestamp(time.as_second(), 0)?;
        let tick = self.inner.after(&time).next()?;
        Timestamp::from_second(tick.timestamp()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(text: &str, after: &str) -> Option<String> {
        let found = Schedule::parse(text).unwrap().next_after(after.parse().unwrap());
        found.map(|tick| tick.to_string())
    }

    #[test]
    fn weekdays_count_from_sunday() {
        // 2026-11-21 is a Saturday.
        let after = "2026-11-21T00:00:00Z";
        assert_eq!(next("0 0 2 * * 0", after).as_deref(), Some("2026-11-22T02:00:00Z"));
        assert_eq!(next("0 0 2 * * SUN *", after).as_deref(), Some("2026-11-22T02:00:00Z"));
        assert_eq!(next("0 0 2 * * 7", after).as_deref(), Some("2026-11-22T02:00:00Z"));
        assert_eq!(next("0 0 2 * * 6", after).as_deref(), Some("2026-11-21T02:00:00Z"));
        assert_eq!(next("0 0 2 * * 1-5", after).as_deref(), Some("2026-11-23T02:00:00Z"));
        assert_eq!(next("0 0 2 * * 5-7", "2026-11-22T03:00:00Z").as_deref(), Some("2026-11-27T02:00:00Z"));
        assert_eq!(next("0 0 2 * * 1/3", after).as_deref(), Some("2026-11-23T02:00:00Z"));
        assert_eq!(next("0 0 2 * * mon,WED", after).as_deref(), Some("2026-11-23T02:00:00Z"));
    }

    #[test]
    fn both_day_fields_must_hold() {
        assert_eq!(next("0 0 0 13 * 5", "2026-11-21T00:00:00Z").as_deref(), Some("2027-08-13T00:00:00Z"));
    }

    #[test]
    fn five_fields_and_macros() {
        assert_eq!(next("*/15 * * * *", "2026-11-21T10:01:07Z").as_deref(), Some("2026-11-21T10:15:00Z"));
        assert_eq!(next("@daily", "2026-11-21T10:01:07Z").as_deref(), Some("2026-11-22T00:00:00Z"));
        assert_eq!(Schedule::parse("0 2 * * *").unwrap().notes().len(), 1);
        assert!(Schedule::parse("0 0 2 * * MON").unwrap().notes().is_empty());
        assert!(Schedule::parse("0 0 2 * * 1").unwrap().notes()[0].contains("MON"));
    }

    #[test]
    fn schedules_that_never_come_have_no_next_tick() {
        assert_eq!(next("0 0 0 30 2 *", "2026-11-21T00:00:00Z"), None);
        assert_eq!(next("0 0 0 1 1 * 2020", "2026-11-21T00:00:00Z"), None);
    }

    #[test]
    fn errors_name_the_field() {
        for (text, words) in [
            ("", "empty"),
            ("daily", "1 fields"),
            ("60 * * * * *", "seconds"),
            ("0 0 24 * * *", "hours"),
            ("0 0 0 32 * *", "day of month"),
            ("0 0 0 * 13 *", "month"),
            ("0 0 0 * * 8", "weekday"),
            ("0 0 0 * * 5-1", "wrong way round"),
            ("0 0 0 * * 1/0", "step"),
            ("@often", "@yearly"),
        ] {
            let error = Schedule::parse(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
