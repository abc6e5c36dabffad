//! The whole of it on a real node: the manifests as a user applies them, the operator and the runner in pods made from
//! their images, a real broker and a real S3 server beside the cluster, and librdkafka as the judge of what came back.
//! Namespaces enforce the `restricted` level of Pod Security.

mod groups_of_pods;
mod queue_of_pods;
mod retention_of_pods;
mod validations_of_pods;

use std::sync::OnceLock;
use std::time::Duration;

use harness::cluster::{Cluster, HOST, NAMESPACE, NODE_TAKES_ROOT, PATIENCE, wait_for};
use harness::consumers::{commit, committed};
use harness::kafka::{Kafka, Options};
use harness::load::{self, Make, T0};
use harness::oracle;
use harness::pair::with;
use harness::s3::{ACCESS_KEY, S3, SECRET_KEY};
use harness::skip;
use serde_json::{Value, json};

const BACKUPS: &str = "kafkabackups.kafka.oso.sh";
const RESTORES: &str = "kafkarestores.kafka.oso.sh";
const RESETS: &str = "kafkaoffsetresets.kafka.oso.sh";
const ROLLBACKS: &str = "kafkaoffsetrollbacks.kafka.oso.sh";
/// Where the installation saves offsets, in each namespace with a Secret of its own.
const INSTALLATION: &str = "installation";

struct World {
    cluster: Cluster,
    kafka: Kafka,
    s3: S3,
}

/// One node, broker and store for all tests; `None` where no node can run.
fn world() -> Option<&'static World> {
    static SHARED: OnceLock<Option<World>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let cluster = Cluster::node()?;
        cluster.load_images();
        let kafka = Kafka::with(Options { host: HOST, ..Options::default() });
        let s3 = S3::start_at(HOST);
        cluster.install_manifests(&[("POSITIONS_STORAGE", &positions(&cluster, &s3))]);
        Some(World { cluster, kafka, s3 })
    });
    skip::or_noted(shared.as_ref(), NODE_TAKES_ROOT)
}

/// An S3-compatible endpoint, as the documents print it.
fn bucket(s3: &S3, prefix: &str) -> Value {
    json!({"storageType": "s3", "s3": {
        "bucket": "archive", "region": "us-east-1", "prefix": prefix, "pathStyle": true, "allowHttp": true,
        "endpoint": format!("http://{HOST}:{}", s3.port()), "credentialsSecret": {"name": "s3"},
    }})
}

/// What the chart gives the operator for its value `positions.storage`: without it the operator's variable is not there.
fn positions(cluster: &Cluster, s3: &S3) -> String {
    let value = format!("positions.storage={}", bucket(s3, INSTALLATION));
    let rendered = cluster.chart(&["--set-json", &value, "--show-only", "templates/deployment.yaml"]);
    let (_, rest) = rendered.split_once("{name: POSITIONS_STORAGE, value: ").unwrap_or_else(|| panic!("{rendered}"));
    serde_json::from_str(rest.lines().next().unwrap().strip_suffix('}').unwrap()).unwrap()
}

impl World {
    /// A namespace whose pods must be harmless, with the Secret of the store, and a topic of its own.
    fn team(&self, name: &str, records: i64) -> Team<'_> {
        let labels = json!({"pod-security.kubernetes.io/enforce": "restricted"});
        self.cluster
            .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))
            .unwrap();
        self.cluster
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3", "namespace": name},
                "stringData": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
            }))
            .unwrap();
        let team = Team { world: self, name: name.to_owned(), topic: format!("{name}-orders") };
        load::create(&self.kafka.bootstrap(), &team.topic, 2, 1, &[]);
        team.produce(0..records);
        team
    }
}

struct Team<'a> {
    world: &'a World,
    name: String,
    topic: String,
}

