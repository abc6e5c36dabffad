//! Jobs, pods and Events as the operator reads them. Whoever may write such objects decides how large they are: what is not
//! looked at is passed over while an answer is read, and takes no memory. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use api::lower::job::{CONTAINER, OWNER_LABEL, QUEUE_LABELS};
use contract::words::cut;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobCondition;
use k8s_openapi::api::core::v1::NodeCondition;
use k8s_openapi::api::core::v1::{ContainerStatus, PodCondition, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::Resource;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Most items of a list that are kept: conditions, and containers that must end before the runner starts. The kubelet and the
/// Job controller write fewer.
const MOST: usize = 32;
/// Most characters of a text of an Event that is kept.
const TEXT: usize = 1_000;

/// A Job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Job {
    /// Name, uid, controller, labels of the owner and of queues.
    #[serde(default, deserialize_with = "meta")]
    pub metadata: ObjectMeta,
    /// What it asks for.
    #[serde(default)]
    pub spec: Option<JobSpec>,
    /// What came of it.
    #[serde(default)]
    pub status: Option<JobStatus>,
}

/// What a Job asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobSpec {
    /// Whether it makes no pods for now.
    #[serde(default)]
    pub suspend: Option<bool>,
}

/// What came of a Job.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JobStatus {
    /// Its conditions.
    #[serde(default, deserialize_with = "few")]
    pub conditions: Option<Vec<JobCondition>>,
}

/// A pod.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Pod {
    /// Name, uid, controller, times.
    #[serde(default, deserialize_with = "meta")]
    pub metadata: ObjectMeta,
    /// What it asks for.
    #[serde(default)]
    pub spec: Option<PodSpec>,
    /// What the kubelet says.
    #[serde(default)]
    pub status: Option<PodStatus>,
    /// Since when its node does not answer, where the node itself was asked.
    #[serde(skip)]
    pub silent_since: Option<Timestamp>,
}

/// What a pod asks for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// The runner, if it is there.
    #[serde(default, deserialize_with = "runners")]
    pub containers: Vec<Container>,
    /// Its node.
    #[serde(default)]
    pub node_name: Option<String>,
}

/// A container of a pod.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Container {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it may take.
    #[serde(default)]
    pub resources: Option<ResourceRequirements>,
}

/// What the kubelet says of a pod.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStatus {
    /// Pending, Running, Succeeded, Failed or Unknown.
    #[serde(default)]
    pub phase: Option<String>,
    /// Its conditions.
    #[serde(default, deserialize_with = "few")]
    pub conditions: Option<Vec<PodCondition>>,
    /// Of the runner.
    #[serde(default, deserialize_with = "runners")]
    pub container_statuses: Vec<ContainerStatus>,
    /// Of containers that must end, or be there, before the runner starts.
    #[serde(default, deserialize_with = "few")]
    pub init_container_statuses: Option<Vec<ContainerStatus>>,
}

/// An Event.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Its name.
    #[serde(default, deserialize_with = "meta")]
    pub metadata: ObjectMeta,
    /// Why, in one word.
    #[serde(default, deserialize_with = "short")]
    pub reason: Option<String>,
    /// In words; long ones are cut.
    #[serde(default, deserialize_with = "short")]
    pub message: Option<String>,
    /// When it was seen last, where it was counted.
    #[serde(default)]
    pub last_timestamp: Option<Time>,
    /// When it was seen first.
    #[serde(default)]
    pub event_time: Option<MicroTime>,
}

/// A node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    #[serde(default, deserialize_with = "meta")]
    pub metadata: ObjectMeta,
    /// What is known of it.
    #[serde(default)]
    pub status: Option<NodeStatus>,
}

/// What is known of a node.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its conditions.
    #[serde(default, deserialize_with = "few")]
    pub conditions: Option<Vec<NodeCondition>>,
}

/// What the API server calls a kind that is read here.
macro_rules! kind {
    ($kind:ident, $scope:ident, $group:literal, $plural:literal) => {
        impl Resource for $kind {
            type DynamicType = ();
            type Scope = $scope;

            fn kind((): &()) -> Cow<'_, str> {
                stringify!($kind).into()
            }

            fn group((): &()) -> Cow<'_, str> {
                $group.into()
            }

            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

kind!(Job, NamespaceResourceScope, "batch", "jobs");
kind!(Pod, NamespaceResourceScope, "", "pods");
kind!(Event, NamespaceResourceScope, "", "events");
kind!(Node, ClusterResourceScope, "", "nodes");

/// What is read of the metadata of any of them.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
    labels: Option<ReadLabels>,
    owner_references: Controllers,
}

fn meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let read = Meta::deserialize(deserializer)?;
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        creation_timestamp: read.creation_timestamp,
        deletion_timestamp: read.deletion_timestamp,
        labels: read.labels.map(|labels| labels.0),
        owner_references: Some(read.owner_references.0).filter(|all| !all.is_empty()),
        ..ObjectMeta::default()
    })
}

/// The label that names the owner, and a few of queues; others are passed over.
struct ReadLabels(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for ReadLabels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Labels;
        impl<'de> Visitor<'de> for Labels {
            type Value = ReadLabels;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("labels")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut all: A) -> Result<ReadLabels, A::Error> {
                let mut kept = BTreeMap::new();
                while let Some(name) = all.next_key::<String>()? {
                    let is_of_queue = name.starts_with(QUEUE_LABELS) && kept.len() < MOST;
                    if name == OWNER_LABEL || is_of_queue {
                        kept.insert(name, all.next_value()?);
                    } else {
                        all.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(ReadLabels(kept))
            }
        }
        deserializer.deserialize_map(Labels)
    }
}

