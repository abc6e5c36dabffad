//! What a restore run does.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backup_spec::default_true;
use crate::group_restore::GroupRestore;
use crate::limits::RateLimit;
use crate::names;
use crate::selection::PatternSyntax;
use crate::set_owner::SetOwner;
use crate::store_spec::StoreSpec;

/// Default of `maxInFlightBytes`.
pub const MAX_IN_FLIGHT_BYTES: u64 = 32 << 20;

/// A restore run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreSpec {
    /// A backup set (its newest point) or a recovery point; the newest point of the storage when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub from: String,
    /// Whose set it must be: another one is refused, unless `accept` names `other-owner`. Not asked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<SetOwner>,
    /// Topics of the archive to restore; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Topics to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How the patterns are written.
    #[serde(default)]
    pub pattern_syntax: PatternSyntax,
    /// Source topic to target topic; others keep their names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub topic_mapping: BTreeMap<String, String>,
    /// Source partitions to restore; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub source_partitions: Vec<i32>,
    /// Source partition to target partition, for every topic; others keep their numbers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partition_mapping: BTreeMap<i32, i32>,
    /// Target topics whose records are dealt out anew; wins over `partitionMapping`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub repartitioning: BTreeMap<String, Repartitioning>,
    /// Source topics of which an older lineage is restored, by topic id: one that was deleted or recreated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lineages: BTreeMap<String, String>,
    /// Source partitions (`topic/0`) that are restored as an older timeline saw them, before the source's log was cut.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub timelines: BTreeMap<String, u32>,
    /// Take the committed offsets of consumer groups along; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupRestore>,
    /// Where the state of this restore is kept, when the archive's storage is read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_storage: Option<StoreSpec>,
    /// Earliest record timestamp, inclusive: RFC 3339 or milliseconds since 1970 as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<String>,
    /// Latest record timestamp, inclusive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<String>,
    /// Each source partition ends so many seconds before its own newest record: later records are not restored. Not with `endTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_end_secs: Option<u64>,
    /// What to do with target topics that already hold records.
    #[serde(default)]
    pub existing_topics: ExistingTopics,
    /// Create target topics that do not exist.
    #[serde(default = "default_true")]
    pub create_topics: bool,
    /// Replication factor of created topics; the source's when absent, -1 for the broker's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_replication_factor: Option<i16>,
    /// Acknowledgements to wait for: -1 (all; exactly once needs it), 0 or 1.
    #[serde(default = "default_acks")]
    pub produce_acks: i16,
    /// Most records in one produced batch that was merged or re-encoded.
    #[serde(default = "default_batch_size")]
    pub produce_batch_size: u32,
    /// Milliseconds that the broker may take to replicate.
    #[serde(default = "default_timeout")]
    pub produce_timeout_ms: i32,
    /// Most that is written to the target.
    #[serde(default)]
    pub rate_limit: RateLimit,
    /// Most bytes of produce requests that are on their way to one broker at once; a larger batch goes alone.
    #[serde(default = "default_in_flight")]
    pub max_in_flight_bytes: u64,
    /// Partitions that are written at once; all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_partitions: Option<u32>,
    /// Append offset headers; the recovery point's own choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_offset_headers: Option<bool>,
    /// Leave out the offset headers that an earlier restore, or the OSO tool, put into the records: each header of exactly one of
    /// these names, wherever it stands and however often. Own headers are appended after that.
    #[serde(default, skip_serializing_if = "crate::is_false")]
    pub strip_offset_headers: bool,
    /// Whether every record is read once before anything is written.
    #[serde(default, skip_serializing_if = "HeaderPreflight::is_default")]
    pub header_preflight: HeaderPreflight,
    /// What to do with a record batch of the archive that cannot be decoded.
    #[serde(default)]
    pub on_unreadable: OnUnreadable,
    /// What to do with records that the OSO tool archived otherwise than the source had them. Of an archive of ours it says
    /// nothing.
    #[serde(default, skip_serializing_if = "ForeignRecords::is_default")]
    pub foreign_records: ForeignRecords,
    /// Fingerprint of the plan that was looked at: a restore whose plan is another one ends before it writes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan_fingerprint: Option<String>,
    /// What is done although it may not be meant: the plan refuses it otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accept: Vec<Risk>,
    /// What a restore that is finished does when `from` names a set that has a newer recovery point now.
    #[serde(default)]
    pub when_newer: WhenNewer,
    /// Print the plan and write nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Why the restore failed: this run goes on with nothing, and puts back the committed offsets that it changed before. Needs
    /// `groups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_offsets: Option<String>,
}

