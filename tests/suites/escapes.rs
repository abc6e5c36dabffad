//! An archive with escape sequences, marks of direction and ends of lines in every string of its documents: every screen of
//! the plugin and of the runner shows it, and nothing of it acts on a terminal.

#[allow(dead_code)]
#[path = "../../runner/archive/tests/hostile/forge.rs"]
mod forge;

use std::path::{Path, PathBuf};
use std::process::Command;

use contract::words::acts;
use forge::{Objects, rewritten};
use harness::plugin::{binary, said};
use harness::runner::{Bench, files};
use serde_json::{Value, json};

/// Clears the screen, sets the title, hides what follows, goes up, paints, and claims to be a line of ours.
const EVIL: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}\u{9b}1A\u{1b}[32m\r\nerror: EVIL\nhint: EVIL\u{200b}\u{1b}[0m";
/// Codes of our own colours.
const OURS: [&str; 6] = ["\u{1b}[32m", "\u{1b}[33m", "\u{1b}[31m", "\u{1b}[2m", "\u{1b}[1m", "\u{1b}[0m"];

fn evil(text: &str) -> String {
    format!("{text}{EVIL}")
}

/// Every string that a document holds as text, and lists that the sample has nothing of.
fn rewrite(key: &str, document: &mut Value) {
    if key.ends_with("configs.json") {
        let content = document["content"].as_object().unwrap();
        let config = |(name, value): (&String, &Value)| (evil(name), json!(evil(value.as_str().unwrap())));
        let topic = |(name, configs): (&String, &Value)| {
            let configs = configs.as_object().unwrap().iter().map(config).collect();
            (evil(name), Value::Object(configs))
        };
        document["content"] = Value::Object(content.iter().map(topic).collect());
        return;
    }
    if key.ends_with("groups.json") {
        let offset =
            json!({"topic": evil("nulls"), "partition": 0, "offset": 3, "leaderEpoch": 0, "metadata": evil("m")});
        document["content"] = json!([{"group": evil("g"), "kind": evil("k"), "state": evil("s"), "offsets": [offset]}]);
        return;
    }
    texts(document);
    let topic = document["topics"].get(0).map(|topic| topic["id"].clone());
    if let (true, Some(topic)) = (document["kind"] == "seal", topic) {
        document["gaps"] =
            json!([{"topic": topic, "name": evil("t"), "partition": 0, "from": 1, "to": 2, "reason": "retention"}]);
        document["forks"] = json!([{"topic": topic, "name": evil("t"), "partition": 0, "timeline": 1, "from": 1}]);
        document["seal"]["heldBack"] = json!([{"topic": evil("t"), "partition": 0, "from": 1, "to": 2}]);
    }
}

fn texts(value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(texts),
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_text = matches!(
                    name.as_str(),
                    "name" | "namespace" | "clusterId" | "sourceClusterId" | "writer" | "at" | "run"
                );
                match value.as_str().filter(|_| is_text) {
                    Some(text) => *value = json!(evil(text)),
                    None => texts(value),
                }
            }
        }
        _ => {}
    }
}

