//! `install`: the manifests of this version, printed or applied.

mod replaced;

use clap::{Args, ValueEnum};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::changes::Changes;
use crate::cluster::{Cluster, Connection, MANAGER, definition, failed};
use crate::error::Error;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::steps::confirm::confirm;
use crate::steps::print;
use crate::steps::probe::{self, Admission};
use replaced::replaced;

/// How long the operator may take to be ready, and what is removed to be gone.
pub(super) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);
/// How often both are looked at.
pub(super) const LOOK: std::time::Duration = std::time::Duration::from_secs(1);
/// Where the manifests put the operator.
const NAMESPACE: &str = "kafka-backup";
/// The images that the manifests name.
const IMAGES: [&str; 2] = [
    concat!("kafka-backup-operator:", env!("CARGO_PKG_VERSION")),
    concat!("kafka-backup-runner:", env!("CARGO_PKG_VERSION")),
];

/// The rendered manifests, in the order in which they are applied.
const BASE: [&str; 6] = [
    include_str!("../../../manifests/base/namespace.yaml"),
    include_str!("../../../manifests/base/rbac.yaml"),
    include_str!("../../../manifests/base/admission-policy.yaml"),
    include_str!("../../../manifests/base/network-policy.yaml"),
    include_str!("../../../manifests/base/deployment.yaml"),
    include_str!("../../../manifests/base/webhook.yaml"),
];

/// API groups that may be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    /// KafkaBackup, KafkaRestore, KafkaOffsetReset, KafkaOffsetRollback, KafkaBackupValidation.
    #[value(name = "kafka.oso.sh")]
    Oso,
    /// KafkaBackup and KafkaRestore for Strimzi clusters.
    #[value(name = "backup.strimzi.io")]
    Strimzi,
    /// The same, under their released name.
    #[value(name = "kafkabackup.com")]
    Released,
}

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Oso => "kafka.oso.sh",
            Self::Strimzi => "backup.strimzi.io",
            Self::Released => "kafkabackup.com",
        }
    }
}

/// Flags of `install`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup install > kafka-backup.yaml           for Git
  kubectl kafka-backup install --apply                       into this cluster; also upgrades
  kubectl kafka-backup install --apply --operator-image registry.example.com/kafka-backup-operator:TAG \\
      --runner-image registry.example.com/kafka-backup-runner:TAG
  kubectl kafka-backup install --groups kafka.oso.sh,kafkabackup.com | kubectl diff -f -")]
pub struct InstallFlags {
    /// Apply instead of printing: server-side, also over an older version
    #[arg(long)]
    apply: bool,
    /// Replace definitions that somebody else made without asking
    #[arg(short, long, requires = "apply")]
    yes: bool,
    /// API groups to serve
    #[arg(long, value_enum, value_delimiter = ',', default_value = "kafka.oso.sh")]
    groups: Vec<Group>,
    /// Definitions of kinds only
    #[arg(long)]
    crds_only: bool,
    /// Image of the operator
    #[arg(long, value_name = "IMAGE", default_value = IMAGES[0])]
    operator_image: String,
    /// Image of the runner
    #[arg(long, value_name = "IMAGE", default_value = IMAGES[1])]
    runner_image: String,
}

/// Prints or applies the manifests.
pub(crate) async fn install(
    options: InstallFlags,
    connection: &Connection,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    in_place(connection)?;
    let objects = objects(&options)?;
    if !options.apply {
        let text: Vec<String> = objects.iter().map(print::yaml).collect::<Result<_, _>>()?;
        screen.text(&format!("{}\n", text.iter().map(|text| text.trim_end()).collect::<Vec<_>>().join("\n---\n")))?;
        return Ok(Exit::Done);
    }
    let cluster = Cluster::connect(connection).await?;
    let replaced = replaced(&cluster, &definitions(&options)).await?;
    if !replaced.is_empty() {
        let question = format!("definitions that somebody else made are replaced:\n  {}\n", replaced.join("\n  "));
        confirm(question.trim_end(), options.yes, screen)?;
    }
    screen.work_on();
    for object in &objects {
        let name = apply(&cluster, object).await?;
        screen.text(&format!("{name} applied\n"))?;
        screen.flush()?;
    }
    ready(&cluster, &options, screen).await?;
    screen.say("next: kubectl kafka-backup doctor");
    Ok(Exit::Done)
}