/// What a restore does with target topics that hold records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExistingTopics {
    /// Stop before anything is written.
    #[default]
    Refuse,
    /// Add the restored records after theirs.
    Append,
    /// Delete their records first.
    Purge,
}

/// Something that a restore does only when it is asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Restoring a topic that was not compacted into one that is: it keeps only the newest record of each key.
    Compaction,
    /// Creating a topic with far more partitions than the source has, because `partitionMapping` says so.
    MorePartitions,
    /// Restoring the set of another resource, or of another source cluster, than `backupRef` (`owner` in a run
    /// specification) names.
    OtherOwner,
    /// Committing offsets without the metadata of their commits where it is longer than the target takes
    /// (`offset.metadata.max.bytes` of its brokers).
    LongMetadata,
}

/// What a finished restore does when there is a newer recovery point.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenNewer {
    /// Say so, and fail.
    #[default]
    Fail,
    /// Warn, and end as done.
    Warn,
    /// Restore the newer point, as a restore that begins anew.
    Restore,
}

/// What a restore does with a record batch that is stored as the broker sent it and cannot be decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnUnreadable {
    /// Stop, and name topic, partition and offset.
    #[default]
    Fail,
    /// Leave its records out, count them, and name the batch in the report.
    Skip,
}

/// What becomes of records that the OSO tool archived otherwise than the source had them: markers of transactions that it stored
/// as records, and headers that it added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ForeignRecords {
    /// What is recognised as its doing is left out, and told.
    #[default]
    Cleaned,
    /// They are restored as they stand in the archive.
    AsWritten,
}

impl ForeignRecords {
    /// Whether nobody said otherwise.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether a restore reads every record once before it writes anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderPreflight {
    /// No: committed offsets are restored from what the archive knows of them, and need no header.
    #[default]
    Auto,
    /// Yes: what cannot be read ends the restore before its first change, and a warning counts the records that have offset
    /// headers of an earlier restore.
    Full,
    /// No, whatever is restored.
    Skip,
}

impl HeaderPreflight {
    /// Whether nobody said otherwise.
    // The form that serde asks for.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How the records of a topic are dealt out to partitions anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repartitioning {
    /// By what.
    #[serde(default)]
    pub strategy: Strategy,
    /// Partitions of the target topic.
    pub target_partitions: i32,
}

/// What decides on a record's partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Its key, as Java's default partitioner; records without a key by their source offset.
    #[default]
    Murmur2,
    /// Its source offset.
    Automatic,
}

fn default_acks() -> i16 {
    -1
}
fn default_batch_size() -> u32 {
    1000
}
fn default_timeout() -> i32 {
    30_000
}
fn default_in_flight() -> u64 {
    MAX_IN_FLIGHT_BYTES
}

impl RestoreSpec {
    /// Whose set it must be; `None` when any will do.
    #[must_use]
    pub fn expected_owner(&self) -> Option<&SetOwner> {
        self.owner.as_ref().filter(|_| !self.accept.contains(&Risk::OtherOwner))
    }

    /// The target's name of a source topic.
    #[must_use]
    pub fn target_of<'a>(&'a self, source: &'a str) -> &'a str {
        self.topic_mapping.get(source).map_or(source, String::as_str)
    }

    /// The time window in milliseconds, inclusive at both ends.
    ///
    /// # Errors
    /// The field that is not a time, and the rule.
    pub fn window(&self) -> Result<(i64, i64), (String, String)> {
        let parse = |field: &str, text: &Option<String>, open: i64| match text {
            None => Ok(open),
            Some(text) => {
                crate::stamp::parse_millis(text).map_err(|rule| (field.to_owned(), format!("is {text:?}; {rule}")))
            }
        };
        let start = parse("startTime", &self.start_time, i64::MIN)?;
        let end = parse("endTime", &self.end_time, i64::MAX)?;
        if start > end {
            return Err(("endTime".into(), "is before startTime; no record can lie between".into()));
        }
        Ok((start, end))
    }

