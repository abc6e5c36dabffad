//! Drawing scripts from seeds: one seed, one script.

mod restore;

use restore::restore_script;

use crate::broker::Broken;
use crate::rng::Rng;
use crate::script::{Action, At, Mode, Part, Prune, Script, Settings};
use crate::store::{Fault, Op, Rule};

/// Requests that a backup sends.
const APIS: [i16; 8] = [1, 2, 3, 9, 10, 16, 23, 32];
/// Codes that pass by themselves.
const PASSING: [i16; 9] = [5, 6, 7, 13, 14, 15, 16, 74, 75];

/// What a drawing knows of its world so far.
struct Drawing {
    rng: Rng,
    brokers: i32,
    next_broker: i32,
    topics: Vec<(String, i32)>,
    next_topic: u32,
    next_transaction: u32,
    open: Vec<u32>,
    mode: Mode,
}

/// The script of a seed: every fourth is a restore, and in every eighth retention runs beside the backups.
pub fn of_seed(seed: u64) -> Script {
    match seed % 8 {
        3 | 7 => restore_script(seed),
        1 => with_retention(script(seed)),
        _ => script(seed),
    }
}

/// The same with runs of retention now and then.
fn with_retention(mut script: Script) -> Script {
    let rng = Rng::new(script.seed, "retention");
    let span = script.actions.last().map_or(10_000, |at| at.ms) + 20_000;
    // What brokers of the past hide is another matter, and time to meet it would be longer here.
    script.actions.retain(|at| !matches!(at.what, Action::Sleep(_) | Action::Wake(_) | Action::Learn(_)));
    for _ in 0..rng.between(2, 8) {
        let prune = Prune {
            least: rng.between(1, 3) as u32,
            grace: rng.between(1, 20),
            wait: if rng.percent(60) { rng.between(1, 30) } else { 0 },
            dies_at: if rng.percent(40) { rng.between(1, 80) } else { 0 },
        };
        script.actions.push(At { ms: rng.between(span / 10, span), what: Action::Prune(prune) });
    }
    script.actions.sort_by_key(|at| at.ms);
    script
}

/// The backups of a seed.
pub fn script(seed: u64) -> Script {
    let rng = Rng::new(seed, "draw");
    let brokers = rng.between(1, 3) as i32;
    let mut settings = settings(&rng);
    let lifecycle = Rng::new(seed, "lifecycle");
    settings.reread = settings.mode != Mode::Full && lifecycle.percent(25);
    let mut drawing = Drawing::new(rng, brokers, settings.mode);
    let mut before = Vec::new();
    for _ in 0..drawing.rng.between(1, 3) {
        let create = drawing.create();
        before.push(create);
    }
    for _ in 0..drawing.rng.between(2, 12) {
        let action = if drawing.rng.percent(20) { drawing.transaction() } else { drawing.produce() };
        before.push(action);
    }
    let span = if settings.mode == Mode::Continuous { 90_000 } else { 40_000 };
    let mut times: Vec<u64> = (0..drawing.rng.between(3, 25)).map(|_| drawing.rng.below(span)).collect();
    times.sort_unstable();
    let mut actions: Vec<_> = times.into_iter().map(|ms| At { ms, what: drawing.action() }).collect();
    if settings.reread {
        expire(&lifecycle, span, settings.mode, &mut actions);
    }
    let naps = Rng::new(seed, "naps");
    if brokers > 1 && naps.percent(15) {
        nap(&naps, brokers, span, &mut actions);
    }
    let mut deaths = (1..=2).filter(|_| drawing.rng.percent(25)).map(|n| (n, drawing.rng.between(5, 250))).collect();
    let pause_ms = drawing.rng.between(200, 15_000);
    let often = Rng::new(seed, "topics-come-often");
    if settings.mode == Mode::Continuous && often.percent(8) {
        (actions, deaths) = (come_and_go(&often, span), Vec::new());
    }
    Script { seed, brokers, settings, before, target: Vec::new(), actions, deaths, pause_ms }
}

