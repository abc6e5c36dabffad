use contract::{BusySet, ObjectSum, PrunedPoint, RefusedObjects, RetentionRules};

use super::*;
use crate::decide::{End, Said};

fn moment() -> Moment {
    Moment::new(1, "2026-11-21T10:00:00Z".parse().unwrap())
}

fn done() -> PruneReport {
    PruneReport {
        namespace: None,
        cluster_id: None,
        rules: RetentionRules { least: 1, most: Some(1), max_age_secs: None, max_total_bytes: None },
        dry_run: false,
        inspected: 9,
        eligible: 2,
        removed: 2,
        removed_until: Some("2026-11-20T02:00:00Z".into()),
        given_up: 0,
        comes_back: 0,
        deleted: ObjectSum::default(),
        leftovers: ObjectSum::default(),
        ended_uploads: 0,
        waiting: ObjectSum { objects: 3, bytes: 3 << 20 },
        waits_until: Some("2026-11-22T10:00:00Z".parse().unwrap()),
        due: ObjectSum::default(),
        unknown: ObjectSum::default(),
        refused: Vec::new(),
        busy: Vec::new(),
        holds: Vec::new(),
        left: Vec::new(),
        points: vec![PrunedPoint {
            name: "o-20261120-020000".into(),
            fate: PointFate::Removed,
            why: String::new(),
            committed: None,
            bytes: None,
        }],
    }
}

/// A run that ended well and said this.
fn ended(report: Option<PruneReport>, attempt: u32) -> State {
    let said = Said { prune: report.map(Box::new), ..Said::default() };
    let verdict = Verdict {
        end: End::Completed(Box::new(said)),
        reason: "Completed".into(),
        message: "done".into(),
        wrote: Some(true),
    };
    State::Over(Box::new(RunClaim { attempt, ..RunClaim::default() }), Box::new(verdict))
}

fn told(state: &State) -> (RetentionStatus, Condition) {
    let old = RetentionStatus { error: Some("before".into()), ..RetentionStatus::default() };
    let (new, mut all) = retention(&old, &[], &Occasion::default(), state, moment());
    (new, all.remove(0))
}

#[test]
fn what_a_run_did_is_told_in_words() {
    let (new, condition) = told(&ended(Some(done()), 1));
    assert_eq!(
        condition.message,
        "2 of 9 recovery points were removed (o-20261120-020000); 3.0 MiB are deleted after 2026-11-22T10:00:00Z"
    );
    assert_eq!((condition.status.as_str(), new.error.as_deref()), ("True", None));
    assert_eq!(new.next_time.as_deref(), Some("2026-11-22T10:05:00Z"), "after the grace period it runs again");
    let busy = PruneReport {
        removed: 0,
        busy: vec![BusySet { set: "o".into(), run: "o-1".into() }],
        refused: vec![RefusedObjects {
            why: "a lock".into(),
            example: "x".into(),
            sum: ObjectSum { objects: 4, bytes: 1 },
        }],
        points: Vec::new(),
        waits_until: None,
        ..done()
    };
    let (new, condition) = told(&ended(Some(busy), 1));
    assert_eq!(condition.reason, "RetentionWaits");
    assert_eq!(
        condition.message,
        "0 of 9 recovery points were removed; 4 objects were not deleted, x for example: a lock; nothing of set o could be \
         removed: run o-1 writes to it"
    );
    assert_eq!(new.next_time.as_deref(), Some("2026-11-21T11:00:00Z"));
    let dry = PruneReport { dry_run: true, removed: 0, points: Vec::new(), waits_until: None, ..done() };
    let (new, condition) = told(&ended(Some(dry), 1));
    assert_eq!(condition.message, "dry run: 2 of 9 recovery points would be removed; nothing was changed");
    assert_eq!((new.dry_run, new.next_time), (Some(true), None));
}

#[test]
fn a_time_that_is_over_is_no_reason_to_begin_at_once() {
    let over = PruneReport { waits_until: Some("2026-11-01T10:00:00Z".parse().unwrap()), ..done() };
    assert_eq!(told(&ended(Some(over), 1)).0.next_time.as_deref(), Some("2026-11-21T11:00:00Z"));
}

#[test]
fn a_report_without_retention_is_no_success() {
    let (new, condition) = told(&ended(None, 1));
    assert_eq!((condition.status.as_str(), condition.reason.as_str()), ("False", "RetentionFailed"));
    assert!(new.error.unwrap().contains("image"), "an older runner");
    assert_eq!(new.last_time, None);
}

#[test]
fn points_that_may_be_gone_are_forgotten() {
    let line = |day: u32| PointLine {
        name: format!("o-202611{day}-020000"),
        at: format!("2026-11-{day}T02:00:00Z"),
        topics: 1,
        partitions: 1,
        records: 1,
        bytes: 1,
        newest: None,
        held_back: 0,
        before: None,
        cluster_id: None,
    };
    let left = |state: &State| {
        let mut points: Vec<PointLine> = [19, 20, 21].map(line).into();
        forget_removed(&mut points, state);
        points.len()
    };
    assert_eq!(left(&ended(Some(done()), 1)), 1);
    assert_eq!(left(&ended(Some(PruneReport { removed: 0, ..done() }), 1)), 3);
    assert_eq!(left(&ended(Some(PruneReport { dry_run: true, ..done() }), 2)), 3);
    assert_eq!(left(&ended(Some(done()), 2)), 0, "an attempt before may have removed others");
    let State::Over(claim, mut verdict) = ended(None, 1) else { unreachable!() };
    verdict.end = End::Failed(None);
    assert_eq!(left(&State::Over(claim.clone(), verdict.clone())), 0);
    verdict.wrote = Some(false);
    assert_eq!(left(&State::Over(claim, verdict)), 3, "it never began");
    assert_eq!(left(&State::Waiting), 3);
}
