//! How far a run is, from the last lines of its pod's log. Pure.

use contract::{CheckVerdict, Event, EventKind, OffsetsBefore, PointLine};

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Records moved so far.
    pub records: u64,
    /// Bytes moved so far.
    pub bytes: u64,
    /// Share of the plan, 0 to 100.
    pub percent: f64,
    /// Records per second.
    pub records_per_sec: f64,
    /// Bytes per second.
    pub bytes_per_sec: f64,
    /// Seconds that are left.
    pub remaining_secs: Option<u64>,
    /// The topic that a restore has come to.
    pub topic: Option<String>,
    /// When progress was saved last (RFC 3339).
    pub committed_at: Option<String>,
    /// The newest recovery point that this run made.
    pub point: Option<String>,
    /// When it was made (RFC 3339).
    pub point_at: Option<String>,
    /// What the newest recovery points hold that this run made.
    pub made: Vec<PointLine>,
    /// When a continuous run last knew that everything is archived (RFC 3339).
    pub whole_at: Option<String>,
    /// What an overdue recovery point waits for.
    pub overdue: Option<String>,
    /// When the run said anything last (RFC 3339).
    pub said_at: Option<String>,
    /// What the run waits for, until it moves on.
    pub waiting: Option<String>,
    /// The last warning.
    pub warning: Option<String>,
    /// Where the offsets are that consumer groups had before the run changed them.
    pub offsets_before: Option<OffsetsBefore>,
    /// Checks of a validation that are made.
    pub checked: Vec<Checked>,
}

/// A check of a validation that is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// What came of it.
    pub verdict: CheckVerdict,
    /// That in one sentence.
    pub message: String,
}

