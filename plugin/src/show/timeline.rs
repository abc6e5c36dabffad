//! The moments that can be restored, as a picture in plain characters. Pure.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::page::Page;
use crate::screen::{Style, Times, Tone};
use crate::view::coverage::{Coverage, Recall};
use crate::words::{duration, plural, safe};

/// Columns beside the line of time.
const MARGIN: usize = 4;
/// Longest line of time: more is harder to read, not easier.
const LONGEST: usize = 100;
/// Columns between two labels.
const LABELS: usize = 9;
/// Seconds of a day.
const DAY: i64 = 86_400;
/// Seconds between two labels.
const STEPS: [i64; 14] = [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, DAY, 2 * DAY, 7 * DAY];

/// The points of backups since `since`.
#[must_use]
pub fn timeline(coverages: &[Coverage], since: Timestamp, style: &Style) -> String {
    let columns = (style.columns() - MARGIN).min(LONGEST);
    let line = Line { since, until: style.now, columns, zone: zone(style) };
    let mut out = Page::default();
    for (place, coverage) in coverages.iter().enumerate() {
        if place > 0 {
            out.line("");
        }
        one(coverage, &line, style, &mut out);
    }
    let each = line.until.duration_since(since).as_secs() / i64::try_from(columns).unwrap_or(1);
    let key = format!("F full  i incremental  2-9 + several  . none; a column is {}", duration(each.max(1)));
    out.line("");
    out.line(style.paint(Tone::Faint, &key));
    out.finish()
}

fn zone(style: &Style) -> TimeZone {
    if style.times == Times::Local { style.zone.clone() } else { TimeZone::UTC }
}

fn one(coverage: &Coverage, line: &Line, style: &Style, out: &mut Page) {
    let shown = coverage.points.iter().filter(|point| point.at >= line.since).count() as u64;
    let usual = coverage.usual_seconds.map(|usual| format!(", usually every {}", duration(usual)));
    out.line(format_args!(
        "{}  {}{}",
        style.paint(Tone::Strong, &coverage.name),
        plural(shown, "point"),
        usual.unwrap_or_default()
    ));
    out.line(format_args!("  {}", style.paint(Tone::Faint, &line.labels())));
    out.line(format_args!("  |{}|", line.marks(coverage)));
    let (first, last) = (coverage.points.first(), coverage.points.last());
    if let (Some(first), Some(last)) = (first, last) {
        let exposed = format!("newest {}", style.distance(last.at));
        let late = coverage.late_from.is_some_and(|late| style.now > late);
        let tone = if late { Tone::Bad } else { Tone::Good };
        let words = if late { format!("{exposed}: the next one is late") } else { exposed };
        out.line(format_args!("  recoverable  {} .. {}", style.time(first.at), style.time(last.at)));
        out.line(format_args!("               {}", style.paint(tone, &words)));
    } else {
        out.line(format_args!("  {}", style.paint(Tone::Bad, "recoverable  nothing: there is no point yet")));
    }
    for hole in coverage.holes.iter().filter(|hole| hole.to >= line.since) {
        let length = duration(hole.to.duration_since(hole.from).as_secs());
        let text =
            format!("gap          {} .. {}  {length} without a point", style.time(hole.from), style.time(hole.to));
        out.line(format_args!("  {}", style.paint(Tone::Warn, &text)));
    }
    if coverage.unfinished {
        out.line("  a run goes on, or was interrupted");
    }
    for problem in &coverage.problems {
        out.line(format_args!("  {}", style.paint(Tone::Bad, &format!("damaged      {problem}"))));
    }
}

struct Line {
    since: Timestamp,
    until: Timestamp,
    columns: usize,
    zone: TimeZone,
}

impl Line {
    fn inner(&self) -> usize {
        self.columns.saturating_sub(2).max(1)
    }

    /// The column of a moment.
    fn column(&self, at: Timestamp) -> Option<usize> {
        let whole = self.until.duration_since(self.since).as_millis().max(1);
        let place = at.duration_since(self.since).as_millis();
        let inner = i128::try_from(self.inner()).unwrap_or(1);
        (0..=whole).contains(&place).then(|| usize::try_from((place * inner / whole).min(inner - 1)).unwrap_or(0))
    }

    fn marks(&self, coverage: &Coverage) -> String {
        let mut counts = vec![0_usize; self.inner()];
        for point in &coverage.points {
            if let Some(count) = self.column(point.at).and_then(|column| counts.get_mut(column)) {
                *count += 1;
            }
        }
        let mark = |count: usize| match count {
            0 => '.',
            1 if coverage.incremental => 'i',
            1 => 'F',
            2..=9 => char::from_digit(u32::try_from(count).unwrap_or(0), 10).unwrap_or('+'),
            _ => '+',
        };
        counts.into_iter().map(mark).collect()
    }

