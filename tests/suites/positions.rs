//! Consumer groups on three brokers, each of which coordinates some of them: where restores lead them, and how fast many are
//! reset. With librdkafka, Kafka Streams and Kafka's own tools as judges.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use harness::cluster::{PATIENCE, wait_for};
use harness::consumers::{commit, commit_in, committed, committed_in, first_of_each};
use harness::kafka::{Kafka, Options};
use harness::load::{self, Make, T0};
use harness::oracle::{self, Seen};
use harness::pair::source;
use harness::reliability::torture;
use harness::runner::Bench;
use harness::streams::Application;
use serde_json::{Value, json};

/// The target. Each broker leads two partitions of the offsets topic.
static THREE: LazyLock<Kafka> = LazyLock::new(|| {
    let properties = vec!["offsets.topic.num.partitions=6".to_owned()];
    Kafka::with(Options { nodes: 3, properties, ..Options::default() })
});

/// Groups of the first test.
const GROUPS: i64 = 20;
/// The time at which the second of its restores ends: in the middle of a transaction.
const UNTIL: i64 = T0 + 245;

/// A topic of the first test.
struct Topic {
    name: &'static str,
    /// The end of each partition.
    ends: Vec<i64>,
    /// Its records as consumers see them, by partition.
    records: Vec<Vec<Seen>>,
}

impl Topic {
    fn read(name: &'static str) -> Self {
        let bootstrap = source().bootstrap();
        let partitions = 0..oracle::partitions(&bootstrap, name);
        let ends = partitions.clone().map(|partition| oracle::end(&bootstrap, name, partition)).collect();
        let records = partitions.map(|partition| oracle::read(&bootstrap, name, partition, false)).collect();
        Self { name, ends, records }
    }

    /// Where a group stands in each partition: the first at the starts, the last at the ends, one beyond, the others between.
    fn stand(&self, group: i64) -> Vec<i64> {
        let at = |(partition, end): (i64, &i64)| match GROUPS - group {
            GROUPS => 0,
            1 => *end,
            2 => end + 5_000,
            _ => (group * 37 + partition * 13) % (end + 1),
        };
        (0..).zip(&self.ends).map(at).collect()
    }

    /// The records of a partition that a group has not read and that lie before a time.
    fn unread(&self, group: i64, partition: usize, until: i64) -> impl Iterator<Item = &Seen> {
        let from = self.stand(group)[partition];
        self.records[partition].iter().filter(move |seen| seen.offset >= from && seen.timestamp <= until)
    }
}

fn spread(numbers: std::ops::Range<i64>, partitions: i64) -> impl Iterator<Item = Make> {
    numbers.map(move |number| Make::new(number, i32::try_from(number % partitions).unwrap()))
}

/// Plain, in transactions, with holes, with partitions that will meet, and one that is dealt out anew.
fn topics() -> Vec<Topic> {
    let bootstrap = source().bootstrap();
    for (name, partitions, records) in [("ps-plain", 3, 900), ("ps-met", 8, 400), ("ps-dealt", 3, 300)] {
        load::create(&bootstrap, name, partitions, 1, &[]);
        load::produce(&bootstrap, name, &[], spread(0..records, partitions.into()));
    }
    load::delete_records(&bootstrap, "ps-plain", 2, 50);
    load::create(&bootstrap, "ps-tx", 1, 1, &[]);
    let part = |from: i64| spread(from..from + 10, 1).collect::<Vec<_>>();
    load::transactions(&bootstrap, "ps-tx", "ps", (20..29).map(|round| (part(round * 10), round % 3 != 1)).collect());
    let compacted: &'static str = load::compacted(&bootstrap).leak();
    ["ps-plain", "ps-tx", compacted, "ps-met", "ps-dealt"].map(Topic::read).into()
}

fn name(group: i64) -> String {
    if group == 7 { "pg-07/with spaces, ümlauts".to_owned() } else { format!("pg-{group:02}") }
}

/// What a restore made of a topic: its records by partition.
type Restored = BTreeMap<&'static str, Vec<Vec<Seen>>>;