/// Refuses a namespace that the manifests do not have: a flag that is not heeded says what is not so.
pub(super) fn in_place(connection: &Connection) -> Result<(), Error> {
    match connection.namespace.as_deref() {
        None | Some("" | NAMESPACE) => Ok(()),
        Some(other) => Err(Error::usage(
            format!("-n {other}: the manifests of this version have the operator in namespace `{NAMESPACE}`"),
            "leave -n out; in a namespace of your own, use the chart: helm install kafka-backup-operator CHART -n NAMESPACE",
        )),
    }
}

/// Everything that `install` of all groups applies, in that order.
pub(super) fn everything() -> Result<Vec<Value>, Error> {
    objects(&InstallFlags {
        apply: true,
        yes: false,
        groups: vec![Group::Oso, Group::Strimzi, Group::Released],
        crds_only: false,
        operator_image: IMAGES[0].to_owned(),
        runner_image: IMAGES[1].to_owned(),
    })
}

/// The definitions of the kinds that are served.
fn definitions(options: &InstallFlags) -> Vec<CustomResourceDefinition> {
    // Looking into archives is of no group that users choose.
    let wanted = |name: &str| name == api::inspection::GROUP || options.groups.iter().any(|group| group.name() == name);
    api::document::KINDS.iter().filter(|kind| wanted(kind.group)).map(api::document::Kind::definition).collect()
}

fn objects(options: &InstallFlags) -> Result<Vec<Value>, Error> {
    let mut out: Vec<Value> = definitions(options).iter().map(print::value).collect::<Result<_, _>>()?;
    if options.crds_only {
        return Ok(out);
    }
    let groups = options.groups.iter().map(|group| group.name()).collect::<Vec<_>>().join(",");
    let [operator, runner] = IMAGES;
    let wrong =
        |error: String| Error::Cluster { what: format!("the manifests of this version: {error}"), hint: String::new() };
    for text in BASE {
        let text = text.replace(operator, &options.operator_image).replace(runner, &options.runner_image);
        let text = text.replace("value: \"kafka.oso.sh\"", &format!("value: \"{groups}\""));
        for document in crate::located::read(&text).map_err(wrong)? {
            out.push(document.value());
        }
    }
    if options.groups.iter().any(|group| matches!(group, Group::Strimzi | Group::Released)) {
        read_strimzi(&mut out);
    }
    digest_placement(&mut out);
    Ok(out)
}

/// Lets the operator read where Strimzi's brokers are, and who runs are there: with the groups that need it, and only then.
fn read_strimzi(objects: &mut [Value]) {
    let is_role = |object: &&mut Value| {
        object.get("kind").is_some_and(|kind| kind == "ClusterRole")
            && object.pointer("/metadata/name").is_some_and(|name| name == "kafka-backup-operator")
    };
    let rule = json!({"apiGroups": ["kafka.strimzi.io"], "resources": ["kafkas", "kafkausers"], "verbs": ["get", "list", "watch"]});
    for role in objects.iter_mut().filter(is_role) {
        if let Some(rules) = role.get_mut("rules").and_then(Value::as_array_mut) {
            rules.push(rule.clone());
        }
    }
}

/// Where runs go is read when the operator starts: its pods carry the digest of that, so that another placement makes
/// other pods.
fn digest_placement(objects: &mut [Value]) {
    let placement = objects.iter().find_map(|object| object.pointer("/data/placement.yaml")?.as_str());
    let Some(digest) = placement.map(|text| blake3::hash(text.as_bytes()).to_hex()) else { return };
    let annotation = "/spec/template/metadata/annotations/kafka-backup.dev~1placement";
    for noted in objects.iter_mut().filter_map(|object| object.pointer_mut(annotation)) {
        *noted = digest.chars().take(16).collect::<String>().into();
    }
}

/// The API of an object, and `kind.group/name`.
pub(super) fn api_of(cluster: &Cluster, object: &Value) -> (Api<DynamicObject>, String, String) {
    let definition = definition(object);
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let api = match object.pointer("/metadata/namespace").and_then(Value::as_str) {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &definition),
        None => Api::all_with(cluster.client.clone(), &definition),
    };
    let (lower, group) = (definition.kind.to_ascii_lowercase(), &definition.group);
    let shown = if group.is_empty() { format!("{lower}/{name}") } else { format!("{lower}.{group}/{name}") };
    (api, name.to_owned(), shown)
}

