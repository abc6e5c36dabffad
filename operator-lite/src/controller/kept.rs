//! Resources as a controller keeps them between two looks: small ones whole, of large ones the name only. How large a resource
//! is, and how many there are, its authors decide; what is kept of one takes little memory all the same.
//!
//! A large one is read again at each look, a few at once.

use std::borrow::Cow;
use std::io::{Error, Write};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry, ObjectMeta};
use kube::core::DeserializeGuard;
use kube::core::error_boundary::InvalidObject;
use kube::{Api, Resource};
use serde::de::{DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;

use contract::words::cut;

/// Most bytes of a resource, as JSON, that is kept whole. Most have less than 4 KiB.
const LARGEST: usize = 16 << 10;
/// Large ones that are looked at at once.
static LARGE: Semaphore = Semaphore::const_new(4);
/// Most characters that say why an object does not read.
const WORDS: usize = 1_000;
/// What the names of annotations and labels contain that somebody reads: of our kinds, and of queues for Jobs.
const READ: [&str; 5] = ["kafka.oso.sh/", "strimzi.io/", "kafkabackup.com/", "kafka-backup.dev/", "kueue.x-k8s.io/"];

/// A resource as it is kept.
#[derive(Debug, Clone)]
pub(super) enum Kept<K> {
    /// All of it that is read.
    Whole(Box<K>),
    /// Where it is.
    Large(Box<ObjectMeta>),
    /// Where it is, and why it does not read.
    Unreadable(Box<InvalidObject>),
}

impl<'de, K> Deserialize<'de> for Kept<K>
where
    K: Resource + Serialize + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match DeserializeGuard::<K>::deserialize(deserializer)?.0 {
            Ok(mut object) => {
                slim(object.meta_mut());
                if is_small(&object) {
                    Self::Whole(Box::new(object))
                } else {
                    Self::Large(Box::new(place(object.meta())))
                }
            }
            Err(InvalidObject { error, metadata }) => {
                Self::Unreadable(Box::new(InvalidObject { error: cut(error, WORDS), metadata: place(&metadata) }))
            }
        })
    }
}

impl<K: Resource> Resource for Kept<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Whole(object) => object.meta(),
            Self::Large(meta) => meta,
            Self::Unreadable(invalid) => &invalid.metadata,
        }
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Whole(object) => object.meta_mut(),
            Self::Large(meta) => meta,
            Self::Unreadable(invalid) => &mut invalid.metadata,
        }
    }
}

/// Reads a large one when it is its turn, which lasts as long as what is returned; `None` where it is gone meanwhile.
///
/// # Errors
/// When the API server does not answer.
pub(super) async fn whole<K>(api: &Api<DeserializeGuard<K>>, meta: &ObjectMeta) -> Result<Option<Large<K>>, kube::Error>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    // Nobody closes it.
    let turn = LARGE.acquire().await.ok();
    let found = api.get_opt(meta.name.as_deref().unwrap_or_default()).await?;
    Ok(found.map(|guard| Large { object: guard.0, _turn: turn }))
}

/// A large resource, and the turn to look at it.
pub(super) struct Large<K> {
    /// It, or why it does not read.
    pub(super) object: Result<K, InvalidObject>,
    _turn: Option<tokio::sync::SemaphorePermit<'static>>,
}

/// Leaves out of the metadata what nobody reads: whoever needs it all reads the object anew. A status that is written takes
/// nothing of it but the version.
fn slim(meta: &mut ObjectMeta) {
    for names in [&mut meta.annotations, &mut meta.labels].into_iter().flatten() {
        names.retain(|name, _| is_read(name));
    }
    meta.owner_references = None;
    for entry in meta.managed_fields.iter_mut().flatten() {
        slim_writer(entry);
    }
}

fn is_read(name: &str) -> bool {
    READ.iter().any(|part| name.contains(part))
}

/// Of what a writer wrote: which fields of the specification, and which annotations of ours.
fn slim_writer(entry: &mut ManagedFieldsEntry) {
    let Some(FieldsV1(fields)) = &mut entry.fields_v1 else { return };
    let names = |path: &str, wanted: &dyn Fn(&str) -> bool| -> Option<Value> {
        let names = fields.pointer(path)?.as_object()?.keys().filter(|name| wanted(name));
        Some(Value::Object(names.map(|name| (name.clone(), Value::Object(Map::new()))).collect()))
    };
    let mut kept = Map::new();
    if let Some(spec) = names("/f:spec", &|_| true) {
        kept.insert("f:spec".to_owned(), spec);
    }
    if let Some(annotations) = names("/f:metadata/f:annotations", &is_read) {
        kept.insert(
            "f:metadata".to_owned(),
            Value::Object(Map::from_iter([("f:annotations".to_owned(), annotations)])),
        );
    }
    *fields = Value::Object(kept);
}