    /// Times above the line, as close as they can be read: days, hours or minutes of the zone's clock.
    fn labels(&self) -> String {
        let seconds = self.until.duration_since(self.since).as_secs().max(1);
        let least = seconds * i64::try_from(LABELS).unwrap_or(1) / i64::try_from(self.inner()).unwrap_or(1);
        let step = STEPS.into_iter().find(|step| *step >= least).unwrap_or(DAY * (least / DAY + 1));
        let format = if step >= DAY { "%b %d" } else { "%H:%M" };
        let mut text = vec![' '; self.columns];
        let day = self.since.to_zoned(self.zone.clone()).start_of_day();
        let Ok(mut at) = day else { return String::new() };
        while at.timestamp() <= self.until {
            if let Some(column) = self.column(at.timestamp()) {
                let label = at.strftime(format).to_string();
                if column + 1 + label.len() <= self.columns {
                    for (cell, letter) in text.iter_mut().skip(column + 1).zip(label.chars()) {
                        *cell = letter;
                    }
                }
            }
            // Whole days by the calendar: they are not all as long.
            let span = if step >= DAY { (step / DAY).days() } else { step.seconds() };
            let Ok(next) = at.checked_add(span) else { break };
            at = next;
        }
        text.into_iter().collect::<String>().trim_end().to_owned()
    }
}

/// What a restore to a moment would give.
#[must_use]
pub fn recall(recall: &Recall, style: &Style) -> String {
    let mut out = Page::default();
    out.line(format_args!("{} at {}", style.paint(Tone::Strong, &recall.backup), style.time(recall.at)));
    if recall.end_time.is_some() {
        out.line(format_args!("  restore  {}, up to that moment (--at)", safe(&recall.point)));
        out.line("  gives    every archived record with a timestamp up to then");
    } else {
        out.line(format_args!("  restore  {}", safe(&recall.point)));
        out.line(format_args!("  gives    everything up to {}", style.time(recall.point_at)));
    }
    out.line(format_args!("  groups   as they were at {}", style.time(recall.point_at)));
    let lost = match recall.lost_seconds {
        None => {
            let text = format!("not known: nothing is older than {}", style.time(recall.point_at));
            style.paint(Tone::Bad, &text)
        }
        Some(0) => style.paint(Tone::Good, "nothing that was archived"),
        Some(seconds) => style.paint(Tone::Bad, &format!("the {} before that moment", duration(seconds))),
    };
    out.line(format_args!("  lost     {lost}"));
    out.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::{backup, style};

    fn since(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_picture_fits_eighty_columns() {
        let coverage = Coverage::of(backup("nightly", &[8, 9, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21]), None);
        let text = timeline(&[coverage], since("2026-11-08T00:00:00Z"), &style(Some(80)));
        assert_eq!(
            text,
            "nightly  12 points, usually every 1d\n\
            \x20  Nov 08    Nov 10    Nov 12    Nov 14    Nov 16     Nov 18    Nov 20\n\
            \x20 |F....F....F....F...............F....F....F....F....F....F....F....F.......|\n\
            \x20 recoverable  2026-11-08T02:00:00Z .. 2026-11-21T02:00:00Z\n\
            \x20              newest 1d 10h ago\n\
            \x20 gap          2026-11-11T02:00:00Z .. 2026-11-14T02:00:00Z  3d without a point\n\
             \nF full  i incremental  2-9 + several  . none; a column is 4h 34m\n"
        );
        assert!(text.is_ascii());
    }

    #[test]
    fn a_narrow_picture_and_an_empty_one() {
        let late = Coverage::of(backup("nightly", &[15, 16, 17]), None);
        let none = Coverage::of(backup("empty", &[]), None);
        let text = timeline(&[late, none], since("2026-11-15T00:00:00Z"), &style(Some(40)));
        assert!(text.lines().filter(|line| line.contains('|')).all(|line| line.len() <= 40), "{text}");
        assert!(text.contains("newest 5d 10h ago: the next one is late"), "{text}");
        assert!(text.contains("nothing: there is no point yet"), "{text}");
    }

    #[test]
    fn hours_are_named_when_the_span_is_short() {
        let coverage = Coverage::of(backup("hourly", &[22]), None);
        let text = timeline(&[coverage], since("2026-11-22T00:00:00Z"), &style(Some(60)));
        assert!(text.contains("06:00"), "{text}");
    }

    #[test]
    fn a_moment_says_what_it_would_give() {
        let coverage = Coverage::of(backup("nightly", &[20, 21]), None);
        let inside = recall(&coverage.recall(since("2026-11-20T10:00:00Z")).unwrap(), &style(None));
        assert_eq!(
            inside,
            "nightly at 2026-11-20T10:00:00Z\n\
            \x20 restore  nightly-20261121-020000, up to that moment (--at)\n\
            \x20 gives    every archived record with a timestamp up to then\n\
            \x20 groups   as they were at 2026-11-21T02:00:00Z\n\
            \x20 lost     nothing that was archived\n"
        );
        let late = recall(&coverage.recall(since("2026-11-21T03:00:00Z")).unwrap(), &style(None));
        assert!(late.contains("lost     the 1h before that moment"), "{late}");
        let early = recall(&coverage.recall(since("2026-11-01T00:00:00Z")).unwrap(), &style(None));
        assert!(early.contains("lost     not known: nothing is older than 2026-11-20T02:00:00Z"), "{early}");
    }
}
