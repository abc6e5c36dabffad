//! What a run of retention did, for people: a table of the points, and what became of objects. Pure.

use contract::words::{duration, plural, size};
use contract::{ObjectSum, PointFate, PruneReport, Report};

use super::table::aligned;

/// The lines of a report.
pub(super) fn lines(report: &Report, found: &PruneReport) -> Vec<String> {
    let mut out = vec![format!("retention {}: {}", report.run, report.outcome)];
    let rows: Vec<Vec<String>> = found
        .points
        .iter()
        .map(|point| {
            let fate = match point.fate {
                PointFate::Stays => "stays",
                PointFate::Removed => "removed",
                PointFate::MayGo => "may go",
            };
            vec![
                point.name.clone(),
                point.committed.map_or_else(|| "-".to_owned(), |at| at.to_string()),
                fate.to_owned(),
                point.why.clone(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        out.extend(aligned(&["POINT", "COMMITTED", "FATE", "WHY"], &rows));
    }
    let verb = if found.dry_run { "may go" } else { "removed" };
    let count = if found.dry_run { found.eligible } else { found.removed };
    out.push(format!("{} of {} {verb}.", count, plural(found.inspected, "recovery point")));
    let mut object = |sum: ObjectSum, what: &str| {
        if !sum.is_none() {
            out.push(format!("{} ({}) {what}.", plural(sum.objects, "object"), size(sum.bytes)));
        }
    };
    object(found.deleted, "deleted");
    object(found.leftovers, "of these were left by runs that ended early");
    object(found.due, "may be deleted and stay");
    object(found.unknown, "are no part of a backup, and stay");
    let until = found.waits_until.map_or_else(String::new, |at| format!(", the first until {at}"));
    object(found.waiting, &format!("wait for the end of the grace period{until}"));
    for refused in &found.refused {
        object(refused.sum, &format!("not deleted: {}", refused.why));
    }
    out.extend(found.busy.iter().map(|busy| {
        format!("Nothing was removed of set {}: run {} is going on. Run again once it has ended.", busy.set, busy.run)
    }));
    out.extend(found.holds.iter().map(|hold| format!("Kept for it: {hold}.")));
    out.extend(found.left.iter().map(|left| format!("Left alone: {}.", left.trim_end_matches('.'))));
    let age = found.rules.max_age_secs.and_then(|age| i64::try_from(age).ok()).map(duration);
    if let Some(age) = age {
        out.push(format!("Rules: at least {} stay, and what is younger than {age}.", found.rules.least));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_and_what_waits_is_told() {
        let report: PruneReport = serde_json::from_value(serde_json::json!({
            "rules": {"least": 1, "most": 1}, "dryRun": false, "inspected": 2, "eligible": 1, "removed": 1, "givenUp": 0,
            "comesBack": 5, "deleted": {"objects": 2, "bytes": 2048}, "leftovers": {"objects": 0, "bytes": 0},
            "endedUploads": 0, "waiting": {"objects": 1, "bytes": 5}, "waitsUntil": "2026-01-02T00:00:00Z",
            "due": {"objects": 0, "bytes": 0}, "unknown": {"objects": 0, "bytes": 0},
            "refused": [{"why": "locked", "example": "a", "objects": 3, "bytes": 1}],
            "points": [{"name": "orders-1", "fate": "removed", "why": "not one of the newest 1"}],
        }))
        .unwrap();
        let whole = Report { run: "r".into(), outcome: "Completed".into(), ..Report::default() };
        let text = lines(&whole, &report);
        assert_eq!(text[0], "retention r: Completed");
        assert!(text[2].contains("orders-1") && text[2].contains("removed"), "{text:?}");
        assert!(text.contains(&"2 objects (2.0 KiB) deleted.".to_owned()), "{text:?}");
        let waits = "1 object (5 B) wait for the end of the grace period, the first until 2026-01-02T00:00:00Z.";
        assert!(text.contains(&waits.to_owned()), "{text:?}");
        assert!(text.contains(&"3 objects (1 B) not deleted: locked.".to_owned()), "{text:?}");
    }
}
