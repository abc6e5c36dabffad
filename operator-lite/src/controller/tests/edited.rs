//! What was edited, taken over, or ended for good: nothing runs that nobody asked for, and nothing is told that is not so.

use api::oso::{KafkaBackup, KafkaRestore};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{BACKUPS, PODS, RESTORES, Server, backup, restore, runtime};
use crate::capacity::Capacity;

fn condition(object: &Value, name: &str) -> Value {
    let all = object["status"]["conditions"].as_array().unwrap();
    all.iter().find(|one| one["type"] == name).cloned().unwrap_or_default()
}

/// A backup that runs once does so; then its topics change.
#[test]
fn an_edit_that_came_too_late_is_told() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/once"));
        let context = server.context(Capacity::new(1, 0));
        server.put(&at, backup("once"));
        for _ in 0..4 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        server.end(&server.jobs()[0], 0);
        for _ in 0..3 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        assert_eq!(condition(&server.get(&at), "Ready")["status"], "True");
        let edit = |change: &dyn Fn(&mut Value)| {
            let mut object = server.get(&at);
            change(&mut object["spec"]);
            object["metadata"]["generation"] = (object["metadata"]["generation"].as_i64().unwrap() + 1).into();
            server.put(&at, object);
        };
        // Whoever suspends it changes nothing of its run.
        edit(&|spec| spec["suspend"] = true.into());
        server.look::<KafkaBackup>(&at, &context).await;
        let ready = condition(&server.get(&at), "Ready");
        assert_eq!((&ready["status"], &ready["observedGeneration"]), (&json!("True"), &json!(2)));
        edit(&|spec| spec["topics"] = json!(["payments"]));
        server.look::<KafkaBackup>(&at, &context).await;
        let told = server.get(&at);
        let (ready, complete) = (condition(&told, "Ready"), condition(&told, "Complete"));
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("ChangedSinceRun")), "{told}");
        assert_eq!((&ready["observedGeneration"], &complete["observedGeneration"]), (&json!(3), &json!(1)), "{told}");
        // Asked for by hand, it runs as it is now.
        edit(&|spec| spec["suspend"] = false.into());
        let mut object = server.get(&at);
        object["metadata"]["annotations"] = json!({"kafka.oso.sh/trigger-backup": "again"});
        server.put(&at, object);
        for _ in 0..4 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let told = server.get(&at);
        assert_eq!(
            (&told["status"]["run"]["generation"], &condition(&told, "Complete")["status"]),
            (&json!(4), &json!("False"))
        );
        assert!(server.jobs().iter().any(|job| job.to_string().contains("payments")), "{told}");
    });
}

/// The last tick of a schedule with a year runs, and after it the backup is well.
#[test]
fn the_last_tick_of_a_schedule_runs() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/last"));
        let context = server.context(Capacity::new(1, 0));
        let tick = Timestamp::now() - SignedDuration::from_secs(20);
        let mut object = backup("last");
        object["spec"]["schedule"] = tick.strftime("%S %M %H %d %m * %Y").to_string().into();
        object["metadata"]["creationTimestamp"] =
            Timestamp::from_second(tick.as_second() - 60).unwrap().to_string().into();
        server.put(&at, object);
        for _ in 0..4 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let told = server.get(&at);
        assert_eq!(told["status"]["run"]["trigger"], "schedule", "{told}");
        server.end(&server.jobs()[0], 0);
        for _ in 0..3 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let told = server.get(&at);
        assert_eq!(
            (&told["status"]["phase"], &condition(&told, "Ready")["status"]),
            (&json!("Completed"), &json!("True")),
            "{told}"
        );
        assert_eq!(told["status"]["nextScheduledBackup"], Value::Null, "{told}");
    });
}

/// Another operator was asked for a run, and made it: this one is asked for nothing.
#[test]
fn a_trigger_of_another_operator_starts_nothing() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/taken"));
        let context = server.context(Capacity::new(1, 0));
        let mut object = backup("taken");
        object["metadata"]["annotations"] =
            json!({"kafka.oso.sh/trigger-backup": "monday", "kafka.oso.sh/take-over": "true"});
        object["metadata"]["managedFields"] =
            json!([{"manager": "kafka-backup-operator", "operation": "Update", "subresource": "status"}]);
        object["status"] = json!({"phase": "Completed", "observedGeneration": 1});
        server.put(&at, object);
        for _ in 0..4 {
            server.look::<KafkaBackup>(&at, &context).await;
        }
        let mut told = server.get(&at);
        assert_eq!(
            (&told["status"]["lastTrigger"], &told["status"]["phase"]),
            (&json!("monday"), &json!("Completed")),
            "{told}"
        );
        assert!(server.jobs().is_empty());
        told["metadata"]["annotations"]["kafka.oso.sh/trigger-backup"] = "tuesday".into();
        server.put(&at, told);
        server.look::<KafkaBackup>(&at, &context).await;
        assert_eq!(server.get(&at)["status"]["run"]["trigger"], "manual");
    });
}

