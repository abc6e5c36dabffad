//! What a backup run does.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::RateLimit;
use crate::paths;
use crate::selection::PatternSyntax;

/// A backup run. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
// Each flag is a documented field of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct BackupSpec {
    /// Topics to back up. A name without wildcards must exist, unless `onMissingTopic` says otherwise.
    pub topics: Vec<String>,
    /// What happens when a topic that is named without wildcards does not exist.
    #[serde(default, skip_serializing_if = "OnMissingTopic::is_default")]
    pub on_missing_topic: OnMissingTopic,
    /// Topics to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How the patterns are written.
    #[serde(default)]
    pub pattern_syntax: PatternSyntax,
    /// Include Kafka's internal topics where patterns match them.
    #[serde(default)]
    pub include_internal_topics: bool,
    /// Which of them, by name; all that patterns match when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub internal_topics: Vec<String>,
    /// Extend one set with each run instead of starting a new set.
    #[serde(default)]
    pub incremental: bool,
    /// Go on following the topics after their present ends, into one set, with a recovery point at each checkpoint.
    #[serde(default)]
    pub continuous: bool,
    /// Where partitions begin that are there when the set is first claimed. All that appear later begin at their start.
    #[serde(default)]
    pub start_offset: StartOffset,
    /// Milliseconds between two looks for new records at the end of a partition, in a continuous run.
    #[serde(default = "default_poll_interval")]
    pub poll_interval_ms: u64,
    /// Seconds between two looks for new topics and partitions, in a continuous run.
    #[serde(default = "default_topic_refresh")]
    pub topic_refresh_secs: u64,
    /// Most that is read from the source.
    #[serde(default)]
    pub rate_limit: RateLimit,
    /// Partitions with waiting records that are read at once; no limit when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_concurrent_partitions: Option<u32>,
    /// Folder below the volumes folder where a copy of the newest log entry's digest is kept, so that a store that was
    /// rolled back is noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_folder: Option<String>,
    /// Codec for batches that producers left uncompressed.
    #[serde(default)]
    pub compression: Compression,
    /// Level for gzip (1-9) and zstd (1-22).
    #[serde(default = "default_level")]
    pub compression_level: i32,
    /// Close a segment at this size.
    #[serde(default = "default_segment_bytes")]
    pub segment_max_bytes: u64,
    /// Close a segment after this many milliseconds.
    #[serde(default = "default_segment_interval")]
    pub segment_max_interval_ms: u64,
    /// Save progress this often, in seconds; absent: only at the end.
    #[serde(default = "default_checkpoint", skip_serializing_if = "Option::is_none")]
    pub checkpoint_interval_secs: Option<u64>,
    /// Seconds to wait for open transactions before cutting at the last stable offset.
    #[serde(default = "default_transaction_wait")]
    pub open_transaction_wait_secs: u64,
    /// Whether restores of this point add offset headers unless they say otherwise.
    #[serde(default = "default_true")]
    pub include_offset_headers: bool,
    /// Label of the source cluster, for people and for the `x-source-cluster` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_cluster_id: Option<String>,
    /// Store the committed offsets of all consumer groups.
    #[serde(default)]
    pub consumer_group_snapshot: bool,
    /// Those groups, by id, glob (`*`, `?`), or `~` and a regular expression; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Groups to leave out, written in the same way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude_groups: Vec<String>,
    /// What happens when partitions cannot be read, because nobody leads them or a batch is damaged on every replica.
    #[serde(default)]
    pub on_gap: OnGap,
    /// What happens when segments that the set builds on are gone from the store, or have another size.
    #[serde(default, skip_serializing_if = "OnMissingSegments::is_default")]
    pub on_missing_segments: OnMissingSegments,
    /// Take over a set that another resource or cluster owns.
    #[serde(default)]
    pub adopt: bool,
}

/// Where unknown partitions begin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartOffset {
    /// The first offset that the source has.
    #[default]
    Earliest,
    /// The last stable offset of the partition when the set is first claimed.
    Latest,
}

/// What a run does about partitions that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnGap {
    /// The recovery point is made without them, and says so. A later run reads them.
    #[default]
    Seal,
    /// The run fails, and makes no recovery point.
    Fail,
}

/// What a run does about a topic that is named without wildcards and does not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissingTopic {
    /// The run fails, and makes no recovery point.
    #[default]
    Fail,
    /// The run names it in a warning and backs up the others. Where no topic is left, it fails.
    Warn,
}

