//! Jobs and pods as the decisions need them. Pure.

use contract::Report;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

use crate::decide::{Ended, JobView, Start};

/// Words of the kubelet for a container that will not start by itself.
const STUCK: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// Words of the kubelet for a container that ended without having run.
const NOT_STARTED: [&str; 2] = ["StartError", "ContainerCannotRun"];

/// A Job and those of `pods` that are its own.
#[must_use]
pub fn job(job: &Job, pods: &[Pod]) -> JobView {
    let uid = job.metadata.uid.clone().unwrap_or_default();
    let own: Vec<&Pod> = pods.iter().filter(|pod| belongs(pod, &uid)).collect();
    JobView {
        name: job.metadata.name.clone().unwrap_or_default(),
        deleting: job.metadata.deletion_timestamp.is_some(),
        suspended: job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false),
        live_pods: own.iter().filter(|pod| !has_ended(pod)).count(),
        start: start(&own),
        ended: ended(job, &own),
        uid,
    }
}

fn start(pods: &[&Pod]) -> Start {
    if pods.iter().any(|pod| has_run(pod)) {
        Start::Ran
    } else if pods.iter().any(|pod| !has_ended(pod) && pod_problem(pod).is_some()) {
        Start::Stuck
    } else {
        Start::Awaited
    }
}

/// Whether a container of a pod runs, or did.
fn has_run(pod: &Pod) -> bool {
    let ended =
        |state: &ContainerStateTerminated| !state.reason.as_deref().is_some_and(|reason| NOT_STARTED.contains(&reason));
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    statuses
        .iter()
        .flat_map(|status| [&status.state, &status.last_state])
        .flatten()
        .any(|state| state.running.is_some() || state.terminated.as_ref().is_some_and(ended))
}

fn belongs(pod: &Pod, uid: &str) -> bool {
    pod.metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid)
}

fn has_ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// How the attempt of a Job ended; `None` while it works.
fn ended(job: &Job, pods: &[&Pod]) -> Option<Ended> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is = |name: &str| conditions.iter().find(|condition| condition.type_ == name && condition.status == "True");
    let (failed, complete) = (is("Failed"), is("Complete"));
    let end = failed.or(complete)?;
    let message = end.message.clone().unwrap_or_default();
    let terminated = pods.iter().find_map(|pod| terminated(pod));
    let code = terminated.map(|state| state.exit_code);
    let said = terminated.and_then(|state| serde_json::from_str::<Report>(state.message.as_deref()?.trim()).ok());
    Some(Ended {
        // Of pods that are gone nobody can tell.
        never_ran: !pods.is_empty() && !pods.iter().any(|pod| has_run(pod)),
        exit_code: code.or_else(|| exit_code_in(&message)).or(complete.filter(|_| failed.is_none()).map(|_| 0)),
        disrupted: message.contains("DisruptionTarget") || pods.iter().any(|pod| is_disrupted(pod)),
        report: said.map(|report| Box::new(report.into())),
        message,
    })
}

fn terminated(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.iter().find_map(|status| status.state.as_ref()?.terminated.as_ref())
}

fn is_disrupted(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|condition| condition.type_ == "DisruptionTarget" && condition.status == "True")
}

