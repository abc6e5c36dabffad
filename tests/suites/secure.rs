//! Every way to log in, each wrong way with its own clear error, and no secret anywhere it does not belong.

use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use harness::consumers::commit;
use harness::kafka::{Kafka, Options};
use harness::load::{self, Make};
use harness::oracle;
use harness::runner::{Bench, files};
use serde_json::{Value, json};

static KAFKA: LazyLock<Kafka> = LazyLock::new(|| {
    let kafka = Kafka::with(Options { secure: true, ..Options::default() });
    load::create(&kafka.bootstrap(), "s-topic", 2, 1, &[]);
    load::produce(&kafka.bootstrap(), "s-topic", &[], (0..100).map(|n| Make::new(n, i32::try_from(n % 2).unwrap())));
    kafka
});

/// A bench whose secrets folder holds users, passwords and certificates.
fn bench() -> Bench {
    let bench = Bench::new();
    let write = |name: &str, text: &str| std::fs::write(bench.dir.path().join(name), text).unwrap();
    for user in ["admin", "alice", "bob"] {
        write(&format!("{user}-name"), user);
        write(&format!("{user}-password"), &format!("{user}-secret\n"));
    }
    write("wrong-password", "canary-wrong-password");
    for file in ["ca.pem", "alice.pem", "alice.key", "stranger.pem", "stranger.key"] {
        std::fs::copy(KAFKA.certs().join(file), bench.dir.path().join(file)).unwrap();
    }
    bench
}

fn spec(bench: &Bench, port: u16, protocol: &str, more: &Value) -> Value {
    let mut spec = bench.backup("secure", &format!("localhost:{port}"), json!({"topics": ["s-topic"]}));
    spec["kafka"]["securityProtocol"] = protocol.into();
    spec["kafka"]["connection"] = json!({"retryDeadlineMs": 5000});
    for (key, value) in more.as_object().unwrap() {
        spec["kafka"][key] = value.clone();
    }
    spec
}

fn sasl(mechanism: &str, user: &str) -> Value {
    json!({"mechanism": mechanism, "usernameFile": format!("{user}-name"), "passwordFile": format!("{user}-password")})
}

#[test]
fn every_mechanism_over_plaintext_and_tls() {
    let bench = bench();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let plain = spec(&bench, KAFKA.sasl_port(), "SASL_PLAINTEXT", &json!({"sasl": sasl(mechanism, "admin")}));
        let report = bench.run(&plain).ok().report();
        assert_eq!(report["records"].as_u64(), Some(100));
        let warned = report["warnings"].to_string().contains("sends the password as it is");
        assert_eq!(warned, mechanism == "PLAIN", "{report}");
        let more = json!({"sasl": sasl(mechanism, "admin"), "tls": {"caFile": "ca.pem"}});
        let tls = spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &more);
        let report = bench.run(&tls).ok().report();
        assert_eq!(report["records"].as_u64(), Some(100));
        assert!(!report["warnings"].to_string().contains("sends the password"), "{report}");
    }
}

#[test]
fn a_restore_over_sasl_and_tls() {
    let bench = bench();
    let more = json!({"sasl": sasl("SCRAM-SHA-512", "admin"), "tls": {"caFile": "ca.pem"}});
    let mut backup = spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &more);
    let report = bench.run(&backup).ok().report();
    backup["backup"] = Value::Null;
    backup["restore"] =
        json!({"from": report["point"], "topicMapping": {"s-topic": "s-restored"}, "includeOffsetHeaders": false});
    bench.run(&backup).ok();
    let digest = |topic: &str| oracle::digest(&KAFKA.bootstrap(), topic, None);
    assert_eq!(digest("s-topic"), digest("s-restored"));
}

