//! What retention would take away, as text. Pure.

use inspect::{RetainedPoint, RetentionPlan};

use super::page::Page;
use super::table::{Cell, table};
use crate::screen::{Style, Tone};
use crate::words::{duration, safe};

/// Terminals below this have no room for when each point was committed: its age says it.
const WIDE: usize = 100;

/// The points, oldest first, then the plan in sentences.
#[must_use]
pub fn retention(plan: &RetentionPlan, points: &[RetainedPoint], style: &Style) -> String {
    let dated = style.width.is_none_or(|width| width >= WIDE);
    let mut titles = vec!["POINT", "COMMITTED", "AGE", "STAYS", "~WHY", "BYTES"];
    let mut rows: Vec<Vec<Cell>> = points.iter().map(|point| row(point, style)).collect();
    if !dated {
        titles.remove(1);
        for row in &mut rows {
            row.remove(1);
        }
    }
    let mut out = Page::default();
    for line in plan.sentences() {
        out.line(safe(&line));
    }
    let table = if rows.is_empty() { String::new() } else { table(&titles, &rows, style) };
    table + &out.finish()
}

fn row(point: &RetainedPoint, style: &Style) -> Vec<Cell> {
    let unknown = || "-".to_owned();
    let age = point.age_secs.map(|seconds| duration(i64::try_from(seconds).unwrap_or(i64::MAX)));
    vec![
        point.name.clone().into(),
        point.committed.map_or_else(unknown, |at| style.time(at)).into(),
        age.unwrap_or_else(unknown).into(),
        if point.verdict.goes() { Cell::toned("no", Tone::Warn) } else { "yes".into() },
        point.remark().into(),
        point.gain().into(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use contract::RetentionRules;
    use contract::retention::{Goes, Hold, Stays, Verdict};
    use inspect::{Compacted, RetainedSet};
    use jiff::Timestamp;

    use super::*;
    use crate::show::tests::style;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-12-01T00:00:41Z";

    fn rules() -> RetentionRules {
        RetentionRules::keeping(Some(3), Some(14 * 86_400), None).unwrap()
    }

    fn point(committed: &str, verdict: Verdict, bytes: Option<u64>) -> RetainedPoint {
        let committed = at(committed);
        let age_secs = u64::try_from(at(NOW).duration_since(committed).as_secs()).unwrap();
        let why = match &verdict {
            Verdict::Stays(stays) => stays.words(&rules(), Some(age_secs)),
            Verdict::Goes(goes) => goes.words(&rules()),
        };
        let day = committed.strftime("%Y%m%d-020000").to_string();
        RetainedPoint {
            name: format!("orders-{day}"),
            set: "orders".into(),
            committed: Some(committed),
            age_secs: Some(age_secs),
            verdict,
            why,
            bytes,
            held_back: 0,
        }
    }

    fn points() -> Vec<RetainedPoint> {
        let stays = |committed: &str, why: Stays| point(committed, Verdict::Stays(why), None);
        let hold = Hold::Restore { namespace: "shop".into(), name: "copy".into(), since: None };
        vec![
            point("2026-11-01T02:00:41Z", Verdict::Goes(Goes::TooOld { age_secs: 29 * 86_400 }), Some(3_328_599_655)),
            stays("2026-11-16T02:00:39Z", Stays::Held { hold }),
            stays("2026-11-17T02:00:40Z", Stays::Behind { point: "orders-20261116-020000".into() }),
            stays("2026-11-29T02:00:40Z", Stays::AmongNewest { least: 3 }),
            stays("2026-11-30T02:00:38Z", Stays::Newest),
        ]
    }

    fn plan() -> RetentionPlan {
        let set = RetainedSet {
            set: "orders".into(),
            oldest: "orders-20261116-020000".into(),
            stored_bytes: 64 << 30,
            comes_back: 3_328_599_655,
            dead_segments: 25,
            rewritable_segments: 0,
            rewritable_bytes: 0,
            topics: 4,
            newest_record: Some(at("2026-10-25T00:00:00Z")),
            compacted: vec![Compacted { topic: "customers".into(), bytes: 12 << 30 }],
        };
        RetentionPlan {
            name: "orders".into(),
            namespace: Some("shop".into()),
            cluster_id: Some("8qTf".into()),
            now: at(NOW),
            rules: rules(),
            points: 5,
            may_go: 1,
            comes_back: 3_328_599_655,
            chains: vec![set],
            unfinished: Vec::new(),
            left: Vec::new(),
            holds: Vec::new(),
        }
    }

    #[test]
    fn every_point_says_why_it_stays_or_goes() {
        assert_eq!(
            retention(&plan(), &points(), &style(None)),
            "\
POINT                    COMMITTED              AGE      STAYS   WHY                                         BYTES
orders-20261101-020000   2026-11-01T02:00:41Z   29d      no      older than 14d                              3.1 GiB come back
orders-20261116-020000   2026-11-16T02:00:39Z   14d      yes     restore shop/copy has not ended (release)
orders-20261117-020000   2026-11-17T02:00:40Z   13d      yes     it follows a point that stays
orders-20261129-020000   2026-11-29T02:00:40Z   1d 22h   yes     younger than 14d, and one of the newest 3
orders-20261130-020000   2026-11-30T02:00:38Z   22h      yes     the newest
1 of 5 points may go; 3.1 GiB come back once their objects are deleted.
Records of 4 topics up to 2026-10-25T00:00:00Z go with the points of set orders: the source of point orders-20261116-020000 had them no more.
Topic customers is compacted: all of its 12.0 GiB stay in set orders; full backups give them back.
Ages are as of 2026-12-01T00:00:41Z, the newest time that the store tells.
Nothing was changed.
"
        );
    }

    #[test]
    fn narrow_terminals_keep_verdicts_reasons_and_bytes() {
        let text = retention(&plan(), &points(), &style(Some(80)));
        let first: Vec<&str> = text.lines().take(6).collect();
        assert!(first.iter().all(|line| line.len() <= 80), "{first:?}");
        for (line, word) in first.iter().zip(["WHY", "older than 14d", "restore shop", "it follows a", "younger than"])
        {
            assert!(line.contains(word) && !line.contains("02:00:"), "{word}: {line}");
        }
        assert!(first.get(1).is_some_and(|line| line.ends_with("3.1 GiB come back")), "{first:?}");
    }

    #[test]
    fn nothing_of_a_name_acts_on_a_terminal() {
        let mut points = points();
        for point in &mut points {
            point.name = "a\u{1b}[31m".into();
        }
        let plan = RetentionPlan { cluster_id: Some("c\u{1b}[2J".into()), ..plan() };
        assert!(!retention(&plan, &points, &style(None)).contains('\u{1b}'));
    }

    #[test]
    fn without_points_the_sentences_stand_alone() {
        let plan = RetentionPlan { points: 0, may_go: 0, comes_back: 0, chains: Vec::new(), ..plan() };
        assert!(retention(&plan, &[], &style(None)).starts_with("0 of 0 points may go.\n"));
    }
}