/// The exit code that the condition of a Job keeps when its pod is gone.
fn exit_code_in(message: &str) -> Option<i32> {
    let after = message.split_once("exit code ")?.1;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// The name of the pod that works, or worked last.
#[must_use]
pub fn pod_name(job_uid: &str, pods: &[Pod]) -> Option<String> {
    let own = pods.iter().filter(|pod| belongs(pod, job_uid));
    own.max_by_key(|pod| pod.metadata.creation_timestamp.clone()).and_then(|pod| pod.metadata.name.clone())
}

/// Whether a pod of a Job has started and not ended.
#[must_use]
pub fn is_running(job_uid: &str, pods: &[Pod]) -> bool {
    let runs = |pod: &&Pod| {
        let status = pod.status.as_ref();
        let started = status.is_some_and(|status| {
            status
                .container_statuses
                .iter()
                .flatten()
                .any(|container| container.state.as_ref().is_some_and(|state| state.running.is_some()))
        });
        started && !has_ended(pod)
    };
    pods.iter().filter(|pod| belongs(pod, job_uid)).any(|pod| runs(&pod))
}

/// What keeps a pod from running: a stable word, and the same in words.
#[must_use]
pub fn problem(job_uid: &str, pods: &[Pod]) -> Option<(String, String)> {
    pods.iter().filter(|pod| belongs(pod, job_uid) && !has_ended(pod)).find_map(pod_problem)
}

fn pod_problem(pod: &Pod) -> Option<(String, String)> {
    let status = pod.status.as_ref()?;
    let words = |reason: &str, message: Option<&String>| {
        (reason.to_owned(), format!("the pod of the run cannot start: {}", message.map_or(reason, String::as_str)))
    };
    if status.reason.as_deref() == Some("NodeLost") {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let text =
            format!("the node of pod {name} does not answer; delete the pod by force if the node is gone for good");
        return Some(("NodeLost".to_owned(), text));
    }
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let unscheduled = conditions.iter().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unscheduled {
        return Some(words("Unschedulable", condition.message.as_ref()));
    }
    status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().filter(|reason| STUCK.contains(reason))?;
        Some(words(reason, waiting.message.as_ref()))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn case(conditions: Value, pod: Value) -> JobView {
        let made: Job = serde_json::from_value(json!({
            "metadata": {"name": "j", "uid": "u"}, "status": {"conditions": conditions},
        }))
        .unwrap();
        let pod: Pod = serde_json::from_value(pod).unwrap();
        job(&made, &[pod])
    }

    fn pod(phase: &str, status: Value) -> Value {
        let mut status = status;
        status["phase"] = phase.into();
        let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u"}]);
        json!({"metadata": {"name": "p", "ownerReferences": owner}, "status": status})
    }

    #[test]
    fn the_pod_says_how_it_ended() {
        let report = json!({
            "run": "r", "kind": "backup", "outcome": "Completed", "point": "a-1", "startedAt": "x", "finishedAt": "y",
            "topics": 1, "partitions": 1, "records": 7, "bytes": 9, "storedBytes": 3, "segments": 1,
        });
        let state = json!({"containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 0, "message": report.to_string()}}}]});
        let view = case(json!([{"type": "Complete", "status": "True"}]), pod("Succeeded", state));
        let ended = view.ended.unwrap();
        assert_eq!((ended.exit_code, ended.disrupted, view.live_pods), (Some(0), false, 0));
        assert_eq!(ended.report.unwrap().records, 7);
    }

    #[test]
    fn the_condition_keeps_the_exit_code_when_the_pod_is_gone() {
        let message = "Container runner for pod a/b failed with exit code 3 matching FailJob rule at index 1";
        let condition = json!([{"type": "Failed", "status": "True", "reason": "PodFailurePolicy", "message": message}]);
        let made: Job =
            serde_json::from_value(json!({"metadata": {"uid": "u"}, "status": {"conditions": condition}})).unwrap();
        let ended = job(&made, &[]).ended.unwrap();
        assert_eq!((ended.exit_code, ended.disrupted), (Some(3), false));
    }

    #[test]
    fn disruptions_are_told_apart() {
        let message = "Pod a/b has condition DisruptionTarget matching FailJob rule at index 0";
        let view = case(json!([{"type": "Failed", "status": "True", "message": message}]), pod("Failed", json!({})));
        assert!(view.ended.unwrap().disrupted);
    }

    #[test]
    fn what_works_has_not_ended() {
        let view = case(json!([{"type": "FailureTarget", "status": "True"}]), pod("Running", json!({})));
        assert_eq!((view.ended, view.live_pods), (None, 1));
    }

    #[test]
    fn what_never_ran_is_told_from_what_ran() {
        let container = |state: Value| json!({"containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state}]});
        let failed = json!([{"type": "Failed", "status": "True", "message": "was deleted"}]);
        for (phase, state, start) in [
            ("Pending", json!({}), Start::Awaited),
            ("Pending", container(json!({"waiting": {"reason": "ContainerCreating"}})), Start::Awaited),
            ("Pending", container(json!({"waiting": {"reason": "ErrImagePull"}})), Start::Stuck),
            ("Running", container(json!({"running": {}})), Start::Ran),
            ("Failed", container(json!({"terminated": {"exitCode": 3}})), Start::Ran),
            ("Failed", container(json!({"terminated": {"exitCode": 128, "reason": "StartError"}})), Start::Awaited),
        ] {
            let view = case(failed.clone(), pod(phase, state.clone()));
            assert_eq!(view.start, start, "{state}");
            assert_eq!(view.ended.unwrap().never_ran, start != Start::Ran, "{state}");
        }
        let made: Job =
            serde_json::from_value(json!({"metadata": {"uid": "u"}, "status": {"conditions": failed}})).unwrap();
        let gone = job(&made, &[]);
        assert!(
            !gone.ended.unwrap().never_ran && gone.start == Start::Awaited,
            "nobody can tell of a pod that is gone"
        );
    }

    #[test]
    fn pods_that_cannot_start_say_why() {
        let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]});
        let waiting = json!({"containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]});
        for (status, word, text) in
            [(unscheduled, "Unschedulable", "0/1 nodes"), (waiting, "ImagePullBackOff", "no such image")]
        {
            let pod: Pod = serde_json::from_value(pod("Pending", status)).unwrap();
            let (reason, message) = problem("u", &[pod]).unwrap();
            assert!(reason == word && message.contains(text), "{reason} {message}");
        }
    }
}