impl Team<'_> {
    /// In small batches, so that rates are kept and progress is saved on the way.
    fn produce(&self, numbers: std::ops::Range<i64>) {
        let records = numbers.map(|number| Make::new(number, i32::try_from(number % 2).unwrap()));
        load::produce(&self.world.kafka.bootstrap(), &self.topic, &[("batch.num.messages", "20")], records);
    }

    fn storage(&self) -> Value {
        bucket(&self.world.s3, &self.name)
    }

    /// Lets pods of this namespace reach the brokers at port 9092 of this name.
    fn brokers_at(&self, name: &str) {
        let port = self.world.kafka.port();
        let (ports, targets) = (json!([{"port": 9092, "targetPort": port}]), json!([{"addresses": [HOST]}]));
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": self.name},
            "spec": {"ports": ports},
        });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {
                "name": format!("{name}-1"), "namespace": self.name,
                "labels": {"kubernetes.io/service-name": name},
            },
            "ports": [{"port": port}], "endpoints": targets,
        });
        self.world.cluster.apply(&service).unwrap();
        self.world.cluster.apply(&slice).unwrap();
    }

    /// A folder as volume for a claim of this name, and for no other: its storage class begins with the namespace.
    fn volume(&self, claim: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        let name = format!("{}-{claim}", self.name);
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {
                "capacity": {"storage": "2Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": name,
                "hostPath": {"path": folder.path()}, "persistentVolumeReclaimPolicy": "Retain",
            },
        });
        self.world.cluster.apply(&volume).unwrap();
        folder
    }

    fn object(&self, kind: &str, name: &str, spec: Value) -> Value {
        json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": self.name},
            "spec": spec,
        })
    }

    fn cluster_block(&self) -> Value {
        json!({"bootstrapServers": [self.world.kafka.bootstrap()]})
    }

    fn backup(&self, name: &str, more: Value) {
        let spec = json!({"kafkaCluster": self.cluster_block(), "topics": [self.topic], "storage": self.storage()});
        self.world.cluster.apply(&self.object("KafkaBackup", name, with(spec, &more))).unwrap();
    }

    /// Restores into `target`, waits for the end, and returns the resource.
    fn restore(&self, name: &str, target: &str, more: Value) -> Value {
        let spec = json!({
            "kafkaCluster": self.cluster_block(), "createTopics": true, "topicMapping": {self.topic.clone(): target},
        });
        self.world.cluster.apply(&self.object("KafkaRestore", name, with(spec, &more))).unwrap();
        self.done(RESTORES, name)
    }

    fn done(&self, kind: &str, name: &str) -> Value {
        self.wait(kind, name, "completed", |object| {
            assert_ne!(object["status"]["phase"], "Failed", "{}", object["status"]);
            object["status"]["phase"] == "Completed"
        })
    }

    fn wait(&self, kind: &str, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(PATIENCE, || {
            let object = self.world.cluster.get(kind, &self.name, name);
            if is(&object) { Ok(object) } else { Err(format!("{what}: {}", object["status"])) }
        })
    }

    fn trigger(&self, name: &str, value: &str) {
        let annotation = format!("kafka.oso.sh/trigger-backup={value}");
        self.world.cluster.ok(&["annotate", "--overwrite", BACKUPS, "-n", &self.name, name, &annotation]);
    }

    /// What consumers see of the target is what they see of the source.
    fn assert_equal(&self, target: &str) -> u64 {
        let bootstrap = self.world.kafka.bootstrap();
        let source = oracle::digest(&bootstrap, &self.topic, None);
        let restored = oracle::digest(&bootstrap, target, Some(None));
        assert_eq!(source, restored, "{target}");
        restored.0
    }

    /// The newest pod of a resource that has not ended.
    fn working_pod(&self) -> String {
        wait_for(PATIENCE, || {
            let pods = self.world.cluster.list("pods", &self.name);
            let works =
                |pod: &&Value| pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null();
            let found = pods.iter().find(works).and_then(|pod| pod["metadata"]["name"].as_str().map(str::to_owned));
            found.ok_or_else(|| "no pod works".to_owned())
        })
    }
}

