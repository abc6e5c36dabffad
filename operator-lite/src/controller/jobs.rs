//! Jobs and pods of a resource: listing, making, stopping, removing, and their last words.

use std::fmt::Debug;

use api::lower::job::{KIND_LABEL, MANAGED_LABEL, MANAGER, OWNER_LABEL, Owner, is_job_name};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job as WholeJob;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::pages::{each, each_head};
use super::readings::Readings;
use crate::decide::JobView;
use crate::error::Error;
use crate::progress::Progress;
use crate::seen::{Event, Job, Pod};
use crate::view;

/// Most Jobs, pods or Events of a resource that are looked at: it has a handful, and whoever may create them can make more look
/// like its own.
const MOST: usize = 256;

/// The Jobs and pods of one resource.
pub(crate) struct Jobs {
    client: Client,
    namespace: String,
    /// Uid of the resource.
    owner: String,
    /// Their pods.
    pub(crate) pods: Vec<Pod>,
    /// What is there.
    pub(crate) views: Vec<JobView>,
}

/// Whether a Job is the one of a resource: labelled for it, and controlled by it.
fn is_of(job: &Job, owner: &str) -> bool {
    let label = job.metadata.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL));
    label.is_some_and(|label| label == owner) && view::is_controlled_by(&job.metadata, owner)
}

/// A Job that nobody controls any more.
#[derive(Debug)]
pub(crate) struct Orphan {
    /// Its name.
    pub(crate) name: String,
    uid: String,
    deleting: bool,
}

impl Orphan {
    /// What a Job is that was made for a resource of this name, and lost it: `kubectl delete --cascade=orphan` takes the
    /// reference to the owner away and leaves the labels.
    fn of(meta: ObjectMeta, owner: &Owner) -> Option<Self> {
        let label = meta.labels.as_ref().and_then(|labels| labels.get(OWNER_LABEL));
        let is_orphan = label.is_some_and(|label| *label != owner.uid)
            && meta.owner_references.iter().flatten().all(|owner| owner.controller != Some(true));
        let name = meta.name.filter(|name| is_orphan && is_job_name(owner, name))?;
        Some(Self { name, uid: meta.uid?, deleting: meta.deletion_timestamp.is_some() })
    }
}

