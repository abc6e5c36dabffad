//! The plugin without servers: what it prints of the sample archive, its exit codes, and what it says of mistakes.

mod connections;
mod readme;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use harness::plugin::{binary, call};
use harness::process::signal;
use serde_json::{Value, json};

fn sample() -> String {
    format!("{}/fixtures/format/v1/archive", env!("CARGO_MANIFEST_DIR"))
}

fn ask(arguments: &[&str]) -> harness::plugin::Said {
    let store = sample();
    call(&[arguments, &["--store", &store]].concat())
}

#[test]
fn every_command_has_examples() {
    let help = call(&["--help"]).ok();
    assert!(help.contains("Usage: kubectl kafka-backup") && help.contains("Exit codes:"), "{help}");
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands: Vec<&str> = commands.take_while(|line| !line.is_empty()).collect();
    let names: Vec<&str> = commands.iter().filter_map(|line| line.strip_prefix("  ")).collect();
    let names: Vec<&str> =
        names.iter().filter(|line| !line.starts_with(' ')).map(|line| line.split(' ').next().unwrap()).collect();
    assert!(names.len() >= 6, "{names:?}");
    // `help --help` asks for a command of that name.
    for name in names.into_iter().filter(|name| *name != "help") {
        let help = call(&[name, "--help"]).ok();
        assert!(help.contains("kubectl kafka-backup"), "{name} has no example");
    }
}

#[test]
fn points_are_listed_and_looked_into() {
    let text = ask(&["browse"]).ok();
    assert!(
        text.starts_with("POINT") && text.contains("sample-20261121-155803") && text.contains("incremental"),
        "{text}"
    );
    assert_eq!(ask(&["browse", "-o", "name"]).ok(), "sample-20261121-155803\nsample-20261121-155748\n");
    let text = ask(&["browse", "latest"]).ok();
    assert!(text.contains("10 topics, 943 records") && text.contains("transactions"), "{text}");
    let text = ask(&["browse", "sample-20261121-155748/codec-none"]).ok();
    assert!(text.contains("PARTITION") && text.lines().last().unwrap().trim_start().starts_with('2'), "{text}");
    let list: Value = serde_json::from_str(&ask(&["browse", "-o", "json"]).ok()).unwrap();
    assert_eq!(list["kind"], "RecoveryPointList");
    assert_eq!(list["items"][0]["points"][1]["records"], 943);
    let detail: Value = serde_json::from_str(&ask(&["browse", "latest/nulls", "-o", "json"]).ok()).unwrap();
    assert_eq!((&detail["kind"], detail["topics"].as_array().unwrap().len()), (&"RecoveryPoint".into(), 1));
}

/// The records equal what the fixture's own list says, read by librdkafka when the archive was made.
#[test]
fn records_are_shown_as_they_are() {
    let expected: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{}/../expected.json", sample())).unwrap()).unwrap();
    let shown = ask(&["peek", "sample", "nulls", "-o", "jsonl", "--limit", "100"]).ok();
    let records: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(expected["sample-20261121-155803"]["nulls"], records.len(), "{shown}");
    assert!(
        records.iter().any(|record| record["value"].is_null()) && records.iter().any(|record| record["key"].is_null())
    );
    let headers = ask(&["peek", "sample", "headers", "-o", "jsonl"]).ok();
    let first: Value = serde_json::from_str(headers.lines().next().unwrap()).unwrap();
    let named = |name: &str, value: Value| json!({"name": name, "value": value});
    let list = first["headers"].as_array().unwrap();
    assert_eq!(list[..2], [named("trace", "one".into()), named("trace", "two".into())], "repeated names, in order");
    assert!(list.contains(&named("null", Value::Null)) && list.contains(&named("empty", "".into())), "{first}");
    let one = ask(&["peek", "sample", "compacted", "--offset", "150", "--limit", "1", "-o", "jsonl"]).ok();
    let one: Value = serde_json::from_str(&one).unwrap();
    assert!(one["offset"].as_i64().unwrap() >= 150);
    let key = one["key"].as_str().unwrap();
    let same = ask(&["peek", "sample", "compacted", "--key", key, "-o", "jsonl"]).ok();
    assert!(same.lines().all(|line| line.contains(&format!("\"key\":\"{key}\""))), "{same}");
    let raw = ask(&["peek", "sample", "compacted", "--offset", "150", "--limit", "1", "-o", "raw"]).ok();
    assert_eq!(raw.trim_end(), one["value"].as_str().unwrap());
    let none = ask(&["peek", "sample", "empty"]);
    assert_eq!((none.code, none.stdout.as_str()), (1, ""));
    assert!(none.stderr.contains("no record"), "{}", none.stderr);
}

