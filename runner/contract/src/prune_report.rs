//! What a run of retention did, for reports and statuses.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::RetentionRules;

/// Points and refusals that a short form has.
const FEW: usize = 3;

/// Objects of a store added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectSum {
    /// How many.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl ObjectSum {
    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What became of a recovery point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PointFate {
    /// It stays.
    Stays,
    /// It is no more: this run hid it.
    Removed,
    /// It may go, and was not hidden: a backup is going on in its set, or nothing was to be changed.
    MayGo,
}

/// A recovery point, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrunedPoint {
    /// Its name.
    pub name: String,
    /// What became of it.
    pub fate: PointFate,
    /// Why.
    pub why: String,
    /// When it was committed, by the store's clock; absent where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<Timestamp>,
    /// Stored bytes that come back with it after the grace period; of a set of many points its newest point that goes has those
    /// of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Objects that the store refused to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedObjects {
    /// Why.
    pub why: String,
    /// One of them.
    pub example: String,
    /// All of them.
    #[serde(flatten)]
    pub sum: ObjectSum,
}

/// A set of which nothing could be hidden, because a backup writes to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BusySet {
    /// The set.
    pub set: String,
    /// The run that wrote last.
    pub run: String,
}

/// What a run of retention did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PruneReport {
    /// Namespace of the owner of the sets; absent where no set is his.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Id of the source cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// What may go.
    pub rules: RetentionRules,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Recovery points that were looked at.
    pub inspected: u64,
    /// Those that the rules take away; hidden by this run, where it was to.
    pub eligible: u64,
    /// Recovery points that this run hid.
    pub removed: u64,
    /// Second of the newest of them (RFC 3339): later ones are all there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_until: Option<String>,
    /// Full backups that never were finished, and that this run gave up.
    pub given_up: u64,
    /// Stored bytes that come back with what goes, once the grace period is over.
    pub comes_back: u64,
    /// What is deleted.
    pub deleted: ObjectSum,
    /// Among it, what runs left that ended before they named it.
    pub leftovers: ObjectSum,
    /// Uploads in parts that were ended.
    pub ended_uploads: u64,
    /// What waits for the end of the grace period.
    pub waiting: ObjectSum,
    /// When the first of it may be deleted, by the store's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<Timestamp>,
    /// What may be deleted now and stays: a restore needs it, or nothing was to be changed.
    pub due: ObjectSum,
    /// What lies in folders that go and is no part of an archive. It stays.
    pub unknown: ObjectSum,
    /// What the store refused to delete.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedObjects>,
    /// Sets of which nothing could be hidden.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub busy: Vec<BusySet>,
    /// Who needs points or data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holds: Vec<String>,
    /// Sets that nothing is done to, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
    /// The points, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<PrunedPoint>,
}

impl PruneReport {
    /// Whether the run has hidden or deleted anything.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        self.removed > 0 || self.given_up > 0 || !self.deleted.is_none()
    }

    /// With a few of its lists' lines.
    #[must_use]
    pub fn short(&self) -> Self {
        let cut = |lines: &[String]| lines.iter().take(FEW).map(|line| line.chars().take(160).collect()).collect();
        // What went says more than what stays.
        let mut points: Vec<PrunedPoint> =
            self.points.iter().filter(|point| point.fate != PointFate::Stays).cloned().collect();
        points.truncate(FEW);
        let mut refused = self.refused.clone();
        refused.truncate(FEW);
        for one in &mut refused {
            one.why = one.why.chars().take(160).collect();
        }
        let mut busy = self.busy.clone();
        busy.truncate(FEW);
        Self { points, refused, busy, holds: cut(&self.holds), left: cut(&self.left), ..self.clone() }
    }

    /// Numbers alone.
    #[must_use]
    pub fn shortest(&self) -> Self {
        let none = Vec::new;
        Self { points: Vec::new(), refused: Vec::new(), busy: Vec::new(), holds: none(), left: none(), ..self.clone() }
    }
}
