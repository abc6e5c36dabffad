//! Retention beside the runs of a backup: when it begins, what is told of it, and that neither disturbs the other.

use std::sync::Arc;

use api::lower::job::SPEC_ANNOTATION;
use api::oso::KafkaBackup;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::Context;
use super::{BACKUPS, JOBS, Server, backup, runtime};
use crate::capacity::Capacity;

const AT: &str = "/apis/kafka.oso.sh/v1alpha1/namespaces/team/kafkabackups/nightly";

fn world(rules: &Value) -> (Server, Arc<Context>) {
    let server = Server::default();
    let context = server.context(Capacity::new(10, 0));
    let mut nightly = backup("nightly");
    nightly["spec"]["retention"] = rules.clone();
    assert_eq!(AT, format!("{BACKUPS}/nightly"));
    server.put(AT, nightly);
    (server, context)
}

async fn looks(server: &Server, context: &Arc<Context>) {
    for _ in 0..8 {
        server.look::<KafkaBackup>(AT, context).await;
    }
}

/// The Jobs that back up, and those of retention.
fn jobs(server: &Server) -> (Vec<Value>, Vec<Value>) {
    let prunes = |job: &Value| {
        let spec = job["spec"]["template"]["metadata"]["annotations"][SPEC_ANNOTATION].as_str().unwrap();
        let spec: contract::RunSpec = serde_json::from_str(spec).unwrap();
        let named = job["metadata"]["name"].as_str().unwrap().contains("nightly-prune-");
        assert_eq!(spec.prune.is_some(), named);
        named
    };
    server.jobs().into_iter().partition(|job| !prunes(job))
}

fn status(server: &Server) -> Value {
    server.get(AT)["status"].clone()
}

fn condition(server: &Server, name: &str) -> (String, String, String) {
    let conditions = status(server)["conditions"].clone();
    let found = conditions.as_array().unwrap().iter().find(|one| one["type"] == name).cloned().unwrap_or_default();
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    (text("status"), text("reason"), text("message"))
}

/// Ends the backup that works: its point is of this second.
fn backed_up(server: &Server, second: u32) {
    let at = format!("2026-11-21T10:00:{second:02}Z");
    let name = format!("nightly-20261121-1000{second:02}");
    let made = json!({"name": name, "at": at, "topics": 1, "partitions": 1, "records": 7, "bytes": 9, "heldBack": 0});
    let job = jobs(server).0.pop().unwrap();
    server.end_saying(&job, 0, &json!({"point": name, "made": made, "finishedAt": at}));
}

fn report(removed: u64, more: &Value) -> Value {
    let mut prune = json!({
        "rules": {"least": 1, "most": 1}, "dryRun": false, "inspected": 3, "eligible": removed, "removed": removed, "givenUp": 0,
        "comesBack": 900, "deleted": {"objects": 4, "bytes": 2048}, "leftovers": {"objects": 0, "bytes": 0}, "endedUploads": 0,
        "waiting": {"objects": 9, "bytes": 900}, "due": {"objects": 0, "bytes": 0}, "unknown": {"objects": 0, "bytes": 0},
    });
    super::merge(&mut prune, more);
    json!({"kind": "prune", "changed": true, "prune": prune})
}