/// The sample, rewritten.
fn archive(folder: &Path) {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format/v1/archive");
    let read = |(path, _): (PathBuf, u64)| {
        (path.strip_prefix(&sample).unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap())
    };
    let all: Objects = files(&sample).into_iter().map(read).collect();
    for (path, bytes) in rewritten(&all, rewrite) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// Nothing acts but ends of lines, and our own colours where they are wanted; no line of the archive's looks like ours.
fn tame(what: &str, text: &str, colours: bool) {
    let mut rest = text.to_owned();
    assert!(!text.contains("\u{1b}[32m\\r") && !text.contains("\u{1b}[32m\r"), "{what}: {text:?}");
    for code in OURS.iter().filter(|_| colours) {
        rest = rest.replace(code, "");
    }
    let bad = rest.chars().find(|character| *character != '\n' && acts(*character));
    assert!(bad.is_none(), "{what}: {bad:?} in {rest:?}");
    assert!(
        !rest.lines().any(|line| line.starts_with("error: EVIL") || line.starts_with("hint: EVIL")),
        "{what}: {rest}"
    );
}

/// The text, or the same text where some of it could not be shown.
fn plugin(store: &str, arguments: &[&str]) {
    for colours in [false, true] {
        let mut command = Command::new(binary());
        command.args(arguments).args(["--store", store, "--color", if colours { "always" } else { "never" }]);
        let said = said(command.env("KUBECONFIG", "/no/such/kubeconfig"));
        let what = format!("{arguments:?}");
        assert!(!said.stdout.is_empty() || !said.stderr.is_empty(), "{what} says nothing");
        tame(&what, &said.stdout, colours);
        tame(&what, &said.stderr, colours);
    }
}

fn all_of_the_plugin(store: &str) {
    let topic = evil("nulls");
    let place = format!("latest/{topic}");
    for output in ["table", "wide", "name", "json", "yaml", "jsonl"] {
        plugin(store, &["browse", "-o", output]);
        plugin(store, &["browse", "latest", "-o", output]);
        plugin(store, &["browse", "latest", "--groups", "-o", output]);
        plugin(store, &["groups", "latest", "-o", output]);
        plugin(store, &["browse", &place, "-o", output]);
        plugin(store, &["timeline", "--since", "2026-11-01T00:00:00Z", "-o", output]);
        plugin(store, &["timeline", "sample", "--at", "2026-11-21T16:00:00Z", "-o", output]);
        plugin(store, &["verify", "sample", "-o", output]);
    }
    plugin(store, &["verify", "sample", "--level", "structure"]);
    plugin(store, &["browse", "latest/no-such-topic"]);
    plugin(store, &["groups", "latest", "--group", &evil("no-such-group")]);
    plugin(store, &["groups", "sample", "--at", &evil("no-such-point")]);
    plugin(store, &["browse", &evil("no-such-point")]);
    for output in ["table", "jsonl", "hex"] {
        plugin(store, &["peek", "sample", &topic, "--headers", "-o", output]);
    }
    plugin(store, &["peek", "sample", &evil("no-such-topic")]);
}

fn all_of_the_runner(bench: &Bench) {
    let spec = bench.backup("sample", "127.0.0.1:1", json!({"topics": ["a"]}));
    let runner = |arguments: &[&str]| {
        let (first, rest) = arguments.split_first().unwrap();
        let said = said(&mut bench.command(first, &spec, rest));
        let what = format!("{arguments:?}");
        assert!(!said.stdout.is_empty() || !said.stderr.is_empty(), "{what} says nothing");
        tame(&what, &said.stdout, false);
        tame(&what, &said.stderr, false);
    };
    for output in ["text", "json"] {
        for arguments in [
            &["ls"][..],
            &["ls", "sample"],
            &["ls", "sample", "--partitions"],
            &["ls", "sample", "--segments"],
            &["verify", "sample"],
            &["verify", "sample", "--level", "structure"],
            &["ls", "no\u{1b}[2Jname"],
        ] {
            runner(&[arguments, &["-o", output]].concat());
        }
    }
    for document in [&["set"][..], &["entry"], &["entry", "1"], &["configs"], &["groups"], &["segment", "0", "0"]] {
        runner(&[&["show", "sample"], document].concat());
    }
}

#[test]
fn every_screen_shows_a_hostile_archive_and_nothing_of_it_acts() {
    let bench = Bench::new();
    let folder = bench.archive();
    archive(&folder);
    let store = folder.to_str().unwrap();
    all_of_the_plugin(store);
    all_of_the_runner(&bench);
    // The same, where the archive is damaged: messages show names, too.
    let seal = folder.join("sample/log/main/00000000000000000000/00000000000000000003");
    std::fs::write(seal, format!("{{\"format\": \"{}\"}}", "\u{202e}\u{9b}31m")).unwrap();
    all_of_the_plugin(store);
    all_of_the_runner(&bench);
}
