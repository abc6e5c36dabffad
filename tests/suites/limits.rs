//! Limits and the paths around them: rates, start offsets, sessions that end, rotated passwords, racks, a store that
//! rests, a store that was rolled back.

mod left_out;

use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::cluster::wait_for;
use harness::consumers;
use harness::kafka::{Kafka, Options};
use harness::load::{self, Make};
use harness::oracle;
use harness::pair::{assert_equal, source, target};
use harness::process::free_port;
use harness::proxy::Proxy;
use harness::raw;
use harness::runner::{Bench, weigh};
use serde_json::{Value, json};

fn fill(bootstrap: &str, topic: &str, records: i64) {
    load::create(bootstrap, topic, 1, 1, &[]);
    load::produce(bootstrap, topic, &[], (0..records).map(|n| Make::new(n, 0)));
}

#[test]
fn rates_of_backups_and_restores_are_kept() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-rate", Bench::new());
    load::create(&bootstrap, topic, 1, 1, &[]);
    // Small batches: what a limit lets through at once and the last piece, which nobody waits for, are then known.
    load::produce(&bootstrap, topic, &[("batch.num.messages", "500")], (0..30_000).map(|n| Make::new(n, 0)));
    let timed = |spec: &Value| {
        let started = Instant::now();
        let ended = bench.run(spec).ok();
        (started.elapsed().as_secs_f64(), ended)
    };
    let backup = json!({"topics": [topic], "rateLimit": {"recordsPerSec": 10_000}, "maxConcurrentPartitions": 1});
    let (seconds, ended) = timed(&bench.backup(topic, &bootstrap, backup));
    assert!((2.0..20.0).contains(&seconds), "30,000 records at 10,000 a second took {seconds} s");
    assert!(ended.stdout.contains("\"limitedBy\":\"throttle\""), "{}", ended.stdout);
    let bytes = ended.report()["bytes"].as_u64().unwrap();
    let restore = json!({
        "from": topic, "includeOffsetHeaders": false, "rateLimit": {"bytesPerSec": bytes / 3},
    });
    let (seconds, _) = timed(&bench.restore(topic, &target().bootstrap(), restore));
    assert!((1.0..20.0).contains(&seconds), "3 seconds' worth of bytes took {seconds} s");
    assert_eq!(assert_equal(topic), 30_000);
}

/// Without a name, the newest point of the storage is restored; and a restore keeps to few partitions at a time.
#[test]
fn the_newest_point_comes_back_a_few_partitions_at_a_time() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-few", Bench::new());
    load::create(&bootstrap, topic, 6, 1, &[]);
    load::produce(
        &bootstrap,
        topic,
        &[("batch.num.messages", "100")],
        (0..6_000).map(|n| Make::new(n, (n % 6) as i32)),
    );
    bench.run(&bench.backup("l-other", &bootstrap, json!({"topics": ["l-few"]}))).ok();
    std::thread::sleep(Duration::from_millis(1_100));
    load::produce(&bootstrap, topic, &[], (6_000..6_100).map(|n| Make::new(n, 0)));
    let newest = bench.run(&bench.backup(topic, &bootstrap, json!({"topics": ["l-few"]}))).ok().report();
    for most in [1, 2, 5] {
        let target_topic = format!("l-few-{most}");
        let restore = json!({
            "includeOffsetHeaders": false, "maxConcurrentPartitions": most, "topicMapping": {topic: target_topic},
        });
        let report = bench.run(&bench.restore(&target_topic, &target().bootstrap(), restore)).ok().report();
        assert_eq!(report["point"], newest["point"]);
        let (source, target) =
            (oracle::digest(&bootstrap, topic, None), oracle::digest(&target().bootstrap(), &target_topic, None));
        assert_eq!(source, target, "{most} at a time");
    }
}

