//! What a simulation is made of: a cluster, a specification, and things that happen at virtual times. Readable.

use std::fmt;

use crate::broker::{Broken, Expiration};
use crate::store::Rule;

/// What kind of backup runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Each run makes a set of its own.
    Full,
    /// Runs extend one set.
    Incremental,
    /// One run follows, with a recovery point at each checkpoint.
    Continuous,
    /// A full backup of what there was before, and its restore into an empty cluster.
    Restore,
}

/// Another restore into the same topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rival {
    /// The same one: a second pod of its run.
    Same,
    /// One of another name.
    Other,
    /// One of another name that keeps its state in another store.
    Elsewhere,
}

/// A run of retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prune {
    /// So many of the newest points stay, and no others.
    pub least: u32,
    /// `graceSecs`.
    pub grace: u64,
    /// `waitSecs`.
    pub wait: u64,
    /// Its exchange with the store at which it dies; 0: never.
    pub dies_at: u64,
}

/// What the specification says.
#[derive(Debug, Clone)]
// Each flag is a field of the specification.
#[allow(clippy::struct_excessive_bools)]
pub struct Settings {
    /// Kind of backup.
    pub mode: Mode,
    /// Runs of a snapshot, one after the other.
    pub runs: u32,
    /// Unknown partitions begin at their ends.
    pub latest: bool,
    /// `openTransactionWaitSecs`.
    pub transaction_wait: u64,
    /// `rateLimit.bytesPerSec`, 0 for none.
    pub bytes_per_sec: u64,
    /// `maxConcurrentPartitions`, 0 for none.
    pub concurrent: u32,
    /// `connectionsPerBroker`.
    pub connections: u32,
    /// `retryDeadlineMs`.
    pub deadline_ms: u64,
    /// `requestTimeoutMs`.
    pub timeout_ms: u64,
    /// `checkpointIntervalSecs`.
    pub checkpoint: u64,
    /// `consumerGroupSnapshot`.
    pub groups: bool,
    /// `run` is given, as the operator does.
    pub named_runs: bool,
    /// `segmentMaxBytes`.
    pub segment: u64,
    /// `onMissingSegments` is `reread`.
    pub reread: bool,
    /// What a restore is about.
    pub part: Part,
}

/// What the specification of a restore says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Part {
    /// `startTime` in virtual milliseconds.
    pub start: Option<u64>,
    /// `endTime`.
    pub end: Option<u64>,
    /// `includeOffsetHeaders`.
    pub headers: bool,
    /// `rateLimit.bytesPerSec`, 0 for none.
    pub bytes_per_sec: u64,
    /// Source partitions below this number meet in partition 0 of the target; 0 for none.
    pub meet: i32,
}

impl Part {
    /// Where a source partition goes.
    #[must_use]
    pub fn target_of(self, partition: i32) -> i32 {
        if partition < self.meet { 0 } else { partition }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: Mode::Incremental,
            runs: 2,
            latest: false,
            transaction_wait: 5,
            bytes_per_sec: 0,
            concurrent: 0,
            connections: 2,
            deadline_ms: 20_000,
            timeout_ms: 5_000,
            checkpoint: 5,
            groups: false,
            named_runs: true,
            segment: 1 << 20,
            reread: false,
            part: Part::default(),
        }
    }
}

