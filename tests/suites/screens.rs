//! The plugin against a real cluster, through kubectl: the walk from an empty cluster to a restored topic, every command
//! once, rights, and what must not be seen anywhere.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};
use std::sync::OnceLock;

use harness::cluster::{NAMESPACE, NODE_TAKES_ROOT, PATIENCE, wait_for};
use harness::consumers::{commit, committed, first_of_each};
use harness::desk::{Desk, OPERATOR_IMAGE, RUNNER_IMAGE};
use harness::load::{self, Make};
use harness::oracle;
use harness::plugin::said;
use harness::process::signal;
use harness::s3::{ACCESS_KEY, SECRET_KEY};
use harness::skip;
use serde_json::{Value, json};

const BACKUPS: &str = "kafkabackups.kafka.oso.sh";

struct World {
    desk: Desk,
    walk: String,
}

/// One desk for all tests; the walk is done first, as it begins with an empty cluster. `None` where no node can run.
fn world() -> Option<&'static World> {
    static SHARED: OnceLock<Option<World>> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let mut world = World { desk: Desk::start()?, walk: String::new() };
        world.before_anything();
        world.walk = world.walk();
        Some(world)
    });
    skip::or_noted(shared.as_ref(), NODE_TAKES_ROOT)
}

impl std::ops::Deref for World {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl World {
    /// A cluster without definitions: what is missing is named.
    fn before_anything(&self) {
        let said = self.call(&["status"]);
        assert_eq!(said.code, 3, "{}{}", said.stdout, said.stderr);
        assert!(said.stderr.contains("does not know the kind") && said.stderr.contains("install"), "{}", said.stderr);
        let said = self.call(&["doctor"]);
        assert_eq!(said.code, 1, "{}{}", said.stdout, said.stderr);
        assert!(
            said.stdout.contains("FAIL  definitions") && said.stdout.contains("install --crds-only"),
            "{}",
            said.stdout
        );
    }

