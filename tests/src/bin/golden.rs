//! Makes the golden batches of `runner/batch/tests/golden`: the same 30 records written by Java's and by librdkafka's
//! producer with each codec, as the broker keeps them; or, with `archive`, a sample archive of this release's format.
//! Run once; the files are checked in.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::kafka::Kafka;
use harness::load::{self, Make, T0};
use harness::oracle;
use harness::runner::Bench;
use serde_json::json;

fn main() {
    let usage = "usage: golden batches|archive FOLDER";
    let out: PathBuf = std::env::args().nth(2).expect(usage).into();
    match std::env::args().nth(1).as_deref() {
        Some("batches") => batches(&out),
        Some("archive") => archive(&out),
        _ => panic!("{usage}"),
    }
}

/// Two points of an incremental set, with what librdkafka saw of the source at each.
fn archive(out: &Path) {
    let kafka = Kafka::start();
    let bootstrap = kafka.bootstrap();
    let topics = load::mixed(&bootstrap, 60);
    let bench = Bench::new();
    let backup =
        json!({"topics": topics, "incremental": true, "consumerGroupSnapshot": true, "sourceClusterId": "sample"});
    let spec = bench.backup("sample", &bootstrap, backup);
    let mut expected = serde_json::Map::new();
    for round in 0..2 {
        load::produce(&bootstrap, "codec-none", &[], (0..10 * round).map(|n| Make::new(n, 0)));
        let point = bench.run(&spec).ok().report()["point"].as_str().unwrap().to_owned();
        let seen = |topic: &String| (topic.clone(), json!(oracle::digest(&bootstrap, topic, None).0));
        expected.insert(point, topics.iter().map(seen).collect::<serde_json::Map<_, _>>().into());
        std::thread::sleep(Duration::from_secs(1));
    }
    let copied = Command::new("cp").arg("-r").arg(bench.archive()).arg(out.join("archive")).status().unwrap();
    assert!(copied.success());
    std::fs::write(out.join("expected.json"), serde_json::to_string_pretty(&expected).unwrap() + "\n").unwrap();
}

fn batches(out: &Path) {
    let kafka = Kafka::start();
    let bootstrap = kafka.bootstrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = format!("librdkafka-{codec}");
        load::create(&bootstrap, &topic, 1, 1, &[]);
        let make = |n: i64| Make {
            key: (n % 5 != 0).then(|| format!("key-{n}").into_bytes()),
            value: (n % 7 != 0).then(|| format!("value-{n}-{}", "abc".repeat(20)).into_bytes()),
            headers: (0..n % 3).map(|h| ("h".to_owned(), (h != 1).then(|| vec![u8::try_from(n).unwrap()]))).collect(),
            timestamp: Some(T0 + n),
            partition: 0,
        };
        load::produce(&bootstrap, &topic, &[("compression.type", codec), ("linger.ms", "300")], (0..30).map(make));
        std::fs::write(out.join(format!("{topic}.batches")), kafka.log_bytes(&topic, 0)).unwrap();
        let topic = format!("java-{codec}");
        load::create(&bootstrap, &topic, 1, 1, &[]);
        let line = |n: i32| {
            let headers: Vec<_> =
                (0..n % 3).map(|h| if h == 1 { "h:NULL".to_owned() } else { format!("h:{n}") }).collect();
            let key = if n % 5 == 0 { "NULL".to_owned() } else { format!("key-{n}") };
            let value = if n % 7 == 0 { "NULL".to_owned() } else { format!("value-{n}-{}", "abc".repeat(20)) };
            format!("{}\t{key}\t{value}\n", if headers.is_empty() { "NULL".to_owned() } else { headers.join(",") })
        };
        let input: String = (0..30).map(line).collect();
        let properties = ["parse.key=true", "parse.headers=true", "null.marker=NULL", "key.separator=\t"];
        let mut arguments = vec!["--bootstrap-server", &bootstrap, "--topic", &topic, "--compression-codec", codec];
        for property in properties {
            arguments.extend(["--reader-property", property]);
        }
        kafka.tool_with_input("org.apache.kafka.tools.ConsoleProducer", &arguments, &input);
        std::fs::write(out.join(format!("{topic}.batches")), kafka.log_bytes(&topic, 0)).unwrap();
    }
}