/// A Strimzi cluster whose status points at these brokers: what discovery makes of it is what they take, for each way to log in, and
/// a restore by the same way brings back what was there.
#[test]
fn clusters_of_strimzi_are_reached_as_their_resources_say() {
    use api::lower::{Identity, strimzi as lower};
    use api::strimzi::discovery::{Login, Place, brokers, user_login};
    use api::strimzi::{AuthenticationType, ClusterRef, Documented, KafkaBackupSpec, KafkaRestoreSpec};
    let bench = bench();
    let ca = std::fs::read_to_string(KAFKA.certs().join("ca.pem")).unwrap();
    let listener = |name: &str, tls: bool, authentication: Value| json!({"name": name, "type": "internal", "tls": tls, "authentication": authentication});
    let status = |name: &str, port: u16| json!({"name": name, "bootstrapServers": format!("localhost:{port}"), "certificates": [ca]});
    let kafka = json!({
        "spec": {"kafka": {"listeners": [
            listener("plain", false, Value::Null), listener("mutual", true, json!({"type": "tls"})),
            listener("login", true, json!({"type": "scram-sha-512"})),
        ]}},
        "status": {"listeners": [
            {"name": "plain", "bootstrapServers": KAFKA.bootstrap()}, status("mutual", KAFKA.mtls_port()),
            status("login", KAFKA.sasl_tls_port()),
        ]},
    });
    for (from, to) in
        [("admin-password", "admin/password"), ("alice.pem", "alice/user.crt"), ("alice.key", "alice/user.key")]
    {
        let (from, to) = (bench.dir.path().join(from), bench.dir.path().join(to));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
    let cluster: ClusterRef = serde_json::from_value(json!({"name": "events"})).unwrap();
    let place = Place { cluster: &cluster, own: "shop" };
    let user = |name: &str, kind: &str| json!({"spec": {"authentication": {"type": kind}}, "status": {"username": name, "secret": name}});
    let reached = |wanted: Option<(AuthenticationType, Value)>| {
        let login =
            wanted.as_ref().map_or(Login::Nobody, |(kind, user)| user_login(place, *kind, "user", user).unwrap());
        brokers(place, &kafka, wanted.map(|(kind, _)| kind), &login).unwrap()
    };
    let identity = |name: &str| Identity { namespace: "shop".into(), name: name.into(), run: None };
    let storage = bench.backup("x", "localhost:1", json!({"topics": ["x"]}))["storage"].clone();
    let backup: KafkaBackupSpec = serde_json::from_value(json!({
        "strimziClusterRef": {"name": "events"}, "topics": {"include": ["s-top.*"]}, "backup": {"compression": "gzip"},
        "storage": {"type": "filesystem", "filesystem": {"path": "claim"}},
    }))
    .unwrap();
    let scram = (AuthenticationType::ScramSha512, user("admin", "scram-sha-512"));
    let mutual = (AuthenticationType::Tls, user("alice", "tls"));
    for (name, wanted) in [("nobody", None), ("login", Some(scram.clone())), ("mutual", Some(mutual))] {
        let run = lower::backup::<Documented>(identity(name), &backup, reached(wanted)).unwrap();
        let mut run = serde_json::to_value(run).unwrap();
        run["storage"] = storage.clone();
        let ran = bench.run(&run);
        if name == "mutual" {
            // The broker knows the certificate: what its user may do is another test's.
            assert!(ran.code == 0 || !ran.stdout.contains("KB2003"), "{}", ran.stdout);
        } else {
            assert_eq!(ran.ok().report()["records"].as_u64(), Some(100), "{name}");
        }
    }
    let restore: KafkaRestoreSpec = serde_json::from_value(json!({
        "strimziClusterRef": {"name": "events"}, "backupRef": {"name": "login"}, "consumerGroups": {"restore": true},
        "topicMapping": [{"sourceTopic": "s-topic", "targetTopic": "s-of-strimzi"}],
    }))
    .unwrap();
    let owner = contract::SetOwner { name: "login".into(), namespace: Some("shop".into()), cluster_id: None };
    let source = lower::Source { spec: &backup, owner };
    let run = lower::restore::<Documented>(identity("back"), &restore, reached(Some(scram)), source).unwrap();
    let mut run = serde_json::to_value(run).unwrap();
    run["storage"] = storage;
    bench.run(&run).ok();
    let digest = |topic: &str| oracle::digest(&KAFKA.bootstrap(), topic, None);
    assert_eq!(digest("s-topic"), digest("s-of-strimzi"), "as it was, without headers of ours");
}

#[test]
fn mutual_tls_and_missing_rights() {
    let bench = bench();
    let identity = |who: &str| json!({"tls": {"caFile": "ca.pem", "certificateFile": format!("{who}.pem"), "keyFile": format!("{who}.key")}});
    let alice = spec(&bench, KAFKA.mtls_port(), "SSL", &identity("alice"));
    bench.run(&alice).fails("KB2004", 4, &["s-topic", "Describe"]);
    let acl = |operation: &str| {
        let bootstrap = KAFKA.bootstrap();
        let arguments = [
            "--bootstrap-server",
            &bootstrap,
            "--add",
            "--allow-principal",
            "User:alice",
            "--operation",
            operation,
            "--topic",
            "s-topic",
        ];
        KAFKA.tool("org.apache.kafka.tools.AclCommand", &arguments);
    };
    acl("Read");
    std::thread::sleep(Duration::from_millis(500));
    // Records matter more than configs: whoever verifies or restores the point is told that they are not known.
    let report = bench.run(&alice).ok().report();
    assert_eq!(report["records"].as_u64(), Some(100));
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("configs of topic s-topic are not in the archive"), "{warnings}");
    assert!(warnings.contains("grant DescribeConfigs"), "{warnings}");
    let verified = bench.call("verify", &alice, &[report["point"].as_str().unwrap()]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(verified.stdout.contains("configs of topic s-topic are not known"), "{}", verified.stdout);
    let restore = json!({"from": report["point"], "topicMapping": {"s-topic": "s-without"}, "dryRun": true});
    let planned = bench.run(&bench.restore("without", &KAFKA.bootstrap(), restore)).ok().report();
    let warnings = planned.to_string();
    assert!(warnings.contains("the configs of topic s-topic are not known"), "{warnings}");
    acl("DescribeConfigs");
    std::thread::sleep(Duration::from_millis(500));
    // Reading the source needs no right to write anything (P16).
    assert_eq!(bench.run(&alice).ok().report()["records"].as_u64(), Some(100));
    bench.run(&spec(&bench, KAFKA.mtls_port(), "SSL", &identity("stranger"))).fails("KB2003", 4, &["certificate"]);
    bench.run(&spec(&bench, KAFKA.mtls_port(), "SSL", &json!({"tls": {"caFile": "ca.pem"}}))).fails(
        "KB2003",
        4,
        &["certificate"],
    );
}

/// A check says which right is missing on which topic, whose positions cannot be read, and what the certificate says, before
/// a run finds out.
#[test]
fn a_check_tells_rights_topic_by_topic_and_certificates() {
    let (bench, bootstrap) = (bench(), KAFKA.bootstrap());
    for name in ["k-read", "k-configs", "k-seen"] {
        load::create(&bootstrap, name, 1, 1, &[]);
    }
    for (topic, rights) in [
        ("k-read", &["Read", "DescribeConfigs"][..]),
        ("k-configs", &["Read"]),
        ("k-seen", &["Describe", "DescribeConfigs"]),
    ] {
        let mut arguments =
            vec!["--bootstrap-server", &bootstrap, "--add", "--force", "--allow-principal", "User:alice"];
        arguments.extend(rights.iter().flat_map(|right| ["--operation", *right]));
        KAFKA.tool("org.apache.kafka.tools.AclCommand", &[&arguments[..], &["--topic", topic]].concat());
    }
    std::thread::sleep(Duration::from_millis(500));
    let more = json!({"sasl": sasl("PLAIN", "alice"), "tls": {"caFile": "ca.pem"}});
    let mut spec = spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &more);
    spec["backup"] = json!({"topics": ["k-*"], "consumerGroupSnapshot": true});
    let checked = bench.call("check", &spec, &[]);
    let says = |line: &str| assert!(checked.stdout.contains(line), "{line:?} is not in:\n{}", checked.stdout);
    says("  FAIL  topic k-seen: this user may not Read; grant Read on the topic\n");
    says("  note  topic k-configs: this user may not DescribeConfigs");
    says("  ok    this user may do all that is needed to 2 topics: k-configs, k-read\n");
    says("  note  groups that this user may not describe are left out without a word");
    says("  ok    certificate of broker 1: for localhost, 127.0.0.1; signed by CN=test-ca; 29 days left\n");
    let json = bench.call("check", &spec, &["-o", "json"]);
    let said: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &said["failure"]["code"]), (4, &json!("KB2004")), "{said}");
    let lines = said["checks"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["check"] == "rights" && line["verdict"] == "fail"), "{said}");
    checked.fails("KB2004", 4, &["topic k-seen", "grant Read"]);
    // Who may do all of it is told so, too.
    spec["backup"] = json!({"topics": ["k-read", "k-configs"]});
    let good = bench.call("check", &spec, &[]).ok();
    assert!(!good.stdout.contains("FAIL"), "{}", good.stdout);
}

