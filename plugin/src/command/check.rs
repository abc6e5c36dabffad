//! `check`: what a run would meet, found out by a pod that has all that the run will have.

use std::sync::Arc;
use std::time::Duration;

use api::checked::{self, CHECKED, Checked};
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
use crate::steps::{or_interrupt, print, tidied};

/// Lines that are on their way.
const ON_THE_WAY: usize = 64;
/// Longest time that the pod may take once it answers.
const PATIENCE: Duration = Duration::from_secs(60);

/// Flags of `check`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup check nightly             a resource of the namespace that runs
  kubectl kafka-backup check restore/nightly     where several have the name
  kubectl kafka-backup check validation/weekly   an offsetreset, offsetrollback or validation, too
  kubectl kafka-backup check kafkabackup.backup.strimzi.io/nightly
  kubectl kafka-backup check -f backup.yaml      one that is not in the cluster yet
  kubectl kafka-backup check nightly -o json     a line of JSON for each step

A pod does what a run does before it writes records: with the same Secrets, volumes, service account, node placement and
network. It reads no record. In the store it writes below `_check/` only, and removes what it wrote. A volume that the
first run would make (storage.pvc.create) is not made. Of a file, only apiVersion, kind, the names and spec are sent.

Exit code 1: a run would not work.")]
pub struct CheckFlags {
    /// A resource that runs; `backup/NAME`, `restore/NAME`, `offsetreset/NAME`, `offsetrollback/NAME` or `validation/NAME`, with the
    /// group behind the kind (`kafkabackup.kafkabackup.com/NAME`), where several have the name
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    name: Option<String>,
    /// File, or URL, with a resource that runs and need not be in the cluster; `-` reads standard input
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
    let closed = tidied(matches!(result, Err(Error::Interrupted)), through.close()).await;
    let lines = result?;
    closed?;
    if options.output == Form::Table {
        screen.say(&checks::verdict(&lines));
    }
    Ok(exit(&lines))
}

/// What a check ends with: one line of what a run cannot use is enough.
fn exit(lines: &[CheckLine]) -> Exit {
    if lines.iter().any(|line| line.verdict == Verdict::Fail) { Exit::No } else { Exit::Done }
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
        found.extend(documents.iter().map(located::Document::value).filter(|one| Checked::of_document(one).is_some()));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some(only), None) => sent(&only),
        (None, _) => Err(Error::usage(
            "no resource that runs was found",
            format!("documents of other kinds are passed over; these are checked: {}", checked::known()),
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

/// A field of an inspection.
fn leads(field: &str, value: Value) -> Map<String, Value> {
    Map::from_iter([(field.to_owned(), value)])
}

/// What leads to a resource of the namespace.
fn reference(kind: Checked, name: &str) -> Map<String, Value> {
    match (kind.group, kind.kind) {
        (api::oso::GROUP, "KafkaBackup") => leads("backupRef", json!({"name": name})),
        (api::oso::GROUP, "KafkaRestore") => leads("restoreRef", json!({"name": name})),
        _ => {
            // These have no field of their own.
            let reference = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "name": name});
            leads("resourceRef", reference)
        }
    }
}

/// How a command line names a kind: `backup`, `kafkabackups`, `kafkabackup.backup.strimzi.io`.
fn is_called(kind: &Checked, text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let (name, group) = lower.split_once('.').map_or((lower.as_str(), None), |(name, group)| (name, Some(group)));
    let names =
        [kind.short.to_owned(), format!("{}s", kind.short), kind.kind.to_ascii_lowercase(), kind.plural.to_owned()];
    names.iter().any(|known| known == name) && group.is_none_or(|group| group == kind.group)
}

