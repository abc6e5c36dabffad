//! Every screen as it looks on terminals of two widths, with colours and without, and in a pipe.
//!
//! `screens/NAME.txt` holds what is expected, with escapes written as `^[`; `UPDATE_SCREENS=1 cargo test --test screens`
//! writes the files anew. The archive is the sample of format 1.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use inspect::{
    Answer, Batches, Group, GroupNow, LiveHead, LivePartition, LiveState, LiveTopic, Offset, OffsetNow, Peek,
    PointDetail, PointGroups, Problem, Question, Record, SourceNow, TopicDetail, Verified,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use plugin::screen::{Colour, Screen, Style, Times};
use plugin::show;
use plugin::source::{Direct, Source};
use plugin::view::coverage::Coverage;
use plugin::view::difference::Difference;
use plugin::view::groups::{Live, Positions};
use plugin::view::listing::{Backup, Listing};
use plugin::view::live::LiveDifference;
use plugin::view::others::OtherLine;
use plugin::view::status::{BackupLine, Health, RestoreLine, Status};
use plugin::view::ticks::Tick;
use plugin::view::validations::ValidationLine;

const POINT: &str = "sample-20261121-155803";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Compares a screen, drawn in each style, with its file.
fn check(name: &str, draw: impl Fn(&Style) -> String) {
    let mut drawn = String::new();
    for (title, width, colour) in [
        ("terminal, 100 columns, colours", Some(100), true),
        ("terminal, 100 columns, NO_COLOR", Some(100), false),
        ("terminal, 60 columns, NO_COLOR", Some(60), false),
        ("pipe", None, false),
    ] {
        let (times, zone) = (Times::Utc, TimeZone::UTC);
        let style = Style { width, colour, times, zone, now: time("2026-11-22T12:00:00Z"), titles: true };
        let text = draw(&style);
        assert!(colour || !text.contains('\u{1b}'), "{name}, {title}: colours that nobody wants");
        writeln!(drawn, "--- {title}\n{}", text.replace('\u{1b}', "^[")).unwrap();
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/screens/{name}.txt"));
    if std::env::var_os("UPDATE_SCREENS").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_else(|_| String::new());
    assert!(drawn == expected, "{} expects:\n{expected}\nbut it is drawn as:\n{drawn}", file.display());
}

/// All answers to a question about the sample.
fn ask(question: Question) -> Vec<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let sample = format!("{}/../tests/fixtures/format/v1/archive", env!("CARGO_MANIFEST_DIR"));
        let source = Source::Direct(
            Direct::open(&sample, None, &Screen::new(Colour::Never, Times::Utc, true, true)).await.unwrap(),
        );
        let mut answers = source.ask(question);
        let mut all = Vec::new();
        while let Some(answer) = answers.next().await.unwrap() {
            all.push(answer);
        }
        all
    })
}

fn backups() -> Vec<Backup> {
    let mut listing = Listing::default();
    for answer in ask(Question::Points { name: None, since: None }) {
        listing.take(answer);
    }
    listing.finish()
}

fn detail() -> PointDetail {
    let answers = ask(Question::Point { name: POINT.into() }).into_iter();
    let mut details =
        answers.filter_map(|answer| if let Answer::Detail(detail) = answer { Some(*detail) } else { None });
    details.next().unwrap()
}

fn records(topic: &str) -> Vec<Record> {
    let (name, topic) = (POINT.to_owned(), topic.to_owned());
    let peek = Peek { name, topic, partition: None, offset: None, at: None, key: None, limit: 6 };
    let answers = ask(Question::Peek(peek)).into_iter();
    answers.filter_map(|answer| if let Answer::Record(record) = answer { Some(record) } else { None }).collect()
}

#[test]
fn points() {
    let backups = backups();
    check("points", |style| show::points::points(&backups, false, style));
    check("points-wide", |style| show::points::points(&backups, true, style));
}

#[test]
fn a_point_a_topic_and_groups() {
    let detail = detail();
    check("point", |style| show::detail::point(&detail, style));
    let topic = detail.topics.iter().find(|topic| topic.name == "transactions").unwrap();
    check("topic", |style| show::detail::topic(&detail, topic, None, style));
    check("groups", |style| show::detail::groups(&groups(), style));
}

