//! The pod of a piece of work: what it mounts, what it may do, and the Job around it. Pure, and total.

use std::collections::{BTreeMap, BTreeSet};

use contract::ExitCode;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource,
    KeyToPath, LocalObjectReference, ObjectFieldSelector, PersistentVolumeClaimVolumeSource, PodSecurityContext,
    PodSpec, PodTemplateSpec, ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::parts::{CONTAINER, KIND_LABEL, MANAGED_LABEL, MANAGER, OWNER_LABEL, Owner, Placement, SPEC_ANNOTATION};

const SECRETS: &str = "/run/kafka-backup/secrets";
const VOLUMES: &str = "/run/kafka-backup/volumes";
const SPEC_FOLDER: &str = "/run/kafka-backup/spec";
const SPEC_FILE: &str = "run.json";
/// User and group of the container; owner of the files on volumes that it makes.
const USER: i64 = 65_532;
/// The runner saves its progress within 25 seconds of SIGTERM.
const GRACE_SECS: i64 = 35;
/// The engine's bound is 256 MiB and one largest batch; the rest is for the kernel's buffers.
const MEMORY_REQUEST: &str = "256Mi";
const MEMORY_LIMIT: &str = "512Mi";
const CPU_REQUEST: &str = "100m";

/// Annotations that keep sidecars out of a pod, unless the placement asks for them: a sidecar outlives the runner, and the
/// Job never ends.
const NO_SIDECARS: [(&str, &str); 3] = [
    ("sidecar.istio.io/inject", "false"),
    ("linkerd.io/inject", "disabled"),
    ("vault.hashicorp.com/agent-inject", "false"),
];
/// Labels that do.
const NO_SIDECAR_LABELS: [(&str, &str); 2] =
    [("sidecar.istio.io/inject", "false"), ("admission.datadoghq.com/enabled", "false")];

/// What a pod is for.
pub(super) struct PodWork<'a> {
    /// The runner's command; the file of the specification follows it.
    pub(super) command: &'a str,
    /// What follows that.
    pub(super) arguments: &'a [&'a str],
    /// The specification, JSON.
    pub(super) spec: String,
    /// Secrets by name with the keys that it reads.
    pub(super) secrets: BTreeMap<String, BTreeSet<String>>,
    /// Claims by name, and whether it only reads there.
    pub(super) claims: BTreeMap<String, bool>,
    /// Port of its metrics.
    pub(super) port: Option<u16>,
}

/// The Job of one pod.
pub(super) fn job(owner: &Owner, name: &str, work: &PodWork<'_>, placement: &Placement) -> Job {
    let labels = labels(owner, placement);
    let mut annotations = placement.annotations.clone();
    annotations.insert(SPEC_ANNOTATION.to_owned(), work.spec.clone());
    let mut pod_labels = labels.clone();
    for (all, names) in [(&mut annotations, NO_SIDECARS.as_slice()), (&mut pod_labels, &NO_SIDECAR_LABELS)] {
        for (name, value) in names {
            all.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
    }
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(work, placement)),
    };
    Job {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(owner.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![owner.reference()]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(0),
            pod_replacement_policy: Some("Failed".to_owned()),
            pod_failure_policy: Some(failure_policy()),
            template,
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn labels(owner: &Owner, placement: &Placement) -> BTreeMap<String, String> {
    let own = [
        ("app.kubernetes.io/name", "kafka-backup-runner"),
        (MANAGED_LABEL, MANAGER),
        (OWNER_LABEL, owner.uid.as_str()),
        (KIND_LABEL, owner.kind.as_str()),
    ];
    let mut labels = placement.labels.clone();
    labels.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    labels
}

/// One Job is one attempt: whatever ends the pod ends the Job, and its condition names the exit code or the disruption. A runner
/// that was told to stop and saved its progress did not fail: whoever suspends a Job ends its pod so, and the Job goes on when it
/// is resumed.
fn failure_policy() -> PodFailurePolicy {
    let rule = |action: &str, on_exit_codes, on_pod_conditions| PodFailurePolicyRule {
        action: action.to_owned(),
        on_exit_codes,
        on_pod_conditions,
    };
    let code = |operator: &str, code| PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(CONTAINER.to_owned()),
        operator: operator.to_owned(),
        values: vec![code],
    };
    let disrupted =
        PodFailurePolicyOnPodConditionsPattern { type_: "DisruptionTarget".to_owned(), status: "True".to_owned() };
    PodFailurePolicy {
        rules: vec![
            rule("FailJob", None, Some(vec![disrupted])),
            rule("Ignore", Some(code("In", ExitCode::Interrupted as i32)), None),
            rule("FailJob", Some(code("NotIn", 0)), None),
        ],
    }
}

fn pod(work: &PodWork<'_>, placement: &Placement) -> PodSpec {
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    let mut mount = |volume: Volume, path: String, read_only: bool| {
        mounts.push(VolumeMount {
            name: volume.name.clone(),
            mount_path: path,
            read_only: Some(read_only),
            ..VolumeMount::default()
        });
        volumes.push(volume);
    };
    mount(spec_volume(), SPEC_FOLDER.to_owned(), true);
    // Where a platform chooses the group, and one cannot know that it does, everybody in the pod reads them.
    let has_group = placement.pod_security_context.as_ref().is_none_or(|context| context.fs_group.is_some());
    for (number, (secret, keys)) in work.secrets.iter().enumerate() {
        let volume = secret_volume(format!("secret-{number}"), secret, keys, has_group);
        mount(volume, format!("{SECRETS}/{secret}"), true);
    }
    for (number, (claim, read_only)) in work.claims.iter().enumerate() {
        let source = PersistentVolumeClaimVolumeSource { claim_name: claim.clone(), read_only: Some(*read_only) };
        let name = format!("volume-{number}");
        let volume = Volume { name, persistent_volume_claim: Some(source), ..Volume::default() };
        mount(volume, format!("{VOLUMES}/{claim}"), *read_only);
    }
    let scratch = EmptyDirVolumeSource { size_limit: Some(Quantity("64Mi".to_owned())), medium: None };
    let scratch = Volume { name: "tmp".to_owned(), empty_dir: Some(scratch), ..Volume::default() };
    mount(scratch, "/tmp".to_owned(), false);
    PodSpec {
        containers: vec![container(work, placement, mounts)],
        volumes: Some(volumes),
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(GRACE_SECS),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        service_account_name: placement.service_account_name.clone(),
        node_selector: (!placement.node_selector.is_empty()).then(|| placement.node_selector.clone()),
        tolerations: (!placement.tolerations.is_empty()).then(|| placement.tolerations.clone()),
        image_pull_secrets: (!placement.image_pull_secrets.is_empty()).then(|| {
            placement.image_pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect()
        }),
        affinity: placement.affinity.clone(),
        host_aliases: (!placement.host_aliases.is_empty()).then(|| placement.host_aliases.clone()),
        priority_class_name: placement.priority_class_name.clone(),
        topology_spread_constraints: (!placement.topology_spread_constraints.is_empty())
            .then(|| placement.topology_spread_constraints.clone()),
        security_context: Some(placement.pod_security_context.clone().unwrap_or_else(own_user)),
        ..PodSpec::default()
    }
}

fn own_user() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        fs_group: Some(USER),
        // Large volumes are not walked at each start.
        fs_group_change_policy: Some("OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..PodSecurityContext::default()
    }
}