#[test]
fn latest_begins_at_the_end_and_goes_on_from_there() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-latest", Bench::new());
    fill(&bootstrap, topic, 1_000);
    let backup = json!({"topics": [topic], "incremental": true, "startOffset": "latest"});
    let spec = bench.backup(topic, &bootstrap, backup);
    assert_eq!(bench.run(&spec).ok().report()["records"], 0);
    load::produce(&bootstrap, topic, &[], (1_000..1_300).map(|n| Make::new(n, 0)));
    assert_eq!(bench.run(&spec).ok().report()["records"], 300);
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    let newest: Vec<_> = oracle::read(&bootstrap, topic, 0, false)[1_000..].iter().map(oracle::Seen::content).collect();
    let restored: Vec<_> =
        oracle::read(&target().bootstrap(), topic, 0, false).iter().map(oracle::Seen::content).collect();
    assert_eq!(newest, restored);
}

#[test]
fn t2_36_sessions_end_and_passwords_change_while_a_run_goes_on() {
    let properties = vec![
        "listener.name.sasl.plain.connections.max.reauth.ms=2000".to_owned(),
        "listener.name.sasl.scram-sha-256.connections.max.reauth.ms=2000".to_owned(),
        "connections.max.reauth.ms=2000".to_owned(),
    ];
    let kafka = Kafka::with(Options { secure: true, properties, ..Options::default() });
    let (topic, bench) = ("l-reauth", Bench::new());
    fill(&kafka.bootstrap(), topic, 60_000);
    let write = |name: &str, text: &str| std::fs::write(bench.dir.path().join(name), text).unwrap();
    write("user", "admin");
    write("password", "admin-secret");
    let backup = json!({"topics": [topic], "rateLimit": {"recordsPerSec": 6_000}, "checkpointIntervalSecs": 1});
    let mut spec = bench.backup(topic, &format!("127.0.0.1:{}", kafka.sasl_port()), backup);
    spec["kafka"]["securityProtocol"] = "SASL_PLAINTEXT".into();
    spec["kafka"]["sasl"] = json!({"mechanism": "SCRAM-SHA-256", "usernameFile": "user", "passwordFile": "password"});
    let mut live = bench.live(&spec);
    live.wait("committed", |_| true);
    // The broker learns a new password first; the file follows, as a mounted Secret does.
    let bootstrap = kafka.bootstrap();
    let alter = ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "users", "--entity-name", "admin"];
    let add = ["--add-config", "SCRAM-SHA-256=[iterations=4096,password=rotated]"];
    kafka.tool("kafka.admin.ConfigCommand", &[&alter[..], &add[..]].concat());
    std::thread::sleep(Duration::from_secs(3));
    write("password", "rotated");
    let report = live.finish().ok().report();
    assert_eq!((&report["records"], &report["outcome"]), (&json!(60_000), &json!("Completed")));
}

/// A client certificate that is replaced counts from the next connection on: a stranger's is refused, the owner's taken.
#[test]
fn t2_36_certificates_change_while_a_run_goes_on() {
    let properties = vec!["super.users=User:admin;User:ANONYMOUS;User:alice".to_owned()];
    let mut kafka = Kafka::with(Options { secure: true, properties, ..Options::default() });
    let (topic, bench) = ("l-certificate", Bench::new());
    load::create(&kafka.bootstrap(), topic, 1, 1, &[]);
    load::produce(&kafka.bootstrap(), topic, &[("batch.num.messages", "500")], (0..30_000).map(|n| Make::new(n, 0)));
    let certs = kafka.certs();
    let install = |who: &str| {
        for kind in ["pem", "key"] {
            // As a mounted Secret changes: the new file takes the place of the old one at once.
            let fresh = bench.dir.path().join(format!("fresh.{kind}"));
            std::fs::copy(certs.join(format!("{who}.{kind}")), &fresh).unwrap();
            std::fs::rename(fresh, bench.dir.path().join(format!("client.{kind}"))).unwrap();
        }
    };
    std::fs::copy(certs.join("ca.pem"), bench.dir.path().join("ca.pem")).unwrap();
    install("alice");
    let backup = json!({"topics": [topic], "rateLimit": {"recordsPerSec": 2_000}, "checkpointIntervalSecs": 1, "incremental": true});
    let mut spec = bench.backup(topic, &format!("localhost:{}", kafka.mtls_port()), backup);
    spec["kafka"]["securityProtocol"] = "SSL".into();
    spec["kafka"]["tls"] = json!({"caFile": "ca.pem", "certificateFile": "client.pem", "keyFile": "client.key"});
    let mut live = bench.live(&spec);
    live.wait("committed", |_| true);
    install("stranger");
    // All connections end; those that follow show the new certificate.
    kafka.stop(0, true);
    kafka.restart(0);
    live.finish().fails("KB2003", 4, &["certificate"]);
    install("alice");
    spec["backup"]["rateLimit"] = json!({});
    let report = bench.run(&spec).ok().report();
    assert!(report["records"].as_u64().unwrap() < 30_000, "it goes on where it was: {report}");
    bench.call("verify", &spec, &[topic]).ok();
}

