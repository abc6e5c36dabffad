//! Every program ends when it is told to, whatever it waits for.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::runner::Bench;
use serde_json::json;

/// What the operator's pod is given, less some seconds.
const GRACE: Duration = Duration::from_secs(25);
/// A command that only waits has nothing to finish.
const AT_ONCE: Duration = Duration::from_secs(5);

/// A server that takes connections and says nothing; how many came.
fn silent() -> (u16, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(AtomicU32::new(0)));
    let counted = Arc::clone(&came);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            kept.push(stream);
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    (port, came)
}

/// Starts a program that waits for a silent server, tells it to end, and says how it ended, and after how long.
#[allow(clippy::zombie_processes)] // it is asked whether it ended until it has
fn told_to_end(mut command: Command, signal: &str, came: &AtomicU32, limit: Duration) -> (Option<i32>, Duration) {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    let mut early = None;
    while came.load(Ordering::Relaxed) == 0 && early.is_none() && begun.elapsed() < Duration::from_secs(15) {
        std::thread::sleep(Duration::from_millis(20));
        early = child.try_wait().unwrap();
    }
    assert_eq!(early, None, "{command:?} ended before it asked the server");
    // It waits for an answer now.
    harness::process::signal(child.id(), signal);
    let told = Instant::now();
    while told.elapsed() < limit {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), told.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{command:?} did not end within {limit:?}");
}

