//! What a namespace holds beside what `install` and the operator made: whoever removes it would remove that, too.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::discovery::{Discovery, Scope, verbs};
use serde_json::Value;

use crate::cluster::{Cluster, definition, failed};
use crate::error::Error;

/// Objects that are asked for at once.
const PAGE: u32 = 500;

/// What tells an object of a namespace from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    group: String,
    kind: String,
    name: String,
}

impl Key {
    /// The key of a document.
    pub(super) fn of(document: &Value) -> Self {
        let definition = definition(document);
        let name = document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { group: definition.group, kind: definition.kind, name }
    }

    fn shown(&self) -> String {
        format!("{}/{}", self.kind.to_ascii_lowercase(), self.name)
    }
}

/// An object of the namespace.
#[derive(Debug, Clone)]
struct Found {
    key: Key,
    uid: String,
    owners: Vec<String>,
}

/// Made at run time by the operator: its Lease. Its Secret is in the manifests.
const OF_OPERATOR: [(&str, &str, &str); 1] = [("coordination.k8s.io", "Lease", "kafka-backup-operator")];
/// Made by every cluster in every namespace.
const OF_CLUSTER: [(&str, &str, &str); 3] = [
    ("", "ServiceAccount", "default"),
    ("", "ConfigMap", "kube-root-ca.crt"),
    ("", "ConfigMap", "openshift-service-ca.crt"),
];

/// The objects of a namespace that neither `install` (`made`), nor the operator, nor the cluster itself made.
///
/// # Errors
/// When it cannot be found out: a kind may not be listed, or its API does not answer.
pub(super) async fn strangers(cluster: &Cluster, namespace: &str, made: &BTreeSet<Key>) -> Result<Vec<String>, Error> {
    let discovered = Discovery::new(cluster.client.clone()).run().await;
    let discovered = discovered.map_err(|error| failed("list the kinds of the cluster", error))?;
    let mut found = Vec::new();
    for group in discovered.groups() {
        for (kind, can) in group.recommended_resources() {
            if can.scope == Scope::Namespaced && can.supports_operation(verbs::LIST) && !is_computed(&kind) {
                list(cluster, namespace, &kind, &mut found).await?;
            }
        }
    }
    Ok(foreign(&found, made))
}

/// Kinds whose objects are only said of others.
fn is_computed(kind: &ApiResource) -> bool {
    kind.kind == "Event" || kind.group == "metrics.k8s.io"
}

async fn list(cluster: &Cluster, namespace: &str, kind: &ApiResource, out: &mut Vec<Found>) -> Result<(), Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), namespace, kind);
    let mut page = ListParams::default().limit(PAGE);
    loop {
        let list = api.list_metadata(&page).await;
        let list = list.map_err(|error| failed(&format!("list {} in `{namespace}`", kind.plural), error))?;
        out.extend(list.items.into_iter().map(|object| one(kind, object.metadata)));
        match list.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page = page.continue_token(&token),
            None => return Ok(()),
        }
    }
}

fn one(kind: &ApiResource, meta: ObjectMeta) -> Found {
    Found {
        key: Key { group: kind.group.clone(), kind: kind.kind.clone(), name: meta.name.unwrap_or_default() },
        uid: meta.uid.unwrap_or_default(),
        owners: meta.owner_references.into_iter().flatten().map(|owner| owner.uid).collect(),
    }
}

