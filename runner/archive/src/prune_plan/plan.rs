//! The values of a plan of retention. Pure.

use contract::retention::{Hold, Verdict};
use jiff::Timestamp;

pub use super::cutting::{Cutting, PruneRun};
use crate::{ArchiveError, Owner};

/// What would go, and what stays.
#[derive(Debug, Clone)]
pub struct PrunePlan {
    /// Whose backups they are; `None` where no set is his.
    pub owner: Option<Owner>,
    /// The moment that ages are measured from: the newest time that the store tells of these sets.
    pub now: Timestamp,
    /// The points, oldest first.
    pub points: Vec<PlannedPoint>,
    /// Sets of many points.
    pub chains: Vec<ChainPlan>,
    /// Full backups without a recovery point.
    pub unfinished: Vec<UnfinishedSet>,
    /// Full backups that go: each with its seal.
    pub whole: Vec<WholeSet>,
    /// Sets that nothing is done to.
    pub left: Vec<LeftSet>,
    /// Who needs points.
    pub holds: Vec<Hold>,
}

/// What becomes of a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedPoint {
    /// Its name.
    pub name: String,
    /// Its set.
    pub set: String,
    /// When it was committed, by the store's clock; `None` where nobody knows.
    pub committed: Option<Timestamp>,
    /// Seconds from then to [`PrunePlan::now`].
    pub age_secs: Option<u64>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Stored bytes that come back with it, once its objects are deleted. Of a set of many points its newest point that
    /// goes has the bytes of all of them.
    pub bytes: Option<u64>,
    /// Partitions that end before the source's end.
    pub held_back: u64,
}

/// Segments added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heaped {
    /// How many.
    pub segments: u64,
    /// Stored bytes that come back.
    pub bytes: u64,
}

impl Heaped {
    pub(super) fn add(&mut self, bytes: u64) {
        self.segments += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// What becomes of a set of many points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPlan {
    /// The set.
    pub set: String,
    /// The oldest point that stays.
    pub oldest: String,
    /// What it takes in the store.
    pub stored_bytes: u64,
    /// Segments that no point that stays needs.
    pub dead: Heaped,
    /// Segments of which less than a third is needed: their other bytes come back when they are written anew.
    pub rewritable: Heaped,
    /// Bytes of documents beside seals, hints and reports that go. The log and its roll-ups stay.
    pub beside_bytes: u64,
    /// Topics that lose records.
    pub topics: u64,
    /// Largest timestamp of those records (milliseconds).
    pub newest_record: Option<i64>,
    /// Compacted topics of which nothing goes.
    pub compacted: Vec<CompactedTopic>,
    /// What an entry of the log would say, so that readers leave out what goes; none where nothing does.
    pub cutting: Option<Cutting>,
}

impl ChainPlan {
    /// Stored bytes that come back once objects are deleted.
    #[must_use]
    pub fn comes_back(&self) -> u64 {
        self.dead.bytes.saturating_add(self.beside_bytes)
    }
}

/// A compacted topic that stays whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactedTopic {
    /// Its name.
    pub name: String,
    /// Its bytes before compression.
    pub bytes: u64,
}

/// A full backup that goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeSet {
    /// The set.
    pub set: String,
    /// Number of its newest entry, which is its seal.
    pub(crate) behind: u64,
}

/// A full backup that was never sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedSet {
    /// The set.
    pub set: String,
    /// What it takes in the store.
    pub bytes: u64,
    /// Whether it is given up: a newer point is there, and nothing was written for long.
    pub goes: bool,
    /// Number of its newest entry; none where its log is empty.
    pub(crate) behind: Option<u64>,
}

/// A set that nothing is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftSet {
    /// The set.
    pub set: String,
    /// Why.
    pub why: Left,
}

/// Why nothing is done to a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// It belongs to somebody else, or comes from another cluster.
    OtherOwner {
        /// To whom.
        owner: Owner,
    },
    /// It cannot be read.
    Unread {
        /// What is wrong with it.
        what: String,
    },
    /// Retention removed its points before.
    Removed {
        /// The entry that says so.
        entry: u64,
    },
    /// Its newest point is not whole.
    Incomplete {
        /// What it lacks.
        what: String,
    },
}

impl Left {
    /// Of a set that cannot be read. A failure of the store is no word about the set, and comes back.
    pub(super) fn of(error: ArchiveError) -> Result<Self, ArchiveError> {
        match error {
            ArchiveError::Damaged { .. }
            | ArchiveError::TooLarge { .. }
            | ArchiveError::Batch { .. }
            | ArchiveError::OtherSet { .. }
            | ArchiveError::Newer { .. } => Ok(Self::Unread { what: error.to_string() }),
            other => Err(other),
        }
    }
}
