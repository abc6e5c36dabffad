//! Jobs and pods as the decisions need them. Pure.

use api::lower::job::{CONTAINER, queues};
use contract::words::{cut, safe};
use contract::{ExitCode, Report};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::decide::{Ended, JobView, Start};
use crate::seen::{Job, Node, Pod};

/// Words of the kubelet for a container that will not start by itself; `CrashLoopBackOff` is one that must be there before the
/// runner, and ends again and again.
const STUCK: [&str; 11] = [
    "ErrImagePull",
    "ErrImageNeverPull",
    "ImagePullBackOff",
    "ImageInspectError",
    "InvalidImageName",
    "RegistryUnavailable",
    "CrashLoopBackOff",
    "PreStartHookError",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Words of the kubelet for a container that ended without having run.
const NOT_STARTED: [&str; 2] = ["StartError", "ContainerCannotRun"];

/// Words of the scheduler for a pod that gets no node by itself.
const UNPLACED: [&str; 2] = ["Unschedulable", "SchedulingGated"];

/// How long a pod may be there before its runner starts; then something is in its way, whatever it is.
const START_PATIENCE: SignedDuration = SignedDuration::from_mins(3);

/// Most characters of what the cluster says of a pod.
const WORDS: usize = 500;

/// How long a pod may be there after it should have ended, before its node is thought to be gone.
const NODE_PATIENCE: SignedDuration = SignedDuration::from_secs(30);

/// A Job and those of `pods` that are its own.
#[must_use]
pub fn job(job: &Job, pods: &[Pod], now: Timestamp) -> JobView {
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let own: Vec<&Pod> = pods.iter().filter(|pod| belongs(pod, &uid)).collect();
    JobView {
        name: job.metadata.name.clone().unwrap_or_default(),
        deleting: job.metadata.deletion_timestamp.is_some(),
        suspended: is_suspended(job),
        live_pods: own.iter().filter(|pod| !has_ended(pod)).count(),
        lost_since: all_lost(&own, now),
        queues: job.metadata.labels.as_ref().map(queues).unwrap_or_default(),
        start: start(&own, now),
        ended: ended(job, &own),
        uid,
    }
}

fn is_suspended(job: &Job) -> bool {
    job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true)
}

/// Since when no node of the pods that live answers.
fn all_lost(pods: &[&Pod], now: Timestamp) -> Option<Timestamp> {
    let since: Option<Vec<Timestamp>> =
        pods.iter().filter(|pod| !has_ended(pod)).map(|pod| lost_since(pod, now)).collect();
    since?.into_iter().max()
}

fn start(pods: &[&Pod], now: Timestamp) -> Start {
    if pods.iter().any(|pod| has_run(pod)) {
        Start::Ran
    } else if pods.iter().any(|pod| !has_ended(pod) && pod_problem(pod, now).is_some()) {
        Start::Stuck
    } else {
        Start::Awaited
    }
}

/// What the kubelet says of the runner. Other containers of the pod, which admission may have put there, say nothing of a run.
fn runner(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.iter().find(|status| status.name == CONTAINER)
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    runner(pod)?.state.as_ref()?.terminated.as_ref()
}

/// Whether the runner of a pod runs, or did.
fn has_run(pod: &Pod) -> bool {
    let ended =
        |state: &ContainerStateTerminated| !state.reason.as_deref().is_some_and(|reason| NOT_STARTED.contains(&reason));
    let states = runner(pod).map(|status| [&status.state, &status.last_state]);
    let mut states = states.into_iter().flatten().flatten();
    states.any(|state| state.running.is_some() || state.terminated.as_ref().is_some_and(ended))
}

/// Whether an object is controlled by the one with this uid. A label, or a reference of another kind, anybody may write.
#[must_use]
pub fn is_controlled_by(meta: &ObjectMeta, uid: &str) -> bool {
    meta.owner_references.iter().flatten().any(|owner| owner.uid == uid && owner.controller == Some(true))
}

