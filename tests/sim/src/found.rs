//! Scripts of faults that were found, small enough to read. Each failed once; none may fail again.

use crate::broker::Broken;
use crate::script::{Action, At, Mode, Script, Settings};

const FETCH: i16 = 1;

/// A script and what it once showed.
pub struct Found {
    /// Name.
    pub name: &'static str,
    /// What was seen.
    pub seen: &'static str,
    /// The script.
    pub script: Script,
}

fn at(ms: u64, what: Action) -> At {
    At { ms, what }
}

fn t() -> String {
    "orders".into()
}

/// Every script that was found by hand.
pub fn all() -> Vec<Found> {
    vec![
        slow_beside_transactions(),
        empty_beside_transactions(),
        compacted_below_the_target(),
        new_partition_with_latest(),
        new_topic_with_latest(),
        segments_are_gone(),
        segments_are_gone_and_read_again(),
        nobody_tells_where_a_log_starts(),
        a_broker_is_gone(),
        a_broker_is_replaced(),
        rollups_are_gone(),
        silent_in_the_middle(),
        one_announces_too_much(),
        a_topic_is_deleted(),
        a_topic_is_forbidden(),
        quiet_then_a_blip(),
        one_leaderless_partition(),
        a_leader_wakes_up_behind(),
    ]
}

fn slow_beside_transactions() -> Found {
    let mut before = vec![Action::Create(t(), 30, 1)];
    for partition in 0..30 {
        before.push(Action::Produce(t(), partition, 15, 10, 1000));
    }
    before.push(Action::Begin(1, t(), vec![0, 7, 14, 21], 2, 50));
    let settings = Settings { bytes_per_sec: 200_000, transaction_wait: 3, connections: 1, ..Settings::default() };
    Found {
        name: "slow_beside_transactions",
        seen: "a rate limit cut partitions short of their last stable offset, and the run was complete",
        script: Script { settings, before, actions: vec![at(90_000, Action::End(1, true))], ..Script::default() },
    }
}

fn empty_beside_transactions() -> Found {
    let before = vec![
        Action::Create(t(), 2, 1),
        Action::Produce(t(), 0, 20, 10, 100),
        Action::Produce(t(), 1, 20, 10, 100),
        Action::Begin(1, t(), vec![0, 1], 2, 50),
        Action::Empty(12_000),
    ];
    let settings = Settings { runs: 2, transaction_wait: 5, ..Settings::default() };
    Found {
        name: "empty_beside_transactions",
        seen: "a broker without data for longer than the wait for transactions: nothing archived, complete",
        script: Script { settings, before, actions: vec![at(20_000, Action::End(1, true))], ..Script::default() },
    }
}

fn compacted_below_the_target() -> Found {
    let before = vec![
        Action::Create(t(), 1, 1),
        Action::Create("other".into(), 1, 1),
        Action::Produce(t(), 0, 40, 10, 100),
        Action::Produce("other".into(), 0, 4, 10, 100),
    ];
    let actions = vec![
        at(400, Action::Produce(t(), 0, 10, 10, 100)),
        at(500, Action::Compact(t(), 0, 0, 82)),
        at(40_000, Action::Produce(t(), 0, 10, 10, 100)),
    ];
    let settings = Settings { runs: 2, bytes_per_sec: 10_000, ..Settings::default() };
    Found {
        name: "compacted_below_the_target",
        seen: "a snapshot never ended when the cleaner removed the records just below its target",
        script: Script { settings, before, actions, ..Script::default() },
    }
}

fn new_partition_with_latest() -> Found {
    let before = vec![Action::Create(t(), 1, 1), Action::Produce(t(), 0, 5, 5, 100)];
    let actions = vec![
        at(8_000, Action::Widen(t(), 1)),
        at(8_010, Action::Produce(t(), 1, 50, 10, 100)),
        at(12_000, Action::Produce(t(), 0, 5, 5, 100)),
        at(40_000, Action::Produce(t(), 0, 5, 5, 100)),
    ];
    let settings = Settings { mode: Mode::Continuous, latest: true, ..Settings::default() };
    Found {
        name: "new_partition_with_latest",
        seen: "what was written to a new partition before it was seen was skipped",
        script: Script { settings, before, actions, ..Script::default() },
    }
}

fn new_topic_with_latest() -> Found {
    let before = vec![Action::Create(t(), 1, 1), Action::Produce(t(), 0, 5, 5, 100)];
    let actions = vec![
        at(1_000, Action::Create("other".into(), 2, 1)),
        at(1_010, Action::Produce("other".into(), 1, 50, 10, 100)),
        at(1_020, Action::Produce(t(), 0, 5, 5, 100)),
    ];
    let settings = Settings { latest: true, ..Settings::default() };
    Found {
        name: "new_topic_with_latest",
        seen: "what was written to a new topic between two runs was skipped",
        script: Script { settings, before, actions, ..Script::default() },
    }
}

