//! Every error code of Kafka in every request of a backup: does the run end, with which exit code and which words.

use std::collections::BTreeMap;

use contract::ExitCode;
use kafka_protocol::ResponseError;

use crate::script::{Action, At, Script, Settings};
use crate::world::{Probe, probe};

/// Requests of a backup: API key and name.
pub const REQUESTS: [(i16, &str); 10] = [
    (1, "Fetch"),
    (2, "ListOffsets"),
    (3, "Metadata"),
    (9, "OffsetFetch"),
    (10, "FindCoordinator"),
    (16, "ListGroups"),
    (18, "ApiVersions"),
    (23, "OffsetForLeaderEpoch"),
    (32, "DescribeConfigs"),
    (61, "DescribeProducers"),
];

/// The newest code of Kafka 4.3.
pub const LAST: i16 = 133;
const DEADLINE_MS: u64 = 8_000;
const TIMEOUT_MS: u64 = 2_000;

/// Codes that say nothing of whether they pass: a defect of the broker, a position that is gone, a new leader.
const UNCLEAR: [i16; 3] = [-1, 1, 108];
/// A topic that nobody knows for the whole deadline does not exist.
const UNKNOWN_TOPIC: i16 = 3;

/// What one cell showed.
#[derive(Debug)]
pub struct Cell {
    /// API key.
    pub api: i16,
    /// Error code.
    pub code: i16,
    /// For ever, or once.
    pub for_ever: bool,
    /// What is wrong.
    pub bad: Vec<String>,
    /// Answered requests.
    pub steps: u64,
    /// How it ended, in words.
    pub said: String,
}

fn script() -> Script {
    let topic = || "orders".to_owned();
    let before = vec![
        Action::Create(topic(), 2, 1),
        Action::Produce(topic(), 0, 3, 5, 100),
        Action::Commit("billing".into(), topic(), 0),
    ];
    let more = [
        Action::Produce(topic(), 0, 2, 5, 100),
        Action::Produce(topic(), 1, 2, 5, 100),
        Action::Begin(1, topic(), vec![1], 1, 10),
    ];
    let actions = more.into_iter().map(|what| At { ms: 0, what }).collect();
    let settings = Settings {
        groups: true,
        connections: 1,
        transaction_wait: 1,
        deadline_ms: DEADLINE_MS,
        timeout_ms: TIMEOUT_MS,
        ..Settings::default()
    };
    Script { settings, before, actions, ..Script::default() }
}

/// Tries one cell.
pub fn cell(api: i16, code: i16, for_ever: bool) -> Cell {
    let count = (!for_ever).then_some(1);
    let probe = probe(&script(), &Action::Code(api, code, count));
    let said = probe
        .under
        .as_ref()
        .and_then(|ended| ended.said.as_ref())
        .map_or_else(|| "nothing".to_owned(), |(report, exit)| format!("{exit:?} {:?}", report.failure));
    Cell { api, code, for_ever, bad: judge(code, for_ever, &probe), steps: probe.steps, said }
}

fn judge(code: i16, for_ever: bool, probe: &Probe) -> Vec<String> {
    let mut bad = Vec::new();
    let mut say = |text: &str| bad.push(text.to_owned());
    for violation in &probe.violations {
        say(violation);
    }
    match probe.after.as_ref().and_then(|ended| ended.said.as_ref()) {
        Some((_, ExitCode::Done)) => {}
        Some((report, exit)) => say(&format!("the next run ends with {exit:?}: {:?}", report.failure)),
        None => say("the next run does not end"),
    }
    let Some(ended) = &probe.under else { return bad };
    let Some((report, exit)) = &ended.said else { return bad };
    if ended.to_ms - ended.from_ms > DEADLINE_MS + 3 * TIMEOUT_MS + 8_000 {
        say(&format!("it takes {} s, longer than its deadline", (ended.to_ms - ended.from_ms) / 1000));
    }
    let passes = ResponseError::try_from_code(code).is_some_and(|error| error.is_retriable());
    let Some(failure) = &report.failure else { return bad };
    if !for_ever && passes {
        say("one answer that says \"try again\" ends the run");
    }
    match exit {
        ExitCode::Resumable if !passes && !UNCLEAR.contains(&code) => say("a refusal for good ends as \"run again\""),
        ExitCode::Final if passes && code != UNKNOWN_TOPIC => say("what passes ends for good"),
        ExitCode::Resumable | ExitCode::Final => {}
        other => say(&format!("ends with {other:?}")),
    }
    if failure.code.as_str().starts_with("KB5") {
        say("a backup speaks of the target of a restore");
    }
    if !failure.message.contains(&format!("({code})")) && code != UNKNOWN_TOPIC {
        say("the failure does not name the code");
    }
    bad
}

/// Bad cells by request and what is wrong, as ranges of codes.
pub fn table(cells: &[Cell]) -> String {
    let mut rows: BTreeMap<(String, i16, bool), Vec<i16>> = BTreeMap::new();
    for cell in cells {
        for bad in &cell.bad {
            let kind: String = bad.chars().take(110).collect();
            rows.entry((kind, cell.api, cell.for_ever)).or_default().push(cell.code);
        }
    }
    let name = |api: i16| REQUESTS.iter().find(|(key, _)| *key == api).map_or("?", |(_, name)| *name);
    let line = |((kind, api, for_ever), codes): (&(String, i16, bool), &Vec<i16>)| {
        let when = if *for_ever { "for ever" } else { "once" };
        format!("{kind}\n    {} {when}: {codes:?}\n", name(*api))
    };
    rows.iter().map(line).collect()
}
