//! What can go wrong with an archive or its store.

use contract::{Code, Failure};
use uuid::Uuid;

use crate::classify;
use crate::json::JsonError;

/// A partition of which rows are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPartition {
    /// Topic id.
    pub topic: Uuid,
    /// Topic name.
    pub name: String,
    /// Partition.
    pub partition: i32,
}

/// A failure of the archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The store failed.
    #[error("{operation} {key}: {reason}")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// On which object or folder.
        key: String,
        /// What the store said.
        reason: String,
        /// The class of the failure.
        code: Code,
    },
    /// The store cannot be used as configured.
    #[error("{reason}")]
    Config {
        /// What is wrong, with the fix.
        reason: String,
        /// The class of the failure.
        code: Code,
    },
    /// Stored bytes are not what they must be.
    #[error("{key} is damaged: {reason}")]
    Damaged {
        /// The object.
        key: String,
        /// How it shows.
        reason: String,
    },
    /// A document takes too much memory when it is read.
    #[error("{key} {fault}; raise the memory limit if the set is that large")]
    TooLarge {
        /// The object.
        key: String,
        /// What it takes, with the limit.
        fault: JsonError,
    },
    /// A folder holds another set than its name says, or a set with another set's document.
    #[error("{key} is not the backup set that it is named as: {reason}")]
    OtherSet {
        /// The object or folder.
        key: String,
        /// How it shows, with the fix.
        reason: String,
    },
    /// A newer release wrote this.
    #[error("{key} has format {format}{}; this release reads format {known}. Use the release that wrote it, or a newer one", feature.as_ref().map(|f| format!(" and needs the feature {f:?}")).unwrap_or_default())]
    Newer {
        /// The object.
        key: String,
        /// Its format number.
        format: u32,
        /// What this release reads.
        known: u32,
        /// A feature that this release does not know.
        feature: Option<String>,
    },
    /// The set belongs to somebody else.
    #[error(
        "backup set {set} belongs to {owner}; this run is {runner}. Use another name or prefix, or take it over once with backup.adopt: true"
    )]
    ForeignOwner {
        /// Name of the set.
        set: String,
        /// The owner on record.
        owner: String,
        /// Who asks.
        runner: String,
    },
    /// The set belongs to somebody else than its reader expects.
    #[error(
        "{point} belongs to {owner}, and {expected} was asked for. Correct the name or the storage; a restore that means this point says accept: [other-owner]"
    )]
    NotOwned {
        /// Name of the recovery point or set.
        point: String,
        /// The owner on record.
        owner: String,
        /// Whom the reader expects.
        expected: String,
    },
    /// Nothing of that name.
    #[error("{what} {name:?} does not exist in {place}")]
    Missing {
        /// A set, a point, a run.
        what: &'static str,
        /// Its name.
        name: String,
        /// The store.
        place: String,
    },
    /// Retention removed it.
    #[error(
        "retention removed the recovery point {point} (entry {entry} of its log). Use a newer one: `ls` shows them"
    )]
    Removed {
        /// Name of the point.
        point: String,
        /// The entry that says so.
        entry: u64,
    },
    /// Another writer took over.
    #[error(
        "another run wrote entry {entry} of {set} (claim {by}); this run stops without having committed anything after it"
    )]
    Fenced {
        /// Name of the set.
        set: String,
        /// The entry that was lost.
        entry: u64,
        /// What is known of the other writer.
        by: String,
    },
    /// Retention wrote behind what this run had read.
    #[error(
        "retention wrote entry {entry} of {set} while this run was at work: it begins again behind it, without having committed anything after it"
    )]
    PrunedMeanwhile {
        /// Name of the set.
        set: String,
        /// The entry.
        entry: u64,
    },
    /// The archive is older than a copy of its newest digest says.
    #[error(
        "{copy} says that the log reached entry {entry}, but {}: the store was rolled back, or this is another archive. Bring the store back, or remove the copy to accept what the store holds",
        newest.map_or_else(|| "the log is empty".to_owned(), |newest| format!("the log ends at entry {newest} or holds another entry there"))
    )]
    RolledBack {
        /// The file with the copy.
        copy: String,
        /// The entry that it names.
        entry: u64,
        /// Newest entry of the log.
        newest: Option<u64>,
    },
    /// The store lets two writers create one object.
    #[error(
        "{place} does not refuse to create an object twice: two runs of one set could overwrite each other. Use full backups, or a store that honours If-None-Match (on a directory: hard links)"
    )]
    Unsafe {
        /// The store.
        place: String,
    },
    /// The store confirmed a write and does not show it.
    #[error("{key}: {reason}. Nothing is damaged; run again to go on")]
    Unseen {
        /// The object.
        key: String,
        /// What it shows instead.
        reason: String,
    },
    /// Segments that the log names are not in the store.
    #[error("{text}")]
    BaseLost {
        /// What is lost, with the fix.
        text: String,
        /// Partitions of which rows are lost: whoever gives them up must know where the source's log of each starts.
        partitions: Vec<LostPartition>,
    },
    /// A log without the document of its set.
    #[error("{0}")]
    SetLost(String),
    /// Batch bytes cannot be read.
    #[error("{key}: {source}")]
    Batch {
        /// The object.
        key: String,
        /// What is wrong.
        source: batch::BatchError,
    },
}

