//! A cluster to play with: the operator, a broker with a topic, a store, and backups that go on each minute. Shows the first
//! timeline, prints how to go on, and takes all of it away at Ctrl-C or when its input ends.
//!
//! `playground FILE` writes what it showed into a file instead of waiting: the picture of the README is made from it.

use std::fmt::Write;
use std::time::Duration;

use harness::desk::{Desk, OPERATOR_IMAGE, RUNNER_IMAGE};
use harness::load::{self, Make};
use harness::s3::{ACCESS_KEY, SECRET_KEY};

/// Backups that are made before the first look.
const RUNS: i64 = 4;
/// Columns of the terminal.
const COLUMNS: u16 = 100;
/// Seconds between them.
const PAUSE: Duration = Duration::from_secs(5);

fn main() {
    let file = std::env::args().nth(1);
    eprintln!("playground: starting Kubernetes, Apache Kafka and an S3 server (about half a minute)");
    let Some(desk) = Desk::start() else { std::process::exit(1) };
    eprintln!("playground: installing the operator, and backing up a topic {RUNS} times");
    set_up(&desk);
    let mut shown = String::new();
    for arguments in [
        &["status", "-n", "shop"][..],
        &["timeline", "orders", "-n", "shop", "--since", "3m"],
        &["browse", "orders", "-n", "shop"],
        &["peek", "orders", "orders", "-n", "shop", "-p", "0", "--limit", "2"],
        &["restore", "plan", "-n", "shop", "--from", "orders", "--map", "orders=orders-restored", "--create-topics"],
    ] {
        let line = format!("kubectl kafka-backup {}", arguments.join(" "));
        // On a terminal of its own, as a person sees it.
        let there = format!("stty cols {COLUMNS} rows 40; {line} 2>/dev/null");
        let said = harness::plugin::said(desk.command("script").args(["-qec", &there, "/dev/null"]));
        assert_eq!(said.code, 0, "{arguments:?}: {}", said.stdout);
        writeln!(shown, "\u{1b}[1m$ {line}\u{1b}[0m\n{}", said.stdout.replace('\r', "")).unwrap();
    }
    if let Some(file) = file {
        std::fs::write(file, shown).unwrap();
        return;
    }
    print!("{shown}");
    println!("# in another terminal:");
    println!("export KUBECONFIG={} PATH={}", desk.cluster.kubeconfig().display(), desk.path());
    println!("kubectl kafka-backup status -n shop -w");
    println!("# brokers: {}; Ctrl-C takes it all away", desk.kafka.bootstrap());
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {}
}

fn set_up(desk: &Desk) {
    let call = |arguments: &[&str]| {
        let said = desk.call(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}{}", said.stdout, said.stderr);
    };
    call(&["install", "--apply", "--operator-image", OPERATOR_IMAGE, "--runner-image", RUNNER_IMAGE]);
    desk.cluster.ok(&["create", "namespace", "shop"]);
    let keys = [
        format!("--from-literal=AWS_ACCESS_KEY_ID={ACCESS_KEY}"),
        format!("--from-literal=AWS_SECRET_ACCESS_KEY={SECRET_KEY}"),
    ];
    desk.cluster.ok(&["create", "secret", "generic", "s3", "-n", "shop", &keys[0], &keys[1]]);
    let bootstrap = desk.kafka.bootstrap();
    load::create(&bootstrap, "orders", 3, 1, &[]);
    for run in 0..RUNS {
        let records =
            (run * 5_000..(run + 1) * 5_000).map(|number| Make::new(number, i32::try_from(number % 3).unwrap()));
        load::produce(&bootstrap, "orders", &[], records);
        if run == 0 {
            let store = desk.store();
            let create =
                ["backup", "create", "orders", "-n", "shop", "--bootstrap-servers", &bootstrap, "--topics", "orders"];
            let how = [
                "--storage",
                &store,
                "--storage-secret",
                "s3",
                "--schedule",
                "0 * * * * *",
                "--incremental",
                "--groups",
            ];
            call(&[&create[..], &how].concat());
        }
        call(&["backup", "run", "orders", "-n", "shop", "--wait", "--timeout", "3m"]);
        std::thread::sleep(PAUSE);
    }
}
