//! From a run to the Job of one attempt. Pure, and total.
//!
//! The run's specification travels as an annotation of the pod's template, which the downward API turns into a file:
//! it comes to the cluster with the Job or not at all. Secrets are mounted key by key and `optional`: the runner waits
//! for a missing one and then names it. The pod has no token of the API, no privilege, and a root that it cannot write:
//! it fits the `restricted` level of Pod Security.

use std::collections::{BTreeMap, BTreeSet};

use contract::endpoint::password_beside;
use contract::{InspectSpec, RunRef, RunSpec, StoreSpec};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::ser::Error as _;

pub use super::parts::{
    ATTEMPT_ANNOTATION, CONTAINER, KIND_LABEL, MANAGED_LABEL, MANAGER, OWNER_LABEL, Owner, Placement, RUN_ANNOTATION,
    RUNNER_IMAGE_ANNOTATION, SPEC_ANNOTATION, SPEC_LIMIT,
};
use super::pod::{self, PodWork};
use crate::oso::{PvcStorage, Storage};

/// Longest name of a Job: its pods carry it as a label.
const LONGEST_NAME: usize = 63;
/// Longest part of it that comes from the resource's name.
const NAME_PART: usize = 35;
/// Longest life of an inspection, whoever asks: four hours. It holds a place, and maybe a volume.
const INSPECTION_LIMIT_SECS: i64 = 4 * 3_600;

/// The identity of a run that begins, or is due, at `at`.
#[must_use]
pub fn run_ref(name: &str, at: Timestamp) -> RunRef {
    RunRef { id: format!("{name}-{}", contract::stamp::stamp(at)), at, attempt: None }
}

/// Name of the Job of an attempt; the same for the same claim.
#[must_use]
pub fn job_name(owner: &Owner, run: &RunRef, attempt: u32) -> String {
    let end = format!("-{}-{attempt}", run.at.strftime("%Y%m%d%H%M%S"));
    stem(owner, LONGEST_NAME.saturating_sub(end.len())) + &end
}

/// What the names of a resource's Jobs begin with, of at most so many characters.
fn stem(owner: &Owner, most: usize) -> String {
    let part = owner.part.map(|part| format!("-{part}")).unwrap_or_default();
    let end = format!("{part}-{}", owner.hash8());
    let room = NAME_PART.saturating_sub(part.len()).min(most.saturating_sub(end.len()));
    let name: String = owner.name.replace('.', "-").chars().take(room).collect();
    name.trim_end_matches('-').to_owned() + &end
}

/// Whether a Job of this name is one of a resource of this kind and name: this one, or one that was there before it.
#[must_use]
pub fn is_job_name(owner: &Owner, name: &str) -> bool {
    let Some((rest, attempt)) = name.rsplit_once('-') else { return false };
    let Some((_, at)) = rest.rsplit_once('-') else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let end = at.len() + attempt.len() + 2;
    digits(at) && digits(attempt) && name == format!("{}-{at}-{attempt}", stem(owner, LONGEST_NAME.saturating_sub(end)))
}

/// A digest of all that shapes a run: when it changes, a continuous run is started anew.
///
/// # Errors
/// What JSON cannot hold.
pub fn digest(spec: &RunSpec, placement: &Placement) -> Result<String, serde_json::Error> {
    let run = RunSpec { run: None, ..spec.clone() };
    let text = serde_json::to_string(&(run, placement))?;
    Ok(blake3::hash(text.as_bytes()).to_hex().chars().take(16).collect())
}

/// The Job of one attempt.
///
/// # Errors
/// What JSON cannot hold; a run that has no name.
pub fn job(owner: &Owner, spec: &RunSpec, attempt: u32, placement: &Placement) -> Result<Job, serde_json::Error> {
    let run = spec.run.as_ref().ok_or_else(|| serde_json::Error::custom("the run has no name"))?;
    // Its report says which attempt it is of.
    let spec = &RunSpec { run: Some(RunRef { attempt: Some(attempt), ..run.clone() }), ..spec.clone() };
    let arguments = ["--output", "json", "--termination-log", "/dev/termination-log"];
    let work = PodWork {
        command: "run",
        arguments: &arguments,
        spec: serde_json::to_string(spec)?,
        secrets: secrets(spec),
        claims: claims_of(spec),
        port: spec.metrics.as_ref().map(|metrics| metrics.port),
    };
    let note = |name: &str, value: String| (name.to_owned(), value);
    let mut job = pod::job(owner, &job_name(owner, run, attempt), &work, placement);
    job.metadata.annotations =
        Some(BTreeMap::from([note(RUN_ANNOTATION, run.id.clone()), note(ATTEMPT_ANNOTATION, attempt.to_string())]));
    Ok(job)
}