/// Two groups of a point: one of which a partition is not in the point, and one with a long name.
fn groups() -> Vec<Group> {
    let offset = |partition, offset, end: Option<i64>| Offset {
        topic: "orders".into(),
        partition,
        offset,
        end,
        log_end: end.map(|end| end + 2),
        topic_id: end.map(|_| "id".into()),
        no_holes_from: end.map(|_| 0),
    };
    let group = |group: &str, kind: &str, offsets| Group {
        group: group.into(),
        kind: kind.into(),
        state: "Empty".into(),
        offsets,
        missing: None,
    };
    vec![
        group("billing", "classic", vec![offset(0, 41_201, Some(41_300)), offset(1, 7, None)]),
        group("a-group-with-a-name-that-is-longer-than-a-column", "share", vec![offset(0, 0, Some(0))]),
    ]
}

#[test]
fn groups_of_a_point_and_of_now() {
    let head = PointGroups {
        name: "nightly-20261122-020000".into(),
        at: "2026-11-22T02:00:00Z".into(),
        cluster_id: "c".into(),
        has_groups: true,
    };
    let alone = Positions::of(head.clone(), groups(), None);
    check("group-positions", |style| show::groups::groups(&alone, style));
    let now = |group: &str, offsets: &[(i32, i64)]| GroupNow {
        group: group.into(),
        kind: "classic".into(),
        state: "Stable".into(),
        offsets: offsets
            .iter()
            .map(|(partition, offset)| OffsetNow {
                topic: "orders".into(),
                topic_id: Some("id".into()),
                partition: *partition,
                offset: *offset,
            })
            .collect(),
        unknown: None,
    };
    let source =
        SourceNow { cluster_id: "c".into(), sees_all: Some(true), unanswered: vec!["broker 2: silent".into()] };
    let groups_now = vec![now("billing", &[(0, 41_250), (1, 19), (2, 4)]), now("new-one", &[])];
    let beside = Positions::of(head, groups(), Some(Live { source, groups: groups_now }));
    check("group-positions-live", |style| show::groups::groups(&beside, style));
}

/// The sample's point, and what it would have been a day before.
#[test]
fn two_points_side_by_side() {
    let after = detail();
    let mut before =
        PointDetail { name: "sample-20261120-155803".into(), at: "2026-11-20T15:58:03Z".into(), ..after.clone() };
    let gone = TopicDetail { name: "returns".into(), id: "gone".into(), ..before.topics[0].clone() };
    before.topics.remove(0);
    before.topics.push(gone);
    let part = &mut before.topics[0].partitions[0];
    (part.next, part.records) = (part.next + 40, part.records + 40);
    let part = &mut before.topics[1].partitions[0];
    (part.next, part.records) = (part.next - 2, part.records - 2);
    before.topics[2].configs.insert("retention.ms".into(), "604800000".into());
    let found = Difference::of(&after, &before);
    check("difference", |style| show::difference::difference(&found, false, style));
    check("difference-wide", |style| show::difference::difference(&found, true, style));
    let same = Difference::of(&after, &after);
    check("difference-none", |style| show::difference::difference(&same, false, style));
}