/// A backup once, and its restores: by name, by point, from its storage directly, and up to a time.
#[test]
fn a_backup_comes_back_in_every_way_that_is_documented() {
    let Some(world) = world() else { return };
    let team = world.team("once", 5_000);
    team.backup("nightly", json!({"consumerGroupSnapshot": true, "compression": "zstd"}));
    let backup = team.done(BACKUPS, "nightly");
    let status = &backup["status"];
    let point = status["backupId"].as_str().unwrap().to_owned();
    assert!(point.starts_with("nightly-20") && status["recordsProcessed"] == 5_000, "{status}");
    assert!(status["segmentsCompleted"].as_u64().unwrap() >= 1 && status["checkpointEnabled"] == true);

    let by_name = team.restore("by-name", "once-by-name", json!({"backupRef": {"name": "nightly", "backupId": point}}));
    assert_eq!(by_name["status"]["recordsRestored"], 5_000);
    assert!(by_name["status"]["segmentsProcessed"].as_u64().unwrap() >= 1, "{}", by_name["status"]);
    assert_eq!(team.assert_equal("once-by-name"), 5_000);
    team.restore(
        "direct",
        "once-direct",
        json!({"backupRef": {"name": "", "backupId": point, "storage": team.storage()}}),
    );
    assert_eq!(team.assert_equal("once-direct"), 5_000);

    // Record times go up by a millisecond with each record.
    let until = T0 + 999;
    let window = json!({"backupRef": {"name": "nightly", "backupId": point}, "pitr": {"endTimestamp": until}});
    let cut = team.restore("point-in-time", "once-cut", window);
    assert_eq!(cut["status"]["recordsRestored"], 1_000);
    let plan = json!({"backupRef": {"name": "nightly", "backupId": point}, "dryRun": true});
    let dry = team.restore("planned", "once-planned", plan);
    assert!(dry["status"]["message"].as_str().unwrap().contains("nothing was written"), "{}", dry["status"]);
}

/// The seeds' incremental backup: the second run moves only what is new, and the newest point has it all.
#[test]
fn an_incremental_backup_moves_only_what_is_new() {
    let Some(world) = world() else { return };
    let team = world.team("incremental", 3_000);
    let incremental =
        json!({"stopAtCurrentOffsets": true, "checkpoint": {"intervalSecs": 10}, "schedule": "0 0 0 1 1 *"});
    team.backup("hourly", incremental);
    team.trigger("hourly", "first");
    let first = team.done(BACKUPS, "hourly");
    assert_eq!(first["status"]["recordsProcessed"], 3_000);
    assert!(
        first["status"]["nextScheduledBackup"].as_str().unwrap().contains("-01-01T00:00:00Z"),
        "{}",
        first["status"]
    );
    team.produce(3_000..3_500);
    team.trigger("hourly", "second");
    let second = team.wait(BACKUPS, "hourly", "second run", |object| {
        object["status"]["phase"] == "Completed" && object["status"]["backupId"] != first["status"]["backupId"]
    });
    assert_eq!(second["status"]["recordsProcessed"], 500, "{}", second["status"]);
    // By its name: the newest point.
    team.restore("all", "incremental-all", json!({"backupRef": {"name": "hourly"}}));
    assert_eq!(team.assert_equal("incremental-all"), 3_500);
}

/// A schedule with seconds: ticks come, each with a point of its own.
#[test]
fn a_scheduled_backup_comes_at_its_ticks() {
    let Some(world) = world() else { return };
    let team = world.team("scheduled", 200);
    team.backup("often", json!({"schedule": "*/10 * * * * *", "stopAtCurrentOffsets": true}));
    let first = team.done(BACKUPS, "often")["status"]["backupId"].clone();
    let next = team.wait(BACKUPS, "often", "another tick", |object| {
        object["status"]["phase"] == "Completed" && object["status"]["backupId"] != first
    });
    assert!(next["status"]["lastScheduleTime"].as_str().unwrap().ends_with("0Z"), "{}", next["status"]);
    let pause = r#"{"spec":{"suspend":true}}"#;
    world.cluster.ok(&["patch", BACKUPS, "-n", "scheduled", "often", "--type=merge", "-p", pause]);
    team.wait(BACKUPS, "often", "paused", |object| object["status"]["nextScheduledBackup"].is_null());
}

