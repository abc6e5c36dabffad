//! What the rules of retention would take away of a backup: the values, and their sentences.

use archive::Owner;
use contract::retention::{Hold, RetentionRules, Verdict};
use contract::words::{count, plural, size};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What becomes of a point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetainedPoint {
    /// Name.
    pub name: String,
    /// Its set.
    pub set: String,
    /// When it was committed, by the store's clock; `None` where nobody knows.
    pub committed: Option<Timestamp>,
    /// Seconds from then to the plan's `now`.
    pub age_secs: Option<u64>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// The same in words.
    pub why: String,
    /// Stored bytes that come back with it; of a set of many points its newest point that goes has those of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Partitions that end before the source's end.
    pub held_back: u64,
}

/// All of a plan but its points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetentionPlan {
    /// The backup.
    pub name: String,
    /// Its namespace; `None` where no set is its own.
    pub namespace: Option<String>,
    /// Id of its source cluster.
    pub cluster_id: Option<String>,
    /// The moment that ages are measured from: the newest time that the store tells.
    pub now: Timestamp,
    /// The rules.
    pub rules: RetentionRules,
    /// Points that were looked at.
    pub points: u64,
    /// Points that may go.
    pub may_go: u64,
    /// Stored bytes that come back once objects are deleted.
    pub comes_back: u64,
    /// Sets of many points.
    pub chains: Vec<RetainedSet>,
    /// Full backups that were never sealed.
    pub unfinished: Vec<Unfinished>,
    /// Sets that nothing is done to.
    pub left: Vec<LeftAlone>,
    /// Who needs points.
    pub holds: Vec<Hold>,
}

/// A plan with its points, as one document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WholeRetentionPlan {
    /// The plan.
    #[serde(flatten)]
    pub plan: RetentionPlan,
    /// Its points, oldest first.
    pub items: Vec<RetainedPoint>,
}

/// What becomes of a set of many points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetainedSet {
    /// The set.
    pub set: String,
    /// The oldest point that stays.
    pub oldest: String,
    /// What it takes in the store.
    pub stored_bytes: u64,
    /// Stored bytes that come back once objects are deleted.
    pub comes_back: u64,
    /// Segments that nothing needs any more.
    pub dead_segments: u64,
    /// Segments of which less than a third is needed.
    pub rewritable_segments: u64,
    /// Stored bytes that come back when these are written anew.
    pub rewritable_bytes: u64,
    /// Topics that lose records.
    pub topics: u64,
    /// Largest timestamp of those records; `None` when there are none.
    pub newest_record: Option<Timestamp>,
    /// Compacted topics of which nothing goes.
    pub compacted: Vec<Compacted>,
}

/// A compacted topic that stays whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compacted {
    /// Its name.
    pub topic: String,
    /// Its bytes before compression.
    pub bytes: u64,
}

/// A full backup that was never sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unfinished {
    /// The set.
    pub set: String,
    /// What it takes in the store.
    pub bytes: u64,
    /// Whether it is given up.
    pub goes: bool,
}

/// A set that nothing is done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LeftAlone {
    /// The set.
    pub set: String,
    /// Whose it is, where that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Why.
    pub why: String,
}

impl RetainedPoint {
    /// What is worth knowing of it beside the reason: a point that lacks something may be the wrong one to keep.
    #[must_use]
    pub fn remark(&self) -> String {
        if self.held_back == 0 {
            return self.why.clone();
        }
        format!("{} (incomplete: {} held back)", self.why, plural(self.held_back, "partition"))
    }

    /// Bytes that come back with it, in words.
    #[must_use]
    pub fn gain(&self) -> String {
        match self.bytes {
            Some(bytes) => format!("{} come back", size(bytes)),
            None if self.verdict.goes() => "with a later one".to_owned(),
            None => String::new(),
        }
    }
}

impl RetentionPlan {
    /// The plan in sentences, a line each.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut out = vec![self.total()];
        out.extend(self.chains.iter().filter_map(RetainedSet::records));
        out.extend(self.chains.iter().filter_map(RetainedSet::rewritable));
        out.extend(self.chains.iter().filter_map(RetainedSet::stays_whole));
        out.extend(self.unfinished.iter().map(Unfinished::words));
        out.extend(self.left_alone());
        if self.points > 0 {
            out.push(format!("Ages are as of {}, the newest time that the store tells.", second(self.now)));
        }
        out.push("Nothing was changed.".to_owned());
        out
    }

    fn total(&self) -> String {
        let of = format!("{} of {} may go", count(self.may_go), plural(self.points, "point"));
        match self.comes_back {
            0 => format!("{of}."),
            bytes => format!("{of}; {} come back once their objects are deleted.", size(bytes)),
        }
    }

    /// Sets of others, counted by whose they are; the rest one by one.
    fn left_alone(&self) -> Vec<String> {
        let mut owners: Vec<(&Owner, u64)> = Vec::new();
        let mut out = Vec::new();
        for left in &self.left {
            match (&left.owner, owners.iter_mut().find(|(owner, _)| left.owner.as_ref() == Some(owner))) {
                (Some(_), Some((_, count))) => *count += 1,
                (Some(owner), None) => owners.push((owner, 1)),
                (None, _) => out.push(format!("Left alone: set {}: {}.", left.set, left.why.trim_end_matches('.'))),
            }
        }
        let of_others = owners.into_iter().map(|(owner, count)| {
            let here = match &self.cluster_id {
                Some(cluster) if *cluster != owner.cluster_id => {
                    format!(" (this plan is about source cluster {cluster})")
                }
                _ => String::new(),
            };
            format!("Left alone: {} of {owner}{here}.", plural(count, "set"))
        });
        of_others.chain(out).collect()
    }
}

impl RetainedSet {
    fn records(&self) -> Option<String> {
        let newest = self.newest_record.filter(|_| self.topics > 0)?;
        let topics = plural(self.topics, "topic");
        Some(format!(
            "Records of {topics} up to {} go with the points of set {}: the source of point {} had them no more.",
            second(newest),
            self.set,
            self.oldest
        ))
    }

    fn rewritable(&self) -> Option<String> {
        (self.rewritable_segments > 0).then(|| {
            format!(
                "{} of set {} are needed by less than a third: {} more would come back if they were written anew.",
                plural(self.rewritable_segments, "segment"),
                self.set,
                size(self.rewritable_bytes)
            )
        })
    }

    fn stays_whole(&self) -> Option<String> {
        let bytes = size(self.compacted.iter().map(|topic| topic.bytes).fold(0, u64::saturating_add));
        match self.compacted.as_slice() {
            [] => None,
            [one] => Some(format!(
                "Topic {} is compacted: all of its {bytes} stay in set {}; full backups give them back.",
                one.topic, self.set
            )),
            many => {
                let names: Vec<&str> = many.iter().take(3).map(|topic| topic.topic.as_str()).collect();
                let more = if many.len() > 3 { ", ..." } else { "" };
                Some(format!(
                    "{} compacted topics ({}{more}): all of their {bytes} stay in set {}; full backups give them back.",
                    many.len(),
                    names.join(", "),
                    self.set
                ))
            }
        }
    }
}

impl Unfinished {
    fn words(&self) -> String {
        let (set, bytes) = (&self.set, size(self.bytes));
        if self.goes {
            format!("Full backup {set} was never finished: its {bytes} may go, too.")
        } else {
            format!("Full backup {set} is not finished: it stays, and so do its {bytes}.")
        }
    }
}

/// A moment to the second.
fn second(at: Timestamp) -> String {
    at.round(jiff::Unit::Second).unwrap_or(at).to_string()
}

#[cfg(test)]
mod tests;