/// What the pod of `kubectl kafka-backup check` answers, asked of a real runner: every step has its line, at once as it is
/// known, and what fails has its code.
#[test]
fn the_pod_of_a_check_says_each_step() {
    let bench = bench();
    let more = json!({"sasl": sasl("SCRAM-SHA-512", "admin"), "tls": {"caFile": "ca.pem"}});
    let good = spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &more);
    let lines = checked(&bench, &good);
    let of = |part: &str, check: &str| {
        let line = lines.iter().find(|line| line["part"] == part && line["check"] == check);
        line.unwrap_or_else(|| panic!("no {part} {check} in {lines:#?}"))
    };
    for check in ["dns", "tcp", "login", "api versions", "broker", "tls", "topics", "rights"] {
        assert_eq!(of("kafka", check)["verdict"], "ok", "{lines:#?}");
    }
    for check in ["open", "write and read", "clock", "create-if-absent", "multipart", "lists", "overwrite", "delete"] {
        assert_eq!(of("storage", check)["verdict"], "ok", "{lines:#?}");
    }
    assert!(lines.iter().all(|line| line["verdict"] != "fail"), "{lines:#?}");
    assert!(!files(&bench.archive()).iter().any(|(path, _)| path.starts_with("_check")), "it removes what it wrote");

    let mut bad = good.clone();
    bad["kafka"]["sasl"]["passwordFile"] = "wrong-password".into();
    bad["storage"]["path"] = bench.dir.path().join("nowhere").to_str().unwrap().into();
    let lines = checked(&bench, &bad);
    let failed: Vec<_> = lines.iter().filter(|line| line["verdict"] == "fail").collect();
    let codes: Vec<_> =
        failed.iter().map(|line| (line["check"].as_str().unwrap(), line["code"].as_str().unwrap())).collect();
    assert!(codes.contains(&("login", "KB2002")) && codes.contains(&("open", "KB3003")), "{codes:?}");
    assert!(!format!("{lines:?}").contains("canary"), "no password stands in a line");
    bad["kafka"]["sasl"]["passwordFile"] = "absent".into();
    let lines = checked(&bench, &bad);
    assert!(lines.iter().any(|line| line["check"] == "secret" && line["code"] == "KB3006"), "{lines:#?}");
}