impl OnMissingTopic {
    /// Whether nobody said otherwise.
    // The form that serde asks for.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a run does about segments of its set that are gone from the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissingSegments {
    /// The run fails and says what is lost; nothing is written.
    #[default]
    Fail,
    /// The run gives the segments up for good. What the source still has of them is read again, with all that follows it;
    /// the rest is named as gaps.
    Reread,
}

impl OnMissingSegments {
    // The form that serde asks for.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Codec of archive blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// As they are.
    None,
    /// RFC 1952.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    #[default]
    Zstd,
}

fn default_poll_interval() -> u64 {
    100
}
fn default_topic_refresh() -> u64 {
    30
}
fn default_level() -> i32 {
    3
}
fn default_segment_bytes() -> u64 {
    128 << 20
}
fn default_segment_interval() -> u64 {
    60_000
}
// The field's type is Option, and serde wants the default in that type.
#[allow(clippy::unnecessary_wraps)]
fn default_checkpoint() -> Option<u64> {
    Some(30)
}
fn default_transaction_wait() -> u64 {
    60
}
pub(crate) fn default_true() -> bool {
    true
}

impl BackupSpec {
    /// Whether several runs, or several recovery points of one run, share a set.
    #[must_use]
    pub fn extends_set(&self) -> bool {
        self.incremental || self.continuous
    }

    /// Which consumer groups are saved.
    ///
    /// # Errors
    /// The pattern that does not compile, and why.
    pub fn group_selection(&self) -> Result<crate::Selection, String> {
        crate::Selection::new(&self.groups, &self.exclude_groups, PatternSyntax::Glob)
    }

    /// Whether an internal topic of this name may be backed up where patterns match it.
    #[must_use]
    pub fn takes_internal(&self, name: &str) -> bool {
        let named = || self.internal_topics.iter().any(|one| one == name);
        self.include_internal_topics && (self.internal_topics.is_empty() || named())
    }

    /// The same work without what only changes its pace.
    #[must_use]
    pub fn work(&self) -> Self {
        Self {
            rate_limit: RateLimit::default(),
            max_concurrent_partitions: None,
            poll_interval_ms: default_poll_interval(),
            topic_refresh_secs: default_topic_refresh(),
            checkpoint_folder: None,
            on_gap: OnGap::default(),
            on_missing_segments: OnMissingSegments::default(),
            on_missing_topic: OnMissingTopic::default(),
            ..self.clone()
        }
    }

    /// Rules between and inside fields; paths are relative to `backup`.
    pub(crate) fn check(&self, out: &mut Vec<(String, String)>) {
        let mut say = |field: &str, rule: String| out.push((field.to_owned(), rule));
        if self.topics.is_empty() {
            say("topics", "must name at least one topic or pattern; use \"*\" for all".into());
        }
        if let Err(error) = crate::Selection::new(&self.topics, &self.exclude, self.pattern_syntax) {
            say("topics", error);
        }
        if let Err(error) = self.group_selection() {
            say("groups", error);
        }
        if !self.internal_topics.is_empty() && !self.include_internal_topics {
            say("internalTopics", "has no effect without includeInternalTopics; set it, or remove the names".into());
        }
        let most = match self.compression {
            Compression::Gzip => 9,
            Compression::None | Compression::Snappy | Compression::Lz4 | Compression::Zstd => 22,
        };
        if !(1..=most).contains(&self.compression_level) {
            say("compressionLevel", format!("is {}; must be 1 to {most} for this codec", self.compression_level));
        }
        if self.segment_max_bytes < 1 << 20 {
            say("segmentMaxBytes", format!("is {}; must be at least 1048576 (1 MiB)", self.segment_max_bytes));
        }
        for (field, value) in [
            ("segmentMaxIntervalMs", self.segment_max_interval_ms),
            ("checkpointIntervalSecs", self.checkpoint_interval_secs.unwrap_or(1)),
            ("pollIntervalMs", self.poll_interval_ms),
            ("topicRefreshSecs", self.topic_refresh_secs),
            ("maxConcurrentPartitions", self.max_concurrent_partitions.unwrap_or(1).into()),
        ] {
            if value == 0 {
                say(field, "must be greater than 0".into());
            }
        }
        if self.continuous && self.checkpoint_interval_secs.is_none() {
            say(
                "checkpointIntervalSecs",
                "must be set in a continuous backup: each checkpoint makes a recovery point".into(),
            );
        }
        if let Some(folder) = &self.checkpoint_folder
            && let Err(rule) = paths::check_below(folder)
        {
            say("checkpointFolder", format!("is {folder:?}; it {rule}"));
        }
        if self.source_cluster_id.as_deref() == Some("") {
            say("sourceClusterId", "must not be empty; leave the field out".into());
        }
    }
}