fn belongs(pod: &Pod, uid: &str) -> bool {
    is_controlled_by(&pod.metadata, uid)
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

/// Whether the runner of a pod has ended: it is never started again. Other containers may go on.
fn has_ended(pod: &Pod) -> bool {
    matches!(phase(pod), Some("Succeeded" | "Failed")) || terminated(pod).is_some()
}

/// How the attempt of a Job ended; `None` while it works, and while a Job that is suspended may make another pod.
fn ended(job: &Job, pods: &[&Pod]) -> Option<Ended> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let end = ["Failed", "Complete"]
        .iter()
        .find_map(|name| conditions.iter().find(|condition| condition.type_ == *name && condition.status == "True"));
    let newest = pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
    let state = newest.and_then(|pod| terminated(pod)).or_else(|| pods.iter().find_map(|pod| terminated(pod)));
    // A runner that was told to stop ends no Job: another pod goes on, now or when the Job is resumed.
    let goes_on = is_suspended(job) || state.is_none_or(|state| state.exit_code == ExitCode::Interrupted as i32);
    if end.is_none() && goes_on {
        return None;
    }
    let message = end.and_then(|end| end.message.clone()).unwrap_or_default();
    // A message that is no report is shown as text.
    let said = state.and_then(|state| serde_json::from_str::<Report>(state.message.as_deref()?.trim()).ok());
    let is_complete = || end.is_some_and(|end| end.type_ == "Complete");
    Some(Ended {
        // Of pods that are gone nobody can tell.
        never_ran: !pods.is_empty() && !pods.iter().any(|pod| has_run(pod)),
        exit_code: state
            .map(|state| state.exit_code)
            .or_else(|| exit_code_in(&message))
            .or_else(|| is_complete().then_some(0)),
        memory_limit: pods.iter().find_map(|pod| memory_limit(pod)),
        // The Job controller names the condition in words only, and pods may be gone.
        disrupted: message.contains("DisruptionTarget") || pods.iter().any(|pod| is_disrupted(pod)),
        report: said.map(|report| Box::new(report.into())),
        message,
    })
}

/// The limit of the runner's memory, if the kernel ended it because it needed more.
fn memory_limit(pod: &Pod) -> Option<String> {
    terminated(pod).filter(|state| state.reason.as_deref() == Some("OOMKilled"))?;
    let container = pod.spec.as_ref().and_then(|spec| spec.containers.iter().find(|one| one.name == CONTAINER));
    let limits = container.and_then(|container| container.resources.as_ref()?.limits.as_ref());
    let memory = limits.and_then(|limits| limits.get("memory"));
    Some(memory.map_or_else(|| "its node".to_owned(), |memory| memory.0.clone()))
}

fn condition<'a>(pod: &'a Pod, name: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == name)
}

fn is_disrupted(pod: &Pod) -> bool {
    condition(pod, "DisruptionTarget").is_some_and(|condition| condition.status == "True")
}

/// The runner's exit code that the condition of a Job keeps when its pod is gone.
fn exit_code_in(message: &str) -> Option<i32> {
    // The Job controller tells the code in words only, and pods may be gone.
    let of_runner = message.split_once(&format!("Container {CONTAINER} for pod "))?.1;
    let after = of_runner.split_once(" failed with exit code ")?.1;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The name of the pod that works, or worked last.
#[must_use]
pub fn pod_name(job_uid: &str, pods: &[Pod]) -> Option<String> {
    let own = pods.iter().filter(|pod| belongs(pod, job_uid));
    own.max_by_key(|pod| pod.metadata.creation_timestamp.clone()).and_then(|pod| pod.metadata.name.clone())
}

/// Whether the runner of a Job works.
#[must_use]
pub fn is_running(job_uid: &str, pods: &[Pod]) -> bool {
    let runs = |pod: &Pod| !has_ended(pod) && runs_now(pod);
    pods.iter().filter(|pod| belongs(pod, job_uid)).any(runs)
}

fn runs_now(pod: &Pod) -> bool {
    runner(pod).and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some())
}

/// What keeps a pod from running: a stable word, and the same in words.
#[must_use]
pub fn problem(job_uid: &str, pods: &[Pod], now: Timestamp) -> Option<(String, String)> {
    pods.iter().filter(|pod| belongs(pod, job_uid) && !has_ended(pod)).find_map(|pod| pod_problem(pod, now))
}