/// What the labels of queues for Jobs begin with (Kueue): a resource's own go to the Jobs of its runs.
pub const QUEUE_LABELS: &str = "kueue.x-k8s.io/";

/// The labels of a resource or a Job by which a queue knows it.
#[must_use]
pub fn queues(labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let queues = labels.iter().filter(|(name, _)| name.starts_with(QUEUE_LABELS));
    queues.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Gives a Job the labels by which a queue takes it, from the labels of its resource.
pub fn queue(job: &mut Job, labels: &BTreeMap<String, String>) {
    job.metadata.labels.get_or_insert_default().extend(queues(labels));
}

/// The Job of an inspection: a pod that answers questions until nobody asks, or for four hours.
///
/// # Errors
/// What JSON cannot hold.
pub fn inspection(owner: &Owner, spec: &InspectSpec, placement: &Placement) -> Result<Job, serde_json::Error> {
    // A check has what the run will have.
    let (secrets, claims) = if let Some(run) = &spec.check {
        (secrets(run), claims_of(run))
    } else {
        let files = spec.source.iter().flat_map(|run| run.kafka_secret_files()).chain(spec.storage.secret_files());
        (keys(files), claims(&[(&spec.storage, true)], None))
    };
    let work = PodWork {
        command: "inspect",
        arguments: &["--termination-log", "/dev/termination-log"],
        spec: serde_json::to_string(spec)?,
        secrets,
        claims,
        port: None,
    };
    let mut job = pod::job(owner, &stem(owner, LONGEST_NAME), &work, placement);
    if let Some(spec) = &mut job.spec {
        spec.active_deadline_seconds = Some(INSPECTION_LIMIT_SECS);
    }
    Ok(job)
}

fn claims_of(run: &RunSpec) -> BTreeMap<String, bool> {
    claims(&stores(run), run.backup.as_ref().and_then(|backup| backup.checkpoint_folder.as_ref()))
}

/// The stores of a run, and whether it only reads there.
fn stores(spec: &RunSpec) -> Vec<(&StoreSpec, bool)> {
    // A restore that keeps its state elsewhere only reads its archive. A validation writes its report beside the archive.
    let has_state = spec.restore.as_ref().is_some_and(|restore| restore.state_storage.is_some());
    let is_only_read = |field| field == "validation.restore.stateStorage" || has_state && field == "storage";
    spec.stores().map(|(field, store)| (store, is_only_read(field))).collect()
}

/// Secrets by name with the keys that the run reads; a file of a secret is `<secret>/<key>`.
#[must_use]
pub fn secrets(spec: &RunSpec) -> BTreeMap<String, BTreeSet<String>> {
    keys(spec.secret_files())
}

fn keys<'a>(files: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, BTreeSet<String>> {
    let mut out: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    // A whole path is a file of the image.
    let of_secrets = files.into_iter().filter(|file| !file.starts_with('/'));
    for (secret, key) in of_secrets.filter_map(|file| file.split_once('/')) {
        let keys = out.entry(secret.to_owned()).or_default();
        // Where the Secret has it: the volume is optional.
        keys.extend(password_beside(key));
        keys.insert(key.to_owned());
    }
    out
}

/// Claims by name, and whether they are only read, of stores and of a folder that is written; a folder of a volume is
/// `<claim>/<folder>`.
fn claims(stores: &[(&StoreSpec, bool)], folder: Option<&String>) -> BTreeMap<String, bool> {
    let mut out: BTreeMap<String, bool> = BTreeMap::new();
    let mut add = |path: &str, read_only: bool| {
        let claim = path.split('/').next().unwrap_or_default().to_owned();
        let known = out.entry(claim).or_insert(read_only);
        *known &= read_only;
    };
    for (store, read_only) in stores {
        if let StoreSpec::Filesystem { path, .. } = store {
            add(path, *read_only);
        }
    }
    if let Some(folder) = folder {
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
