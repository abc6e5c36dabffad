//! Creating resources: judged here first, then sent, or only printed.

use api::finding::Level;
use clap::{Args, ValueEnum};
use kube::Resource;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use serde_json::Value;

use super::print;
use crate::cluster::{Cluster, MANAGER, failed, resource};
use crate::error::Error;
use crate::forms::Output;
use crate::screen::{Screen, Tone};

/// Whether something is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is sent.
    #[default]
    None,
    /// It is made and judged here, and printed.
    Client,
    /// The API server judges it and keeps nothing.
    Server,
}

/// Forms of what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
    /// `kind.group/name`.
    Name,
}

/// Flags of commands that create something.
#[derive(Debug, Clone, Args)]
pub struct Write {
    /// Send nothing: `client` makes and judges it here, `server` asks the API server
    #[arg(long, value_enum, default_value_t, help_heading = "Write")]
    pub dry_run: DryRun,
    /// Print the resource in this form
    #[arg(short, long, value_enum, help_heading = "Write")]
    pub output: Option<Form>,
}

impl Write {
    /// What was done, and whether it was not.
    pub(crate) fn words(&self, done: &str) -> String {
        match self.dry_run {
            DryRun::None => done.to_owned(),
            DryRun::Client => format!("{done} (client dry run)"),
            DryRun::Server => format!("{done} (server dry run)"),
        }
    }
}

/// Judges a resource, and creates or prints it. Returns whether it was created.
///
/// # Errors
/// When it breaks a rule, or the API server refuses.
pub(crate) async fn create<K>(
    cluster: Option<&Cluster>,
    mut document: Value,
    write: &Write,
    screen: &mut Screen,
) -> Result<bool, Error>
where
    K: Resource<DynamicType = ()>,
{
    judge(&document, screen)?;
    let (kind, name) = (resource::<K>(), name_of(&document));
    let (Some(cluster), false) = (cluster, write.dry_run == DryRun::Client) else {
        show(&document, &kind, write, &write.words("made"), screen)?;
        return Ok(false);
    };
    if let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".to_owned(), cluster.namespace.clone().into());
    }
    let doing = format!("create {kind} `{name}` in namespace `{}`", cluster.namespace);
    let object: DynamicObject =
        serde_json::from_value(document).map_err(|error| Error::usage(format!("cannot {doing}: {error}"), ""))?;
    let definition = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), &cluster.namespace, &definition);
    let dry_run = write.dry_run == DryRun::Server;
    let parameters = PostParams { dry_run, field_manager: Some(MANAGER.to_owned()) };
    let made = api.create(&parameters, &object).await.map_err(|error| failed(&doing, error))?;
    let made = print::value(&made)?;
    show(&made, &kind, write, &write.words("created"), screen)?;
    Ok(!dry_run)
}

fn name_of(document: &Value) -> String {
    document.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Says what the rules find; errors end it.
pub(crate) fn judge(document: &Value, screen: &mut Screen) -> Result<(), Error> {
    let findings = api::document::check(document, screen.style.now);
    for finding in findings.iter().filter(|finding| finding.level == Level::Warning) {
        let word = screen.style.paint(Tone::Warn, "warning:");
        screen.say(&format!("{word} {finding}"));
    }
    let errors: Vec<String> =
        findings.iter().filter(|finding| finding.level == Level::Error).map(ToString::to_string).collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(Error::Refused {
        what: format!("`{}` breaks {}:\n  {}", name_of(document), rules(errors.len()), errors.join("\n  ")),
        hint: "nothing was sent; `kubectl kafka-backup explain KIND.FIELD` says what a field takes".to_owned(),
    })
}

fn rules(count: usize) -> String {
    if count == 1 { "a rule".to_owned() } else { format!("{count} rules") }
}

/// Prints what was written, as `write` says. Whoever waits for it goes on when nobody reads.
pub(crate) fn show(document: &Value, kind: &str, write: &Write, done: &str, screen: &mut Screen) -> Result<(), Error> {
    let singular = kind.replacen("s.", ".", 1);
    let name = format!("{singular}/{}", name_of(document));
    if write.dry_run == DryRun::None {
        screen.work_on();
    }
    match (write.output, write.dry_run) {
        (Some(Form::Name), _) => screen.text(&format!("{name}\n")),
        (Some(Form::Json), _) => print::raw(document, Output::Json, screen),
        (Some(Form::Yaml), _) => print::raw(document, Output::Yaml, screen),
        (None, _) => screen.text(&format!("{name} {done}\n")),
    }?;
    screen.flush()
}