/// The resource that a name means, and what leads to it.
async fn in_cluster(cluster: &Cluster, wanted: &str) -> Result<(String, Map<String, Value>), Error> {
    let (called, name) = wanted.split_once('/').map_or((None, wanted), |(kind, name)| (Some(kind), name));
    let kinds: Vec<_> =
        CHECKED.into_iter().filter(|kind| called.is_none_or(|called| is_called(kind, called))).collect();
    if let (Some(called), true) = (called, kinds.is_empty()) {
        let fix = "write backup/NAME, restore/NAME, offsetreset/NAME, offsetrollback/NAME or validation/NAME";
        return Err(Error::usage(format!("`{called}` names no kind that runs"), fix));
    }
    let mut found = Vec::new();
    for kind in kinds {
        if is_there(cluster, kind, name).await? {
            found.push(kind);
        }
    }
    match found.as_slice() {
        [only] => Ok((name.to_owned(), reference(*only, name))),
        // The error names what is near.
        [] if called.is_some_and(|called| called.starts_with("restore") || called.starts_with("kafkarestore")) => {
            cluster
                .get::<KafkaRestore>(name)
                .await
                .map(|_| (name.to_owned(), leads("restoreRef", json!({"name": name}))))
        }
        [] => {
            cluster.get::<KafkaBackup>(name).await.map(|_| (name.to_owned(), leads("backupRef", json!({"name": name}))))
        }
        several => {
            let all: Vec<_> =
                several.iter().map(|kind| format!("{}.{}/{name}", kind.kind.to_lowercase(), kind.group)).collect();
            Err(Error::usage(
                format!("there are {} resources `{name}` that run", several.len()),
                format!("write one of {}", all.join(", ")),
            ))
        }
    }
}

/// Whether there is one of the kind. Where its group is not known, or its kind is not to be seen, there is none; of this
/// project's usual group that is an error.
async fn is_there(cluster: &Cluster, kind: Checked, name: &str) -> Result<bool, Error> {
    let definition = definition(&json!({"apiVersion": kind.api_version(), "kind": kind.kind}));
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &definition);
    match api.get_opt(name).await {
        Ok(found) => Ok(found.is_some()),
        Err(error) if matches!(kind.kind, "KafkaBackup" | "KafkaRestore") && kind.group == api::oso::GROUP => {
            Err(failed(&format!("read {} `{name}`", kind.short), error))
        }
        // Who may check backups alone is not kept from it by the others.
        Err(_) => Ok(false),
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
        assert!(read(other).unwrap_err().contains("no resource that runs"));
        assert!(read(&format!("{one}---\n{one}")).unwrap_err().contains("several"));
        assert!(read("a: [").unwrap_err().starts_with("a.yaml: "));
        for version in ["backup.strimzi.io/v1alpha1", "kafkabackup.com/v1alpha1"] {
            let text = format!("apiVersion: {version}\nkind: KafkaBackup\nmetadata: {{name: b}}\n");
            assert_eq!(read(&text).unwrap()["metadata"]["name"], "b");
            assert!(read(&format!("{text}---\n{one}")).unwrap_err().contains("several"));
        }
        for kind in ["KafkaOffsetReset", "KafkaOffsetRollback", "KafkaBackupValidation"] {
            assert_eq!(read(&one.replace("KafkaBackup", kind)).unwrap()["kind"], kind);
        }
    }

    #[test]
    fn a_line_that_fails_is_the_exit_code() {
        let line = |verdict| CheckLine::new("storage", "delete", verdict, "objects stay");
        assert_eq!(exit(&[line(Verdict::Ok), line(Verdict::Note)]), Exit::Done, "a run works with a note");
        assert_eq!(exit(&[line(Verdict::Ok), line(Verdict::Fail), line(Verdict::Note)]), Exit::No);
    }

    #[test]
    fn a_kind_is_called_as_people_call_it() {
        let called = |text: &str| CHECKED.iter().filter(|kind| is_called(kind, text)).count();
        assert_eq!(called("backup"), 3, "in three groups");
        assert_eq!(called("KafkaRestores.kafkabackup.com"), 1);
        for text in ["validation", "kafkabackupvalidation", "offsetreset", "kafkaoffsetrollbacks"] {
            assert_eq!(called(text), 1, "{text}");
        }
        assert_eq!(called("topic"), 0);
    }

    #[tokio::test]
    async fn a_resource_of_another_group_is_found() {
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
        let theirs = json!({"apiVersion": "backup.strimzi.io/v1alpha1", "kind": "KafkaRestore", "name": "back"});
        for name in ["back", "restore/back", "kafkarestore.backup.strimzi.io/back"] {
            assert_eq!(
                in_cluster(&cluster, name).await.unwrap(),
                ("back".to_owned(), leads("resourceRef", theirs.clone()))
            );
        }
        let error = in_cluster(&cluster, "topic/back").await.unwrap_err().to_string();
        assert_eq!(error, "`topic` names no kind that runs");
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
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": "a", "namespace": "shop"},
            "spec": {"topics": ["orders"]},
        });
        assert_eq!(read(text).unwrap(), sent);
        let odd = read(&text.replace("status:", "statuses:")).unwrap_err().to_string();
        assert!(odd.starts_with("`statuses` is no field"), "{odd}");
    }
}
