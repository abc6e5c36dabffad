//! Retention by the rules of a resource, with the real runner: after a backup the oldest point goes, no restore finds it any more, and
//! the newest restores as before. Somebody asks for a run with the plugin, too.

use serde_json::{Value, json};

use super::{BACKUPS, RESTORES, Team, world};

impl Team<'_> {
    /// The backup once retention has ended whose last run began for this reason.
    fn pruned(&self, name: &str, why: &str) -> Value {
        self.wait(BACKUPS, name, why, |object| {
            let run = &object["status"]["retention"]["run"];
            run["finishedAt"].is_string() && run["trigger"] == why
        })
    }
}

#[test]
fn old_points_go_by_rule_and_the_newest_restores() {
    let Some(world) = world() else { return };
    let team = world.team("rotated", 500);
    let rules = json!({"enabled": true, "keepLast": 1, "dryRun": true});
    team.backup("nightly", json!({"schedule": "0 0 0 1 1 *", "stopAtCurrentOffsets": true, "retention": rules}));
    team.trigger("nightly", "first");
    let first = team.done(BACKUPS, "nightly")["status"]["backupId"].as_str().unwrap().to_owned();
    let only = team.pruned("nightly", "backup");
    assert_eq!(
        (&only["status"]["retentionDryRun"], &only["status"]["retentionEligibleBackups"]),
        (&json!(true), &json!(0))
    );

    team.produce(500..700);
    team.trigger("nightly", "second");
    let looked = team.wait(BACKUPS, "nightly", "a dry run", |object| object["status"]["retentionEligibleBackups"] == 1);
    let told = looked["status"]["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "RetentionActive");
    let text = told.unwrap()["message"].as_str().unwrap();
    assert_eq!(text, format!("dry run: 1 of 2 recovery points would be removed ({first}); nothing was changed"));
    team.restore("still", "rotated-still", json!({"backupRef": {"name": "nightly", "backupId": first}}));

    // Rules that are changed apply after the next backup, or when somebody asks.
    let real = r#"{"spec":{"retention":{"dryRun":false}}}"#;
    world.cluster.ok(&["patch", BACKUPS, "-n", "rotated", "nightly", "--type=merge", "-p", real]);
    world.cluster.ok(&["annotate", BACKUPS, "-n", "rotated", "nightly", "kafka-backup.dev/prune=now"]);
    let pruned = team.pruned("nightly", "asked");
    let status = &pruned["status"];
    assert_eq!(
        (&status["retentionDeletedBackups"], &status["retentionInspectedBackups"]),
        (&json!(1), &json!(2)),
        "{status}"
    );
    assert!(status["retention"]["waitsUntil"].is_string() && status["retentionError"].is_null(), "{status}");
    assert_eq!((&status["phase"], &status["run"]["outcome"]), (&json!("Completed"), &json!("Completed")), "{status}");
    let points: Vec<&Value> = status["recentPoints"].as_array().unwrap().iter().map(|point| &point["name"]).collect();
    assert_eq!(points, [&status["backupId"]], "what is gone is not listed");

    // No restore finds what is gone, and the newest point is whole.
    let gone = json!({
        "kafkaCluster": team.cluster_block(), "createTopics": true, "topicMapping": {team.topic.clone(): "rotated-gone"},
        "backupRef": {"name": "nightly", "backupId": first},
    });
    world.cluster.apply(&team.object("KafkaRestore", "gone", gone)).unwrap();
    let refused = team.wait(RESTORES, "gone", "refused", |object| object["status"]["phase"] == "Failed");
    assert!(refused["status"]["message"].as_str().unwrap().contains(&first), "{}", refused["status"]);
    team.restore("newest", "rotated-newest", json!({"backupRef": {"name": "nightly"}}));
    assert_eq!(team.assert_equal("rotated-newest"), 700);
}
