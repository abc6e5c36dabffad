//! Real object stores: the store rules, whole round trips, every kind of credentials, and errors.

mod store_rules;

use archive::{Paths, open_store};
use harness::azure::Azure;
use harness::gcs::Gcs;
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
    store_rules::keeps_the_rules(
        &open_store(&spec, &paths, &contract::CircuitBreakerSpec::default(), &contract::Waits::default())
            .await
            .unwrap(),
    )
    .await;
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

/// Nothing lists these parts, and they are paid for.
#[test]
fn parts_that_killed_runs_left_are_ended_by_the_next_run_of_their_set() {
    let server = S3::start();
    let mut bench = Bench::new();
    bench.storage = server.storage(bench.dir.path(), "archive");
    let (bootstrap, topic) = (source().bootstrap(), "o-parts");
    load::create(&bootstrap, topic, 1, 1, &[]);
    let wide = |n: i64| Make { value: Some(vec![u8::try_from(n % 200).unwrap(); 100_000]), ..Make::new(n, 0) };
    // More parts than are on their way at once: some are there when the run is killed.
    load::produce(&bootstrap, topic, &[], (0..600).map(wide));
    let parts = || {
        let all = harness::runner::files(&server.folder());
        all.iter().filter(|(path, _)| path.display().to_string().contains("/multipart/")).count()
    };
    let spec = |name: &str| {
        bench.backup(name, &bootstrap, json!({"topics": [topic], "compression": "none", "incremental": true}))
    };
    for name in ["o-parts", "o-parts", "o-parts-other"] {
        let ended = bench.run_to("segment-closing", &spec(name));
        assert_eq!(ended.code, -1, "{}", ended.stderr);
    }
    assert!(parts() > 0);
    let ended = |name: &str| bench.run(&spec(name)).ok().report()["endedUploads"].clone();
    // The second of the killed runs had ended the upload of the first.
    assert_eq!(ended("o-parts"), 1);
    assert!(parts() > 0, "those of the other set are its own to end");
    assert_eq!(ended("o-parts-other"), 1);
    assert_eq!(parts(), 0);
    assert!(ended("o-parts").is_null());
    bench.call("verify", &spec("o-parts"), &[]).ok();
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

/// A small backup and restore over the bench's store; returns what the runner printed along the way.
fn round_trip(bench: &Bench, topic: &str) {
    let bootstrap = source().bootstrap();
    load::create(&bootstrap, topic, 2, 1, &[]);
    load::produce(&bootstrap, topic, &[], (0..5_000).map(|n| Make::new(n, i32::try_from(n % 2).unwrap())));
    let spec = bench.backup(topic, &bootstrap, json!({"topics": [topic], "incremental": true}));
    for _ in 0..2 {
        bench.run(&spec).ok();
    }
    bench.call("verify", &spec, &[]).ok();
    bench.run(&bench.restore(topic, &target().bootstrap(), json!({"from": topic, "includeOffsetHeaders": false}))).ok();
    assert_eq!(assert_equal(topic), 5_000);
}

/// What `store-check` tries, in its order.
const CHECKS: [&str; 9] =
    ["write and read", "clock", "create-if-absent", "ranges", "multipart", "lists", "overwrite", "latency", "delete"];

/// The names of the checks that passed, as `store-check` printed them.
fn passed(printed: &str) -> Vec<&str> {
    let rows = printed.lines().filter_map(|line| line.trim_start().strip_prefix("ok "));
    rows.filter_map(|row| row.trim_start().split("  ").next()).map(str::trim).collect()
}

#[test]
fn azure_takes_every_kind_of_credentials() {
    let server = Azure::start();
    let mut bench = Bench::new();
    bench.environment = server.environment();
    for (kind, credentials) in server.credentials(bench.dir.path()) {
        bench.storage = server.storage(credentials);
        let spec = bench.backup("unused", "127.0.0.1:1", json!({"topics": ["x"]}));
        let checked = bench.call("store-check", &spec, &[]).ok();
        assert!(checked.stdout.contains("fit for every kind of backup"), "{kind}: {}", checked.stdout);
        assert_eq!(passed(&checked.stdout), CHECKS, "{kind}: {}", checked.stdout);
    }
    // A key that was rotated counts without a restart of anything: the file is read for each request.
    bench.storage = server.storage(json!({"account-key": {"file": "connection"}}));
    round_trip(&bench, "o-azure");
    let refused = |bench: &Bench, exit: i32, code: &str, words: &[&str]| {
        let spec = bench.backup("unused", "127.0.0.1:1", json!({"topics": ["x"]}));
        let ended = bench.call("store-check", &spec, &[]).fails(code, exit, words);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    };
    std::fs::write(bench.dir.path().join("sas"), "sv=2021-12-02&sr=c&sp=rl&se=2020-01-01&sig=canary").unwrap();
    bench.storage = server.storage(json!({"sas-token": {"file": "sas"}}));
    refused(&bench, 4, "KB3002", &["archive"]);
    std::fs::write(bench.dir.path().join("other"), "AccountName=another;AccountKey=Y2FuYXJ5").unwrap();
    bench.storage = server.storage(json!({"account-key": {"file": "other"}}));
    refused(&bench, 4, "KB3002", &["another", "devstoreaccount1"]);
    bench.storage = server.storage(json!({"account-key": {"file": "key"}}));
    bench.storage["container"] = "missing".into();
    refused(&bench, 4, "KB3003", &["missing", "create it"]);
    bench.environment.retain(|(name, _)| *name != "AZURE_TENANT_ID");
    bench.storage = server.storage(json!({"workload-identity": {}}));
    refused(&bench, 4, "KB3002", &["AZURE_TENANT_ID", "azure.workload.identity/use"]);
}

#[test]
fn google_cloud_storage_keeps_the_rules_and_carries_a_round_trip() {
    let server = Gcs::start();
    let mut bench = Bench::new();
    std::fs::write(bench.dir.path().join("account"), server.key_file()).unwrap();
    bench.storage = server.storage("archive", Some("account"));
    let spec = bench.backup("unused", "127.0.0.1:1", json!({"topics": ["x"]}));
    let checked = bench.call("store-check", &spec, &[]).ok();
    assert!(checked.stdout.contains("fit for every kind of backup"), "{}", checked.stdout);
    round_trip(&bench, "o-gcs");
    // Application Default Credentials: a file that the environment names.
    bench.storage = server.storage("archive", None);
    let spec = bench.backup("unused", "127.0.0.1:1", json!({"topics": ["x"]}));
    let file = bench.dir.path().join("account").display().to_string();
    bench.environment = vec![("GOOGLE_APPLICATION_CREDENTIALS", file)];
    bench.call("store-check", &spec, &[]).ok();
    // Another account, another bucket, a file that is no key.
    let stranger = Gcs::start().key_file();
    std::fs::write(bench.dir.path().join("stranger"), stranger).unwrap();
    std::fs::write(bench.dir.path().join("broken"), "canary-private-key").unwrap();
    for (bucket, file, code, words) in [
        ("archive", "stranger", "KB3002", ["archive", "archive"]),
        ("missing", "account", "KB3003", ["missing", "create it"]),
        ("archive", "broken", "KB3002", ["broken", "not JSON"]),
    ] {
        bench.storage = server.storage(bucket, Some(file));
        let spec = bench.backup("unused", "127.0.0.1:1", json!({"topics": ["x"]}));
        let ended = bench.call("store-check", &spec, &[]).fails(code, 4, &words);
        assert!(!ended.stderr.contains("canary"), "{}", ended.stderr);
    }
}

/// `caSecret` of the stores other than S3: the authority of its file is trusted, and no other.
#[test]
fn azure_and_google_cloud_storage_take_an_own_authority() {
    let (azure, gcs, mut bench) = (Azure::start(), Gcs::start_with_tls(), Bench::new());
    let file = |name: &str| bench.dir.path().join(name);
    std::fs::copy(azure.ca(), file("azure.pem")).unwrap();
    std::fs::copy(gcs.ca(), file("gcs.pem")).unwrap();
    std::fs::write(file("account"), gcs.key_file()).unwrap();
    std::fs::write(file("key"), harness::azure::KEY).unwrap();
    let of_azure = azure.storage(json!({"account-key": {"file": "key"}}));
    let of_gcs = gcs.storage("archive", Some("account"));
    for (storage, own, other) in [(of_azure, "azure.pem", "gcs.pem"), (of_gcs, "gcs.pem", "azure.pem")] {
        let mut asked = |authority: Option<&str>| {
            bench.storage = storage.clone();
            bench.storage["tls"] = authority.map_or(json!(null), |file| json!({"caFile": file}));
            let spec = bench.backup("unused", "127.0.0.1:1", json!({"topics": ["x"]}));
            bench.call("store-check", &spec, &[])
        };
        let checked = asked(Some(own)).ok();
        assert!(checked.stdout.contains("fit for every kind of backup"), "{own}: {}", checked.stdout);
        // All authorities of tests have one name.
        for (stranger, words) in
            [(None, "an issuer that is not trusted here"), (Some(other), "another CA of the same name")]
        {
            asked(stranger).fails("KB3011", 4, &[words, "caSecret"]);
        }
    }
}

/// An endpoint without `pathStyle` once meant requests without a bucket: the first folder of the prefix stood in its place.
#[test]
fn an_archive_that_an_earlier_release_put_elsewhere_is_found_again() {
    let server = S3::start();
    std::fs::create_dir(server.folder().join("team")).unwrap();
    let (bench, topic) = (Bench::new(), "o-old-place");
    load::create(&source().bootstrap(), topic, 1, 1, &[]);
    let mut spec = bench.backup(topic, &source().bootstrap(), json!({"topics": [topic]}));
    spec["storage"] = server.storage(bench.dir.path(), "team");
    spec["storage"]["prefix"] = "backups".into();
    bench.run(&spec).ok();
    spec["storage"] = server.storage(bench.dir.path(), "archive");
    let said = bench.call("store-check", &spec, &[]).ok().stdout;
    assert!(!said.contains("old place"), "with pathStyle the bucket was in each request: {said}");
    spec["storage"].as_object_mut().unwrap().remove("pathStyle");
    let said = bench.call("store-check", &spec, &[]).ok().stdout;
    assert!(said.contains("put o-old-place-") && said.contains("set bucket: team and prefix: \"backups\""), "{said}");
    let said = bench.call("store-check", &spec, &["-o", "json"]).ok().stdout;
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["oldPlace"]["bucket"], said["oldPlace"]["sets"].as_array().unwrap().len()), (&json!("team"), 1));

    // Without a prefix the set's own name was the bucket.
    spec["storage"] = server.storage(bench.dir.path(), "team");
    spec["backup"]["incremental"] = true.into();
    spec["name"] = "backups".into();
    spec["storage"]["prefix"] = "".into();
    bench.run(&spec).ok();
    std::fs::rename(server.folder().join("team/backups"), server.folder().join("backups")).unwrap();
    spec["storage"] = server.storage(bench.dir.path(), "archive");
    spec["storage"].as_object_mut().unwrap().remove("pathStyle");
    spec["storage"].as_object_mut().unwrap().remove("prefix");
    let said = bench.call("store-check", &spec, &[]).ok().stdout;
    assert!(said.contains("put the set backups at the root of bucket backups"), "{said}");
    assert!(said.contains("into the bucket of this store, below backups/"), "{said}");
}