    /// The script that the README prints. What comes back is what was there.
    fn walk(&self) -> String {
        let bootstrap = self.kafka.bootstrap();
        load::create(&bootstrap, "orders", 2, 1, &[]);
        let records = (0..200).map(|number| Make::new(number, i32::try_from(number % 2).unwrap()));
        load::produce(&bootstrap, "orders", &[], records);
        commit(&bootstrap, "billing", "orders", &[30, 40]);
        let before = oracle::digest(&bootstrap, "orders", None);
        let lose = self.kafka.tool_line("org.apache.kafka.tools.TopicCommand", &["--delete", "--topic", "orders"]);
        let script = format!("{}/walk.sh", env!("CARGO_MANIFEST_DIR"));
        let output = self
            .command("bash")
            .arg(script)
            .envs([("KAFKA", bootstrap.as_str()), ("STORE", &self.store()), ("DISASTER", &lose)])
            .envs([("S3_KEY", ACCESS_KEY), ("S3_SECRET", SECRET_KEY)])
            .envs([("OPERATOR_IMAGE", OPERATOR_IMAGE), ("RUNNER_IMAGE", RUNNER_IMAGE)])
            .output()
            .unwrap();
        let text = both(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(oracle::digest(&bootstrap, "orders", None), before, "{text}");
        let at: Vec<_> =
            committed(&bootstrap, "billing", "orders").into_iter().map(|at| at.map(|(at, _)| at)).collect();
        assert_eq!(at, [Some(30), Some(40)], "{text}");
        // Its consumers go on: they are given what they had not read, and nothing again.
        let value = |number: i64| Make::new(number, 0).value;
        let first = first_of_each(&bootstrap, "billing", "orders", "classic");
        assert_eq!(first, [(0, value(60)), (1, value(81))].into(), "{text}");
        text
    }

    /// A kubeconfig of a new account that is bound to these roles in the namespace.
    fn account(&self, name: &str, roles: &[&str]) -> std::path::PathBuf {
        self.cluster.ok(&["create", "serviceaccount", "-n", "shop", name]);
        for role in roles {
            let (binding, role) = (format!("{name}-{role}"), format!("--clusterrole={role}"));
            let account = format!("--serviceaccount=shop:{name}");
            self.cluster.ok(&["create", "rolebinding", "-n", "shop", &binding, &role, &account]);
        }
        self.cluster.account("shop", name)
    }
}

fn both(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn point(world: &World) -> String {
    let backup = world.cluster.get(BACKUPS, "shop", "nightly");
    backup["status"]["backupId"].as_str().unwrap().to_owned()
}

#[test]
fn the_walk_shows_each_step() {
    let Some(world) = world() else { return };
    for words in [
        "deployment.apps/kafka-backup-operator applied",
        "the operator is ready: 2 of 2",
        "ok    admission    refuses what breaks a rule",
        "kafkabackup.kafka.oso.sh/nightly created",
        "kafkabackup.kafka.oso.sh/nightly triggered",
        "200 records",
        "recoverable",
        "orders: create, 2 partitions, 200 records",
        "Restore completed successfully",
        "verdict: whole",
        "committed offsets of 1 consumer group",
        "before-",
        "orders/0: offset 30 -> offset 0 (start of the log)",
    ] {
        assert!(world.walk.contains(words), "{words:?} is not in:\n{}", world.walk);
    }
}

#[test]
fn both_sources_give_the_same() {
    let Some(world) = world() else { return };
    let point = point(world);
    let at = "2020-01-01T00:00:00Z";
    for arguments in [
        &["browse", "nightly", "--fresh", "-o", "json"][..],
        &["browse", &point, "-o", "json"],
        &["browse", &point, "--groups", "-o", "json"],
        &["groups", "nightly", "-o", "json"],
        &["groups", "nightly", "--at", &point, "--group", "bill*", "-o", "jsonl"],
        &["timeline", "nightly", "--fresh", "--at", at, "-o", "yaml"],
        &["peek", &point, "orders", "-o", "jsonl", "--limit", "50", "--headers"],
        &["peek", &point, "orders", "-p", "1", "--offset", "7", "--limit", "2", "-o", "hex"],
        &["verify", &point, "-o", "json"],
    ] {
        let (through, direct) = (world.call(&[arguments, &["-n", "shop"]].concat()), world.call_store(arguments));
        // No point is as old as that moment: the answer is no.
        let code = i32::from(arguments.contains(&at));
        assert_eq!((through.code, direct.code), (code, code), "{arguments:?}: {}{}", through.stderr, direct.stderr);
        assert_eq!(through.stdout, direct.stdout, "{arguments:?}");
        assert!(!direct.stdout.is_empty(), "{arguments:?}");
    }
    // Every look takes its pod along. Other tests look, too.
    wait_for(PATIENCE, || {
        let all = world.cluster.list("kafkabackupinspections.kafka-backup.dev", "shop");
        let left = all.iter().filter(|one| one["metadata"]["name"].as_str().unwrap().starts_with("look-")).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    });
}

/// Whoever may not start a pod gets the list from the status, and it is the archive's.
#[test]
fn a_list_of_points_needs_no_pod() {
    let Some(world) = world() else { return };
    let viewer = world.account("viewer", &["kafka-backup-view"]);
    let points = |text: &str| serde_json::from_str::<Value>(text).unwrap()["items"][0]["points"].clone();
    let at = "2020-01-01T00:00:00Z";
    for arguments in [&["browse", "nightly"][..], &["timeline", "nightly", "--since", at]] {
        let arguments = [arguments, &["-n", "shop"]].concat();
        let told = world.call_as(&viewer, &[&arguments[..], &["-o", "json"]].concat());
        let read = world.call(&[&arguments[..], &["-o", "json", "--fresh"]].concat());
        assert_eq!(told.stderr, "", "documents come without remarks");
        assert_eq!(points(&told.ok()), points(&read.ok()), "{arguments:?}");
        let shown = world.call_as(&viewer, &arguments);
        assert!(shown.stderr.contains("--fresh reads the archive"), "{}", shown.stderr);
        assert!(shown.ok().contains("nightly"));
    }
}

#[test]
fn looking_and_reading_are_two_rights() {
    let Some(world) = world() else { return };
    let looker = world.account("looker", &["kafka-backup-inspect"]);
    let reader = world.account("reader", &["kafka-backup-inspect", "kafka-backup-peek"]);
    let stranger = world.account("stranger", &["kafka-backup-view"]);
    let browse = ["browse", "nightly", "-n", "shop", "-o", "name"];
    assert_eq!(world.call_as(&looker, &browse).ok().trim(), point(world));
    let peek = ["peek", "nightly", "orders", "-n", "shop", "--limit", "1", "-o", "jsonl"];
    let refused = world.call_as(&looker, &peek);
    assert_eq!((refused.code, refused.stdout.as_str()), (5, ""), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("may not peek") && refused.stderr.contains("kafka-backup-peek"),
        "{}",
        refused.stderr
    );
    assert!(world.call_as(&reader, &peek).ok().contains("\"value\""));
    let refused = world.call_as(&stranger, &[&browse[..], &["--fresh"]].concat());
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    let refused = world.call_as(&stranger, &["backup", "run", "nightly", "-n", "shop"]);
    assert_eq!(refused.code, 5, "{}", refused.stderr);
    assert!(refused.stderr.contains("kafka-backup-edit"), "{}", refused.stderr);
}

/// Where groups stand now is a right of its own: it takes the Secrets of the backup to its brokers.
#[test]
fn groups_are_shown_beside_where_they_stand_now() {
    let Some(world) = world() else { return };
    let looker = world.account("groups-looker", &["kafka-backup-inspect"]);
    let comparer = world.account("comparer", &["kafka-backup-inspect", "kafka-backup-compare"]);
    let groups = ["groups", "nightly", "-n", "shop", "--group", "billing"];
    let live = [&groups[..], &["--live"]].concat();
    let shown = world.call_as(&looker, &groups).ok();
    assert!(shown.contains("billing") && shown.contains("LOG END") && !shown.contains("BETWEEN"), "{shown}");
    let refused = world.call_as(&looker, &live);
    assert_eq!((refused.code, refused.stdout.as_str()), (5, ""), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("may not compare") && refused.stderr.contains("kafka-backup-compare"),
        "{}",
        refused.stderr
    );
    let told = world.call_as(&comparer, &[&live[..], &["-o", "json"]].concat()).ok();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["kind"], &told["live"]), (&json!("ConsumerGroupPositions"), &json!(true)), "{told}");
    let group = &told["groups"][0];
    assert!(group["group"] == "billing" && group["stateNow"].is_string(), "{told}");
    let positions = group["positions"].as_array().unwrap();
    assert!(positions.iter().any(|at| at["now"]["offset"].is_i64()), "{told}");
    let table = world.call_as(&comparer, &live).ok();
    assert!(table.contains("BETWEEN") && table.contains("billing"), "{table}");
}

/// How the source differs now is a right of its own: a pod reads its records with the Secrets of the backup, and shows none.
#[test]
fn a_point_is_shown_beside_its_source() {
    let Some(world) = world() else { return };
    let looker = world.account("diff-looker", &["kafka-backup-inspect"]);
    let differ = world.account("differ", &["kafka-backup-inspect", "kafka-backup-diff"]);
    let live = ["diff", "nightly", "-n", "shop", "--live", "--topic", "orders"];
    let refused = world.call_as(&looker, &live);
    assert_eq!((refused.code, refused.stdout.as_str()), (5, ""), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("may not diff") && refused.stderr.contains("kafka-backup-diff"),
        "{}",
        refused.stderr
    );
    let said = world.call_as(&differ, &[&live[..], &["-o", "json"]].concat());
    let told: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{error}: {}", said.stderr));
    assert_eq!(told["kind"], "SourceDifference", "{told}");
    // The walk deletes the topic and restores it: from then on it is another one, and that is told.
    let topic = &told["topics"][0];
    let is_same = topic["state"] == "same";
    assert!(is_same || topic["state"] == "recreated", "{told}");
    let same: u64 =
        topic["partitions"].as_array().unwrap().iter().map(|p| p["same"]["batches"].as_u64().unwrap()).sum();
    assert_eq!((same > 0, told["contradicts"] == true, said.code), (is_same, !is_same, i32::from(!is_same)), "{told}");
    let table = world.call_as(&differ, &live).stdout;
    assert!(table.contains("NOT ARCHIVED") && table.contains("orders"), "{table}");
}

/// A check is made where the run works: with its Secrets, its network, and names that only the cluster knows.
#[test]
fn a_check_shows_what_a_run_meets() {
    let Some(world) = world() else { return };
    let checker = world.account("checker", &["kafka-backup-check"]);
    let said = world.call_as(&checker, &["check", "nightly", "-n", "shop"]);
    let text = said.ok();
    for line in ["dns", "tcp", "api versions", "broker", "rights", "write and read", "create-if-absent", "delete"] {
        assert!(text.lines().any(|shown| shown.starts_with("ok ") && shown.contains(line)), "{line}: {text}");
    }
    assert!(!text.contains("FAIL"), "{text}");
    let lines = world.call_as(&checker, &["check", "nightly", "-n", "shop", "-o", "json"]).ok();
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).unwrap()["verdict"] != "fail"), "{lines}");
}