/// What says which object it is.
fn place(meta: &ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        generation: meta.generation,
        ..ObjectMeta::default()
    }
}

/// Whether it is no larger than what is kept whole.
fn is_small(object: &impl Serialize) -> bool {
    /// Takes so many bytes, and no more.
    struct Room(usize);
    impl Write for Room {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| Error::other("it is large"))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Room(LARGEST), object).is_ok()
}

#[cfg(test)]
mod tests {
    use api::oso::KafkaBackup;
    use api::{ticks, trigger};
    use serde_json::json;

    use super::*;

    const TRIGGER: &str = "kafka.oso.sh/trigger-backup";

    /// A backup with everything in its metadata that others may put there, and so many topics.
    fn backup(topics: usize) -> Value {
        let names: Vec<_> = (0..topics).map(|number| format!("topic-{number}")).collect();
        let written: Map<_, _> = (0..20_000).map(|number| (format!("f:{number}"), json!({}))).collect();
        let mut annotations: Map<_, _> = (0..1_000).map(|number| (format!("note-{number}"), json!("x"))).collect();
        annotations.insert("kubectl.kubernetes.io/last-applied-configuration".into(), "x".repeat(200_000).into());
        annotations.insert(TRIGGER.into(), "monday".into());
        json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
            "metadata": {
                "name": "nightly", "namespace": "team", "uid": "u", "generation": 1, "resourceVersion": "7",
                "creationTimestamp": "2026-11-29T10:00:00Z", "annotations": annotations,
                "labels": {"kueue.x-k8s.io/queue-name": "q", "other": "x".repeat(60)},
                "managedFields": [{
                    "manager": "apply", "operation": "Update", "time": "2026-11-29T10:00:00Z", "fieldsType": "FieldsV1",
                    "fieldsV1": {
                        "f:spec": {"f:topics": written, "f:schedule": {}},
                        "f:metadata": {"f:annotations": {"f:note-1": {}, format!("f:{TRIGGER}"): {}}},
                    },
                }],
            },
            "spec": {
                "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": names, "schedule": "0 0 2 * * *",
                "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}},
            },
        })
    }

    fn kept(document: Value) -> Kept<KafkaBackup> {
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn of_an_object_only_what_is_read_is_kept() {
        let read: KafkaBackup = serde_json::from_value(backup(3)).unwrap();
        let Kept::Whole(object) = kept(backup(3)) else { panic!("it is small") };
        let bytes = serde_json::to_string(&object).unwrap().len();
        assert!(bytes < 4_000, "{bytes} bytes are kept");
        // Decisions see what they saw before.
        let made = |meta: &ObjectMeta| trigger::is_made_with(meta, TRIGGER);
        assert!(made(&read.metadata) && made(&object.metadata));
        assert_eq!(object.metadata.annotations.as_ref().unwrap().len(), 1);
        assert_eq!(object.metadata.labels.as_ref().unwrap().len(), 1);
        let now = "2026-11-30T10:00:00Z".parse().unwrap();
        let with_status = |object: &KafkaBackup| KafkaBackup {
            status: Some(api::oso::KafkaBackupStatus::default()),
            ..object.clone()
        };
        let since = ticks::since(&with_status(&read), now);
        assert!(since.is_some() && since == ticks::since(&with_status(&object), now));
        assert_eq!(object.spec, read.spec);
    }

    #[test]
    fn of_a_large_object_the_name_is_kept() {
        let large = kept(backup(5_000));
        let Kept::Large(meta) = &large else { panic!("it is large") };
        let bytes = serde_json::to_string(meta).unwrap().len();
        assert!(bytes < 300, "{bytes} bytes are kept");
        assert_eq!((large.meta().name.as_deref(), large.meta().generation), (Some("nightly"), Some(1)));
    }

    #[test]
    fn of_an_object_that_does_not_read_the_reason_is_kept() {
        let mut wrong = backup(3);
        wrong["spec"]["topics"] = "x".repeat(500_000).into();
        let Kept::Unreadable(invalid) = kept(wrong) else { panic!("it does not read") };
        assert!(invalid.error.len() < 1_100 && invalid.metadata.annotations.is_none(), "{}", invalid.error.len());
    }
}