/// Reads the lines of the runner among all lines; `None` when none of them says anything.
#[must_use]
pub fn read(log: &str) -> Option<Progress> {
    // Other containers and libraries write lines that are no events.
    let events = log.lines().filter_map(|line| serde_json::from_str::<Event>(line).ok());
    let mut out: Option<Progress> = None;
    for event in events.filter(|event| event.source == "kafka-backup") {
        let at = event.at;
        let progress = out.get_or_insert_default();
        progress.said_at = Some(at.clone());
        let moves = matches!(
            event.kind,
            EventKind::Started { .. }
                | EventKind::Planned { .. }
                | EventKind::Progress { .. }
                | EventKind::Committed { .. }
                | EventKind::Finished { .. }
        );
        if moves {
            progress.waiting = None;
        }
        match event.kind {
            EventKind::Progress { records, bytes, percent, topic, whole_at, overdue, pace } => {
                progress.whole_at = whole_at;
                progress.overdue = overdue;
                progress.topic = topic.or(progress.topic.take());
                progress.records = records;
                progress.bytes = bytes;
                progress.percent = percent;
                progress.records_per_sec = pace.records_per_sec;
                progress.bytes_per_sec = pace.bytes_per_sec;
                progress.remaining_secs = pace.remaining_secs;
            }
            EventKind::Committed { point, made, .. } => {
                progress.made.extend(made.map(|made| *made));
                if point.is_some() {
                    progress.point = point;
                    progress.point_at = Some(at.clone());
                }
                progress.committed_at = Some(at);
            }
            EventKind::Checked { check, verdict, message } => {
                progress.checked.push(Checked { name: check, verdict, message });
            }
            EventKind::OffsetsSaved { before } => progress.offsets_before = Some(before),
            EventKind::Warning { message } => progress.warning = Some(message),
            EventKind::Waiting { what, .. } => progress.waiting = Some(what),
            EventKind::Started { .. }
            | EventKind::Planned { .. }
            | EventKind::Gap { .. }
            | EventKind::Timeline { .. }
            | EventKind::Member { .. }
            | EventKind::Group { .. }
            | EventKind::Dropped { .. }
            | EventKind::Finished { .. } => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_each_kind_counts() {
        let log = r#"
something else {"event":"progress"}
{"source":"kafka-backup","seq":1,"at":"2026-11-21T10:00:00.000Z","event":"progress","records":5,"bytes":50,"percent":10.0,"recordsPerSec":1.0,"bytesPerSec":10.0,"lag":45,"limitedBy":"broker"}
{"source":"kafka-backup","seq":2,"at":"2026-11-21T10:00:01.000Z","event":"committed","entry":3,"sealed":true,"point":"a-1"}
{"source":"kafka-backup","seq":3,"at":"2026-11-21T10:00:02.000Z","event":"progress","records":9,"bytes":90,"percent":20.0,"recordsPerSec":2.0,"bytesPerSec":20.0,"lag":41,"remainingSecs":7,"limitedBy":"store"}
{"source":"kafka-backup","seq":4,"at":"2026-11-21T10:00:03.000Z","event":"committed","entry":4,"sealed":false}
{"source":"other","seq":4,"at":"2026-11-21T10:00:03.000Z","event":"warning","message":"no"}
"#;
        let progress = read(log).unwrap();
        assert_eq!((progress.records, progress.bytes, progress.remaining_secs), (9, 90, Some(7)));
        assert_eq!(progress.committed_at.as_deref(), Some("2026-11-21T10:00:03.000Z"));
        assert_eq!(progress.point.as_deref(), Some("a-1"));
        // What is saved after a recovery point is no recovery point.
        assert_eq!(progress.point_at.as_deref(), Some("2026-11-21T10:00:01.000Z"));
        assert_eq!(progress.said_at.as_deref(), Some("2026-11-21T10:00:03.000Z"));
        assert_eq!(progress.warning, None);
        assert_eq!(read("nothing\nof ours"), None);
    }

    #[test]
    fn offsets_that_were_saved_are_known_before_the_run_is_over() {
        let saved = r#"{"source":"kafka-backup","seq":1,"at":"2026-11-21T10:00:00.000Z","event":"offsets-saved","before":{"id":"before-20261121-100000-24h-0","at":"2026-11-21T10:00:00Z","path":"s3://b/x.json"}}"#;
        let before = read(saved).unwrap().offsets_before.unwrap();
        assert_eq!((before.id.as_str(), before.expires_at), ("before-20261121-100000-24h-0", None));
    }

    #[test]
    fn checks_are_known_before_the_run_is_over() {
        let made = r#"{"source":"kafka-backup","seq":1,"at":"2026-11-21T10:00:00.000Z","event":"checked","check":"decode","verdict":"fail","message":"a CRC"}"#;
        let checked = read(made).unwrap().checked;
        assert_eq!(checked, [Checked { name: "decode".into(), verdict: CheckVerdict::Fail, message: "a CRC".into() }]);
    }

    #[test]
    fn a_wait_is_told_until_the_run_moves_on() {
        let waits = r#"{"source":"kafka-backup","seq":1,"at":"2026-11-21T10:00:00.000Z","event":"waiting","what":"kafka:1: nobody listens there","seconds":5}"#;
        assert_eq!(read(waits).unwrap().waiting.as_deref(), Some("kafka:1: nobody listens there"));
        let moved = r#"{"source":"kafka-backup","seq":2,"at":"2026-11-21T10:00:01.000Z","event":"planned","topics":1,"partitions":1,"records":1}"#;
        assert_eq!(read(&format!("{waits}\n{moved}")).unwrap().waiting, None);
    }

    #[test]
    fn an_overdue_recovery_point_is_told_until_it_is_made() {
        let line = |second: u8, more: &str| {
            format!(
                r#"{{"source":"kafka-backup","seq":{second},"at":"2026-11-21T10:00:0{second}.000Z","event":"progress","records":5,"bytes":50,"percent":10.0,"recordsPerSec":1.0,"bytesPerSec":10.0,"lag":45,"limitedBy":"broker"{more}}}"#
            )
        };
        let late = line(1, r#","overdue":"it waits for a/0""#);
        assert_eq!(read(&late).unwrap().overdue.as_deref(), Some("it waits for a/0"));
        let made = read(&format!("{late}\n{}", line(2, r#","wholeAt":"2026-11-21T10:00:02.000Z""#))).unwrap();
        assert_eq!((made.overdue, made.whole_at.as_deref()), (None, Some("2026-11-21T10:00:02.000Z")));
    }
}
