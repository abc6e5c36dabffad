//! What comes with the offsets of consumer groups: configs of the groups themselves (KIP-848), and the metadata of commits. With
//! Kafka's own tools as judges.

use std::sync::LazyLock;

use harness::consumers::{commit, committed, line_of};
use harness::kafka::{ANCIENT, Kafka, Options};
use harness::load::{self, Make};
use harness::pair::source;
use harness::runner::Bench;
use serde_json::{Value, json};

/// A target that takes less than the source: shorter sessions, and 8 characters of metadata ("meta of 0" has 9).
static STRICT: LazyLock<Kafka> = LazyLock::new(|| {
    let properties = ["group.consumer.max.session.timeout.ms=46000", "offset.metadata.max.bytes=8"];
    Kafka::with(Options { properties: properties.map(str::to_owned).into(), ..Options::default() })
});

const SESSION: &str = "consumer.session.timeout.ms";
const HEARTBEAT: &str = "consumer.heartbeat.interval.ms";

fn configs(kafka: &Kafka, group: &str, arguments: &[&str]) -> String {
    let bootstrap = kafka.bootstrap();
    let base = ["--bootstrap-server", &bootstrap, "--entity-type", "groups", "--entity-name", group];
    kafka.tool("kafka.admin.ConfigCommand", &[&base[..], arguments].concat())
}

/// The value that was set on a group, as Kafka's own tool prints it.
fn set_on(kafka: &Kafka, group: &str, name: &str) -> Option<String> {
    let told = configs(kafka, group, &["--describe"]);
    let line = told.lines().map(str::trim).find_map(|line| line.strip_prefix(&format!("{name}=")).map(str::to_owned));
    line.map(|rest| rest.split_whitespace().next().unwrap().to_owned())
}

/// A topic of 20 records that these groups stand in the middle of, archived.
fn archived(bench: &Bench, kafka: &Kafka, name: &str, groups: &[&str]) {
    let bootstrap = kafka.bootstrap();
    load::create(&bootstrap, name, 1, 1, &[]);
    load::produce(&bootstrap, name, &[], (0..20).map(|n| Make::new(n, 0)));
    for group in groups {
        commit(&bootstrap, group, name, &[7]);
    }
    let spec = json!({"topics": [name], "incremental": true, "consumerGroupSnapshot": true});
    bench.run(&bench.backup(name, &bootstrap, spec)).ok();
}

fn restore(bench: &Bench, name: &str, target: &Kafka, more: Value) -> Value {
    let groups = json!({"commit": true, "include": [format!("{name}*")]});
    let mut what = json!({"from": name, "includeOffsetHeaders": false, "groups": groups});
    what.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    bench.restore(name, &target.bootstrap(), what)
}