/// A continuous backup whose pod is killed three times and whose node is drained: exact at the end.
#[test]
fn a_continuous_backup_survives_its_pods() {
    let Some(world) = world() else { return };
    let team = world.team("endless", 1_000);
    team.backup("stream", json!({"continuous": true, "checkpoint": {"intervalSecs": 2}}));
    let mut sent = 1_000;
    for round in 0..4 {
        let pod = team.working_pod();
        team.produce(sent..sent + 500);
        sent += 500;
        if round < 3 {
            world.cluster.ok(&["delete", "pod", "-n", "endless", &pod, "--force", "--grace-period=0"]);
        } else {
            let selector = "--pod-selector=kafka-backup.dev/owner-kind=KafkaBackup";
            world.cluster.ok(&[
                "drain",
                "node-1",
                "--force",
                "--delete-emptydir-data",
                "--ignore-daemonsets",
                selector,
                "--timeout=90s",
            ]);
            world.cluster.ok(&["uncordon", "node-1"]);
        }
    }
    team.working_pod();
    let running = team.wait(BACKUPS, "stream", "a point with everything", |object| {
        let points = object["status"]["recentPoints"].as_array();
        points.and_then(|points| points.last()).is_some_and(|point| point["records"] == sent)
    });
    // A runner that was told to stop is followed by another pod of its Job; the drained one by another attempt.
    assert!(running["status"]["run"]["attempt"].as_u64().unwrap() >= 2, "{}", running["status"]);
    let stop = r#"{"spec":{"suspend":true}}"#;
    world.cluster.ok(&["patch", BACKUPS, "-n", "endless", "stream", "--type=merge", "-p", stop]);
    team.wait(BACKUPS, "stream", "stopped", |object| object["status"]["run"]["outcome"] == "Stopped");
    team.restore("back", "endless-back", json!({"backupRef": {"name": "stream"}}));
    assert_eq!(team.assert_equal("endless-back"), u64::try_from(sent).unwrap());
}

/// A backup and a restore whose pods are killed three times each.
#[test]
fn runs_survive_their_pods() {
    let Some(world) = world() else { return };
    let team = world.team("killed", 12_000);
    let slow = json!({"rateLimiting": {"recordsPerSec": 400}, "checkpoint": {"intervalSecs": 1}, "stopAtCurrentOffsets": true});
    team.backup("slow", slow);
    let kill_three = || {
        let mut killed = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let pod = team.working_pod();
            std::thread::sleep(Duration::from_secs(3));
            world.cluster.ok(&["delete", "pod", "-n", "killed", &pod, "--force", "--grace-period=0"]);
            killed.insert(pod);
        }
        assert_eq!(killed.len(), 3, "each is followed by another: {killed:?}");
    };
    kill_three();
    let backup = team.done(BACKUPS, "slow");
    assert_eq!(backup["status"]["recordsProcessed"], 12_000, "of all its pods: {}", backup["status"]);
    let spec = json!({
        "kafkaCluster": team.cluster_block(), "createTopics": true, "topicMapping": {team.topic.clone(): "killed-back"},
        "backupRef": {"name": "slow"}, "rateLimiting": {"recordsPerSec": 400}, "produceBatchSize": 50,
    });
    world.cluster.apply(&team.object("KafkaRestore", "back", spec)).unwrap();
    kill_three();
    let restore = team.done(RESTORES, "back");
    assert_eq!(restore["status"]["recordsRestored"], 12_000, "by all its pods: {}", restore["status"]);
    assert_eq!(team.assert_equal("killed-back"), 12_000, "nothing lost, nothing doubled");
}

/// A volume as store, in a folder of its own; and brokers found by the cluster's name service.
#[test]
fn a_volume_is_a_store_and_names_are_looked_up() {
    let Some(world) = world() else { return };
    let team = world.team("volume", 1_500);
    let folder = team.volume("archive");
    team.brokers_at("kafka");
    let create = json!({"enabled": true, "size": "1Gi", "storageClassName": "volume-archive"});
    let storage =
        json!({"storageType": "pvc", "pvc": {"claimName": "archive", "subPath": "kafka/orders", "create": create}});
    let named = json!({"bootstrapServers": ["kafka.volume.svc.cluster.local:9092"]});
    team.backup("nightly", json!({"storage": storage, "kafkaCluster": named}));
    let backup = team.done(BACKUPS, "nightly");
    let point = backup["status"]["backupId"].as_str().unwrap();
    assert!(folder.path().join("kafka/orders").join(point).join("set.json").exists(), "{point}");
    team.restore("back", "volume-back", json!({"backupRef": {"name": "nightly", "backupId": point}}));
    assert_eq!(team.assert_equal("volume-back"), 1_500);
}

