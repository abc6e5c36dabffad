//! The document as it is written, and its checks.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{COUNT, Manifest, PARTITIONS, Partition, Range, Segment, Topic, is_topic, twice, unfit};

/// What tells it from other documents of this name.
#[derive(Deserialize)]
pub(super) struct Marks {
    backup_id: Option<String>,
    created_at: Option<i64>,
    topics: Option<Vec<serde::de::IgnoredAny>>,
}

impl Marks {
    pub(super) fn is_one(&self) -> bool {
        self.backup_id.is_some() && self.created_at.is_some() && self.topics.is_some()
    }
}

#[derive(Deserialize)]
pub(super) struct Written {
    backup_id: String,
    created_at: i64,
    #[serde(default)]
    source_cluster_id: Option<String>,
    topics: Vec<WrittenTopic>,
    #[serde(default)]
    missing_topics: Vec<String>,
    #[serde(default)]
    isolation_level: Option<String>,
}

#[derive(Deserialize)]
struct WrittenTopic {
    name: String,
    #[serde(default)]
    original_partition_count: Option<i32>,
    #[serde(default)]
    source_replication_factor: Option<i16>,
    #[serde(default)]
    configurations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    partitions: Vec<WrittenPartition>,
}

#[derive(Deserialize)]
struct WrittenPartition {
    partition_id: i32,
    #[serde(default)]
    segments: Vec<WrittenSegment>,
    #[serde(default)]
    gaps: Vec<WrittenRange>,
    #[serde(default)]
    pruned: Vec<WrittenRange>,
    #[serde(default)]
    covered_through: Option<i64>,
    #[serde(default)]
    snapshot_end_offset: Option<i64>,
    #[serde(default)]
    high_watermark_at_capture: Option<i64>,
}

#[derive(Deserialize)]
struct WrittenRange {
    start_offset: i64,
    end_offset: i64,
    #[serde(default)]
    reason: Option<String>,
}

#[derive(Deserialize)]
struct WrittenSegment {
    key: String,
    start_offset: i64,
    end_offset: i64,
    start_timestamp: i64,
    end_timestamp: i64,
    record_count: i64,
    #[serde(default)]
    uncompressed_size: Option<u64>,
    #[serde(default)]
    compressed_size: Option<u64>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    uploaded_at: Option<i64>,
    #[serde(default)]
    covered_start_offset: Option<i64>,
    #[serde(default)]
    covered_end_offset: Option<i64>,
    #[serde(default)]
    control_records_skipped: Option<u64>,
    #[serde(default)]
    aborted_records_dropped: Option<u64>,
}

impl Written {
    pub(super) fn checked(self) -> Result<Manifest, String> {
        if let Some(name) = twice(self.topics.iter().map(|topic| topic.name.as_str())) {
            return Err(unfit("topic", name, "is named twice"));
        }
        let id = self.backup_id;
        let mut topics = self.topics.into_iter().map(|topic| topic.checked(&id)).collect::<Result<Vec<_>, _>>()?;
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Manifest {
            created_at: (self.created_at > 0).then_some(self.created_at),
            cluster: self.source_cluster_id.filter(|id| !id.is_empty()),
            committed: self.isolation_level.is_some_and(|level| level.eq_ignore_ascii_case("read_committed")),
            topics,
            missing: self.missing_topics,
            id,
        })
    }
}

impl WrittenTopic {
    fn checked(self, id: &str) -> Result<Topic, String> {
        let name = self.name;
        if !is_topic(&name) {
            return Err(unfit("topic", &name, "is no name of a topic"));
        }
        if let Some(partition) = twice(self.partitions.iter().map(|partition| partition.partition_id)) {
            return Err(unfit("topic", &name, &format!("has partition {partition} twice")));
        }
        if self.original_partition_count.is_some_and(|count| !(0..=PARTITIONS).contains(&count)) {
            return Err(unfit("topic", &name, "has a number of partitions that cannot be"));
        }
        let partitions = self.partitions.into_iter().map(|partition| partition.checked(&name, id));
        let mut partitions = partitions.collect::<Result<Vec<_>, _>>()?;
        partitions.sort_by_key(|partition| partition.id);
        Ok(Topic {
            count: self.original_partition_count.filter(|count| *count > 0),
            replication: self.source_replication_factor.filter(|replicas| *replicas > 0),
            configs: self.configurations.unwrap_or_default(),
            partitions,
            name,
        })
    }
}

