//! Schedules as CronJobs have them: five fields, weekdays 0-6 from Sunday, either day field (OR), in a time zone.
//!
//! At a clock change no tick is lost or doubled: a tick whose time of day is skipped comes when the clock has jumped; a
//! tick whose time of day comes twice comes at the first of them. Schedules that name no hour (`*`, `*/2`) go by what
//! the clock shows, each time it shows it.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::fields::{Unread, explain, meant, name_weekdays, no_name, number_months, of_name};

/// What is written where nothing shows what was meant.
const FIVE: &str = "write five fields, like \"0 2 * * *\" for 02:00 each day";

/// Clock changes that are looked past for a tick: more than any zone has in ten years.
const CHANGES: usize = 40;

/// A schedule in a time zone.
#[derive(Debug, Clone)]
pub struct CronJob {
    ticks: Ticks,
    zone: TimeZone,
}

#[derive(Debug, Clone)]
enum Ticks {
    /// The earliest tick of these; with two, either day field may hold.
    Cron { any: Vec<cron::Schedule>, names_hour: bool },
    /// So long after the tick before.
    Every(SignedDuration),
}

impl CronJob {
    /// Reads five fields, a macro like `@daily`, or `@every` and a duration like `1h30m`; and an IANA zone.
    ///
    /// # Errors
    /// Says what does not fit, and what to write.
    pub fn parse(text: &str, zone: TimeZone) -> Result<Self, Unread> {
        let text = text.trim();
        if text.starts_with("TZ=") || text.starts_with("CRON_TZ=") {
            let fix = "move the zone into schedule.timezone, and leave five fields here";
            return Err(Unread::new("names a zone itself, which belongs into schedule.timezone", fix));
        }
        if let Some(duration) = text.strip_prefix("@every ") {
            let every = duration.trim().parse::<SignedDuration>().ok().filter(|every| every.as_secs() >= 1);
            let every = every.ok_or_else(|| {
                let rule = format!("has {duration:?} for a duration, which reads like 1h30m");
                Unread::new(rule, "write @every 1h30m with hours, minutes and seconds, of a second or more")
            })?;
            return Ok(Self { ticks: Ticks::Every(SignedDuration::from_secs(every.as_secs())), zone });
        }
        let expanded = of_name(text);
        if text.starts_with('@') && expanded.is_none() {
            let mut refused = no_name(FIVE.to_owned());
            refused.rule += ", and @every with a duration";
            return Err(refused);
        }
        let fields: Vec<String> = expanded.unwrap_or(text).split_whitespace().map(|f| f.replace('?', "*")).collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            let fix = match (fields.as_slice(), meant(text)) {
                ([], _) => return Err(Unread::new("is empty", FIVE)),
                (_, Some(name)) => format!("write {name}"),
                ([_, five @ ..], None) if five.len() == 5 => format!("leave the seconds out: {}", five.join(" ")),
                (_, None) => FIVE.to_owned(),
            };
            let rule = format!("has {} fields instead of 5 (minute, hour, day, month, weekday)", fields.len());
            return Err(Unread::new(rule, fix));
        };
        let weekdays = name_weekdays(weekday)?;
        if weekdays.seven {
            let rule = "has 7 for a weekday, which takes 0-6 from Sunday, or names like SUN or Sunday";
            return Err(Unread::new(rule, "write 0 for Sunday"));
        }
        let month = number_months(month);
        let read = |day: &str, weekday: &str| {
            let fields: Vec<_> = ["0", minute, hour, day, &month, weekday].map(str::to_owned).into();
            cron::Schedule::from_str(&fields.join(" ")).map_err(|_| explain(&fields))
        };
        let any = if is_open(day) || is_open(weekday) {
            vec![read(day, &weekdays.names)?]
        } else {
            vec![read(day, "*")?, read("*", &weekdays.names)?]
        };
        Ok(Self { ticks: Ticks::Cron { any, names_hour: !hour.starts_with('*') }, zone })
    }

    /// Reads the name of a zone, like Europe/Berlin. The database is part of the program.
    #[must_use]
    pub fn zone(name: &str) -> Option<TimeZone> {
        // "Local" would be the zone of the node that asks.
        TimeZone::get(name).ok().filter(|_| name != "Local")
    }

    /// The first tick after a time; `None` when there is none.
    #[must_use]
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let (any, names_hour) = match &self.ticks {
            Ticks::Every(every) => return time.checked_add(*every).ok(),
            Ticks::Cron { any, names_hour } => (any, *names_hour),
        };
        let mut start = time;
        let mut shift = i64::from(self.zone.to_offset(start).seconds());
        // A tick is later than this on the clock.
        let mut clock = start.as_second() + shift;
        // From clock change to clock change: between two of them, the clock is a fixed distance from UTC.
        for _ in 0..CHANGES {
            let change = self.zone.following(start).next();
            while let Some(tick) = next_on_clock(any, clock) {
                let at = Timestamp::from_second(tick - shift).ok()?;
                if change.as_ref().is_some_and(|change| at >= change.timestamp()) {
                    break;
                }
                if !names_hour || !self.is_repeated(at, shift) {
                    return Some(at);
                }
                clock = tick;
            }
            let change = change?;
            start = change.timestamp();
            let next = i64::from(change.offset().seconds());
            // The clock jumps over [start + shift, start + next): what would have come there comes now.
            let skipped = next_on_clock(any, start.as_second() + shift - 1);
            if names_hour && skipped.is_some_and(|tick| tick < start.as_second() + next) {
                return Some(start);
            }
            shift = next;
            clock = start.as_second() + shift - 1;
        }
        None
    }

    /// Whether the clock showed the same time already, before it was set back.
    fn is_repeated(&self, at: Timestamp, shift: i64) -> bool {
        let Some(change) = self.zone.preceding(at + SignedDuration::from_secs(1)).next() else { return false };
        let before = Timestamp::from_second(change.timestamp().as_second() - 1);
        let before = before.map_or(shift, |before| i64::from(self.zone.to_offset(before).seconds()));
        at.as_second() + shift < change.timestamp().as_second() + before
    }
}