#[test]
fn time_is_drawn_and_damage_is_found() {
    let text = ask(&["timeline", "--since", "2026-11-20T00:00:00Z"]).ok();
    assert!(text.contains("recoverable") && text.is_ascii(), "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
    let at = |time: &str| {
        let said = ask(&["timeline", "sample", "--at", time, "-o", "json"]);
        let at: Value = serde_json::from_str(&said.stdout).unwrap();
        (said.code, at["items"][0].clone())
    };
    let (code, inside) = at("2026-11-21T15:58:00Z");
    assert_eq!((code, &inside["point"], &inside["lostSeconds"]), (0, &json!("sample-20261121-155803"), &json!(0)));
    assert_eq!(inside["endTime"], "2026-11-21T15:58:00Z");
    // Before the first point, nobody knows what the source had already dropped.
    let (code, before) = at("2026-11-21T15:57:00Z");
    assert_eq!((code, &before["point"], &before["lostSeconds"]), (1, &json!("sample-20261121-155748"), &Value::Null));
    assert!(ask(&["verify", "sample"]).ok().ends_with("verdict: whole\n"));

    let copy = tempfile::tempdir().unwrap();
    assert!(Command::new("cp").args(["-r", &sample()]).arg(copy.path()).status().unwrap().success());
    let store = copy.path().join("archive");
    let is_segment = |(path, _): &(std::path::PathBuf, u64)| path.extension().is_some_and(|end| end == "seg");
    let (segment, _) = harness::runner::files(&store).into_iter().find(is_segment).unwrap();
    let mut bytes = std::fs::read(store.join(&segment)).unwrap();
    bytes[100] ^= 1;
    std::fs::write(store.join(&segment), bytes).unwrap();
    let found = call(&["verify", "sample", "--store", store.to_str().unwrap()]);
    assert_eq!(found.code, 1, "{}", found.stderr);
    assert!(found.stdout.contains("FAIL") && found.stdout.contains("verdict: DAMAGED"), "{}", found.stdout);
}

/// By the plugin and by the runner: what rules would take away, and why the rest stays. Not a byte of the archive changes.
#[test]
fn what_retention_would_take_away_is_told_and_nothing_goes() {
    let before = harness::runner::files(std::path::Path::new(&sample()));
    let text = ask(&["prune", "sample", "--keep-last", "1"]).ok();
    assert!(text.starts_with("POINT") && text.ends_with("Nothing was changed.\n"), "{text}");
    let row = |point: &str| text.lines().find(|line| line.starts_with(point)).unwrap().to_owned();
    assert!(row(OLDER).contains("no      not one of the newest 1"), "{text}");
    assert!(row(NEWER).contains("yes     the newest"), "{text}");
    assert!(text.contains("1 of 2 points may go"), "{text}");
    assert_eq!(ask(&["prune", "sample", "--keep-last", "1", "-o", "name"]).ok(), format!("{OLDER}\n"));
    assert!(ask(&["prune", "sample", "--keep-last", "2"]).ok().contains("0 of 2 points may go."));
    let plan: Value = serde_json::from_str(&ask(&["prune", "sample", "--keep-last", "1", "-o", "json"]).ok()).unwrap();
    assert_eq!((&plan["kind"], &plan["points"], &plan["mayGo"]), (&json!("RetentionPlan"), &json!(2), &json!(1)));
    assert_eq!(plan["items"][0]["verdict"]["goes"]["reason"], "beyondMost");
    let bench = harness::runner::Bench::new();
    let mut spec = bench.backup("sample", "127.0.0.1:1", json!({"topics": ["*"]}));
    spec["storage"] = json!({"type": "filesystem", "path": sample()});
    let said = bench.call("prune-plan", &spec, &["--keep-last", "1"]).ok().stdout;
    assert!(said.contains("1 of 2 points may go") && said.contains("not one of the newest 1"), "{said}");
    let said: Value =
        serde_json::from_str(&bench.call("prune-plan", &spec, &["--keep-last", "1", "-o", "json"]).ok().stdout)
            .unwrap();
    assert_eq!((&said["mayGo"], &said["chains"]), (&json!(1), &plan["chains"]));
    bench.call("prune-plan", &spec, &[]).fails("KB1002", 2, &["--keep-last"]);
    spec["name"] = json!("samples");
    bench.call("prune-plan", &spec, &["--keep-last", "1"]).fails("KB4004", 4, &["samples"]);
    assert_eq!(harness::runner::files(std::path::Path::new(&sample())), before);
}

#[test]
fn mistakes_say_what_is_wrong_and_what_to_do() {
    for (arguments, code, words) in [
        (&["browse", "smaple"][..], 2, &["smaple", "it has: sample", "KB4004"][..]),
        (&["browse", "latest/nulsl"], 2, &["nulsl", "did you mean `nulls`?"]),
        (&["peek", "latest", "nothing"], 2, &["nothing", "KB2005"]),
        (&["peek", "latest", "nulls", "--key", "0xz"], 2, &["--key", "hexadecimal"]),
        (&["peek", "latest", "nulls", "-p", "9"], 2, &["9 is not one of them"]),
        (&["timeline", "--since", "yesterday"], 2, &["yesterday", "14d"]),
        (&["groups", "sample", "--group", "shop"], 2, &["shop", "KB2018"]),
        (&["groups", "sample", "--at", "yesterday"], 2, &["yesterday", "browse sample"]),
        (&["groups", "sample", "--at", "2026-11-21T15:00:00Z"], 2, &["not after", "KB4004"]),
        (&["groups", "latest", "--at", "2026-11-21T16:00:00Z"], 2, &["--at", "name the backup"]),
        (&["groups", "sample", "--live"], 2, &["--live", "--store"]),
        (&["prune", "sample"], 2, &["a store has no rules", "--keep-last"]),
        (&["prune", "smaple", "--keep-last", "1"], 2, &["smaple", "KB4004"]),
        (&["prune", "sample", "--max-age", "30"], 2, &["30", "30d"]),
    ] {
        let said = ask(arguments);
        assert_eq!((said.code, said.stdout.as_str()), (code, ""), "{arguments:?}: {}", said.stderr);
        assert!(said.stderr.starts_with("error: "), "{}", said.stderr);
        assert!(words.iter().all(|word| said.stderr.contains(word)), "{arguments:?}: {}", said.stderr);
    }
    let missing = call(&["browse", "--store", "/no/such/folder"]);
    assert!(missing.code == 2 && missing.stderr.contains("does not exist"), "{}", missing.stderr);
    let wrong = call(&["browse", "--store", "ftp://x/y"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("s3://"), "{}", wrong.stderr);
    assert_eq!(call(&["brwose"]).code, 2);
    let code = call(&["explain", "KB203"]);
    assert!(code.code == 2 && code.stderr.contains("KB2003"), "{}", code.stderr);
    let page = call(&["explain", "kb4001"]).ok().replace('\n', " ");
    assert!(page.contains(contract::Code::ArchiveDamaged.help()), "{page}");
    assert!(call(&["explain", "kafkabackup.spec.schedule"]).ok().contains("spec.schedule"));
}

#[test]
fn other_zones_and_newer_archives_are_told() {
    let berlin = |zone: &str| {
        let mut command = Command::new(binary());
        command.args(["browse", "-o", "wide", "--time", "local", "--store", &sample()]).env("TZ", zone);
        harness::plugin::said(&mut command).ok()
    };
    assert!(berlin("Europe/Berlin").contains("2026-11-21T16:58:03+01:00"), "{}", berlin("Europe/Berlin"));
    assert!(berlin("UTC").contains("2026-11-21T15:58:03+00:00"));
    let copy = tempfile::tempdir().unwrap();
    assert!(Command::new("cp").args(["-r", &sample()]).arg(copy.path()).status().unwrap().success());
    let set = copy.path().join("archive/sample/set.json");
    let text = std::fs::read_to_string(&set).unwrap();
    let newer = text.replacen("\"format\":1", "\"format\":2", 1).replacen("\"format\": 1", "\"format\": 2", 1);
    assert_ne!(text, newer);
    std::fs::write(&set, newer).unwrap();
    let store = copy.path().join("archive");
    let said = call(&["browse", "--store", store.to_str().unwrap()]);
    assert!(said.code == 3 && said.stderr.contains("KB4002"), "{} {}", said.code, said.stderr);
}

#[test]
fn every_shell_gets_its_script() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        assert!(call(&["completion", shell]).ok().contains("timeline"), "{shell}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(binary())
        .args(["peek", "sample", "transactions", "--limit", "1000", "-o", "jsonl", "--store", &sample()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn colours_come_only_when_they_are_wanted() {
    let plain = ask(&["timeline", "--since", "26w"]).ok();
    assert!(!plain.contains('\u{1b}'), "a pipe gets none");
    let painted = ask(&["timeline", "--since", "26w", "--color", "always"]).ok();
    assert!(painted.contains("\u{1b}[1msample"), "{painted:?}");
    // <https://no-color.org>, <https://bixense.com/clicolors>; a flag wins.
    for (name, value, flag, coloured) in [
        ("CLICOLOR_FORCE", "1", "auto", true),
        ("CLICOLOR_FORCE", "1", "never", false),
        ("NO_COLOR", "1", "always", true),
    ] {
        let mut command = Command::new(binary());
        command.args(["timeline", "--since", "26w", "--color", flag, "--store", &sample()]);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env(name, value);
        let text = harness::plugin::said(&mut command).ok();
        assert_eq!(text.contains('\u{1b}'), coloured, "{name}={value} --color {flag}");
    }
}

#[test]
fn what_has_changed_is_shown_again_until_ctrl_c() {
    let store = tempfile::tempdir().unwrap();
    let mut watching = Command::new(binary())
        .args(["browse", "-w", "-o", "name", "--store", store.path().to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    // The set comes whole, as a store shows it.
    let beside = tempfile::tempdir_in(store.path().parent().unwrap()).unwrap();
    assert!(Command::new("cp").args(["-r", &sample()]).arg(beside.path()).status().unwrap().success());
    std::fs::rename(beside.path().join("archive/sample"), store.path().join("sample")).unwrap();
    assert_eq!(lines.next().unwrap().unwrap(), "sample-20261121-155803");
    assert_eq!(lines.next().unwrap().unwrap(), "sample-20261121-155748");
    signal(watching.id(), "INT");
    assert_eq!(watching.wait().unwrap().code(), Some(130));
    assert!(lines.next().is_none());
}

#[test]
fn lists_have_a_line_each_as_json_lines() {
    for (arguments, lines) in [
        (&["schedule", "next", "--cron", "@hourly", "--count", "3", "-o", "jsonl"][..], 3),
        (&["browse", "--store", &sample(), "-o", "jsonl"], 1),
        (&["timeline", "--store", &sample(), "-o", "jsonl"], 1),
    ] {
        let text = call(arguments).ok();
        assert_eq!(text.lines().count(), lines, "{text}");
        assert!(text.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object())));
    }
}

/// What is said of the sample archive when one object is another one.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// Whether each list says so: `ls`, `browse`, `timeline`.
    lists: [bool; 3],
    /// Whether `verify` says so: of the set by the runner and the plugin, of its older and of its newer point.
    verify: [bool; 4],
}

const OLDER: &str = "sample-20261121-155748";
const NEWER: &str = "sample-20261121-155803";

/// An object, what is done to it, its new bytes, and what each command must tell.
type Case = (String, &'static str, Option<Vec<u8>>, Told);

fn told(store: &std::path::Path) -> Told {
    let bench = harness::runner::Bench::new();
    let mut spec = bench.backup("sample", "127.0.0.1:1", json!({"topics": ["*"]}));
    spec["storage"] = json!({"type": "filesystem", "path": store});
    let runner = |command: &str, name: &[&str]| bench.call(command, &spec, name).code != 0;
    let plugin = |words: &[&str]| call(&[words, &["--store", store.to_str().unwrap()]].concat()).code != 0;
    Told {
        lists: [runner("ls", &[]), plugin(&["browse"]), plugin(&["timeline"])],
        verify: [
            runner("verify", &["sample"]),
            plugin(&["verify", "sample"]),
            runner("verify", &[OLDER]),
            plugin(&["verify", NEWER]),
        ],
    }
}

/// Every object that counts, deleted, cut, emptied, flipped, or with the bytes of its neighbour: what can be told is told
/// by every command, and nothing else is.
#[test]
fn no_command_says_that_all_is_well_where_it_is_not() {
    let scratch = tempfile::tempdir().unwrap();
    let well = Told { lists: [false; 3], verify: [false; 4] };
    let copy = |number: usize| {
        let to = scratch.path().join(number.to_string());
        assert!(Command::new("cp").args(["-r", &sample()]).arg(&to).status().unwrap().success());
        to
    };
    assert_eq!(told(&copy(0)), well);
    let counts = ["/log/", "/data/", "/side/", "/points/", "/set.json"];
    let sample = std::path::PathBuf::from(sample());
    let keys: Vec<String> = harness::runner::files(&sample)
        .into_iter()
        .map(|(path, _)| path.strip_prefix(&sample).unwrap().display().to_string())
        .filter(|key| counts.iter().any(|part| key.contains(part)))
        .collect();
    assert_eq!(keys.len(), 13, "{keys:?}");
    let mut cases = Vec::new();
    for key in &keys {
        let bytes = std::fs::read(sample.join(key)).unwrap();
        let kind = key.split('/').nth(1).unwrap();
        let alike = |other: &&String| {
            *other != key && other.split('/').nth(1) == Some(kind) && other.rsplit('/').next() != key.rsplit('/').next()
        };
        let neighbour =
            keys.iter().find(alike).or_else(|| keys.iter().find(|other| *other != key && other.contains(kind)));
        let mut flipped = bytes.clone();
        flipped[bytes.len() / 2] ^= 0x10;
        let mut ways = vec![("deleted", None), ("cut", Some(bytes[..bytes.len() / 2].to_vec()))];
        ways.extend([("emptied", Some(Vec::new())), ("flipped", Some(flipped))]);
        ways.extend(neighbour.map(|other| ("swapped", std::fs::read(sample.join(other)).ok())));
        for (way, changed) in ways {
            let older =
                ["/00000000000000000000", "/00000000000000000001", "155748"].iter().any(|part| key.contains(part));
            // A list reads the log and looks at sizes; a point that does not need the object is whole.
            // Entries of release 0.1 have no checksum: of the newest one, its hint alone tells.
            let by_hint = way == "flipped" && key.ends_with("00000000000000000003");
            let listed = match kind {
                "log" => !by_hint,
                "set.json" => true,
                "data" => changed.as_ref().is_none_or(|changed| changed.len() != bytes.len()),
                _ => false,
            };
            let [of_older, of_newer] = match kind {
                "points" if way == "deleted" => [false, false],
                // The claim behind the older point is nothing that it needs; a newest entry that is gone is told of all.
                "log" => [!by_hint && !key.ends_with("00000000000000000002"), true],
                "set.json" => [true, true],
                "data" => [older, true],
                _ => [older, !older],
            };
            let expected = Told { lists: [listed; 3], verify: [of_newer, of_newer, of_older, of_newer] };
            cases.push((key.clone(), way, changed, expected));
        }
    }
    let check = |(number, (key, way, changed, expected)): (usize, &Case)| {
        let store = copy(number + 1);
        match changed {
            None => std::fs::remove_file(store.join(key)).unwrap(),
            Some(bytes) => std::fs::write(store.join(key), bytes).unwrap(),
        }
        assert_eq!(&told(&store), expected, "{key} {way}");
        std::fs::remove_dir_all(&store).unwrap();
    };
    let middle = cases.len() / 2;
    std::thread::scope(|scope| {
        scope.spawn(|| cases.iter().enumerate().skip(middle).for_each(check));
        cases.iter().enumerate().take(middle).for_each(check);
    });
}

/// Nothing stops at the first thing that is wrong.
#[test]
fn everything_that_is_wrong_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let store = scratch.path().join("archive");
    assert!(Command::new("cp").args(["-r", &sample()]).arg(&store).status().unwrap().success());
    let mut changed = Vec::new();
    for (path, _) in harness::runner::files(&store) {
        let key = path.strip_prefix(&store).unwrap().display().to_string();
        let counts = ["/data/", "/side/00000000000000000003", "/points/20261121-155803", "/set.json"];
        if counts.iter().any(|part| key.contains(part)) || key.ends_with("/00000000000000000000") {
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
            changed.push(key);
        }
    }
    assert_eq!(changed.len(), 7, "{changed:?}");
    let bench = harness::runner::Bench::new();
    let mut spec = bench.backup("sample", "127.0.0.1:1", json!({"topics": ["*"]}));
    spec["storage"] = json!({"type": "filesystem", "path": store});
    let said = [
        bench.call("verify", &spec, &["sample"]).stdout,
        bench.call("verify", &spec, &[NEWER]).stdout,
        call(&["verify", "sample", "--store", store.to_str().unwrap()]).stdout,
    ];
    for text in said {
        // The segment of the entry that cannot be read is known to nobody; that of the other is.
        let named = |key: &&String| !text.contains(key.as_str()) && !key.contains("/data/00000000000000000000-");
        let unnamed: Vec<_> = changed.iter().filter(named).collect();
        assert!(unnamed.is_empty(), "{unnamed:?} in {text}");
    }
}