#[test]
fn t2_32_reads_go_to_the_replica_in_our_rack() {
    let mut racks = Options { nodes: 3, ..Options::default() };
    racks.properties.push("replica.selector.class=org.apache.kafka.common.replica.RackAwareReplicaSelector".to_owned());
    racks.racks = true;
    let proxies: Vec<_> = (0..3).map(|_| free_port()).map(|port| (Proxy::start(port), port)).collect();
    racks.advertise = proxies.iter().map(|(_, port)| *port).collect();
    // Proxies must know where to go before the brokers find each other through them.
    let kafka = Kafka::launch_behind(racks, |node, port| proxies[node].0.forward_to(port));
    let (bootstrap, topic, bench) = (kafka.bootstrap(), "l-rack", Bench::new());
    load::create_on(&bootstrap, topic, &[1, 2, 3], &[]);
    load::produce(&bootstrap, topic, &[("acks", "all")], (0..50_000).map(|n| Make::new(n, 0)));
    let sent = |node: usize| proxies[node].0.answered();
    for (rack, expected) in [(None, 0), (Some("rack-3"), 2)] {
        let before: Vec<_> = (0..3).map(sent).collect();
        let mut spec = bench.backup(&format!("rack-{expected}"), &bootstrap, json!({"topics": [topic]}));
        spec["kafka"]["connection"] = json!({"clientRack": rack});
        assert_eq!(bench.run(&spec).ok().report()["records"], 50_000);
        let read: Vec<_> = (0..3).map(|node| sent(node) - before[node]).collect();
        for node in 0..3 {
            assert_eq!(read[node] > 1_000_000, node == expected, "rack {rack:?}: {read:?} bytes from each broker");
        }
    }
}

/// Two of these do not fit into the memory for frames: each has to be let go of before the next is read, although no
/// part of a segment is filled by its end.
#[test]
fn batches_larger_than_half_of_the_memory_for_frames_follow_each_other() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-huge", Bench::new());
    load::create(&bootstrap, topic, 1, 1, &[("max.message.bytes", "100000000")]);
    let huge = |n| Make { value: Some(vec![b'x'; 60_000_000]), ..Make::new(n, 0) };
    load::produce(&bootstrap, topic, &[("message.max.bytes", "100000000")], (0..4).map(huge));
    let started = Instant::now();
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic], "compression": "none"}))).ok();
    // Well under the minute after which a segment ends in any case.
    assert!(started.elapsed() < Duration::from_secs(40), "it took {:?}", started.elapsed());
    let restore = json!({"from": topic, "includeOffsetHeaders": false});
    bench.run(&bench.restore(topic, &target().bootstrap(), restore)).ok();
    assert_eq!(assert_equal(topic), 4);
}

/// Records that pack to next to nothing: the archive is small, and so must be the memory of the restore.
#[test]
fn memory_follows_what_batches_unpack_to() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-dense", Bench::new());
    load::create(&bootstrap, topic, 1, 1, &[]);
    let value = "{\"a\":0},".repeat(20_000_000 / 8).into_bytes();
    let dense = |n| Make { value: Some(value.clone()), ..Make::new(n, 0) };
    let settings = [("compression.type", "zstd"), ("message.max.bytes", "100000000"), ("batch.num.messages", "1")];
    load::produce(&bootstrap, topic, &settings, (0..40).map(dense));
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]}))).ok();
    for headers in [true, false] {
        let to = format!("l-dense-{headers}");
        let restore = json!({"from": topic, "includeOffsetHeaders": headers, "topicMapping": {topic: to}});
        let (ended, memory) = bench.run_and_weigh(&bench.restore(&to, &target().bootstrap(), restore));
        assert_eq!(ended.ok().report()["records"], 40);
        assert!(memory > 0 && memory < 256 << 20, "{} MiB, headers {headers}", memory >> 20);
    }
}