#[test]
fn a_point_beside_its_source() {
    let head = LiveHead {
        name: "nightly-20261122-020000".into(),
        at: "2026-11-22T02:00:00Z".into(),
        cluster_id: "c".into(),
        new_topics: vec!["refunds".into()],
    };
    let batches = |batches, records| Batches { batches, records, first: Some(17) };
    let part = |number| LivePartition {
        partition: number,
        next: 41_300,
        start: Some(17),
        end: Some(41_420),
        same: batches(812, 41_200),
        ..LivePartition::default()
    };
    let topic = |name: &str, state, partitions| LiveTopic {
        name: name.into(),
        state,
        replication: None,
        configs: BTreeMap::new(),
        configs_unknown: None,
        partitions,
        new_partitions: 0,
    };
    let lost = LivePartition { missing: batches(3, 77), end: Some(41_100), ..part(1) };
    let changed = LiveTopic {
        replication: Some((3, 2)),
        configs: BTreeMap::from([("retention.ms".into(), (Some("604800000".into()), None))]),
        new_partitions: 2,
        ..topic("customers", LiveState::Same, vec![LivePartition { compacted: batches(40, 900), ..part(0) }])
    };
    let well =
        vec![changed, topic("orders", LiveState::Same, vec![LivePartition { expired: batches(9, 420), ..part(0) }])];
    let bad = vec![
        topic("orders", LiveState::Same, vec![part(0), lost]),
        topic("payments", LiveState::Recreated, vec![LivePartition { end: None, same: Batches::default(), ..part(0) }]),
    ];
    let well = LiveDifference::of(head.clone(), well);
    check("live", |style| show::live::live(&well, false, style));
    let bad = LiveDifference::of(LiveHead { new_topics: Vec::new(), ..head }, bad);
    check("live-contradicts", |style| show::live::live(&bad, false, style));
}

#[test]
fn a_timeline_and_a_moment() {
    let coverages: Vec<_> = backups().into_iter().map(|backup| Coverage::of(backup, None)).collect();
    check("timeline", |style| show::timeline::timeline(&coverages, time("2026-11-20T00:00:00Z"), style));
    let moment = coverages[0].recall(time("2026-11-21T15:57:55Z")).unwrap();
    check("moment", |style| show::timeline::recall(&moment, style));
}

#[test]
fn looked_at_records() {
    for topic in ["nulls", "headers"] {
        let records = records(topic);
        assert_eq!(records.len(), 6);
        let lines = |style: &Style| -> String {
            records.iter().map(|record| show::records::line(record, true, style)).collect()
        };
        check(&format!("records-{topic}"), |style| show::records::titles(style) + &lines(style));
    }
    let record = records("headers").remove(0);
    check("record-hex", |style| show::records::hex(&record, style));
}

#[test]
fn verdicts() {
    let name = POINT.to_owned();
    let problems =
        vec![Problem { key: "sample/segments/00000000000000000001-0.seg".into(), what: "is missing".into() }];
    let whole = Verified {
        name,
        segments: 2,
        bytes: 48_128,
        batches: 70,
        records: 1_003,
        problems: Vec::new(),
        notes: Vec::new(),
    };
    let damaged = Verified { problems, ..whole.clone() };
    check("verified", |style| show::verified::verified(&whole, inspect::Depth::Decode, style));
    check("damaged", |style| show::verified::verified(&damaged, inspect::Depth::Checksum, style));
}

#[test]
fn coming_ticks() {
    let tick = |at: &str, shown: &str, note: Option<&str>| Tick {
        at: time(at),
        shown: shown.into(),
        note: note.map(str::to_owned),
    };
    let ticks = [
        tick("2027-03-27T01:15:00Z", "Sat 2027-03-27 02:15:00 CET", None),
        tick("2027-03-28T01:00:00Z", "Sun 2027-03-28 03:00:00 CEST", Some("clocks went forward 60 min, Sun 03:00")),
    ];
    check("ticks", |style| show::ticks::ticks("'15 2 * * *'   Europe/Berlin", &ticks, style));
}

