//! The protocol of pruning, explored: every order of what two writers, two pruners, a restore and an inspection do, with
//! crashes, and with requests that come late or never. It is a model of FORMAT.md and of ARCHITECTURE.md ("Pruning"), not of
//! code: it says which steps are needed, since without any one of them the same search finds a point that lacks data.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::HashSet;

/// Segments and points are few: sets of them are bits.
type Bits = u16;

/// An entry of the log. Who wrote it makes it his.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Entry {
    Claim {
        by: u8,
    },
    /// The point needs these segments: its own, and that of the point before.
    Seal {
        by: u8,
        needs: Bits,
        own: Bits,
    },
    Prune {
        by: u8,
        oldest: u8,
        dead: Bits,
    },
}

/// A request on its way. A client that crashed has no say in it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Request {
    Create { n: u8, what: Entry },
    Put { segment: Bits },
    Delete { segment: Bits },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Writer {
    Idle,
    /// Waits for entry `n`, `what` of [`World::made`]; then it goes on with `then`.
    Creates {
        n: u8,
        what: Entry,
        then: Then,
    },
    Puts {
        segment: Bits,
        base: Bits,
        n: u8,
    },
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Then {
    Write { base: Bits },
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Pruner {
    Idle,
    Creates {
        n: u8,
        what: Entry,
    },
    /// Deletes these one by one.
    Deletes {
        dead: Bits,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reader {
    Idle,
    /// A point was chosen, and nobody knows.
    Chose {
        seal: u8,
    },
    /// Its state is saved, or, of an inspection, it reads.
    Holds {
        seal: u8,
        looked: bool,
    },
    Done,
}

/// The step that is left out, to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Without {
    Nothing,
    /// A restore looks at its point once more after its state is saved.
    SecondLook,
    /// The run that deletes looks for restores.
    HoldsAtDelete,
    /// It waits for the grace period.
    Grace,
    /// Segments are deleted because an entry calls them dead, not because none names them.
    Names,
    /// A `prune` entry is created only behind the end that was read.
    Fence,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    log: Vec<Entry>,
    stored: Bits,
    segments: u8,
    sent: Vec<Request>,
    writers: [Writer; 2],
    pruners: [Pruner; 2],
    restore: Reader,
    inspection: Reader,
    /// Whether the grace period after the newest `prune` entry is over.
    is_old: bool,
    crashes: u8,
    losses: u8,
    runs: [u8; 2],
    prunes: [u8; 2],
}

/// Numbers of crashes, lost requests, runs of each writer and of each pruner.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    crashes: u8,
    losses: u8,
    runs: u8,
    prunes: u8,
    /// Writers and pruners that are there.
    actors: (usize, usize),
}

impl World {
    fn new() -> Self {
        // A set with two points: 1 and 3, whose own segments are 1 and 2.
        let log = vec![
            Entry::Claim { by: 9 },
            Entry::Seal { by: 9, needs: 1, own: 1 },
            Entry::Claim { by: 9 },
            Entry::Seal { by: 9, needs: 2, own: 2 },
        ];
        Self {
            log,
            stored: 3,
            segments: 2,
            sent: Vec::new(),
            writers: [Writer::Idle; 2],
            pruners: [Pruner::Idle; 2],
            restore: Reader::Idle,
            inspection: Reader::Idle,
            is_old: false,
            crashes: 0,
            losses: 0,
            runs: [0; 2],
            prunes: [0; 2],
        }
    }

    fn pruned(&self) -> (u8, Bits) {
        let newest = self.log.iter().rev().find_map(|entry| match entry {
            Entry::Prune { oldest, dead, .. } => Some((*oldest, *dead)),
            _ => None,
        });
        newest.unwrap_or((0, 0))
    }

    /// Numbers of the points that are offered.
    fn offered(&self) -> Vec<u8> {
        let (oldest, _) = self.pruned();
        let seals = (0u8..).zip(&self.log).filter(|(_, entry)| matches!(entry, Entry::Seal { .. }));
        seals.map(|(n, _)| n).filter(|n| *n >= oldest).collect()
    }

    fn needs(&self, seal: u8) -> Bits {
        match self.log[usize::from(seal)] {
            Entry::Seal { needs, .. } => needs,
            _ => 0,
        }
    }

    fn send(&mut self, request: Request) {
        self.sent.push(request);
        self.sent.sort_unstable();
        self.sent.dedup();
    }

    fn create(&mut self, what: Entry, n: u8) -> Entry {
        self.send(Request::Create { n, what });
        what
    }

    fn end(&self) -> u8 {
        u8::try_from(self.log.len()).unwrap()
    }

    fn arrive(&mut self, request: Request, without: Without) {
        match request {
            Request::Create { n, what: entry } => {
                let anywhere = without == Without::Fence && matches!(entry, Entry::Prune { .. });
                if n == self.end() || (anywhere && !self.log.contains(&entry)) {
                    self.log.push(entry);
                    self.is_old &= !matches!(entry, Entry::Prune { .. });
                }
            }
            Request::Put { segment } => self.stored |= segment,
            Request::Delete { segment } => self.stored &= !segment,
        }
    }

    /// Whose entry stands at `n`: his, another's, or none.
    fn found(&self, n: u8, what: Entry) -> Option<bool> {
        self.log.get(usize::from(n)).map(|entry| *entry == what)
    }

    fn is_held(&self) -> bool {
        matches!(self.restore, Reader::Holds { .. })
    }

    /// Every world that one step leads to.
    fn next(&self, without: Without, bounds: &Bounds) -> Vec<Self> {
        let mut out = Vec::new();
        let mut step = |change: &dyn Fn(&mut Self)| {
            let mut world = self.clone();
            change(&mut world);
            if world != *self {
                out.push(world);
            }
        };
        for place in 0..self.sent.len() {
            step(&|world| {
                let request = world.sent.remove(place);
                world.arrive(request, without);
            });
            if self.losses < bounds.losses {
                step(&|world| {
                    world.sent.remove(place);
                    world.losses += 1;
                });
            }
        }
        for at in 0..2 {
            if at < bounds.actors.0 {
                step(&|world| world.write(at, bounds));
            }
            if at < bounds.actors.1 {
                step(&|world| world.prune(at, without, bounds));
            }
            if self.crashes < bounds.crashes {
                step(&|world| {
                    if !matches!(world.writers[at], Writer::Idle) {
                        (world.writers[at], world.crashes) = (Writer::Idle, world.crashes + 1);
                    }
                });
                step(&|world| {
                    if world.pruners[at] != Pruner::Idle {
                        (world.pruners[at], world.crashes) = (Pruner::Idle, world.crashes + 1);
                    }
                });
            }
        }
        step(&|world| world.restore_on(without));
        step(&|world| world.inspect_on());
        // An inspection ends within the grace period; a restore may take as long as it likes.
        if !matches!(self.inspection, Reader::Holds { .. } | Reader::Chose { .. }) {
            step(&|world| world.is_old |= world.pruned() != (0, 0));
        }
        out
    }

    fn write(&mut self, at: usize, bounds: &Bounds) {
        let by = u8::try_from(at).unwrap() * 16 + self.runs[at];
        match self.writers[at] {
            // Writers are alike: the first one begins.
            Writer::Idle if self.runs[at] < bounds.runs && self.runs[at] < self.runs[0] + u8::from(at == 0) => {
                self.runs[at] += 1;
                let base = self.log.iter().rev().find_map(|entry| match entry {
                    Entry::Seal { own, .. } => Some(*own),
                    _ => None,
                });
                let (base, n) = (base.unwrap_or(0), self.end());
                // What it builds on is there, or it stops.
                if self.stored & base == base {
                    let what = self.create(Entry::Claim { by: by + 1 }, n);
                    self.writers[at] = Writer::Creates { n, what, then: Then::Write { base } };
                }
            }
            Writer::Creates { n, what, then } if !self.sent.contains(&Request::Create { n, what }) => {
                match (self.found(n, what), then) {
                    (None, _) => self.send(Request::Create { n, what }),
                    (Some(false), _) => self.writers[at] = Writer::Stopped,
                    (Some(true), Then::End) => self.writers[at] = Writer::Idle,
                    (Some(true), Then::Write { base }) => {
                        let segment = 1 << self.segments;
                        self.segments += 1;
                        self.send(Request::Put { segment });
                        self.writers[at] = Writer::Puts { segment, base, n: n + 1 };
                    }
                }
            }
            Writer::Puts { segment, base, n } if !self.sent.contains(&Request::Put { segment }) => {
                if self.stored & segment == 0 {
                    self.send(Request::Put { segment });
                } else {
                    let what = self.create(Entry::Seal { by, needs: base | segment, own: segment }, n);
                    self.writers[at] = Writer::Creates { n, what, then: Then::End };
                }
            }
            Writer::Stopped => self.writers[at] = Writer::Idle,
            Writer::Idle | Writer::Creates { .. } | Writer::Puts { .. } => {}
        }
    }

    fn prune(&mut self, at: usize, without: Without, bounds: &Bounds) {
        let by = u8::try_from(at).unwrap() * 16 + self.prunes[at] + 100;
        match self.pruners[at] {
            Pruner::Idle if self.prunes[at] < bounds.prunes && self.prunes[at] < self.prunes[0] + u8::from(at == 0) => {
                self.prunes[at] += 1;
                let (_, dead) = self.pruned();
                if self.is_old || (without == Without::Grace && dead != 0) {
                    let dead = if without == Without::Names { self.unnamed() | dead } else { dead };
                    if (without == Without::HoldsAtDelete || !self.is_held()) && dead & self.stored != 0 {
                        self.pruners[at] = Pruner::Deletes { dead: dead & self.stored };
                        return;
                    }
                }
                let offered = self.offered();
                if let (false, [.., _, newest]) = (self.is_held(), &offered[..]) {
                    let (oldest, n) = (*newest, self.end());
                    let kept = self.needs(oldest);
                    let before = self.log.iter().take(usize::from(oldest)).fold(0, |all, entry| match entry {
                        Entry::Seal { own, .. } => all | own,
                        _ => all,
                    });
                    let what = self.create(Entry::Prune { by, oldest, dead: before & !kept }, n);
                    self.pruners[at] = Pruner::Creates { n, what };
                }
            }
            Pruner::Creates { n, what } if !self.sent.contains(&Request::Create { n, what }) => {
                match self.found(n, what) {
                    None => self.send(Request::Create { n, what }),
                    Some(_) => self.pruners[at] = Pruner::Idle,
                }
            }
            Pruner::Deletes { dead } => {
                let segment = 1 << dead.trailing_zeros();
                self.send(Request::Delete { segment });
                let dead = dead & !segment;
                self.pruners[at] = if dead == 0 { Pruner::Idle } else { Pruner::Deletes { dead } };
            }
            Pruner::Idle | Pruner::Creates { .. } => {}
        }
    }

    /// Stored segments that no entry names: those of dead runs, and of one that is alive.
    fn unnamed(&self) -> Bits {
        let named = self.log.iter().fold(0, |all, entry| match entry {
            Entry::Seal { own, .. } => all | own,
            _ => all,
        });
        self.stored & !named
    }

    fn restore_on(&mut self, without: Without) {
        self.restore = match self.restore {
            Reader::Idle => Reader::Chose { seal: self.offered()[0] },
            Reader::Chose { seal } => Reader::Holds { seal, looked: without == Without::SecondLook },
            Reader::Holds { seal, looked: false } if !self.offered().contains(&seal) => Reader::Done,
            Reader::Holds { seal, looked: false } => Reader::Holds { seal, looked: true },
            Reader::Holds { .. } | Reader::Done => Reader::Done,
        };
    }

    fn inspect_on(&mut self) {
        self.inspection = match self.inspection {
            Reader::Idle => Reader::Chose { seal: self.offered()[0] },
            Reader::Chose { seal } => Reader::Holds { seal, looked: true },
            Reader::Holds { .. } | Reader::Done => Reader::Done,
        };
    }

    /// A point that lacks what it needs, though it is offered or somebody reads it.
    fn broken(&self) -> Option<u8> {
        let reads = [self.restore, self.inspection].into_iter().filter_map(|reader| match reader {
            Reader::Holds { seal, looked: true } => Some(seal),
            _ => None,
        });
        let mut all = self.offered().into_iter().chain(reads);
        all.find(|seal| self.needs(*seal) & !self.stored != 0)
    }
}

/// Goes through all worlds; how many there are, and the first that is broken.
fn explore(without: Without, bounds: &Bounds) -> (usize, Option<(u8, World)>) {
    let mut seen = HashSet::from([World::new()]);
    let mut open = vec![World::new()];
    while let Some(world) = open.pop() {
        if let Some(point) = world.broken() {
            return (seen.len(), Some((point, world)));
        }
        for next in world.next(without, bounds) {
            if seen.insert(next.clone()) {
                open.push(next);
            }
        }
    }
    (seen.len(), None)
}

#[test]
fn no_order_of_steps_leaves_a_kept_point_without_data() {
    for bounds in [
        Bounds { crashes: 1, losses: 1, runs: 1, prunes: 2, actors: (1, 1) },
        Bounds { crashes: 0, losses: 0, runs: 1, prunes: 2, actors: (2, 1) },
        Bounds { crashes: 0, losses: 0, runs: 1, prunes: 2, actors: (1, 2) },
    ] {
        let (worlds, broken) = explore(Without::Nothing, &bounds);
        assert!(broken.is_none(), "{broken:?}");
        assert!(worlds > 10_000, "{worlds}");
    }
}

#[test]
fn every_step_is_needed() {
    let alone = Bounds { crashes: 0, losses: 0, runs: 1, prunes: 2, actors: (1, 1) };
    let two = Bounds { runs: 2, actors: (1, 2), ..alone };
    let all = [
        (Without::SecondLook, &alone),
        (Without::HoldsAtDelete, &alone),
        (Without::Grace, &alone),
        (Without::Names, &alone),
        (Without::Fence, &two),
    ];
    for (without, bounds) in all {
        let (worlds, broken) = explore(without, bounds);
        assert!(broken.is_some(), "{without:?} is not needed in {worlds} worlds");
    }
}
