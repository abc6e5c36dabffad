//! Yardsticks that others made: librdkafka, Kafka's own tools, the codecs' libraries, `cat`.

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};

use crate::kafka::Kafka;
use crate::runner::files;

/// librdkafka's consumer reading all partitions to their ends.
pub fn librdkafka(bootstrap: &str, topic: &str, ends: &[i64]) -> Duration {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("group.id", "yardstick").set("enable.auto.commit", "false");
    config.set("queued.max.messages.kbytes", "65536").set("fetch.message.max.bytes", "8388608");
    let started = Instant::now();
    let consumer: BaseConsumer = config.create().unwrap();
    let mut list = TopicPartitionList::new();
    for (partition, _) in (0..).zip(ends) {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut left, mut bytes) = (ends.iter().filter(|end| **end > 0).count(), 0);
    while left > 0 {
        let message = consumer.poll(Duration::from_secs(30)).expect("records come").unwrap();
        bytes += message.payload_len();
        let partition = usize::try_from(message.partition()).unwrap();
        left -= usize::from(message.offset() + 1 == ends[partition]);
    }
    assert!(bytes > 0);
    started.elapsed()
}

/// Kafka's consumer perf tool: the time that it says it spent fetching, without joining its group.
pub fn consumer_perf(kafka: &Kafka, topic: &str, records: i64) -> Duration {
    let records = records.to_string();
    let bootstrap = kafka.bootstrap();
    let arguments =
        ["--bootstrap-server", &bootstrap, "--topic", topic, "--num-records", &records, "--timeout", "60000"];
    let text = kafka.tool("org.apache.kafka.tools.ConsumerPerformance", &arguments);
    let (head, values) = text.trim().rsplit_once('\n').expect("two lines");
    let head = head.lines().last().unwrap_or_default();
    let place = head.split(", ").position(|name| name == "fetch.time.ms").unwrap_or_else(|| panic!("{text}"));
    let millis = values.split(", ").nth(place).unwrap_or_else(|| panic!("{text}"));
    Duration::from_millis(millis.trim().parse().unwrap())
}

/// Kafka's producer perf tool with all acknowledgements and records of this size.
pub fn producer_perf(kafka: &Kafka, topic: &str, records: i64, size: usize) -> Duration {
    let (records, size, bootstrap) = (records.to_string(), size.to_string(), kafka.bootstrap());
    let arguments = [
        "--bootstrap-server",
        &bootstrap,
        "--topic",
        topic,
        "--num-records",
        &records,
        "--record-size",
        &size,
        "--throughput",
        "-1",
        "--command-property",
        "acks=all",
    ];
    let text = kafka.tool("org.apache.kafka.tools.ProducerPerformance", &arguments);
    // "2048000 records sent, 123456.789 records/sec (120.56 MB/sec), ..."
    let last = text.lines().rfind(|line| line.contains("records/sec")).unwrap_or_else(|| panic!("{text}"));
    let rate = last.split(", ").nth(1).and_then(|part| part.split(' ').next());
    let rate: f64 = rate.and_then(|rate| rate.parse().ok()).unwrap_or_else(|| panic!("{text}"));
    Duration::from_secs_f64(records.parse::<f64>().unwrap() / rate)
}

/// One core of a codec's own library over the batches as they were fetched, in pieces of 1 MiB.
pub fn one_core(codec: &str, level: i32, dir: &Path) -> Duration {
    let mut spent = Duration::ZERO;
    for file in fs::read_dir(dir).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        let started = Instant::now();
        for piece in bytes.chunks(1 << 20) {
            let packed = match codec {
                "lz4" => lz4_flex::block::compress(piece),
                _ => zstd::bulk::compress(piece, level).unwrap(),
            };
            assert!(!packed.is_empty());
        }
        spent += started.elapsed();
    }
    spent
}

/// Reading the set's segments once, as `cat` does.
pub fn cat(archive: &Path, set: &str) -> Duration {
    let files = segments(archive, set);
    let started = Instant::now();
    assert!(Command::new("cat").args(files).stdout(Stdio::null()).status().unwrap().success());
    started.elapsed()
}

/// Reading the set's segments once and hashing each MiB with BLAKE3, a segment at a time on each core: what any check
/// of the digests has to do.
pub fn hash(archive: &Path, set: &str) -> Duration {
    let files = segments(archive, set);
    let started = Instant::now();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut block = vec![0; 1 << 20];
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut file = File::open(file).unwrap();
            while let length @ 1.. = file.read(&mut block).unwrap() {
                black_box(blake3::hash(&block[..length]));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().unwrap().get() {
            scope.spawn(work);
        }
    });
    started.elapsed()
}

/// The files of a set's segments. A full backup is a set of its own, with a stamp behind its name.
fn segments(archive: &Path, set: &str) -> Vec<PathBuf> {
    let begin = archive.join(format!("{set}-")).to_string_lossy().into_owned();
    let files = files(archive).into_iter().map(|(file, _)| file);
    let is_segment = |file: &PathBuf| file.extension().is_some_and(|end| end == "seg");
    let found: Vec<_> = files.filter(|file| is_segment(file) && file.to_string_lossy().starts_with(&begin)).collect();
    assert!(!found.is_empty(), "no segments of {set}");
    found
}
