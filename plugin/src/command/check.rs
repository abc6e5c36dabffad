//! `check`: what a run would meet, found out by a pod that has all that the run will have.

use std::sync::Arc;
use std::time::Duration;

use api::oso::{KafkaBackup, KafkaRestore};
use clap::{Args, ValueEnum, ValueHint};
use contract::{CheckLine, Verdict};
use kube::api::{Api, DynamicObject};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use crate::cluster::{Cluster, Connection, definition, failed};
use crate::error::Error;
use crate::exit::Exit;
use crate::files::{Files, Text};
use crate::forms::Output;
use crate::located;
use crate::screen::Screen;
use crate::show::checks;
use crate::source::Through;
use crate::steps::{or_interrupt, print};

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
first run would make (storage.pvc.create) is not made. Of a file, only apiVersion, kind, the names and spec are sent.

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

/// Of a resource of this project that runs otherwise, or not at all in this release.
fn not_checked(kind: &str, version: &str) -> Error {
    Error::usage(
        format!("{kind} of {version} cannot be checked"),
        format!("KafkaBackup and KafkaRestore of {VERSION} can be; `kubectl kafka-backup validate` judges the others"),
    )
}

/// The one resource of the files that can be checked.
fn resource(files: &[Text]) -> Result<Value, Error> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    for Text { name, text } in files {
        let documents = located::read(text)
            .map_err(|error| Error::usage(format!("{name}: {error}"), "mend the YAML at that place"))?;
        let (here, there): (Vec<_>, Vec<_>) = documents.iter().map(located::Document::value).partition(runs);
        found.extend(here);
        others.extend(there.into_iter().filter(is_ours));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => sent(&only),
        (None, _) if let Some(other) = others.first() => Err(not_checked(
            text(other, "/kind").unwrap_or("a resource"),
            text(other, "/apiVersion").unwrap_or_default(),
        )),
        (None, _) => Err(Error::usage(
            format!("no KafkaBackup or KafkaRestore of {VERSION} was found"),
            "documents of other kinds are passed over",
        )),
        (Some(_), Some(_)) => Err(Error::usage("there are several resources", "check them one by one")),
    }
}

/// Fields of a resource in a file. Its status goes nowhere.
const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// Fields of its `metadata` that are sent.
const NAMES: [&str; 3] = ["name", "generateName", "namespace"];

/// What of a resource is sent: its kind, its names and its specification. Labels, annotations, a status and what the cluster wrote
/// into `metadata` say nothing about connections, and an inspection may be read by others.
fn sent(document: &Value) -> Result<Value, Error> {
    let fields = document.as_object().into_iter().flatten();
    if let Some((name, _)) = fields.clone().find(|(name, _)| !FIELDS.contains(&name.as_str())) {
        let what = format!("`{name}` is no field of a resource; these are: {}", FIELDS.join(", "));
        return Err(Error::usage(what, "remove it, or write it below spec"));
    }
    let kept = fields.filter(|(name, _)| !["metadata", "status"].contains(&name.as_str()));
    let mut resource: Map<String, Value> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let metadata = document.get("metadata").and_then(Value::as_object).into_iter().flatten();
    let names = metadata.filter(|(name, _)| NAMES.contains(&name.as_str()));
    let names: Map<String, Value> = names.map(|(name, value)| (name.clone(), value.clone())).collect();
    resource.insert("metadata".to_owned(), Value::Object(names));
    Ok(Value::Object(resource))
}

fn runs(document: &Value) -> bool {
    text(document, "/apiVersion") == Some(VERSION)
        && matches!(text(document, "/kind"), Some("KafkaBackup" | "KafkaRestore"))
}

fn is_ours(document: &Value) -> bool {
    let group = text(document, "/apiVersion").and_then(|version| version.split_once('/'));
    group.is_some_and(|(group, _)| api::document::GROUPS.contains(&group))
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
        (false, false) => match of_other_group(cluster, name).await {
            Some((kind, version)) => Err(not_checked(kind, &version)),
            // The error names what is near.
            None => cluster.get::<KafkaBackup>(name).await.map(|_| backup(name)),
        },
    }
}

/// A resource of the name in a group whose runs are not checked. Where the group is not known, or not to be seen, there is none.
async fn of_other_group(cluster: &Cluster, name: &str) -> Option<(&'static str, String)> {
    for group in api::document::GROUPS.into_iter().filter(|group| *group != api::oso::GROUP) {
        for kind in ["KafkaBackup", "KafkaRestore"] {
            let version = format!("{group}/v1alpha1");
            let definition = definition(&json!({"apiVersion": version, "kind": kind}));
            let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &definition);
            if let Ok(Some(_)) = api.get_opt(name).await {
                return Some((kind, version));
            }
        }
    }
    None
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
        for version in ["backup.strimzi.io/v1alpha1", "kafkabackup.com/v1alpha1"] {
            let text = format!("apiVersion: {version}\nkind: KafkaBackup\nmetadata: {{name: a}}\n");
            assert_eq!(read(&text).unwrap_err(), format!("KafkaBackup of {version} cannot be checked"));
            assert_eq!(read(&format!("{text}---\n{one}")).unwrap()["metadata"]["name"], "a", "the one that runs");
        }
    }
    /// Told as if it were not there before.
    #[tokio::test]
    async fn a_resource_of_another_group_is_named() {
        let service = tower::service_fn(|request: http::Request<kube::client::Body>| {
            let path = request.uri().path();
            let (code, body) = if path == "/apis/backup.strimzi.io/v1alpha1/namespaces/shop/kafkarestores/back" {
                (
                    200,
                    json!({"apiVersion": "backup.strimzi.io/v1alpha1", "kind": "KafkaRestore", "metadata": {"name": "back"}}),
                )
            } else {
                (404, json!({"status": "Failure", "reason": "NotFound", "message": "no", "code": 404}))
            };
            let body = kube::client::Body::from(body.to_string().into_bytes());
            async move { http::Response::builder().status(code).body(body) }
        });
        let client = kube::Client::new(service, "shop");
        let cluster = Cluster { client, namespace: "shop".to_owned(), all: false };
        let error = in_cluster(&cluster, "back").await.unwrap_err().to_string();
        assert_eq!(error, "KafkaRestore of backup.strimzi.io/v1alpha1 cannot be checked");
    }

    /// Sent whole, an annotation of kubectl or a status went into an object that others may read.
    #[test]
    fn only_kind_names_and_specification_leave_this_machine() {
        let text = "\
apiVersion: kafka.oso.sh/v1alpha1
kind: KafkaBackup
metadata:
  name: a
  namespace: shop
  labels: {team: canary}
  annotations: {kubectl.kubernetes.io/last-applied-configuration: canary}
  managedFields: [{manager: canary}]
  uid: canary
spec: {topics: [orders]}
status: {message: canary}
";
        let read = |text: &str| resource(&[Text { name: "a.yaml".into(), text: text.to_owned() }]);
        let sent = json!({
            "apiVersion": VERSION, "kind": "KafkaBackup", "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"topics": ["orders"]},
        });
        assert_eq!(read(text).unwrap(), sent);
        let odd = read(&text.replace("status:", "statuses:")).unwrap_err().to_string();
        assert!(odd.starts_with("`statuses` is no field"), "{odd}");
    }
}
