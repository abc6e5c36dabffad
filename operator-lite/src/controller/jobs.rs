//! Jobs and pods of a resource: listing, making, stopping, removing, and their last words.

use std::fmt::Debug;

use api::lower::job::{OWNER_LABEL, Owner};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job as WholeJob;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::pages::each;
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
            let preconditions = Preconditions { uid: Some(job.uid.clone()), ..Preconditions::default() };
            let this = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
            match self.jobs().delete(&job.name, &this).await.map_err(Error::from) {
                // Another one of its name is not meant.
                Err(error) if !error.is_missing() && !error.is_conflict() => return Err(error),
                _ => {}
            }
        }
        Ok(())
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
