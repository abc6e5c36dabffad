//! `uninstall`: what `install` applied, printed or removed. Archives are never touched; resources go only with their
//! definitions, when that is asked for; what somebody else made stays, and so does a namespace that holds any of it.

mod contents;

use std::collections::BTreeSet;
use std::time::Duration;

use api::outdated::first_missing;
use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::{Value, json};

use super::install::{LOOK, PATIENCE, api_of, everything, in_place};
use crate::cluster::{Cluster, Connection, MANAGER, failed};
use crate::error::Error;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::steps::confirm::confirm;
use contents::{Key, strangers};

/// How often what waits to go is looked at as a whole, and definitions are reminded.
const REMIND: Duration = Duration::from_secs(5);

/// Flags of `uninstall`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup uninstall                    print what would be removed, and what stays
  kubectl kafka-backup uninstall --apply            ask, and remove the operator; resources and archives stay
  kubectl kafka-backup uninstall --apply --crds --yes   remove definitions and with them all resources; archives stay

A namespace that holds anything else stays, and so does what Helm or another operator made.")]
pub struct UninstallFlags {
    /// Remove instead of printing
    #[arg(long)]
    apply: bool,
    /// Remove the definitions, too, and with them every KafkaBackup and KafkaRestore
    #[arg(long)]
    crds: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// Objects of others that are named before the rest is counted.
const NAMED: usize = 5;

/// What an object of the manifests is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Definition,
    Namespace,
    Other,
}

impl What {
    fn of(object: &Value) -> Self {
        match object.get("kind").and_then(Value::as_str) {
            Some("CustomResourceDefinition") => Self::Definition,
            Some("Namespace") => Self::Namespace,
            _ => Self::Other,
        }
    }
}

/// Something that is to go: this object, not another of its name.
struct Leaving {
    api: Api<DynamicObject>,
    name: String,
    uid: String,
    shown: String,
    what: What,
}

/// Prints or removes what `install` applied.
pub(crate) async fn uninstall(
    options: UninstallFlags,
    connection: &Connection,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    in_place(connection)?;
    let mut objects = everything()?;
    // Admission first: nothing shall wait for a webhook that is gone. Definitions last, with their resources.
    objects.reverse();
    let cluster = Cluster::connect(connection).await?;
    let made: BTreeSet<Key> = objects.iter().map(Key::of).collect();
    let (leaving, stays) = sort(&cluster, &objects, &made, options.crds).await?;
    for line in &stays {
        screen.say(line);
    }
    if !options.apply {
        for one in &leaving {
            screen.text(&format!("{}\n", one.shown))?;
        }
        screen.say("nothing was removed: add --apply");
        return Ok(Exit::Done);
    }
    if leaving.is_empty() {
        screen.say("nothing of `install` is here");
        return Ok(Exit::Done);
    }
    confirm(&question(&cluster, &leaving, &objects).await?, options.yes, screen)?;
    screen.work_on();
    let mut left = Vec::new();
    for one in leaving {
        // Somebody may have put something there meanwhile.
        if one.what == What::Namespace
            && let Some(why) = occupied(&cluster, &one.name, &made).await
        {
            screen.say(&why);
            continue;
        }
        if one.remove().await? {
            screen.text(&format!("{} removed\n", one.shown))?;
            screen.flush()?;
            left.push(one);
        }
    }
    gone(left, screen).await?;
    Ok(Exit::Done)
}

/// What is there of `objects`: what goes, and why the rest stays.
async fn sort(
    cluster: &Cluster,
    objects: &[Value],
    made: &BTreeSet<Key>,
    definitions: bool,
) -> Result<(Vec<Leaving>, Vec<String>), Error> {
    let (mut leaving, mut stays) = (Vec::new(), Vec::new());
    for object in objects {
        let (api, name, shown) = api_of(cluster, object);
        let what = What::of(object);
        let found = match api.get_opt(&name).await {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            // A cluster that does not know the kind has none of it.
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(failed(&format!("read {shown}"), error)),
        };
        if what == What::Definition && !definitions {
            let count = resources(cluster, object).await?;
            stays
                .extend((count > 0).then(|| format!("{count} {name} stay with their definition; --crds removes both")));
            continue;
        }
        let foreign = of_helm(&found.metadata).or_else(|| match what {
            What::Definition => not_our_definition(&found, object),
            What::Namespace => other_writer(&found.metadata),
            What::Other => None,
        });
        let why = match (foreign, what) {
            (Some(why), _) => Some(format!("{shown} stays: {why}")),
            (None, What::Namespace) => occupied(cluster, &name, made).await,
            (None, _) => None,
        };
        if let Some(why) = why {
            stays.push(why);
            continue;
        }
        let uid = found.metadata.uid.unwrap_or_default();
        leaving.push(Leaving { api, name, uid, shown, what });
    }
    Ok((leaving, stays))
}

