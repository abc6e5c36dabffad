//! Which moments can be restored: the points of a backup as a line of time, its holes, and what a moment would give.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::listing::{Backup, Point};

/// Points before a usual distance between them is known.
const ENOUGH: usize = 3;

/// A time without a point that is longer than usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// The point before.
    pub from: Timestamp,
    /// The point after.
    pub to: Timestamp,
}

/// What can be restored of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Name of the backup.
    pub name: String,
    /// Whether runs extend one set.
    pub incremental: bool,
    /// Whether a run goes on, or was interrupted.
    pub unfinished: bool,
    /// What is wrong with it, as far as a list looks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Points, oldest first.
    pub points: Vec<Point>,
    /// Seconds that usually lie between two points; `None` while they are few.
    pub usual_seconds: Option<i64>,
    /// Times without a point that are longer than usual.
    pub holes: Vec<Hole>,
    /// From when on the next point is late: as the schedule promises, or, where none is known, longer than usual after the
    /// newest one. `None` where nothing is promised or usual.
    pub late_from: Option<Timestamp>,
}

impl Coverage {
    /// The coverage of a backup; `promised`: from when on its schedule says that the next point is late.
    #[must_use]
    pub fn of(backup: Backup, promised: Option<Timestamp>) -> Self {
        let pairs = || backup.points.windows(2).filter_map(|pair| Some((pair.first()?.at, pair.get(1)?.at)));
        let mut distances: Vec<i64> = pairs().map(|(from, to)| to.duration_since(from).as_secs()).collect();
        distances.sort_unstable();
        let usual = (backup.points.len() >= ENOUGH).then(|| distances.get(distances.len() / 2).copied()).flatten();
        let holes = pairs()
            .filter(|(from, to)| usual.is_some_and(|usual| late_after(*from, usual).is_some_and(|late| late < *to)));
        let newest = backup.points.last().map(|point| point.at);
        Self {
            late_from: promised.or_else(|| late_after(newest?, usual?)),
            holes: holes.map(|(from, to)| Hole { from, to }).collect(),
            usual_seconds: usual,
            name: backup.name,
            incremental: backup.incremental,
            unfinished: backup.unfinished,
            problems: backup.problems,
            points: backup.points,
        }
    }
}

/// When the point after that of `from` is late: half as long again as usual, and at least a minute more. `None` at the end of
/// all times.
fn late_after(from: Timestamp, usual: i64) -> Option<Timestamp> {
    from.checked_add(SignedDuration::from_secs((usual + usual / 2).max(usual + 60))).ok()
}

/// What a restore to a moment would give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Recall {
    /// The backup.
    pub backup: String,
    /// The moment that was asked for.
    pub at: Timestamp,
    /// The point to restore.
    pub point: String,
    /// Its second.
    pub point_at: Timestamp,
    /// `pitr.endTime` to restore with: the moment lies before the point.
    pub end_time: Option<Timestamp>,
    /// Seconds before the moment that are lost: the point lies before it. `None` where it is not known: no point is as old
    /// as the moment, and the source may have dropped records before the first one was made.
    pub lost_seconds: Option<i64>,
}

impl Coverage {
    /// What a restore to `at` would give: the first point that is not before it, cut at that time; else the newest.
    #[must_use]
    pub fn recall(&self, at: Timestamp) -> Option<Recall> {
        let after = self.points.iter().find(|point| point.at >= at);
        let point = after.or(self.points.last())?;
        let before_first = self.points.first().is_some_and(|first| first.at > at);
        Some(Recall {
            backup: self.name.clone(),
            at,
            point: point.name.clone(),
            point_at: point.at,
            end_time: (point.at > at).then_some(at),
            lost_seconds: (!before_first).then(|| at.duration_since(point.at).as_secs().max(0)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::backup;

    #[test]
    fn longer_than_usual_is_a_hole() {
        let coverage = Coverage::of(backup("nightly", &[1, 2, 3, 6, 7]), None);
        assert_eq!(coverage.usual_seconds, Some(86_400));
        let days = |day: u8| format!("2026-11-{day:02}T02:00:00Z").parse::<Timestamp>().unwrap();
        assert_eq!(coverage.holes, [Hole { from: days(3), to: days(6) }]);
        assert!(Coverage::of(backup("few", &[1, 9]), None).holes.is_empty(), "nothing is usual yet");
    }

    #[test]
    fn a_moment_is_restored_from_the_first_point_that_holds_it() {
        let coverage = Coverage::of(backup("nightly", &[1, 2, 3]), None);
        let recall = |text: &str| coverage.recall(text.parse().unwrap()).unwrap();
        let inside = recall("2026-11-01T12:00:00Z");
        assert_eq!((inside.point.as_str(), inside.lost_seconds), ("nightly-20261102-020000", Some(0)));
        assert_eq!(inside.end_time, Some(inside.at));
        assert_eq!(recall("2026-10-31T00:00:00Z").lost_seconds, None);
        let exact = recall("2026-11-02T02:00:00Z");
        assert_eq!((exact.point.as_str(), exact.end_time), ("nightly-20261102-020000", None));
        let late = recall("2026-11-03T03:00:00Z");
        assert_eq!(
            (late.point.as_str(), late.end_time, late.lost_seconds),
            ("nightly-20261103-020000", None, Some(3_600))
        );
        assert_eq!(Coverage::of(backup("none", &[]), None).recall(late.at), None);
    }
}