/// A copy that did not read at first has conditions, and its trigger came with it.
#[test]
fn a_trigger_of_what_did_not_read_starts_nothing() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{BACKUPS}/mended"));
        let context = server.context(Capacity::new(1, 0));
        let mut object = backup("mended");
        object["spec"]["suspend"] = true.into();
        object["metadata"]["annotations"] = json!({"kafka.oso.sh/trigger-backup": "monday"});
        object["status"] = json!({"conditions": []});
        server.put(&at, object);
        server.look::<KafkaBackup>(&at, &context).await;
        let told = server.get(&at);
        assert_eq!(
            (&told["status"]["lastTrigger"], &told["status"]["run"]),
            (&json!("monday"), &Value::Null),
            "{told}"
        );
    });
}

/// The KafkaBackup is gone while its restore gives up: the offsets that it changed are put back all the same.
#[test]
fn a_restore_puts_offsets_back_though_its_backup_is_gone() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{RESTORES}/back"));
        let (context, nightly) = (server.context(Capacity::new(1, 0)), format!("{BACKUPS}/nightly"));
        let mut object = restore("back");
        object["spec"]["backupRef"] = json!({"name": "nightly"});
        object["spec"]["autoConsumerGroups"] = true.into();
        object["spec"]["rollback"] = json!({"autoRollbackOnFailure": true});
        server.put(&at, object);
        server.put(&nightly, backup("nightly"));
        for _ in 0..4 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let job = server.jobs().remove(0);
        let mut object = server.get(&at);
        // Five attempts could not reach the brokers, and the first one had changed something.
        object["status"]["run"]["failures"] = 5.into();
        object["status"]["run"]["wrote"] = true.into();
        server.put(&at, object);
        server.0.lock().unwrap().objects.remove(&nightly);
        server.end(&job, 3);
        // It says nothing of what it moved.
        let pod = format!("{PODS}/{}", job["metadata"]["name"].as_str().unwrap());
        let mut ended = server.get(&pod);
        ended["status"]["containerStatuses"][0]["state"]["terminated"]["message"] = "".into();
        server.put(&pod, ended);
        for _ in 0..3 {
            server.look::<KafkaRestore>(&at, &context).await;
        }
        let told = server.get(&at);
        let undoing = told["status"]["run"]["undoing"].as_str().unwrap_or_default();
        assert!(undoing.contains("RetriesExhausted") && told["status"]["run"]["finishedAt"].is_null(), "{told}");
    });
}

/// A time that is past, or whose tick will not run, is no next one.
#[test]
fn a_next_tick_that_is_none_is_not_told() {
    runtime().block_on(async {
        for (spec, why) in
            [(json!({"topics": [""]}), "it breaks a rule"), (json!({"suspend": true}), "it is suspended")]
        {
            let (server, at) = (Server::default(), format!("{BACKUPS}/nightly"));
            let context = server.context(Capacity::new(1, 0));
            let mut object = backup("nightly");
            object["spec"]["schedule"] = "0 0 1 1 1 *".into();
            object["metadata"]["creationTimestamp"] = Timestamp::now().to_string().into();
            server.put(&at, object);
            server.look::<KafkaBackup>(&at, &context).await;
            let mut object = server.get(&at);
            assert!(object["status"]["nextScheduledBackup"].is_string(), "{object}");
            object["metadata"]["annotations"] = json!({"kafka.oso.sh/trigger-backup": "now"});
            server.put(&at, object);
            server.look::<KafkaBackup>(&at, &context).await;
            let mut object = server.get(&at);
            object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
            if why == "it breaks a rule" {
                object["status"]["run"] = Value::Null;
            }
            server.put(&at, object);
            for _ in 0..3 {
                server.look::<KafkaBackup>(&at, &context).await;
            }
            let told = server.get(&at);
            assert_eq!(told["status"]["nextScheduledBackup"], Value::Null, "{why}: {told}");
        }
    });
}
