//! What is away never holds up the rest: a run whose source tells only a part makes its point, and says what it lacks.

use contract::{ExitCode, Report};
use sim::script::{Action, At, Mode, Script, Settings};
use sim::world::probe;

/// What a run of a set says under a fault that begins after the first run; `late` is a topic that came after that.
fn under(mode: Mode, topic: &str, fault: &Action) -> (Report, ExitCode) {
    let named = |name: &str| name.to_owned();
    let before = vec![Action::Create(named("early"), 1, 1), Action::Produce(named("early"), 0, 2, 5, 100)];
    let later = [
        Action::Create(named("late"), 2, 1),
        Action::Produce(named("late"), 0, 2, 5, 100),
        Action::Produce(named("early"), 0, 2, 5, 100),
    ];
    let actions = later.into_iter().map(|what| At { ms: 0, what }).collect();
    let settings = Settings { mode, deadline_ms: 20_000, ..Settings::default() };
    let probe = probe(&Script { before, actions, settings, ..Script::default() }, fault);
    assert_eq!(probe.violations, Vec::<String>::new());
    let after = probe.after.and_then(|ended| ended.said).expect("the next run ends");
    assert_eq!((after.0.outcome.as_str(), after.1), ("Completed", ExitCode::Done), "{:?}", after.0.failure);
    let said = probe.under.and_then(|ended| ended.said).expect("the run ends");
    println!("{mode:?} {topic}: {:?}", said.0.warnings);
    said
}

/// `LEADER_NOT_AVAILABLE`: brokers tell it of topics whose partitions they do not know yet.
const AWAY: i16 = 5;

#[test]
fn a_topic_that_no_broker_describes_keeps_nobody_from_the_others() {
    for mode in [Mode::Incremental, Mode::Full] {
        for topic in ["early", "late"] {
            let (report, exit) = under(mode, topic, &Action::Undescribe(topic.to_owned(), AWAY));
            assert_eq!((report.outcome.as_str(), exit), ("CompletedWithGaps", ExitCode::Done), "{:?}", report.failure);
            assert!(report.point.is_some());
            assert!(report.records > 0, "the other topic is read");
            let member = report.members.iter().find(|member| member.topic == topic).expect("it is named");
            assert!(member.change.is_missing(), "{member:?}");
            assert_eq!(report.held_back.len(), 1, "{:?}", report.held_back);
            assert_eq!(report.held_back[0]["topic"], topic);
            assert_eq!(report.held_back[0]["reason"], "unavailable");
            assert!(report.warnings.iter().any(|warning| warning.contains(topic)), "{:?}", report.warnings);
        }
    }
}

/// The request for configs, and the refusal of it.
const DESCRIBE_CONFIGS: i16 = 32;
const FORBIDDEN: i16 = 29;

#[test]
fn refused_configs_keep_no_records_back() {
    for mode in [Mode::Incremental, Mode::Full] {
        let (report, exit) = under(mode, "early", &Action::Code(DESCRIBE_CONFIGS, FORBIDDEN, None));
        assert_eq!((report.outcome.as_str(), exit), ("Completed", ExitCode::Done), "{:?}", report.failure);
        assert!(report.records > 0);
        let text = "configs of topic early and of 1 more topics are not in the archive";
        assert!(report.warnings.iter().any(|warning| warning.contains(text)), "{:?}", report.warnings);
    }
}

/// Brokers of Kafka 4 then name a last stable offset below the log's start.
#[test]
fn records_of_an_open_transaction_are_deleted() {
    let topic = || "orders".to_owned();
    let before = vec![
        Action::Create(topic(), 1, 1),
        Action::Produce(topic(), 0, 1, 4, 100),
        Action::Begin(1, topic(), vec![0], 6, 100),
        Action::Produce(topic(), 0, 2, 4, 100),
    ];
    for mode in [Mode::Incremental, Mode::Full] {
        for to in [6, 10, 12] {
            let settings = Settings { mode, transaction_wait: 1, ..Settings::default() };
            let script = Script { before: before.clone(), settings, ..Script::default() };
            let probe = probe(&script, &Action::Erase(topic(), 0, to));
            assert_eq!(probe.violations, Vec::<String>::new(), "{mode:?} {to}");
            let (report, exit) = probe.under.and_then(|ended| ended.said).expect("the run ends");
            println!(
                "{mode:?} {to}: {} {:?} {:?} {:?}",
                report.outcome, report.held_back, report.gaps, report.warnings
            );
            assert_eq!(exit, ExitCode::Done, "{:?}", report.failure);
        }
    }
}

