//! Committed offsets of consumer groups: a restore that gives up puts them back, what was saved expires, and a claim for saved
//! offsets is made.

use std::sync::Arc;
use std::time::Duration;

use api::oso::{KafkaOffsetReset, KafkaRestore};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::work::Work;
use super::super::{AT_LEAST, Action, Context, Kind};
use super::{JOBS, RESTORES, RUN_ANNOTATION, Server, pod, restore, runtime};
use crate::capacity::Capacity;
use crate::status::Moment;

const RESETS: &str = "/apis/kafka.oso.sh/v1alpha1/namespaces/team/kafkaoffsetresets";
const CLAIMS: &str = "/api/v1/namespaces/team/persistentvolumeclaims";

/// A restore that takes groups along and shall put them back when it fails.
fn with_groups() -> Value {
    let mut object = restore("back");
    object["spec"]["autoConsumerGroups"] = true.into();
    object["spec"]["rollback"] = json!({"autoRollbackOnFailure": true, "snapshotRetentionHours": 24});
    object
}

/// Ends the container of a Job with this report.
fn end(server: &Server, job: &Value, code: i32, more: &Value) {
    let mut report = json!({
        "run": job["metadata"]["annotations"][RUN_ANNOTATION], "kind": "restore", "outcome": "Failed", "startedAt": "x",
        "finishedAt": "y", "topics": 1, "partitions": 1, "records": 0, "bytes": 0, "storedBytes": 0, "segments": 0,
        "changed": true,
    });
    report.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let state = json!({"terminated": {"exitCode": code, "message": report.to_string()}});
    let status =
        json!({"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    pod(server, job, json!({"phase": "Failed", "containerStatuses": [status]}));
    let mut job = job.clone();
    job["status"] = json!({"conditions": [{"type": "Failed", "status": "True", "message": "in words"}]});
    let at = format!("{JOBS}/{}", job["metadata"]["name"].as_str().unwrap());
    server.put(&at, job);
}

/// Looks until a Job is there whose container has not ended.
async fn next_job(server: &Server, at: &str, context: &Arc<Context>) -> Value {
    for _ in 0..12 {
        server.look::<KafkaRestore>(at, context).await;
        let uid = server.get(at)["status"]["run"]["jobUid"].clone();
        let found = server.jobs().into_iter().find(|job| job["metadata"]["uid"] == uid && job["status"].is_null());
        if let Some(job) = found {
            return job;
        }
    }
    panic!("no Job: {}", server.get(at)["status"]);
}

#[test]
fn a_restore_whose_attempts_are_used_up_puts_offsets_back() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let context = server.context(Capacity::new(10, 0));
        server.put(&at, with_groups());
        let first = next_job(&server, &at, &context).await;
        assert!(!first.to_string().contains("undoOffsets"), "it restores");
        // Five attempts failed before this one.
        let mut object = server.get(&at);
        object["status"]["run"]["failures"] = 5.into();
        server.put(&at, object);
        let failure = json!({"code": "KB2008", "message": "the coordinator is away"});
        end(&server, &first, 3, &json!({"failure": failure}));
        let second = next_job(&server, &at, &context).await;
        let status = server.get(&at)["status"].clone();
        assert_eq!((&status["phase"], &status["run"]["attempt"]), (&json!("Running"), &json!(2)), "{status}");
        let why = status["run"]["undoing"].as_str().unwrap();
        assert!(why.contains("RetriesExhausted") && why.contains("the coordinator is away"), "{status}");
        assert!(second.to_string().contains("undoOffsets"), "it only puts offsets back: {second}");
        let failure = json!({"code": "KB2017", "message": format!("{why}. The committed offsets of 1 consumer group are what they were before the restore")});
        end(&server, &second, 4, &json!({"outcome": "RolledBack", "failure": failure}));
        for _ in 0..4 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        assert_eq!((&status["phase"], &status["run"]["outcome"]), (&json!("RolledBack"), &json!("Failed")), "{status}");
        assert!(status["message"].as_str().unwrap().contains("are what they were"), "{status}");
    });
}