/// A Secret that is not there is named within a minute, and the run goes on when it comes.
#[test]
fn a_missing_secret_is_named_and_waited_for() {
    let Some(world) = world() else { return };
    let team = world.team("secret", 100);
    let mut storage = team.storage();
    storage["s3"]["credentialsSecret"]["name"] = "late".into();
    let begun = std::time::Instant::now();
    team.backup("nightly", json!({"storage": storage}));
    team.wait(BACKUPS, "nightly", "the missing Secret named", |object| {
        object["status"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("late") && text.contains("AWS_ACCESS_KEY_ID"))
    });
    println!("a missing Secret is named after {:?}", begun.elapsed());
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late", "namespace": "secret"},
        "stringData": {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY},
    });
    world.cluster.apply(&secret).unwrap();
    team.done(BACKUPS, "nightly");
}

/// The canaries of this suite: keys of the store. They are nowhere but in their Secrets.
#[test]
fn no_secret_shows_anywhere() {
    let Some(world) = world() else { return };
    let team = world.team("canary", 300);
    team.backup("nightly", json!({}));
    team.done(BACKUPS, "nightly");
    let mut seen = String::new();
    for kind in ["kafkabackups.kafka.oso.sh", "kafkarestores.kafka.oso.sh", "jobs", "pods", "events", "configmaps"] {
        seen += &world.cluster.ok(&["get", kind, "-A", "-o", "yaml"]);
    }
    for pod in world.cluster.list("pods", "canary") {
        let name = pod["metadata"]["name"].as_str().unwrap();
        seen += &world.cluster.ok(&["logs", "-n", "canary", name]);
    }
    for pod in world.cluster.list("pods", NAMESPACE) {
        let name = pod["metadata"]["name"].as_str().unwrap();
        seen += &world.cluster.ok(&["logs", "-n", NAMESPACE, name]);
        assert_eq!(pod["status"]["phase"], "Running");
    }
    assert!(seen.contains("canary-orders"), "the search sees what is there");
    for secret in [ACCESS_KEY, SECRET_KEY] {
        assert!(!seen.contains(secret), "{secret} shows");
    }
}