fn pod_problem(pod: &Pod, now: Timestamp) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    if let Some(since) = lost_since(pod, now) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
        let text = format!(
            "node {node:?} of pod {name} does not answer since {since}. The run goes on when it is back. If the node is gone \
             for good: kubectl taint node {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or kubectl delete \
             pod {name} --force"
        );
        return Some(("NodeLost".to_owned(), text));
    }
    if let Some(condition) = condition(pod, "PodScheduled").filter(|condition| condition.status == "False")
        && let Some(reason) = condition.reason.as_deref().filter(|reason| UNPLACED.contains(reason))
    {
        return Some(cannot_start("", reason, condition.message.as_ref()));
    }
    // Containers that must end, or be there, before the runner starts.
    let before = status.init_container_statuses.iter().flatten();
    before.chain(runner(pod)).find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| STUCK.contains(reason))?;
        let other = if container.name == CONTAINER { String::new() } else { format!("container {}: ", container.name) };
        Some(cannot_start(&other, reason, waiting.message.as_ref()))
    })
}

fn cannot_start(of: &str, reason: &str, message: Option<&String>) -> (String, String) {
    let text = format!(
        "the pod of the run cannot start: {of}{}",
        message.map_or_else(|| reason.to_owned(), |text| told(text))
    );
    (reason.to_owned(), text)
}

/// What the cluster says, as a status may have it.
#[must_use]
pub fn told(text: &str) -> String {
    cut(safe(text), WORDS)
}

/// A pod that is there for long, and whose runner has not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slow {
    /// Uid of the pod.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// Since when it is there.
    pub since: Timestamp,
}

/// The pod of a Job whose runner should have started by now.
#[must_use]
pub fn slow(job_uid: &str, pods: &[Pod], now: Timestamp) -> Option<Slow> {
    let mut waiting = pods.iter().filter(|pod| belongs(pod, job_uid) && !has_ended(pod) && !has_run(pod));
    waiting.find_map(|pod| {
        let since = pod.metadata.creation_timestamp.as_ref()?.0;
        let (uid, name) = (pod.metadata.uid.clone()?, pod.metadata.name.clone()?);
        (now.duration_since(since) >= START_PATIENCE).then_some(Slow { uid, name, since })
    })
}

/// What is told of such a pod: `event` is the newest of its Events, as reason and words.
#[must_use]
pub fn slow_words(slow: &Slow, event: Option<(String, String)>) -> (String, String) {
    let Slow { name, since, .. } = slow;
    let (reason, why) = match event {
        Some((reason, text)) => (reason.clone(), format!("{reason}: {}", told(&text))),
        None => ("PodNotStarted".to_owned(), "nothing says why (kubectl describe pod)".to_owned()),
    };
    (reason, format!("the pod {name} of the run is there since {since}, and its runner has not started. {why}"))
}

/// Nodes of pods whose own conditions do not show when their node falls silent: those whose containers are not all ready.
pub fn nodes_to_ask(pods: &[Pod]) -> impl Iterator<Item = &str> {
    let unready = |pod: &&Pod| condition(pod, "ContainersReady").is_none_or(|ready| ready.status != "True");
    let live = pods.iter().filter(|pod| !has_ended(pod)).filter(unready);
    live.filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref())
}

/// Since when a node does not answer: the node controller says so where its kubelet says nothing any more. One that says itself
/// that it is not ready answers.
#[must_use]
pub fn silent_since(node: &Node, now: Timestamp) -> Option<Timestamp> {
    let ready = node.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == "Ready")?;
    let since = ready.last_transition_time.as_ref().map_or(now, |time| time.0);
    (ready.status == "Unknown").then_some(since)
}

/// Since when the node of a pod does not answer: the pod should have ended long ago, or the cluster says that it is not
/// ready, though its containers were when the node spoke last. The node controller sets only the status of the one condition: a
/// reason beside it is the kubelet's, whose node answers (a readiness gate that is not met, for example).
fn lost_since(pod: &Pod, now: Timestamp) -> Option<Timestamp> {
    let ends = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    let ends = ends.filter(|end| now.duration_since(*end) > NODE_PATIENCE);
    let whole = condition(pod, "ContainersReady").is_some_and(|containers| containers.status == "True");
    let is_silent = |ready: &&PodCondition| ready.reason.as_ref().is_none_or(String::is_empty);
    let ready = condition(pod, "Ready").filter(|ready| ready.status == "False" && whole && runs_now(pod));
    let ready = ready.filter(is_silent);
    let silent = ready.map(|ready| ready.last_transition_time.as_ref().map_or(now, |time| time.0));
    // The cluster deletes the pod some time after its node fell silent.
    ends.into_iter().chain(silent).chain(pod.silent_since).min()
}

#[cfg(test)]
mod tests;