fn own_limits() -> SecurityContext {
    SecurityContext {
        read_only_root_filesystem: Some(true),
        capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        ..SecurityContext::default()
    }
}

fn container(work: &PodWork<'_>, placement: &Placement, mounts: Vec<VolumeMount>) -> Container {
    let file = format!("{SPEC_FOLDER}/{SPEC_FILE}");
    let common = ["--secrets", SECRETS, "--volumes", VOLUMES, work.command, &file];
    let arguments = common.iter().chain(work.arguments).map(|argument| (*argument).to_owned());
    let port = work.port.map(|port| ContainerPort {
        name: Some("metrics".to_owned()),
        container_port: i32::from(port),
        ..ContainerPort::default()
    });
    Container {
        name: CONTAINER.to_owned(),
        image: Some(placement.image.clone()),
        image_pull_policy: placement.image_pull_policy.clone(),
        args: Some(arguments.collect()),
        ports: port.map(|port| vec![port]),
        resources: Some(placement.resources.clone().unwrap_or_else(bounded)),
        volume_mounts: Some(mounts),
        env: (!placement.extra_env.is_empty()).then(|| placement.extra_env.clone()),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            privileged: None,
            ..placement.security_context.clone().unwrap_or_else(own_limits)
        }),
        ..Container::default()
    }
}

fn bounded() -> ResourceRequirements {
    let quantities = |all: &[(&str, &str)]| {
        Some(all.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect())
    };
    ResourceRequirements {
        requests: quantities(&[("cpu", CPU_REQUEST), ("memory", MEMORY_REQUEST)]),
        limits: quantities(&[("memory", MEMORY_LIMIT)]),
        claims: None,
    }
}

fn spec_volume() -> Volume {
    let field =
        ObjectFieldSelector { api_version: None, field_path: format!("metadata.annotations['{SPEC_ANNOTATION}']") };
    let file = DownwardAPIVolumeFile {
        path: SPEC_FILE.to_owned(),
        field_ref: Some(field),
        ..DownwardAPIVolumeFile::default()
    };
    let source = DownwardAPIVolumeSource { items: Some(vec![file]), default_mode: None };
    Volume { name: "spec".to_owned(), downward_api: Some(source), ..Volume::default() }
}

fn secret_volume(name: String, secret: &str, keys: &BTreeSet<String>, has_group: bool) -> Volume {
    let items = keys.iter().map(|key| KeyToPath { path: key.clone(), key: key.clone(), mode: None }).collect();
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        items: Some(items),
        optional: Some(true),
        // The group of the pod reads it (fsGroup), nobody writes it.
        default_mode: has_group.then_some(0o440),
    };
    Volume { name, secret: Some(source), ..Volume::default() }
}
