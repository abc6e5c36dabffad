//! Every program ends when it is told to, whatever it waits for.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use harness::runner::Bench;
use serde_json::json;

/// What a pod is given, less some seconds.
const GRACE: Duration = Duration::from_secs(25);

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
fn told_to_end(mut command: Command, signal: &str, came: &AtomicU32) -> (Option<i32>, Duration) {
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
    while told.elapsed() < GRACE {
        if let Some(status) = child.try_wait().unwrap() {
            return (status.code(), told.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    panic!("{command:?} did not end within {GRACE:?}");
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
        spec["storage"] = storage;
        let mut command = bench.command(command, &spec, more);
        command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key").env("NO_PROXY", "127.0.0.1");
        command
    };
    let runner = [
        ("run", "broker", vec!["-o", "json"]),
        ("run", "store", vec!["-o", "json"]),
        ("run", "restore", vec!["-o", "json"]),
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
            scope.spawn(move || (format!("{name} at a silent {of}"), Some(75), told_to_end(command, "TERM", &came)))
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
                (format!("operator, election {elects}"), Some(0), told_to_end(command, "TERM", &came))
            })
        });
        let plugins = ["status", "doctor", "browse"].map(|name| {
            let kubeconfig = &kubeconfig;
            scope.spawn(move || {
                let (port, came) = silent();
                let mut command = Command::new(harness::plugin::binary());
                command.arg(name).env("KUBECONFIG", kubeconfig(port));
                (format!("plugin {name}"), Some(130), told_to_end(command, "INT", &came))
            })
        });
        let all = rows.into_iter().chain(operators).chain(plugins);
        all.map(|row| row.join().unwrap()).collect::<Vec<_>>()
    });
    let mut wrong = Vec::new();
    for (what, code, (ended, after)) in rows {
        println!("{what}: {ended:?} after {after:?}");
        if ended != code {
            wrong.push(format!("{what} ended with {ended:?}, and not {code:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
