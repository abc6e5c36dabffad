//! The kinds that stand beside a Strimzi cluster: `backup.strimzi.io/v1alpha1`, served as `kafkabackup.com/v1` (which is
//! stored) and `kafkabackup.com/v1alpha1` too, with one schema.

mod backup;
mod cluster;
pub(crate) mod config;
pub mod discovery;
mod object;
pub(crate) mod patterns;
mod pod;
mod restore;
mod storage;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, CustomResourceDefinitionVersion,
};
use kube::CustomResourceExt;

pub use backup::{
    BackupOptions, BackupRun, BackupSelection, Encryption, HistoryEntry, KafkaBackup, KafkaBackupSpec,
    KafkaBackupStatus, OffsetStorage, Retention, Schedule,
};
pub use cluster::{
    Authentication, AuthenticationType, CertificateAndKey, ClusterRef, Connection, KafkaUserRef, SecretKey,
};
pub use config::Config;
pub use object::{BackupOf, Content, Documented, Group, Object, Released, RestoreOf};
pub use patterns::Patterns;
pub use pod::{Container, HostAlias, Logging, Metrics, Pod, PodMetadata, Resources, Rotation, Template};
pub use restore::{
    BackupRef, ConsumerGroups, ExistingTopicPolicy, GroupMapping, KafkaRestore, KafkaRestoreSpec, KafkaRestoreStatus,
    PartitionMapping, PointInTime, Repartitioning, RestoreOptions, RestoreResult, TopicCreation, TopicMapping,
};
pub use storage::{
    AzureStorage, FilesystemStorage, GcsStorage, S3Storage, Storage, StorageTls, StorageType, StoreAuthority,
    TrustedCertificate,
};

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
    if group == RELEASED_GROUP {
        // Its newest releases store v1, and a definition without it cannot take the place of theirs.
        let old = definition.spec.versions.iter_mut();
        let newest: Vec<_> = old
            .map(|version| {
                let newest = CustomResourceDefinitionVersion { name: "v1".to_owned(), ..version.clone() };
                let kind = &definition.spec.names.kind;
                version.storage = false;
                version.deprecated = Some(true);
                version.deprecation_warning =
                    Some(format!("{group}/{} {kind} is deprecated; use {group}/v1, which is the same", version.name));
                newest
            })
            .collect();
        definition.spec.versions.splice(0..0, newest);
    }
    definition
}
