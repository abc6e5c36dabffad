//! What the documents print of consumer groups, as a user applies it: where the groups stand at the end, and what statuses,
//! columns and Events tell of each way that a run can end.

use harness::cluster::wait_for;
use harness::consumers::{commit, committed, member};
use harness::runner::files;
use harness::{load, oracle};
use serde_json::{Value, json};

use super::{BACKUPS, INSTALLATION, PATIENCE, RESETS, RESTORES, ROLLBACKS, T0, Team, world};

/// "Restore with Consumer Group Snapshot", as the documents print it.
const RESTORE_WITH_GROUPS: &str = "
apiVersion: kafka.oso.sh/v1alpha1
kind: KafkaRestore
metadata:
  name: restore-with-groups
spec:
  backupRef:
    name: production-backup
  kafkaCluster:
    bootstrapServers:
      - dr-kafka:9092
  autoConsumerGroups: true
  createTopics: true
";

/// "Offset Management", as the documents print it. Where offsets are saved says the installation.
const RESET_AFTER_RESTORE: &str = "
apiVersion: kafka.oso.sh/v1alpha1
kind: KafkaOffsetReset
metadata:
  name: reset-after-restore
spec:
  resetStrategy: from-mapping
  consumerGroups:
    - order-processor
  kafkaCluster:
    bootstrapServers:
      - kafka:9092
";

impl Team<'_> {
    fn offsets(&self, group: &str, topic: &str) -> Vec<Option<i64>> {
        committed(&self.world.kafka.bootstrap(), group, topic).into_iter().map(|at| at.map(|(at, _)| at)).collect()
    }

    fn set(&self, group: &str, topic: &str, offsets: &[i64]) {
        commit(&self.world.kafka.bootstrap(), group, topic, offsets);
    }

    fn apply_as_printed(&self, document: &str) {
        let cluster = &self.world.cluster;
        let applied = cluster.kubectl_with(&cluster.kubeconfig(), &["apply", "-n", &self.name, "-f", "-"], document);
        assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
    }

    fn ends_as(&self, kind: &str, name: &str, phase: &str) -> Value {
        self.wait(kind, name, phase, |object| {
            let found = object["status"]["phase"].as_str().unwrap_or_default();
            let is_end = ["Completed", "Failed", "PartiallyCompleted", "RolledBack"].contains(&found);
            assert!(!is_end || found == phase, "{}", object["status"]);
            is_end
        })["status"]
            .clone()
    }

    /// What `kubectl get` prints of a resource, without its name and age.
    fn columns(&self, kind: &str, name: &str) -> Vec<String> {
        let line = self.world.cluster.ok(&["get", kind, "-n", &self.name, name, "--no-headers"]);
        line.split_whitespace().skip(1).map(str::to_owned).filter(|cell| !is_age(cell)).collect()
    }

    /// The Events of a resource: type, reason and message of each. The newest comes a moment after the status.
    fn tells(&self, name: &str, events: &[&str]) {
        let of = format!("involvedObject.name={name}");
        let shape = r#"-o=jsonpath={range .items[*]}{.type} {.reason} {.message}{"\n"}{end}"#;
        wait_for(PATIENCE, || {
            let told = self.world.cluster.ok(&["get", "events", "-n", &self.name, "--field-selector", &of, shape]);
            let missing: Vec<_> =
                events.iter().filter(|event| !told.lines().any(|line| line.starts_with(**event))).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {name}: {told}")) }
        });
    }

    fn roll_back(&self, name: &str, reference: Value) -> Value {
        let spec = json!({"kafkaCluster": self.cluster_block(), "snapshotRef": reference});
        self.world.cluster.apply(&self.object("KafkaOffsetRollback", name, spec)).unwrap();
        let status = self.ends_as(ROLLBACKS, name, "Completed");
        assert_eq!(status["verification"]["allMatched"], true, "{status}");
        status
    }
}