/// A broker is frozen for a while, and wakes up behind the others.
fn nap(rng: &Rng, brokers: i32, span: u64, actions: &mut Vec<At>) {
    let broker = rng.between(1, brokers as u64) as i32;
    let sleeps = rng.below(span);
    let wakes = sleeps + rng.between(500, 12_000);
    let learns = wakes + rng.between(100, 12_000);
    let nap = [(sleeps, Action::Sleep(broker)), (wakes, Action::Wake(broker)), (learns, Action::Learn(broker))];
    actions.extend(nap.map(|(ms, what)| At { ms, what }));
    actions.sort_by_key(|at| at.ms);
}

/// A lifecycle rule removes segments now and then. A continuous run looks at its base when it starts: it is started again.
fn expire(rng: &Rng, span: u64, mode: Mode, actions: &mut Vec<At>) {
    for _ in 0..rng.between(1, 3) {
        let ms = rng.between(span / 10, span);
        actions.push(At { ms, what: Action::Expire(rng.between(10, 70)) });
        if mode == Mode::Continuous {
            actions.push(At { ms: ms + rng.between(1, 5_000), what: Action::Kill });
        }
    }
    actions.sort_by_key(|at| at.ms);
}

/// A topic comes and goes faster than recovery points are made, while records come and nothing is wrong.
fn come_and_go(rng: &Rng, span: u64) -> Vec<At> {
    let (mut actions, mut ms) = (Vec::new(), 0);
    while ms < span {
        let name = || "comes-and-goes".to_owned();
        actions.push(At { ms, what: Action::Create(name(), 1, 1) });
        actions.push(At { ms: ms + 1, what: Action::Produce(name(), 0, 1, 3, 100) });
        actions.push(At { ms: ms + 2, what: Action::Produce("topic-1".to_owned(), 0, 1, 3, 100) });
        ms += rng.between(500, 5_000);
        actions.push(At { ms, what: Action::Delete(name()) });
        ms += rng.between(1, 500);
    }
    actions
}

fn settings(rng: &Rng) -> Settings {
    Settings {
        mode: *rng.pick(&[Mode::Incremental, Mode::Incremental, Mode::Full, Mode::Continuous, Mode::Continuous]),
        runs: rng.between(2, 5) as u32,
        latest: rng.percent(20),
        transaction_wait: rng.between(1, 12),
        bytes_per_sec: if rng.percent(25) { rng.between(20_000, 400_000) } else { 0 },
        concurrent: if rng.percent(20) { rng.between(1, 3) as u32 } else { 0 },
        connections: rng.between(1, 4) as u32,
        deadline_ms: rng.between(10_000, 40_000),
        timeout_ms: rng.between(2_000, 8_000),
        checkpoint: rng.between(1, 8),
        groups: rng.percent(40),
        named_runs: rng.percent(70),
        segment: 1 << 20,
        reread: false,
        part: Part::default(),
    }
}

impl Drawing {
    fn new(rng: Rng, brokers: i32, mode: Mode) -> Self {
        let (topics, open) = (Vec::new(), Vec::new());
        Self { rng, brokers, next_broker: brokers + 1, topics, next_topic: 0, next_transaction: 0, open, mode }
    }

    fn action(&mut self) -> Action {
        match self.rng.below(100) {
            0..30 => self.produce(),
            30..38 => self.transaction(),
            38..46 => self.end(),
            46..61 => self.change_topic(),
            61..71 => self.change_broker(),
            71..84 => self.fault(),
            84..93 => self.store(),
            93..97 => Action::Kill,
            97 | 98 => Action::Freeze(self.rng.between(500, 30_000)),
            _ if self.mode == Mode::Incremental => Action::Rival,
            _ => self.produce(),
        }
    }

    fn place(&self) -> (String, i32) {
        let (topic, partitions) = self.rng.pick(&self.topics);
        (topic.clone(), self.rng.below(*partitions as u64) as i32)
    }

    fn create(&mut self) -> Action {
        self.next_topic += 1;
        let (name, partitions) = (format!("topic-{}", self.next_topic), self.rng.between(1, 4) as i32);
        self.topics.push((name.clone(), partitions));
        Action::Create(name, partitions, self.rng.between(1, 2) as usize)
    }

    fn produce(&mut self) -> Action {
        let (topic, partition) = self.place();
        let (batches, records) = (self.rng.between(1, 12) as u32, self.rng.between(1, 10) as u32);
        let size = *self.rng.pick(&[9, 100, 100, 1000, 5000]);
        Action::Produce(topic, partition, batches, records, size)
    }

