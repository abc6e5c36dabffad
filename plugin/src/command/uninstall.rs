//! `uninstall`: what `install` applied, printed or removed. Archives are never touched, and resources only with their
//! definitions, when that is asked for.

use std::time::Duration;

use clap::Args;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use super::install::{LOOK, PATIENCE, api_of, everything};
use crate::cluster::{Cluster, Connection, failed};
use crate::error::Error;
use crate::exit::Exit;
use crate::screen::Screen;

/// Flags of `uninstall`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup uninstall                    print what would be removed
  kubectl kafka-backup uninstall --apply            remove the operator; resources and archives stay
  kubectl kafka-backup uninstall --apply --crds --yes   remove definitions and with them all resources; archives stay")]
pub struct Options {
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

/// Something that was asked to go.
struct Leaving {
    api: Api<DynamicObject>,
    name: String,
    shown: String,
    is_definition: bool,
}

/// Prints or removes what `install` applied.
pub(crate) async fn uninstall(options: Options, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let is_definition = |object: &Value| object.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition");
    let mut objects = everything()?;
    objects.retain(|object| options.crds || !is_definition(object));
    // Admission first: nothing shall wait for a webhook that is gone. Definitions last, with their resources.
    objects.reverse();
    let cluster = Cluster::connect(connection).await?;
    if options.apply && options.crds && !options.yes {
        let hint = "add --yes if that is meant".to_owned();
        let what =
            "--crds removes every KafkaBackup, KafkaRestore and the other resources with their definitions".to_owned();
        return Err(Error::Refused { what, hint });
    }
    let mut leaving = Vec::new();
    for object in &objects {
        let (api, name, shown) = api_of(&cluster, object);
        if !options.apply {
            screen.text(&format!("{shown}\n"))?;
            continue;
        }
        match api.delete(&name, &DeleteParams::background()).await {
            Ok(_) => screen.text(&format!("{shown} removed\n"))?,
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(failed(&format!("remove {shown}"), error)),
        }
        screen.flush()?;
        leaving.push(Leaving { api, name, shown, is_definition: is_definition(object) });
    }
    if !options.apply {
        screen.say("nothing was removed: add --apply");
    }
    gone(leaving, screen).await?;
    Ok(Exit::Done)
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
        tokio::time::sleep(LOOK).await;
        for one in left.iter().filter(|one| one.is_definition) {
            one.remind(begun.elapsed()).await;
        }
        leaving = left;
    }
}

impl Leaving {
    /// Whether it still waits to go. One that somebody made anew does not.
    async fn is_there(&self) -> Result<bool, Error> {
        let found = self.api.get_metadata_opt(&self.name).await;
        let found = found.map_err(|error| failed(&format!("read {}", self.shown), error))?;
        Ok(found.is_some_and(|object| object.metadata.deletion_timestamp.is_some()))
    }

    /// Changes something about a definition. An API server that could not remove its resources at once can take its own
    /// note of that for the work of somebody else, and looks again only when it goes through all definitions, every five
    /// minutes, or when one changes otherwise. Whoever may not change it waits for that.
    async fn remind(&self, waited: Duration) {
        let note = json!({"metadata": {"annotations": {"kafka-backup.dev/removal": format!("{}s", waited.as_secs())}}});
        let _ = self.api.patch_metadata(&self.name, &PatchParams::default(), &Patch::Merge(&note)).await;
    }
}
