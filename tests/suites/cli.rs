//! The command line without servers: help, specifications, error codes.

mod endings;
mod words;

use std::process::Command;

use harness::runner::{Bench, binary, ended};
use serde_json::json;

fn call(arguments: &[&str]) -> harness::runner::Ended {
    ended(Command::new(binary()).args(arguments).output().unwrap())
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = call(&["--help"]).ok().stdout;
    for word in ["Examples:", "Exit codes:", "75 stopped", "explain KB4003"] {
        assert!(help.contains(word), "{word} in {help}");
    }
    for command in ["run", "verify", "ls", "show", "lookup", "prune-plan"] {
        assert!(call(&[command, "--help"]).ok().stdout.contains("Example"), "{command}");
    }
}

#[test]
fn every_error_code_is_explained() {
    let all = call(&["explain"]).ok().stdout;
    for code in contract::Code::ALL {
        assert!(all.contains(code.as_str()));
        let one = call(&["explain", &code.as_str().to_lowercase()]).ok().stdout;
        assert!(one.contains(code.help()) && one.contains(&format!("Exit code {}", code.exit() as u8)));
    }
    call(&["explain", "KB9999"]).fails("KB1002", 2, &["KB9999"]);
}

#[test]
fn the_schema_in_docs_is_fresh() {
    let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/run-spec.schema.json");
    let fresh = call(&["schema"]).ok().stdout == std::fs::read_to_string(docs).unwrap();
    assert!(fresh, "run `just gen`");
}

#[test]
fn wrong_specifications_name_field_value_rule_and_fix() {
    let bench = Bench::new();
    let good = || bench.backup("orders", "127.0.0.1:1", json!({"topics": ["orders"]}));
    let mut unknown = good();
    unknown["backup"]["topicz"] = json!([]);
    bench.run(&unknown).fails("KB1001", 2, &["topicz"]);
    let mut wrong = good();
    wrong["backup"]["compressionLevel"] = json!(99);
    wrong["name"] = json!("a/b");
    bench.run(&wrong).fails("KB1002", 2, &["backup.compressionLevel", "99", "1 to 22", "name", "a/b"]);
    let mut typed = good();
    typed["backup"]["segmentMaxBytes"] = json!("big");
    bench.run(&typed).fails("KB1001", 2, &["big"]);
    // The identity of the pod goes to its provider only.
    for (kind, more) in [
        ("azure", json!({"account": "a", "container": "c"})),
        ("azure", json!({"account": "a", "container": "c", "credentials": {"workload-identity": {}}})),
        ("gcs", json!({"bucket": "b"})),
    ] {
        let mut foreign = good();
        foreign["storage"] = more;
        foreign["storage"]["type"] = json!(kind);
        foreign["storage"]["endpoint"] = json!("https://storage.example.com");
        bench.run(&foreign).fails("KB1002", 2, &["storage.endpoint", "identity of the pod", "credentials"]);
    }
    let mut version = good();
    version["formatVersion"] = json!(2);
    bench.run(&version).fails("KB1002", 2, &["formatVersion", "reads 1"]);
    call(&["run", "/no/such/file.yaml"]).fails("KB1001", 2, &["/no/such/file.yaml"]);
    assert!(harness::runner::files(&bench.archive()).is_empty());
}

#[test]
fn archives_of_every_format_stay_readable() {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format");
    for version in ["v1"] {
        let folder = fixtures.join(version);
        let mut bench = Bench::new();
        bench.storage = json!({"type": "filesystem", "path": folder.join("archive")});
        let spec = bench.backup("sample", "127.0.0.1:1", json!({"topics": ["x"]}));
        let expected: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap();
        for (point, topics) in expected.as_object().unwrap() {
            bench.call("verify", &spec, &[point]).ok();
            let listed = bench.call("ls", &spec, &[point, "-o", "json"]).ok().stdout;
            let seal = &serde_json::from_str::<serde_json::Value>(&listed).unwrap()["seal"];
            let mut found = serde_json::Map::new();
            for (place, topic) in seal["topics"].as_array().unwrap().iter().enumerate() {
                let rows = &seal["partitions"];
                let mine = rows["topic"].as_array().unwrap().iter().zip(rows["committed"].as_array().unwrap());
                let sum: u64 =
                    mine.filter(|(row, _)| row.as_u64() == Some(place as u64)).map(|(_, n)| n.as_u64().unwrap()).sum();
                found.insert(topic["name"].as_str().unwrap().to_owned(), sum.into());
            }
            assert_eq!(topics.as_object(), Some(&found), "{point}");
        }
    }
}

/// What volumes, desktops and editors leave beside an archive is passed over and counted; it is no damage.
#[test]
fn stray_files_are_no_damage() {
    let bench = Bench::new();
    let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format/v1/archive");
    let copied = Command::new("cp").arg("-r").arg(fixture.join("sample")).arg(bench.archive()).status().unwrap();
    assert!(copied.success());
    let mut folders = vec![bench.archive()];
    let mut strays = 0;
    while let Some(folder) = folders.pop() {
        let inner = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        folders.extend(inner.filter(|path| path.is_dir()));
        for name in [".nfs0001", ".DS_Store", "._x", "Thumbs.db", "set.json~", ".set.json.swp"] {
            std::fs::write(folder.join(name), "x").unwrap();
            strays += u64::from(folder != bench.archive());
        }
        for name in ["lost+found", ".snapshot"] {
            std::fs::create_dir(folder.join(name)).unwrap();
            std::fs::write(folder.join(name).join("set.json"), "x").unwrap();
            strays += u64::from(folder != bench.archive());
        }
    }
    let spec = bench.backup("sample", "localhost:1", json!({"topics": ["a"]}));
    let verified = bench.call("verify", &spec, &["sample"]).ok().stdout;
    assert!(verified.contains("nothing wrong") && !verified.contains("DAMAGED"), "{verified}");
    assert!(verified.contains(&format!("{strays} files here are no part of a backup")), "{verified}");
    assert!(verified.contains("6 files here are no part of a backup"), "beside the sets: {verified}");
    let listed = bench.call("ls", &spec, &[]).ok().stdout;
    assert!(listed.contains("complete") && listed.lines().count() == 2, "{listed}");
}

#[test]
fn a_specification_comes_from_standard_input_too() {
    use std::io::Write;
    let mut child = Command::new(binary())
        .args(["run", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"formatVersion: 1\nname: x\nnonsense: 1\n").unwrap();
    ended(child.wait_with_output().unwrap()).fails("KB1001", 2, &["nonsense"]);
}
