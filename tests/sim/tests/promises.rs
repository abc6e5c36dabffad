//! What a recovery point promises: all of what its run was to read, or the name of what it lacks. Each of these sequences once
//! made a point that said `Completed` and lacked records, or held up what nothing was wrong with.

use contract::{ExitCode, Report};
use sim::script::{Action, At, Mode, Script, Settings};
use sim::world::{Outcome, probe, simulate};

fn named(name: &str) -> String {
    name.to_owned()
}

fn at(ms: u64, what: Action) -> At {
    At { ms, what }
}

/// So many batches of ten records of a thousand bytes.
fn fill(topic: &str, batches: u32) -> Action {
    Action::Produce(named(topic), 0, batches, 10, 1000)
}

fn held(script: &Script) -> Outcome {
    let outcome = simulate(script);
    if std::env::var_os("TRACE").is_some() {
        println!("{script}\n{}", outcome.trace);
    }
    assert_eq!(outcome.violations, Vec::<String>::new(), "{:#?}", outcome.attempts);
    outcome
}

/// Three runs of a set: the second one reads `big` for ten seconds, and dies meanwhile.
fn second_run_dies(meanwhile: Vec<At>) -> Script {
    let before = vec![Action::Create(named("t"), 1, 1), Action::Create(named("big"), 1, 1), fill("t", 10)];
    let mut actions = vec![at(2_000, fill("t", 90)), at(2_000, fill("big", 200)), at(9_000, Action::Kill)];
    actions.extend(meanwhile);
    actions.sort_by_key(|at| at.ms);
    let settings = Settings { runs: 3, bytes_per_sec: 200_000, ..Settings::default() };
    Script { before, actions, settings, ..Script::default() }
}

#[test]
fn a_later_attempt_reads_what_the_first_could_not_see() {
    let script = second_run_dies(vec![
        at(2_000, Action::Forbid(named("t"), true)),
        at(9_500, Action::Forbid(named("t"), false)),
        // The second run is the one that is looked at.
        at(60_000, Action::Commit(named("g"), named("t"), 0)),
    ]);
    let outcome = held(&script);
    assert!(outcome.attempts.iter().any(|line| line.ends_with("killed")), "{:#?}", outcome.attempts);
    assert!(outcome.reports.iter().all(|report| report.outcome == "Completed"), "{:#?}", outcome.attempts);
    // The first run, the attempt after the dead one, and the last run, which finds nothing left of `t`.
    assert_eq!(outcome.reports.len(), 3, "{:#?}", outcome.attempts);
    assert!(outcome.reports[1].records >= 900, "{:?}", outcome.reports[1]);
    assert_eq!(outcome.reports[2].records, 0, "{:?}", outcome.reports[2]);
}

#[test]
fn what_a_dead_attempt_had_promised_of_a_lost_topic_is_a_gap() {
    for again in [true, false] {
        let mut meanwhile = vec![at(9_500, Action::Delete(named("t")))];
        if again {
            meanwhile.push(at(9_510, Action::Create(named("t"), 1, 1)));
            meanwhile.push(at(9_520, fill("t", 1)));
        }
        meanwhile.push(at(60_000, Action::Commit(named("g"), named("big"), 0)));
        let mut script = second_run_dies(meanwhile);
        // `t` takes long, too.
        script.actions.insert(0, at(1_900, fill("t", 300)));
        let outcome = held(&script);
        let second = &outcome.reports[1];
        assert_eq!(second.outcome, "CompletedWithGaps", "{again}: {second:?}");
        let reason = if again { "topic-recreated" } else { "topic-deleted" };
        assert!(second.gaps.iter().any(|gap| gap["reason"] == reason && gap["name"] == "t"), "{:?}", second.gaps);
    }
}

/// Two partitions of a topic have so much that each answer is full of them; another topic has little.
#[test]
fn nobody_starves_beside_full_answers() {
    for mode in [Mode::Full, Mode::Incremental] {
        let mut before =
            vec![Action::Create(named("a"), 2, 1), Action::Create(named("b"), 1, 1), Action::Create(named("c"), 1, 1)];
        before.extend((0..2).map(|partition| Action::Produce(named("a"), partition, 200, 10, 1000)));
        before.extend([fill("b", 8), fill("c", 8)]);
        let settings = Settings {
            mode,
            runs: 1,
            connections: 1,
            bytes_per_sec: 300_000,
            deadline_ms: 3_000,
            ..Settings::default()
        };
        let outcome = held(&Script { before, settings, ..Script::default() });
        let [report] = &outcome.reports[..] else { panic!("{:#?}", outcome.attempts) };
        assert_eq!((report.outcome.as_str(), report.records), ("Completed", 4_160), "{report:?}");
        assert_eq!(report.warnings, Vec::<String>::new(), "{mode:?}");
        let fetched: u64 = outcome.trace.lines().filter_map(fetched).sum();
        assert!(fetched < report.bytes * 11 / 10, "{mode:?}: {fetched} bytes came for {} that were read", report.bytes);
    }
}