/// The full example of a restore: a backup of another namespace, a window, another name, other partitions.
#[test]
fn the_full_restore_of_the_documents_does_all_that_it_says() {
    let Some(world) = world() else { return };
    let source = world.team("full-source", 4_000);
    commit(&world.kafka.bootstrap(), "full-group", &source.topic, &[700, 800]);
    let more = json!({"stopAtCurrentOffsets": true, "sourceClusterId": "production", "consumerGroupSnapshot": true});
    source.backup("production-backup", more);
    let point = source.done(BACKUPS, "production-backup")["status"]["backupId"].clone();
    let allows = "kafka.oso.sh/restore-namespaces=full";
    world.cluster.ok(&["annotate", BACKUPS, "-n", "full-source", "production-backup", allows]);
    let team = world.team("full", 0);
    let time = |number: i64| jiff::Timestamp::from_millisecond(T0 + number).unwrap().to_string();
    let spec = json!({
        "backupRef": {"name": "production-backup", "namespace": "full-source", "backupId": point},
        "kafkaCluster": {
            "bootstrapServers": [world.kafka.bootstrap()],
            "connection": {"tcpKeepalive": true, "keepaliveTimeSecs": 60, "tcpNodelay": true, "connectionsPerBroker": 4},
        },
        "topics": [source.topic], "topicMapping": {source.topic.clone(): "restored-orders"}, "partitionMapping": {"0": 0},
        "repartitioning": {"restored-orders": {"strategy": "murmur2", "targetPartitions": 6}},
        "pitr": {"startTime": time(1_000), "endTime": time(2_999)},
        "rollback": {"snapshotBeforeRestore": true, "snapshotRetentionHours": 24, "autoRollbackOnFailure": false},
        "dryRun": false, "produceBatchSize": 1000, "produceAcks": -1, "produceTimeoutMs": 30000, "purgeTopics": false,
        "offsetReset": {"enabled": true, "consumerGroups": ["full-group"], "strategy": "auto"},
        "autoConsumerGroups": false, "createTopics": true, "defaultReplicationFactor": 1,
    });
    world.cluster.apply(&team.object("KafkaRestore", "production-restore", spec)).unwrap();
    let done = team.done(RESTORES, "production-restore");
    assert_eq!(done["status"]["recordsRestored"], 2_000, "{}", done["status"]);
    let text = done["status"]["message"].as_str().unwrap();
    assert!(text.contains("the offsets of 1 consumer group are committed"), "{text}");
    let path = done["status"]["rollback"]["snapshotPath"].as_str().unwrap();
    assert!(path.contains("_offsets") && path.contains("/saved/before-"), "{path}");
    assert!(done["status"]["rollback"]["expiresAt"].is_string(), "{}", done["status"]);
    let offsets = committed(&world.kafka.bootstrap(), "full-group", "restored-orders");
    assert_eq!(offsets.iter().flatten().count(), 6, "{offsets:?}");
    let bootstrap = world.kafka.bootstrap();
    assert_eq!(oracle::partitions(&bootstrap, "restored-orders"), 6);
    let content = |topic: &str, partitions: i32, strip: bool| {
        let mut all: Vec<_> = (0..partitions)
            .flat_map(|partition| oracle::read(&bootstrap, topic, partition, false))
            .map(|seen| if strip { seen.without_offset_headers(Some("production")) } else { seen })
            .filter(|seen| (T0 + 1_000..=T0 + 2_999).contains(&seen.timestamp))
            .map(|seen| (seen.timestamp, seen.key, seen.value))
            .collect();
        all.sort();
        all
    };
    let restored = content("restored-orders", 6, true);
    assert_eq!(restored.len(), 2_000);
    assert_eq!(restored, content(&source.topic, 2, false));
    // One key, one partition: as producers would have put it.
    let mut places = std::collections::BTreeMap::new();
    for partition in 0..6 {
        for seen in oracle::read(&bootstrap, "restored-orders", partition, false) {
            assert_eq!(*places.entry(seen.key).or_insert(partition), partition);
        }
    }
    assert!(places.values().collect::<std::collections::BTreeSet<_>>().len() > 3, "keys are spread");
    // Its groups are found again by what it wrote, also without its name.
    let path = done["status"]["offsetMappingPath"].as_str().unwrap_or_else(|| panic!("{}", done["status"]));
    assert!(path.starts_with("s3://") && path.ends_with("/offset-mapping.json"), "{path}");
    let block = json!({"kafkaCluster": team.cluster_block(), "consumerGroups": ["full-group"], "resetStrategy": "from-mapping"});
    for (name, more) in
        [("follow", json!({"offsetMappingRef": {"restoreName": "production-restore"}})), ("follow-newest", json!({}))]
    {
        commit(&bootstrap, "full-group", "restored-orders", &[0; 6]);
        let spec = with(with(block.clone(), &json!({"stateStorage": team.storage()})), &more);
        world.cluster.apply(&team.object("KafkaOffsetReset", name, spec)).unwrap();
        team.done(RESETS, name);
        let at = |list: Vec<Option<(i64, String)>>| list.into_iter().map(|at| at.map(|(at, _)| at)).collect::<Vec<_>>();
        assert_eq!(at(committed(&bootstrap, "full-group", "restored-orders")), at(offsets.clone()), "{name}");
    }
}

/// Two tiers on one cluster, in one bucket: what matters often, the rest seldom; neither disturbs the other.
#[test]
fn two_tiers_share_a_cluster_and_a_bucket() {
    let Some(world) = world() else { return };
    let team = world.team("tiers", 600);
    load::create(&world.kafka.bootstrap(), "tiers-bulk", 1, 1, &[]);
    load::produce(&world.kafka.bootstrap(), "tiers-bulk", &[], (0..400).map(|number| Make::new(number, 0)));
    let often = json!({"schedule": "*/10 * * * * *", "stopAtCurrentOffsets": true, "checkpoint": {"intervalSecs": 5}});
    team.backup("critical", often);
    team.backup("bulk", json!({"topics": ["tiers-bulk"], "schedule": "*/15 * * * * *", "stopAtCurrentOffsets": true}));
    let (critical, bulk) = (team.done(BACKUPS, "critical"), team.done(BACKUPS, "bulk"));
    assert!(critical["status"]["backupId"].as_str().unwrap().starts_with("critical-20"), "{}", critical["status"]);
    assert!(bulk["status"]["backupId"].as_str().unwrap().starts_with("bulk-20"), "{}", bulk["status"]);
    assert_eq!(bulk["status"]["recordsProcessed"], 400);
    for name in ["critical", "bulk"] {
        world.cluster.ok(&[
            "patch",
            BACKUPS,
            "-n",
            "tiers",
            name,
            "--type=merge",
            "-p",
            r#"{"spec":{"suspend":true}}"#,
        ]);
    }
    team.restore("critical", "tiers-critical-back", json!({"backupRef": {"name": "critical"}}));
    assert_eq!(team.assert_equal("tiers-critical-back"), 600);
}

