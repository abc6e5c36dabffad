//! Where the operator runs: a release of the chart may be in any namespace, and have another name. Only reads.

use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, ListParams};

use crate::cluster::{Cluster, pages};

/// What every operator of ours is labelled with.
const LABEL: &str = "app.kubernetes.io/name=kafka-backup-operator";
/// Namespace and name where nothing else is said.
const USUAL: (&str, &str) = ("kafka-backup", "kafka-backup-operator");

/// All operators of a cluster.
///
/// # Errors
/// What the API server says: not everybody may list deployments of all namespaces.
pub(crate) async fn all(cluster: &Cluster) -> Result<Vec<Deployment>, kube::Error> {
    pages(&Api::all(cluster.client.clone()), ListParams::default().labels(LABEL)).await
}

/// An operator of this cluster: where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Operator {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name: that of its Deployment, Lease and Service.
    pub(crate) name: String,
    /// Namespaces of the other operators of this cluster.
    pub(crate) others: Vec<String>,
}

impl Operator {
    /// Looks for the operator: the one in the usual namespace, else the first by namespace. Where there is none, or the caller
    /// may not list deployments, it is looked for in the usual place.
    ///
    /// # Errors
    /// What the API server says of the usual place; where nothing is there, what it said of the list: it may be elsewhere.
    pub(crate) async fn look(cluster: &Cluster) -> (Self, Result<Option<Deployment>, kube::Error>) {
        let listed = match all(cluster).await {
            Ok(found) => match Self::choose(found) {
                Some((place, deployment)) => return (place, Ok(Some(deployment))),
                None => Ok(None),
            },
            Err(error) => Err(error),
        };
        let usual: Api<Deployment> = Api::namespaced(cluster.client.clone(), USUAL.0);
        let found = match usual.get_opt(USUAL.1).await {
            Ok(None) => listed,
            found => found,
        };
        (Self::usual(), found)
    }

    /// Where it is when nothing else was said.
    pub(crate) fn usual() -> Self {
        Self { namespace: USUAL.0.to_owned(), name: USUAL.1.to_owned(), others: Vec::new() }
    }

    fn choose(mut found: Vec<Deployment>) -> Option<(Self, Deployment)> {
        let namespace = |one: &Deployment| one.namespace().unwrap_or_default();
        found.sort_by_key(|one| (namespace(one) != USUAL.0, namespace(one), one.name_any()));
        let mut found = found.into_iter();
        let first = found.next()?;
        let others = found.map(|one| namespace(&one)).collect();
        Some((Self { namespace: namespace(&first), name: first.name_any(), others }, first))
    }

    /// The name of what its release has of the cluster and not of a namespace: the webhook's registration.
    pub(crate) fn cluster_name(&self) -> String {
        if self.namespace == USUAL.0 { self.name.clone() } else { format!("{}-{}", self.name, self.namespace) }
    }

    /// The command that shows its log.
    pub(crate) fn logs(&self) -> String {
        format!("kubectl logs -n {} deployment/{}", self.namespace, self.name)
    }

    /// The command that shows its pods.
    pub(crate) fn pods(&self) -> String {
        format!("kubectl describe pods -n {} -l {LABEL}", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(namespace: &str, name: &str) -> Deployment {
        serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}})).unwrap()
    }

    #[test]
    fn the_usual_place_comes_first_and_others_are_named() {
        let place = |all: &[(&str, &str)]| {
            Operator::choose(all.iter().map(|(namespace, name)| one(namespace, name)).collect()).map(|(place, _)| place)
        };
        assert_eq!(place(&[]), None);
        let usual = place(&[("ops", "kafka-backup-operator"), USUAL]).unwrap();
        assert_eq!((usual.cluster_name().as_str(), usual.others.as_slice()), (USUAL.1, &["ops".to_owned()][..]));
        let other = place(&[("shop", "backups"), ("ops", "backups")]).unwrap();
        assert_eq!((other.namespace.as_str(), other.cluster_name().as_str()), ("ops", "backups-ops"));
        assert_eq!(other.logs(), "kubectl logs -n ops deployment/backups");
    }
}