impl Jobs {
    /// Those of a resource.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub(crate) async fn of(client: &Client, owner: &Owner) -> Result<Self, Error> {
        let own = ListParams::default().labels(&format!("{OWNER_LABEL}={}", owner.uid));
        let (mut jobs, mut pods) = (Vec::new(), Vec::new());
        let all = Api::<Job>::namespaced(client.clone(), &owner.namespace);
        each(&all, own.clone(), MOST, |job| jobs.extend(Some(job).filter(|job| is_of(job, &owner.uid)))).await?;
        let all = Api::<Pod>::namespaced(client.clone(), &owner.namespace);
        each(&all, own, MOST, |pod| pods.push(pod)).await?;
        let now = Timestamp::now();
        let views = jobs.iter().map(|job| view::job(job, &pods, now)).collect();
        Ok(Self { pods, views, ..Self::none(client, owner) })
    }

    /// None, without asking.
    pub(crate) fn none(client: &Client, owner: &Owner) -> Self {
        Self {
            client: client.clone(),
            namespace: owner.namespace.clone(),
            owner: owner.uid.clone(),
            pods: Vec::new(),
            views: Vec::new(),
        }
    }

    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes a Job; one of that name and owner that is there already is the same. `false`: the name is somebody else's.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) async fn make(&self, job: &WholeJob) -> Result<bool, Error> {
        if create(&Api::namespaced(self.client.clone(), &self.namespace), job).await? {
            return Ok(true);
        }
        let name = job.metadata.name.as_deref().unwrap_or_default();
        // One that is gone meanwhile is made at the next look.
        let there = self.jobs().get_opt(name).await?;
        Ok(there.is_none_or(|there| is_of(&there, &self.owner)))
    }

    /// Makes a claim for an archive unless it is there. Nothing owns it.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) async fn make_claim(&self, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        create(&Api::namespaced(self.client.clone(), &self.namespace), claim).await.map(drop)
    }

    /// Tells a Job to end its pod: it gets SIGTERM and saves its progress.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) async fn stop(&self, name: &str) -> Result<(), Error> {
        let patch = Patch::Merge(json!({"spec": {"suspend": true}}));
        self.jobs().patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Removes Jobs and their pods, those of `names` that were seen.
    ///
    /// # Errors
    /// When the API server refuses; not when one is gone.
    pub(crate) async fn remove_all(&self, names: &[String]) -> Result<(), Error> {
        for job in self.views.iter().filter(|job| !job.deleting && names.contains(&job.name)) {
            self.delete(&job.name, &job.uid, DeleteParams::background()).await?;
        }
        Ok(())
    }

    /// Those of a resource of the same kind and name that was deleted without them.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub(crate) async fn orphans(&self, owner: &Owner) -> Result<Vec<Orphan>, Error> {
        let ours = format!("{MANAGED_LABEL}={MANAGER},{KIND_LABEL}={}", owner.kind);
        let mut out = Vec::new();
        each_head(&self.jobs(), ListParams::default().labels(&ours), |meta| out.extend(Orphan::of(meta, owner)))
            .await?;
        Ok(out)
    }

    /// Ends Jobs: each is there until its pods are gone. Whether any was told to end now.
    ///
    /// # Errors
    /// When the API server refuses; not when one is gone.
    pub(crate) async fn end_all(&self, orphans: &[Orphan]) -> Result<bool, Error> {
        let mut told = false;
        for orphan in orphans.iter().filter(|orphan| !orphan.deleting) {
            self.delete(&orphan.name, &orphan.uid, DeleteParams::foreground()).await?;
            told = true;
        }
        Ok(told)
    }

    async fn delete(&self, name: &str, uid: &str, parameters: DeleteParams) -> Result<(), Error> {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() };
        let this = DeleteParams { preconditions: Some(preconditions), ..parameters };
        match self.jobs().delete(name, &this).await.map_err(Error::from) {
            // Another one of its name is not meant.
            Err(error) if !error.is_missing() && !error.is_conflict() => Err(error),
            _ => Ok(()),
        }
    }

    /// How far the run of a Job is, if that is known by now.
    pub(crate) async fn progress(&self, job_uid: &str, readings: &Readings) -> Option<Progress> {
        let pod = view::pod_name(job_uid, &self.pods)?;
        readings.of(job_uid, Api::namespaced(self.client.clone(), &self.namespace), pod).await
    }

    /// What keeps the pod of a Job from running.
    pub(crate) async fn problem(&self, job: &JobView) -> Option<(String, String)> {
        if let Some(found) = view::problem(&job.uid, &self.pods, Timestamp::now()) {
            return Some(found);
        }
        if job.live_pods > 0 || job.suspended {
            return None;
        }
        // No pod: a quota or a policy refused it. The Job says so in its events only.
        let of_job = ListParams::default().fields(&format!("involvedObject.uid={}", job.uid));
        let (events, mut refused) = (Api::<Event>::namespaced(self.client.clone(), &self.namespace), None);
        let newest = |event: Event| {
            if event.reason.as_deref() == Some("FailedCreate") {
                refused = Some(event);
            }
        };
        // This is a look for a reason only: without it the Job itself is waited for, and asked again.
        each(&events, of_job, MOST, newest).await.ok()?;
        let text = format!("the pod of the run was refused: {}", refused?.message.unwrap_or_default());
        Some(("PodRefused".to_owned(), text))
    }
}

/// Creates an object; `false` when one of its name is there.
async fn create<K>(api: &Api<K>, object: &K) -> Result<bool, Error>
where
    K: Clone + Debug + DeserializeOwned + Serialize,
{
    match api.create(&PostParams::default(), object).await.map_err(Error::from) {
        Err(error) if error.is_conflict() => Ok(false),
        other => other.map(|_| true),
    }
}
