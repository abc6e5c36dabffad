//! Coming ticks of a schedule, and what a clock change does to them. Pure.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

/// A tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tick {
    /// When.
    pub at: Timestamp,
    /// The same on the clock of a zone.
    pub shown: String,
    /// What a clock change does to it.
    pub note: Option<String>,
}

/// The ticks after `now`.
#[must_use]
pub fn ticks(
    next: impl Fn(Timestamp) -> Option<Timestamp>,
    now: Timestamp,
    count: usize,
    zone: &TimeZone,
) -> Vec<Tick> {
    let mut out = Vec::new();
    let (mut last, mut offset) = (now, zone.to_offset(now));
    while out.len() < count
        && let Some(at) = next(last)
    {
        let zoned = at.to_zoned(zone.clone());
        let changed = zoned.offset().seconds() - offset.seconds();
        let note = (changed != 0).then(|| {
            let change = zone.preceding(at + jiff::SignedDuration::from_secs(1)).next();
            let when = change.map(|change| change.timestamp().to_zoned(zone.clone()).strftime("%a %H:%M").to_string());
            let way = if changed > 0 { "forward" } else { "back" };
            format!("clocks went {way} {} min, {}", changed.abs() / 60, when.unwrap_or_default())
        });
        let shown = zoned.strftime("%a %Y-%m-%d %H:%M:%S %Z").to_string();
        out.push(Tick { at, shown, note });
        (last, offset) = (at, zoned.offset());
    }
    out
}

#[cfg(test)]
mod tests {
    use api::schedule::CronJob;

    use super::*;

    #[test]
    fn a_clock_change_is_told_at_the_first_tick_after_it() {
        let zone = CronJob::zone("Europe/Berlin").unwrap();
        let schedule = CronJob::parse("15 2 * * *", zone.clone()).unwrap();
        let now = "2027-03-26T12:00:00Z".parse().unwrap();
        let found = ticks(|time| schedule.next_after(time), now, 3, &zone);
        let shown: Vec<_> = found.iter().map(|tick| (tick.shown.as_str(), tick.note.as_deref())).collect();
        assert_eq!(
            shown,
            [
                ("Sat 2027-03-27 02:15:00 CET", None),
                ("Sun 2027-03-28 03:00:00 CEST", Some("clocks went forward 60 min, Sun 03:00")),
                ("Mon 2027-03-29 02:15:00 CEST", None),
            ]
        );
    }
}
