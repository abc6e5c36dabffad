//! `check`: what a run would meet, found out by a pod that has all that the run will have.

use std::sync::Arc;
use std::time::Duration;

use api::oso::{KafkaBackup, KafkaRestore};
use clap::{Args, ValueEnum, ValueHint};
use contract::{CheckLine, Verdict};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{or_interrupt, print};
use crate::cluster::{Cluster, Connection, failed};
use crate::error::Error;
use crate::exit::Exit;
use crate::files::{Files, Text};
use crate::forms::Output;
use crate::located;
use crate::screen::Screen;
use crate::show::checks;
use crate::source::Through;

/// Resources that can be checked.
const VERSION: &str = "kafka.oso.sh/v1alpha1";
/// Lines that are on their way.
const ON_THE_WAY: usize = 64;
/// Longest time that the pod may take once it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Flags of `check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup check nightly             a KafkaBackup or KafkaRestore of the namespace
  kubectl kafka-backup check restore/nightly     where both have the name
  kubectl kafka-backup check -f backup.yaml      one that is not in the cluster yet
  kubectl kafka-backup check nightly -o json     a line of JSON for each step

A pod does what a run does before it writes records: with the same Secrets, volumes, service account, node placement and
network. It reads no record. In the store it writes below `_check/` only, and removes what it wrote. A volume that the
first run would make (storage.pvc.create) is not made.

Exit code 1: a run would not work.")]
pub struct CheckFlags {
    /// A KafkaBackup or KafkaRestore; `backup/NAME` or `restore/NAME` where both have the name
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// File, or URL, with a KafkaBackup or KafkaRestore that need not be in the cluster; `-` reads standard input
    #[arg(short, long = "filename", value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<String>,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Forms of lines that come one by one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Table,
    /// A document a line, as they come.
    #[value(alias = "jsonl")]
    Json,
}

/// Checks what a run would meet.
pub(crate) async fn check(options: CheckFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let given = match &options.file {
        None => None,
        Some(file) => Some(resource(&Files { names: vec![file.clone()], ..Files::default() }.read().await?)?),
    };
    let mut cluster = or_interrupt(Cluster::connect(connection)).await?;
    let (name, subject) = match (given, &options.name) {
        (Some(resource), _) => {
            if connection.namespace.is_none()
                && let Some(namespace) = text(&resource, "/metadata/namespace")
            {
                namespace.clone_into(&mut cluster.namespace);
            }
            let name = text(&resource, "/metadata/name").unwrap_or("file").to_owned();
            (name, leads("resource", resource))
        }
        (None, Some(name)) => or_interrupt(in_cluster(&cluster, name)).await?,
        (None, None) => return Err(Error::usage("nothing to check is named", "name a resource, or a file with -f")),
    };
    let through = Arc::new(Through::checking(cluster, &name, subject, screen).await?);
    let result = or_interrupt(tell(&through, options.output, screen)).await;
    let closed = through.close().await;
    let lines = result?;
    closed?;
    if options.output == Form::Table {
        screen.say(&checks::verdict(&lines));
    }
    Ok(if lines.iter().any(|line| line.verdict == Verdict::Fail) { Exit::No } else { Exit::Done })
}

/// Shows the lines of a pod as they come.
async fn tell(through: &Arc<Through>, form: Form, screen: &mut Screen) -> Result<Vec<CheckLine>, Error> {
    let (sender, mut lines) = mpsc::channel(ON_THE_WAY);
    let asked = Arc::clone(through);
    let asking = tokio::spawn(async move { asked.check(&sender).await });
    let mut all = Vec::new();
    let reading = async {
        while let Some(line) = lines.recv().await {
            match form {
                Form::Table if all.is_empty() => {
                    screen.text(&(checks::titles(&screen.style) + &checks::line(&line, &screen.style)))?;
                }
                Form::Table => screen.text(&checks::line(&line, &screen.style))?,
                Form::Json => print::raw(&line, Output::Jsonl, screen)?,
            }
            screen.flush()?;
            all.push(line);
        }
        Ok::<_, Error>(())
    };
    let late = || Error::TimeOut {
        what: format!("the check has not ended after {} s", PATIENCE.as_secs()),
        hint: "the lines so far say how far it came".to_owned(),
    };
    tokio::time::timeout(PATIENCE, reading).await.map_err(|_| late())??;
    asking.await.unwrap_or(Err(Error::Interrupted))?;
    if all.is_empty() {
        let what = "the pod said nothing".to_owned();
        return Err(Error::Cluster { what, hint: "`kubectl kafka-backup doctor` looks for the reason".to_owned() });
    }
    Ok(all)
}