fn restored(topics: &[Topic], to: impl Fn(&str) -> String) -> Restored {
    let bootstrap = THREE.bootstrap();
    let of = |topic: &Topic| {
        let name = to(topic.name);
        let partitions = 0..oracle::partitions(&bootstrap, &name);
        (topic.name, partitions.map(|partition| oracle::read(&bootstrap, &name, partition, false)).collect())
    };
    topics.iter().map(of).collect()
}

/// The record that a group reads first in each partition of the target is the first one that it has not read in the source;
/// where partitions meet or are dealt out anew it is one that it has not read, and none is left out.
fn assert_goes_on(
    group: i64,
    as_named: &str,
    topics: &[Topic],
    restored: &Restored,
    to: impl Fn(&str) -> String,
    until: i64,
) {
    let named: Vec<_> = topics.iter().map(|topic| (to(topic.name), restored[topic.name].len())).collect();
    let asked: Vec<_> = named.iter().map(|(name, count)| (name.as_str(), i32::try_from(*count).unwrap())).collect();
    let at = committed_in(&THREE.bootstrap(), as_named, &asked);
    for topic in topics {
        let reads_on: Vec<Vec<&Seen>> = (0..)
            .zip(&restored[topic.name])
            .map(|(partition, records)| {
                let place = (to(topic.name), partition);
                // Without an offset a consumer begins where it is told to: there must be nothing.
                let from = at.get(&place).copied();
                assert!(from.is_some() || records.is_empty(), "{as_named} has no offset of {place:?}");
                records.iter().filter(|seen| seen.offset >= from.unwrap_or(0)).collect()
            })
            .collect();
        let is_single = |partition: usize| topic.name != "ps-dealt" && (topic.name != "ps-met" || partition < 5);
        for partition in (0..topic.ends.len()).filter(|partition| is_single(*partition)) {
            let expected = topic.unread(group, partition, until).next().map(Seen::content);
            let found = reads_on[partition].first().map(|seen| seen.content());
            assert_eq!(found, expected, "{as_named} {}/{partition}", topic.name);
        }
        let unread: BTreeSet<_> = (0..topic.ends.len())
            .flat_map(|partition| topic.unread(group, partition, until))
            .map(|seen| &seen.value)
            .collect();
        for first in reads_on.iter().filter_map(|records| records.first()) {
            assert!(
                unread.contains(&first.value),
                "{as_named} reads a record of {} again first: {first:?}",
                topic.name
            );
        }
        let met: BTreeSet<_> = reads_on.iter().flatten().map(|seen| &seen.value).collect();
        assert!(unread.is_subset(&met), "{as_named} {}: {} of {}", topic.name, met.len(), unread.len());
    }
}