/// Whoever reaches the pod without its token gets nothing, and neither does its owner for another backup.
#[test]
fn another_token_gets_nothing() {
    let Some(world) = world() else { return };
    let token = "0123456789abcdef";
    let digest = blake3::hash(token.as_bytes()).to_hex().to_string();
    let object = json!({
        "apiVersion": "kafka-backup.dev/v1alpha1", "kind": "KafkaBackupInspection",
        "metadata": {"name": "by-hand", "namespace": "shop"},
        "spec": {"backupRef": {"name": "nightly"}, "tokenDigest": digest, "idleSecs": 30},
    });
    world.cluster.apply(&object).unwrap();
    let kind = "kafkabackupinspections.kafka-backup.dev";
    let ready = world.cluster.wait(kind, "shop", "by-hand", "ready", |object| object["status"]["phase"] == "Ready");
    let mut changed = object.clone();
    changed["spec"]["level"] = "peek".into();
    let refused = world.cluster.apply(&changed).unwrap_err();
    assert!(refused.contains("must stay as it is"), "{refused}");
    let pod = format!("pod/{}", ready["status"]["podName"].as_str().unwrap());
    let port = harness::process::free_port();
    let mut forward = world
        .command("kubectl")
        .args(["port-forward", "-n", "shop", &pod, &format!("{port}:8099")])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ask = |token: &str, question: &Value| {
        wait_for(PATIENCE, || harness::plugin::post(port, token, question).ok_or_else(|| "no answer".to_owned()))
    };
    let points = json!({"question": "points", "name": "nightly", "since": null});
    assert_eq!(ask("another", &points).0, 401);
    let (status, body) = ask(token, &points);
    assert!(status == 200 && body.contains("nightly-"), "{status} {body}");
    let other = json!({"question": "point", "name": "payroll"});
    assert_eq!(ask(token, &other).0, 403, "another backup of the same storage");
    let peek = json!({"question": "peek", "name": "nightly", "topic": "orders", "limit": 1, "partition": null,
        "offset": null, "at": null, "key": null});
    assert_eq!(ask(token, &peek).0, 403, "records were not asked for when it was made");
    // Nobody asks any more: it goes by itself, and its pod with it.
    wait_for(PATIENCE, || {
        let left = world.cluster.get(kind, "shop", "by-hand");
        if left.is_null() { Ok(()) } else { Err(format!("{}", left["status"])) }
    });
    forward.kill().unwrap();
    forward.wait().unwrap();
}