/// Where a store is, whether somebody listens there, and the certificates of all sides, ours too: a line each.
#[test]
fn the_pod_of_a_check_looks_at_stores_and_at_our_own_certificate() {
    let (bench, store) = (bench(), harness::s3::S3::start_with_tls(&KAFKA.certs(), "broker"));
    let tls = json!({"tls": {"caFile": "ca.pem", "certificateFile": "alice.pem", "keyFile": "alice.key"}});
    let mut run = spec(&bench, KAFKA.mtls_port(), "SSL", &tls);
    run["storage"] = store.storage(bench.dir.path(), "archive");
    run["storage"]["endpoint"] = format!("https://127.0.0.1:{}", store.port()).into();
    run["storage"]["tls"] = json!({"caFile": "ca.pem"});
    let lines = checked(&bench, &run);
    let has = |part: &str, check: &str, verdict: &str, words: &str| {
        let is_it = |line: &Value| {
            line["part"] == part && line["check"] == check && line["detail"].as_str().unwrap().contains(words)
        };
        let line = lines.iter().find(|line| is_it(line));
        assert_eq!(line.unwrap_or_else(|| panic!("{words} is not in {lines:#?}"))["verdict"], verdict);
    };
    has("storage", "dns", "ok", "127.0.0.1 is 127.0.0.1");
    has("storage", "tcp", "ok", "connected in");
    let names = "certificate of the store: for localhost, 127.0.0.1; signed by CN=test-ca; 29 days left";
    has("storage", "tls", "ok", names);
    has("kafka", "tls", "ok", "our client certificate: for localhost, 127.0.0.1; signed by CN=test-ca; 29 days left");
    run["storage"]["endpoint"] = "https://127.0.0.1:1".into();
    let lines = checked(&bench, &run);
    let failed = lines.iter().find(|line| line["part"] == "storage" && line["verdict"] == "fail").unwrap();
    let words = "nobody listens there (connection refused); correct host and port of the endpoint";
    assert!(failed["check"] == "tcp" && failed["detail"].as_str().unwrap().ends_with(words), "{failed}");
}

/// Pods of inspections answer on one port: one after the other.
static PORT: Mutex<()> = Mutex::new(());

/// The pod of somebody who may compare tells where groups stand now, with the login of the backup; that of somebody who may
/// only look does not.
#[test]
fn the_pod_of_a_comparison_tells_where_groups_stand_now() {
    let bench = bench();
    let bootstrap = KAFKA.bootstrap();
    commit(&bootstrap, "s-group", "s-topic", &[10, 20]);
    let more = json!({"sasl": sasl("SCRAM-SHA-512", "admin"), "tls": {"caFile": "ca.pem"}});
    let mut run = spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &more);
    run["backup"]["consumerGroupSnapshot"] = true.into();
    bench.run(&run).ok();
    commit(&bootstrap, "s-group", "s-topic", &[25, 20]);
    commit(&bootstrap, "s-later", "s-topic", &[1, 1]);
    let include = json!(["s-*"]);
    let then = json!({"question": "groups", "name": "secure", "include": include});
    let now = json!({"question": "groupsNow", "name": "secure", "include": include});
    let asked = |source: Option<&Value>| {
        let _port = PORT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let token = "0123456789abcdef";
        let mut told = json!({
            "formatVersion": 1, "name": "secure", "storage": run["storage"], "records": false, "idleSecs": 30,
            "tokenDigest": blake3::hash(token.as_bytes()).to_hex().to_string(),
        });
        if let Some(source) = source {
            told["source"] = source.clone();
        }
        let mut pod = bench.command("inspect", &told, &[]).spawn().unwrap();
        let ask = |body: &Value| {
            harness::cluster::wait_for(Duration::from_secs(30), || {
                let body = body.to_string();
                let answer = harness::plugin::post_to("/ask", contract::INSPECT_PORT, token, &body);
                answer.ok_or_else(|| "no answer".to_owned())
            })
        };
        let answers = (ask(&then), ask(&now), ask(&json!({"question": "groupsNow", "name": "payroll", "include": []})));
        pod.kill().unwrap();
        pod.wait().unwrap();
        answers
    };
    let lines = |body: &str| -> Vec<Value> {
        body.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (then, now, other) = asked(Some(&run));
    let (then, now) = (lines(&then.1), lines(&now.1));
    assert_eq!((&then[0]["answer"], &then[0]["hasGroups"]), (&json!("groups"), &json!(true)), "{then:?}");
    let at = &then[1]["offsets"][0];
    assert_eq!((&at["offset"], &at["logEnd"], &at["noHolesFrom"]), (&json!(10), &json!(50), &json!(0)), "{then:?}");
    assert_eq!((&now[0]["answer"], &now[0]["seesAll"]), (&json!("source"), &json!(true)), "{now:?}");
    let named: Vec<_> = now[1..].iter().map(|group| group["group"].as_str().unwrap()).collect();
    assert_eq!(named, ["s-group", "s-later"]);
    assert_eq!(now[1]["offsets"][0]["offset"], 25, "{now:?}");
    assert_eq!(now[1]["offsets"][0]["topicId"], at["topicId"], "{now:?}");
    assert_eq!(other.0, 403, "another backup: {}", other.1);
    let (then, now, _) = asked(None);
    assert_eq!((then.0, now.0), (200, 403), "{}", now.1);
    assert!(now.1.contains("without the right to compare"), "{}", now.1);
}

