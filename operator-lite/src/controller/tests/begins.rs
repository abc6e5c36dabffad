//! What is there before a run begins: a trigger, runs of before, a Job of its name.

use std::sync::Arc;
use std::time::Duration;

use api::lower::job::SPEC_ANNOTATION;
use api::oso::{KafkaBackup, KafkaRestore};
use serde_json::{Value, json};

use super::super::{AGAIN, Action, Context, reconcile, start};
use super::{BACKUPS, JOBS, RESTORES, Server, backup, pod, restore, runtime};
use crate::capacity::Capacity;

/// A trigger that a copy came with is noted; a new value asks for a run.
#[test]
fn a_trigger_that_was_there_from_the_beginning_asks_for_nothing() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
        let context = server.context(Capacity::new(0, 0));
        let mut object = backup("nightly");
        object["spec"]["suspend"] = true.into();
        object["metadata"]["annotations"] = json!({"kafka.oso.sh/trigger-backup": "monday"});
        server.put(&at, object);
        for _ in 0..3 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let mut object = server.get(&at);
        assert_eq!((&object["status"]["lastTrigger"], &object["status"]["run"]), (&json!("monday"), &Value::Null));
        object["metadata"]["annotations"]["kafka.oso.sh/trigger-backup"] = "tuesday".into();
        server.put(&at, object);
        server.look::<KafkaBackup>(&at, &context).await;
        assert_eq!(server.get(&at)["status"]["run"]["trigger"], "manual");
    });
}

/// An operator that is slow sees a new resource only after a run of it was asked for: that run begins.
#[test]
fn a_trigger_that_came_before_the_first_look_asks_for_a_run() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
        let context = server.context(Capacity::new(0, 0));
        let mut object = backup("nightly");
        object["spec"]["schedule"] = "0 0 1 1 1 *".into();
        let created = object["metadata"]["creationTimestamp"].clone();
        object["metadata"]["annotations"] = json!({"kafka.oso.sh/trigger-backup": "monday"});
        let wrote = |manager: &str, fields: Value| json!({"manager": manager, "operation": "Update", "time": created, "fieldsV1": fields});
        object["metadata"]["managedFields"] = json!([
            wrote("create", json!({"f:spec": {"f:topics": {}}})),
            wrote("annotate", json!({"f:metadata": {"f:annotations": {"f:kafka.oso.sh/trigger-backup": {}}}})),
        ]);
        server.put(&at, object);
        server.look::<KafkaBackup>(&at, &context).await;
        let status = server.get(&at)["status"].clone();
        assert_eq!((&status["run"]["trigger"], &status["lastTrigger"]), (&json!("manual"), &json!("monday")), "{status}");
    });
}

/// `kubectl delete --cascade=orphan` leaves the Job of a run without an owner. Of the resource that is made again, only its own
/// name, kind and labels tell.
#[test]
fn a_run_that_was_orphaned_ends_before_the_first_run_of_the_resource_made_again() {
    runtime().block_on(async {
        for scheduled in [false, true] {
            let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
            let context = server.context(Capacity::new(0, 0));
            server.put(&at, backup("nightly"));
            for _ in 0..4 {
                server.look::<KafkaBackup>(&at, &context).await;
            }
            let mut orphan = server.jobs().pop().expect("the run has a Job");
            orphan["metadata"]["ownerReferences"].take();
            let name = orphan["metadata"]["name"].as_str().unwrap().to_owned();
            server.put(&format!("{JOBS}/{name}"), orphan.clone());
            // One that somebody else owns by now, and one of another resource.
            let mut taken = orphan.clone();
            taken["metadata"]["name"] = name.replace("-1", "-2").into();
            taken["metadata"]["ownerReferences"] =
                json!([{"apiVersion": "a/v1", "kind": "A", "name": "a", "uid": "u", "controller": true}]);
            let mut other = orphan.clone();
            other["metadata"]["name"] = format!("other-{name}").into();
            for job in [&taken, &other] {
                server.put(&format!("{JOBS}/{}", job["metadata"]["name"].as_str().unwrap()), (*job).clone());
            }
            let mut again = backup("nightly");
            again["metadata"]["uid"] = "nightly-again".into();
            if scheduled {
                again["spec"]["schedule"] = "0 0 1 1 1 *".into();
            }
            server.put(&at, again);
            server.look::<KafkaBackup>(&at, &context).await;
            assert!(server.get(&format!("{JOBS}/{name}")).is_null(), "the orphan is ended");
            let left: Vec<Value> = server.jobs();
            assert_eq!(left.len(), 2, "others stay: {left:#?}");
            for _ in 0..4 {
                server.look::<KafkaBackup>(&at, &context).await;
            }
            assert_eq!(server.jobs_of("nightly-again").len(), usize::from(!scheduled), "{}", server.get(&at)["status"]);
        }
    });
}