/// For example `34s` or `2m10s`.
fn is_age(cell: &str) -> bool {
    cell.starts_with(|first: char| first.is_ascii_digit()) && cell.ends_with(['s', 'm'])
}

/// A lost topic comes back with its groups; a restore that only computes leads the same group into a copy once it is told to;
/// and both are taken back. No document names a place for saved offsets.
#[test]
fn the_documents_lead_groups_where_they_say() {
    let Some(world) = world() else { return };
    let team = world.team("documents", 200);
    let (topic, copy) = (team.topic.clone(), "documents-restored");
    team.brokers_at("kafka");
    team.brokers_at("dr-kafka");
    team.set("order-processor", &topic, &[30, 40]);
    team.backup("production-backup", json!({"consumerGroupSnapshot": true, "stopAtCurrentOffsets": true}));
    team.done(BACKUPS, "production-backup");
    load::delete(&world.kafka.bootstrap(), &topic);

    team.apply_as_printed(RESTORE_WITH_GROUPS);
    let status = team.ends_as(RESTORES, "restore-with-groups", "Completed");
    assert_eq!(team.offsets("order-processor", &topic), [Some(30), Some(40)], "{status}");
    assert!(status["message"].as_str().unwrap().contains("the offsets of 1 consumer group are committed"), "{status}");
    assert!(status["offsetMappingPath"].as_str().unwrap().ends_with("/offset-mapping.json"), "{status}");
    assert!(status["rollback"]["snapshotPath"].as_str().unwrap().contains("/saved/before-"), "{status}");
    assert_eq!((&status["rollback"]["rollbackAvailable"], &status["recordsRestored"]), (&json!(true), &json!(200)));
    assert_eq!(team.columns(RESTORES, "restore-with-groups"), ["Completed", "100", "200", "True"]);
    team.tells("restore-with-groups", &["Normal RunClaimed", "Normal RunCompleted Completed"]);

    // The full example, for brokers without TLS: a window, another name, and a plan of the offsets only.
    let time = |number: i64| jiff::Timestamp::from_millisecond(T0 + number).unwrap().to_string();
    let spec = json!({
        "backupRef": {"name": "production-backup"}, "kafkaCluster": {"bootstrapServers": ["kafka:9092"]},
        "topics": [topic], "topicMapping": {topic.clone(): copy}, "partitionMapping": {"0": 0},
        "pitr": {"startTime": time(40), "endTime": time(199)},
        "offsetReset": {"enabled": true, "consumerGroups": ["order-processor"], "strategy": "manual"},
        "rollback": {"snapshotBeforeRestore": true, "snapshotRetentionHours": 24, "autoRollbackOnFailure": false},
        "dryRun": false, "produceBatchSize": 1000, "produceAcks": -1, "produceTimeoutMs": 30000, "purgeTopics": false,
        "autoConsumerGroups": false, "createTopics": true, "defaultReplicationFactor": 1,
    });
    world.cluster.apply(&team.object("KafkaRestore", "production-restore", spec)).unwrap();
    let status = team.ends_as(RESTORES, "production-restore", "Completed");
    assert!(status["message"].as_str().unwrap().contains("are in status.plan and are not committed"), "{status}");
    assert!(status["plan"].as_str().unwrap().contains("order-processor"), "{status}");
    assert_eq!(team.offsets("order-processor", copy), [None, None], "{status}");
    assert_eq!(team.columns(RESTORES, "production-restore"), ["Completed", "100", "160", "True"]);

    team.apply_as_printed(RESET_AFTER_RESTORE);
    let status = team.ends_as(RESETS, "reset-after-restore", "Completed");
    assert_eq!(team.offsets("order-processor", copy), [Some(10), Some(20)], "{status}");
    assert_eq!(team.offsets("order-processor", &topic), [Some(30), Some(40)], "what it has of other topics stays");
    assert!(status["snapshotPath"].as_str().unwrap().contains(&format!("/{INSTALLATION}/")), "{status}");
    assert_eq!(team.columns(RESETS, "reset-after-restore")[..3], ["Completed", "1", "0"]);
    team.tells("reset-after-restore", &["Normal RunClaimed", "Normal RunCompleted Completed"]);

    let status = team.roll_back("undo-reset", json!({"name": "", "offsetResetRef": "reset-after-restore"}));
    assert_eq!(team.offsets("order-processor", copy), [None, None], "{status}");
    assert_eq!(team.columns(ROLLBACKS, "undo-reset")[..2], ["Completed", "1"]);
    let status = team.roll_back("undo-restore", json!({"name": "", "restoreRef": "restore-with-groups"}));
    assert_eq!(team.offsets("order-processor", &topic), [None, None], "as before the restore: {status}");
    team.tells("undo-restore", &["Normal RunCompleted Completed"]);
}