/// The lines of the pod that a check of this run has.
fn checked(bench: &Bench, run: &Value) -> Vec<Value> {
    let _port = PORT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let token = "0123456789abcdef";
    let told = json!({
        "formatVersion": 1, "name": "secure", "storage": run["storage"], "check": run,
        "tokenDigest": blake3::hash(token.as_bytes()).to_hex().to_string(), "records": false, "idleSecs": 30,
    });
    let mut pod = bench.command("inspect", &told, &[]).spawn().unwrap();
    let ask = |path: &str, token: &str, body: &str| {
        harness::cluster::wait_for(Duration::from_secs(30), || {
            harness::plugin::post_to(path, contract::INSPECT_PORT, token, body).ok_or_else(|| "no answer".to_owned())
        })
    };
    assert_eq!(ask("/check", "another", "").0, 401);
    // More than are served at once, with half a question each: whoever has the token waits for them no longer than they may stay.
    let silent: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", contract::INSPECT_PORT)).unwrap();
            std::io::Write::write_all(&mut stream, b"POST /check HTTP/1.1\r\nContent-Length: 9\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(ask("/check", "another", "").0, 401);
    drop(silent);
    let started = Instant::now();
    let (status, body) = ask("/check", token, "");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    let points = json!({"question": "points", "name": "secure", "since": null}).to_string();
    assert_eq!(ask("/ask", token, &points).0, 403, "nothing of the archive is told");
    pod.kill().unwrap();
    pod.wait().unwrap();
    assert_eq!(status, 200, "{body}");
    // Chunks have lines of their own, which are no JSON objects.
    body.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a user may do no longer is missing from the point, and the report names it with the right that is needed.
#[test]
fn rights_that_were_taken_away_are_told() {
    let (bench, bootstrap) = (bench(), KAFKA.bootstrap());
    let acl = |action: &str, rights: &[&str]| {
        let mut arguments = vec!["--bootstrap-server", &bootstrap, action, "--force"];
        arguments.extend(["--allow-principal", "User:alice"]);
        arguments.extend(rights);
        KAFKA.tool("org.apache.kafka.tools.AclCommand", &arguments);
        std::thread::sleep(Duration::from_millis(500));
    };
    let topic = |name: &'static str| ["--operation", "Read", "--operation", "DescribeConfigs", "--topic", name];
    for name in ["r-kept", "r-lost"] {
        load::create(&bootstrap, name, 1, 1, &[]);
        load::produce(&bootstrap, name, &[], (0..10).map(|n| Make::new(n, 0)));
        acl("--add", &topic(name));
    }
    let plain = json!({"sasl": sasl("PLAIN", "alice")});
    let mut spec = spec(&bench, KAFKA.sasl_port(), "SASL_PLAINTEXT", &plain);
    spec["name"] = "rights".into();
    spec["backup"] = json!({"topics": ["r-*"], "incremental": true, "consumerGroupSnapshot": true});
    let report = bench.run(&spec).ok().report();
    assert_eq!(report["records"], 20);
    assert!(report["warnings"].to_string().contains("grant Describe on the groups"), "no list, no certainty: {report}");
    // A group that may be described, and then may not.
    let consumer: rdkafka::consumer::BaseConsumer =
        oracle::config(&bootstrap).set("group.id", "r-group").create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset("r-kept", 0, rdkafka::Offset::Offset(3)).unwrap();
    rdkafka::consumer::Consumer::commit(&consumer, &list, rdkafka::consumer::CommitMode::Sync).unwrap();
    acl("--add", &["--operation", "Describe", "--group", "r-group"]);
    let report = bench.run(&spec).ok().report();
    assert_eq!((&report["outcome"], &report["groups"]), (&json!("Completed"), &Value::Null), "{report}");
    acl("--remove", &["--operation", "Describe", "--group", "r-group"]);
    acl("--remove", &topic("r-lost"));
    load::produce(&bootstrap, "r-kept", &[], (10..15).map(|n| Make::new(n, 0)));
    for round in 0..2 {
        let report = bench.run(&spec).ok().report();
        assert_eq!(report["outcome"], "CompletedWithGaps", "{round}: {report}");
        assert_eq!(report["records"], if round == 0 { 5 } else { 0 });
        let member = &report["members"][0];
        assert_eq!((&member["topic"], &member["change"]), (&json!("r-lost"), &json!("forbidden")), "{report}");
        let group = json!([{"group": "r-group", "change": "forbidden"}]);
        assert_eq!(report["groups"], group, "{round}: told for as long as it lasts");
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains("DescribeConfigs and Read on topic r-lost"), "{warnings}");
        assert!(warnings.contains("r-group"), "{warnings}");
    }
    // What was read before stays restorable from the newest point.
    let listed = bench.call("ls", &spec, &["rights"]).ok().stdout;
    assert!(listed.lines().any(|line| line.split_whitespace().take(3).eq(["r-lost", "1", "10"])), "{listed}");
    assert!(!listed.contains("no longer in the source"), "{listed}");
    acl("--add", &topic("r-lost"));
    let report = bench.run(&spec).ok().report();
    assert_eq!((&report["outcome"], &report["members"]), (&json!("Completed"), &Value::Null), "{report}");
}

/// A check of a restore says which rights on groups and transactional ids are missing, that it leaves the time window out, and
/// takes what the restore itself claimed for its own.
#[test]
fn a_check_of_a_restore_tells_rights_on_groups_and_transactional_ids() {
    // A user of its own: what alice may see is another test's matter.
    let (bench, bootstrap) = (bench(), KAFKA.bootstrap());
    commit(&bootstrap, "w-group", "s-topic", &[10, 20]);
    let admin = json!({"sasl": sasl("SCRAM-SHA-512", "admin"), "tls": {"caFile": "ca.pem"}});
    let mut backup = spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &admin);
    backup["backup"]["consumerGroupSnapshot"] = true.into();
    let point = bench.run(&backup).ok().report()["point"].clone();
    let allow = |rights: &[&str]| {
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--add", "--force", "--allow-principal", "User:bob"];
        arguments.extend(rights);
        KAFKA.tool("org.apache.kafka.tools.AclCommand", &arguments);
    };
    allow(&["--operation", "All", "--topic", "w-restored"]);
    std::thread::sleep(Duration::from_millis(500));
    let plain = json!({"sasl": sasl("PLAIN", "bob")});
    let mut restore = spec(&bench, KAFKA.sasl_port(), "SASL_PLAINTEXT", &plain);
    restore["name"] = "w-restore".into();
    restore.as_object_mut().unwrap().remove("backup");
    restore["restore"] = json!({
        "from": point, "topicMapping": {"s-topic": "w-restored"}, "endTime": "2100-01-01T00:00:00Z",
        "groups": {"commit": true, "include": ["w-*"], "rollBackOnFailure": true},
    });
    let said = |verdict: &str, words: &str| {
        let lines = checked(&bench, &restore);
        let is = |line: &&Value| line["verdict"] == verdict && line["detail"].as_str().unwrap().contains(words);
        assert!(lines.iter().any(|line| is(&line)), "no {verdict} {words:?} in {lines:#?}");
        lines
    };
    said("fail", "group w-group: this user may not Describe, Read, Delete");
    said("note", "may not write with transactional ids that begin with kafka-backup-restore-: duplicates");
    said("note", "the time window is left out here");
    bench.call("check", &restore, &[]).fails("KB2004", 4, &["group w-group", "grant Describe, Read, Delete"]);
    allow(&["--operation", "Read", "--operation", "Delete", "--group", "w-group"]);
    let prefixed = ["--transactional-id", "kafka-backup-restore-", "--resource-pattern-type", "prefixed"];
    allow(&[&["--operation", "Write"][..], &prefixed].concat());
    std::thread::sleep(Duration::from_millis(500));
    said("ok", "all that is needed to 1 group: w-group");
    said("ok", "may write with transactional ids that begin with kafka-backup-restore-");
    // One that has begun.
    bench.run_to("targets-claimed", &restore);
    let lines = said("ok", "can be restored into 1 topics");
    assert!(!format!("{lines:?}").contains("is not finished"), "it stands in its own way: {lines:#?}");
}