/// Eight records of so many bytes that pack to next to nothing, in one batch where the client gets them together in time.
fn produce_dense(bootstrap: &str, topic: &str, bytes: usize) {
    let value = vec![b'0'; bytes];
    let settings = [
        ("compression.type", "zstd"),
        ("message.max.bytes", "400000000"),
        ("batch.size", "400000000"),
        ("linger.ms", "5000"),
        ("queue.buffering.max.kbytes", "1000000"),
    ];
    load::produce(bootstrap, topic, &settings, (0..8).map(|n| Make { value: Some(value.clone()), ..Make::new(n, 0) }));
}

/// A few kilobytes that stand for 320 MB, which any producer can write: the topic is restored all the same.
#[test]
fn a_small_batch_takes_no_memory_to_restore() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-burst", Bench::new());
    load::create(&bootstrap, topic, 1, 1, &[]);
    produce_dense(&bootstrap, topic, 40_000_000);
    load::produce(&bootstrap, topic, &[], (8..20).map(|n| Make::new(n, 0)));
    let report = bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]}))).ok().report();
    assert!(report["bytes"].as_u64().unwrap() < 200_000, "it packs to little: {report}");
    for (headers, dealt) in [(true, false), (false, false), (true, true)] {
        let to = format!("{topic}-{headers}-{dealt}");
        let mut restore = json!({"from": topic, "includeOffsetHeaders": headers, "topicMapping": {topic: to}});
        if dealt {
            restore["repartitioning"] = json!({&to: {"strategy": "murmur2", "targetPartitions": 3}});
        }
        let (ended, memory) = bench.run_and_weigh(&bench.restore(&to, &target().bootstrap(), restore));
        assert_eq!(ended.ok().report()["records"], 20);
        assert!(memory > 0 && memory < 256 << 20, "{} MiB, headers {headers}, dealt {dealt}", memory >> 20);
    }
}

/// One record that packs to a few kilobytes and stands for more than is ever held: it is not unpacked, and the topic is restored.
#[test]
fn a_single_record_that_stands_for_much_is_restored_as_it_is() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-giant", Bench::new());
    load::create(&bootstrap, topic, 1, 1, &[]);
    let settings =
        [("compression.type", "zstd"), ("message.max.bytes", "400000000"), ("queue.buffering.max.kbytes", "1000000")];
    let giant = Make { value: Some(vec![b'0'; 200_000_000]), ..Make::new(0, 0) };
    load::produce(&bootstrap, topic, &settings, [giant]);
    load::produce(&bootstrap, topic, &[], (1..5).map(|n| Make::new(n, 0)));
    consumers::commit(&bootstrap, "l-giant-group", topic, &[3]);
    bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic], "consumerGroupSnapshot": true}))).ok();
    // Where batches may be left out, a group's place is looked up record by record.
    for on_unreadable in ["fail", "skip"] {
        let (to, into) = (format!("{topic}-{on_unreadable}"), target().bootstrap());
        let groups = json!({"commit": true, "include": ["l-giant-*"], "mapping": {"l-giant-group": &to}});
        let restore = json!({
            "from": topic, "includeOffsetHeaders": true, "onUnreadable": on_unreadable, "topicMapping": {topic: to},
            "groups": groups,
        });
        let (ended, memory) = bench.run_and_weigh(&bench.restore(&to, &into, restore));
        let ended = ended.ok();
        assert_eq!(ended.report()["records"], 5);
        assert!(ended.stdout.contains("it is restored as it is, without offset"), "{}", ended.stdout);
        let committed = consumers::committed(&into, &to, &to);
        assert_eq!(committed[0].as_ref().map(|(offset, _)| *offset), Some(3), "{committed:?}");
        assert!(memory > 0 && memory < 200 << 20, "{on_unreadable}: {} MiB", memory >> 20);
    }
}

