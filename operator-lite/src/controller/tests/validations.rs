//! KafkaBackupValidation, through the controller that all kinds have.

use super::*;

use api::oso::KafkaBackupValidation;

const VALIDATIONS: &str = "/apis/kafka.oso.sh/v1alpha1/namespaces/team/kafkabackupvalidations";

fn validation(name: &str, more: &Value) -> Value {
    let mut spec = json!({
        "backupRef": {"name": "", "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}}},
        "checks": {"decode": {}},
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation", "spec": spec,
        "metadata": {"name": name, "namespace": "team", "uid": name, "generation": 1, "creationTimestamp": "2026-11-21T10:00:00Z"},
    })
}

/// Ends the container of a Job with what it found.
fn end(server: &Server, job: &Value, code: i32, verdict: Option<&str>, checks: &Value) {
    let outcome = if code == 0 { "Completed" } else { "Failed" };
    let mut report = json!({
        "run": job["metadata"]["annotations"][RUN_ANNOTATION], "kind": "validation", "outcome": outcome, "startedAt": "x",
        "finishedAt": "y", "topics": 1, "partitions": 1, "records": 70, "bytes": 9, "storedBytes": 0, "segments": 1,
        "point": "nightly-20261121-020000", "validation": {
            "verdict": verdict, "checks": checks, "segmentsRead": 1, "bytesRead": 9, "batchesRead": 1, "recordsRead": 70,
            "readMillis": 5,
        },
    });
    if code != 0 {
        let failed = if verdict.is_some() { "KB6001" } else { "KB3001" };
        report["failure"] = json!({"code": failed, "message": "in words"});
    }
    let state = json!({"terminated": {"exitCode": code, "message": report.to_string()}});
    let status =
        json!({"name": "runner", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state});
    pod(server, job, json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "containerStatuses": [status]}));
    let mut job = job.clone();
    let kind = if code == 0 { "Complete" } else { "Failed" };
    job["status"] = json!({"conditions": [{"type": kind, "status": "True", "message": "in words"}]});
    let at = format!("{JOBS}/{}", job["metadata"]["name"].as_str().unwrap());
    server.put(&at, job);
}

fn check(verdict: &str) -> Value {
    json!([{"name": "decode", "verdict": verdict, "message": "as told", "millis": 5}])
}

/// Looks until a Job of the resource is there whose container has not ended.
async fn next_job(server: &Server, at: &str, context: &Arc<Context>) -> Value {
    for _ in 0..12 {
        server.look::<KafkaBackupValidation>(at, context).await;
        let uid = server.get(at)["status"]["run"]["jobUid"].clone();
        let found = server.jobs().into_iter().find(|job| job["metadata"]["uid"] == uid && job["status"].is_null());
        if let Some(job) = found {
            return job;
        }
    }
    panic!("no Job: {}", server.get(at)["status"]);
}

async fn looks(server: &Server, at: &str, context: &Arc<Context>, times: usize) -> Value {
    for _ in 0..times {
        server.look::<KafkaBackupValidation>(at, context).await;
    }
    server.get(at)["status"].clone()
}

#[test]
fn one_that_runs_once_runs_once_and_is_not_tried_again_when_a_check_failed() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{VALIDATIONS}/once"));
        let context = server.context(Capacity::new(10, 0));
        server.put(&at, validation("once", &json!({})));
        let job = next_job(&server, &at, &context).await;
        assert!(job.to_string().contains(r#"\"validation\":{"#), "{job}");
        end(&server, &job, 1, Some("fail"), &check("fail"));
        let status = looks(&server, &at, &context, 6).await;
        assert_eq!((&status["phase"], &status["validationResult"]), (&json!("Completed"), &json!("Fail")), "{status}");
        assert_eq!((&status["run"]["attempt"], &status["run"]["outcome"]), (&json!(1), &json!("Failed")));
        assert_eq!(status["history"].as_array().unwrap().len(), 1);
        assert_eq!(status["checkResults"][0]["outcome"], "Failed");
        let told = context.metrics.text();
        assert!(
            told.contains(r#"validations_total{outcome="Fail",resource_namespace="team",name="once"} 1"#),
            "{told}"
        );
        let again = looks(&server, &at, &context, 4).await;
        assert_eq!(again["run"]["id"], status["run"]["id"], "terminal stays terminal");
        assert_eq!(server.jobs_of("once").len(), 1);
    });
}

/// A run that read much and then lost its store saved nothing: attempts are counted, and end.
#[test]
fn attempts_that_only_read_are_used_up() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{VALIDATIONS}/away"));
        let context = server.context(Capacity::new(10, 0));
        server.put(&at, validation("away", &json!({})));
        let job = next_job(&server, &at, &context).await;
        let mut object = server.get(&at);
        object["status"]["run"]["failures"] = 5.into();
        server.put(&at, object);
        end(&server, &job, 3, None, &check("notRun"));
        let status = looks(&server, &at, &context, 4).await;
        assert_eq!((&status["phase"], &status["validationResult"]), (&json!("Failed"), &json!(null)), "{status}");
        assert_eq!(status["history"][0]["result"], "Error");
        let ready = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Ready").unwrap();
        assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("RetriesExhausted")));
        let told = context.metrics.text();
        assert!(
            told.contains(r#"validations_total{outcome="error",resource_namespace="team",name="away"} 1"#),
            "{told}"
        );
    });
}

