//! The kinds that stand beside a Strimzi cluster: `backup.strimzi.io/v1alpha1`, served as `kafkabackup.com/v1alpha1`
//! too, with one schema.

mod backup;
mod cluster;
mod pod;
mod restore;
mod storage;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use backup::{
    BackupOptions, BackupRun, BackupSelection, Encryption, HistoryEntry, KafkaBackup, KafkaBackupSpec,
    KafkaBackupStatus, OffsetStorage, Retention, Schedule,
};
pub use cluster::{
    Authentication, AuthenticationType, CertificateAndKey, ClusterRef, Connection, KafkaUserRef, SecretKey,
};
pub use pod::{Container, HostAlias, Logging, Metrics, Pod, PodMetadata, Resources, Rotation, Template};
pub use restore::{
    BackupRef, ConsumerGroups, ExistingTopicPolicy, GroupMapping, KafkaRestore, KafkaRestoreSpec, KafkaRestoreStatus,
    PartitionMapping, PointInTime, Repartitioning, RestoreOptions, RestoreResult, TopicCreation, TopicMapping,
};
pub use storage::{AzureStorage, FilesystemStorage, GcsStorage, S3Storage, Storage, StorageType};

/// The group that the documents promise.
pub const GROUP: &str = "backup.strimzi.io";
/// The group under which the same kinds were released.
pub const RELEASED_GROUP: &str = "kafkabackup.com";

/// The definition of KafkaBackup in one of the two groups.
#[must_use]
pub fn backup_definition(group: &str) -> CustomResourceDefinition {
    in_group(KafkaBackup::crd(), group)
}

/// The definition of KafkaRestore in one of the two groups.
#[must_use]
pub fn restore_definition(group: &str) -> CustomResourceDefinition {
    in_group(KafkaRestore::crd(), group)
}

fn in_group(mut definition: CustomResourceDefinition, group: &str) -> CustomResourceDefinition {
    definition.metadata.name = Some(format!("{}.{group}", definition.spec.names.plural));
    group.clone_into(&mut definition.spec.group);
    definition
}