/// What records hold is seen by the one who asked, and stands nowhere else.
#[test]
fn records_leave_no_trace() {
    let Some(world) = world() else { return };
    let canary = "canary-6f1d0c";
    let bootstrap = world.kafka.bootstrap();
    load::create(&bootstrap, "secrets", 1, 1, &[]);
    let record = Make { value: Some(canary.as_bytes().to_vec()), ..Make::new(0, 0) };
    load::produce(&bootstrap, "secrets", &[], std::iter::once(record));
    let create = [
        "backup",
        "create",
        "secrets",
        "-n",
        "shop",
        "--from",
        "nightly",
        "--topics",
        "secrets",
        "--wait",
        "--timeout",
        "3m",
    ];
    let made = world.call(&create);
    assert_eq!(made.code, 0, "{}", made.stderr);
    let key = "canary-key-77";
    let none = world.call(&["peek", "secrets", "secrets", "-n", "shop", "--key", key]);
    assert_eq!(none.code, 1, "{}", none.stderr);
    let seen = world.call(&["peek", "secrets", "secrets", "-n", "shop", "-o", "raw"]).ok();
    assert!(seen.contains(canary), "{seen}");
    let mut places =
        vec![world.cluster.ok(&["logs", "-n", NAMESPACE, "deployment/kafka-backup-operator", "--all-pods"])];
    for kind in ["events", "jobs", "pods", BACKUPS, "kafkabackupinspections.kafka-backup.dev", "configmaps"] {
        places.push(world.cluster.ok(&["get", kind, "-A", "-o", "yaml"]));
    }
    places.push(world.cluster.audit());
    assert!(places.last().unwrap().contains("kafkabackupinspections"), "the audit log tells who looked");
    for text in &places {
        assert!(!text.contains(canary) && !text.contains(key));
    }
}