/// The address of the server begins with the bucket's name, and has no bucket in it all the same.
#[test]
fn a_bucket_whose_name_begins_the_host_is_in_every_request() {
    let server = S3::start();
    for bucket in ["127", "team"] {
        std::fs::create_dir(server.folder().join(bucket)).unwrap();
    }
    let (bench, topic) = (Bench::new(), "o-begins-the-host");
    load::create(&source().bootstrap(), topic, 1, 1, &[]);
    let mut spec = bench.backup(topic, &source().bootstrap(), json!({"topics": [topic]}));
    spec["storage"] = server.storage(bench.dir.path(), "127");
    spec["storage"].as_object_mut().unwrap().remove("pathStyle");
    bench.run(&spec).ok();
    assert!(server.folder().join("127/team/backups").is_dir(), "the archive is where it was told to be");
    assert!(!server.folder().join("team/backups").exists(), "the first folder is no bucket");
}

#[test]
fn store_check_takes_urls_and_directories_and_finds_what_is_wrong() {
    let server = S3::start();
    let bench = Bench::new();
    let check = |store: &str| {
        let mut command = std::process::Command::new(harness::runner::binary());
        command.args(["store-check", store]).current_dir(bench.dir.path());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        harness::runner::ended(command.output().unwrap())
    };
    let url = format!("s3://archive/x?endpoint=http://127.0.0.1:{}&pathStyle=true&allowHttp=true", server.port());
    let s3 = check(&url).ok();
    assert!(s3.stdout.contains("one winner each") && s3.stdout.contains("1050 of 1050"), "{}", s3.stdout);
    assert!(!server.folder().join("archive/x").exists(), "the check left something");
    check(&bench.archive().display().to_string()).ok();
    check("s3://archive?regoin=x").fails("KB1002", 2, &["regoin"]);
}
