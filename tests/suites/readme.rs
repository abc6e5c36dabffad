//! The blocks of README and pages, taken out of their texts: commands are ones that the programs know, and documents are valid. The
//! walk between its marks is run as it stands by the suite `screens`.

use std::io::Write;
use std::process::{Command, Stdio};

use contract::RunSpec;
use harness::plugin::binary;

fn root(path: &str) -> String {
    format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
}

/// Pages whose blocks are taken.
const PAGES: [&str; 7] = [
    "README.md",
    "docs/kubernetes.md",
    "docs/engine.md",
    "docs/evidence.md",
    "docs/validation.md",
    "docs/runbook.md",
    "docs/operations.md",
];

/// The blocks in this language.
fn blocks(language: &str) -> Vec<String> {
    PAGES.iter().flat_map(|page| blocks_of(page, language)).collect()
}

fn blocks_of(page: &str, language: &str) -> Vec<String> {
    let text = std::fs::read_to_string(root(page)).unwrap();
    let mut rest = text.as_str();
    let mut out = Vec::new();
    while let Some((_, after)) = rest.split_once(&format!("```{language}\n")) {
        let (block, after) = after.split_once("\n```").unwrap();
        out.push(block.to_owned());
        rest = after;
    }
    out
}

/// The commands of the blocks for shells, without what follows them.
fn commands() -> Vec<String> {
    let lines = [blocks("sh"), blocks("console")]
        .into_iter()
        .flatten()
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>());
    let bare = lines.map(|line| line.split(" #").next().unwrap().trim().to_owned());
    bare.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// What `--help` behind the words of a command says: that the program knows it, with these flags.
fn help(program: &str, words: &[&str]) -> String {
    let commands: Vec<&str> = words.iter().copied().take_while(|word| !word.starts_with(['-', '"', '$'])).collect();
    for length in (0..=commands.len().min(2)).rev() {
        let output = Command::new(program).args(&commands[..length]).arg("--help").output().unwrap();
        if output.status.success() {
            return String::from_utf8_lossy(&output.stdout).into_owned();
        }
    }
    panic!("{program} does not know {commands:?}");
}

#[test]
fn commands_have_the_flags_that_the_programs_know() {
    let plugin = binary().to_str().unwrap().to_owned();
    let runner = harness::runner::binary().to_str().unwrap().to_owned();
    let mut seen = 0;
    for line in commands() {
        let called = [("kubectl kafka-backup ", &plugin), ("kafka-backup-runner ", &runner)];
        let Some((rest, program)) = called.iter().find_map(|(name, program)| Some((line.strip_prefix(name)?, program)))
        else {
            continue;
        };
        let rest = rest.split(" | ").next().unwrap();
        let words: Vec<&str> = rest.split_whitespace().collect();
        let help = help(program, &words);
        assert!(help.contains("Usage:") && words[0].len() > 1, "{line}");
        // A subcommand that is unknown shows the help of the whole program.
        assert!(
            help.contains(&format!("{} ", words[0])) || help.contains(&format!("{}\n", words[0])),
            "{line}: {help}"
        );
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let name = flag.split('=').next().unwrap();
            assert!(help.contains(name), "{line}: no {name}");
        }
        seen += 1;
    }
    assert!(seen >= 18, "{seen} commands");
}

#[test]
fn documents_are_valid() {
    let documents = blocks("yaml");
    let resources: Vec<&String> = documents.iter().filter(|text| text.starts_with("apiVersion:")).collect();
    assert!(resources.len() >= 2);
    for text in resources {
        let mut judge = Command::new(binary())
            .args(["validate", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        judge.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = judge.wait_with_output().unwrap();
        assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stdout));
    }
    let run = documents.iter().find(|text| text.starts_with("formatVersion:")).unwrap();
    let restore = documents.iter().find(|text| text.starts_with("restore:")).unwrap();
    let (head, _) = run.split_once("backup:").unwrap();
    for text in [run.clone(), format!("{head}{restore}")] {
        let spec: RunSpec = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{text}\n{error}"));
        assert!(spec.findings().is_empty(), "{text}\n{:?}", spec.findings());
    }
}

/// Texts name the group of a kind where another group has one of the same name.
#[test]
fn kinds_are_asked_for_by_their_group() {
    for file in ["README.md", "docs/runbook.md", "docs/compatibility.md", "docs/cli.md"] {
        let text = std::fs::read_to_string(root(file)).unwrap();
        for line in text.lines() {
            for verb in ["get", "describe", "annotate", "delete", "patch", "edit"] {
                for short in ["kb", "kr", "kafkabackup", "kafkarestore", "kafkabackups", "kafkarestores"] {
                    assert!(!format!("{line} ").contains(&format!("kubectl {verb} {short} ")), "{file}: {line}");
                }
            }
        }
    }
}

/// Other users of a machine see the command lines of its processes, and shells keep them.
#[test]
fn no_command_that_users_are_told_has_a_secret_in_it() {
    let docs = std::fs::read_dir(root("docs")).unwrap().map(|entry| entry.unwrap().path());
    let files = docs.chain([root("README.md").into()]).filter(|path| path.extension().is_some_and(|end| end == "md"));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let line =
            text.lines().find(|line| ["--from-literal", "--docker-password"].iter().any(|bad| line.contains(bad)));
        assert_eq!(line, None, "{}", file.display());
    }
}
