//! `validate`: judging files as admission would.

use api::finding::Level;
use clap::Args;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::Status;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Connection, MANAGER, definition, failed};
use crate::error::Error;
use crate::exit::Exit;
use crate::files::{Files, Text};
use crate::forms::Output;
use crate::located::{self, Document};
use crate::screen::{Screen, Tone};
use crate::steps::print;
use crate::words::plural;

/// Flags of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup validate -f backup.yaml               without a cluster
  kubectl kafka-backup validate -f backup.yaml --server      also what this cluster's admission says
  kubectl kafka-backup validate -f folder/ -R                folders, lists by comma and URLs, as kubectl apply takes them
  kubectl kafka-backup validate -k overlay/                  what a kustomization makes
  helm template . | kubectl kafka-backup validate -f -       documents of other kinds are passed over

Exit code 1: something would be refused.")]
pub struct ValidateFlags {
    #[command(flatten)]
    files: Files,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(serde::Serialize)]
struct Row {
    file: String,
    line: u64,
    column: u64,
    object: String,
    level: &'static str,
    field: String,
    message: String,
}

/// Judges files.
pub(crate) async fn validate(
    options: ValidateFlags,
    connection: &Connection,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    // `--server` asks the API server, too, which keeps nothing: with an address that one, alone the kubeconfig's.
    let is_asked = connection.overrides.server.is_some();
    let cluster = if is_asked { Some(Cluster::connect(connection).await?) } else { None };
    let (mut rows, mut judged, mut passed) = (Vec::new(), 0_u64, 0_u64);
    for Text { name: file, text } in &options.files.read().await? {
        for document in read(file, text)? {
            let value = document.value();
            if !is_ours(&value) {
                passed += 1;
                continue;
            }
            judged += 1;
            rows.extend(findings(file, &document, &value, screen));
            if let Some(cluster) = &cluster
                && let Some(refusal) = ask(cluster, value.clone()).await?
            {
                rows.push(row(file, &document, &value, "error", "metadata", format!("the API server: {refusal}")));
            }
        }
    }
    let errors = rows.iter().filter(|row| row.level == "error").count() as u64;
    match options.output {
        Output::Table | Output::Wide | Output::Name => {
            for row in &rows {
                let tone = if row.level == "error" { Tone::Bad } else { Tone::Warn };
                let level = screen.style.paint(tone, row.level);
                screen.text(&format!(
                    "{}:{}:{}: {level}: {}: {}\n",
                    row.file, row.line, row.column, row.object, row.message
                ))?;
            }
        }
        Output::Jsonl => rows.iter().try_for_each(|row| print::raw(row, Output::Jsonl, screen))?,
        output => print::document("FindingList", &rows, output, screen)?,
    }
    if judged == 0 {
        return Err(Error::usage("no resource of this project was found", "documents of other kinds are passed over"));
    }
    let beside =
        if passed > 0 { format!("; {} of other kinds passed over", plural(passed, "document")) } else { String::new() };
    let warnings = rows.len() as u64 - errors;
    screen.say(&format!(
        "{}: {}, {}{beside}",
        plural(judged, "resource"),
        plural(errors, "error"),
        plural(warnings, "warning")
    ));
    Ok(if errors > 0 { Exit::No } else { Exit::Done })
}

fn read(file: &str, text: &str) -> Result<Vec<Document>, Error> {
    located::read(text).map_err(|error| Error::usage(format!("{file}: {error}"), "mend the YAML at that place"))
}

fn is_ours(value: &Value) -> bool {
    let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    version.split_once('/').is_some_and(|(group, _)| api::document::GROUPS.contains(&group))
}

fn findings(file: &str, document: &Document, value: &Value, screen: &Screen) -> Vec<Row> {
    let found = api::document::check(value, screen.style.now);
    let level = |level| if level == Level::Error { "error" } else { "warning" };
    let rows = found
        .iter()
        .map(|finding| row(file, document, value, level(finding.level), &finding.field, finding.to_string()));
    rows.collect()
}

fn row(file: &str, document: &Document, value: &Value, level: &'static str, field: &str, message: String) -> Row {
    let place = document.place(field);
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    Row {
        file: file.to_owned(),
        line: place.line,
        column: place.column,
        object: format!("{}/{}", text("/kind"), text("/metadata/name")),
        level,
        field: field.to_owned(),
        message,
    }
}

/// What the API server and its admission say of a document, in words; `None` when they would take it.
async fn ask(cluster: &Cluster, mut value: Value) -> Result<Option<String>, Error> {
    let definition = definition(&value);
    let written = value.pointer("/metadata/namespace").and_then(Value::as_str);
    let namespace = written.unwrap_or(&cluster.namespace).to_owned();
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &namespace, &definition);
    let parameters = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).force() };
    match api.patch(&name, &parameters.validation_strict(), &Patch::Apply(&value)).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if is_refusal(&status) => Ok(Some(status.message.clone())),
        Err(error) => Err(failed(&format!("ask about {} `{name}`", definition.kind), error)),
    }
}

/// Whether the API server judged, and did not fail. A document with fields that the kind does not have is no typed object: of an
/// apply, that comes with 500 and without a reason, while failures of the API server itself have one (`InternalError`).
fn is_refusal(status: &Status) -> bool {
    matches!(status.code, 400 | 403 | 422) || (status.code == 500 && status.reason.is_empty())
}
