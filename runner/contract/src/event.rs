//! What a run says while it works: one JSON object per line on standard output.

use serde::{Deserialize, Serialize};

use crate::{CheckVerdict, Failure, GroupChange, MemberChange, OffsetsBefore, PointLine};

/// One event.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Marks our lines among others in a pod's log; always `kafka-backup`.
    pub source: String,
    /// Position in the run's events, from 1.
    pub seq: u64,
    /// RFC 3339 time of the runner.
    pub at: String,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// How fast a run goes, over the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pace {
    /// Records per second.
    pub records_per_sec: f64,
    /// Bytes per second.
    pub bytes_per_sec: f64,
    /// Offsets (backup) or records (restore) that are left. Of a partition whose end nobody tells now, those up to its last known
    /// end: 0 means that nothing is left only where `unknown_partitions` is 0, too.
    pub lag: u64,
    /// Partitions of which nobody tells now where they end: those in trouble, and those of topics that cannot be read.
    #[serde(default)]
    pub unknown_partitions: u64,
    /// Seconds left at this pace; absent while nothing moves and in continuous runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining_secs: Option<u64>,
    /// Milliseconds of silence that brokers asked for so far, because of their quotas (KIP-219).
    #[serde(default)]
    pub throttled_ms: u64,
    /// What the run waits for most of the time.
    pub limited_by: Bound,
}

/// What limits a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Nothing: there is nothing to do at the moment.
    #[default]
    Idle,
    /// Answers of brokers.
    Broker,
    /// The run's own rate limit.
    Throttle,
    /// A quota of the brokers.
    Quota,
    /// The object store.
    Store,
    /// Compression, decompression and checksums.
    Cpu,
}

/// A stream of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutputStream {
    /// Standard output: events and results.
    Stdout,
    /// Standard error: the log.
    Stderr,
}

/// Kinds of events.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum EventKind {
    /// The run begins or goes on.
    Started {
        /// Run id.
        run: String,
        /// Recovery point or restore that this run makes.
        name: String,
        /// Whether an earlier attempt's progress is used.
        resumed: bool,
    },
    /// What is to be done is known.
    Planned {
        /// Topics in the plan.
        topics: u64,
        /// Partitions in the plan.
        partitions: u64,
        /// Offsets (backup) or records (restore) to move, as far as they are known. A continuous run has those to move that its
        /// source has now.
        records: u64,
    },
    /// How far the run is.
    Progress {
        /// Records moved by this run so far, counted as in the report.
        records: u64,
        /// Bytes moved by this run so far.
        bytes: u64,
        /// Share of the plan that is done, 0 to 100.
        percent: f64,
        /// The topic of the archive that a restore has come to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        topic: Option<String>,
        /// When a continuous run last knew that everything was archived that the source had at a look (RFC 3339); absent while
        /// its newest recovery point lacks a partition that cannot be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        whole_at: Option<String>,
        /// What the next recovery point of a continuous run waits for, while it is overdue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overdue: Option<String>,
        /// How fast it goes and how far there is to go.
        #[serde(flatten)]
        pace: Pace,
    },
    /// Something a person should know that does not stop the run.
    Warning {
        /// In words.
        message: String,
    },
    /// The run waits, for more than some seconds; or it met something that somebody must look at.
    Waiting {
        /// For what, in words.
        what: String,
        /// For how long already; 0 when it begins.
        seconds: u64,
    },
    /// Offsets that the source no longer has.
    Gap {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// First missing offset.
        from: i64,
        /// First offset after the gap.
        to: i64,
        /// Why.
        reason: String,
    },
    /// The source's log was cut below what was archived: a new timeline begins.
    Timeline {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Number of the new timeline.
        timeline: u32,
        /// Its first offset.
        from: i64,
    },
    /// A topic is not as the set knew it, or is new.
    Member {
        /// Which, and what happened.
        #[serde(flatten)]
        member: MemberChange,
    },
    /// A consumer group of the last recovery point has no positions here.
    Group {
        /// Which, and what happened.
        #[serde(flatten)]
        group: GroupChange,
    },
    /// Progress was made durable.
    Committed {
        /// Number of the log entry, or of the state's generation.
        entry: u64,
        /// Whether this makes a recovery point visible.
        sealed: bool,
        /// Its name.
        #[serde(skip_serializing_if = "Option::is_none")]
        point: Option<String>,
        /// What it holds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        made: Option<Box<PointLine>>,
    },
    /// What consumer groups have committed is saved, before it is changed.
    OffsetsSaved {
        /// Where.
        before: OffsetsBefore,
    },
    /// A check of a validation is made.
    Checked {
        /// Name of the check.
        check: String,
        /// What came of it.
        verdict: CheckVerdict,
        /// That in one sentence.
        message: String,
    },
    /// Lines of the output were dropped, because nobody read them in time. Numbers of events are missing.
    Dropped {
        /// Where.
        stream: OutputStream,
        /// Lines since this was told last.
        lines: u64,
    },
    /// The run is over.
    Finished {
        /// Process exit code.
        exit_code: u8,
        /// The failure, when it did not end well.
        #[serde(skip_serializing_if = "Option::is_none")]
        failure: Option<Failure>,
    },
}