#[test]
fn schedules_and_status_tell_what_is() {
    let Some(world) = world() else { return };
    let status: Value =
        serde_json::from_str(&world.call(&["status", "nightly", "-n", "shop", "-o", "json"]).ok()).unwrap();
    assert_eq!(status["backups"][0]["health"], "ok", "{status}");
    assert_eq!(world.call(&["status", "nightly", "-n", "shop", "--exit-code"]).code, 0);
    assert!(world.call(&["status", "-A"]).ok().contains("shop/nightly"));
    let next: Value = serde_json::from_str(
        &world.call(&["schedule", "next", "nightly", "-n", "shop", "--count", "2", "-o", "json"]).ok(),
    )
    .unwrap();
    assert!(next["items"][0]["at"].as_str().unwrap().ends_with("T02:00:00Z"), "{next}");
    let dry = world.call(&["schedule", "suspend", "nightly", "-n", "shop", "--dry-run", "server"]).ok();
    assert!(dry.contains("suspended (server dry run)"), "{dry}");
    let dry = world.call(&["schedule", "suspend", "nightly", "-n", "shop", "--dry-run", "client", "-o", "yaml"]).ok();
    assert!(dry.contains("suspend: true"), "{dry}");
    assert_eq!(world.cluster.get(BACKUPS, "shop", "nightly")["spec"]["suspend"], false);
    assert!(world.call(&["schedule", "suspend", "nightly", "-n", "shop"]).ok().contains("nightly suspended"));
    assert!(world.call(&["schedule", "suspend", "nightly", "-n", "shop"]).ok().contains("unchanged"));
    let paused = wait_for(PATIENCE, || {
        let text = world.call(&["status", "nightly", "-n", "shop"]).ok();
        if text.contains("paused") { Ok(text) } else { Err(text) }
    });
    assert!(paused.contains("1 paused"), "{paused}");
    let asked = || {
        let object = world.cluster.get(BACKUPS, "shop", "nightly");
        object["metadata"]["annotations"].get("kafka.oso.sh/trigger-backup").cloned()
    };
    let before = asked();
    let dry = world.call(&["schedule", "trigger", "nightly", "-n", "shop", "--dry-run", "server"]).ok();
    assert!(dry.contains("triggered (server dry run)"), "{dry}");
    let dry = world.call(&["backup", "run", "nightly", "-n", "shop", "--dry-run", "client", "-o", "yaml"]).ok();
    assert!(dry.contains("kafka.oso.sh/trigger-backup"), "{dry}");
    assert_eq!(asked(), before, "dry runs keep nothing");
    let run = world.call(&["schedule", "trigger", "nightly", "-n", "shop", "--wait", "--timeout", "3m"]);
    assert_eq!(run.code, 0, "also while it is suspended: {}", run.stderr);
    assert_ne!(asked(), before);
    assert!(world.call(&["schedule", "resume", "nightly", "-n", "shop"]).ok().contains("nightly resumed"));
    let logs = world.call(&["logs", "nightly", "-n", "shop"]);
    assert_eq!(logs.code, 0, "{}", logs.stderr);
    assert!(logs.stdout.contains("RunCompleted"), "{}", logs.stdout);
    let kept = kept_log(world, BACKUPS, "nightly");
    assert!(kept.contains("\"event\":\"committed\"") && kept.contains("\"event\":\"finished\""), "{kept}");
}