async fn apply(cluster: &Cluster, object: &Value) -> Result<String, Error> {
    let (api, name, shown) = api_of(cluster, object);
    let parameters = PatchParams::apply(MANAGER).force();
    let applied = api.patch(&name, &parameters, &Patch::Apply(object)).await;
    applied.map_err(|error| failed(&format!("apply {shown}"), error))?;
    Ok(shown)
}

/// Waits until definitions are served and the operator is ready.
async fn ready(cluster: &Cluster, options: &InstallFlags, screen: &mut Screen) -> Result<(), Error> {
    use k8s_openapi::api::apps::v1::Deployment;
    if options.crds_only {
        return Ok(());
    }
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), NAMESPACE);
    let begun = tokio::time::Instant::now();
    let name = "kafka-backup-operator";
    let mut changes = Changes::of::<Deployment>(Api::namespaced(cluster.client.clone(), NAMESPACE), Some(name));
    loop {
        let found = api.get(name).await;
        let found = found.map_err(|error| failed("read the operator's deployment", error))?;
        let wanted = found.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let status = found.status.unwrap_or_default();
        let fresh = status.observed_generation == found.metadata.generation;
        let (new, ready) = (status.updated_replicas.unwrap_or(0), status.ready_replicas.unwrap_or(0));
        // A replica that is ready may not be reached yet.
        let is_up = fresh && new >= wanted && ready >= wanted;
        if is_up && !matches!(probe::admission(cluster).await, Admission::Away(_)) {
            screen.progress(None);
            screen.say(&format!("the operator is ready: {ready} of {wanted}"));
            return Ok(());
        }
        screen.progress(Some(&format!("waiting for the operator: {ready} of {wanted} ready")));
        if begun.elapsed() >= PATIENCE {
            screen.progress(None);
            return Err(Error::TimeOut {
                what: format!("the operator is not ready after {}s: {ready} of {wanted}", PATIENCE.as_secs()),
                hint: format!(
                    "`kubectl get pods -n {NAMESPACE}` and `kubectl kafka-backup doctor` look for the reason"
                ),
            });
        }
        // Whether it answers cannot be watched.
        changes.next(if is_up { LOOK } else { PATIENCE.saturating_sub(begun.elapsed()) }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_of_ones_own_is_refused_and_not_ignored() {
        let of = |name: &str| in_place(&Connection { namespace: Some(name.to_owned()), ..Connection::default() });
        assert!(of("kafka-backup").is_ok() && of("").is_ok() && in_place(&Connection::default()).is_ok());
        let refused = of("backups").unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(refused.hint().unwrap().contains("helm install"), "{refused:?}");
        // It is the namespace of every object that has one.
        for object in everything().unwrap() {
            assert!(object["metadata"]["namespace"].as_str().is_none_or(|name| name == NAMESPACE), "{object}");
        }
    }

    #[test]
    fn strimzi_is_read_with_its_groups_only() {
        let reads = |groups: Vec<Group>| {
            let options = InstallFlags {
                apply: false,
                yes: false,
                groups,
                crds_only: false,
                operator_image: IMAGES[0].to_owned(),
                runner_image: IMAGES[1].to_owned(),
            };
            let all = objects(&options).unwrap();
            let roles = all.iter().filter(|object| object["kind"] == "ClusterRole" || object["kind"] == "Role");
            roles.filter(|role| role.to_string().contains("kafkausers")).count()
        };
        assert_eq!(reads(vec![Group::Oso]), 0);
        assert_eq!(reads(vec![Group::Oso, Group::Strimzi]), 1);
        assert_eq!(reads(vec![Group::Released]), 1);
    }

    #[test]
    fn another_runner_image_makes_other_pods() {
        let digest = |runner_image: &str| {
            let options = InstallFlags {
                apply: false,
                yes: false,
                groups: vec![Group::Oso],
                crds_only: false,
                operator_image: IMAGES[0].to_owned(),
                runner_image: runner_image.to_owned(),
            };
            let all = objects(&options).unwrap();
            let deployment = all.iter().find(|object| object["kind"] == "Deployment").unwrap();
            deployment["spec"]["template"]["metadata"]["annotations"]["kafka-backup.dev/placement"].clone()
        };
        assert_eq!(digest("old:1"), digest("old:1"));
        assert_ne!(digest("old:1"), digest("new:2"));
        assert_eq!(digest("old:1").as_str().unwrap().len(), 16);
    }
}