/// Those that are not ours: not made by us, not the cluster's, and owned by nothing of ours. Pure.
fn foreign(found: &[Found], made: &BTreeSet<Key>) -> Vec<String> {
    let named = |key: &Key, list: &[(&str, &str, &str)]| {
        list.iter().any(|(group, kind, name)| {
            (key.group.as_str(), key.kind.as_str(), key.name.as_str()) == (*group, *kind, *name)
        })
    };
    // Endpoints have no owner: they are of the Service of their name.
    let of_service = |key: &Key| {
        let service = Key { kind: "Service".to_owned(), ..key.clone() };
        key.group.is_empty() && key.kind == "Endpoints" && made.contains(&service)
    };
    let is_made = |key: &Key| made.contains(key) || named(key, &OF_OPERATOR) || of_service(key);
    let mut ours: BTreeSet<&str> = found.iter().filter(|one| is_made(&one.key)).map(|one| one.uid.as_str()).collect();
    // What ours owns is ours: a Deployment's ReplicaSets, their pods.
    loop {
        let owned = found.iter().filter(|one| one.owners.iter().any(|owner| ours.contains(owner.as_str())));
        let all: BTreeSet<&str> = ours.iter().copied().chain(owned.map(|one| one.uid.as_str())).collect();
        if all.len() == ours.len() {
            break;
        }
        ours = all;
    }
    let foreign = found.iter().filter(|one| !ours.contains(one.uid.as_str()) && !named(&one.key, &OF_CLUSTER));
    foreign.map(|one| one.key.shown()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: (&str, &str, &str), uid: &str, owner: Option<&str>) -> Found {
        let (group, kind, name) = kind;
        let key = Key { group: group.into(), kind: kind.into(), name: name.into() };
        Found { key, uid: uid.into(), owners: owner.into_iter().map(str::to_owned).collect() }
    }

    fn made() -> BTreeSet<Key> {
        let key =
            |group: &str, kind: &str, name: &str| Key { group: group.into(), kind: kind.into(), name: name.into() };
        BTreeSet::from([
            key("apps", "Deployment", "kafka-backup-operator"),
            key("", "Service", "kafka-backup-operator"),
            key("", "Secret", "kafka-backup-webhook"),
        ])
    }

    fn installed() -> Vec<Found> {
        vec![
            found(("apps", "Deployment", "kafka-backup-operator"), "d", None),
            found(("apps", "ReplicaSet", "kafka-backup-operator-1"), "r", Some("d")),
            found(("", "Pod", "kafka-backup-operator-1-x"), "p", Some("r")),
            found(("", "Service", "kafka-backup-operator"), "s", None),
            found(("", "Endpoints", "kafka-backup-operator"), "e", None),
            found(("discovery.k8s.io", "EndpointSlice", "kafka-backup-operator-abc"), "es", Some("s")),
            found(("", "Secret", "kafka-backup-webhook"), "w", None),
            found(("coordination.k8s.io", "Lease", "kafka-backup-operator"), "l", None),
            found(("", "ServiceAccount", "default"), "a", None),
            found(("", "ConfigMap", "kube-root-ca.crt"), "c", None),
        ]
    }

    #[test]
    fn a_fresh_installation_holds_nothing_of_others() {
        assert_eq!(foreign(&installed(), &made()), Vec::<String>::new());
    }

    /// One of each kind of thing that a user may have put there, alone: it must be found.
    #[test]
    fn whatever_else_is_there_is_found() {
        for (kind, owner) in [
            (("kafka.oso.sh", "KafkaBackup", "nightly"), None),
            (("", "Secret", "s3"), None),
            (("", "PersistentVolumeClaim", "archive"), None),
            (("", "Pod", "kafka-backup-operator-debug"), None),
            (("apps", "Deployment", "other"), None),
            (("apps", "ReplicaSet", "other-1"), Some("elsewhere")),
            (("batch", "Job", "nightly-1"), Some("backup-of-a-user")),
            (("", "ConfigMap", "kafka-backup-webhook"), None),
            (("example.com", "Deployment", "kafka-backup-operator"), None),
            (("", "Endpoints", "external"), None),
            (("", "ResourceQuota", "limits"), None),
            (("coordination.k8s.io", "Lease", "another"), None),
        ] {
            let mut all = installed();
            all.push(found(kind, "x", owner));
            all.rotate_right(3);
            assert_eq!(foreign(&all, &made()).len(), 1, "{kind:?}");
        }
    }
}
