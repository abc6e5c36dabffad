//! Admission while replicas of the operator come and go, behind what a Service is: an address whose list of replicas
//! changes a while after they do.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::cluster::{Cluster, NAMESPACE, Operator, PATIENCE, wait_for};
use harness::process::free_port;
use serde_json::json;

use super::backup;

/// How long a Service goes on sending connections to a replica that was told to end.
const SPREADS: Duration = Duration::from_secs(3);
/// How long a replica answers after it was told to end.
const DRAIN: Duration = Duration::from_secs(8);
const RESTARTS: u32 = 5;
const ADMISSIONS: u32 = 1_000;

type Replicas = Arc<Mutex<Vec<u16>>>;

/// Passes connections on to one replica after the other.
fn service(port: u16, replicas: Replicas) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    std::thread::spawn(move || {
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
            for turn in 0_usize.. {
                let Ok((mut client, _)) = listener.accept().await else { continue };
                let chosen = {
                    let all = replicas.lock().unwrap();
                    all.get(turn % all.len().max(1)).copied()
                };
                tokio::spawn(async move {
                    let Some(port) = chosen else { return };
                    match tokio::net::TcpStream::connect(("127.0.0.1", port)).await {
                        Ok(mut replica) => drop(tokio::io::copy_bidirectional(&mut client, &mut replica).await),
                        Err(error) => println!("replica {port}: {error}"),
                    }
                });
            }
        });
    });
}

fn replica(cluster: &Cluster, number: u32) -> (u16, Operator) {
    let port = free_port();
    (port, cluster.operator(&format!("op-{number}"), port, &[&format!("--drain-secs={}", DRAIN.as_secs())]))
}

/// Five rolling restarts under load: each admission is answered.
#[test]
fn a_rolling_restart_refuses_nobody() {
    let cluster = Cluster::start();
    let port = free_port();
    cluster.install(port);
    let replicas = Replicas::default();
    service(port, Arc::clone(&replicas));
    let mut running: Vec<(u16, Operator)> = (0..2).map(|number| replica(&cluster, number)).collect();
    replicas.lock().unwrap().extend(running.iter().map(|(port, _)| *port));
    wait_for(PATIENCE, || cluster.apply(&backup("first", json!({}))).map(drop));
    let (over, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (cluster, over, asked) = (&cluster, &over, &asked);
            scope.spawn(move || {
                for round in 0.. {
                    if over.load(Ordering::Relaxed) && asked.load(Ordering::Relaxed) >= ADMISSIONS {
                        return;
                    }
                    // One kubectl asks many times.
                    let list: Vec<_> = (0..20)
                        .map(|n| backup(&format!("w{worker}-{n}"), json!({"topics": [format!("t{round}")]})))
                        .collect();
                    let list = json!({"apiVersion": "v1", "kind": "List", "items": list});
                    let output = cluster.kubectl_with(
                        &cluster.kubeconfig(),
                        &["apply", "--dry-run=server", "-f", "-"],
                        &list.to_string(),
                    );
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                    asked.fetch_add(20, Ordering::Relaxed);
                }
            });
        }
        for restart in 0..RESTARTS {
            // As a Deployment does it: the new one is ready, then the old one is told to end.
            for half in 0..2 {
                let (fresh, operator) = replica(&cluster, 10 + 2 * restart + half);
                replicas.lock().unwrap().push(fresh);
                let (old, ending) = running.remove(0);
                println!("restart {restart}: {old} ends, {fresh} is there");
                let there = std::net::TcpStream::connect(("127.0.0.1", old));
                assert!(there.is_ok(), "{old} is gone already: {}", ending.log());
                let began = Instant::now();
                let end = scope.spawn(move || ending.end("TERM"));
                std::thread::sleep(SPREADS);
                replicas.lock().unwrap().retain(|port| *port != old);
                running.push((fresh, operator));
                let log = end.join().unwrap();
                assert!(began.elapsed() >= DRAIN, "{old} ended after {:?}:\n{log}", began.elapsed());
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    println!("{} admissions over {RESTARTS} rolling restarts, none refused", asked.load(Ordering::Relaxed));
}

/// The certificate's Secret is deleted and every replica starts anew: admission is back by itself.
#[test]
fn the_webhook_heals_when_its_secret_is_gone() {
    let cluster = Cluster::start();
    let port = free_port();
    cluster.install(port);
    let first = cluster.operator("op-1", port, &[]);
    wait_for(PATIENCE, || cluster.apply(&backup("first", json!({}))).map(drop));
    cluster.ok(&["delete", "secret", "kafka-backup-webhook", "-n", NAMESPACE]);
    first.end("TERM");
    let second = cluster.operator("op-2", port, &[]);
    wait_for(PATIENCE, || cluster.apply(&backup("second", json!({}))).map(drop));
    cluster.ok(&["get", "secret", "kafka-backup-webhook", "-n", NAMESPACE]);
    assert!(second.log().contains("is made again"), "{}", second.log());
}