/// A nightly schedule that is edited does not make up for the night; one that nobody touched does, and says so.
#[test]
fn an_edited_schedule_makes_up_for_nothing() {
    runtime().block_on(async {
        let server = Server::default();
        let context = server.context(Capacity::new(0, 0));
        for (name, seen) in [("edited", "0 0 1 1 * *"), ("same", "0 0 1 * * *")] {
            let mut object = backup(name);
            object["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
            object["spec"]["schedule"] = "0 0 1 * * *".into();
            object["status"] = json!({"observedSchedule": seen, "lastScheduleTime": "2026-01-02T01:00:00Z"});
            server.put(&format!("{BACKUPS}/{name}"), object);
            server.look::<KafkaBackup>(&format!("{BACKUPS}/{name}"), &context).await;
        }
        let edited = server.get(&format!("{BACKUPS}/edited"))["status"].clone();
        assert!(edited["run"].is_null() && edited["scheduleSince"].is_string(), "{edited}");
        assert_eq!(edited["observedSchedule"], "0 0 1 * * *");
        let same = server.get(&format!("{BACKUPS}/same"))["status"].clone();
        assert_eq!(same["run"]["tick"], same["lastScheduleTime"]);
        let text = same["message"].as_str().unwrap();
        assert!(text.contains("which was missed") && text.contains("99 or more ticks before it did not run"), "{text}");
    });
}

/// An operator that starts knows which runs work before it begins another one.
#[test]
fn runs_of_before_are_counted_first() {
    runtime().block_on(async {
        let server = Server::default();
        let before = server.context(Capacity::new(2, 0));
        for name in ["one", "two"] {
            server.put(&format!("{BACKUPS}/{name}"), backup(name));
            for _ in 0..4 {
                server.look::<KafkaBackup>(&format!("{BACKUPS}/{name}"), &before).await;
            }
        }
        assert_eq!(server.jobs().len(), 2);
        let (after, at) = (server.context(Capacity::new(2, 0)), format!("{BACKUPS}/new"));
        server.put(&at, backup("new"));
        start::count::<KafkaBackup>(&after, Some(&"team".to_owned())).await;
        server.look::<KafkaBackup>(&at, &after).await;
        let told = server.get(&at)["status"]["message"].as_str().unwrap().to_owned();
        assert!(told.contains("waits for one of 2 places for backups") && server.jobs().len() == 2, "{told}");
    });
}

/// A Job of that name is there, and is not ours: it is named, and it is not looked at again and again.
#[test]
fn a_name_that_is_taken_is_told() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let context = server.context(Capacity::new(0, 0));
        server.put(&at, restore("back"));
        let look = || async {
            let object: KafkaRestore = serde_json::from_value(server.get(&at)).unwrap();
            Box::pin(reconcile(Arc::new(object), Arc::clone(&context))).await.unwrap()
        };
        look().await;
        server.look::<KafkaRestore>(&at, &context).await;
        let ours = server.jobs().remove(0);
        let (name, reference) = (ours["metadata"]["name"].as_str().unwrap(), "ownerReferences");
        let mut theirs = ours.clone();
        theirs["metadata"][reference][0]["uid"] = "another".into();
        theirs["metadata"]["labels"] = json!({});
        server.put(&format!("{JOBS}/{name}"), theirs);
        let again = look().await;
        let status = server.get(&at)["status"].clone();
        let text = status["message"].as_str().unwrap();
        assert!(text.contains(&format!("there is a Job {name} that does not belong")), "{text}");
        let stalled = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Stalled").unwrap();
        assert_eq!((&stalled["status"], &stalled["reason"]), (&json!("True"), &json!("NameTaken")));
        assert_eq!(again, Action::requeue(AGAIN));
    });
}