/// A folder for the copy of the newest digest that takes no file ends a run, so a check says it.
#[test]
fn a_check_tries_out_the_folder_of_the_newest_digest() {
    let bench = bench();
    let admin = json!({"sasl": sasl("SCRAM-SHA-512", "admin"), "tls": {"caFile": "ca.pem"}});
    let mut run = spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &admin);
    let at = |lines: &[Value]| lines.iter().find(|line| line["part"] == "checkpoint").cloned().unwrap();
    for (folder, verdict) in [("heads", "ok"), ("nowhere", "fail")] {
        std::fs::create_dir_all(bench.dir.path().join("heads")).unwrap();
        run["backup"]["checkpointFolder"] = folder.into();
        let lines = checked(&bench, &run);
        assert_eq!(at(&lines)["verdict"], verdict, "{lines:#?}");
        let said = bench.call("check", &run, &[]);
        assert_eq!(said.code == 0, verdict == "ok", "{} {}", said.stdout, said.stderr);
    }
}

#[test]
fn each_wrong_way_has_its_own_error_within_the_deadline() {
    let bench = bench();
    let started = Instant::now();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let wrong =
            json!({"sasl": {"mechanism": mechanism, "usernameFile": "admin-name", "passwordFile": "wrong-password"}});
        bench.run(&spec(&bench, KAFKA.sasl_port(), "SASL_PLAINTEXT", &wrong)).fails(
            "KB2002",
            4,
            &["refused the login"],
        );
    }
    let untrusted = json!({"sasl": sasl("PLAIN", "admin"), "tls": {"caFile": "stranger.pem"}});
    bench.run(&spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &untrusted)).fails("KB2003", 4, &["certificate"]);
    let tls = json!({"sasl": sasl("PLAIN", "admin"), "tls": {"caFile": "ca.pem"}});
    let wrong = bench.run(&spec(&bench, KAFKA.sasl_port(), "SASL_SSL", &tls));
    wrong.fails("KB2014", 4, &["set securityProtocol to SASL_PLAINTEXT"]);
    let plain = json!({"sasl": sasl("PLAIN", "admin")});
    let unencrypted = bench.run(&spec(&bench, KAFKA.sasl_tls_port(), "SASL_PLAINTEXT", &plain));
    unencrypted.fails("KB2014", 4, &["set securityProtocol to SASL_SSL"]);
    let no_login = bench.run(&spec(&bench, KAFKA.sasl_port(), "PLAINTEXT", &json!({})));
    no_login.fails("KB2014", 4, &["set securityProtocol to SASL_PLAINTEXT"]);
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn no_secret_stands_in_any_output_or_in_the_archive() {
    let bench = bench();
    let more = json!({"sasl": sasl("SCRAM-SHA-512", "admin"), "tls": {"caFile": "ca.pem", "certificateFile": "alice.pem", "keyFile": "alice.key"}});
    let good = spec(&bench, KAFKA.sasl_tls_port(), "SASL_SSL", &more);
    let wrong = json!({"sasl": {"mechanism": "PLAIN", "usernameFile": "admin-name", "passwordFile": "wrong-password"}});
    let wrong = spec(&bench, KAFKA.sasl_port(), "SASL_PLAINTEXT", &wrong);
    let mut texts = Vec::new();
    for spec in [&good, &wrong] {
        let mut command = bench.command("run", spec, &["-o", "json"]);
        let ended = harness::runner::ended(command.env("KAFKA_BACKUP_LOG", "trace").output().unwrap());
        texts.extend([ended.stdout.into_bytes(), ended.stderr.into_bytes()]);
    }
    texts.extend(files(&bench.archive()).into_iter().map(|(path, _)| std::fs::read(path).unwrap()));
    let key = std::fs::read_to_string(KAFKA.certs().join("alice.key")).unwrap();
    let key_line = key.lines().nth(2).unwrap().to_owned();
    for secret in ["admin-secret", "canary-wrong-password", key_line.as_str()] {
        assert_eq!(shown(secret, &texts), None, "{secret} leaked");
    }
}