/// Where that fails as often, too, the status says which resource does it.
#[test]
fn an_undo_that_cannot_be_done_says_what_does_it() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let context = server.context(Capacity::new(10, 0));
        server.put(&at, with_groups());
        let first = next_job(&server, &at, &context).await;
        let mut object = server.get(&at);
        object["status"]["run"]["failures"] = 5.into();
        object["status"]["run"]["undoing"] = "RetriesExhausted: away".into();
        object["status"]["rollback"] = json!({"snapshotId": "before-1", "rollbackAvailable": true});
        server.put(&at, object);
        let failure = json!({"code": "KB2008", "message": "the coordinator is away"});
        end(&server, &first, 3, &json!({"failure": failure, "changed": false}));
        for _ in 0..4 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        assert_eq!(status["phase"], "Failed", "{status}");
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("KafkaOffsetRollback with snapshotRef.restoreRef"), "{message}");
        assert_eq!(server.jobs().len(), 1, "it is not tried for ever");
    });
}

/// Looks at a restore at rest when the clock says so.
async fn at_time(server: &Server, at: &str, context: &Arc<Context>, now: &str) -> Action {
    let object: KafkaRestore = serde_json::from_value(server.get(at)).unwrap();
    let now: Timestamp = now.parse().unwrap();
    let subject = object.subject(now);
    let work = Work { context, object: &object, moment: Moment::new(subject.generation, now), now, missing: None };
    Box::pin(work.step(&subject, None)).await.unwrap()
}

#[test]
fn saved_offsets_are_available_until_they_are_over() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let context = server.context(Capacity::new(10, 0));
        let mut object = with_groups();
        object["status"] = json!({
            "phase": "Completed", "observedGeneration": 1, "conditions": [],
            "run": {"id": "back-1", "at": "2026-11-21T10:00:00Z", "trigger": "once", "generation": 1, "digest": "d", "attempt": 1,
                "failures": 0, "finishedAt": "2026-11-21T12:00:00Z", "outcome": "Completed", "wrote": true},
            "rollback": {"snapshotId": "before-1", "rollbackAvailable": true, "expiresAt": "2026-11-22T12:00:00Z"},
        });
        server.put(&at, object);
        let available = || server.get(&at)["status"]["rollback"]["rollbackAvailable"].clone();
        // Not longer than the longest wait: clocks jump.
        assert_eq!(at_time(&server, &at, &context, "2026-11-21T13:00:00Z").await, Action::requeue(AT_LEAST));
        let soon = at_time(&server, &at, &context, "2026-11-22T11:59:30Z").await;
        assert_eq!((soon, available()), (Action::requeue(Duration::from_secs(30)), json!(true)));
        at_time(&server, &at, &context, "2026-11-22T12:00:00Z").await;
        assert_eq!(available(), json!(false));
        let over = at_time(&server, &at, &context, "2026-11-22T12:00:01Z").await;
        assert_eq!((over, available()), (Action::await_change(), json!(false)), "nothing is waited for any more");
    });
}

/// `positions.storage` of the chart may ask for its claim, as a storage block of a resource may.
#[test]
fn the_claim_of_the_installations_place_is_made() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESETS}/replay"));
        let storage = json!({"storageType": "pvc", "pvc": {"claimName": "positions", "create": {"enabled": true, "size": "1Gi"}}});
        let base = server.context(Capacity::new(10, 0));
        let offsets_storage = Some(Arc::new(serde_json::from_value(storage).unwrap()));
        let context = Arc::new(Context { offsets_storage, ..(*base).clone() });
        server.put(&at, json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaOffsetReset",
            "metadata": {"name": "replay", "namespace": "team", "uid": "replay", "generation": 1, "creationTimestamp": "2026-11-21T10:00:00Z"},
            "spec": {"kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "consumerGroups": ["shop"], "resetStrategy": "to-latest"},
        }));
        for _ in 0..6 {
            server.look::<KafkaOffsetReset>(&at, &context).await;
        }
        assert_eq!(server.jobs_of("replay").len(), 1, "{}", server.get(&at)["status"]);
        let claim = server.get(&format!("{CLAIMS}/positions"));
        assert_eq!(claim["spec"]["resources"]["requests"]["storage"], "1Gi", "the volume of the Job exists: {claim}");
    });
}

/// A restore that wrote an offset mapping, and ended at this time.
fn with_mapping(name: &str, ended: &str) -> Value {
    let mut object = restore(name);
    object["status"] = json!({
        "phase": "Completed", "observedGeneration": 1, "conditions": [], "completionTime": ended,
        "offsetMappingPath": format!("_restore/{name}/offset-mapping.json"),
    });
    object
}

