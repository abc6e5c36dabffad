//! The kinds of `kafka.oso.sh/v1alpha1`.

mod backup;
mod claim;
mod cluster;
mod limits;
mod offset_reset;
mod offset_rollback;
mod restore;
mod storage;
mod validation;

pub use backup::{Checkpoint, KafkaBackup, KafkaBackupSpec, KafkaBackupStatus, Metrics, Retention};
pub use claim::RunClaim;
pub use cluster::{CaSecret, Connection, KafkaCluster, SaslSecret, TlsSecret};
pub use limits::{BackupRef, CircuitBreaker, RateLimiting, VolumePlace};
pub use offset_reset::{
    GroupResult, KafkaOffsetReset, KafkaOffsetResetSpec, KafkaOffsetResetStatus, OffsetMappingRef, ResetStrategy,
};
pub use offset_rollback::{
    KafkaOffsetRollback, KafkaOffsetRollbackSpec, KafkaOffsetRollbackStatus, RollbackVerification, SnapshotRef,
};
pub use restore::{
    KafkaRestore, KafkaRestoreSpec, KafkaRestoreStatus, OffsetReset, PointInTime, Repartitioning, Rollback,
    RollbackStatus,
};
pub use storage::{
    AzureAccountKey, AzureSasToken, AzureServicePrincipal, AzureStorage, GcsCredentials, GcsStorage, PvcCreate,
    PvcStorage, S3Credentials, S3Storage, Storage, StoreCaSecret,
};
pub use validation::{
    CheckResult, Checks, ConsumerGroupCheck, Evidence, KafkaBackupValidation, KafkaBackupValidationSpec,
    KafkaBackupValidationStatus, KeySecret, MessageCountCheck, Notifications, OffsetRangeCheck, PagerDuty, SecretKey,
    Signing, Slack, WebhookCheck,
};

/// The group of these kinds.
pub const GROUP: &str = "kafka.oso.sh";