#[test]
fn protection() {
    let backup = |name: &str, health, problem: Option<&str>, hint: Option<&str>| BackupLine {
        namespace: "shop".into(),
        name: name.into(),
        health,
        point: Some(format!("{name}-20261122-020000")),
        newest: Some(time("2026-11-22T02:00:00Z")),
        exposed_seconds: Some(36_000),
        next: Some(time("2026-11-23T02:00:00Z")),
        every_seconds: Some(86_400),
        continuous: name == "audit",
        records: (name == "audit").then_some(1_200_000),
        bytes: (name == "audit").then_some(3 << 30),
        bytes_per_sec: (name == "audit").then_some(2.0e8),
        problem: problem.map(str::to_owned),
        hint: hint.map(str::to_owned),
    };
    let restore = |name: &str, health, problem: Option<&str>| RestoreLine {
        namespace: "shop".into(),
        name: name.into(),
        health,
        dry_run: false,
        percent: Some(62.4),
        records: Some(7_440),
        topic: Some("orders".into()),
        left_seconds: Some(100),
        ended: None,
        problem: problem.map(str::to_owned),
        hint: None,
    };
    let refused = "RunFailed: KB2001: no broker could be reached: kafka-bootstrap.kafka.svc:9092, connection refused";
    let status = Status {
        operator: None,
        others: vec![OtherLine {
            kind: "kafkaoffsetreset.kafka.oso.sh".into(),
            namespace: "shop".into(),
            name: "replay".into(),
            health: Health::Failed,
            ended: None,
            problem: Some("RunFailed: KB2001: no broker could be reached".into()),
            hint: Some("kubectl describe kafkaoffsetreset.kafka.oso.sh replay -n shop".into()),
        }],
        backups: vec![
            backup("audit", Health::Running, None, None),
            backup("late", Health::Late, Some("no recovery point since 2026-11-20"), None),
            backup("nightly", Health::Ok, None, None),
            backup("paused", Health::Paused, None, None),
            backup("payments", Health::Failed, Some(refused), Some("kubectl kafka-backup explain KB2001")),
            backup("queued", Health::Waiting, Some("NoCapacity: 5 runs are going on"), None),
        ],
        restores: vec![
            restore("back", Health::Running, None),
            restore("again", Health::Failed, Some("KB5001: `orders` holds records")),
        ],
        validations: Vec::new(),
    };
    check("status", |style| show::status::status(&status, false, style));
    check("status-everywhere", |style| show::status::status(&status, true, style));
}

/// What resources and runs say of themselves is text of somebody else.
#[test]
fn statuses_with_escapes_act_on_nothing() {
    let evil = |text: &str| format!("{text}\u{1b}[2J\u{1b}[32m\u{202e}\u{9b}1A\r\nhint: EVIL");
    let backup = BackupLine {
        namespace: evil("shop"),
        name: evil("a"),
        health: Health::Failed,
        point: Some(evil("a-20261122-020000")),
        newest: None,
        exposed_seconds: None,
        next: None,
        every_seconds: None,
        continuous: true,
        records: Some(1),
        bytes: Some(1),
        bytes_per_sec: None,
        problem: Some(evil("refused")),
        hint: Some(evil("next")),
    };
    let restore = RestoreLine {
        namespace: evil("shop"),
        name: evil("a"),
        health: Health::Running,
        dry_run: false,
        percent: Some(62.4),
        records: Some(7_440),
        topic: Some(evil("orders")),
        left_seconds: Some(100),
        ended: None,
        problem: Some(evil("refused")),
        hint: Some(evil("next")),
    };
    let validation = ValidationLine {
        namespace: evil("shop"),
        name: evil("weekly"),
        health: Health::Failed,
        result: Some(evil("Fail")),
        point: Some(evil("a-20261122-020000")),
        ended: None,
        next: None,
        problem: Some(evil("refused")),
        hint: Some(evil("next")),
    };
    let (backups, restores, validations) = (vec![backup], vec![restore], vec![validation]);
    let other = OtherLine {
        kind: evil("kafkaoffsetreset"),
        namespace: evil("shop"),
        name: evil("replay"),
        health: Health::Failed,
        ended: None,
        problem: Some(evil("refused")),
        hint: Some(evil("next")),
    };
    let status = Status { operator: Some(evil("away")), backups, restores, validations, others: vec![other] };
    for colour in [false, true] {
        let (times, zone) = (Times::Utc, TimeZone::UTC);
        let now = time("2026-11-22T12:00:00Z");
        let style = Style { width: Some(100), colour, times, zone, now, titles: true };
        let text = show::status::status(&status, true, &style);
        assert!(!text.contains("\u{1b}[32m\u{202e}") && !text.contains("\u{1b}[32m\\u{202e}"), "{text:?}");
        assert!(!text.contains("\nhint: EVIL"), "{text}");
        let acts = text.chars().find(|letter| !matches!(letter, '\n' | '\u{1b}') && contract::words::acts(*letter));
        assert_eq!(acts, None, "{text:?}");
        assert!(colour || !text.contains('\u{1b}'), "{text:?}");
    }
}