impl ArchiveError {
    /// Damage of an object.
    pub(crate) fn damaged(key: impl ToString, reason: impl ToString) -> Self {
        Self::Damaged { key: key.to_string(), reason: reason.to_string() }
    }

    /// A document that cannot be read.
    pub(crate) fn unreadable(key: impl ToString, fault: JsonError) -> Self {
        match fault {
            JsonError::Fault(_) => Self::damaged(key, fault),
            JsonError::TooLarge(_) => Self::TooLarge { key: key.to_string(), fault },
        }
    }

    /// A log of which too much must be held at once.
    pub(crate) fn log_too_large(key: String, most: u64) -> Self {
        let reason = format!(
            "{key}: what its entries say takes more than {} MiB of memory at once, which is the most that a log may take: \
             three quarters of what this process has; raise its memory limit if the set is that large",
            most >> 20
        );
        Self::Config { reason, code: Code::ArchiveDamaged }
    }

    /// A create that must not replace is refused, and the object is not there.
    pub(crate) fn contradiction(key: String) -> Self {
        let reason = format!(
            "{key}: the store refuses to create the object because it exists, and says that it does not exist: its If-None-Match is wrong. `kafka-backup-runner store-check` tries it; use another store, or a release of it that does it right"
        );
        Self::Config { reason, code: Code::StoreUnsafe }
    }

    /// A document of ours that cannot be written down: a defect.
    #[must_use]
    pub fn unencodable(error: impl std::fmt::Display) -> Self {
        Self::Config { reason: format!("a document cannot be encoded: {error}"), code: Code::Internal }
    }

    /// Batches of a topic that the writer was not told of: a defect.
    pub(crate) fn unknown_topic(id: uuid::Uuid) -> Self {
        Self::Config {
            reason: format!("batches came of topic {id}, which the writer does not know"),
            code: Code::Internal,
        }
    }

    /// A task that ended by itself: a defect.
    #[must_use]
    pub fn task(error: tokio::task::JoinError) -> Self {
        Self::Config { reason: format!("a task ended: {error}"), code: Code::Internal }
    }

    /// A thread that packs and does not: a defect, or a machine without room for threads.
    pub(crate) fn thread(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Config { reason: format!("a thread that packs {what}: {error}"), code: Code::Internal }
    }

    /// A store failure, classified.
    pub(crate) fn store(operation: &'static str, key: impl ToString, error: &object_store::Error) -> Self {
        let (code, reason) = classify::describe(error);
        Self::Store { operation, key: key.to_string(), reason, code }
    }

    /// Whether stored bytes are not what they must be: reading them again may show other ones.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::TooLarge { .. } | Self::Batch { .. })
    }

    /// The project's code for this failure.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Store { code, .. } | Self::Config { code, .. } => *code,
            Self::Damaged { .. } | Self::TooLarge { .. } | Self::Batch { .. } | Self::OtherSet { .. } => {
                Code::ArchiveDamaged
            }
            Self::Newer { .. } => Code::ArchiveNewer,
            Self::ForeignOwner { .. } | Self::NotOwned { .. } => Code::ForeignOwner,
            Self::Missing { .. } | Self::Removed { .. } => Code::NoSuchPoint,
            Self::Fenced { .. } => Code::Fenced,
            Self::PrunedMeanwhile { .. } => Code::PrunedMeanwhile,
            Self::Unsafe { .. } => Code::StoreUnsafe,
            Self::RolledBack { .. } => Code::ArchiveRolledBack,
            Self::Unseen { .. } => Code::StoreForgets,
            Self::BaseLost { .. } => Code::SegmentsMissing,
            Self::SetLost(_) => Code::SetMissing,
        }
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