/// References to a controller: an object has at most one.
#[derive(Default)]
struct Controllers(Vec<OwnerReference>);

impl<'de> Deserialize<'de> for Controllers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        chosen(deserializer, |owner: &OwnerReference| owner.controller == Some(true)).map(Self)
    }
}

/// The first items of a list.
fn few<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<T>>, D::Error> {
    chosen(deserializer, |_: &T| true).map(Some)
}

/// What has a name.
trait Named {
    fn name(&self) -> &str;
}

impl Named for Container {
    fn name(&self) -> &str {
        &self.name
    }
}

impl Named for ContainerStatus {
    fn name(&self) -> &str {
        &self.name
    }
}

/// What a list says of the runner.
fn runners<'de, T: Deserialize<'de> + Named, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    chosen(deserializer, |one: &T| one.name() == CONTAINER)
}

/// The first items of a list that are wanted. The others are read one by one, and dropped.
fn chosen<'de, T, D>(deserializer: D, wanted: impl Fn(&T) -> bool) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Chosen<T, F>(F, std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>, F: Fn(&T) -> bool> Visitor<'de> for Chosen<T, F> {
        type Value = Vec<T>;

        fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
            out.write_str("a list")
        }

        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() < MOST {
                let Some(item) = all.next_element::<T>()? else { return Ok(kept) };
                if (self.0)(&item) {
                    kept.push(item);
                }
            }
            while all.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }
    // A list may be there and null.
    deserializer.deserialize_any(Chosen(wanted, std::marker::PhantomData))
}

fn short<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(|text| cut(text, TEXT)))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A text of so many bytes.
    fn large(bytes: usize) -> String {
        "x".repeat(bytes)
    }

    fn metadata() -> Value {
        let many: serde_json::Map<_, _> = (0..20_000).map(|n| (format!("l{n}"), json!("v"))).collect();
        let mut labels = many.clone();
        labels.insert(OWNER_LABEL.to_owned(), json!("u"));
        let mut owners: Vec<_> = (0..5_000)
            .map(|n| json!({"apiVersion": "v1", "kind": "Pod", "name": format!("o{n}"), "uid": n.to_string()}))
            .collect();
        owners.push(json!({"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": true}));
        json!({
            "name": "a", "uid": "u", "labels": labels, "annotations": many, "ownerReferences": owners,
            "finalizers": vec![large(100); 1_000], "managedFields": [{"manager": "m", "fieldsV1": many}],
        })
    }

    fn bytes(object: &impl Serialize) -> usize {
        serde_json::to_string(object).unwrap().len()
    }

    /// Whatever somebody writes into a Job or a pod: what is kept of it is small.
    #[test]
    fn of_large_objects_little_is_kept() {
        let condition = json!({"type": "Failed", "status": "True", "message": "m"});
        let container = |name: String| json!({"name": name, "image": "i", "env": [{"name": "A", "value": large(200)}]});
        let mut containers: Vec<_> = (0..5_000).map(|n| container(format!("c{n}"))).collect();
        containers.push(container(CONTAINER.to_owned()));
        let status =
            |name: String| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0});
        let mut statuses: Vec<_> = (0..5_000).map(|n| status(format!("c{n}"))).collect();
        statuses.push(status(CONTAINER.to_owned()));
        let job = json!({
            "metadata": metadata(), "status": {"conditions": vec![condition; 5_000]},
            "spec": {"suspend": true, "template": {"spec": {"containers": containers}}},
        });
        let job: Job = serde_json::from_value(job).unwrap();
        assert!(bytes(&job) < 8_000, "{}", bytes(&job));
        assert_eq!(job.spec.and_then(|spec| spec.suspend), Some(true));
        assert_eq!(job.metadata.labels.unwrap()[OWNER_LABEL], "u");
        let owners = job.metadata.owner_references.unwrap();
        assert_eq!(owners.iter().map(|owner| owner.name.as_str()).collect::<Vec<_>>(), ["j"]);
        let pod = json!({
            "metadata": metadata(), "spec": {"containers": containers, "nodeName": "n"},
            "status": {"phase": "Running", "containerStatuses": statuses, "initContainerStatuses": statuses},
        });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        assert!(bytes(&pod) < 8_000, "{}", bytes(&pod));
        let (spec, status) = (pod.spec.unwrap(), pod.status.unwrap());
        assert_eq!((spec.containers.len(), status.container_statuses.len()), (1, 1));
        let event = json!({"metadata": metadata(), "reason": "FailedCreate", "message": large(500_000), "source": {"a": large(9)}});
        let event: Event = serde_json::from_value(event).unwrap();
        assert!(bytes(&event) < 3_000 && event.reason.as_deref() == Some("FailedCreate"), "{}", bytes(&event));
    }

    #[test]
    fn what_is_absent_or_null_reads() {
        for text in ["{}", r#"{"metadata": {}, "spec": null, "status": null}"#] {
            serde_json::from_str::<Job>(text).unwrap();
            serde_json::from_str::<Pod>(text).unwrap();
        }
        let null =
            r#"{"metadata": {"labels": null}, "spec": {"containers": null}, "status": {"containerStatuses": null}}"#;
        assert!(serde_json::from_str::<Pod>(null).unwrap().status.unwrap().container_statuses.is_empty());
    }
}
