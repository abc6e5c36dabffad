//! Schedules. Those of `kafka.oso.sh`: cron with seconds first, weekdays 0-6 from Sunday, UTC. Those of the Strimzi groups
//! are [`CronJob`]s; each of them is a [`Schedule`].
//!
//! The `cron` crate does the arithmetic. It counts weekdays from 1, so that the weekday field is read here and handed
//! over by name. Both day fields must hold (AND), as the crate has it.

mod cronjob;
mod fields;

use std::str::FromStr;

use chrono::{DateTime, Utc};
use jiff::Timestamp;

pub use cronjob::CronJob;
pub use fields::Unread;
use fields::{every, explain, meant, name_weekdays, no_name, number_months, of_name};

/// What is written where nothing shows what was meant.
const FORM: &str = "write six fields, seconds first, like \"0 0 2 * * *\" for 02:00 UTC each day";

/// Ticks closer to each other than this are more often than any run ends.
const OFTEN: i64 = 60;
/// Ticks that are looked at for that.
const LOOKS: usize = 5;

/// Whether two of the next ticks are less than a minute apart.
pub(crate) fn is_often(next_after: impl Fn(Timestamp) -> Option<Timestamp>, now: Timestamp) -> bool {
    let ticks: Vec<_> = std::iter::successors(next_after(now), |tick| next_after(*tick)).take(LOOKS).collect();
    ticks.windows(2).any(|pair| matches!(pair, [one, two] if two.as_second() - one.as_second() < OFTEN))
}

/// A schedule.
#[derive(Debug, Clone)]
pub struct Schedule {
    inner: Inner,
    notes: Vec<String>,
}

#[derive(Debug, Clone)]
enum Inner {
    /// Seconds first, in UTC.
    Seconds(Box<cron::Schedule>),
    /// Five fields in a time zone.
    InZone(Box<CronJob>),
}

impl From<CronJob> for Schedule {
    fn from(schedule: CronJob) -> Self {
        Self { inner: Inner::InZone(Box::new(schedule)), notes: Vec::new() }
    }
}