#[test]
fn configs_of_groups_are_restored_and_put_back() {
    let (bench, target) = (Bench::new(), &*STRICT);
    let both = format!("{SESSION}=50000,{HEARTBEAT}=7000");
    configs(source(), "gc", &["--alter", "--add-config", &both]);
    archived(&bench, source(), "gc", &["gc", "gc-plain"]);
    let spec = bench.backup("gc", &source().bootstrap(), json!({"topics": ["gc"]}));
    let groups: Value = serde_json::from_str(&bench.call("show", &spec, &["gc", "groups"]).ok().stdout).unwrap();
    let of = |name: &str| groups.as_array().unwrap().iter().find(|group| group["group"] == name).unwrap().clone();
    assert_eq!(of("gc")["configs"], json!({SESSION: "50000", HEARTBEAT: "7000"}), "only what was set: {groups}");
    assert_eq!(of("gc-plain")["configs"], json!({}), "it is known that nothing was set");
    configs(target, "gc", &["--alter", "--add-config", &format!("{HEARTBEAT}=6000")]);
    let spec = restore(&bench, "gc", target, json!({"accept": ["long-metadata"]}));
    let plan = bench.call("check", &spec, &[]).ok().stdout;
    assert!(plan.contains(&format!("set on it: {HEARTBEAT}=7000, {SESSION}=50000")), "{plan}");
    assert!(plan.contains("this user may set the configs of 1 group: gc"), "{plan}");
    let report = bench.run(&spec).ok().report();
    // What the target refuses is named, and keeps nothing else back.
    assert_eq!((set_on(target, "gc", HEARTBEAT).as_deref(), set_on(target, "gc", SESSION)), (Some("7000"), None));
    assert_eq!(committed(&target.bootstrap(), "gc", "gc")[0].as_ref().unwrap().0, 7);
    let told = &line_of(&report, "gc")["configs"];
    assert_eq!((&told[0]["name"], &told[0]["before"]), (&json!(HEARTBEAT), &json!("6000")), "{report}");
    assert!(told[1]["reason"].as_str().unwrap().contains("INVALID_CONFIG"), "{report}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains(&format!("did not take the config {SESSION}=50000")), "{warnings}");
    assert_eq!(line_of(&report, "gc-plain").get("configs"), None);
    // A rollback puts back what was set before.
    let mut back = bench.backup("gc-back", &target.bootstrap(), json!({}));
    back.as_object_mut().unwrap().remove("backup");
    back["offsetRollback"] = json!({"from": {"id": report["offsetsBefore"]["id"]}, "groups": ["gc"]});
    bench.run(&back).ok();
    assert_eq!(set_on(target, "gc", HEARTBEAT).as_deref(), Some("6000"));
    assert_eq!(committed(&target.bootstrap(), "gc", "gc"), [None]);
}

/// Brokers of before Kafka 3.9: their groups have none, and what a newer source had is told.
#[test]
fn brokers_that_know_no_configs_of_groups_are_told() {
    let ancient = Kafka::with(Options { version: ANCIENT, ..Options::default() });
    let bench = Bench::new();
    configs(source(), "gu", &["--alter", "--add-config", &format!("{HEARTBEAT}=7000")]);
    archived(&bench, source(), "gu", &["gu"]);
    let report = bench.run(&restore(&bench, "gu", &ancient, json!({}))).ok().report();
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("know no configs of consumer groups"), "{warnings}");
    assert_eq!(committed(&ancient.bootstrap(), "gu", "gu")[0].as_ref().unwrap().0, 7);
    archived(&bench, &ancient, "gv", &["gv"]);
    let spec = bench.backup("gv", &ancient.bootstrap(), json!({"topics": ["gv"]}));
    let groups: Value = serde_json::from_str(&bench.call("show", &spec, &["gv", "groups"]).ok().stdout).unwrap();
    assert!(groups[0].get("configs").is_none() && groups[0]["offsets"].is_array(), "{groups}");
}

#[test]
fn metadata_that_the_target_does_not_take_is_found_by_the_plan() {
    let (bench, target) = (Bench::new(), &*STRICT);
    archived(&bench, source(), "gm", &["gm"]);
    let spec = restore(&bench, "gm", target, json!({}));
    let words =
        ["\"gm\"", "gm/0 (9 characters)", "longer than the 8 characters", "offset.metadata.max.bytes", "long-metadata"];
    bench.run(&spec).fails("KB2017", 4, &[&words[..], &["Nothing was written"]].concat());
    let report = bench.run(&restore(&bench, "gm", target, json!({"accept": ["long-metadata"]}))).ok().report();
    assert!(report["warnings"].to_string().contains("committed without it"), "{report}");
    assert_eq!(committed(&target.bootstrap(), "gm", "gm"), [Some((7, String::new()))]);
    // Groups that are asked for once the records are there have no plan: they are refused by name, and the others are done.
    let later = restore(
        &bench,
        "gm",
        target,
        json!({"groups": {"commit": true, "include": ["gm"], "mapping": {"gm": "gm-2"}}}),
    );
    bench.run(&later).fails("KB2017", 4, &["\"gm-2\"", "gm/0 (9 characters)", "raise offset.metadata.max.bytes"]);
}