/// Whatever is restored between two attempts, a run goes by the mapping that was the newest when it was claimed.
#[test]
fn all_attempts_of_a_reset_go_by_one_mapping() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESETS}/follow"));
        let context = server.context(Capacity::new(10, 0));
        server.put(&format!("{RESTORES}/old"), with_mapping("old", "2026-11-21T09:00:00Z"));
        server.put(&format!("{RESTORES}/new"), with_mapping("new", "2026-11-21T10:00:00Z"));
        server.put(&at, json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaOffsetReset",
            "metadata": {"name": "follow", "namespace": "team", "uid": "follow", "generation": 1, "creationTimestamp": "2026-11-21T10:00:00Z"},
            "spec": {
                "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "consumerGroups": ["shop"], "resetStrategy": "from-mapping",
                "stateStorage": {"storageType": "pvc", "pvc": {"claimName": "positions"}},
            },
        }));
        let next = async |known: usize| {
            for _ in 0..12 {
                server.look::<KafkaOffsetReset>(&at, &context).await;
                let uid = server.get(&at)["status"]["run"]["jobUid"].clone();
                let jobs = server.jobs_of("follow");
                if jobs.len() > known && let Some(job) = jobs.into_iter().find(|job| job["metadata"]["uid"] == uid) {
                    return job;
                }
            }
            panic!("no Job: {}", server.get(&at)["status"]);
        };
        let first = next(0).await;
        assert_eq!(server.get(&at)["status"]["run"]["mappingRestore"], "new");
        assert!(first.to_string().contains("_restore/new/offset-mapping.json"), "{first}");
        server.put(&format!("{RESTORES}/newest"), with_mapping("newest", "2026-11-21T11:00:00Z"));
        end(&server, &first, 75, &json!({"changed": false}));
        let second = next(1).await;
        assert_eq!(server.get(&at)["status"]["run"]["attempt"], 2, "{}", server.get(&at)["status"]);
        assert!(second.to_string().contains("_restore/new/offset-mapping.json"), "{second}");
        assert!(!second.to_string().contains("_restore/newest/"), "{second}");
    });
}

/// A restore that somebody names is waited for, and not for ever: also when it is finished later, the reset does not begin.
#[test]
fn a_restore_that_is_not_finished_in_time_is_waited_for_no_longer() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESETS}/late"));
        let context = server.context(Capacity::new(10, 0));
        let mut slow = restore("slow");
        slow["status"] = json!({"phase": "Running", "observedGeneration": 1, "conditions": []});
        server.put(&format!("{RESTORES}/slow"), slow);
        let hours_ago = |hours| (Timestamp::now() - jiff::SignedDuration::from_hours(hours)).to_string();
        let put = |hours| {
            server.put(&at, json!({
                "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaOffsetReset",
                "metadata": {"name": "late", "namespace": "team", "uid": "late", "generation": 1, "creationTimestamp": hours_ago(hours)},
                "spec": {
                    "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "consumerGroups": ["shop"], "resetStrategy": "from-mapping",
                    "offsetMappingRef": {"restoreName": "slow"},
                    "stateStorage": {"storageType": "pvc", "pvc": {"claimName": "positions"}},
                },
            }));
        };
        let look = async || {
            for _ in 0..4 {
                server.look::<KafkaOffsetReset>(&at, &context).await;
            }
            server.get(&at)["status"].clone()
        };
        put(23);
        let waits = look().await;
        assert!(waits.to_string().contains("RestoreNotFinished") && waits["phase"] == "Pending", "{waits}");
        put(25);
        let over = look().await;
        assert!(over["phase"] == "Failed" && over["message"].as_str().unwrap().contains("within 24 hours"), "{over}");
        server.put(&format!("{RESTORES}/slow"), with_mapping("slow", &hours_ago(0)));
        assert_eq!(look().await["phase"], "Failed");
        assert!(server.jobs_of("late").is_empty());
        // One that was finished before is followed, however old the reset is.
        server.put(&format!("{RESTORES}/slow"), with_mapping("slow", &hours_ago(30)));
        look().await;
        assert_eq!(server.jobs_of("late").len(), 1, "{}", server.get(&at)["status"]);
    });
}