/// A few kilobytes that stand for 96 MB: whoever looks at them holds one record, not the batch.
#[test]
fn a_small_batch_takes_no_memory_to_look_at() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-bomb", Bench::new());
    load::create(&bootstrap, topic, 1, 1, &[]);
    produce_dense(&bootstrap, topic, 12_000_000);
    let backup = bench.backup(topic, &bootstrap, json!({"topics": [topic]}));
    let report = bench.run(&backup).ok().report();
    assert!(report["bytes"].as_u64().unwrap() < 200_000, "it packs to little: {report}");
    let piped = |mut command: std::process::Command| {
        weigh(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    };
    let (verified, memory) = piped(bench.command("verify", &backup, &[topic, "--level", "decode", "-o", "json"]));
    let found: Value = serde_json::from_str(&verified.ok().stdout).unwrap();
    assert_eq!((found["records"].as_u64(), found["problems"].as_array().map(Vec::len)), (Some(8), Some(0)), "{found}");
    assert!(found["batches"].as_u64().unwrap() < 8, "records share batches: {found}");
    assert!(memory < 80 << 20, "verify took {} MiB", memory >> 20);
    let mut peek = std::process::Command::new(harness::plugin::binary());
    peek.args(["peek", topic, topic, "--limit", "1", "-o", "jsonl", "--store"]).arg(bench.archive());
    let (peeked, memory) = piped(peek);
    assert_eq!(peeked.ok().stdout.lines().count(), 1);
    assert!(memory < 200 << 20, "peek took {} MiB", memory >> 20);
}

/// Brokers take batches whose record offsets repeat, go backwards or lie outside, and consumers read them.
#[test]
fn odd_batches_are_archived_told_and_restored() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-odd", Bench::new());
    load::create(&bootstrap, topic, 1, 1, &[]);
    for deltas in [&[3, 1, 2, 0][..], &[0, 0, 1], &[0, 1, 50], &[0, -3, 2], &[5, 6, 7]] {
        load::produce(&bootstrap, topic, &[], (0..20).map(|n| Make::new(n, 0)));
        assert_eq!(raw::produce_with_deltas(&bootstrap, topic, deltas), 0, "the broker takes {deltas:?}");
    }
    load::produce(&bootstrap, topic, &[], (0..20).map(|n| Make::new(n, 0)));
    let backup = bench.backup(topic, &bootstrap, json!({"topics": [topic]}));
    let report = bench.run(&backup).ok().report();
    assert_eq!(report["records"], 136);
    assert_eq!(report["warnings"].to_string().matches("l-odd/0: the batch at offset").count(), 5, "{report}");
    let verified = bench.call("verify", &backup, &[topic, "--level", "decode"]).ok();
    assert_eq!(verified.stdout.matches("  note: ").count(), 5, "{}", verified.stdout);
    let content = |bootstrap: String, topic: &str| {
        oracle::read(&bootstrap, topic, 0, false).iter().map(|seen| seen.value.clone()).collect::<Vec<_>>()
    };
    let expected = content(bootstrap.clone(), topic);
    for headers in [true, false] {
        let to = format!("l-odd-{headers}");
        let restore = json!({"from": topic, "includeOffsetHeaders": headers, "topicMapping": {topic: to}});
        let report = bench.run(&bench.restore(&to, &target().bootstrap(), restore)).ok().report();
        let warnings = report["warnings"].to_string();
        assert_eq!((report["records"].as_u64(), warnings.matches("l-odd/0: the batch at").count()), (Some(136), 5));
        assert_eq!(content(target().bootstrap(), &to), expected, "headers {headers}");
    }
}

#[test]
fn a_store_that_was_rolled_back_is_noticed() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-rolled", Bench::new());
    fill(&bootstrap, topic, 500);
    std::fs::create_dir(bench.dir.path().join("heads")).unwrap();
    let backup = json!({"topics": [topic], "incremental": true, "checkpointFolder": "heads"});
    let spec = bench.backup(topic, &bootstrap, backup);
    bench.run(&spec).ok();
    let copy = bench.dir.path().join("older");
    let cp = |from: &std::path::Path, to: &std::path::Path| {
        assert!(std::process::Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
    };
    cp(&bench.archive(), &copy);
    bench.run(&spec).ok();
    std::fs::remove_dir_all(bench.archive()).unwrap();
    cp(&copy, &bench.archive());
    bench.run(&spec).fails("KB4006", 4, &["heads", "rolled back", "remove the copy"]);
    std::fs::remove_file(bench.dir.path().join(format!("heads/{topic}.head.json"))).unwrap();
    bench.run(&spec).ok();
    let mut missing = spec;
    missing["backup"]["checkpointFolder"] = "nowhere".into();
    bench.run(&missing).fails("KB3003", 4, &["nowhere", "create it"]);
}