/// A throttled answer names no partition: that is an answer all the same, however long the silence lasts.
#[test]
fn a_quota_changes_no_content() {
    let named = |name: &str| name.to_owned();
    let before = vec![Action::Create(named("early"), 2, 1), Action::Produce(named("early"), 0, 1, 5, 100)];
    let more = [Action::Produce(named("early"), 0, 20, 5, 10_000), Action::Produce(named("early"), 1, 20, 5, 10_000)];
    let actions: Vec<_> = more.into_iter().map(|what| At { ms: 0, what }).collect();
    for mode in [Mode::Incremental, Mode::Full] {
        let settings = Settings { mode, deadline_ms: 8_000, ..Settings::default() };
        let script = Script { before: before.clone(), actions: actions.clone(), settings, ..Script::default() };
        // Two megabytes in twenty seconds: each silence is longer than the deadline.
        let probe = probe(&script, &Action::Quota(100_000));
        let (report, exit) = probe.under.and_then(|ended| ended.said).expect("the run ends");
        assert_eq!((report.outcome.as_str(), exit), ("Completed", ExitCode::Done), "{:?}", report.failure);
        assert!(report.records >= 200, "{}", report.records);
        assert_eq!(probe.violations, Vec::<String>::new());
    }
}

/// The same source under twenty rates, quotas, delays and limits: no one of them decides which records a point holds.
#[test]
fn no_rate_quota_or_delay_decides_what_a_point_holds() {
    let topic = || "orders".to_owned();
    let mut before = vec![Action::Create(topic(), 6, 1)];
    before.extend((0..6).map(|partition| Action::Produce(topic(), partition, 6, 10, 2_000)));
    before.push(Action::Begin(1, topic(), vec![0, 2, 4], 3, 500));
    before.extend((0..6).map(|partition| Action::Produce(topic(), partition, 6, 10, 2_000)));
    before.push(Action::Compact(topic(), 1, 80, 50));
    let settings = || Settings { mode: Mode::Full, transaction_wait: 3, deadline_ms: 60_000, ..Settings::default() };
    let mut ways = vec![(settings(), Action::Slow(0))];
    for bytes_per_sec in [30_000, 60_000, 120_000, 400_000, 2_000_000] {
        ways.push((Settings { bytes_per_sec, ..settings() }, Action::Slow(0)));
    }
    ways.extend([40_000, 80_000, 160_000, 500_000, 5_000_000].map(|quota| (settings(), Action::Quota(quota))));
    ways.extend([5, 40, 200, 900].map(|delay| (settings(), Action::Slow(delay))));
    ways.extend([3_000, 9_000].map(|silence| (settings(), Action::Empty(silence))));
    for (connections, concurrent) in [(1, 1), (4, 2), (1, 6)] {
        ways.push((Settings { connections, concurrent, bytes_per_sec: 150_000, ..settings() }, Action::Slow(20)));
    }
    assert_eq!(ways.len(), 20);
    let mut first = None;
    for (settings, way) in ways {
        let script = Script { before: before.clone(), settings: settings.clone(), ..Script::default() };
        let probe = probe(&script, &way);
        assert_eq!(probe.violations, Vec::<String>::new(), "{way:?}");
        let (report, exit) = probe.under.and_then(|ended| ended.said).expect("the run ends");
        assert_eq!(exit, ExitCode::Done, "{way:?}: {:?}", report.failure);
        let mut held: Vec<_> =
            report.held_back.iter().map(|held| (held["partition"].clone(), held["from"].clone())).collect();
        held.sort_by_key(|(partition, _)| partition.as_i64());
        assert_eq!(held.len(), 3, "{way:?}: {held:?}");
        let holds = (report.outcome, report.records, held);
        assert_eq!(first.get_or_insert_with(|| holds.clone()), &holds, "{way:?} {settings:?}");
    }
}
