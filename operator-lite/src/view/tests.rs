//! Jobs and pods, as the API server tells of them.

use serde_json::{Value, json};

use api::lower::job::{CONTAINER, Owner};
use api::oso::RunClaim;

use super::*;
use crate::decide::{Mode, Step, Subject, Wish, decide, run_of};

fn case(conditions: Value, pod: Value) -> JobView {
    let made: Job = serde_json::from_value(json!({
        "metadata": {"name": "j", "uid": "u"}, "status": {"conditions": conditions},
    }))
    .unwrap();
    let pod: Pod = serde_json::from_value(pod).unwrap();
    job(&made, &[pod], Timestamp::UNIX_EPOCH)
}

fn pod(phase: &str, status: Value) -> Value {
    let mut status = status;
    status["phase"] = phase.into();
    let owner = json!([{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u", "controller": true}]);
    json!({"metadata": {"name": "p", "ownerReferences": owner}, "status": status})
}

/// Whoever may create pods may write a reference to a Job; only the Job's controller is believed to have made one.
#[test]
fn a_pod_that_only_names_the_job_is_none_of_its_pods() {
    let ended =
        pod("Succeeded", json!({"containerStatuses": [{"name": "runner", "state": {"terminated": {"exitCode": 0}}}]}));
    assert_eq!(case(json!([{"type": "Complete", "status": "True"}]), ended.clone()).ended.unwrap().exit_code, Some(0));
    let mut forged = ended;
    forged["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    let view = case(json!([]), forged);
    assert_eq!((view.live_pods, view.ended), (0, None));
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
    let ended = job(&made, &[], Timestamp::UNIX_EPOCH).ended.unwrap();
    assert_eq!((ended.exit_code, ended.disrupted), (Some(3), false));
}

#[test]
fn disruptions_are_told_apart() {
    let message = "Pod a/b has condition DisruptionTarget matching FailJob rule at index 0";
    let view = case(json!([{"type": "Failed", "status": "True", "message": message}]), pod("Failed", json!({})));
    assert!(view.ended.unwrap().disrupted);
}

/// Who suspends a Job ends its pod, which exits with 75: the Job goes on when it is resumed. So does one whose pod somebody
/// deleted.
#[test]
fn a_runner_that_was_told_to_stop_ends_no_job() {
    let state = json!({"containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 75}}}]});
    let view = case(json!([]), pod("Failed", state.clone()));
    assert_eq!((view.ended, view.live_pods, view.start), (None, 0, Start::Ran));
    // A Job of an older release has ended.
    let view = case(json!([{"type": "Failed", "status": "True", "message": "m"}]), pod("Failed", state));
    assert_eq!(view.ended.unwrap().exit_code, Some(75));
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
    let gone = job(&made, &[], Timestamp::UNIX_EPOCH);
    assert!(!gone.ended.unwrap().never_ran && gone.start == Start::Awaited, "nobody can tell of a pod that is gone");
}

#[test]
fn pods_that_cannot_start_say_why() {
    let unscheduled = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]});
    let waiting = json!({"containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]});
    let never = json!({"containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ErrImageNeverPull", "message": "not on the node"}}}]});
    let gated = json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "a gate"}]});
    // A native sidecar: it must be there before the runner, and ends again and again.
    let crashes = json!({"initContainerStatuses": [{"name": "proxy", "image": "i", "imageID": "", "ready": false, "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}}}]});
    for (status, word, text) in [
        (unscheduled, "Unschedulable", "0/1 nodes"),
        (gated, "SchedulingGated", "a gate"),
        (waiting, "ImagePullBackOff", "no such image"),
        (never, "ErrImageNeverPull", "not on the node"),
        (crashes, "CrashLoopBackOff", "container proxy: back-off 40s"),
    ] {
        let pod: Pod = serde_json::from_value(pod("Pending", status)).unwrap();
        let (reason, message) = problem("u", &[pod], Timestamp::UNIX_EPOCH).unwrap();
        assert!(reason == word && message.contains(text), "{reason} {message}");
    }
}

#[test]
fn only_the_runner_counts() {
    let container = |name: &str, state: Value| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let both = |side: Value, own: Value| json!({"containerStatuses": [container("istio-proxy", side), container(CONTAINER, own)]});
    let (running, done) = (json!({"running": {}}), json!({"terminated": {"exitCode": 0, "message": "{}"}}));
    let failed = json!({"terminated": {"exitCode": 3}});
    let complete = json!([{"type": "Complete", "status": "True"}]);
    // A sidecar that ended well beside a runner that did not.
    let view = case(complete, pod("Failed", both(done.clone(), failed.clone())));
    assert_eq!(view.ended.unwrap().exit_code, Some(3));
    // A runner that ended while its sidecar goes on.
    let view = case(json!([]), pod("Running", both(running.clone(), failed)));
    assert_eq!((view.ended.unwrap().exit_code, view.live_pods, view.start), (Some(3), 0, Start::Ran));
    // A sidecar that runs beside a runner that does not yet.
    let waiting = json!({"waiting": {"reason": "ErrImagePull"}});
    let view = case(json!([]), pod("Pending", both(running, waiting)));
    assert_eq!((view.ended, view.start), (None, Start::Stuck));
    // Nor does the condition of a Job that ended for a sidecar's sake.
    for (name, code) in [("istio-proxy", None), (CONTAINER, Some(137))] {
        let text = format!("Container {name} for pod a/b failed with exit code 137 matching FailJob rule at index 1");
        assert_eq!(exit_code_in(&text), code);
    }
}

#[test]
fn a_container_that_must_come_first_is_named() {
    let status = json!({"initContainerStatuses": [{"name": "vault-agent", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]});
    let pod: Pod = serde_json::from_value(pod("Pending", status)).unwrap();
    let (reason, message) = problem("u", &[pod], Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("ImagePullBackOff", "the pod of the run cannot start: container vault-agent: no such image")
    );
}

#[test]
fn a_node_that_does_not_answer_is_named() {
    let now: Timestamp = "2026-11-21T10:10:00Z".parse().unwrap();
    let made = |ready: &str, containers: &str, ends: Option<&str>| {
        let status = json!({
            "conditions": [
                {"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-21T10:08:00Z"},
                {"type": "ContainersReady", "status": containers},
            ],
            "containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}],
        });
        let mut pod = pod("Running", status);
        pod["metadata"]["deletionTimestamp"] = ends.into();
        pod["spec"] = json!({"containers": [], "nodeName": "n-1"});
        serde_json::from_value::<Pod>(pod).unwrap()
    };
    let found = |pod: Pod| problem("u", &[pod], now).map(|(reason, text)| (reason, text.contains("node \"n-1\"")));
    let lost = Some(("NodeLost".to_owned(), true));
    assert_eq!(found(made("True", "True", None)), None);
    assert_eq!(found(made("False", "False", None)), None, "a container is not ready");
    assert_eq!(found(made("False", "True", None)), lost, "the node controller says so");
    let mut gated = made("False", "True", None);
    let conditions = gated.status.as_mut().unwrap().conditions.as_mut().unwrap();
    conditions[0].reason = Some("ReadinessGatesNotReady".to_owned());
    assert_eq!(found(gated), None, "the kubelet says so, for a gate that somebody put into the pod");
    assert_eq!(found(made("True", "True", Some("2026-11-21T10:09:50Z"))), None, "it ends");
    assert_eq!(found(made("True", "True", Some("2026-11-21T10:09:00Z"))), lost, "it should have ended a minute ago");
    let since = |pod: Pod| {
        let made: Job = serde_json::from_value(json!({"metadata": {"uid": "u"}})).unwrap();
        job(&made, &[pod], now).lost_since.map(|since| since.to_string())
    };
    assert_eq!(since(made("True", "True", None)), None);
    // The cluster deletes the pod later: that is not when its node fell silent.
    for ends in [None, Some("2026-11-21T10:09:00Z")] {
        assert_eq!(since(made("False", "True", ends)).as_deref(), Some("2026-11-21T10:08:00Z"));
    }
}

#[test]
fn a_runner_that_needs_more_memory_tells_its_limit() {
    let state = json!({"containerStatuses": [{"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
        "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]});
    let mut killed = pod("Failed", state);
    assert_eq!(case(json!([]), killed.clone()).ended.unwrap().memory_limit.as_deref(), Some("its node"));
    killed["spec"] = json!({"containers": [{"name": "runner", "resources": {"limits": {"memory": "512Mi"}}}]});
    assert_eq!(case(json!([]), killed).ended.unwrap().memory_limit.as_deref(), Some("512Mi"));
}

/// Every state of a Job, its pod and two containers: no report of the runner, no success; and what is suspended by somebody
/// else has not ended.
#[test]
fn no_report_no_success() {
    let report = |run: &str, outcome: &str| {
        json!({
            "run": run, "kind": "restore", "outcome": outcome, "startedAt": "x", "finishedAt": "y", "topics": 1, "partitions": 1,
            "records": 7, "bytes": 9, "storedBytes": 3, "segments": 1,
        })
        .to_string()
    };
    let ended = |code: i32, message: &str| json!({"terminated": {"exitCode": code, "message": message}});
    let (good, other) = (report("r", "Completed"), report("another", "Completed"));
    let states = [
        json!(null),
        json!({"waiting": {"reason": "ContainerCreating"}}),
        json!({"running": {}}),
        ended(0, &good),
        ended(0, &other),
        ended(0, ""),
        ended(0, &report("r", "Failed")),
        ended(3, &good),
        ended(137, ""),
    ];
    let conditions = [
        json!([]),
        json!([{"type": "Complete", "status": "True"}]),
        json!([{"type": "Failed", "status": "True", "message": "Container runner for pod a/b failed with exit code 0 matching"}]),
        json!([{"type": "Suspended", "status": "True"}]),
        json!([{"type": "FailureTarget", "status": "True"}, {"type": "Failed", "status": "True", "message": "DisruptionTarget"}]),
    ];
    let now: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
    let owner = Owner {
        api_version: "kafka.oso.sh/v1alpha1".into(),
        kind: "KafkaRestore".into(),
        namespace: "team".into(),
        name: "r".into(),
        uid: "o".into(),
        part: None,
    };
    let claim = RunClaim {
        id: "r".into(),
        at: now.to_string(),
        attempt: 1,
        digest: "d".into(),
        generation: 1,
        job_uid: Some("u".into()),
        ran: Some(true),
        ..RunClaim::default()
    };
    let name = api::lower::job::job_name(&owner, &run_of(&claim).unwrap(), 1);
    let (mut seen, mut successes) = (0, 0);
    let told = [None, Some(true)];
    let phases = [None, Some("Pending"), Some("Running"), Some("Succeeded"), Some("Failed"), Some("Unknown")];
    for (condition, suspend) in conditions.iter().flat_map(|one| [(one, false), (one, true)]) {
        for (phase, own) in phases.iter().flat_map(|phase| states.iter().map(move |own| (phase, own))) {
            for (side, stopping) in states.iter().flat_map(|side| told.map(|told| (side, told))) {
                let made: Job = serde_json::from_value(json!({
                    "metadata": {"name": name, "uid": "u"}, "spec": {"suspend": suspend, "template": {}}, "status": {"conditions": condition},
                }))
                .unwrap();
                let container = |name: &str, state: &Value| json!({"name": name, "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
                let all = json!({"containerStatuses": [container("proxy", side), container(CONTAINER, own)]});
                let pods: Vec<Pod> =
                    phase.map(|phase| serde_json::from_value(pod(phase, all)).unwrap()).into_iter().collect();
                let mut view = job(&made, &pods, now);
                view.name.clone_from(&name);
                let claim = RunClaim { stopping, ..claim.clone() };
                let subject = Subject {
                    owner: owner.clone(),
                    generation: 1,
                    created: now,
                    claim: Some(claim),
                    last_schedule: None,
                    since: None,
                    trigger: None,
                    last_trigger: None,
                };
                let wish = Wish {
                    mode: Mode::Once,
                    suspended: false,
                    digest: "d".into(),
                    shape: "s".into(),
                    lost_after: None,
                    most_failures: None,
                    image: "runner:1".into(),
                };
                let step = decide(&subject, &wish, &[view], now);
                let reported = phase.is_some() && *own == ended(0, &good);
                seen += 1;
                if let Step::Conclude(verdict) = &step {
                    successes += usize::from(verdict.is_completed());
                    assert!(
                        !verdict.is_completed() || reported,
                        "{condition} {suspend} {phase:?} {own} {side} {stopping:?}"
                    );
                    let open = condition.as_array().unwrap().iter().all(|one| one["type"] == "Suspended");
                    assert!(
                        !(suspend && open && stopping.is_none()),
                        "suspended by a queue: {phase:?} {own} {side} {step:?}"
                    );
                }
            }
        }
    }
    assert!(seen > 5_000 && successes > 100, "{seen} {successes}");
}