/// The form in which a secret shows in a text: as it is, as a list of bytes, in hexadecimal, in base64 at any place.
fn shown(secret: &str, texts: &[Vec<u8>]) -> Option<String> {
    use base64::Engine;
    let bytes = secret.as_bytes();
    let few = &bytes[..bytes.len().min(12)];
    let encoded = |skipped: usize| {
        let text = base64::engine::general_purpose::STANDARD.encode([&b"xx"[..skipped], few].concat());
        // Without the letters that share bits with what stands around.
        text[4..text.len() - 4].to_owned()
    };
    let hex = few.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    let forms = [
        secret.to_owned(),
        few.iter().take(5).map(u8::to_string).collect::<Vec<_>>().join(", "),
        few.iter().take(5).map(u8::to_string).collect::<Vec<_>>().join(","),
        few.iter().take(5).map(|byte| format!("0x{byte:02x}")).collect::<Vec<_>>().join(", "),
        hex.to_ascii_uppercase(),
        hex,
        encoded(0),
        encoded(1),
        encoded(2),
    ];
    let is_in = |form: &String| texts.iter().any(|text| text.windows(form.len()).any(|part| part == form.as_bytes()));
    forms.into_iter().find(is_in)
}

/// Keys as they come out of shells, environment variables and web forms: what is said of them shows nothing of them.
#[test]
fn a_key_that_was_pasted_wrongly_shows_nowhere() {
    let bench = bench();
    let key = std::fs::read_to_string(KAFKA.certs().join("alice.key")).unwrap();
    let flat = key.replace('\n', "");
    let half = |text: &str| text[..text.len() / 2].to_owned();
    let pasted = [
        flat.replace("-----END", "-END"),
        key.replace('\n', "\\n"),
        half(&key),
        half(&flat),
        half(&key.replace('\n', "\\n")),
        key.replace("PRIVATE KEY", "CERTIFICATE"),
        key.lines().skip(1).collect::<Vec<_>>().join("\n"),
    ];
    let canary: String = flat.trim_matches('-').chars().skip(60).take(24).collect();
    let identity = json!({"tls": {"caFile": "ca.pem", "certificateFile": "alice.pem", "keyFile": "pasted.key"}});
    let spec = spec(&bench, KAFKA.mtls_port(), "SSL", &identity);
    for paste in pasted {
        std::fs::write(bench.dir.path().join("pasted.key"), &paste).unwrap();
        let mut command = bench.command("run", &spec, &["-o", "json"]);
        let ended = harness::runner::ended(command.env("KAFKA_BACKUP_LOG", "trace").output().unwrap());
        let texts = [ended.stdout.clone().into_bytes(), ended.stderr.clone().into_bytes()];
        assert_eq!(shown(&canary, &texts), None);
        ended.fails("KB2003", 4, &["pasted.key: "]);
    }
}

