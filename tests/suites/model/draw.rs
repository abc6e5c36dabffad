//! One seed draws one history: two parts, between which the cluster starts anew. Pure.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::step::{Batch, By, Flaw, Spot, Step, Topic, Who};

/// Letters of topics.
const LETTERS: [char; 3] = ['a', 'b', 'c'];
/// Names of transactions.
const NAMES: u8 = 2;
/// Partitions of a topic at most.
const WIDEST: i32 = 3;
/// Steps of each part, besides what opens and closes it.
const STEPS: usize = 35;
/// Versions of Fetch that both releases and the engine know.
const FETCH: [i16; 6] = [4, 8, 11, 12, 13, 17];
/// Bytes of a partition in an answer: everything, a batch or two, less than a batch.
const ROOM: [i32; 4] = [1 << 20, 1000, 300, 20];

/// A history.
#[derive(Debug)]
pub struct History {
    /// Before the cluster starts anew.
    pub before: Vec<Step>,
    /// After it.
    pub after: Vec<Step>,
}

struct Draw {
    rng: Rng,
    /// Partitions of topics that are there.
    topics: BTreeMap<char, i32>,
    /// The transaction's name of each `Init` step.
    slots: Vec<Option<u8>>,
    /// Next sequence of a producer in a partition.
    sequences: BTreeMap<(usize, char, i32), i32>,
    steps: Vec<Step>,
    /// The cluster started anew: from here on records and topics are deleted.
    late: bool,
}

/// The history of a seed.
pub fn history(seed: u64) -> History {
    let rng = Rng::with_seed(seed);
    let (topics, sequences) = (BTreeMap::new(), BTreeMap::new());
    let mut draw = Draw { rng, topics, slots: Vec::new(), sequences, steps: Vec::new(), late: false };
    draw.create('a');
    draw.create('b');
    for name in [None, Some(0), Some(1)] {
        draw.init(name, None);
    }
    let before = draw.part();
    draw.late = true;
    let after = draw.part();
    History { before, after }
}

impl Draw {
    fn part(&mut self) -> Vec<Step> {
        for _ in 0..STEPS {
            self.step();
        }
        let letters: Vec<char> = self.topics.keys().copied().collect();
        for letter in letters {
            let step = self.look(letter);
            self.steps.push(step);
            for partition in 0..self.topics[&letter] {
                self.steps.push(Step::Producers(Topic::Now(letter), partition));
            }
            self.steps.push(Step::Configs(Topic::Now(letter)));
        }
        self.steps.extend([Step::Committed(0), Step::Committed(1), Step::Groups]);
        self.steps.push(Step::Metadata(By::All, Vec::new()));
        std::mem::take(&mut self.steps)
    }

    fn look(&mut self, letter: char) -> Step {
        Step::Look(letter, self.pick(&FETCH), self.pick(&ROOM))
    }

    fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.rng.usize(0..all.len())]
    }

    fn percent(&mut self, chance: u8) -> bool {
        self.rng.u8(0..100) < chance
    }

    /// A topic, mostly one that is there.
    fn topic(&mut self) -> Topic {
        let letters: Vec<char> = self.topics.keys().copied().collect();
        match self.rng.u8(0..100) {
            0..3 => Topic::Nobody,
            3..6 => Topic::Before(self.pick(&LETTERS)),
            6..9 => Topic::Now(self.pick(&LETTERS)),
            _ if letters.is_empty() => Topic::Now('a'),
            _ => Topic::Now(self.pick(&letters)),
        }
    }

    fn place(&mut self) -> (Topic, i32) {
        let topic = self.topic();
        let count = match topic {
            Topic::Now(letter) | Topic::Before(letter) => self.topics.get(&letter).copied().unwrap_or(1),
            Topic::Nobody => 1,
        };
        let partition = if self.percent(4) { count } else { self.rng.i32(0..count) };
        (topic, partition)
    }

    fn create(&mut self, letter: char) {
        let all: [(&str, &str); 6] = [
            ("message.timestamp.type", "LogAppendTime"),
            ("max.message.bytes", "400"),
            ("cleanup.policy", "compact"),
            ("retention.ms", "-1"),
            ("min.insync.replicas", "2"),
            ("cleanup.policy", "compact,delete"),
        ];
        let configs = if self.percent(40) { vec![self.pick(&all)] } else { Vec::new() };
        let partitions = self.rng.i32(1..WIDEST);
        self.steps.push(Step::Create(letter, partitions, configs));
        self.topics.entry(letter).or_insert(partitions);
    }

    fn init(&mut self, name: Option<u8>, given: Option<Who>) {
        self.slots.push(name);
        self.steps.push(Step::Init(name, given));
    }

    /// The newest producer of a transaction's name, or sometimes another one, or another epoch.
    fn who(&mut self, name: u8) -> Who {
        let newest = self.slots.iter().rposition(|slot| *slot == Some(name)).expect("each name has one");
        let slot = if self.percent(8) { self.rng.usize(0..self.slots.len()) } else { newest };
        let shift = match self.rng.u8(0..100) {
            0..4 => -1,
            4..8 => 1,
            _ => 0,
        };
        Who { slot, shift }
    }

    fn step(&mut self) {
        let step = match self.rng.u8(0..100) {
            0..34 => return self.produce(),
            34..40 => return self.again(),
            40..45 => {
                let name = self.rng.u8(0..NAMES);
                let places = (0..self.rng.usize(1..4)).map(|_| self.place()).collect();
                Step::Add(name, self.who(name), places)
            }
            45..54 => {
                let name = self.rng.u8(0..NAMES);
                Step::End(name, self.who(name), self.rng.bool())
            }
            54..58 if self.late => {
                let (topic, partition) = self.place();
                let to = if self.percent(15) { -1 } else { self.rng.i64(0..25) };
                Step::Trim(topic, partition, to)
            }
            58..60 => {
                let (topic, partition) = self.place();
                Step::Commit(self.rng.u8(0..2), topic, partition, self.rng.i64(0..30))
            }
            60..63 => return self.change(),
            63..75 => return self.offsets(),
            75..79 => {
                let (topic, partition) = self.place();
                let current = self.epoch();
                Step::EpochEnd(topic, partition, self.rng.i32(-3..3), current)
            }
            79..91 => self.fetch(),
            91..95 => {
                let by = self.pick(&[By::Name, By::Id]);
                let topics = [Topic::Nobody, Topic::Now('a'), Topic::Now('c'), Topic::Before('b')];
                let count = self.rng.usize(1..=topics.len());
                Step::Metadata(by, topics[..count].to_vec())
            }
            95..97 => {
                let (topic, partition) = self.place();
                Step::Producers(topic, partition)
            }
            97..98 => Step::Committed(self.rng.u8(0..2)),
            _ => {
                let letters: Vec<char> = self.topics.keys().copied().collect();
                let letter = if letters.is_empty() { 'a' } else { self.pick(&letters) };
                self.look(letter)
            }
        };
        self.steps.push(step);
    }

    /// Asks for a producer id once more, sometimes with one that is known.
    fn again(&mut self) {
        let name = if self.percent(30) { None } else { Some(self.rng.u8(0..NAMES)) };
        let given = match name {
            Some(name) if self.percent(40) => Some(self.who(name)),
            _ => None,
        };
        self.init(name, given);
    }

    /// Changes topics.
    fn change(&mut self) {
        let letter = self.pick(&LETTERS);
        let there = self.topics.contains_key(&letter);
        match self.rng.u8(0..10) {
            0..3 if there && self.late => {
                self.topics.remove(&letter);
                self.sequences.retain(|(_, known, _), _| *known != letter);
                self.steps.push(Step::Delete(letter));
                if self.percent(70) {
                    self.create(letter);
                }
            }
            0..4 => self.create(letter),
            4..7 => {
                let count = self.rng.i32(1..=WIDEST);
                self.steps.push(Step::Widen(letter, count));
                if let Some(known) = self.topics.get_mut(&letter) {
                    *known = (*known).max(count);
                }
            }
            _ => {
                let all = [
                    ("max.message.bytes", Some("300")),
                    ("max.message.bytes", None),
                    ("retention.ms", Some("-1")),
                    ("message.timestamp.type", Some("LogAppendTime")),
                    ("message.timestamp.type", None),
                    ("cleanup.policy", Some("compact")),
                    ("min.insync.replicas", None),
                ];
                let (name, value) = self.pick(&all);
                self.steps.push(Step::Alter(letter, name, value));
            }
        }
    }

    /// A current leader epoch: mostly none, or the right one, or an old or a newer one.
    fn epoch(&mut self) -> Option<i32> {
        match self.rng.u8(0..10) {
            0..5 => None,
            5..8 => Some(0),
            8 => Some(-1),
            _ => Some(1),
        }
    }

    fn offsets(&mut self) {
        let (topic, partition) = self.place();
        for _ in 0..self.rng.u8(1..4) {
            // Times of records, before and behind them, and what negative ones stand for.
            let version = self.rng.i16(1..=8);
            let known: &[i64] = if version >= 8 {
                &[-1, -2, -3, -4]
            } else if version == 7 {
                &[-1, -2, -3]
            } else {
                &[-1, -2]
            };
            let time = if self.percent(60) { self.pick(known) } else { self.rng.i64(0..120_000) };
            let epoch = self.epoch();
            let step = Step::Offsets(version, self.rng.bool(), topic, partition, time, epoch);
            self.steps.push(step);
        }
    }

    fn fetch(&mut self) -> Step {
        let mut spots: Vec<Spot> = Vec::new();
        for _ in 0..self.rng.u8(1..4) {
            let (topic, partition) = self.place();
            // One request names a partition once.
            if spots.iter().any(|spot| spot.partition == partition) {
                continue;
            }
            let (epoch, fetched) = (self.epoch(), self.epoch());
            let spot = Spot { topic, partition, offset: self.rng.i64(-1..30), epoch, fetched, bytes: self.pick(&ROOM) };
            spots.push(spot);
        }
        Step::Fetch(self.pick(&FETCH), self.rng.bool(), self.pick(&ROOM), spots)
    }

    /// One batch, or what a transaction does: partitions join, batches come, and it may end.
    fn produce(&mut self) {
        let (topic, partition) = self.place();
        let (producer, name) = match self.rng.u8(0..100) {
            0..40 => (None, None),
            40..55 => {
                let plain: Vec<usize> = (0..self.slots.len()).filter(|slot| self.slots[*slot].is_none()).collect();
                (Some((Who { slot: self.pick(&plain), shift: 0 }, false)), None)
            }
            55..58 => (Some((self.who(0), false)), None),
            _ => {
                let name = self.rng.u8(0..NAMES);
                let who = self.who(name);
                if self.percent(80) {
                    self.steps.push(Step::Add(name, who, vec![(topic, partition)]));
                }
                (Some((who, true)), Some(name))
            }
        };
        for _ in 0..self.rng.u8(1..3) {
            let count = if self.percent(3) { 2 } else { 1 };
            let batches = (0..count).map(|_| self.batch(topic, partition, producer)).collect();
            self.steps.push(Step::Produce(topic, partition, name, batches, self.rng.i16(3..=8)));
        }
        if let Some(name) = name.filter(|_| self.percent(40)) {
            let (who, commits) = (self.who(name), self.rng.bool());
            self.steps.push(Step::End(name, who, commits));
        }
    }

    fn batch(&mut self, topic: Topic, partition: i32, producer: Option<(Who, bool)>) -> Batch {
        let records = self.rng.i32(1..4);
        let letter = match topic {
            Topic::Now(letter) | Topic::Before(letter) => letter,
            Topic::Nobody => '-',
        };
        let sequence = producer.map_or(0, |(who, _)| {
            let odd = self.rng.u8(0..100);
            let next = self.sequences.entry((who.slot, letter, partition)).or_insert(0);
            match odd {
                // Once more, or with a hole.
                0..6 => (*next - records).max(0),
                6..9 => *next + 2,
                _ => {
                    *next += records;
                    *next - records
                }
            }
        });
        let flaw = match self.rng.u8(0..60) {
            0 => Flaw::Checksum,
            1 => Flaw::Base,
            2 => Flaw::Count,
            3 => Flaw::Control,
            _ => Flaw::None,
        };
        let (codec, seed) = (self.rng.u8(0..5), self.rng.u64(..));
        let (size, null_keys) = (self.pick(&[10, 60, 200]), self.percent(40));
        // zstd came with version 7; older producers are refused, which is a matter of its own.
        let codec = if codec == 4 && self.percent(50) { 0 } else { codec };
        Batch { producer, sequence, codec, seed, records, size, null_keys, flaw }
    }
}
