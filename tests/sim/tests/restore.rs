//! Restores in the model: every record once, in order, whatever happens on the way.

use sim::broker::Broken;
use sim::rng::Rng;
use sim::script::{Action, At, Mode, Part, Script, Settings};
use sim::world::simulate;

const PRODUCE: i16 = 0;

fn source() -> Vec<Action> {
    let topic = || "orders".to_owned();
    let mut before = vec![Action::Create(topic(), 4, 1), Action::Create("payments".into(), 1, 1)];
    for partition in 0..4 {
        before.push(Action::Produce(topic(), partition, 30, 10, 500));
    }
    before.extend([
        Action::Begin(1, topic(), vec![0, 1], 5, 50),
        Action::Begin(2, topic(), vec![0, 2], 5, 50),
        Action::End(1, true),
        Action::End(2, false),
        Action::Produce("payments".into(), 0, 5, 3, 20),
        Action::Compact(topic(), 3, 40, 60),
    ]);
    before
}

fn settings() -> Settings {
    Settings { mode: Mode::Restore, ..Settings::default() }
}

fn holds(script: &Script) -> u64 {
    let outcome = simulate(script);
    if !outcome.violations.is_empty() {
        println!("{script}\n{}\n{:#?}", outcome.trace, outcome.attempts);
    }
    assert_eq!(outcome.violations, Vec::<String>::new());
    assert!(outcome.records > 500, "{:?}", outcome.attempts);
    outcome.hash
}

#[test]
fn a_restore_is_whole_and_repeats_itself() {
    let script = Script { settings: settings(), before: source(), ..Script::default() };
    assert_eq!(holds(&script), holds(&script));
}

#[test]
fn lost_answers_double_nothing() {
    for broken in [Broken::Close, Broken::CutAndClose, Broken::Never] {
        let actions = vec![At { ms: 50, what: Action::Break(PRODUCE, broken, 4) }];
        holds(&Script { settings: settings(), before: source(), actions, ..Script::default() });
    }
}

#[test]
fn kills_moves_and_stops_lose_nothing() {
    for seed in 0..12 {
        let rng = Rng::new(seed, "restores");
        let mut actions: Vec<_> = (0..rng.between(1, 5))
            .map(|_| {
                let what = match rng.below(6) {
                    0 => Action::Move("orders".into(), rng.below(4) as i32),
                    1 => Action::Stop(2),
                    2 => Action::Start(2),
                    3 => Action::Break(PRODUCE, Broken::Close, 2),
                    4 => Action::Code(PRODUCE, *rng.pick(&[6, 7, 19, 74]), Some(2)),
                    _ => Action::Kill,
                };
                At { ms: rng.below(3000), what }
            })
            .collect();
        actions.sort_by_key(|at| at.ms);
        let deaths = (1..=3).filter(|_| rng.percent(60)).map(|n| (n, rng.between(10, 160))).collect();
        let settings = Settings { deadline_ms: 15_000, timeout_ms: 3_000, ..settings() };
        holds(&Script { seed, brokers: 2, settings, before: source(), actions, deaths, ..Script::default() });
    }
}

/// 96 MB in three partitions, written in a minute.
fn a_minute() -> Vec<Action> {
    let topic = || "orders".to_owned();
    let mut before = vec![Action::Create(topic(), 3, 1)];
    for _ in 0..60 {
        before.push(Action::Wait(1_000));
        before.extend((0..3).map(|partition| Action::Produce(topic(), partition, 2, 10, 26_000)));
    }
    before
}

/// Bytes of segments that a restore of a minute reads while it meets these faults.
fn read(part: Part, faults: &[(u64, Action)]) -> u64 {
    let settings = Settings { part: Part { bytes_per_sec: 8_000_000, ..part }, connections: 1, ..settings() };
    let actions = faults.iter().map(|(ms, what)| At { ms: *ms, what: what.clone() }).collect();
    let outcome = simulate(&Script { settings, before: a_minute(), actions, ..Script::default() });
    if !outcome.violations.is_empty() {
        println!("{}\n{:#?}", outcome.trace, outcome.attempts);
    }
    assert_eq!(outcome.violations, Vec::<String>::new());
    assert!(outcome.records > 300, "{:?}", outcome.attempts);
    println!("{part:?}, {} faults: {} KiB of segments read; {:?}", faults.len(), outcome.read >> 10, outcome.attempts);
    outcome.read
}

/// Whatever ends an attempt, the next one goes on where the target proves that it is, also with a time window.
#[test]
fn what_the_target_has_is_not_read_again() {
    let part = |start, end, headers| Part { start, end, headers, ..Part::default() };
    let meets = |part: Part| Part { meet: 3, ..part };
    let parts = [
        meets(part(None, None, false)),
        meets(part(None, Some(58_500), true)),
        part(None, None, false),
        part(None, Some(58_500), false),
        part(Some(1_500), None, true),
        part(Some(1_500), Some(58_500), true),
    ];
    for part in parts {
        let once = read(part, &[]);
        let broken = |ms| (ms, Action::Break(PRODUCE, Broken::Close, 1));
        let of_brokers = read(part, &[broken(6_000), broken(8_000), broken(10_000)]);
        let of_a_kill = read(part, &[(8_000, Action::Kill)]);
        // What was on its way is read again each time, and a block or two.
        assert!(of_brokers < once * 3 / 2, "{part:?}: {of_brokers} bytes instead of {once}");
        assert!(of_a_kill < once * 3 / 2, "{part:?}: {of_a_kill} bytes instead of {once}");
    }
}