/// Why a namespace stays: it holds what we did not make, or nobody can tell.
async fn occupied(cluster: &Cluster, name: &str, made: &BTreeSet<Key>) -> Option<String> {
    match strangers(cluster, name, made).await {
        Ok(all) if all.is_empty() => None,
        Ok(all) => {
            let (shown, rest) = all.split_at(all.len().min(NAMED));
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            Some(format!("namespace/{name} stays: it holds {}{more}", shown.join(", ")))
        }
        Err(error) => Some(format!("namespace/{name} stays: what it holds cannot be found out: {error}")),
    }
}

/// What Helm made, Helm removes.
fn of_helm(meta: &ObjectMeta) -> Option<String> {
    let release = meta.annotations.as_ref()?.get("meta.helm.sh/release-name")?;
    Some(format!("it is of the Helm release `{release}`; `helm uninstall {release}` removes it"))
}

/// A definition that another operator made lacks fields of ours, and was not applied by this program.
fn not_our_definition(found: &DynamicObject, ours: &Value) -> Option<String> {
    let name = found.metadata.name.as_deref()?;
    let applied = found.metadata.managed_fields.iter().flatten();
    if applied.filter_map(|entry| entry.manager.as_deref()).any(|manager| manager == MANAGER) {
        return None;
    }
    // A definition that cannot be read is not ours.
    let read = |value: Value| serde_json::from_value(value).ok();
    // The same of theirs.
    let theirs = serde_json::to_value(found).ok().and_then(read);
    let same = read(ours.clone()).zip(theirs).is_some_and(|(ours, theirs)| first_missing(&ours, &theirs).is_none());
    (!same).then(|| {
        format!("it is not of this version, and another program applied it; `kubectl delete crd {name}` removes it with its resources")
    })
}

/// Whoever wrote to the namespace beside the one who set our label.
fn other_writer(meta: &ObjectMeta) -> Option<String> {
    let wrote = meta
        .managed_fields
        .iter()
        .flatten()
        .filter(|entry| entry.subresource.as_deref().unwrap_or_default().is_empty());
    let sets_label = |fields: &Value| fields.pointer("/f:metadata/f:labels/f:app.kubernetes.io~1name").is_some();
    let mut other = wrote.filter(|entry| !entry.fields_v1.as_ref().is_some_and(|fields| sets_label(&fields.0)));
    let who = other.find_map(|entry| entry.manager.clone())?;
    let name = meta.name.as_deref()?;
    Some(format!("{who} made or changed it, too; `kubectl delete namespace {name}` removes it"))
}

/// How many resources a definition has, in all namespaces.
async fn resources(cluster: &Cluster, definition: &Value) -> Result<i64, Error> {
    let text = |path: &str| definition.pointer(path).and_then(Value::as_str);
    let (Some(group), Some(kind)) = (text("/spec/group"), text("/spec/names/kind")) else { return Ok(0) };
    let (Some(version), Some(plural)) = (text("/spec/versions/0/name"), text("/spec/names/plural")) else {
        return Ok(0);
    };
    let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
    let api: Api<DynamicObject> = Api::all_with(cluster.client.clone(), &kind);
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(list) => Ok(list.items.len() as i64 + list.metadata.remaining_item_count.unwrap_or(0)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(0),
        Err(error) => Err(failed(&format!("count {plural}.{group}"), error)),
    }
}

/// What the person is asked: what goes, and how many resources with it.
async fn question(cluster: &Cluster, leaving: &[Leaving], objects: &[Value]) -> Result<String, Error> {
    let mut lost = Vec::new();
    for one in leaving.iter().filter(|one| one.what == What::Definition) {
        let definition =
            objects.iter().find(|object| object.pointer("/metadata/name").and_then(Value::as_str) == Some(&one.name));
        let count = match definition {
            Some(definition) => resources(cluster, definition).await?,
            None => 0,
        };
        lost.extend((count > 0).then(|| format!("{count} {}", one.name)));
    }
    let names: Vec<&str> = leaving.iter().map(|one| one.shown.as_str()).collect();
    let with =
        if lost.is_empty() { String::new() } else { format!(", and with their definitions {}", lost.join(", ")) };
    Ok(format!("this removes {}{with}", names.join(", ")))
}

/// Waits until what was removed is gone, so that an `install` that follows does not meet it.
async fn gone(mut leaving: Vec<Leaving>, screen: &mut Screen) -> Result<(), Error> {
    let begun = tokio::time::Instant::now();
    loop {
        let mut left = Vec::new();
        for one in leaving {
            if one.is_there().await? {
                left.push(one);
            }
        }
        screen.progress(None);
        let Some(first) = left.first() else { return Ok(()) };
        if begun.elapsed() >= PATIENCE {
            let what = format!("{} is not gone after {}s, of {} left", first.shown, PATIENCE.as_secs(), left.len());
            let hint = "its finalizers and the conditions of its status say what it waits for".to_owned();
            return Err(Error::TimeOut { what, hint });
        }
        screen.progress(Some(&format!("waiting for {} to go, of {} left", first.shown, left.len())));
        first.goes(REMIND.min(PATIENCE.saturating_sub(begun.elapsed()))).await;
        for one in left.iter().filter(|one| one.what == What::Definition) {
            one.remind(begun.elapsed()).await;
        }
        leaving = left;
    }
}