fn segments_are_gone() -> Found {
    let before = vec![Action::Create(t(), 1, 1), Action::Produce(t(), 0, 5, 5, 100)];
    let actions = vec![at(1_000, Action::Lose(".seg".into())), at(1_010, Action::Produce(t(), 0, 5, 5, 100))];
    Found {
        name: "segments_are_gone",
        seen: "a run was complete on a base whose segments a lifecycle rule had removed",
        script: Script { before, actions, ..Script::default() },
    }
}

/// Retention took some of what is lost, the cleaner some, an election cut some off, and the first attempt dies.
fn segments_are_gone_and_read_again() -> Found {
    let before = vec![Action::Create(t(), 3, 1), Action::Create("other".into(), 1, 1)];
    let writes = |n: u64| at(900 * n, Action::Produce(t(), (n % 3) as i32, 2, 5, 100));
    let mut actions: Vec<_> = (1..40).map(writes).collect();
    actions.extend([
        at(10, Action::Produce("other".into(), 0, 20, 5, 100)),
        at(12_000, Action::Expire(40)),
        at(12_010, Action::Trim(t(), 0, 30)),
        at(12_020, Action::Compact(t(), 1, 50, 80)),
        at(12_030, Action::Delete("other".into())),
        at(25_000, Action::Cut(t(), 2, 12)),
        at(25_010, Action::Expire(60)),
    ]);
    actions.sort_by_key(|at| at.ms);
    let settings = Settings { runs: 8, reread: true, ..Settings::default() };
    Found {
        name: "segments_are_gone_and_read_again",
        seen: "a run could not go on where a lifecycle rule had removed segments",
        script: Script { settings, before, actions, deaths: vec![(4, 60), (7, 130)], ..Script::default() },
    }
}

/// Without a leader it is not known what can be read again: the run waits for it, and gives nothing up meanwhile.
fn nobody_tells_where_a_log_starts() -> Found {
    let before = vec![
        Action::Create(t(), 4, 1),
        Action::Produce(t(), 0, 5, 5, 100),
        Action::Produce(t(), 1, 5, 5, 100),
        Action::Produce(t(), 2, 5, 5, 100),
        Action::Produce(t(), 3, 5, 5, 100),
    ];
    let actions = vec![
        at(5_000, Action::Stop(2)),
        at(5_010, Action::Expire(100)),
        at(5_020, Action::Produce(t(), 0, 5, 5, 100)),
        at(90_000, Action::Start(2)),
    ];
    let settings = Settings { runs: 3, reread: true, ..Settings::default() };
    Found {
        name: "nobody_tells_where_a_log_starts",
        seen: "a partition without a leader could be given up though the source still had it",
        script: Script { brokers: 2, settings, before, actions, pause_ms: 8_000, ..Script::default() },
    }
}

fn three_brokers() -> (Vec<Action>, Vec<At>) {
    let before = vec![
        Action::Create(t(), 6, 2),
        Action::Produce(t(), 0, 5, 5, 100),
        Action::Commit("billing".into(), t(), 0),
        Action::Commit("shipping".into(), t(), 0),
    ];
    let writes = |n: u64| at(2000 * n, Action::Produce(t(), (n % 6) as i32, 2, 5, 100));
    (before, (1..50).map(writes).collect())
}

fn a_broker_is_gone() -> Found {
    let (before, mut actions) = three_brokers();
    actions.push(at(15_000, Action::Stop(3)));
    actions.sort_by_key(|at| at.ms);
    let settings = Settings { mode: Mode::Continuous, groups: true, ..Settings::default() };
    Found {
        name: "a_broker_is_gone",
        seen: "a continuous run made no recovery point any more after a broker had gone away",
        script: Script { brokers: 3, settings, before, actions, ..Script::default() },
    }
}

fn a_broker_is_replaced() -> Found {
    let mut found = a_broker_is_gone();
    found.name = "a_broker_is_replaced";
    for at in &mut found.script.actions {
        if matches!(at.what, Action::Stop(3)) {
            at.what = Action::Replace(3, 4);
        }
    }
    found
}

fn rollups_are_gone() -> Found {
    let before = vec![Action::Create(t(), 2, 1), Action::Produce(t(), 0, 5, 5, 100)];
    let writes = |n: u64| at(400 * n, Action::Produce(t(), (n % 2) as i32, 1, 5, 100));
    let mut actions: Vec<_> = (1..60).map(writes).collect();
    actions.push(at(23_700, Action::Lose("/roll/".into())));
    actions.sort_by_key(|at| at.ms);
    let settings = Settings { runs: 45, ..Settings::default() };
    Found {
        name: "rollups_are_gone",
        seen: "every point behind a missing roll-up could not be read, while runs were complete",
        script: Script { settings, before, actions, pause_ms: 100, ..Script::default() },
    }
}

