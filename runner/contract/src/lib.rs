//! The words that all parts of the project share.
//!
//! What it holds: the specification of a run ([`RunSpec`]), what a run says while it works ([`Event`]) and at
//! its end ([`Report`]), and every error code with its exit code and help ([`Code`]).
//! What it never does: I/O, async, clocks. A secret never stands in these types, only paths to it.
//! Data comes from a person or from the operator as YAML or JSON, and goes to the runner; events and reports
//! come from the runner, and go to logs, the archive and the custom resource's status.
//!
//! Modules use only modules listed above them.

pub mod code;
pub mod crash;
pub mod names;
pub mod odd;
mod paths;
pub mod pauses;
pub mod system_words;
pub mod tls_words;
pub mod waits;
pub mod words;

pub mod allowed;
pub mod check_line;
pub mod limits;
pub mod metrics_spec;
pub mod selection;

pub mod endpoint;
pub mod stamp;
pub mod store_address;
pub mod store_spec;
pub mod store_url;

pub mod http_target;

pub mod evidence_spec;
pub mod notice_spec;

pub mod backup_spec;
pub mod offset_saving;
pub mod old_place;

pub mod group_restore;
pub mod offset_spec;
pub mod retention;
pub mod set_owner;

pub mod prune_spec;
pub mod restore_spec;

pub mod validation_spec;

pub mod run_spec;

pub mod inspect_spec;

pub mod member;
pub mod point_line;

pub mod prune_report;
pub mod validation_report;

pub mod event;
pub mod group_line;
pub mod report;

pub use allowed::AllowedEndpoints;
pub use backup_spec::{BackupSpec, Compression, OnGap, OnMissingSegments, OnMissingTopic, StartOffset};
pub use check_line::{CheckLine, Verdict};
pub use code::{Code, ExitCode, Failure};
pub use crash::CrashPoint;
pub use endpoint::{
    ConnectionSpec, KafkaSpec, OPEN_PASSWORD, OPEN_PASSWORD_FIX, SaslMechanism, SaslSpec, SecurityProtocol, TlsSpec,
};
pub use event::{Bound, Event, EventKind, OutputStream, Pace};
pub use evidence_spec::{EVIDENCE_DAYS, EvidenceSpec, SigningSpec};
pub use group_line::{
    ConfigLine, DeletedOffset, GroupLine, GroupOutcome, InexactOffset, OffsetFound, OffsetLine, OffsetsBefore,
    SourceOffset,
};
pub use group_restore::GroupRestore;
pub use inspect_spec::{INSPECT_PORT, InspectSpec};
pub use limits::{CircuitBreakerSpec, RateLimit};
pub use member::{GroupChange, GroupPresence, MemberChange, Membership};
pub use metrics_spec::MetricsSpec;
pub use notice_spec::{NoticeSpec, PAGERDUTY, PagerDutySpec, Severity, SlackSpec};
pub use offset_saving::OffsetSaving;
pub use offset_spec::{MappingPlace, OffsetResetSpec, OffsetRollbackSpec, ResetTo, SavedOffsets};
pub use old_place::OldPlace;
pub use point_line::{Before, PointLine};
pub use prune_report::{BusySet, ObjectSum, PointFate, PruneReport, PrunedPoint, RefusedObjects};
pub use prune_spec::PruneSpec;
pub use report::{Lengths, Moved, Report};
pub use restore_spec::{
    ExistingTopics, ForeignRecords, HeaderPreflight, MAX_IN_FLIGHT_BYTES, OnUnreadable, Repartitioning, RestoreSpec,
    Risk, Strategy, WhenNewer,
};
pub use retention::RetentionRules;
pub use run_spec::{Action, FORMAT_VERSION, RunRef, RunSpec, SpecFinding};
pub use selection::{PatternSyntax, Selection};
pub use set_owner::SetOwner;
pub use store_spec::{AzureCredentials, GcsCredentials, S3Credentials, StoreSpec, StoreTls, UNENCRYPTED};
pub use validation_report::{
    CheckFinding, CheckVerdict, EvidenceLine, MOST_FINDINGS, SampleTaken, ValidatedPoint, ValidatedRestore,
    ValidationCheck, ValidationReport, ValidationScope, ValidationVerdict,
};
pub use validation_spec::{
    ARCHIVE_CHECKS, CHECK_NAMES, CLUSTER_CHECKS, GroupOffsetsSpec, LONGEST_TIMEOUT_SECS, MOST_WEBHOOKS,
    MessageCountSpec, RestoreName, SampleSize, SampleSpec, ValidationChecks, ValidationSpec, WebhookSpec,
};
pub use waits::{Wait, Waits};

/// Whether a number is left out of a document.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Whether a flag is left out of a document.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks so
pub(crate) fn is_false(flag: &bool) -> bool {
    !*flag
}