#[test]
fn what_is_missing_is_waited_for_and_evidence_is_part_of_the_run() {
    runtime().block_on(async {
        let server = Server::default();
        let context = server.context(Capacity::new(10, 0));
        let at = format!("{VALIDATIONS}/kept");
        let evidence =
            json!({"formats": ["json", "pdf"], "signing": {"enabled": true, "keySecret": {"name": "auditors"}}});
        server.put(&at, validation("kept", &json!({"evidence": evidence})));
        let job = next_job(&server, &at, &context).await.to_string();
        for part in [
            r#"\"pdf\":true"#,
            r#"\"privateKeyFile\":\"auditors/signing-key.pem\""#,
            r#""secretName":"auditors""#,
            r#""key":"signing-key-pub.pem""#,
        ] {
            assert!(job.contains(part), "{part}: {job}");
        }
        let (at, reference) = (format!("{VALIDATIONS}/waits"), json!({"backupRef": {"name": "nightly"}}));
        server.put(&at, validation("waits", &reference));
        let status = looks(&server, &at, &context, 2).await;
        assert!(status.to_string().contains("BackupNotFound"), "{status}");
        server.put(&format!("{BACKUPS}/nightly"), backup("nightly"));
        // A restore that it is compared with must be there, and over.
        let cluster = json!({"bootstrapServers": ["kafka:9092"]});
        let compared = json!({"backupRef": {"name": "nightly"}, "restoreRef": {"name": "back"}, "kafkaCluster": cluster,
            "checks": {"messageCount": {}}});
        let at = format!("{VALIDATIONS}/compared");
        server.put(&at, validation("compared", &compared));
        assert!(looks(&server, &at, &context, 2).await.to_string().contains("RestoreNotFound"));
        let mut back = restore("back");
        back["status"] = json!({"phase": "Running"});
        server.put(&format!("{RESTORES}/back"), back.clone());
        assert!(looks(&server, &at, &context, 1).await.to_string().contains("RestoreNotFinished"));
        back["status"] = json!({"phase": "Completed"});
        server.put(&format!("{RESTORES}/back"), back);
        let job = next_job(&server, &at, &context).await;
        let named = r#"\"restore\":{\"name\":\"back\",\"namespace\":\"team\""#;
        assert!(job.to_string().contains(named), "{job}");
        assert!(server.jobs_of("waits").is_empty());
    });
}

/// The owner of a KafkaBackup of another namespace is asked whenever a run begins.
#[test]
fn a_backup_of_another_namespace_is_read_with_consent_only() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{VALIDATIONS}/foreign"));
        let context = server.context(Capacity::new(10, 0));
        let backups = "/apis/kafka.oso.sh/v1alpha1/namespaces/prod/kafkabackups";
        let mut nightly = backup("nightly");
        nightly["metadata"]["namespace"] = "prod".into();
        server.put(&format!("{backups}/nightly"), nightly.clone());
        server.put(&at, validation("foreign", &json!({"backupRef": {"name": "nightly", "namespace": "prod"}})));
        let status = looks(&server, &at, &context, 2).await;
        assert!(status.to_string().contains("ValidationNotAllowed"), "{status}");
        nightly["metadata"]["annotations"] = json!({"kafka.oso.sh/restore-namespaces": "team"});
        server.put(&format!("{backups}/nightly"), nightly);
        let job = next_job(&server, &at, &context).await;
        assert!(job.to_string().contains(r#"\"owner\":{"#), "whose set it must be: {job}");
    });
}

#[test]
fn a_trigger_is_one_run_also_while_it_is_suspended() {
    runtime().block_on(async {
        let (server, at) = (Server::default(), format!("{VALIDATIONS}/weekly"));
        let context = server.context(Capacity::new(10, 0));
        server.put(&at, validation("weekly", &json!({"schedule": "0 0 6 * * SUN", "suspend": true})));
        let status = looks(&server, &at, &context, 3).await;
        assert!(status.to_string().contains("ValidationSuspended") && server.jobs().is_empty(), "{status}");
        let mut object = server.get(&at);
        object["metadata"]["annotations"] = json!({"kafka.oso.sh/trigger-validation": "monday"});
        server.put(&at, object);
        let job = next_job(&server, &at, &context).await;
        end(&server, &job, 0, Some("pass"), &check("pass"));
        let status = looks(&server, &at, &context, 6).await;
        assert_eq!(
            (&status["lastTrigger"], &status["run"]["trigger"]),
            (&json!("monday"), &json!("manual")),
            "{status}"
        );
        assert_eq!((&status["validationResult"], &status["phase"]), (&json!("Pass"), &json!("Completed")), "{status}");
        assert_eq!(status["history"].as_array().unwrap().len(), 1, "one value, one run");
    });
}