impl Leaving {
    /// Removes it; false when it is gone already.
    async fn remove(&self) -> Result<bool, Error> {
        let preconditions = Preconditions { uid: Some(self.uid.clone()), ..Preconditions::default() };
        let this = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        match self.api.delete(&self.name, &this).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(failed(&format!("remove {}", self.shown), error)),
        }
    }

    /// Whether it still waits to go. One that somebody made anew does not.
    async fn is_there(&self) -> Result<bool, Error> {
        let found = self.api.get_metadata_opt(&self.name).await;
        let found = found.map_err(|error| failed(&format!("read {}", self.shown), error))?;
        Ok(found.is_some_and(|object| object.metadata.deletion_timestamp.is_some()))
    }

    /// Waits until it is gone, for `most` at most. Where it cannot be watched, a moment is waited.
    async fn goes(&self, most: Duration) {
        let gone = await_condition(self.api.clone(), &self.name, conditions::is_deleted(&self.uid));
        if let Ok(Err(_)) = tokio::time::timeout(most, gone).await {
            tokio::time::sleep(LOOK.min(most)).await;
        }
    }

    /// Changes something about a definition. An API server that could not remove its resources at once can take its own
    /// note of that for the work of somebody else, and looks again only when it goes through all definitions, every five
    /// minutes, or when one changes otherwise. Whoever may not change it waits for that.
    async fn remind(&self, waited: Duration) {
        let note = json!({"metadata": {"annotations": {"kafka-backup.dev/removal": format!("{}s", waited.as_secs())}}});
        let _ = self.api.patch_metadata(&self.name, &PatchParams::default(), &Patch::Merge(&note)).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::from_value;

    use super::*;

    fn namespace(managers: &[(&str, Value, Option<&str>)]) -> ObjectMeta {
        let entry = |(manager, fields, subresource): &(&str, Value, Option<&str>)| json!({"manager": manager, "fieldsV1": fields, "subresource": subresource});
        from_value(json!({"name": "kafka-backup", "managedFields": managers.iter().map(entry).collect::<Vec<_>>()}))
            .unwrap()
    }

    #[test]
    fn a_namespace_that_somebody_else_made_or_changed_stays() {
        let ours = json!({"f:metadata": {"f:labels": {"f:app.kubernetes.io/name": {}, "f:pod-security.kubernetes.io/enforce": {}}}});
        let made = json!({"f:metadata": {"f:labels": {"f:kubernetes.io/metadata.name": {}}}});
        let gone = json!({"f:status": {"f:conditions": {}}});
        let ours = |manager| (manager, ours.clone(), None);
        assert_eq!(other_writer(&namespace(&[ours(MANAGER)])), None);
        assert_eq!(
            other_writer(&namespace(&[ours("kubectl"), ("kube-controller-manager", gone, Some("status"))])),
            None
        );
        let before = namespace(&[("kubectl-create", made, None), ours(MANAGER)]);
        assert!(other_writer(&before).unwrap().starts_with("kubectl-create made or changed it"));
    }

    #[test]
    fn what_helm_made_is_left_to_helm() {
        let meta = |annotations: Value| from_value(json!({"annotations": annotations})).unwrap();
        assert!(
            of_helm(&meta(json!({"meta.helm.sh/release-name": "backup"}))).unwrap().contains("`helm uninstall backup`")
        );
        assert_eq!(of_helm(&meta(json!({"a": "b"}))), None);
        assert_eq!(of_helm(&ObjectMeta::default()), None);
    }

    #[test]
    fn a_definition_of_another_operator_is_not_ours() {
        let ours = everything().unwrap();
        let ours = ours.iter().find(|object| object["metadata"]["name"] == "kafkabackups.kafka.oso.sh").unwrap();
        let found = |change: &dyn Fn(&mut Value)| -> DynamicObject {
            let mut theirs = ours.clone();
            change(&mut theirs);
            from_value(theirs).unwrap()
        };
        let lacks = |theirs: &mut Value| {
            let fields = theirs.pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties");
            fields.unwrap().as_object_mut().unwrap().remove("run").unwrap();
        };
        assert_eq!(not_our_definition(&found(&|_| {}), ours), None);
        assert!(
            not_our_definition(&found(&lacks), ours).unwrap().contains("kubectl delete crd kafkabackups.kafka.oso.sh")
        );
        let older = found(&|theirs| {
            lacks(theirs);
            theirs["metadata"]["managedFields"] = json!([{"manager": MANAGER, "operation": "Apply"}]);
        });
        assert_eq!(not_our_definition(&older, ours), None, "an older version of ours");
    }
}