/// A Job with our label that another resource controls is not ours.
#[test]
fn a_label_alone_makes_no_job_ours() {
    runtime().block_on(async {
        let (server, at, context) = nightly_begun().await;
        let ours = server.jobs().remove(0);
        let before = server.get(&at)["status"]["run"].clone();
        let mut theirs = ours.clone();
        theirs["metadata"]["name"] = "theirs".into();
        theirs["metadata"]["uid"] = "u-theirs".into();
        theirs["metadata"]["ownerReferences"][0]["uid"] = "another".into();
        server.put(&format!("{JOBS}/theirs"), theirs);
        let nightly: KafkaBackup = serde_json::from_value(server.get(&at)).unwrap();
        let owner = super::super::kind::owner_of(&nightly);
        let seen = super::super::jobs::Jobs::of(&context.client, &owner).await.unwrap();
        let name = ours["metadata"]["name"].as_str().unwrap();
        assert_eq!(seen.views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>(), [name]);
        server.look::<KafkaBackup>(&at, &context).await;
        assert_eq!(server.get(&at)["status"]["run"]["id"], before["id"]);
    });
}

/// A backup whose run has begun.
async fn nightly_begun() -> (Server, String, Arc<Context>) {
    let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
    let context = server.context(Capacity::new(0, 0));
    server.put(&at, backup("nightly"));
    for _ in 0..3 {
        server.look::<KafkaBackup>(&at, &context).await;
    }
    (server, at, context)
}

/// A node that hangs gives no logs: no look waits for them.
#[test]
fn a_log_that_is_not_answered_holds_up_nothing() {
    runtime().block_on(async {
        let (server, at, context) = nightly_begun().await;
        server.0.lock().unwrap().silent = true;
        let job = server.jobs().remove(0);
        let state = json!({"running": {"startedAt": "2026-11-21T10:00:00Z"}});
        let status =
            json!({"name": "runner", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": state});
        pod(&server, &job, json!({"phase": "Running", "containerStatuses": [status]}));
        let begun = tokio::time::Instant::now();
        for _ in 0..5 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(server.get(&at)["status"]["message"], "Backup is running");
    });
}

/// A run ended well while no operator was there, and its pod was collected since: the archive is asked by another attempt, and
/// the status tells what it says.
#[test]
fn what_a_collected_pod_did_is_asked_of_the_archive() {
    runtime().block_on(async {
        let (server, at, context) = nightly_begun().await;
        let mut job = server.jobs().remove(0);
        job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
        server.put(&format!("{JOBS}/{}", job["metadata"]["name"].as_str().unwrap()), job);
        server.look::<KafkaBackup>(&at, &context).await;
        let status = server.get(&at)["status"].clone();
        assert!(status["lastBackupTime"].is_null() && status["phase"] == "Running", "{status}");
        assert!(status["message"].as_str().unwrap().contains("its report is lost; it is asked again"), "{status}");
        assert_eq!((&status["run"]["failures"], &status["run"]["notBefore"]), (&json!(0), &Value::Null), "{status}");
        for _ in 0..3 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let asks =
            server.jobs().into_iter().find(|job| job["metadata"]["name"].as_str().unwrap().ends_with("-2")).unwrap();
        server.end(&asks, 0);
        for _ in 0..3 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        assert_eq!((status["phase"].as_str(), status["recordsProcessed"].as_u64()), (Some("Completed"), Some(7)));
        assert!(status["lastBackupTime"].is_string(), "{status}");
    });
}

/// A specification that does not fit into an annotation is told while it is so, takes nobody's place, and can be mended.
#[test]
fn a_specification_that_is_too_large_is_told_and_mended() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let context = server.context(Capacity::new(1, 0));
        let mut object = restore("back");
        let topics: Vec<String> = (0..8_000).map(|number| format!("a-topic-with-a-long-name-{number:08}")).collect();
        server.put(&at, object.clone());
        server.look::<KafkaRestore>(&at, &context).await;
        // Admission refuses it; one that was written while admission was away is met here.
        object = server.get(&at);
        object["spec"]["topics"] = json!(topics);
        server.put(&at, object);
        for _ in 0..3 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        let stalled = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Stalled").unwrap();
        assert_eq!((&stalled["status"], &stalled["reason"]), (&json!("True"), &json!("SpecTooLarge")), "{status}");
        assert!(status["message"].as_str().unwrap().contains("name fewer topics") && server.jobs().is_empty());
        server.put(&format!("{RESTORES}/other"), restore("other"));
        for _ in 0..3 {
            server.look::<KafkaRestore>(&format!("{RESTORES}/other"), &context).await;
        }
        assert_eq!(server.jobs().len(), 1, "it holds no place");
    });
}

