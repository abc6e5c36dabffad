//! The house rules that a machine can check: edges between crates, file sizes, module headers, pure modules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

#[path = "house/hides.rs"]
mod hides;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources() -> Vec<(String, String)> {
    let output = Command::new("git").args(["ls-files", "*.rs"]).current_dir(root()).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let read = |name: &str| (name.to_owned(), std::fs::read_to_string(root().join(name)).unwrap_or_default());
    list.lines().map(read).filter(|(_, text)| !text.is_empty()).collect()
}

/// The lines before the tests.
fn product(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| *line != "#[cfg(test)]").collect()
}

fn is_product(name: &str) -> bool {
    ["runner/", "operator-lite/", "plugin/"].iter().any(|part| name.starts_with(part))
        && !name.ends_with("/tests.rs")
        && !name.contains("/tests/")
        && !name.contains("/examples/")
}

#[test]
fn crates_use_each_other_only_along_the_drawn_edges() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root())
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut found = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let name = if name == "kubectl-kafka-backup" { "plugin" } else { name.trim_start_matches("kafka-backup-") };
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            if let Some(other) = other.strip_prefix("kafka-backup-").filter(|_| !["tests", "fuzz"].contains(&name)) {
                found.insert(format!("{other} <- {name}"));
            }
        }
    }
    let drawn = [
        "api <- plugin",
        "archive <- convert",
        "archive <- foreign",
        "archive <- inspect",
        "archive <- plugin",
        "archive <- runner",
        "archive <- sim",
        "batch <- inspect",
        "batch <- archive",
        "batch <- convert",
        "batch <- foreign",
        "batch <- runner",
        "batch <- sim",
        "api <- operator",
        "asks <- operator",
        "asks <- plugin",
        "contract <- api",
        "contract <- archive",
        "contract <- convert",
        "contract <- evidence",
        "contract <- foreign",
        "contract <- inspect",
        "contract <- plugin",
        "contract <- operator",
        "contract <- runner",
        "contract <- sim",
        "contract <- wire",
        "evidence <- plugin",
        "evidence <- runner",
        "convert <- plugin",
        "convert <- runner",
        "foreign <- convert",
        "foreign <- inspect",
        "foreign <- runner",
        "inspect <- runner",
        "runner <- sim",
        "inspect <- plugin",
        "keys <- archive",
        "keys <- evidence",
        "keys <- operator",
        "keys <- plugin",
        "keys <- runner",
        "keys <- wire",
        "visits <- operator",
        "visits <- runner",
        "wire <- runner",
        "wire <- sim",
    ];
    assert_eq!(found, drawn.into_iter().map(str::to_owned).collect(), "ARCHITECTURE.md draws the edges");
}

#[test]
fn files_are_small_and_open_with_what_they_do() {
    for (name, text) in sources() {
        if is_product(&name) {
            let lines = product(&text).len();
            assert!(lines <= 500, "{name} has {lines} lines without its tests; split it by idea");
        }
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//!") || name.ends_with("/tests.rs") || name.starts_with("fuzz/"),
            "{name} opens without saying what it does"
        );
    }
}

#[test]
fn product_code_does_not_panic_by_design() {
    for (name, text) in sources().into_iter().filter(|(name, _)| is_product(name)) {
        for (number, line) in product(&text).iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            for word in [".unwrap()", ".expect(", "panic!(", "todo!(", "unimplemented!(", "unreachable!("] {
                assert!(!code.contains(word), "{name}:{}: {word}", number + 1);
            }
        }
    }
}

#[test]
fn modules_that_decide_do_no_io() {
    let pure = [
        "runner/contract/src/",
        "runner/batch/src/",
        "runner/evidence/src/bundle.rs",
        "runner/evidence/src/canonical.rs",
        "runner/evidence/src/controls.rs",
        "runner/evidence/src/document.rs",
        "runner/evidence/src/dsse.rs",
        "runner/evidence/src/names.rs",
        "runner/evidence/src/verify.rs",
        "runner/evidence/src/pdf/",
        "runner/keys/src/signing.rs",
        "operator-lite/api/src/",
        "operator-lite/src/decide/",
        "plugin/src/view/",
        "plugin/src/show/",
        "plugin/src/near.rs",
        "operator-lite/src/status/",
        "operator-lite/src/progress.rs",
        "operator-lite/src/view.rs",
        "operator-lite/src/webhook/review.rs",
        "operator-lite/src/certificate/material.rs",
        "runner/archive/src/layout.rs",
        "runner/archive/src/state.rs",
        "runner/src/backup/transactions.rs",
        "runner/src/backup/positions.rs",
        "runner/src/restore/configs.rs",
        "runner/src/restore/select.rs",
        "runner/src/restore/state.rs",
        "runner/src/restore/transform.rs",
        "runner/src/validate/counts.rs",
        "runner/src/validate/judge.rs",
        "runner/src/validate/positions.rs",
        "runner/src/validate/ranges.rs",
        "runner/src/validate/sides.rs",
    ];
    for (name, text) in sources().into_iter().filter(|(name, _)| pure.iter().any(|place| name.starts_with(place))) {
        let code = product(&text).join("\n");
        for word in ["async fn", ".await", "Timestamp::now", "std::fs"] {
            assert!(!code.contains(word), "{name} has {word}");
        }
    }
}