#[test]
fn twenty_groups_over_three_brokers_go_on_at_their_next_record() {
    let (bootstrap, bench, topics) = (source().bootstrap(), Bench::new(), topics());
    for group in 0..GROUPS {
        let stands: Vec<_> = topics.iter().map(|topic| (topic.name, topic.stand(group))).collect();
        commit_in(&bootstrap, &name(group), stands.iter().map(|(topic, at)| (*topic, at.as_slice())));
    }
    let names: Vec<_> = topics.iter().map(|topic| topic.name).collect();
    let backup = json!({"topics": names, "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup("ps", &bootstrap, backup)).ok();
    let to = |topic: &str| if topic == "ps-plain" { "ps-renamed".to_owned() } else { topic.to_owned() };
    let run = |name: &str, more: Value, mapping: Value| {
        let mut what = json!({
            "from": "ps", "includeOffsetHeaders": false, "partitionMapping": {"6": 5, "7": 5},
            "groups": {"commit": true, "include": ["pg-*"], "mapping": mapping},
        });
        what.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        bench.run(&bench.restore(name, &THREE.bootstrap(), what)).ok().report()
    };
    let more =
        json!({"topicMapping": {"ps-plain": "ps-renamed"}, "repartitioning": {"ps-dealt": {"targetPartitions": 4}}});
    let report = run("ps", more, json!({"pg-03": "moved/ü 03"}));
    assert_eq!(report["positions"].as_array().unwrap().len(), 20, "{report}");
    let as_named = |group: i64| if group == 3 { "moved/ü 03".to_owned() } else { name(group) };
    let whole = restored(&topics, to);
    for group in 0..GROUPS {
        assert_goes_on(group, &as_named(group), &topics, &whole, to, i64::MAX);
    }
    // As members of both sides are given them.
    for (group, protocol) in [(0, "classic"), (5, "consumer"), (7, "classic"), (19, "consumer")] {
        let before = first_of_each(&bootstrap, &name(group), "ps-plain", protocol);
        assert_eq!(first_of_each(&THREE.bootstrap(), &as_named(group), "ps-renamed", protocol), before, "{group}");
    }
    let arguments = ["--bootstrap-server", &THREE.bootstrap(), "--describe", "--state", "--all-groups"];
    let told = THREE.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &arguments);
    let coordinator = |line: &str| line.split_whitespace().find(|word| word.starts_with('(')).map(str::to_owned);
    let coordinators: BTreeSet<_> =
        told.lines().filter(|line| line.trim().starts_with("pg-")).filter_map(coordinator).collect();
    assert_eq!(coordinators.len(), 3, "{told}");
    // Up to a time, into other topics: what the groups have in the first ones stays.
    let late = |topic: &str| format!("{topic}-until");
    let mapping: serde_json::Map<_, _> = names.iter().map(|name| ((*name).to_owned(), late(name).into())).collect();
    let end = jiff::Timestamp::from_millisecond(UNTIL).unwrap().to_string();
    let more = json!({
        "endTime": end, "topicMapping": mapping, "repartitioning": {"ps-dealt-until": {"targetPartitions": 4}},
    });
    run("ps-until", more, json!({}));
    let bounded = restored(&topics, late);
    for group in 0..GROUPS {
        assert_goes_on(group, &name(group), &topics, &bounded, late, UNTIL);
    }
    assert_goes_on(9, &name(9), &topics, &whole, to, i64::MAX);
}

/// A spec of a reset.
fn reset(bench: &Bench, name: &str, what: Value) -> Value {
    let mut spec = bench.backup(name, &THREE.bootstrap(), json!({}));
    spec.as_object_mut().unwrap().remove("backup");
    spec["offsetReset"] = what;
    spec
}

/// A group of Kafka Streams with the protocol of its own (KIP-1071): backed up, restored, and gone on with by the application.
#[test]
fn a_streams_group_goes_on_at_its_next_record() {
    let (from, to, bench) = (source(), &*THREE, Bench::new());
    let work = |kafka: &Kafka, records: i64| {
        let application = Application::start(kafka, "ps-streams", "ps-in", "ps-out");
        wait_for(PATIENCE, || {
            let end = oracle::end(&kafka.bootstrap(), "ps-out", 0);
            if end >= records { Ok(()) } else { Err(format!("{end} of {records}: {}", application.log())) }
        });
        application.stop();
        oracle::read(&kafka.bootstrap(), "ps-out", 0, false)
    };
    load::create(&from.bootstrap(), "ps-in", 2, 1, &[]);
    for kafka in [from, to] {
        load::create(&kafka.bootstrap(), "ps-out", 1, 1, &[]);
    }
    load::produce(&from.bootstrap(), "ps-in", &[], spread(0..40, 2));
    assert_eq!(work(from, 40).len(), 40);
    load::produce(&from.bootstrap(), "ps-in", &[], spread(40..60, 2));
    let spec = json!({"topics": ["ps-in"], "incremental": true, "consumerGroupSnapshot": true});
    let spec = bench.backup("ps-in", &from.bootstrap(), spec);
    bench.run(&spec).ok();
    let groups: Value = serde_json::from_str(&bench.call("show", &spec, &["ps-in", "groups"]).ok().stdout).unwrap();
    let saved = groups.as_array().unwrap().iter().find(|group| group["group"] == "ps-streams").unwrap();
    assert_eq!((&saved["kind"], saved["offsets"].as_array().unwrap().len()), (&json!("streams"), 2), "{saved}");
    let groups = json!({"commit": true, "include": ["ps-streams"]});
    let what = json!({"from": "ps-in", "includeOffsetHeaders": false, "groups": groups});
    bench.run(&bench.restore("ps-in", &to.bootstrap(), what)).ok();
    let numbers = |seen: Vec<Seen>| seen.into_iter().map(|seen| seen.value).collect::<BTreeSet<_>>();
    let expected: BTreeSet<_> = spread(40..60, 2).map(|make| make.value).collect();
    assert_eq!(numbers(work(to, 20)), expected, "none again, none left out");
    // Reset and put back, now that it is a streams group there, too.
    let at = || {
        committed(&to.bootstrap(), "ps-streams", "ps-in").into_iter().flatten().map(|(at, _)| at).collect::<Vec<_>>()
    };
    assert_eq!(at(), [30, 30]);
    let report =
        bench.run(&reset(&bench, "ps-streams", json!({"groups": ["ps-streams"], "to": "earliest"}))).ok().report();
    assert_eq!((at(), &report["positions"][0]["kind"]), (vec![0, 0], &json!("streams")), "{report}");
    let mut back = reset(&bench, "ps-streams-back", json!({}));
    back.as_object_mut().unwrap().remove("offsetReset");
    back["offsetRollback"] = json!({"from": {"id": report["offsetsBefore"]["id"]}});
    bench.run(&back).ok();
    assert_eq!(at(), [30, 30]);
}

/// The figure: 1,000 groups of 50 partitions each, beside Kafka's own tool with 20 of them.
#[test]
fn a_thousand_groups_of_fifty_partitions_are_reset_in_seconds() {
    let (bootstrap, bench) = (THREE.bootstrap(), Bench::new());
    load::create(&bootstrap, "ps-many", 50, 1, &[]);
    load::produce(&bootstrap, "ps-many", &[], spread(0..500, 50));
    let groups: Vec<_> = (0..1_000).map(|number| format!("pm-{number:03}")).collect();
    std::thread::scope(|scope| {
        for part in groups.chunks(63) {
            let bootstrap = &bootstrap;
            scope.spawn(move || part.iter().for_each(|group| commit(bootstrap, group, "ps-many", &[3; 50])));
        }
    });
    let spec = reset(&bench, "ps-many", json!({"groups": groups, "to": "latest", "parallelism": 50}));
    let began = Instant::now();
    let report = bench.run(&spec).ok().report();
    let took = began.elapsed();
    assert_eq!(report["positions"].as_array().unwrap().len(), 1_000);
    for group in groups.iter().step_by(40) {
        let at = committed_in(&bootstrap, group, &[("ps-many", 50)]);
        assert!(at.len() == 50 && at.values().all(|at| *at == 10), "{group}: {at:?}");
    }
    let some: Vec<_> = groups.iter().take(20).flat_map(|group| ["--group", group]).collect();
    let how = ["--reset-offsets", "--all-topics", "--to-earliest", "--execute"];
    let began = Instant::now();
    let arguments = [&["--bootstrap-server", &bootstrap][..], &how, &some].concat();
    THREE.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", &arguments);
    let beside = began.elapsed();
    assert!(committed_in(&bootstrap, &groups[7], &[("ps-many", 50)]).values().all(|at| *at == 0));
    let rate = |groups: f64, took: Duration| groups * 50.0 / took.as_secs_f64();
    println!(
        "50,000 offsets of 1,000 groups reset in {:.1} s, {:.0} a second; Kafka's own tool: 1,000 offsets of 20 groups in {:.1} s, {:.0} a second",
        took.as_secs_f64(),
        rate(1_000.0, took),
        beside.as_secs_f64(),
        rate(20.0, beside)
    );
    // Beside other suites on two cores it may take longer than alone.
    let limit = Duration::from_secs(if torture() { 20 } else { 60 });
    assert!(took < limit, "{took:?}");
}