/// Something that happens.
#[derive(Debug, Clone)]
pub enum Action {
    /// A topic is made: name, partitions, replicas.
    Create(String, i32, usize),
    /// A topic is deleted.
    Delete(String),
    /// Partitions are added.
    Widen(String, i32),
    /// The user may no longer, or again, describe a topic.
    Forbid(String, bool),
    /// A producer writes batches of records of this size: topic, partition, batches, records in each, bytes.
    Produce(String, i32, u32, u32, usize),
    /// A transaction writes to partitions of a topic, records of this size; it is named by a number.
    Begin(u32, String, Vec<i32>, u32, usize),
    /// A transaction ends: committed or not.
    End(u32, bool),
    /// Retention deletes up to so many percent of a partition.
    Trim(String, i32, u64),
    /// An administrator deletes the records below an offset, also those of an open transaction.
    Erase(String, i32, i64),
    /// So many milliseconds pass before what comes next; only before the first run.
    Wait(u64),
    /// The cleaner keeps about so many percent of the records below so many percent of the log.
    Compact(String, i32, u64, u64),
    /// An unclean election cuts so many records off.
    Cut(String, i32, i64),
    /// The leader moves.
    Move(String, i32),
    /// A broker stops.
    Stop(i32),
    /// A broker starts.
    Start(i32),
    /// A broker takes requests and does not answer, or does so again.
    Silence(i32, bool),
    /// A broker is frozen: others lead what it led.
    Sleep(i32),
    /// It wakes up, and does not know yet what happened meanwhile.
    Wake(i32),
    /// It hears of it.
    Learn(i32),
    /// A broker is replaced by one with another number.
    Replace(i32, i32),
    /// Fetch answers hold nothing for so many milliseconds.
    Empty(u64),
    /// Answers take so many milliseconds longer.
    Slow(u64),
    /// Answers to an API ask for silence of so many milliseconds; 0: no longer.
    Throttle(i16, i32),
    /// Fetch answers may have so many bytes per second; 0: no limit.
    Quota(u64),
    /// Brokers tell nothing of a topic but a code.
    Undescribe(String, i16),
    /// The leader of a partition says of every offset that it is out of range.
    Deny(String, i32),
    /// Requests of an API are answered with a code, so many times; `None`: for ever.
    Code(i16, i16, Option<u32>),
    /// The next answers to an API are broken.
    Break(i16, Broken, u32),
    /// An API is offered up to this version only.
    Offer(i16, i16),
    /// A group commits the end of a partition.
    Commit(String, String, i32),
    /// The next fitting requests to the store go wrong.
    Store(Rule),
    /// Objects whose key contains a text are removed from the store.
    Lose(String),
    /// A lifecycle rule removes about so many percent of the segments.
    Expire(u64),
    /// The runner is killed; it is started again.
    Kill,
    /// The runner is stopped for so many milliseconds.
    Freeze(u64),
    /// Another run of the same set is started.
    Rival,
    /// Another restore is started.
    Restore(Rival),
    /// A run of retention is started.
    Prune(Prune),
    /// Somebody sets a config of a topic.
    Config(String, String, String),
    /// Brokers forget who is idle for long.
    Expiration(Expiration),
    /// Brokers delete what is older than its topic keeps, and forget who was idle for too long.
    Sweep,
    /// Everything that is wrong ends: brokers start, faults pass.
    Heal,
}

impl Action {
    /// Whether a run may suffer from it: what producers, retention, the cleaner and an administrator do is no trouble.
    pub fn is_trouble(&self) -> bool {
        !matches!(
            self,
            Self::Create(..)
                | Self::Delete(..)
                | Self::Widen(..)
                | Self::Produce(..)
                | Self::Begin(..)
                | Self::End(..)
                | Self::Trim(..)
                | Self::Erase(..)
                | Self::Compact(..)
                | Self::Wait(_)
                | Self::Commit(..)
                | Self::Sweep
                | Self::Prune(_)
        )
    }
}

/// An action and when it happens.
#[derive(Debug, Clone)]
pub struct At {
    /// Virtual milliseconds.
    pub ms: u64,
    /// What happens.
    pub what: Action,
}

/// A whole simulation.
#[derive(Debug, Clone)]
pub struct Script {
    /// Decides everything that the script does not: latencies, order, names.
    pub seed: u64,
    /// Brokers.
    pub brokers: i32,
    /// The specification.
    pub settings: Settings,
    /// Things that happen before the first run starts.
    pub before: Vec<Action>,
    /// Things that happen in the target of a restore before it starts.
    pub target: Vec<Action>,
    /// Things that happen then.
    pub actions: Vec<At>,
    /// The attempt with this number (from 1) dies at its n-th exchange with the world.
    pub deaths: Vec<(u32, u64)>,
    /// Milliseconds between the end of a run and the start of the next.
    pub pause_ms: u64,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            seed: 1,
            brokers: 1,
            settings: Settings::default(),
            before: Vec::new(),
            target: Vec::new(),
            actions: Vec::new(),
            deaths: Vec::new(),
            pause_ms: 2000,
        }
    }
}

impl Script {
    /// Whether retention runs.
    pub fn has_retention(&self) -> bool {
        self.actions.iter().any(|at| matches!(at.what, Action::Prune(_)))
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, {} brokers, {} ms between runs, {:?}",
            self.seed, self.brokers, self.pause_ms, self.settings
        )?;
        for action in &self.before {
            writeln!(f, "   before  {action:?}")?;
        }
        for action in &self.target {
            writeln!(f, "   target  {action:?}")?;
        }
        for at in &self.actions {
            writeln!(f, "{:>6} ms  {:?}", at.ms, at.what)?;
        }
        for (attempt, exchange) in &self.deaths {
            writeln!(f, "attempt {attempt} is killed at its exchange {exchange}")?;
        }
        Ok(())
    }
}