/// A document that does not encode is a failure, never an empty text: rooms that keep this rule.
#[test]
fn what_does_not_encode_is_never_empty() {
    let rooms = [
        "runner/contract/src/",
        "runner/src/commands/",
        "runner/src/metrics/",
        "runner/src/outlet/",
        "runner/src/emit.rs",
        "runner/src/run.rs",
        "runner/src/backup/",
        "runner/archive/src/",
    ];
    let kept = |name: &str| rooms.iter().any(|room| name.starts_with(room)) && is_product(name);
    let all = sources();
    assert!(rooms.iter().all(|room| all.iter().any(|(name, _)| name.starts_with(room))), "a room has moved");
    for (name, text) in all.into_iter().filter(|(name, _)| kept(name)) {
        for statement in product(&text).join("\n").split(';') {
            let encodes = statement.contains("serde_json::to_");
            let hides = ["unwrap_or", ".ok()"].iter().any(|word| statement.contains(word));
            assert!(!(encodes && hides), "{name} hides what does not encode:{statement}");
        }
    }
}

/// An error that becomes an empty value is told to nobody. Of options it is no error: `clippy.toml` tells them apart, and this test
/// that it still does.
#[test]
fn no_error_becomes_an_empty_value() {
    let text = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    assert!(text.contains("core::result::Result::unwrap_or_default"), "{text}");
    for (name, text) in sources().into_iter().filter(|(name, _)| is_product(name)) {
        let (mut before, lines) = ("", product(&text));
        for (number, line) in lines.iter().enumerate() {
            let allows = line.contains("allow(clippy::disallowed_methods)");
            assert!(
                !allows || line.contains("//") || before.trim_start().starts_with("//"),
                "{name}:{}: allowed without a reason",
                number + 1
            );
            before = line;
        }
    }
}

/// Recovery points are deleted in one place, and only the run of retention leads there.
#[test]
fn only_the_run_of_retention_deletes_recovery_points() {
    let all = sources();
    let with = |word: &str| {
        let has = |(name, text): &&(String, String)| {
            is_product(name)
                && product(text).iter().any(|line| !line.trim_start().starts_with("//") && line.contains(word))
        };
        all.iter().filter(has).map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(with(".delete_stream("), ["runner/archive/src/prune_run/sweep.rs"]);
    assert_eq!(with("prune_run::"), ["runner/src/prune.rs"]);
    // Objects of archives have no key that goes to the other way of deleting.
    let one_by_one = with("store.delete(");
    assert_eq!(
        one_by_one,
        ["runner/archive/src/kept_evidence.rs", "runner/archive/src/probe.rs", "runner/archive/src/saved_offsets.rs"]
    );
}

/// Each file of `plugin/src/command` is a command that the command line has, or a part of one in the folder of its name.
#[test]
fn only_commands_are_among_the_commands() {
    let line = std::fs::read_to_string(root().join("plugin/src/cli.rs")).unwrap();
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("plugin/src/command")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if name != "mod" {
            assert!(
                line.contains(&format!("(command::{name}::")) || line.contains(&format!("<command::{name}::")),
                "{name}"
            );
            assert!(path.with_extension("rs").is_file(), "{name} is a folder of nothing");
            seen += 1;
        }
    }
    assert!(seen > 15, "{seen} commands");
}

