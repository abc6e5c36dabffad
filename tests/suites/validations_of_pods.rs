//! Validations as a user applies them, with the real runner: a good archive passes, the cluster that it was restored into is
//! compared, and a damaged segment is found and named.

use std::path::Path;

use harness::runner::files;
use serde_json::{Value, json};

use super::{BACKUPS, Team, world};

const VALIDATIONS: &str = "kafkabackupvalidations.kafka.oso.sh";

impl Team<'_> {
    fn validation(&self, name: &str, more: Value) {
        let mut spec = json!({"backupRef": {"name": "nightly"}, "checks": {"messageCount": {"enabled": true}}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.world.cluster.apply(&self.object("KafkaBackupValidation", name, spec)).unwrap();
    }

    fn validated(&self, name: &str) -> Value {
        self.wait(VALIDATIONS, name, "over", |object| object["status"]["run"]["finishedAt"].is_string())
    }
}

/// Changes a byte in the middle of the largest segment below a folder.
fn damage(folder: &Path) {
    let segments = files(folder).into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "seg"));
    let (largest, _) = segments.max_by_key(|(_, bytes)| *bytes).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(largest, bytes).unwrap();
}

#[test]
fn a_validation_proves_an_archive_whole_and_finds_what_is_damaged() {
    let Some(world) = world() else { return };
    let team = world.team("proved", 2_000);
    let folder = team.volume("archive");
    let create = json!({"enabled": true, "size": "1Gi", "storageClassName": "proved-archive"});
    let storage = json!({"storageType": "pvc", "pvc": {"claimName": "archive", "create": create}});
    team.backup("nightly", json!({"storage": storage}));
    team.done(BACKUPS, "nightly");

    // As documents of other operators print it: no cluster is named.
    team.validation("archive-only", json!({}));
    let good = team.validated("archive-only");
    let status = &good["status"];
    assert_eq!((&status["phase"], &status["validationResult"]), (&json!("Completed"), &json!("Pass")), "{status}");
    let names: Vec<_> =
        status["checkResults"].as_array().unwrap().iter().map(|check| check["checkName"].clone()).collect();
    assert_eq!(names, ["structure", "checksum", "decode"], "{status}");
    assert_eq!(status["recoveryPoint"].as_str().unwrap().rsplit_once("-20").unwrap().0, "nightly");
    assert!(status["reportPath"].is_string(), "{status}");

    // The cluster that it was restored into, under another name: by what the restore noted.
    team.restore("back", "proved-back", json!({"backupRef": {"name": "nightly"}}));
    let compared = json!({
        "restoreRef": {"name": "back"}, "kafkaCluster": team.cluster_block(),
        "checks": {"messageCount": {}, "offsetRange": {}, "decode": {"enabled": false}, "checksum": {"enabled": false}},
    });
    team.validation("compared", compared);
    let same = team.validated("compared");
    assert_eq!(same["status"]["validationResult"], "Pass", "{}", same["status"]);
    assert_eq!(same["status"]["checksTotal"], 3, "{}", same["status"]);

    damage(folder.path());
    team.validation("damaged", json!({}));
    let bad = team.validated("damaged");
    let status = &bad["status"];
    assert_eq!((&status["phase"], &status["validationResult"]), (&json!("Completed"), &json!("Fail")), "{status}");
    let ready = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Ready").unwrap();
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("ChecksFailed")), "{status}");
    assert!(status["message"].as_str().unwrap().starts_with("KB6001"), "{status}");
}
