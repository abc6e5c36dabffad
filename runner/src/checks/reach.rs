//! Whether bootstrap servers and stores have addresses, and whether somebody listens there: before anything is said to them.

use std::time::Duration;

use contract::{KafkaSpec, names, words};
use tokio::time::Instant;
use wire::{Dialer, Stream};

use super::lines::Lines;
use crate::context::Context;

/// How long one name, and one connection, may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks up and dials each server; whether one can be reached. A cluster needs one of them only.
pub(crate) async fn servers(context: &Context, kafka: &KafkaSpec, lines: &Lines) -> bool {
    let all = futures::future::join_all(kafka.bootstrap_servers.iter().map(|server| one(context, kafka, server))).await;
    let reached = all.iter().filter(|seen| seen.wrong.is_none()).count();
    for seen in &all {
        match &seen.wrong {
            Some(wrong) if reached > 0 => {
                let server = &seen.server;
                lines.note(
                    seen.step(),
                    format!("{server}: {wrong}; a run begins at another server of bootstrapServers"),
                );
            }
            _ => drop(seen.told(lines)),
        }
    }
    reached > 0
}

/// What was seen of one address.
pub(super) struct Seen {
    server: String,
    addresses: Option<String>,
    took: Duration,
    wrong: Option<String>,
    /// The connection, where one came about.
    pub(super) stream: Option<Box<dyn Stream>>,
}

impl Seen {
    /// Lines about it; whether it is reached.
    pub(super) fn told(&self, lines: &Lines) -> bool {
        let Self { server, addresses, took, wrong, .. } = self;
        if let Some(addresses) = addresses {
            lines.ok("dns", format!("{server}: {addresses}"));
        }
        match wrong {
            None => lines.ok(self.step(), format!("{server}: connected in {} ms", took.as_millis())),
            Some(wrong) => lines.wrong(self.step(), format!("{server}: {wrong}")),
        }
        wrong.is_none()
    }

    fn step(&self) -> &'static str {
        if self.addresses.is_some() { "tcp" } else { "dns" }
    }
}

async fn one(context: &Context, kafka: &KafkaSpec, server: &str) -> Seen {
    let Some((host, port)) = names::host_and_port(server) else {
        let wrong = Some("is no address; write host:port into bootstrapServers".to_owned());
        return Seen { server: server.to_owned(), addresses: None, took: Duration::ZERO, wrong, stream: None };
    };
    look(&*(context.dialers)(&kafka.connection), (host, port), "bootstrapServers").await
}

/// Looks up and dials a host that a field names.
pub(super) async fn look(dialer: &dyn Dialer, (host, port): (&str, u16), field: &str) -> Seen {
    let server = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let mut seen = Seen { server, addresses: None, took: Duration::ZERO, wrong: None, stream: None };
    match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await {
        Ok(Ok(found)) => {
            let mut found: Vec<_> = found.map(|address| address.ip().to_string()).collect();
            found.dedup();
            seen.addresses = Some(format!("{host} is {}", found.join(", ")));
        }
        Ok(Err(error)) => {
            let why = words::of_connection(&error);
            seen.wrong = Some(format!("{why}; correct {field}, or the Service that has this name"));
            return seen;
        }
        Err(_) => {
            let fix = "a network policy may keep the pod from DNS (port 53)";
            seen.wrong = Some(format!("DNS does not answer within {} s; {fix}", PATIENCE.as_secs()));
            return seen;
        }
    }
    let started = Instant::now();
    match tokio::time::timeout(PATIENCE, dialer.dial(host, port)).await {
        Ok(Ok(stream)) => seen.stream = Some(stream),
        Ok(Err(error)) => {
            seen.wrong = Some(format!("{}; correct host and port of {field}", words::of_connection(&error)));
        }
        Err(_) => {
            let fix = "a firewall or a network policy may drop what is sent";
            seen.wrong = Some(format!("nobody answers within {} s; {fix}", PATIENCE.as_secs()));
        }
    }
    seen.took = started.elapsed();
    seen
}