/// A consumer that lives in the way: what is told of a reset that did a part, and of a restore that put everything back.
#[test]
fn groups_that_are_in_use_are_told_of() {
    let Some(world) = world() else { return };
    let (team, bootstrap) = (world.team("used", 2_000), world.kafka.bootstrap());
    let topic = team.topic.clone();
    for group in ["used-idle", "used-live"] {
        team.set(group, &topic, &[100, 100]);
    }
    team.backup("nightly", json!({"consumerGroupSnapshot": true}));
    team.done(BACKUPS, "nightly");
    let live = member(&bootstrap, "used-live", &topic, "classic");
    let spec = json!({
        "kafkaCluster": team.cluster_block(), "consumerGroups": ["used-idle", "used-live"],
        "resetStrategy": "to-earliest", "continueOnError": true,
    });
    world.cluster.apply(&team.object("KafkaOffsetReset", "part", spec)).unwrap();
    let status = team.ends_as(RESETS, "part", "PartiallyCompleted");
    assert_eq!(team.offsets("used-idle", &topic), [Some(0), Some(0)], "{status}");
    assert_eq!(team.offsets("used-live", &topic), [Some(100), Some(100)]);
    assert_eq!(
        (&status["groupsTotal"], &status["groupsReset"], &status["groupsFailed"]),
        (&json!(2), &json!(1), &json!(1))
    );
    // Those that failed come first.
    let results = &status["groupResults"];
    let error = results[0]["error"].as_str().unwrap();
    assert!(results[0]["success"] == false && error.contains("client of used-live"), "{status}");
    assert_eq!(results[1], json!({"groupId": "used-idle", "success": true, "partitionsReset": 2}), "{status}");
    assert_eq!(team.columns(RESETS, "part")[..3], ["PartiallyCompleted", "1", "1"]);
    team.tells("part", &["Warning RunFailed RunFailed: KB2017"]);
    drop(live);

    // Slow enough that a consumer begins in the middle.
    let spec = json!({
        "backupRef": {"name": "nightly"}, "kafkaCluster": team.cluster_block(), "createTopics": true,
        "topicMapping": {topic.clone(): "used-back"}, "rateLimiting": {"recordsPerSec": 200}, "produceBatchSize": 50,
        "offsetReset": {"enabled": true, "consumerGroups": ["used-idle", "used-live"], "strategy": "auto"},
        "rollback": {"autoRollbackOnFailure": true},
    });
    world.cluster.apply(&team.object("KafkaRestore", "undone", spec)).unwrap();
    wait_for(PATIENCE, || {
        let begun = oracle::partitions(&bootstrap, "used-back") > 0 && oracle::end(&bootstrap, "used-back", 0) > 0;
        if begun { Ok(()) } else { Err("the restore to begin".to_owned()) }
    });
    let live = member(&bootstrap, "used-live", &topic, "consumer");
    let status = team.ends_as(RESTORES, "undone", "RolledBack");
    let message = status["message"].as_str().unwrap();
    assert!(message.contains("used-live") && message.contains("what they were before the restore"), "{status}");
    for group in ["used-idle", "used-live"] {
        assert_eq!(team.offsets(group, "used-back"), [None, None], "{group}: {status}");
    }
    assert_eq!(team.offsets("used-idle", &topic), [Some(0), Some(0)]);
    assert!(status["rollback"]["snapshotPath"].as_str().unwrap().contains("/saved/before-"), "{status}");
    assert_eq!(team.columns(RESTORES, "undone")[0], "RolledBack");
    team.tells("undone", &["Warning RunFailed RunFailed: KB2017"]);
    drop(live);
}

