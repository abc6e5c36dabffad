//! What a run of retention did. Pure.

use std::collections::{BTreeMap, BTreeSet};

use contract::retention::Hold;
use jiff::Timestamp;

use crate::{PlannedPoint, PrunePlan};

/// Objects added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Counted {
    pub(super) fn add(&mut self, bytes: u64) {
        self.add_all(Self { objects: 1, bytes });
    }

    pub(super) fn add_all(&mut self, other: Self) {
        self.objects = self.objects.saturating_add(other.objects);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What the store did not delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// One of the objects.
    pub example: String,
    /// How many.
    pub of: Counted,
}

/// An entry that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The set.
    pub set: String,
    /// Number of the entry in its log.
    pub entry: u64,
    /// The points that went with it; none of a full backup that was never finished.
    pub points: Vec<PlannedPoint>,
}

/// What a run of retention did so far.
#[derive(Debug, Clone, Default)]
pub struct PruneDone {
    /// The plan that was made last: what stays, and why. Points that went are in `said` alone.
    pub plan: Option<PrunePlan>,
    /// What the run said.
    pub said: Vec<Said>,
    /// Sets in which a run is going on, so that nothing could be said: set, and the run that wrote last.
    pub busy: BTreeMap<String, String>,
    /// What is deleted.
    pub gone: Counted,
    /// Among it, what runs left that were ended before they named it.
    pub leftovers: Counted,
    /// Uploads in parts that were ended.
    pub ended_uploads: u64,
    /// What the store refused to delete, by why.
    pub refused: BTreeMap<String, Refusal>,
    /// What may be deleted now and was not: of sets that a restore needs, or because nothing was to be deleted.
    pub due: Counted,
    /// What is to be deleted and waits for the end of the grace period.
    pub waiting: Counted,
    /// When the first of it may go, by the store's clock.
    pub waits_until: Option<Timestamp>,
    /// Restores that have not ended, for which objects stay.
    pub holds: BTreeSet<Hold>,
    /// What lies in folders that go and has no name of an archive. Nobody deletes it.
    pub unknown: Counted,
    /// What went wrong and changes nothing.
    pub warnings: Vec<String>,
}

impl PruneDone {
    /// Tells of a set that cannot be read.
    pub(super) fn leave(&mut self, set: &str, what: &str) {
        self.warnings.push(format!("set {set} is left as it is, because it cannot be read: {what}"));
    }

    pub(super) fn busy_sets(&self) -> Vec<&str> {
        self.busy.keys().map(String::as_str).collect()
    }

    /// Full backups that this run said go.
    pub(super) fn removed_sets(&self) -> impl Iterator<Item = &str> {
        let is_whole = |said: &&Said| said.points.first().is_none_or(|point| point.name == said.set);
        self.said.iter().filter(is_whole).map(|said| said.set.as_str())
    }

    pub(super) fn wait(&mut self, of: Counted, until: Option<Timestamp>) {
        if of == Counted::default() {
            return;
        }
        self.waiting.add_all(of);
        self.waits_until = match (self.waits_until, until) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
}