/// Where the root of a crate says that modules use only modules above them, they do.
#[test]
fn modules_use_only_modules_above_them() {
    let (sources, mut crates) = (sources(), 0);
    for (name, text) in &sources {
        let Some(package) = name.strip_suffix("src/lib.rs").filter(|_| is_product(name)) else { continue };
        if !text.contains("Modules use only modules listed above them.") {
            continue;
        }
        crates += 1;
        let declared = |line: &&str| line.strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name.to_owned());
        let order: Vec<String> = product(text).iter().filter_map(declared).collect();
        let place = |name: &String| order.iter().position(|known| known == name);
        for (file, text) in &sources {
            let Some(path) = file.strip_prefix(&format!("{package}src/")).filter(|_| is_product(file)) else {
                continue;
            };
            let module = module(path);
            let code: Vec<&str> =
                product(text).iter().map(|line| line.split("//").next().unwrap_or_default()).collect();
            for other in used(&module, &code.join("\n")) {
                let (Some(from), Some(to)) = (module.first(), other.first()) else { continue };
                let (Some(from_at), Some(to_at)) = (place(from), place(to)) else { continue };
                assert!(to_at <= from_at, "{file}: {from} uses {to}, which stands below it in {name}");
            }
        }
    }
    assert!(crates >= 7, "{crates} crates have an order");
}

#[test]
fn the_order_of_a_select_is_written_down() {
    let engine = ["runner/src/backup/", "runner/src/restore/", "runner/src/run.rs", "runner/wire/src/"];
    for (name, text) in sources().into_iter().filter(|(name, _)| engine.iter().any(|place| name.starts_with(place))) {
        for (_, rest) in product(&text).join("\n").match_indices("select! {").map(|(at, word)| (at, at + word.len())) {
            let next = product(&text).join("\n").split_at(rest).1.trim_start().starts_with("biased;");
            assert!(next, "{name}: a select! without `biased;`: a simulation could not be repeated");
        }
    }
}

/// What a secret is called where it is held as it is.
const SECRET_NAMES: [&str; 6] = ["password", "passphrase", "token", "private_key", "shared", "sas"];
/// And what it is held in.
const PLAIN_TYPES: [&str; 4] = ["String", "Option<String>", "Vec<u8>", "Bytes"];

/// A type that holds a secret as it is does not derive what prints all of its fields.
#[test]
fn types_with_secrets_do_not_print() {
    let mut bad = Vec::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| is_product(name)) {
        let mut prints = false;
        for line in product(&text) {
            let line = line.trim();
            if let Some(derived) = line.strip_prefix("#[derive(") {
                prints = derived.contains("Debug");
            } else if line == "}" {
                prints = false;
            }
            let Some((field, held)) = line.trim_end_matches(',').split_once(": ") else { continue };
            let field = field.rsplit(' ').next().unwrap_or_default();
            let secret = SECRET_NAMES.iter().any(|word| field == *word || field.ends_with(&format!("_{word}")));
            if prints && secret && PLAIN_TYPES.contains(&held) {
                bad.push(format!("{name}: {line}"));
            }
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn no_words_of_unfinished_work() {
    let marks = ["TO", "FIX", "XX", "HA"].into_iter().zip(["DO", "ME", "X", "CK"]).map(|(a, b)| format!("{a}{b}"));
    for mark in marks {
        for (name, text) in sources() {
            let found = text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == mark);
            assert!(!found, "{name} says {mark}");
        }
    }
}

/// What `docs/reliability.md` promises is tested: the tests that it names are there.
#[test]
fn every_promise_has_its_tests() {
    let text = std::fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let head = std::fs::read_to_string(root().join("tests/reliability-head.md")).unwrap();
    assert!(text.starts_with(&head), "docs/reliability.md begins with tests/reliability-head.md");
    let all: String = sources().into_iter().map(|(_, text)| text).collect();
    let rows: Vec<_> = head.lines().filter(|line| line.starts_with("| ") && line.contains('`')).collect();
    assert!(rows.len() > 15, "{rows:?}");
    for row in rows {
        let tests = row.rsplit('|').nth(1).unwrap();
        let names: Vec<_> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            let forms = [format!("fn {name}("), format!("\n    {name}\n")];
            assert!(forms.iter().any(|form| all.contains(form)), "there is no test {name}");
        }
    }
}