fn silent_in_the_middle() -> Found {
    let mut before = vec![Action::Create(t(), 12, 1)];
    for partition in 0..12 {
        before.push(Action::Produce(t(), partition, 4, 5, 1000));
    }
    before.push(Action::Break(FETCH, Broken::Announce(8 << 20), 10));
    let settings = Settings { connections: 12, ..Settings::default() };
    Found {
        name: "silent_in_the_middle",
        seen: "connections that fell silent in an answer kept the memory that others needed to connect",
        script: Script {
            settings,
            before,
            actions: vec![at(60_000, Action::Produce(t(), 0, 1, 1, 9))],
            ..Script::default()
        },
    }
}

fn one_announces_too_much() -> Found {
    let mut found = silent_in_the_middle();
    found.name = "one_announces_too_much";
    found.script.settings.connections = 4;
    found.script.before.pop();
    found.script.before.push(Action::Break(FETCH, Broken::Announce(1 << 30), 1));
    found
}

fn two_topics() -> Vec<Action> {
    vec![
        Action::Create(t(), 2, 1),
        Action::Create("payments".into(), 1, 1),
        Action::Produce(t(), 0, 5, 5, 100),
        Action::Produce("payments".into(), 0, 5, 5, 100),
    ]
}

fn a_topic_is_deleted() -> Found {
    let actions = vec![at(1_000, Action::Delete("payments".into())), at(1_010, Action::Produce(t(), 0, 5, 5, 100))];
    Found {
        name: "a_topic_is_deleted",
        seen: "a topic vanished from the set without a word",
        script: Script { before: two_topics(), actions, ..Script::default() },
    }
}

fn a_topic_is_forbidden() -> Found {
    let actions = vec![
        at(1_000, Action::Forbid("payments".into(), true)),
        at(1_010, Action::Produce("payments".into(), 0, 5, 5, 100)),
        at(20_000, Action::Produce(t(), 0, 5, 5, 100)),
    ];
    Found {
        name: "a_topic_is_forbidden",
        seen: "a topic that the user may no longer describe vanished from the set without a word",
        script: Script {
            settings: Settings { runs: 3, ..Settings::default() },
            before: two_topics(),
            actions,
            ..Script::default()
        },
    }
}

fn quiet_then_a_blip() -> Found {
    let actions = vec![
        at(40_000, Action::Silence(1, true)),
        at(48_000, Action::Silence(1, false)),
        at(60_000, Action::Produce(t(), 0, 5, 5, 100)),
    ];
    let settings = Settings { mode: Mode::Continuous, ..Settings::default() };
    Found {
        name: "quiet_then_a_blip",
        seen: "a quiet continuous run had no retry left: the first blip ended it",
        script: Script { settings, before: two_topics(), actions, ..Script::default() },
    }
}

fn one_leaderless_partition() -> Found {
    let before = vec![
        Action::Create("payments".into(), 1, 2),
        Action::Create(t(), 2, 1),
        Action::Produce(t(), 0, 5, 5, 100),
        Action::Produce("payments".into(), 0, 5, 5, 100),
        Action::Stop(2),
    ];
    let writes = |n: u64| at(3000 * n, Action::Produce("payments".into(), 0, 2, 5, 100));
    let actions = (1..40).map(writes).collect();
    let settings = Settings { runs: 3, ..Settings::default() };
    Found {
        name: "one_leaderless_partition",
        seen: "one partition without a leader: no recovery point of anything",
        script: Script { brokers: 2, settings, before, actions, pause_ms: 20_000, ..Script::default() },
    }
}

/// A frozen broker wakes up when the other one is gone: it names itself the leader that it was, and has the log of then.
fn a_leader_wakes_up_behind() -> Found {
    let before =
        vec![Action::Create(t(), 2, 2), Action::Produce(t(), 0, 5, 5, 100), Action::Produce(t(), 1, 5, 5, 100)];
    let writes = |n: u64| at(1000 * n, Action::Produce(t(), (n % 2) as i32, 2, 5, 100));
    let mut actions: Vec<_> = (1..60).filter(|n| !(24..32).contains(n)).map(writes).collect();
    actions.extend([
        at(8_100, Action::Sleep(1)),
        at(24_100, Action::Wake(1)),
        at(24_110, Action::Stop(2)),
        at(31_000, Action::Learn(1)),
        at(45_100, Action::Start(2)),
    ]);
    actions.sort_by_key(|at| at.ms);
    let settings = Settings { mode: Mode::Continuous, timeout_ms: 3_000, ..Settings::default() };
    Found {
        name: "a_leader_wakes_up_behind",
        seen: "a leader of before was believed: its log seemed to be cut, and points lost what they had",
        script: Script { brokers: 2, settings, before, actions, ..Script::default() },
    }
}