    /// Rules between and inside fields; paths are relative to `restore`.
    pub(crate) fn check(&self, out: &mut Vec<(String, String)>) {
        if let Err(finding) = self.window() {
            out.push(finding);
        }
        if self.before_end_secs.is_some() && self.end_time.is_some() {
            out.push(("beforeEndSecs".into(), "does not go with endTime: both say where to end; keep one".into()));
        }
        let mut say = |field: String, rule: String| out.push((field, rule));
        if !self.from.is_empty()
            && let Err(rule) = names::check_name(&self.from)
        {
            say("from".into(), format!("is {:?}; {rule}", self.from));
        }
        if self.max_in_flight_bytes == 0 {
            say("maxInFlightBytes".into(), "is 0; must be greater than 0".into());
        }
        if self.max_concurrent_partitions == Some(0) {
            say("maxConcurrentPartitions".into(), "must be greater than 0".into());
        }
        if let Err(error) = crate::Selection::new(&self.topics, &self.exclude, self.pattern_syntax) {
            say("topics".into(), error);
        }
        for (source, target, rule) in names::shared_targets(&self.topic_mapping) {
            say(format!("topicMapping.{source}"), format!("is {target:?}; {rule}"));
        }
        for (source, target) in &self.topic_mapping {
            if let Err(rule) = names::check_topic(target) {
                say(format!("topicMapping.{source}"), format!("is {target:?}; {rule}"));
            }
            if names::is_internal_topic(target) {
                let rule = "which is Kafka's own: brokers take no records for it from outside; choose another name";
                say(format!("topicMapping.{source}"), format!("is {target:?}, {rule}"));
            }
        }
        for (source, target) in self.partition_mapping.iter().filter(|(source, target)| **source < 0 || **target < 0) {
            say(format!("partitionMapping.{source}"), format!("is {target}; partitions count from 0 on both sides"));
        }
        for (topic, new) in self.repartitioning.iter().filter(|(_, new)| new.target_partitions <= 0) {
            let rule = format!("is {}; must be greater than 0", new.target_partitions);
            say(format!("repartitioning.{topic}.targetPartitions"), rule);
        }
        for (topic, id) in self.lineages.iter().filter(|(_, id)| id.parse::<uuid::Uuid>().is_err()) {
            say(format!("lineages.{topic}"), format!("is {id:?}; must be a topic id as `ls` shows it"));
        }
        for partition in self.timelines.keys() {
            let number = partition.rsplit_once('/').and_then(|(_, number)| number.parse::<i32>().ok());
            if number.is_none_or(|number| number < 0) {
                say(format!("timelines.{partition}"), "must name a partition as topic/0".into());
            }
        }
        for (field, rule) in self.state_storage.iter().flat_map(StoreSpec::findings) {
            say(format!("stateStorage.{field}"), rule);
        }
        if self.undo_offsets.is_some() && self.groups.is_none() {
            say("undoOffsets".into(), "needs groups: without them no committed offsets are changed".into());
        }
        let mut found = Vec::new();
        self.groups.iter().for_each(|groups| groups.check(&mut found));
        for (field, rule) in found {
            say(format!("groups.{field}"), rule);
        }
        if self.source_partitions.iter().any(|p| *p < 0) {
            say("sourcePartitions".into(), "partitions count from 0".into());
        }
        if !(-1..=1).contains(&self.produce_acks) {
            say("produceAcks".into(), format!("is {}; must be -1, 0 or 1", self.produce_acks));
        }
        if self.produce_batch_size == 0 {
            say("produceBatchSize".into(), "must be greater than 0".into());
        }
        if self.produce_timeout_ms <= 0 {
            say("produceTimeoutMs".into(), format!("is {}; must be greater than 0", self.produce_timeout_ms));
        }
        if self.default_replication_factor.is_some_and(|rf| rf != -1 && rf <= 0) {
            say("defaultReplicationFactor".into(), "must be -1 (the broker's default) or greater than 0".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(text: &str) -> Vec<String> {
        let mut out = Vec::new();
        serde_json::from_str::<RestoreSpec>(text).unwrap().check(&mut out);
        out.into_iter().map(|(field, rule)| format!("{field} {rule}")).collect()
    }

    #[test]
    fn kafkas_own_topics_are_no_targets() {
        let found = findings(r#"{"topicMapping": {"a": "__consumer_offsets", "b": "__own"}}"#);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("topicMapping.a ") && found[0].contains("Kafka's own"), "{found:?}");
    }

    #[test]
    fn an_undo_needs_groups() {
        let found = findings(r#"{"undoOffsets": "away"}"#);
        assert!(found.len() == 1 && found[0].starts_with("undoOffsets needs groups"), "{found:?}");
        assert!(findings(r#"{"undoOffsets": "away", "groups": {"commit": true}}"#).is_empty());
    }

    #[test]
    fn seconds_are_not_taken_for_milliseconds() {
        for text in ["1795737471", "20261126", "-1"] {
            let found = findings(&format!(r#"{{"endTime": "{text}"}}"#));
            assert!(found.len() == 1 && found[0].contains("milliseconds"), "{text}: {found:?}");
        }
        assert!(findings(r#"{"startTime": "0", "endTime": "1795737471000"}"#).is_empty());
    }
}
