//! A real S3 server: the store rules, a whole round trip, and its errors.

mod store_rules;

use archive::{Paths, open_store};
use harness::load::{self, Make};
use harness::pair::{assert_equal, source, target};
use harness::runner::Bench;
use harness::s3::{ACCESS_KEY, S3, SECRET_KEY};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn s3_keeps_the_rules() {
    let server = S3::start();
    let secrets = tempfile::tempdir().unwrap();
    let spec: contract::StoreSpec = serde_json::from_value(server.storage(secrets.path(), "archive")).unwrap();
    let paths = Paths { secrets: secrets.path().to_owned(), volumes: ".".into() };
    store_rules::keeps_the_rules(&open_store(&spec, &paths).await.unwrap()).await;
}

#[test]
fn a_round_trip_over_s3_with_segments_of_several_parts() {
    let server = S3::start();
    let mut bench = Bench::new();
    bench.storage = server.storage(bench.dir.path(), "archive");
    let (bootstrap, topic) = (source().bootstrap(), "o-s3");
    load::create(&bootstrap, topic, 3, 1, &[]);
    let wide = |n: i64| Make {
        value: Some(format!("{n:0>2000}").into_bytes()),
        ..Make::new(n, i32::try_from(n % 3).unwrap())
    };
    load::produce(&bootstrap, topic, &[], (0..20_000).map(wide));
    let backup = json!({"topics": [topic], "compression": "none", "incremental": true, "segmentMaxBytes": 16_777_216});
    let spec = bench.backup(topic, &bootstrap, backup);
    let report = bench.run(&spec).ok().report();
    assert!(report["segments"].as_u64().unwrap() >= 2, "{report}");
    bench.run(&spec).ok();
    bench.call("verify", &spec, &[]).ok();
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    assert_eq!(assert_equal(topic), 20_000);
    let listed = bench.call("ls", &spec, &[]).ok();
    assert!(listed.stdout.contains(topic) && listed.stdout.contains("complete"), "{}", listed.stdout);
}

#[test]
fn a_shared_credentials_file_works_and_wrong_keys_and_buckets_are_named() {
    let server = S3::start();
    let mut bench = Bench::new();
    let (bootstrap, topic) = (source().bootstrap(), "o-errors");
    load::create(&bootstrap, topic, 1, 1, &[]);
    load::produce(&bootstrap, topic, &[], [Make::new(1, 0)]);
    let write = |name: &str, text: String| std::fs::write(bench.dir.path().join(name), text).unwrap();
    write("shared", format!("[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key={SECRET_KEY}\n"));
    write("wrong", format!("[default]\naws_access_key_id={ACCESS_KEY}\naws_secret_access_key=nothing\n"));
    let storage = |file: &str, bucket: &str| {
        let mut storage = server.storage(bench.dir.path(), bucket);
        storage["credentials"] = json!({"shared-file": {"file": file}});
        storage
    };
    let (good, denied, missing) =
        (storage("shared", "archive"), storage("wrong", "archive"), storage("shared", "no-such-bucket"));
    let run = |bench: &mut Bench, storage| {
        bench.storage = storage;
        bench.run(&bench.backup(topic, &bootstrap, json!({"topics": [topic]})))
    };
    run(&mut bench, good).ok();
    run(&mut bench, denied).fails("KB3002", 4, &["archive"]);
    run(&mut bench, missing).fails("KB3003", 4, &["no-such-bucket", "create it"]);
    let mut http = server.storage(bench.dir.path(), "archive");
    http["allowHttp"] = false.into();
    run(&mut bench, http).fails("KB1002", 2, &["storage.endpoint", "allowHttp"]);
}