/// The KafkaBackup is deleted while a restore from it works: the Job goes on, and how it ends is told; another attempt is made from
/// what the run was made from.
#[test]
fn a_restore_that_works_needs_its_backup_no_more() {
    runtime().block_on(async {
        let (nightly, at) = (format!("{BACKUPS}/nightly"), format!("{RESTORES}/back"));
        let begun = || async {
            let server = Server::default();
            let context = server.context(Capacity::new(1, 0));
            let mut object = restore("back");
            object["spec"]["backupRef"] = json!({"name": "nightly"});
            server.put(&at, object);
            server.put(&nightly, backup("nightly"));
            for _ in 0..4 {
                server.look::<KafkaRestore>(&at, &context).await;
            }
            let job = server.jobs().remove(0);
            server.0.lock().unwrap().objects.remove(&nightly);
            server.look::<KafkaRestore>(&at, &context).await;
            assert_eq!(server.get(&at)["status"]["phase"], "Running", "{}", server.get(&at)["status"]);
            (server, context, job)
        };
        let (server, context, job) = begun().await;
        server.end(&job, 0);
        for _ in 0..3 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        assert_eq!(server.get(&at)["status"]["phase"], "Completed", "{}", server.get(&at)["status"]);

        let (server, context, job) = begun().await;
        // It was interrupted: the next attempt begins at once.
        server.end(&job, 75);
        for _ in 0..4 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let mut all = server.jobs();
        all.sort_by_key(|job| job["metadata"]["name"].to_string());
        assert_eq!(all.len(), 2, "{}", server.get(&at)["status"]);
        assert_eq!(lowered(&all[1], 2), lowered(&all[0], 1));
        server.end(&all[1], 0);
        for _ in 0..3 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        assert_eq!(server.get(&at)["status"]["phase"], "Completed", "{}", server.get(&at)["status"]);

        // The owner takes back what he allowed: that is asked again.
        let (server, context, job) = begun().await;
        let mut object = server.get(&at);
        object["spec"]["backupRef"] = json!({"name": "nightly", "namespace": "other"});
        server.put(&at, object);
        server.put("/apis/kafka.oso.sh/v1alpha1/namespaces/other/kafkabackups/nightly", backup("nightly"));
        server.end(&job, 75);
        for _ in 0..4 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let status = server.get(&at)["status"].clone();
        assert!(server.jobs().len() == 1 && status["conditions"].to_string().contains("RestoreNotAllowed"), "{status}");
    });
}

/// What a Job's run was made from, but for the number of its attempt.
fn lowered(job: &Value, attempt: u32) -> Value {
    let text = job["spec"]["template"]["metadata"]["annotations"][SPEC_ANNOTATION].as_str().unwrap();
    let mut spec: Value = serde_json::from_str(text).unwrap();
    assert_eq!(spec["run"]["attempt"].take(), attempt);
    spec
}

/// A namespace in which the operator has no rights, because nobody made it, holds up no other.
#[test]
fn a_namespace_without_rights_holds_nothing_up() {
    runtime().block_on(async {
        let server = Server::default();
        server.0.lock().unwrap().forbidden = Some(BACKUPS.to_owned());
        let (context, team) = (server.context(Capacity::new(2, 0)), "team".to_owned());
        let counted = start::count::<KafkaBackup>(&context, Some(&team));
        tokio::time::timeout(Duration::from_secs(2), counted).await.unwrap();
    });
}
