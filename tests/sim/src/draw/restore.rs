//! Drawing restores: what the source holds, and what happens to the target and the store while it is restored.

use super::{Drawing, PASSING};
use crate::broker::{Broken, Expiration};
use crate::rng::Rng;
use crate::script::{Action, At, Mode, Part, Rival, Script, Settings};
use crate::store::{Fault, Rule};

/// Requests that a restore sends to its target; those that write count double.
const APIS: [i16; 15] = [0, 0, 2, 3, 10, 18, 19, 22, 22, 24, 24, 26, 26, 32, 44];
/// Codes of writes that pass by themselves, beside those of every request. A topic may come after `CreateTopics` timed out;
/// with any other code of its own, a controller has not made it.
const OF_WRITES: [(i16, i16); 7] = [(0, 19), (0, 20), (22, 51), (24, 51), (26, 51), (26, 15), (CREATE_TOPICS, 7)];
const CREATE_TOPICS: i16 = 19;
const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
/// Milliseconds within which things happen: a restore of so few records takes a second or two.
const SPAN: u64 = 4_000;

/// The restore of a seed.
pub fn restore_script(seed: u64) -> Script {
    let rng = Rng::new(seed, "draw-restore");
    let brokers = rng.between(1, 3) as i32;
    let mut settings = Settings {
        mode: Mode::Restore,
        runs: 1,
        transaction_wait: 1,
        connections: rng.between(1, 4) as u32,
        deadline_ms: rng.between(10_000, 40_000),
        timeout_ms: rng.between(2_000, 8_000),
        // Of a stream of its own: what else a seed means stays.
        part: Part { headers: Rng::new(seed, "part").percent(50), ..Part::default() },
        ..Settings::default()
    };
    let mut drawing = Drawing::new(rng, brokers, Mode::Restore);
    let mut before: Vec<_> = (0..drawing.rng.between(1, 3)).map(|_| drawing.create()).collect();
    before.extend((0..drawing.rng.between(3, 20)).map(|_| drawing.of_source()));
    let (meeting, most) = (Rng::new(seed, "meet"), created(&before).map(|(_, partitions)| partitions).max());
    if let Some(most) = most.filter(|most| *most > 1 && meeting.percent(15)) {
        settings.part.meet = meeting.between(2, most) as i32;
    }
    let mut times: Vec<u64> = (0..drawing.rng.between(0, 12)).map(|_| drawing.rng.below(SPAN)).collect();
    times.sort_unstable();
    let mut actions: Vec<_> = times.into_iter().map(|ms| At { ms, what: drawing.of_target() }).collect();
    let deaths = (1..=4).filter(|_| drawing.rng.percent(30)).map(|n| (n, drawing.rng.between(5, 200))).collect();
    let mut target = if drawing.rng.percent(40) { drawing.there_before(&before) } else { Vec::new() };
    if drawing.rng.percent(50) {
        for _ in 0..drawing.rng.between(1, 4) {
            actions.push(At { ms: drawing.rng.below(SPAN), what: drawing.of_others(&before) });
        }
    }
    sweeps(seed, &before, &mut target, &mut actions);
    encounters(seed, &before, &mut target, &mut actions);
    actions.sort_by_key(|at| at.ms);
    Script { seed, brokers, settings, before, target, actions, deaths, pause_ms: 0 }
}

/// The topics of the source, with how many partitions they have.
fn created(before: &[Action]) -> impl Iterator<Item = (String, u64)> {
    before.iter().filter_map(|action| match action {
        Action::Create(name, partitions, _) => Some((name.clone(), *partitions as u64)),
        _ => None,
    })
}

/// Transactional ids last longer than requests may take.
fn expiration(rng: &Rng, at_once: bool) -> Action {
    let (producers_ms, ids_ms) = (*rng.pick(&[1_000, 3_000, 6_000]), *rng.pick(&[20_000, 60_000, 604_800_000]));
    Action::Expiration(Expiration { producers_ms, ids_ms, at_once })
}

/// Brokers that delete and forget, in some of the scripts: topics that keep records for a moment only, producers that are
/// forgotten soon, and records that somebody deletes.
fn sweeps(seed: u64, before: &[Action], target: &mut Vec<Action>, actions: &mut Vec<At>) {
    let rng = Rng::new(seed, "draw-sweeps");
    if !rng.percent(40) {
        return;
    }
    if rng.percent(60) {
        target.insert(0, expiration(&rng, rng.percent(50)));
    }
    for action in target.iter_mut() {
        if let Action::Config(_, name, value) = action
            && name == "retention.ms"
            && rng.percent(50)
        {
            "1000".clone_into(value);
        }
    }
    for _ in 0..rng.between(1, 8) {
        actions.push(At { ms: rng.below(10 * SPAN), what: Action::Sweep });
    }
    if let Some((topic, partitions)) = created(before).next().filter(|_| rng.percent(25)) {
        let what = match rng.below(3) {
            0 => Action::Config(topic, "retention.ms".into(), "1000".into()),
            _ => Action::Trim(topic, rng.below(partitions) as i32, rng.between(5, 100)),
        };
        actions.push(At { ms: rng.below(SPAN), what });
    }
}