/// Offsets that are saved in a volume, by a restore and by a reset, and found there again by each reference.
#[test]
fn offsets_are_saved_in_a_volume_and_found_there() {
    let Some(world) = world() else { return };
    let (team, topic) = (world.team("kept", 100), "kept-back");
    team.set("kept-group", &team.topic, &[20, 30]);
    let folder = team.volume("positions");
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "positions", "namespace": "kept"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "kept-positions",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    });
    world.cluster.apply(&claim).unwrap();
    team.backup("nightly", json!({"consumerGroupSnapshot": true}));
    team.done(BACKUPS, "nightly");
    let more = json!({
        "backupRef": {"name": "nightly"}, "topicMapping": {team.topic.clone(): topic},
        "offsetReset": {"enabled": true, "consumerGroups": ["kept-group"], "strategy": "auto"},
        "rollback": {"snapshotStorage": {"pvcName": "positions", "subPath": "restores"}},
    });
    let status = team.restore("back", topic, more)["status"].clone();
    assert_eq!(team.offsets("kept-group", topic), [Some(20), Some(30)], "{status}");
    // Beside each lies a mark with its name.
    let is_json = |name: &str| std::path::Path::new(name).extension() == Some("json".as_ref());
    let saved = |under: &str| {
        let all = files(folder.path());
        let names: Vec<_> =
            all.iter().map(|(path, _)| path.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        let mut found =
            names.iter().filter(|name| name.starts_with(under) && is_json(name) && name.contains("/saved/before-"));
        (*found.next().unwrap_or_else(|| panic!("{names:?}"))).to_owned()
    };
    let of_restore = saved("restores/");
    assert!(of_restore.contains(status["rollback"]["snapshotId"].as_str().unwrap()), "{of_restore}: {status}");

    let spec = json!({
        "kafkaCluster": team.cluster_block(), "consumerGroups": ["kept-group"], "resetStrategy": "to-latest",
        "topics": [topic],
        "stateStorage": {"storageType": "pvc", "pvc": {"claimName": "positions", "subPath": "resets"}},
    });
    world.cluster.apply(&team.object("KafkaOffsetReset", "forward", spec)).unwrap();
    let status = team.ends_as(RESETS, "forward", "Completed");
    assert_eq!(team.offsets("kept-group", topic), [Some(50), Some(50)], "{status}");
    assert!(saved("resets/").contains(status["snapshotId"].as_str().unwrap()), "{status}");

    let status = team.roll_back("by-reset", json!({"name": "", "offsetResetRef": "forward"}));
    assert_eq!(team.offsets("kept-group", topic), [Some(20), Some(30)], "{status}");
    let status = team.roll_back("by-restore", json!({"name": "", "restoreRef": "back"}));
    assert_eq!(team.offsets("kept-group", topic), [None, None], "{status}");
    team.set("kept-group", topic, &[1, 1]);
    let path = saved("resets/");
    let status = team.roll_back("by-volume", json!({"name": "", "pvcName": "positions", "path": path}));
    assert_eq!(team.offsets("kept-group", topic), [Some(20), Some(30)], "{status}");
    assert_eq!(team.offsets("kept-group", &team.topic), [Some(20), Some(30)], "what it has in the source stays");
}