/// `Cargo.toml` says which version this is; everything else takes it from there, or is made from it.
#[test]
fn the_version_is_written_once() {
    let made = [
        "Cargo.lock",
        "docs/cli.md",
        "manifests/base/admission-policy.yaml",
        "manifests/base/deployment.yaml",
        "manifests/helm/kafka-backup-operator/Chart.yaml",
    ];
    let (version, places) =
        (env!("CARGO_PKG_VERSION"), ["*.rs", "*.sh", "*.toml", "*.yaml", "*.md", "*Dockerfile", "justfile"]);
    let output = Command::new("git").arg("ls-files").args(places).current_dir(root()).output().unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    let named = |name: &&str| {
        let text = std::fs::read_to_string(root().join(name)).unwrap_or_default();
        // Of dependencies, of other things in examples, and of releases before.
        let ours = |line: &&str| ["kafka-backup", "version: ", "releases/v"].iter().any(|word| line.contains(word));
        product(&text).iter().filter(|line| line.contains(version)).any(ours)
    };
    let found: Vec<&str> =
        list.lines().filter(|name| !made.contains(name) && *name != "CHANGELOG.md").filter(named).collect();
    assert!(found.is_empty(), "{found:?}");
}

/// A name for what stands side by side in a folder: a file, or a folder with its files.
type Names = Vec<String>;

/// The module of a file below `src/`, from the outermost on.
fn module(path: &str) -> Names {
    let mut names: Names = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    names.pop_if(|last| ["mod", "lib", "main"].contains(&last.as_str()));
    names
}

/// The modules that a text names by `crate::` or `super::`.
fn used(module: &Names, text: &str) -> Vec<Names> {
    let mut out = Vec::new();
    for word in ["crate::", "super::"] {
        for (at, _) in text.match_indices(word) {
            let begins = text[..at]
                .chars()
                .next_back()
                .is_none_or(|before| !before.is_alphanumeric() && before != '_' && before != ':');
            if !begins {
                continue;
            }
            let (mut base, mut rest) = (Names::new(), &text[at..]);
            if let Some(after) = rest.strip_prefix("crate::") {
                rest = after;
            } else {
                base.clone_from(module);
                while let Some(after) = rest.strip_prefix("super::") {
                    base.pop();
                    rest = after;
                }
            }
            let path = |text: &str| {
                text.split("::")
                    .map(|name| name.trim().to_owned())
                    .take_while(|name| !name.is_empty())
                    .collect::<Names>()
            };
            let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let parts: Vec<Names> = match rest.strip_prefix('{') {
                // Of a list, the first name of each part.
                Some(list) => list
                    .split(';')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(|part| path(part.trim().split('{').next().unwrap_or_default()))
                    .collect(),
                None => vec![path(rest.split(|c: char| !is_name(c)).next().unwrap_or_default())],
            };
            out.extend(parts.into_iter().map(|part| [base.clone(), part].concat()));
        }
    }
    out
}

/// A module uses its neighbours one way: none of them comes back to it.
#[test]
fn no_modules_use_each_other_in_circles() {
    let mut edges: BTreeMap<String, BTreeSet<(String, String)>> = BTreeMap::new();
    for (name, text) in sources().into_iter().filter(|(name, _)| is_product(name)) {
        let Some((package, path)) = name.split_once("/src/") else { continue };
        let module = module(path);
        let code: Vec<&str> = product(&text).iter().map(|line| line.split("//").next().unwrap_or_default()).collect();
        for other in used(&module, &code.join("\n")) {
            let same = module.iter().zip(&other).take_while(|(a, b)| a == b).count();
            let (Some(from), Some(to)) = (module.get(same), other.get(same)) else { continue };
            let folder = format!("{package}/src/{}", module[..same].join("/"));
            let is_module = |name: &str| {
                let base = root().join(&folder).join(name);
                base.with_extension("rs").is_file() || base.join("mod.rs").is_file()
            };
            if is_module(from) && is_module(to) {
                edges.entry(folder).or_default().insert((from.clone(), to.clone()));
            }
        }
    }
    assert!(edges.values().map(BTreeSet::len).sum::<usize>() > 300, "the modules were not read");
    let mut circles = Vec::new();
    for (folder, edges) in &edges {
        // What is used by nobody that is left, or uses nobody, is in no circle.
        let mut left = edges.clone();
        loop {
            let from: BTreeSet<String> = left.iter().map(|(from, _)| from.clone()).collect();
            let to: BTreeSet<String> = left.iter().map(|(_, to)| to.clone()).collect();
            let before = left.len();
            left.retain(|(a, b)| to.contains(a) && from.contains(b));
            if left.len() == before {
                break;
            }
        }
        let names: BTreeSet<&str> = left.iter().map(|(from, _)| from.as_str()).collect();
        if !names.is_empty() {
            circles.push(format!("{folder}: {}", names.into_iter().collect::<Vec<_>>().join(", ")));
        }
    }
    assert_eq!(circles, Vec::<String>::new(), "split what both need into a module of its own");
}