/// Bytes of an answer to Fetch, by its line of the trace.
fn fetched(line: &str) -> Option<u64> {
    line.split_once(" answers 1: ")?.1.split(' ').next()?.parse().ok()
}

/// A continuous run makes whole points while there is always more to read elsewhere.
#[test]
fn a_point_lacks_nobody_who_can_be_read() {
    let mut before = vec![Action::Create(named("a"), 2, 1), Action::Create(named("b"), 1, 1), fill("b", 2)];
    before.extend((0..2).map(|partition| Action::Produce(named("a"), partition, 300, 10, 1000)));
    let actions = (1..40).map(|step| at(step * 1000, fill("b", 1))).collect();
    let settings = Settings { mode: Mode::Continuous, connections: 1, bytes_per_sec: 200_000, ..Settings::default() };
    let outcome = held(&Script { before, actions, settings, ..Script::default() });
    for report in &outcome.reports {
        // That the first point takes long may be told.
        let alarms = report.warnings.iter().filter(|text| text.contains("cannot be read"));
        assert_eq!((alarms.collect::<Vec<_>>(), &report.held_back), (Vec::new(), &Vec::new()));
    }
}

/// Answers take long: so the topic is made again between any two questions of a run.
#[test]
fn a_topic_that_is_made_again_while_a_run_plans_parts_nothing() {
    for ms in (3_000..9_000).step_by(150) {
        let before = vec![
            Action::Create(named("t"), 1, 1),
            Action::Create(named("other"), 1, 1),
            fill("t", 20),
            fill("other", 2),
            Action::Slow(150),
        ];
        let actions = vec![
            at(ms, Action::Delete(named("t"))),
            at(ms + 5, Action::Create(named("t"), 1, 1)),
            at(ms + 10, fill("t", 1)),
            at(30_000, fill("other", 1)),
        ];
        let outcome = held(&Script {
            before,
            actions,
            settings: Settings { runs: 3, ..Settings::default() },
            ..Script::default()
        });
        for report in &outcome.reports {
            assert!(report.timelines.is_empty(), "{ms}: {:?}", report.timelines);
        }
    }
}

fn under(mode: Mode, fault: &Action) -> (Report, ExitCode) {
    let before = vec![Action::Create(named("early"), 2, 1), fill("early", 2)];
    let writes = [Action::Produce(named("early"), 1, 3, 5, 100), fill("early", 2)];
    let actions = writes.into_iter().map(|what| at(0, what)).collect();
    let settings = Settings { mode, deadline_ms: 20_000, ..Settings::default() };
    let found = probe(&Script { before, actions, settings, ..Script::default() }, fault);
    assert_eq!(found.violations, Vec::<String>::new());
    let next = found.after.and_then(|ended| ended.said).expect("the next run ends");
    assert_eq!((next.0.outcome.as_str(), next.1), ("Completed", ExitCode::Done), "{:?}", next.0.failure);
    found.under.and_then(|ended| ended.said).expect("the run ends")
}

#[test]
fn one_partition_whose_offsets_are_denied_keeps_nobody_from_the_others() {
    for mode in [Mode::Incremental, Mode::Full] {
        let (report, exit) = under(mode, &Action::Deny(named("early"), 1));
        assert_eq!((report.outcome.as_str(), exit), ("CompletedWithGaps", ExitCode::Done), "{:?}", report.failure);
        assert!(report.records >= 20, "{report:?}");
        let [held] = &report.held_back[..] else { panic!("{:?}", report.held_back) };
        assert_eq!((&held["partition"], &held["reason"]), (&1.into(), &"unavailable".into()));
        assert!(report.timelines.is_empty() && report.gaps.is_empty(), "{report:?}");
        assert!(report.warnings.iter().any(|warning| warning.contains("early/1")), "{:?}", report.warnings);
    }
}

/// A transaction that ends while the run plans again is read: nothing says any more that it holds something back.
#[test]
fn what_was_read_at_last_is_not_held_back() {
    let before = vec![
        Action::Create(named("t"), 1, 1),
        Action::Create(named("big"), 1, 1),
        Action::Create(named("gone"), 1, 1),
        fill("big", 200),
        fill("gone", 200),
        fill("t", 1),
        Action::Begin(1, named("t"), vec![0], 3, 50),
    ];
    let actions =
        vec![at(5_000, Action::End(1, true)), at(5_100, Action::Delete(named("gone"))), at(60_000, fill("big", 1))];
    let settings = Settings { runs: 2, transaction_wait: 1, bytes_per_sec: 200_000, ..Settings::default() };
    let outcome = held(&Script { before, actions, settings, ..Script::default() });
    assert_eq!(outcome.reports[0].held_back, Vec::<serde_json::Value>::new(), "{:#?}", outcome.attempts);
}