#[test]
fn it_begins_after_a_backup_and_tells_what_it_did() {
    runtime().block_on(async {
        let (server, context) = world(&json!({"enabled": true, "keepLast": 1}));
        looks(&server, &context).await;
        let (backups, prunes) = jobs(&server);
        assert_eq!((backups.len(), prunes.len()), (1, 0), "nothing goes before the first backup under these rules");
        assert_eq!(condition(&server, "RetentionActive").1, "RulesApply");
        backed_up(&server, 1);
        looks(&server, &context).await;
        let (_, prunes) = jobs(&server);
        assert_eq!(prunes.len(), 1);
        assert_eq!(status(&server)["run"]["outcome"], "Completed");
        assert_eq!(
            condition(&server, "RetentionActive"),
            ("True".into(), "RetentionRunning".into(), "recovery points are looked at".into())
        );
        assert_eq!(status(&server)["retention"]["run"]["trigger"], "backup");
        server.end_saying(
            &prunes[0],
            0,
            &report(2, &json!({"removedUntil": "2026-11-21T10:00:01Z", "waitsUntil": "2026-11-22T10:00:00Z"})),
        );
        looks(&server, &context).await;
        let told = status(&server);
        let told = |field: &str| told[field].clone();
        assert_eq!((told("retentionInspectedBackups"), told("retentionEligibleBackups")), (json!(3), json!(2)));
        assert_eq!((told("retentionDeletedBackups"), told("retentionReclaimedBytes")), (json!(2), json!(2048)));
        assert_eq!((told("retentionDryRun"), told("retentionError")), (json!(false), Value::Null));
        assert!(told("lastRetentionTime").is_string());
        assert_eq!(told("recentPoints"), Value::Null, "what was removed is not listed any more");
        let (active, reason, text) = condition(&server, "RetentionActive");
        assert_eq!((active.as_str(), reason.as_str()), ("True", "RetentionSucceeded"));
        assert!(
            text.starts_with("2 of 3 recovery points were removed; 2.0 KiB were deleted; 900 B are deleted after"),
            "{text}"
        );
        assert_eq!(condition(&server, "Ready").1, "BackupSucceeded", "how the backup ended stays");
        assert_eq!(jobs(&server).1.len(), 1, "and it does not begin again");
        let told = server.0.lock().unwrap().reasons.clone();
        assert_eq!(told, ["RunClaimed", "RunCompleted", "RetentionClaimed", "RetentionCompleted"]);
        let text = context.metrics.text();
        assert!(
            text.contains(r#"operator_backups_total{outcome="success",resource_namespace="team",name="nightly"} 1"#),
            "{text}"
        );
        assert!(
            text.contains(r#"operator_retentions_total{outcome="success",resource_namespace="team",name="nightly"} 1"#),
            "{text}"
        );
    });
}

#[test]
fn one_that_fails_leaves_the_backup_well_and_is_tried_again() {
    runtime().block_on(async {
        let (server, context) = world(&json!({"enabled": true, "maxAgeDays": 3}));
        looks(&server, &context).await;
        backed_up(&server, 1);
        looks(&server, &context).await;
        let failure = json!({"outcome": "Failed", "changed": true, "failure": {"code": "KB4012", "message": "sets of two owners"}});
        server.end_saying(&jobs(&server).1[0], 4, &failure);
        looks(&server, &context).await;
        let (active, reason, text) = condition(&server, "RetentionActive");
        assert_eq!((active.as_str(), reason.as_str()), ("False", "RetentionFailed"));
        assert!(text.contains("sets of two owners"), "{text}");
        assert_eq!(status(&server)["retentionError"], json!(text));
        assert!(status(&server)["retention"]["nextTime"].is_string());
        assert_eq!(
            condition(&server, "Ready"),
            ("True".into(), "BackupSucceeded".into(), "Backup completed successfully".into())
        );
        assert!(status(&server)["recentPoints"].is_null(), "nobody knows what it removed before it failed");
        let mut object = server.get(AT);
        object["status"]["retention"]["nextTime"] = "2026-11-21T11:00:00Z".into();
        server.put(AT, object);
        looks(&server, &context).await;
        assert_eq!(status(&server)["retention"]["run"]["trigger"], "time");
        assert_eq!(jobs(&server).1.len(), 1, "the Job of the first is gone, that of the second is there");
    });
}

#[test]
fn rules_that_are_taken_away_end_it() {
    runtime().block_on(async {
        let (server, context) = world(&json!({"enabled": true, "keepLast": 1}));
        looks(&server, &context).await;
        backed_up(&server, 1);
        looks(&server, &context).await;
        assert_eq!(jobs(&server).1.len(), 1);
        let mut object = server.get(AT);
        object["spec"]["retention"]["enabled"] = false.into();
        object["metadata"]["generation"] = 2.into();
        server.put(AT, object);
        looks(&server, &context).await;
        let (backups, prunes) = jobs(&server);
        assert_eq!((backups.len(), prunes.len()), (1, 0));
        assert_eq!(status(&server)["retention"], Value::Null);
        assert_eq!(condition(&server, "RetentionActive").0, "");
    });
}

#[test]
fn somebody_asks_for_it_and_a_backup_goes_first() {
    runtime().block_on(async {
        let (server, context) = world(&json!({"enabled": true, "keepLast": 1}));
        looks(&server, &context).await;
        let ask = |value: &str| {
            let mut object = server.get(AT);
            object["metadata"]["annotations"] = json!({"kafka-backup.dev/prune": value});
            server.put(AT, object);
        };
        ask("1");
        looks(&server, &context).await;
        assert_eq!(jobs(&server).1.len(), 0, "a backup works");
        let job = jobs(&server).0.pop().unwrap();
        server.end(&job, 4);
        looks(&server, &context).await;
        let prunes = jobs(&server).1;
        assert_eq!(prunes.len(), 1, "no backup ended well, and somebody asked");
        assert_eq!(status(&server)["retention"]["run"]["trigger"], "asked");
        server.end_saying(&prunes[0], 0, &report(0, &json!({})));
        looks(&server, &context).await;
        let told = server.0.lock().unwrap().told;
        looks(&server, &context).await;
        assert_eq!(server.0.lock().unwrap().told, told, "the same value asks once");
        ask("2");
        looks(&server, &context).await;
        let at = format!("{JOBS}/{}", prunes[0]["metadata"]["name"].as_str().unwrap());
        assert_eq!((server.get(&at), jobs(&server).1.len()), (Value::Null, 1), "another value asks again");
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Somebody else writes between any read and any write: neither the backup nor retention loses a Job or runs twice.
    #[test]
    fn a_rival_writer_costs_neither_a_job(rivals in prop::collection::vec(any::<bool>(), 0..60)) {
        runtime().block_on(async {
            let (server, context) = world(&json!({"enabled": true, "keepLast": 1}));
            let steps = rivals.len() + 60;
            // Rules that are seen after a backup wait for the next one.
            while status(&server)["retention"].is_null() {
                server.look::<KafkaBackup>(AT, &context).await;
            }
            server.0.lock().unwrap().rivals = rivals.into();
            for _ in 0..steps {
                server.look::<KafkaBackup>(AT, &context).await;
                let (backups, prunes) = jobs(&server);
                assert!(backups.len() <= 1 && prunes.len() <= 1);
                if backups.first().is_some_and(|job| job["status"].is_null()) {
                    backed_up(&server, 1);
                }
                if let Some(job) = prunes.first().filter(|job| job["status"].is_null()) {
                    server.end_saying(job, 0, &report(1, &json!({})));
                }
            }
            let status = status(&server);
            assert_eq!(status["run"]["outcome"], "Completed", "{status}");
            assert_eq!(status["retention"]["run"]["outcome"], "Completed", "{status}");
            let mut told = server.0.lock().unwrap().reasons.clone();
            told.sort();
            assert_eq!(told, ["RetentionClaimed", "RetentionCompleted", "RunClaimed", "RunCompleted"]);
        });
    }
}