/// A day field that leaves the day to the other one: every day is among its parts. Cron takes a step of one for none.
fn is_open(field: &str) -> bool {
    field.split(',').any(|part| match part.split_once('/') {
        None => part == "*",
        Some((range, step)) => range == "*" && step.parse::<u32>() == Ok(1),
    })
}

/// The first tick on a clock that shows `clock` seconds since 1970.
fn next_on_clock(any: &[cron::Schedule], clock: i64) -> Option<i64> {
    let shown = DateTime::<Utc>::from_timestamp(clock, 0)?;
    any.iter().filter_map(|schedule| schedule.after(&shown).next()).map(|tick| tick.timestamp()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step of one leaves every day open, as `*` does: then both day fields must hold.
    #[test]
    fn a_step_of_one_is_none() {
        let days = |text: &str| ticks(text, "UTC", "2026-11-21T00:00:00Z", 2);
        // 2026-11-23 is a Monday.
        for open in ["0 2 * * 1", "0 2 */1 * 1", "0 2 1,* * 1"] {
            assert_eq!(days(open), ["2026-11-23T02:00:00Z", "2026-11-30T02:00:00Z"], "{open}");
        }
        assert_eq!(days("0 2 23 * */1"), ["2026-11-23T02:00:00Z", "2026-12-23T02:00:00Z"]);
        assert_eq!(days("0 2 */2 * 1"), ["2026-11-21T02:00:00Z", "2026-11-23T02:00:00Z"], "either may hold");
    }

    fn ticks(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let schedule = CronJob::parse(text, CronJob::zone(zone).unwrap()).unwrap();
        let mut time: Timestamp = after.parse().unwrap();
        let mut out = Vec::new();
        for _ in 0..count {
            let Some(next) = schedule.next_after(time) else { break };
            assert!(next > time, "{text} {zone}: {next} after {time}");
            time = next;
            out.push(next.to_string());
        }
        out
    }

    #[test]
    fn fields_macros_and_every() {
        let after = "2026-11-21T10:01:07Z";
        assert_eq!(ticks("*/15 * * * *", "UTC", after, 1), ["2026-11-21T10:15:00Z"]);
        assert_eq!(ticks("0 2 * * sun", "UTC", after, 1), ["2026-11-22T02:00:00Z"]);
        assert_eq!(ticks("0 2 ? * 0", "UTC", after, 1), ["2026-11-22T02:00:00Z"]);
        assert_eq!(ticks("@midnight", "Europe/Berlin", after, 1), ["2026-11-21T23:00:00Z"]);
        assert_eq!(ticks("@every 1h30m", "UTC", after, 2), ["2026-11-21T11:31:07Z", "2026-11-21T13:01:07Z"]);
    }

    #[test]
    fn either_day_field_may_hold() {
        // The 13th, and each Friday.
        let found = ticks("0 0 13 * 5", "UTC", "2026-12-01T00:00:00Z", 3);
        assert_eq!(found, ["2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z"]);
        // A star with a step is a field of its own, as CronJobs have it.
        let found = ticks("0 0 */10 * 5", "UTC", "2026-12-01T00:00:00Z", 3);
        assert_eq!(found, ["2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-18T00:00:00Z"]);
    }

    #[test]
    fn skipped_times_come_when_the_clock_has_jumped() {
        // Berlin, 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC.
        let found = ticks("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3);
        assert_eq!(found, ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
        // Several in the gap, and one at its end, are one tick.
        let found = ticks("0,20,40 2,3 * * *", "Europe/Berlin", "2026-03-29T00:59:00Z", 2);
        assert_eq!(found, ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z"]);
    }

    #[test]
    fn repeated_times_come_once() {
        // Berlin, 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
        let found = ticks("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
        let found = ticks("0 2,3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 3);
        assert_eq!(found, ["2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z", "2026-10-26T01:00:00Z"]);
    }

    #[test]
    fn schedules_without_an_hour_go_by_the_clock() {
        let found = ticks("30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", 3);
        assert_eq!(found, ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]);
        let found = ticks("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2);
        assert_eq!(found, ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"]);
        let found = ticks("0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2);
        assert_eq!(found, ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]);
    }

    #[test]
    fn every_day_of_three_years_has_one_tick() {
        for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"] {
            for text in ["30 2 * * *", "0 3 * * *", "0 0 * * *", "59 1 * * *"] {
                let found = ticks(text, zone, "2026-01-01T12:00:00Z", 3 * 365);
                let last: Timestamp = found.last().unwrap().parse().unwrap();
                let day = last.as_second() - "2026-01-01T12:00:00Z".parse::<Timestamp>().unwrap().as_second();
                assert!((day - 3 * 365 * 86400).abs() < 86400, "{zone} {text}: {last}");
            }
        }
    }

    #[test]
    fn what_is_refused() {
        let utc = TimeZone::UTC;
        for (text, words) in [
            ("0 0 2 * * *", "6 fields"),
            ("0 2 * * 7", "weekday"),
            ("CRON_TZ=UTC 0 2 * * *", "timezone"),
            ("60 * * * *", "minutes"),
            ("@often", "@hourly"),
            ("@every soon", "duration"),
            ("daily", "; write @daily"),
            ("0 24 * * *", "; write 0 for midnight, or a number of 0-23"),
            ("0 2 * *", "; write five fields"),
        ] {
            let error = CronJob::parse(text, utc.clone()).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(CronJob::parse("0 0 2 * * *", TimeZone::UTC).unwrap_err().fix == "leave the seconds out: 0 2 * * *");
        assert!(CronJob::zone("Europe/Atlantis").is_none() && CronJob::zone("Local").is_none());
        let never = CronJob::parse("0 0 30 2 *", utc).unwrap();
        assert_eq!(never.next_after("2026-11-21T00:00:00Z".parse().unwrap()), None);
    }
}
