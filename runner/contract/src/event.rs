//! What a run says while it works: one JSON object per line on standard output.

use serde::{Deserialize, Serialize};

use crate::Failure;

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

/// Kinds of events.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
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
        /// Offsets (backup) or records (restore) to move.
        records: u64,
    },
    /// How far the run is.
    Progress {
        /// Records moved by this run so far.
        records: u64,
        /// Bytes moved by this run so far.
        bytes: u64,
        /// Share of the plan that is done, 0 to 100.
        percent: f64,
    },
    /// Something a person should know that does not stop the run.
    Warning {
        /// In words.
        message: String,
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
    /// Progress was made durable.
    Committed {
        /// Number of the log entry, or of the state's generation.
        entry: u64,
        /// Whether this makes a recovery point visible.
        sealed: bool,
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