impl Schedule {
    /// Reads a schedule: five fields (seconds are 0), six, or seven with the year last; or a macro like `@daily`.
    ///
    /// # Errors
    /// Says what does not fit, and what to write.
    pub fn parse(text: &str) -> Result<Self, Unread> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Unread::new("is empty", FORM));
        }
        let expanded = of_name(text);
        if text.starts_with('@') && expanded.is_none() {
            let fix = text.strip_prefix("@every").map_or_else(|| FORM.to_owned(), every);
            return Err(no_name(fix));
        }
        let written = expanded.unwrap_or(text);
        let mut fields: Vec<String> = written.split_whitespace().map(str::to_owned).collect();
        let mut notes = Vec::new();
        match fields.len() {
            5 => {
                fields.insert(0, "0".to_owned());
                if expanded.is_none() {
                    notes.push("five fields are read with seconds 0".to_owned());
                }
            }
            6 | 7 => {}
            other => {
                let rule = format!("has {other} fields instead of 6 (seconds first) or 7 (with the year)");
                let fix = meant(text).map_or_else(|| FORM.to_owned(), |name| format!("write {name}"));
                return Err(Unread::new(rule, fix));
            }
        }
        if let Some(weekdays) = fields.get_mut(5) {
            let read = name_weekdays(weekdays)?;
            if read.numeric && expanded.is_none() {
                notes.push(format!("the weekdays {weekdays} mean {}: they count from 0 for Sunday", read.names));
            }
            if read.seven {
                notes.push("weekday 7 is read as Sunday, which is 0 here".to_owned());
            }
            *weekdays = read.names;
        }
        if let Some(months) = fields.get_mut(4) {
            *months = number_months(months);
        }
        let inner = cron::Schedule::from_str(&fields.join(" ")).map_err(|_| explain(&fields))?;
        Ok(Self { inner: Inner::Seconds(Box::new(inner)), notes })
    }

    /// What the author may not expect.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The first tick after a time; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let inner = match &self.inner {
            Inner::Seconds(inner) => inner,
            Inner::InZone(schedule) => return schedule.next_after(time),
        };
        let time = DateTime::<Utc>::from_timestamp(time.as_second(), 0)?;
        let tick = inner.after(&time).next()?;
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
        for name in ["@midnight", "@annually", "@Daily", "@weekly"] {
            assert!(Schedule::parse(name).unwrap().notes().is_empty(), "{name}");
        }
        assert_eq!(next("@midnight", "2026-11-21T10:01:07Z").as_deref(), Some("2026-11-22T00:00:00Z"));
        assert_eq!(next("@weekly", "2026-11-21T10:01:07Z").as_deref(), Some("2026-11-22T00:00:00Z"));
    }

    #[test]
    fn names_are_written_in_full_or_short_and_in_ranges() {
        // 2026-11-21 is a Saturday.
        let after = "2026-11-21T12:00:00Z";
        for (text, tick) in [
            ("0 0 2 * * Monday", "2026-11-23T02:00:00Z"),
            ("0 0 2 * * MONDAY-Friday", "2026-11-23T02:00:00Z"),
            ("0 0 2 * * Tues,thurs", "2026-11-24T02:00:00Z"),
            ("0 0 2 * * sat-sun", "2026-11-22T02:00:00Z"),
            ("0 0 2 * * fri-mon", "2026-11-22T02:00:00Z"),
            ("0 0 2 1 January *", "2027-01-01T02:00:00Z"),
            ("0 0 2 1 feb-APRIL *", "2027-02-01T02:00:00Z"),
            ("0 0 2 1 Dec-Feb *", "2026-12-01T02:00:00Z"),
            ("0 0 2 1 march,june *", "2027-03-01T02:00:00Z"),
            ("0 0 2 1 Jan-Dec/3 *", "2027-01-01T02:00:00Z"),
            ("0 0 2 1 1-12/3 *", "2027-01-01T02:00:00Z"),
        ] {
            assert_eq!(next(text, after).as_deref(), Some(tick), "{text}");
        }
    }

    #[test]
    fn what_fires_more_often_than_a_minute_is_known() {
        let now = "2026-11-21T12:00:10Z".parse().unwrap();
        let often = |text: &str| is_often(|time| Schedule::parse(text).unwrap().next_after(time), now);
        for text in ["* * * * * *", "*/30 * * * * *", "0,59 * * * * *", "* 0 2 * * *"] {
            assert!(often(text), "{text}");
        }
        for text in ["0 * * * * *", "* * * * *", "30 */5 * * * *", "@hourly", "0 0 2 * * *"] {
            assert!(!often(text), "{text}");
        }
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
            ("daily", "; write @daily"),
            ("Midnight", "; write @midnight"),
            ("2 * *", "; write six fields, seconds first"),
            ("60 * * * * *", "seconds"),
            ("0 0 24 * * *", "hours"),
            ("0 0 24 * * *", "; write 0 for midnight, or a number of 0-23"),
            ("@every 2h", "; write 0 0 */2 * * *"),
            ("@every 24h", "; write @daily"),
            ("@every 20s", "; write */20 * * * * *"),
            ("@every 7h", "; write a step that divides"),
            ("@every soon", "; write a step that divides"),
            ("0 0 0 32 * *", "day of month"),
            ("0 0 0 * 13 *", "month"),
            ("0 0 0 * * 8", "weekday"),
            ("0 0 0 * * 5-1", "write 5-6,0-1"),
            ("@every 30m", "0 */30 * * * *"),
            ("0 0 0 1 Janus *", "month"),
            ("0 0 0 * * 1/0", "step"),
            ("@often", "@yearly"),
        ] {
            let error = Schedule::parse(text).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