fn text<'a>(document: &'a Value, path: &str) -> Option<&'a str> {
    document.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The one resource of the files that can be checked.
fn resource(files: &[Text]) -> Result<Value, Error> {
    let mut found = Vec::new();
    for Text { name, text } in files {
        let documents = located::read(text)
            .map_err(|error| Error::usage(format!("{name}: {error}"), "mend the YAML at that place"))?;
        found.extend(documents.iter().map(located::Document::value).filter(runs));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Error::usage(
            format!("no KafkaBackup or KafkaRestore of {VERSION} was found"),
            "documents of other kinds are passed over",
        )),
        (Some(_), Some(_)) => Err(Error::usage("there are several resources", "check them one by one")),
    }
}

fn runs(document: &Value) -> bool {
    text(document, "/apiVersion") == Some(VERSION)
        && matches!(text(document, "/kind"), Some("KafkaBackup" | "KafkaRestore"))
}

/// A field of an inspection.
fn leads(field: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(field.to_owned(), value)])
}

/// The resource that a name means, and what leads to it.
async fn in_cluster(cluster: &Cluster, name: &str) -> Result<(String, Map<String, Value>), Error> {
    let backup = |name: &str| (name.to_owned(), leads("backupRef", json!({"name": name})));
    let restore = |name: &str| (name.to_owned(), leads("restoreRef", json!({"name": name})));
    match name.split_once('/') {
        Some(("backup" | "backups" | "kafkabackup" | "kafkabackups", name)) => {
            return cluster.get::<KafkaBackup>(name).await.map(|_| backup(name));
        }
        Some(("restore" | "restores" | "kafkarestore" | "kafkarestores", name)) => {
            return cluster.get::<KafkaRestore>(name).await.map(|_| restore(name));
        }
        Some(_) => return Err(Error::usage(format!("`{name}` names no kind"), "write backup/NAME or restore/NAME")),
        None => {}
    }
    let found = cluster.api::<KafkaRestore>().get_opt(name).await;
    let is_restore = found.map_err(|error| failed(&format!("read restore `{name}`"), error))?.is_some();
    let found = cluster.api::<KafkaBackup>().get_opt(name).await;
    let is_backup = found.map_err(|error| failed(&format!("read backup `{name}`"), error))?.is_some();
    match (is_backup, is_restore) {
        (true, false) => Ok(backup(name)),
        (false, true) => Ok(restore(name)),
        (true, true) => Err(Error::usage(
            format!("there are a KafkaBackup and a KafkaRestore `{name}`"),
            format!("write backup/{name} or restore/{name}"),
        )),
        // The error names what is near.
        (false, false) => cluster.get::<KafkaBackup>(name).await.map(|_| backup(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_resource_that_runs() {
        let read = |text: &str| {
            resource(&[Text { name: "a.yaml".into(), text: text.to_owned() }]).map_err(|error| error.to_string())
        };
        let one = "apiVersion: kafka.oso.sh/v1alpha1\nkind: KafkaBackup\nmetadata: {name: a}\n";
        let other = "apiVersion: v1\nkind: Secret\n";
        assert_eq!(read(&format!("{other}---\n{one}")).unwrap()["metadata"]["name"], "a");
        assert!(read(other).unwrap_err().contains("no KafkaBackup or KafkaRestore"));
        assert!(read(&format!("{one}---\n{one}")).unwrap_err().contains("several"));
        assert!(read("a: [").unwrap_err().starts_with("a.yaml: "));
    }
}