fn get(port: u16, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn metrics_and_health_are_served_while_a_run_works() {
    let (bootstrap, topic, bench) = (source().bootstrap(), "l-metrics", Bench::new());
    fill(&bootstrap, topic, 40_000);
    let backup = json!({"topics": [topic], "rateLimit": {"recordsPerSec": 5_000}, "checkpointIntervalSecs": 1});
    let mut spec = bench.backup(topic, &bootstrap, backup);
    let port = free_port();
    spec["metrics"] = json!({"bindAddress": "127.0.0.1", "port": port, "path": "/numbers", "updateIntervalMs": 100});
    let mut live = bench.live(&spec);
    live.wait("progress", |event| event["records"].as_u64() > Some(0));
    assert!(get(port, "/healthz").starts_with("HTTP/1.1 200"));
    assert!(get(port, "/readyz").contains("ready"));
    // The first records pass without a wait; then the limit holds until the end.
    let throttled = "kafka_backup_limited_by{by=\"throttle\"} 1";
    let numbers = wait_for(Duration::from_secs(20), || {
        let numbers = get(port, "/numbers");
        if numbers.contains(throttled) { Ok(numbers) } else { Err(numbers) }
    });
    let value = |name: &str| {
        let found = numbers.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {numbers}"));
        found.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()
    };
    assert!(value("kafka_backup_records_total") > 0.0 && value("kafka_backup_lag_records") > 0.0);
    assert!(value("kafka_backup_partition_lag_records{topic=\"l-metrics\",partition=\"0\"}") > 0.0);
    assert!(get(port, "/elsewhere").starts_with("HTTP/1.1 404"));
    live.finish().ok();
    // A port that is taken is told, and the run does its work all the same.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    spec["metrics"]["port"] = taken.local_addr().unwrap().port().into();
    spec["name"] = "l-metrics-2".into();
    spec["backup"]["rateLimit"] = json!({});
    assert!(bench.run(&spec).ok().report()["warnings"].to_string().contains("metrics cannot be served"));
    spec["metrics"]["path"] = "metrics".into();
    bench.run(&spec).fails("KB1002", 2, &["metrics.path", "begin with /"]);
}

/// A quota whose window is shorter than an answer: the run asks for less, and the point holds the same records.
#[test]
fn a_quota_of_the_broker_changes_no_content() {
    let (source, bench) = (Kafka::start(), Bench::new());
    let (bootstrap, mut rng) = (source.bootstrap(), fastrand::Rng::with_seed(7));
    load::create(&bootstrap, "throttled", 4, 1, &[]);
    let value = |rng: &mut fastrand::Rng| (0..100_000).map(|_| rng.u8(..)).collect::<Vec<u8>>();
    let make = |n: i64| Make { value: Some(value(&mut rng)), ..Make::new(n, i32::try_from(n % 4).unwrap()) };
    load::produce(&bootstrap, "throttled", &[("batch.size", "900000"), ("linger.ms", "500")], (0..60).map(make));
    let whom =
        ["--bootstrap-server", &bootstrap, "--alter", "--entity-type", "clients", "--entity-name", "kafka-backup"];
    let quota = ["--add-config", "consumer_byte_rate=200000"];
    source.tool("kafka.admin.ConfigCommand", &[&whom[..], &quota[..]].concat());
    let mut spec = bench.backup("throttled", &bootstrap, json!({"topics": ["throttled"]}));
    spec["kafka"]["connection"] = json!({"retryDeadlineMs": 20_000});
    let report = bench.run(&spec).ok().report();
    assert_eq!((report["outcome"].as_str(), report["records"].as_u64()), (Some("Completed"), Some(60)), "{report}");
}