/// Every program of ours ends within its grace period, whatever it waits for: brokers, stores and API servers that say nothing.
#[test]
fn sigterm_ends_every_program_in_every_wait() {
    let bench = Bench::new();
    let of_runner = |command: &str, of: &str, port: u16, more: &[&str]| {
        let server = format!("127.0.0.1:{port}");
        let (kafka, storage) = match of {
            "broker" | "target" => (server, bench.storage.clone()),
            _ => (
                "127.0.0.1:9".to_owned(),
                json!({
                    "type": "s3", "bucket": "b", "region": "r", "endpoint": format!("http://{server}"), "pathStyle": true, "allowHttp": true,
                }),
            ),
        };
        let mut spec = match of {
            "restore" | "target" => bench.restore("a", &kafka, json!({"from": "a", "groups": {}})),
            _ => bench.backup("a", &kafka, json!({"topics": ["*"]})),
        };
        let mut instead = |action: &str, what: serde_json::Value| {
            spec.as_object_mut().unwrap().remove("backup");
            spec[action] = what;
        };
        match of {
            "reset" => instead("offsetReset", json!({"groups": ["g"], "to": "latest"})),
            "rollback" => instead("offsetRollback", json!({"from": {"id": "x"}, "groups": ["g"]})),
            "validation" => instead("validation", json!({"from": "a", "checks": {"structure": true}})),
            "inspection" => {
                let digest = "0".repeat(64);
                spec = json!({"formatVersion": 1, "name": "a", "storage": {}, "tokenDigest": digest, "records": false, "idleSecs": 600});
            }
            _ => {}
        }
        spec["storage"] = storage;
        let mut command = bench.command(command, &spec, more);
        command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key").env("NO_PROXY", "127.0.0.1");
        command
    };
    let made = bench.dir.path().join("made/set").display().to_string();
    let runner = [
        ("convert", "restore", vec![made.as_str()]),
        ("run", "broker", vec!["-o", "json"]),
        ("run", "store", vec!["-o", "json"]),
        ("run", "restore", vec!["-o", "json"]),
        ("run", "reset", vec!["-o", "json"]),
        ("run", "rollback", vec!["-o", "json"]),
        ("run", "validation", vec!["-o", "json"]),
        ("inspect", "inspection", vec![]),
        ("check", "broker", vec![]),
        ("check", "store", vec![]),
        ("groups", "target", vec![]),
        ("verify", "store", vec!["a"]),
        ("ls", "store", vec![]),
        ("show", "store", vec!["a", "set"]),
        ("lookup", "restore", vec!["t", "0", "1"]),
        ("release", "restore", vec![]),
        ("repair", "store", vec!["a"]),
        ("store-check", "store", vec![]),
        ("prune-plan", "store", vec!["--keep-last", "1"]),
    ];
    every_command_has_a_row(runner.iter().map(|(name, ..)| *name));
    let kubeconfig = |port: u16| {
        let path = bench.dir.path().join(format!("kubeconfig-{port}"));
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
             users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\ncurrent-context: c\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    };
    let rows = std::thread::scope(|scope| {
        let rows = runner.map(|(name, of, more)| {
            let (port, came) = silent();
            let command = of_runner(name, of, port, &more);
            scope.spawn(move || {
                (format!("{name} at a silent {of}"), Some(75), told_to_end(command, "TERM", &came, AT_ONCE))
            })
        });
        let operators = ["true", "false"].map(|elects| {
            let kubeconfig = &kubeconfig;
            scope.spawn(move || {
                let (port, came) = silent();
                let mut command = Command::new(harness::runner::binary().with_file_name("kafka-backup-operator"));
                command.args(["--runner-image", "runner:test", "--drain-secs=0", "--leader-election", elects]);
                for flag in ["webhook", "metrics"] {
                    command.arg(format!("--{flag}-address=127.0.0.1:{}", harness::process::free_port()));
                }
                command.env("KUBECONFIG", kubeconfig(port));
                (format!("operator, election {elects}"), Some(0), told_to_end(command, "TERM", &came, GRACE))
            })
        });
        let all = rows.into_iter().chain(operators);
        all.map(|row| row.join().unwrap()).collect::<Vec<_>>()
    });
    // A few at once: each starts a process.
    let of_plugin: Vec<_> = plugins().chunks(8).flat_map(|rows| at_once(rows, &kubeconfig, bench.dir.path())).collect();
    let mut wrong = Vec::new();
    for (what, code, (ended, after)) in rows.into_iter().chain(of_plugin) {
        println!("{what}: {ended:?} after {after:?}");
        if ended != code {
            wrong.push(format!("{what} ended with {ended:?}, and not {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A command that comes later is told to end, too.
fn every_command_has_a_row(rows: impl Iterator<Item = &'static str>) {
    // These wait for nothing.
    let of_none = ["explain", "schema", "help"];
    let known: BTreeSet<_> = rows.chain(of_none).collect();
    let mut all = <runner::commands::Cli as clap::CommandFactory>::command();
    all.build();
    let missing: Vec<_> = all.get_subcommands().map(clap::Command::get_name).filter(|n| !known.contains(n)).collect();
    assert!(missing.is_empty(), "{missing:?} have no row here");
}

type Row = (String, Option<i32>, (Option<i32>, Duration));

fn at_once(
    rows: &[(&'static str, &'static str)],
    kubeconfig: &(impl Fn(u16) -> PathBuf + Sync),
    dir: &Path,
) -> Vec<Row> {
    std::thread::scope(|scope| {
        let started: Vec<_> = rows
            .iter()
            .enumerate()
            .map(|(number, (arguments, of))| {
                scope.spawn(move || {
                    let (port, came) = silent();
                    let mut command = Command::new(harness::plugin::binary());
                    command.args(arguments.split(' '));
                    if *of == "store" {
                        command.args(["--store", &store(port)]);
                    }
                    if *of == "archive" {
                        command.args([&store(port).replace("b/x", "b/x/old"), "./made/set", "-n", "shop"]);
                        command.current_dir(dir);
                    }
                    if ["store", "archive"].contains(of) {
                        command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key");
                    }
                    command.env("KUBECONFIG", kubeconfig(port)).env("NO_PROXY", "127.0.0.1");
                    let signal = if number % 2 == 0 { "TERM" } else { "INT" };
                    let ended = told_to_end(command, signal, &came, AT_ONCE);
                    (format!("plugin {arguments} at a silent {of}, {signal}"), Some(130), ended)
                })
            })
            .collect();
        started.into_iter().map(|row| row.join().unwrap()).collect()
    })
}

fn store(port: u16) -> String {
    format!("s3://b/x?region=r&endpoint=http://127.0.0.1:{port}&pathStyle=true&allowHttp=true")
}

/// Each command of the plugin, at whatever it asks first.
fn plugins() -> Vec<(&'static str, &'static str)> {
    let rows = vec![
        ("status", "API server"),
        ("doctor", "API server"),
        ("browse", "API server"),
        ("browse a", "API server"),
        ("peek a-20260101-000000 t", "API server"),
        ("groups a", "API server"),
        ("diff a-20260101-000000", "API server"),
        ("timeline", "API server"),
        ("verify a-20260101-000000", "API server"),
        ("prune a", "API server"),
        ("check a", "API server"),
        ("logs a", "API server"),
        ("version", "API server"),
        ("install --apply --yes", "API server"),
        ("uninstall --apply --yes", "API server"),
        ("backup create a --from b", "API server"),
        ("backup run a", "API server"),
        ("schedule suspend a", "API server"),
        ("restore plan --from a", "API server"),
        ("restore create b --from a --yes", "API server"),
        ("offsets snapshots", "API server"),
        ("evidence list", "API server"),
        ("validation run a", "API server"),
        ("browse", "store"),
        ("peek a-20260101-000000 t", "store"),
        ("groups a-20260101-000000", "store"),
        ("diff a-20260101-000000", "store"),
        ("timeline", "store"),
        ("verify a-20260101-000000", "store"),
        ("prune a --keep-last 1", "store"),
        ("evidence get a -n shop", "store"),
        ("convert", "archive"),
    ];
    // These wait for nothing: they read files of this machine at most.
    let of_none = ["explain", "completion", "validate", "help"];
    let known: BTreeSet<_> = rows.iter().filter_map(|(row, _)| row.split(' ').next()).chain(of_none).collect();
    let help = harness::plugin::said(Command::new(harness::plugin::binary()).arg("--help")).stdout;
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let names = commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty()).then(|| name.to_owned())
    });
    let missing: Vec<_> = names.filter(|name| !known.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?} have no row here");
    rows
}

/// Whoever reads a store from here is told what is waited for.
#[test]
fn the_plugin_tells_what_a_store_lets_it_wait_for() {
    let (dir, kubeconfig) = (tempfile::tempdir().unwrap(), "/nowhere");
    for arguments in ["browse", "verify a-20260101-000000", "evidence get a -n shop"] {
        let (port, _) = silent();
        let mut command = Command::new(harness::plugin::binary());
        command.args(arguments.split(' ')).args(["--store", &store(port)]).current_dir(dir.path());
        command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key").env("NO_PROXY", "127.0.0.1");
        command.env("KUBECONFIG", kubeconfig).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let begun = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with("waiting for ") && line.contains("127.0.0.1"), "{arguments}: {line}");
        assert!(begun.elapsed() < Duration::from_secs(7), "{arguments}: {:?}", begun.elapsed());
        harness::process::signal(child.id(), "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(130), "{arguments}");
    }
}
