#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use contract::retention::{Goes, Stays};

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn owner(cluster: &str) -> Owner {
    Owner { namespace: "shop".into(), name: "orders".into(), cluster_id: cluster.into() }
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
        now: at("2026-12-01T00:00:12.5Z"),
        rules: RetentionRules::keeping(Some(3), Some(14 * 86_400), None).unwrap(),
        points: 31,
        may_go: 1,
        comes_back: 3_328_599_655,
        chains: vec![set],
        unfinished: Vec::new(),
        left: ["orders-20260101-000000", "orders-20260102-000000"]
            .map(|set| LeftAlone { set: set.into(), owner: Some(owner("kRx2")), why: "it belongs to another".into() })
            .into(),
        holds: Vec::new(),
    }
}

#[test]
fn a_plan_is_told_in_sentences() {
    assert_eq!(
        plan().sentences(),
        [
            "1 of 31 points may go; 3.1 GiB come back once their objects are deleted.",
            "Records of 4 topics up to 2026-10-25T00:00:00Z go with the points of set orders: the source of point \
             orders-20261116-020000 had them no more.",
            "Topic customers is compacted: all of its 12.0 GiB stay in set orders; full backups give them back.",
            "Left alone: 2 sets of \"orders\" in namespace \"shop\" on cluster kRx2 (this plan is about source cluster \
             8qTf).",
            "Ages are as of 2026-12-01T00:00:13Z, the newest time that the store tells.",
            "Nothing was changed.",
        ]
    );
}

#[test]
fn what_is_not_there_is_not_told() {
    let none = RetentionPlan { may_go: 0, comes_back: 0, chains: Vec::new(), left: Vec::new(), ..plan() };
    assert_eq!(none.sentences().len(), 3, "{:?}", none.sentences());
    assert_eq!(none.sentences()[0], "0 of 31 points may go.");
}

#[test]
fn sets_that_are_left_and_runs_that_never_ended_are_named() {
    let mut plan = RetentionPlan { chains: Vec::new(), ..plan() };
    plan.left = vec![
        LeftAlone { set: "orders-eu".into(), owner: None, why: "it cannot be read: entry 3 is damaged.".into() },
        LeftAlone { set: "orders".into(), owner: Some(owner("8qTf")), why: String::new() },
    ];
    plan.unfinished = vec![
        Unfinished { set: "orders-20261101-000000".into(), bytes: 1 << 20, goes: true },
        Unfinished { set: "orders-20261130-000000".into(), bytes: 1 << 20, goes: false },
    ];
    let said = plan.sentences();
    for line in [
        "Full backup orders-20261101-000000 was never finished: its 1.0 MiB may go, too.",
        "Full backup orders-20261130-000000 is not finished: it stays, and so do its 1.0 MiB.",
        "Left alone: 1 set of \"orders\" in namespace \"shop\" on cluster 8qTf.",
        "Left alone: set orders-eu: it cannot be read: entry 3 is damaged.",
    ] {
        assert!(said.iter().any(|said| said == line), "{line}: {said:?}");
    }
}

#[test]
fn many_compacted_topics_are_one_sentence() {
    let mut plan = plan();
    plan.chains[0].compacted =
        ["a", "b", "c", "d"].map(|topic| Compacted { topic: topic.into(), bytes: 1 << 30 }).into();
    plan.chains[0].rewritable_segments = 2;
    plan.chains[0].rewritable_bytes = 5 << 20;
    let said = plan.sentences();
    assert!(said[3].starts_with("4 compacted topics (a, b, c, ...): all of their 4.0 GiB stay"), "{said:?}");
    assert!(said[2].starts_with("2 segments of set orders are needed by less than a third: 5.0 MiB more"), "{said:?}");
}

#[test]
fn a_point_says_what_it_lacks_and_what_it_gives_back() {
    let point = RetainedPoint {
        name: "orders-20261101-020000".into(),
        set: "orders".into(),
        committed: None,
        age_secs: None,
        verdict: Verdict::Stays(Stays::Newest),
        why: "the newest".into(),
        bytes: None,
        held_back: 0,
    };
    assert_eq!((point.remark(), point.gain()), ("the newest".to_owned(), String::new()));
    let lacks = RetainedPoint { held_back: 3, ..point.clone() };
    assert_eq!(lacks.remark(), "the newest (incomplete: 3 partitions held back)");
    let goes = RetainedPoint { verdict: Verdict::Goes(Goes::TooOld { age_secs: 9 }), ..point };
    assert_eq!(goes.gain(), "with a later one");
    assert_eq!(RetainedPoint { bytes: Some(1 << 20), ..goes }.gain(), "1.0 MiB come back");
}

#[test]
fn answers_keep_their_form() {
    let answers = [
        crate::Answer::Retention(Box::new(plan())),
        crate::Answer::Retained(RetainedPoint {
            name: "orders-20261101-020000".into(),
            set: "orders".into(),
            committed: Some(at("2026-11-01T02:00:41Z")),
            age_secs: Some(9),
            verdict: Verdict::Stays(Stays::Held {
                hold: Hold::Restore { namespace: "shop".into(), name: "copy".into(), since: None },
            }),
            why: "restore shop/copy has not ended (release)".into(),
            bytes: None,
            held_back: 0,
        }),
    ];
    for answer in answers {
        let text = serde_json::to_string(&answer).unwrap();
        assert_eq!(serde_json::from_str::<crate::Answer>(&text).unwrap(), answer, "{text}");
    }
}