impl WrittenPartition {
    fn checked(self, topic: &str, id: &str) -> Result<Partition, String> {
        let place = format!("{topic}/{}", self.partition_id);
        if !(0..PARTITIONS).contains(&self.partition_id) {
            return Err(format!("{place} is no partition"));
        }
        let segments = self.segments.into_iter().map(|segment| segment.checked(&place, id));
        let mut segments = segments.collect::<Result<Vec<_>, _>>()?;
        segments.sort_by_key(|segment| (segment.span(), segment.start));
        // A gap does not include its end, what was pruned does.
        let gaps = self.gaps.into_iter().map(|gap| gap.checked(&place, 1)).collect::<Result<_, _>>()?;
        let pruned = self.pruned.into_iter().map(|range| range.checked(&place, 0)).collect::<Result<_, _>>()?;
        let is_offset = |offset: &i64| (0..i64::MAX).contains(offset);
        Ok(Partition {
            id: self.partition_id,
            segments,
            gaps,
            pruned,
            covered_through: self.covered_through.filter(is_offset),
            snapshot_end: self.snapshot_end_offset.filter(is_offset),
            high_watermark: self.high_watermark_at_capture.filter(is_offset),
        })
    }
}

impl WrittenRange {
    fn checked(self, place: &str, beyond: i64) -> Result<Range, String> {
        let (start, end) = (self.start_offset, self.end_offset.saturating_sub(beyond));
        if !(0..=end.saturating_add(1)).contains(&start) || end == i64::MAX {
            return Err(format!("{place} names the offsets {start} to {end}, which cannot be"));
        }
        Ok(Range { start, end, reason: self.reason.unwrap_or_else(|| "unknown".to_owned()) })
    }
}

impl WrittenSegment {
    fn checked(self, place: &str, id: &str) -> Result<Segment, String> {
        let (start, end) = (self.start_offset, self.end_offset);
        let cannot = |what: &str| Err(format!("{place} has a segment of offsets {start} to {end} with {what}"));
        let inside = self.key.strip_prefix(id).and_then(|rest| rest.strip_prefix('/'));
        if inside.is_none_or(|rest| rest.split('/').any(|part| part.is_empty() || part == "." || part == "..")) {
            return cannot("a key outside the set");
        }
        if !(0..=end).contains(&start) || end == i64::MAX {
            return cannot("offsets that cannot be");
        }
        let records = u64::try_from(self.record_count).unwrap_or(u64::MAX);
        let counts = [records, self.uncompressed_size.unwrap_or(0), self.compressed_size.unwrap_or(0)];
        if counts.iter().any(|count| *count > COUNT) {
            return cannot("a count that cannot be");
        }
        let covered = match (self.covered_start_offset, self.covered_end_offset) {
            (None, None) => None,
            (from, to) => Some((from.unwrap_or(start), to.unwrap_or(end))),
        };
        if covered.is_some_and(|(from, to)| from < 0 || from > start || to < end || to == i64::MAX) {
            return cannot("covered offsets that are not around its own");
        }
        let skipped = [self.control_records_skipped, self.aborted_records_dropped];
        Ok(Segment {
            key: self.key,
            start,
            end,
            covered,
            records,
            plain: self.uncompressed_size.filter(|bytes| *bytes > 0),
            size: self.compressed_size.filter(|bytes| *bytes > 0),
            sha256: self.sha256.filter(|digest| !digest.is_empty()).map(|digest| digest.to_ascii_lowercase()),
            uploaded_at: self.uploaded_at.filter(|at| *at > 0),
            timestamps: (self.start_timestamp, self.end_timestamp),
            left_out: skipped.into_iter().flatten().fold(0, u64::saturating_add),
        })
    }
}
