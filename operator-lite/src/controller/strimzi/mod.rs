//! The kinds of the Strimzi groups: how their clusters are found, and what of a resource shapes its pods.

mod backup;
mod discover;
mod restore;
mod watched;

use api::strimzi::Group;
use kube::ResourceExt;

pub(super) use watched::{Strimzi, kinds, refers_to};

use super::Kind;

/// The annotation by which Strimzi's users ask an operator to leave a resource alone.
const PAUSE: &str = "strimzi.io/pause-reconciliation";

/// What a paused resource says, if it is paused.
fn paused<K: Kind>(object: &K) -> Option<String> {
    let value = object.annotations().get(PAUSE).filter(|value| value.eq_ignore_ascii_case("true"))?;
    Some(format!(
        "the annotation {PAUSE} is {value:?}: no run is started until it is removed; a run that works goes on"
    ))
}

/// The annotation that asks for a run.
fn trigger<G: Group>() -> String {
    api::trigger::annotation(G::NAME, "KafkaBackup")
}

/// What both kinds of these groups answer from their specification and status.
macro_rules! of_strimzi {
    () => {
        $crate::controller::kind::claimed_in_status!();

        const STRIMZI: bool = true;

        fn refers_to(&self, kind: &str, namespace: &str, name: &str) -> bool {
            let own = self.namespace().unwrap_or_default();
            let from = (own.as_str(), &self.spec.strimzi_cluster_ref, self.spec.authentication.as_ref());
            super::refers_to(from, (kind, namespace, name))
        }

        fn paused(&self) -> Option<String> {
            super::paused(self)
        }

        fn most_failures(&self) -> Option<u32> {
            let limit = self.spec.backoff_limit.and_then(|limit| u32::try_from(limit).ok());
            limit.map(|limit| limit.saturating_add(1))
        }

        fn says_metrics(&self) -> bool {
            self.spec.metrics.is_some()
        }

        fn storage<'a>(&'a self, _context: &'a Context) -> Option<&'a api::oso::Storage> {
            None
        }

        fn placement<'a>(
            &self,
            installed: &'a api::lower::job::Placement,
        ) -> std::borrow::Cow<'a, api::lower::job::Placement> {
            let group = <Self as kube::Resource>::group(&());
            std::borrow::Cow::Owned(lower::placement(installed, &group, &self.name_any(), (&self.spec).into()))
        }
    };
}

use of_strimzi;