/// A reset and its rollback as resources: the offsets move, the statuses say so, and they are what they were.
#[test]
fn committed_offsets_are_reset_and_put_back() {
    let Some(world) = world() else { return };
    let (team, bootstrap) = (world.team("positions", 100), world.kafka.bootstrap());
    for group in ["pos-a", "pos-b"] {
        commit(&bootstrap, group, &team.topic, &[20, 30]);
    }
    let at = |group: &str| {
        committed(&bootstrap, group, &team.topic).into_iter().map(|at| at.map(|(at, _)| at)).collect::<Vec<_>>()
    };
    let reset = |name: &str, more: Value| {
        let groups = json!(["pos-a", "pos-b"]);
        let spec =
            json!({"kafkaCluster": team.cluster_block(), "consumerGroups": groups, "resetStrategy": "to-latest"});
        world.cluster.apply(&team.object("KafkaOffsetReset", name, with(spec, &more))).unwrap();
    };
    reset("dry", json!({"dryRun": true, "stateStorage": team.storage()}));
    let plan = team.done(RESETS, "dry")["status"]["plan"].to_string();
    assert!(plan.contains("positions-orders/0: offset 20 -> offset 50 (end of the log)"), "{plan}");
    assert_eq!(at("pos-a"), [Some(20), Some(30)]);
    reset("forward", json!({"stateStorage": team.storage()}));
    let done = team.done(RESETS, "forward")["status"].clone();
    assert_eq!(at("pos-b"), [Some(50), Some(50)], "{done}");
    assert_eq!((&done["groupsTotal"], &done["groupsReset"], &done["groupsFailed"]), (&json!(2), &json!(2), &json!(0)));
    assert_eq!(done["groupResults"][0], json!({"groupId": "pos-a", "success": true, "partitionsReset": 2}), "{done}");
    assert!(done["snapshotPath"].as_str().unwrap().contains("/saved/before-"), "{done}");
    let rollback = |name: &str, reference: Value| {
        let spec =
            json!({"kafkaCluster": team.cluster_block(), "snapshotRef": reference, "stateStorage": team.storage()});
        world.cluster.apply(&team.object("KafkaOffsetRollback", name, spec)).unwrap();
        team.done(ROLLBACKS, name)["status"].clone()
    };
    let back = rollback("back", json!({"name": "", "offsetResetRef": "forward"}));
    assert_eq!((at("pos-a"), at("pos-b")), (vec![Some(20), Some(30)], vec![Some(20), Some(30)]), "{back}");
    assert_eq!(back["groupsRolledBack"], 2, "{back}");
    let verified = json!({"allMatched": true, "totalGroups": 2, "matchedGroups": 2, "mismatchedGroups": []});
    assert_eq!(back["verification"], verified, "{back}");
    commit(&bootstrap, "pos-a", &team.topic, &[1, 1]);
    rollback("by-name", json!({"name": done["snapshotId"]}));
    assert_eq!(at("pos-a"), [Some(20), Some(30)]);
    // It runs once: a change is refused.
    let error = world.cluster.apply(&team.object(
        "KafkaOffsetReset",
        "forward",
        json!({"kafkaCluster": team.cluster_block(), "consumerGroups": ["pos-a"], "resetStrategy": "to-latest", "stateStorage": team.storage()}),
    ));
    assert!(error.unwrap_err().contains("runs once"));
}