/// Certificates of version 1, other curves, passwords, keystores: what Java's clients take is taken.
#[test]
fn client_certificates_are_taken_as_people_have_them() {
    let bench = bench();
    let dir = bench.dir.path();
    std::fs::copy(KAFKA.certs().join("ca.key"), dir.join("ca.key")).unwrap();
    let openssl = |arguments: &str| harness::certificates::openssl(dir, arguments);
    for (name, how) in [("rsa", "RSA"), ("p521", "EC -pkeyopt ec_paramgen_curve:P-521")] {
        openssl(&format!("genpkey -algorithm {how} -out {name}.key"));
        openssl(&format!("req -new -key {name}.key -subj /CN=bob -out {name}.csr"));
        openssl(&format!("x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -out {name}.pem"));
    }
    openssl("pkcs8 -topk8 -in rsa.key -passout pass:geheim -out encrypted.key");
    openssl("pkcs12 -export -in rsa.pem -inkey rsa.key -certfile ca.pem -passout pass:geheim -out user.p12");
    openssl("x509 -in rsa.pem -outform DER -out rsa.der");
    openssl("pkcs8 -topk8 -nocrypt -in rsa.key -outform DER -out rsa.key.der");
    let part = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    std::fs::write(dir.join("together.pem"), part("ca.pem").trim_end().to_owned() + &part("rsa.pem")).unwrap();
    std::fs::write(dir.join("password"), "geheim\n").unwrap();
    let both = |chain: &str, key: &str| json!({"caFile": "ca.pem", "certificateFile": chain, "keyFile": key});
    let locked = |chain: &str, key: &str| json!({"caFile": "ca.pem", "certificateFile": chain, "keyFile": key, "keyPasswordFile": "password"});
    let store = |file: &str| json!({"caFile": "ca.pem", "certificateFile": file, "keyPasswordFile": "password"});
    let mut ways = vec![
        both("rsa.pem", "rsa.key"),
        both("p521.pem", "p521.key"),
        locked("rsa.pem", "encrypted.key"),
        both("rsa.der", "rsa.key.der"),
        both("together.pem", "rsa.key"),
        store("user.p12"),
        locked("user.p12", "user.p12"),
    ];
    let keytool = std::process::Command::new("keytool")
        .args(["-importkeystore", "-srckeystore", "user.p12", "-srcstorepass", "geheim", "-destkeystore", "java.p12"])
        .args(["-deststoretype", "PKCS12", "-deststorepass", "geheim"])
        .current_dir(dir)
        .output();
    if keytool.is_ok_and(|made| made.status.success()) {
        ways.push(store("java.p12"));
    }
    for tls in ways {
        // Who he is was understood, and he has no rights.
        let spec = spec(&bench, KAFKA.mtls_port(), "SSL", &json!({"tls": tls}));
        bench.run(&spec).fails("KB2004", 4, &["s-topic", "Describe"]);
    }
}