/// What must come together to do harm, in some of the scripts: a stranger who writes where answers are lost, an attempt
/// that wakes up behind another one where brokers have forgotten the fence, a leader that appends and then knows nothing, a
/// held config that somebody changes just before brokers delete, brokers that do not know the target for a moment, a held
/// config that somebody changes just before the runner dies.
fn encounters(seed: u64, before: &[Action], target: &mut Vec<Action>, actions: &mut Vec<At>) {
    let rng = Rng::new(seed, "draw-encounters");
    let (topic, partitions) = rng.pick(&created(before).collect::<Vec<_>>()).clone();
    let ms = rng.below(SPAN / 2);
    match rng.below(10) {
        0 => {
            let partition = rng.below(partitions) as i32;
            let broken = *rng.pick(&[Broken::Close, Broken::CutAndClose, Broken::Never]);
            actions.push(At { ms, what: Action::Break(PRODUCE, broken, rng.between(1, 6) as u32) });
            let what = Action::Produce(topic, partition, 1, rng.between(1, 3) as u32, 100);
            actions.push(At { ms: ms + rng.below(300), what });
        }
        1 => {
            target.insert(0, expiration(&rng, true));
            actions.push(At { ms, what: Action::Freeze(rng.between(6_000, 40_000)) });
            actions.push(At { ms: ms + rng.below(2_000), what: Action::Restore(Rival::Same) });
        }
        2 => {
            target.insert(0, expiration(&rng, true));
            let code = *rng.pick(&[3, 5, 6, 74, 75]);
            actions.push(At { ms, what: Action::Code(PRODUCE, code, Some(rng.between(1, 4) as u32)) });
        }
        3 => {
            actions.push(At { ms: 0, what: Action::Slow(rng.between(10, 200)) });
            actions.push(At { ms, what: Action::Config(topic, "retention.ms".into(), "1000".into()) });
            actions.extend((1..8).map(|n| At { ms: ms + n * rng.between(50, 500), what: Action::Sweep }));
        }
        4 => {
            let codes = (0..rng.between(1, 6)).map(|_| *rng.pick(&[3, 5]));
            actions.extend(codes.map(|code| At { ms: rng.below(SPAN), what: Action::Code(METADATA, code, Some(1)) }));
        }
        5 => {
            // A restore makes about 200 requests.
            let slow = rng.between(10, 100);
            let ms = slow * rng.between(40, 200);
            actions.push(At { ms: 0, what: Action::Slow(slow) });
            actions.push(At { ms, what: Action::Config(topic, "retention.ms".into(), "86400000".into()) });
            actions.push(At { ms: ms + slow * rng.below(5), what: Action::Kill });
        }
        _ => {}
    }
}

impl Drawing {
    fn of_source(&mut self) -> Action {
        let (topic, partition) = self.place();
        match self.rng.below(20) {
            0..11 => self.produce(),
            11..14 => self.transaction(),
            14..17 => self.end(),
            17 => Action::Trim(topic, partition, self.rng.between(5, 100)),
            18 => Action::Cut(topic, partition, self.rng.between(1, 60) as i64),
            _ => Action::Compact(topic, partition, self.rng.below(80), self.rng.between(20, 100)),
        }
    }

    /// Some of the topics stand in the target already, empty, with configs of their own.
    fn there_before(&mut self, before: &[Action]) -> Vec<Action> {
        let mut out = Vec::new();
        for action in before {
            let Action::Create(name, partitions, _) = action else { continue };
            if self.rng.percent(50) {
                out.push(Action::Create(name.clone(), *partitions, 1));
                let millis = self.rng.between(100, 900) * 1_000_000;
                out.push(Action::Config(name.clone(), "retention.ms".into(), millis.to_string()));
            }
        }
        out
    }

    /// What others do in the target: restores, producers, administrators.
    fn of_others(&mut self, before: &[Action]) -> Action {
        let (topic, partition) = self.place();
        match self.rng.below(20) {
            0..4 => Action::Restore(Rival::Same),
            4..8 => Action::Restore(Rival::Other),
            8..12 => Action::Restore(Rival::Elsewhere),
            12..15 => Action::Produce(topic, partition, 1, self.rng.between(1, 5) as u32, 100),
            15..17 => Action::Config(topic, "retention.ms".into(), "86400000".into()),
            17 => Action::Delete(topic),
            _ => {
                let made = before.iter().find(|action| matches!(action, Action::Create(name, ..) if *name == topic));
                made.cloned().unwrap_or(Action::Delete(topic))
            }
        }
    }

    /// The state of a restore needs a store that shows at once what it confirmed, as `store-check` asks.
    fn store_of_restore(&mut self) -> Action {
        match self.store() {
            Action::Store(Rule { fault: Fault::SeenLate(millis), op, key, count }) => {
                Action::Store(Rule { fault: Fault::ListedLate(millis), op, key, count })
            }
            other => other,
        }
    }

    fn of_target(&mut self) -> Action {
        match self.rng.below(20) {
            0..6 => self.change_broker(),
            6..9 => {
                let broken = self.broken();
                Action::Break(*self.rng.pick(&APIS), broken, self.rng.between(1, 4) as u32)
            }
            9..11 => {
                let count = self.rng.between(1, 4) as u32;
                match *self.rng.pick(&APIS) {
                    CREATE_TOPICS => Action::Code(CREATE_TOPICS, 7, Some(count)),
                    api => Action::Code(api, *self.rng.pick(&PASSING), Some(count)),
                }
            }
            11 => {
                let (api, code) = *self.rng.pick(&OF_WRITES);
                Action::Code(api, code, Some(self.rng.between(1, 4) as u32))
            }
            12 => Action::Slow(self.rng.between(10, 1500)),
            13 => Action::Throttle(*self.rng.pick(&APIS), self.rng.between(100, 6000) as i32),
            14..17 => self.store_of_restore(),
            17 | 18 => Action::Kill,
            _ => Action::Freeze(self.rng.between(500, 30_000)),
        }
    }
}
