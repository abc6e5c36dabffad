//! Backups of an archive with their recovery points. A backup is one incremental set, or all full sets of one name.

use std::collections::BTreeMap;

use contract::PointLine;
use contract::stamp::split_point;
use inspect::{Answer, SetLine};
use jiff::Timestamp;
use serde::Serialize;

/// A backup: what one resource made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// Name of the resource.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Id of the source cluster; `None` where only a status was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Whether runs extend one set.
    pub incremental: bool,
    /// Whether a run goes on, or was interrupted.
    pub unfinished: bool,
    /// What is wrong with it, as far as a list looks; the points can be restored all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Points, oldest first.
    pub points: Vec<Point>,
}

/// A recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    /// Name.
    pub name: String,
    /// Its second.
    pub at: Timestamp,
    /// Live topics.
    pub topics: u64,
    /// Their partitions.
    pub partitions: u64,
    /// Committed records.
    pub records: u64,
    /// Decompressed bytes.
    pub bytes: u64,
    /// Largest timestamp of a record.
    pub newest: Option<Timestamp>,
    /// Partitions that open transactions cut short.
    pub held_back: u64,
}

impl Point {
    /// The point of a line; `None` when its second is none.
    pub(super) fn of(line: &PointLine) -> Option<Self> {
        Some(Self {
            name: line.name.clone(),
            at: line.at.parse().ok()?,
            topics: line.topics,
            partitions: line.partitions,
            records: line.records,
            bytes: line.bytes,
            newest: line.newest.and_then(|millis| Timestamp::from_millisecond(millis).ok()),
            held_back: line.held_back,
        })
    }
}

/// Puts answers together.
#[derive(Debug, Default)]
pub struct Listing {
    backups: BTreeMap<String, Backup>,
    current: String,
}

impl Listing {
    /// Takes an answer in.
    pub fn take(&mut self, answer: Answer) {
        match answer {
            Answer::Set(set) => self.set(set),
            Answer::Point(line) => self.point(line),
            // Only these two are about recovery points.
            _ => {}
        }
    }

    fn set(&mut self, set: SetLine) {
        let base = split_point(&set.name).filter(|_| !set.incremental).map(|(base, _)| base.to_owned());
        self.current = base.unwrap_or_else(|| set.name.clone());
        let known = self.backups.entry(self.current.clone()).or_insert_with(|| Backup {
            name: self.current.clone(),
            namespace: set.namespace.clone(),
            cluster_id: Some(set.cluster_id.clone()),
            incremental: set.incremental,
            unfinished: false,
            problems: Vec::new(),
            points: Vec::new(),
        });
        // Sets come by name, so the last one of a name is the newest.
        known.unfinished = set.unfinished;
        known.problems.extend(set.problems.iter().map(|problem| format!("set {}: {problem}", set.name)));
        known.namespace = set.namespace;
        known.cluster_id = Some(set.cluster_id);
    }

    fn point(&mut self, line: PointLine) {
        let Some(backup) = self.backups.get_mut(&self.current) else { return };
        backup.points.extend(Point::of(&line));
    }

    /// The backups by name, their points by time.
    #[must_use]
    pub fn finish(self) -> Vec<Backup> {
        let mut backups: Vec<Backup> = self.backups.into_values().collect();
        for backup in &mut backups {
            backup.points.sort_by_key(|point| point.at);
        }
        backups
    }
}