/// What the archive tells of a run when its pod is gone.
fn kept_log(world: &World, kind: &str, name: &str) -> String {
    let uid = world.cluster.get(kind, "shop", name)["metadata"]["uid"].as_str().unwrap().to_owned();
    let own = format!("kafka-backup.dev/owner-uid={uid}");
    world.cluster.ok(&["delete", "jobs", "-n", "shop", "-l", &own, "--cascade=foreground"]);
    wait_for(PATIENCE, || {
        let said = world.call(&["logs", name, "-n", "shop", "-o", "raw"]);
        let gone = said.stderr.contains("read from the archive");
        if said.code == 0 && gone { Ok(said.stdout) } else { Err(said.stderr) }
    })
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let Some(world) = world() else { return };
    let inspections = "kafkabackupinspections.kafka-backup.dev";
    let names = || -> Vec<String> {
        let all = world.cluster.list(inspections, "shop");
        all.iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    let mut watching = world
        .command("kubectl")
        .args(["kafka-backup", "browse", "nightly", "-n", "shop", "-w"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("POINT"));
    let before = names();
    assert!(!before.is_empty());
    signal(watching.id(), "INT");
    assert_eq!(watching.wait().unwrap().code(), Some(130));
    // Other tests look at the same time; theirs go, too.
    wait_for(PATIENCE, || {
        let left: Vec<_> = names().into_iter().filter(|name| before.contains(name)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn a_plan_is_kept_or_refused() {
    let Some(world) = world() else { return };
    let bootstrap = world.kafka.bootstrap();
    let target = ["--from", "nightly", "--topics", "orders", "--map", "orders=planned", "--create-topics"];
    let plan = |more: &[&str]| world.call(&[&["restore", "plan", "-n", "shop"][..], &target, more].concat());
    let first: Value = serde_json::from_str(&plan(&["-o", "json"]).ok()).unwrap();
    let seen = first["fingerprint"].as_str().unwrap().to_owned();
    assert!(first["plan"].as_str().unwrap().contains("orders -> planned: create"), "{first}");
    assert_eq!(first["details"]["topics"][0]["records"], 200, "{first}");
    load::create(&bootstrap, "planned", 2, 1, &[]);
    load::produce(&bootstrap, "planned", &[], std::iter::once(Make::new(0, 0)));
    let create = |name: &str, more: &[&str]| {
        let wait = ["--wait", "--timeout", "3m"];
        world.call(&[&["restore", "create", name, "-n", "shop"][..], &target, &wait, more].concat())
    };
    let stale = create("stale", &["--plan-fingerprint", &seen]);
    assert_eq!(stale.code, 1, "{}", stale.stderr);
    assert!(stale.stderr.contains("KB5008"), "{}", stale.stderr);
    let blocked = plan(&[]);
    assert_eq!(blocked.code, 1, "{}{}", blocked.stdout, blocked.stderr);
    assert!(blocked.stdout.contains("refused (KB5001)"), "{}", blocked.stdout);
    let unasked = create("purge", &["--purge-topics"]);
    assert_eq!(unasked.code, 5, "off a terminal, deleting needs --yes: {}", unasked.stderr);
    let purged = create("purge", &["--purge-topics", "--yes"]);
    assert_eq!(purged.code, 0, "{}", purged.stderr);
    let restored = world.cluster.get("kafkarestores.kafka.oso.sh", "shop", "purge");
    assert_eq!(restored["status"]["recoveryPoint"], first["details"]["point"], "{restored}");
    let kept = kept_log(world, "kafkarestores.kafka.oso.sh", "purge");
    assert!(kept.contains("\"event\":\"planned\"") && kept.contains("\"event\":\"finished\""), "{kept}");
    let listed = world.cluster.list("kafkarestores.kafka.oso.sh", "shop");
    assert!(listed.iter().all(|one| !one["metadata"]["name"].as_str().unwrap().starts_with("plan-")), "plans go");
    let late = world.call(&[
        "restore",
        "create",
        "slow",
        "-n",
        "shop",
        "--from",
        "nightly",
        "--topics",
        "orders",
        "--map",
        "orders=slow",
        "--create-topics",
        "--wait",
        "--timeout",
        "1s",
    ]);
    assert_eq!(late.code, 4, "{}", late.stderr);
}

#[test]
fn mistakes_name_the_way_out() {
    let Some(world) = world() else { return };
    for (arguments, code, words) in [
        (&["status", "nightyl", "-n", "shop"][..], 2, &["nightyl", "did you mean `nightly`?"][..]),
        (&["backup", "run", "nightly"], 2, &["not in namespace `default`", "add `-n shop`"]),
        (&["browse", "nightyl", "-n", "shop"], 2, &["did you mean `nightly`?"]),
        (&["browse", "nightly-20200101-000000", "-n", "shop"], 2, &["KB4004"]),
        (&["status", "--context", "nowhere"], 3, &["nowhere", "--context"]),
        (&["status", "--kubeconfig", "/no/such/file"], 3, &["/no/such/file"]),
        (
            &["backup", "create", "x", "-n", "shop", "--from", "nightly", "--schedule", "often"],
            5,
            &["spec.schedule", "often"],
        ),
        (&["backup", "create", "Bad_Name", "-n", "shop", "--from", "nightly"], 5, &["Bad_Name"]),
        (&["backup", "create", "nightly", "-n", "shop", "--from", "nightly"], 5, &["already exists"]),
    ] {
        let said = world.call(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{arguments:?}: {}", said.stderr);
        assert!(words.iter().all(|word| said.stderr.contains(word)), "{arguments:?}: {}", said.stderr);
    }
    let mut gone = world.command("kubectl");
    let nobody = world.home().join("nobody");
    let text = std::fs::read_to_string(world.cluster.kubeconfig()).unwrap();
    let server = text.lines().find(|line| line.contains("server:")).unwrap();
    std::fs::write(&nobody, text.replace(server, "    server: https://127.0.0.1:1")).unwrap();
    let said = said(gone.args(["kafka-backup", "status", "--request-timeout", "2s"]).env("KUBECONFIG", &nobody));
    assert_eq!(said.code, 3, "{}", said.stderr);
    assert!(said.stderr.contains("--context"), "{}", said.stderr);
}

#[test]
fn files_and_versions_are_judged_by_the_cluster() {
    let Some(world) = world() else { return };
    let file = world.home().join("backup.yaml");
    let good = world.call(&[
        "backup",
        "create",
        "judged",
        "--bootstrap-servers",
        "kafka:9092",
        "--topics",
        "orders",
        "--storage",
        "pvc://claim",
        "--dry-run",
        "client",
        "-o",
        "yaml",
    ]);
    std::fs::write(&file, good.ok()).unwrap();
    let name = file.to_str().unwrap();
    assert_eq!(world.call(&["validate", "-f", name, "--server", "-n", "shop"]).code, 0);
    // A kustomization, by kubectl's own kustomize.
    let folder = file.parent().unwrap();
    let resource = file.file_name().unwrap().to_str().unwrap();
    let kustomization = json!({"resources": [resource], "namePrefix": "prod-"});
    std::fs::write(folder.join("kustomization.yaml"), kustomization.to_string()).unwrap();
    let made = world.call(&["validate", "-k", folder.to_str().unwrap()]);
    assert!(made.code == 0 && made.stderr.contains("1 resource: 0 errors"), "{} {}", made.code, made.stderr);
    let wrong = std::fs::read_to_string(&file).unwrap().replace("claimName: claim", "claimNamee: claim");
    std::fs::write(&file, wrong).unwrap();
    let said = world.call(&["validate", "-f", name, "--server", "-n", "shop"]);
    assert_eq!(said.code, 1, "{}", said.stderr);
    assert!(said.stdout.contains("claimNamee") && said.stdout.contains("the API server"), "{}", said.stdout);
    let version: Value = serde_json::from_str(&world.call(&["version", "-o", "json"]).ok()).unwrap();
    assert_eq!((version["operator"].as_str(), version["runner"].as_str()), (Some(OPERATOR_IMAGE), Some(RUNNER_IMAGE)));
    let mut complete = world.command("kubectl");
    let folder = format!("{}/../krew", env!("CARGO_MANIFEST_DIR"));
    complete.args(["__complete", "kafka-backup", "status", "-n", "shop", "nigh"]);
    let live = harness::plugin::said(complete.env("PATH", format!("{folder}:{}", world.path()))).ok();
    assert!(live.starts_with("nightly\n"), "{live}");
    let dry = world.call(&["backup", "create", "dry", "-n", "shop", "--from", "nightly", "--dry-run", "server"]);
    // The store of these tests has no TLS, and admission says so.
    assert_eq!((dry.code, dry.stderr.contains("is plain HTTP")), (0, true), "{}", dry.stderr);
    assert!(dry.stdout.contains("server dry run"), "{}", dry.stdout);
    assert!(world.cluster.get(BACKUPS, "shop", "dry").is_null());
    let doctor = world.call(&["doctor", "-n", "shop"]);
    for name in ["operator", "version", "leader", "webhook", "certificate", "admission", "rights", "clock"] {
        assert!(doctor.stdout.contains(&format!("ok    {name} ")), "{name}: {}", doctor.stdout);
    }
    let removal = world.call(&["uninstall"]).ok();
    assert!(
        removal.contains("deployment.apps/kafka-backup-operator") && !removal.contains("customresource"),
        "{removal}"
    );
    assert_eq!(world.call(&["uninstall", "--apply", "--crds"]).code, 5);
}
