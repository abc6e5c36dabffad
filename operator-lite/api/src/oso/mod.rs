//! The kinds of `kafka.oso.sh/v1alpha1`.

mod backup;
mod claim;
mod cluster;
mod evidence;
mod limits;
mod offset_reset;
mod offset_rollback;
mod restore;
mod retention_status;
mod storage;
mod validation;
mod validation_status;

pub use backup::{Checkpoint, KafkaBackup, KafkaBackupSpec, KafkaBackupStatus, Metrics, Retention, SecretName};
pub use claim::RunClaim;
pub use cluster::{CaSecret, Connection, KafkaCluster, SaslSecret, TlsSecret};
pub use evidence::{Evidence, KeySecret, Notifications, PagerDuty, SecretKey, Signing, Slack};
pub use limits::{BackupRef, CircuitBreaker, RateLimiting, VolumePlace};
pub use offset_reset::{
    GroupResult, KafkaOffsetReset, KafkaOffsetResetSpec, KafkaOffsetResetStatus, OffsetMappingRef, ResetStrategy,
};
pub use offset_rollback::{
    KafkaOffsetRollback, KafkaOffsetRollbackSpec, KafkaOffsetRollbackStatus, MismatchedPosition, RollbackVerification,
    SnapshotRef,
};
pub use restore::{
    KafkaRestore, KafkaRestoreSpec, KafkaRestoreStatus, OffsetReset, PlanRefusal, PointInTime, Repartitioning,
    Rollback, RollbackStatus,
};
pub use retention_status::RetentionStatus;
pub use storage::{
    AzureAccountKey, AzureSasToken, AzureServicePrincipal, AzureStorage, GcsCredentials, GcsStorage, PvcCreate,
    PvcStorage, S3Credentials, S3Storage, Storage, StoreCaSecret,
};
pub use validation::{
    ArchiveCheck, Checks, ConsumerGroupCheck, KafkaBackupValidation, KafkaBackupValidationSpec, MessageCountCheck,
    OffsetRangeCheck, RestoreRef, Sample, WebhookCheck,
};
pub use validation_status::{CheckResult, KafkaBackupValidationStatus, PastValidation};

/// The group of these kinds.
pub const GROUP: &str = "kafka.oso.sh";
