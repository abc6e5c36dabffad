//! The pod of a run as a resource of a Strimzi group shapes it: what the installation says, and what the resource says instead.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{EnvVar, HostAlias, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::lower::parts::Placement;
use crate::strimzi::{KafkaBackupSpec, KafkaRestoreSpec, Logging, Pod, Resources, Template};

/// The variable of the runner with the levels of its log.
const LEVELS: &str = "KAFKA_BACKUP_LOG";
/// The one with the form of its lines.
const FORM: &str = "KAFKA_BACKUP_LOG_FORMAT";
/// The level where none is named.
const LEVEL: &str = "warn";
/// Longest value of a label.
const LABEL: usize = 63;

/// What of a resource shapes its pods.
#[derive(Debug, Clone, Copy)]
pub struct Pods<'a> {
    /// `backup` or `restore`.
    what: &'static str,
    cluster: &'a str,
    logging: Option<&'a Logging>,
    env: &'a [EnvVar],
    resources: Option<&'a Resources>,
    template: Option<&'a Template>,
    image: Option<&'a String>,
    metrics: bool,
}

/// The two specifications are different types with the same fields.
macro_rules! pods_of {
    ($spec:ident, $what:literal) => {
        impl<'a> From<&'a $spec> for Pods<'a> {
            fn from(spec: &'a $spec) -> Self {
                Self {
                    what: $what,
                    cluster: &spec.strimzi_cluster_ref.name,
                    logging: spec.logging.as_ref(),
                    env: &spec.env,
                    resources: spec.resources.as_ref(),
                    template: spec.template.as_ref(),
                    image: spec.image.as_ref(),
                    metrics: spec.metrics.as_ref().is_some_and(|block| block.enabled != Some(false)),
                }
            }
        }
    };
}

pods_of!(KafkaBackupSpec, "backup");
pods_of!(KafkaRestoreSpec, "restore");

/// Where and how the pods of a resource of this group and name are placed.
#[must_use]
pub fn placement(base: &Placement, group: &str, name: &str, pods: Pods<'_>) -> Placement {
    let mut out = base.clone();
    let none = Pod::default();
    let pod = pods.template.and_then(|template| template.pod.as_ref()).unwrap_or(&none);
    let container = pods.template.and_then(|template| template.container.as_ref());
    if let Some(metadata) = &pod.metadata {
        out.labels.extend(metadata.labels.clone());
        out.annotations.extend(metadata.annotations.clone());
    }
    out.labels.extend(labels(group, name, pods));
    if let Some(image) = pods.image.filter(|image| !image.trim().is_empty()) {
        out.image.clone_from(image);
    }
    if let Some(resources) = pods.resources {
        out.resources = Some(requirements(resources));
    }
    out.affinity = pod.affinity.clone().or(out.affinity);
    out.tolerations.extend(pod.tolerations.iter().cloned());
    out.host_aliases.extend(
        pod.host_aliases
            .iter()
            .map(|alias| HostAlias { ip: alias.ip.clone(), hostnames: Some(alias.hostnames.clone()) }),
    );
    out.image_pull_secrets.extend(pod.image_pull_secrets.iter().map(|secret| secret.name.clone()));
    out.service_account_name = pod.service_account_name.clone().or(out.service_account_name);
    out.pod_security_context = pod.security_context.clone().or(out.pod_security_context);
    out.security_context = container.and_then(|container| container.security_context.clone()).or(out.security_context);
    // The later one of two variables with one name counts.
    let given = container.map_or(&[][..], |container| &container.env);
    for variable in pods.logging.map(logging).unwrap_or_default().iter().chain(pods.env).chain(given) {
        out.extra_env.retain(|known| known.name != variable.name);
        out.extra_env.push(variable.clone());
    }
    out
}

fn labels(group: &str, name: &str, pods: Pods<'_>) -> BTreeMap<String, String> {
    let of_group = |label: &str| format!("{group}/{label}");
    let mut out = BTreeMap::from([
        ("app.kubernetes.io/instance".to_owned(), fitted(name)),
        ("app.kubernetes.io/part-of".to_owned(), "kafka-backup".to_owned()),
        ("strimzi.io/cluster".to_owned(), fitted(pods.cluster)),
        (of_group("type"), pods.what.to_owned()),
        (of_group(pods.what), fitted(name)),
    ]);
    if pods.metrics {
        out.insert(of_group("metrics"), "enabled".to_owned());
    }
    out
}

/// A name as the value of a label: one that is too long ends in a digest that tells it apart.
fn fitted(name: &str) -> String {
    if name.len() <= LABEL {
        return name.to_owned();
    }
    let digest: String = blake3::hash(name.as_bytes()).to_hex().chars().take(8).collect();
    let head: String = name.chars().take(LABEL - 9).collect();
    format!("{}-{digest}", head.trim_end_matches(['-', '.']))
}

fn requirements(resources: &Resources) -> ResourceRequirements {
    let read = |quantities: &BTreeMap<String, IntOrString>| {
        let text = |quantity: &IntOrString| match quantity {
            IntOrString::Int(number) => number.to_string(),
            IntOrString::String(text) => text.clone(),
        };
        let all: BTreeMap<_, _> =
            quantities.iter().map(|(name, quantity)| (name.clone(), Quantity(text(quantity)))).collect();
        (!all.is_empty()).then_some(all)
    };
    ResourceRequirements { requests: read(&resources.requests), limits: read(&resources.limits), claims: None }
}

/// The variables that say what a run logs.
fn logging(block: &Logging) -> Vec<EnvVar> {
    let set = |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), value_from: None };
    let mut out = Vec::new();
    if block.level.is_some() || !block.modules.is_empty() {
        let level = block.level.as_deref().unwrap_or(LEVEL);
        let modules = block.modules.iter().map(|(module, level)| format!(",{module}={level}"));
        out.push(set(LEVELS, level.to_owned() + &modules.collect::<String>()));
    }
    if let Some(form) = &block.format {
        out.push(set(FORM, form.clone()));
    }
    out
}
