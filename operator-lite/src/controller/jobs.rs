//! Jobs and pods of a resource: listing, making, stopping, removing, and their last words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use api::lower::job::{KIND_LABEL, MANAGED_LABEL, MANAGER, OWNER_LABEL, Owner, SPEC_ANNOTATION, is_job_name};
use contract::RunSpec;
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
use crate::seen::{Event, Job, Node, Pod};
use crate::view;

/// Most Jobs, pods or Events of a resource that are looked at: it has a handful, and whoever may create them can make more look
/// like its own.
const MOST: usize = 256;
/// Most nodes that are asked at one look: a run has one pod.
const MOST_NODES: usize = 2;

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

/// Asks the nodes of pods that do not show themselves whether their node answers. Where that is not allowed, or not answered,
/// the cluster ends the pods after some minutes, and that shows.
async fn ask_nodes(client: &Client, pods: &mut [Pod], now: Timestamp) {
    let names: BTreeSet<String> = view::nodes_to_ask(pods).take(MOST_NODES).map(str::to_owned).collect();
    let nodes = Api::<Node>::all(client.clone());
    for name in names {
        let node = match nodes.get_opt(&name).await {
            Ok(node) => node,
            Err(error) => {
                tracing::debug!(%error, name, "the node of a pod cannot be asked");
                continue;
            }
        };
        let Some(since) = node.and_then(|node| view::silent_since(&node, now)) else { continue };
        let is_there = |pod: &&mut Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&name);
        pods.iter_mut().filter(is_there).for_each(|pod| pod.silent_since = Some(since));
    }
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
        ask_nodes(client, &mut pods, now).await;
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
        let now = Timestamp::now();
        if let Some(found) = view::problem(&job.uid, &self.pods, now) {
            return Some(found);
        }
        if let Some(slow) = view::slow(&job.uid, &self.pods, now) {
            let newest = self.newest_event(&slow.uid, |_| true).await;
            let said = newest.map(|event| (event.reason.unwrap_or_default(), event.message.unwrap_or_default()));
            return Some(view::slow_words(&slow, said.filter(|(reason, _)| !reason.is_empty())));
        }
        if job.live_pods > 0 || job.suspended {
            return None;
        }
        // No pod: a quota or a policy refused it. The Job says so in its events only.
        let refused = self.newest_event(&job.uid, |event| event.reason.as_deref() == Some("FailedCreate")).await?;
        let text = format!("the pod of the run was refused: {}", view::told(&refused.message.unwrap_or_default()));
        Some(("PodRefused".to_owned(), text))
    }

    /// The newest Event of an object. This is a look for a reason only: without it the object itself is waited for, and asked
    /// again.
    async fn newest_event(&self, uid: &str, wanted: impl Fn(&Event) -> bool) -> Option<Event> {
        let of_object = ListParams::default().fields(&format!("involvedObject.uid={uid}"));
        let (events, mut newest) = (Api::<Event>::namespaced(self.client.clone(), &self.namespace), None);
        let at = |event: &Event| {
            let times = [&event.last_timestamp, &event.metadata.creation_timestamp].map(|time| Some(time.as_ref()?.0));
            times.into_iter().chain([event.event_time.as_ref().map(|time| time.0)]).flatten().max()
        };
        let take = |event: Event| {
            if wanted(&event) && newest.as_ref().is_none_or(|before| at(before) <= at(&event)) {
                newest = Some(event);
            }
        };
        // Without it, the object itself is waited for.
        each(&events, of_object, MOST, take).await.ok()?;
        newest
    }

    /// The specification of a Job's run, as its pod has it; `None` when the Job is gone.
    ///
    /// # Errors
    /// When the API server does not answer, or the specification does not read.
    pub(crate) async fn spec_of(&self, name: &str) -> Result<Option<RunSpec>, Error> {
        if !self.views.iter().any(|view| view.name == name) {
            return Ok(None);
        }
        let job = Api::<WholeJob>::namespaced(self.client.clone(), &self.namespace).get_opt(name).await?;
        let text = job.and_then(|job| job.spec?.template.metadata?.annotations?.remove(SPEC_ANNOTATION));
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(Error::from)
    }

    /// Gives a Job that a queue holds the labels that its resource has now.
    ///
    /// # Errors
    /// When the API server refuses.
    pub(crate) async fn move_to(&self, job: &JobView, queues: &BTreeMap<String, String>) -> Result<(), Error> {
        let gone = job.queues.keys().filter(|name| !queues.contains_key(*name));
        let mut labels: BTreeMap<&String, Option<&String>> = gone.map(|name| (name, None)).collect();
        labels.extend(queues.iter().map(|(name, value)| (name, Some(value))));
        let patch = Patch::Merge(json!({"metadata": {"uid": job.uid, "labels": labels}}));
        self.jobs().patch(&job.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}

/// What is told of a Job that something else suspends.
pub(crate) const HELD: (&str, &str) = (
    "JobSuspended",
    "the Job of the run is suspended by something else (a queue for Jobs?): the run goes on when it is resumed",
);

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
