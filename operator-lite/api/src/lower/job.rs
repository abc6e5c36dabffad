//! From a run to the Job of one attempt. Pure, and total.
//!
//! The run's specification travels as an annotation of the pod's template, which the downward API turns into a file:
//! it comes to the cluster with the Job or not at all. Secrets are mounted key by key and `optional`: the runner waits
//! for a missing one and then names it. The pod has no token of the API, no privilege, and a root that it cannot write:
//! it fits the `restricted` level of Pod Security.

use std::collections::{BTreeMap, BTreeSet};

use contract::{RunRef, RunSpec, StoreSpec};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{
    Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource,
    KeyToPath, LocalObjectReference, ObjectFieldSelector, PersistentVolumeClaim, PersistentVolumeClaimSpec,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
    SeccompProfile, SecretVolumeSource, SecurityContext, Toleration, Volume, VolumeMount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Serialize};

use crate::oso::{PvcStorage, Storage};

/// Annotation of a pod template with the run's specification, as JSON.
pub const SPEC_ANNOTATION: &str = "kafka-backup.dev/run-spec";
/// Annotation of a Job with the run's id.
pub const RUN_ANNOTATION: &str = "kafka-backup.dev/run-id";
/// Annotation of a Job with the number of its attempt.
pub const ATTEMPT_ANNOTATION: &str = "kafka-backup.dev/attempt";
/// Label of Jobs and pods: the uid of the resource.
pub const OWNER_LABEL: &str = "kafka-backup.dev/owner-uid";
/// Label of Jobs and pods: the kind of the resource.
pub const KIND_LABEL: &str = "kafka-backup.dev/owner-kind";
/// Label of Jobs and pods: who made them.
pub const MANAGED_LABEL: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_LABEL`].
pub const MANAGER: &str = "kafka-backup-operator";
/// Name of the container of a run.
pub const CONTAINER: &str = "runner";
/// Most bytes of a run's specification: annotations of an object share 256 KiB.
pub const SPEC_LIMIT: usize = 200 << 10;

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
/// Longest part of a Job's name that comes from the resource's name.
const NAME_PART: usize = 35;

/// Where and how pods of runs are placed: the installation's settings (`runner.*` of the chart).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Placement {
    /// Image of the runner.
    pub image: String,
    /// When it is pulled; IfNotPresent when empty.
    pub image_pull_policy: Option<String>,
    /// Secrets for pulling it.
    pub image_pull_secrets: Vec<String>,
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that pods tolerate.
    pub tolerations: Vec<Toleration>,
    /// What a pod asks for and may use; fits the engine's bound when empty.
    pub resources: Option<ResourceRequirements>,
    /// Labels that pods get, too.
    pub labels: BTreeMap<String, String>,
    /// Annotations that pods get, too.
    pub annotations: BTreeMap<String, String>,
    /// Service account of pods, for workload identity.
    pub service_account_name: Option<String>,
}

/// The resource that a run belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// `group/version`.
    pub api_version: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
}

impl Owner {
    /// Eight digits that tell resources of the same name apart; the same for a resource that is created again.
    fn hash8(&self) -> String {
        let text = format!("{}/{}/{}/{}", self.api_version, self.kind, self.namespace, self.name);
        let digest = blake3::hash(text.as_bytes()).to_hex();
        digest.chars().take(8).collect()
    }

    /// The reference that makes the garbage collector remove what belongs to this resource.
    #[must_use]
    pub fn reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: self.api_version.clone(),
            kind: self.kind.clone(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

/// The identity of a run that begins, or is due, at `at`.
#[must_use]
pub fn run_ref(name: &str, at: Timestamp) -> RunRef {
    RunRef { id: format!("{name}-{}", contract::stamp::stamp(at)), at }
}

/// Name of the Job of an attempt; the same for the same claim.
#[must_use]
pub fn job_name(owner: &Owner, run: &RunRef, attempt: u32) -> String {
    let name: String = owner.name.replace('.', "-").chars().take(NAME_PART).collect();
    let stamp = run.at.strftime("%Y%m%d%H%M%S");
    format!("{}-{}-{stamp}-{attempt}", name.trim_end_matches('-'), owner.hash8())
}

/// A digest of all that shapes a run: when it changes, a continuous run is started anew.
#[must_use]
pub fn digest(spec: &RunSpec, placement: &Placement) -> String {
    let run = RunSpec { run: None, ..spec.clone() };
    let text = serde_json::to_string(&(run, &placement.image)).unwrap_or_default();
    blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect()
}

/// The Job of one attempt.
#[must_use]
pub fn job(owner: &Owner, spec: &RunSpec, attempt: u32, placement: &Placement) -> Job {
    let empty = RunRef { id: String::new(), at: Timestamp::UNIX_EPOCH };
    let run = spec.run.as_ref().unwrap_or(&empty);
    let labels = labels(owner, placement);
    let note = |name: &str, value: String| (name.to_owned(), value);
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels.clone()),
            annotations: Some({
                let mut all = placement.annotations.clone();
                all.extend([note(SPEC_ANNOTATION, serde_json::to_string(spec).unwrap_or_default())]);
                all
            }),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(spec, placement)),
    };
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(owner, run, attempt)),
            namespace: Some(owner.namespace.clone()),
            labels: Some(labels),
            annotations: Some(BTreeMap::from([
                note(RUN_ANNOTATION, run.id.clone()),
                note(ATTEMPT_ANNOTATION, attempt.to_string()),
            ])),
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

/// One Job is one attempt: whatever ends the pod ends the Job, and its condition names the exit code or the disruption.
fn failure_policy() -> PodFailurePolicy {
    let rule = |on_exit_codes, on_pod_conditions| PodFailurePolicyRule {
        action: "FailJob".to_owned(),
        on_exit_codes,
        on_pod_conditions,
    };
    let disrupted =
        PodFailurePolicyOnPodConditionsPattern { type_: "DisruptionTarget".to_owned(), status: "True".to_owned() };
    let failed = PodFailurePolicyOnExitCodesRequirement {
        container_name: Some(CONTAINER.to_owned()),
        operator: "NotIn".to_owned(),
        values: vec![0],
    };
    PodFailurePolicy { rules: vec![rule(None, Some(vec![disrupted])), rule(Some(failed), None)] }
}

fn pod(spec: &RunSpec, placement: &Placement) -> PodSpec {
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
    for (number, (secret, keys)) in secrets(spec).into_iter().enumerate() {
        mount(secret_volume(format!("secret-{number}"), &secret, keys), format!("{SECRETS}/{secret}"), true);
    }
    for (number, (claim, read_only)) in claims(spec).into_iter().enumerate() {
        let source = PersistentVolumeClaimVolumeSource { claim_name: claim.clone(), read_only: Some(read_only) };
        let name = format!("volume-{number}");
        let volume = Volume { name, persistent_volume_claim: Some(source), ..Volume::default() };
        mount(volume, format!("{VOLUMES}/{claim}"), read_only);
    }
    let scratch = EmptyDirVolumeSource { size_limit: Some(Quantity("64Mi".to_owned())), medium: None };
    let scratch = Volume { name: "tmp".to_owned(), empty_dir: Some(scratch), ..Volume::default() };
    mount(scratch, "/tmp".to_owned(), false);
    PodSpec {
        containers: vec![container(spec, placement, mounts)],
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
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            // Large volumes are not walked at each start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    }
}

fn container(spec: &RunSpec, placement: &Placement, mounts: Vec<VolumeMount>) -> Container {
    let arguments = [
        "--secrets",
        SECRETS,
        "--volumes",
        VOLUMES,
        "run",
        &format!("{SPEC_FOLDER}/{SPEC_FILE}"),
        "--output",
        "json",
        "--termination-log",
        "/dev/termination-log",
    ];
    let port = spec.metrics.as_ref().map(|metrics| ContainerPort {
        name: Some("metrics".to_owned()),
        container_port: i32::from(metrics.port),
        ..ContainerPort::default()
    });
    Container {
        name: CONTAINER.to_owned(),
        image: Some(placement.image.clone()),
        image_pull_policy: placement.image_pull_policy.clone(),
        args: Some(arguments.map(str::to_owned).into()),
        ports: port.map(|port| vec![port]),
        resources: Some(placement.resources.clone().unwrap_or_else(bounded)),
        volume_mounts: Some(mounts),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
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

fn secret_volume(name: String, secret: &str, keys: BTreeSet<String>) -> Volume {
    let items = keys.into_iter().map(|key| KeyToPath { path: key.clone(), key, mode: None }).collect();
    let source = SecretVolumeSource {
        secret_name: Some(secret.to_owned()),
        items: Some(items),
        optional: Some(true),
        default_mode: None,
    };
    Volume { name, secret: Some(source), ..Volume::default() }
}

/// The stores of a run, and whether it only reads there.
fn stores(spec: &RunSpec) -> Vec<(&StoreSpec, bool)> {
    let state = spec.restore.as_ref().map(|restore| restore.state_storage.as_ref());
    // A restore that keeps its state elsewhere only reads its archive.
    let read_only = matches!(state, Some(Some(_)));
    std::iter::once((&spec.storage, read_only)).chain(state.flatten().map(|store| (store, false))).collect()
}

/// Secrets by name with the keys that the run reads; a file of a secret is `<secret>/<key>`.
#[must_use]
pub fn secrets(spec: &RunSpec) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (secret, key) in spec.secret_files().into_iter().filter_map(|file| file.split_once('/')) {
        out.entry(secret.to_owned()).or_default().insert(key.to_owned());
    }
    out
}

/// Claims by name, and whether the run only reads there; a folder of a volume is `<claim>/<folder>`.
fn claims(spec: &RunSpec) -> BTreeMap<String, bool> {
    let mut out: BTreeMap<String, bool> = BTreeMap::new();
    let mut add = |path: &str, read_only: bool| {
        let claim = path.split('/').next().unwrap_or_default().to_owned();
        let known = out.entry(claim).or_insert(read_only);
        *known &= read_only;
    };
    for (store, read_only) in stores(spec) {
        if let StoreSpec::Filesystem { path, .. } = store {
            add(path, read_only);
        }
    }
    if let Some(folder) = spec.backup.as_ref().and_then(|backup| backup.checkpoint_folder.as_ref()) {
        add(folder, false);
    }
    out
}

/// The claim to make for a storage block that asks for one. Nothing owns it: the archive outlives the resource.
#[must_use]
pub fn claim(namespace: &str, storage: &Storage) -> Option<PersistentVolumeClaim> {
    let pvc: &PvcStorage = storage.pvc.as_ref().filter(|_| storage.storage_type == "pvc")?;
    let create = pvc.create.as_ref().filter(|create| create.enabled)?;
    let size = BTreeMap::from([("storage".to_owned(), Quantity(create.size.clone()))]);
    Some(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(pvc.claim_name.clone()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([(MANAGED_LABEL.to_owned(), MANAGER.to_owned())])),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(create.access_modes.clone()),
            storage_class_name: create.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements { requests: Some(size), limits: None }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    })
}