    fn transaction(&mut self) -> Action {
        self.next_transaction += 1;
        self.open.push(self.next_transaction);
        let (topic, partitions) = self.rng.pick(&self.topics).clone();
        let chosen = (0..partitions).filter(|_| self.rng.percent(60)).collect();
        Action::Begin(self.next_transaction, topic, chosen, self.rng.between(1, 6) as u32, 60)
    }

    fn end(&mut self) -> Action {
        if self.open.is_empty() {
            return self.transaction();
        }
        let at = self.rng.below(self.open.len() as u64) as usize;
        Action::End(self.open.remove(at), self.rng.percent(60))
    }

    fn change_topic(&mut self) -> Action {
        let (topic, partition) = self.place();
        match self.rng.below(15) {
            0..4 => Action::Trim(topic, partition, self.rng.between(5, 100)),
            4..8 => Action::Compact(topic, partition, self.rng.below(80), self.rng.between(20, 100)),
            8 | 9 => Action::Cut(topic, partition, self.rng.between(1, 60) as i64),
            10 | 11 => {
                let more = self.rng.between(1, 2) as i32;
                if let Some(known) = self.topics.iter_mut().find(|(name, _)| *name == topic) {
                    known.1 += more;
                }
                Action::Widen(topic, more)
            }
            12 => self.create(),
            13 => Action::Delete(topic),
            // Under the name of a deleted one, perhaps.
            _ => Action::Create(topic, self.rng.between(1, 3) as i32, 1),
        }
    }

    fn change_broker(&mut self) -> Action {
        let broker = self.rng.between(1, self.brokers as u64) as i32;
        let (topic, partition) = self.place();
        match self.rng.below(12) {
            0..3 => Action::Move(topic, partition),
            3..6 => Action::Stop(broker),
            6..9 => Action::Start(broker),
            9 => Action::Silence(broker, true),
            10 => Action::Silence(broker, false),
            _ if self.brokers > 1 => {
                self.next_broker += 1;
                Action::Replace(broker, self.next_broker)
            }
            _ => Action::Commit("group-1".into(), topic, partition),
        }
    }

    fn fault(&mut self) -> Action {
        let (topic, partition) = self.place();
        match self.rng.below(13) {
            0 | 1 => Action::Empty(self.rng.between(500, 15_000)),
            2 => Action::Slow(self.rng.between(10, 1500)),
            3 => Action::Throttle(*self.rng.pick(&APIS), self.rng.between(100, 6000) as i32),
            4 => Action::Quota(self.rng.between(5_000, 100_000)),
            5 | 6 => {
                let count = self.rng.between(1, 4) as u32;
                Action::Code(*self.rng.pick(&APIS), *self.rng.pick(&PASSING), Some(count))
            }
            7..10 => {
                let broken = self.broken();
                Action::Break(*self.rng.pick(&[1, 1, 1, 2, 3, 18]), broken, self.rng.between(1, 3) as u32)
            }
            10 => Action::Quota(0),
            11 => Action::Slow(0),
            _ => Action::Commit(format!("group-{}", self.rng.below(4)), topic, partition),
        }
    }

    fn broken(&mut self) -> Broken {
        match self.rng.below(5) {
            0 => Broken::CutAndClose,
            1 => Broken::CutAndHang,
            2 => Broken::Announce(1 << self.rng.between(10, 28)),
            3 => Broken::Never,
            _ => Broken::Close,
        }
    }

    fn store(&mut self) -> Action {
        let op =
            *self.rng.pick(&[Op::Put, Op::Create, Op::Create, Op::Part, Op::Complete, Op::Get, Op::Head, Op::List]);
        let key = *self.rng.pick(&["", "", "/log/", ".seg", "/points/", "set.json"]);
        let fault = match self.rng.below(9) {
            0 | 1 => Fault::LostAnswer,
            2 => Fault::DoneButFailed,
            3 => Fault::Failed,
            4 => Fault::Late(self.rng.between(100, 60_000)),
            5 | 6 => Fault::Slow(self.rng.between(100, 20_000)),
            7 => Fault::ListedLate(self.rng.between(100, 20_000)),
            _ => Fault::SeenLate(self.rng.between(100, 3_000)),
        };
        Action::Store(Rule { op, key: key.into(), fault, count: self.rng.between(1, 3) as u32 })
    }
}
