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
