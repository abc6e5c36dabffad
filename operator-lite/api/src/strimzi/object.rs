//! A resource of one of the two groups: the same kind under another name. The group is part of the type, so that what is read
//! from one group is never written to the other.

use std::borrow::Cow;
use std::fmt::Debug;
use std::marker::PhantomData;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use super::{
    GROUP, KafkaBackupSpec, KafkaBackupStatus, KafkaRestoreSpec, KafkaRestoreStatus, Patterns, RELEASED_GROUP,
};

/// One of the two groups.
pub trait Group: Debug + Clone + PartialEq + Send + Sync + Unpin + 'static {
    /// Its name.
    const NAME: &'static str;
    /// The version that is stored.
    const VERSION: &'static str;
    /// How it writes patterns of topics.
    const PATTERNS: Patterns;
}

/// `backup.strimzi.io`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documented;

/// `kafkabackup.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released;

impl Group for Documented {
    const NAME: &'static str = GROUP;
    const VERSION: &'static str = "v1alpha1";
    const PATTERNS: Patterns = Patterns::Regex;
}

impl Group for Released {
    const NAME: &'static str = RELEASED_GROUP;
    const VERSION: &'static str = "v1";
    const PATTERNS: Patterns = Patterns::Glob;
}

/// What a kind is made of.
pub trait Content: Debug + Clone + PartialEq + Serialize + DeserializeOwned + Send + Sync + Unpin + 'static {
    /// Name of the kind.
    const KIND: &'static str;
    /// Its plural.
    const PLURAL: &'static str;
    /// What is known of a resource.
    type Status: Debug + Clone + PartialEq + Default + Serialize + DeserializeOwned + Send + Sync + Unpin + 'static;
}

impl Content for KafkaBackupSpec {
    const KIND: &'static str = "KafkaBackup";
    const PLURAL: &'static str = "kafkabackups";
    type Status = KafkaBackupStatus;
}

impl Content for KafkaRestoreSpec {
    const KIND: &'static str = "KafkaRestore";
    const PLURAL: &'static str = "kafkarestores";
    type Status = KafkaRestoreStatus;
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(bound = "")]
pub struct Object<G: Group, S: Content> {
    /// Its metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What is asked for.
    pub spec: S,
    /// What is known of it.
    #[serde(default)]
    pub status: Option<S::Status>,
    #[serde(skip)]
    group: PhantomData<G>,
}

impl<G: Group, S: Content> Object<G, S> {
    /// The same resource with this status.
    #[must_use]
    pub fn with(&self, status: S::Status) -> Self {
        Self { status: Some(status), ..self.clone() }
    }
}

/// A KafkaBackup of a group.
pub type BackupOf<G> = Object<G, KafkaBackupSpec>;
/// A KafkaRestore of a group.
pub type RestoreOf<G> = Object<G, KafkaRestoreSpec>;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a, S: Content> {
    api_version: Cow<'a, str>,
    kind: &'a str,
    metadata: &'a ObjectMeta,
    spec: &'a S,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a S::Status>,
}

impl<G: Group, S: Content> Serialize for Object<G, S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let whole = Whole {
            api_version: Self::api_version(&()),
            kind: S::KIND,
            metadata: &self.metadata,
            spec: &self.spec,
            status: self.status.as_ref(),
        };
        whole.serialize(serializer)
    }
}

impl<G: Group, S: Content> Resource for Object<G, S> {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        S::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        G::NAME.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        G::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        S::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_is_written_back_under_its_own_group() {
        let spec =
            json!({"strimziClusterRef": {"name": "k"}, "storage": {"type": "filesystem", "filesystem": {"path": "c"}}});
        let document = |version: &str| {
            json!({
                "apiVersion": version, "kind": "KafkaBackup", "metadata": {"name": "a"}, "spec": spec,
            })
        };
        let ours: BackupOf<Documented> = serde_json::from_value(document("backup.strimzi.io/v1alpha1")).unwrap();
        assert_eq!(serde_json::to_value(&ours).unwrap(), document("backup.strimzi.io/v1alpha1"));
        let theirs: BackupOf<Released> = serde_json::from_value(document("kafkabackup.com/v1alpha1")).unwrap();
        assert_eq!(
            serde_json::to_value(&theirs).unwrap(),
            document("kafkabackup.com/v1"),
            "the version that is stored"
        );
        assert_eq!(
            BackupOf::<Released>::url_path(&(), Some("shop")),
            "/apis/kafkabackup.com/v1/namespaces/shop/kafkabackups"
        );
    }
}
