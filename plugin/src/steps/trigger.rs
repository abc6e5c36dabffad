//! Asking the operator to run a resource now, or what it has beside its runs, by an annotation.

use api::trigger;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::print;
use super::write::{self, DryRun, Write};
use crate::cluster::{Cluster, failed, resource};
use crate::error::Error;
use crate::screen::Screen;

/// Writes the annotation that asks for a run of `object`, and prints the resource. `what` names it in an error. Returns the
/// annotation's value, by which the run is known; `None` in a dry run.
///
/// # Errors
/// When the API server refuses.
pub(crate) async fn trigger<K>(
    cluster: &Cluster,
    object: K,
    what: &str,
    write: &Write,
    screen: &mut Screen,
) -> Result<Option<String>, Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let annotation = trigger::annotation(&K::group(&()), &K::kind(&()));
    ask(cluster, object, &annotation, (&format!("trigger {what}"), "triggered"), write, screen).await
}

/// Writes an annotation that asks for something of `object`, and prints the resource. `words` name it in an error, and once it is
/// done. Returns the annotation's value; `None` in a dry run.
///
/// # Errors
/// When the API server refuses.
pub(crate) async fn ask<K>(
    cluster: &Cluster,
    mut object: K,
    annotation: &str,
    (what, done): (&str, &str),
    write: &Write,
    screen: &mut Screen,
) -> Result<Option<String>, Error>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned
        + Serialize,
{
    let asked = trigger::value(screen.style.now, object.meta());
    if write.dry_run == DryRun::Client {
        object.annotations_mut().insert(annotation.to_owned(), asked.clone());
    } else {
        let name = object.name_any();
        let patch = json!({"metadata": {"annotations": {annotation: asked}}});
        let parameters = PatchParams { dry_run: write.dry_run == DryRun::Server, ..PatchParams::default() };
        let patched = cluster.api::<K>().patch(&name, &parameters, &Patch::Merge(patch)).await;
        object = patched.map_err(|error| failed(&format!("{what} `{name}`"), error))?;
    }
    let document = print::value(&object)?;
    write::show(&document, &resource::<K>(), write, &write.words(done), screen)?;
    Ok((write.dry_run == DryRun::None).then_some(asked))
}
