//! Whether the bootstrap servers have addresses, and whether somebody listens there: before anything is said to them.

use std::time::Duration;

use contract::{KafkaSpec, names};
use tokio::time::Instant;

use super::lines::Lines;
use crate::context::Context;

/// How long one name, and one connection, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks up and dials each server; whether one can be reached. A cluster needs one of them only.
pub(crate) async fn servers(context: &Context, kafka: &KafkaSpec, lines: &Lines) -> bool {
    let all = futures::future::join_all(kafka.bootstrap_servers.iter().map(|server| one(context, kafka, server))).await;
    let reached = all.iter().filter(|seen| seen.wrong.is_none()).count();
    for Seen { server, addresses, took, wrong } in &all {
        if let Some(addresses) = addresses {
            lines.ok("dns", format!("{server}: {addresses}"));
        }
        let check = if addresses.is_some() { "tcp" } else { "dns" };
        match wrong {
            None => lines.ok(check, format!("{server}: connected in {} ms", took.as_millis())),
            Some(wrong) if reached > 0 => {
                lines.note(check, format!("{server}: {wrong}; a run begins at another server of bootstrapServers"));
            }
            Some(wrong) => lines.wrong(check, format!("{server}: {wrong}")),
        }
    }
    reached > 0
}

struct Seen {
    server: String,
    addresses: Option<String>,
    took: Duration,
    wrong: Option<String>,
}

async fn one(context: &Context, kafka: &KafkaSpec, server: &str) -> Seen {
    let mut seen = Seen { server: server.to_owned(), addresses: None, took: Duration::ZERO, wrong: None };
    let Some((host, port)) = names::host_and_port(server) else {
        seen.wrong = Some("is no address; write host:port into bootstrapServers".to_owned());
        return seen;
    };
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let mut found: Vec<_> = found.map(|address| address.ip().to_string()).collect();
            found.dedup();
            seen.addresses = Some(format!("{host} is {}", found.join(", ")));
        }
        Ok(Err(error)) => {
            let why = contract::words::of_connection(&error);
            seen.wrong = Some(format!("{why}; correct bootstrapServers, or the Service that has this name"));
            return seen;
        }
        Err(_) => {
            let fix = "a network policy may keep the pod from DNS (port 53)";
            seen.wrong = Some(format!("DNS does not answer within {} s; {fix}", PATIENCE.as_secs()));
            return seen;
        }
    }
    let started = Instant::now();
    let dialer = (context.dialers)(&kafka.connection);
    seen.wrong = match tokio::time::timeout(PATIENCE, dialer.dial(host, port)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => {
            Some(format!("{}; correct host and port of bootstrapServers", contract::words::of_connection(&error)))
        }
        Err(_) => {
            let fix = "a firewall or a network policy may drop what is sent";
            Some(format!("nobody answers within {} s; {fix}", PATIENCE.as_secs()))
        }
    };
    seen.took = started.elapsed();
    seen
}
