//! `kafka-backup-operator`: settings, signals, exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use kube::{Client, Config};
use operator::serve::serve;
use operator::settings::{LogFormat, Settings};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = Settings::parse();
    start_logging(settings.log_format);
    let stop = CancellationToken::new();
    stop_on_signals(&stop);
    // One provider for all TLS of the process.
    let _ = keys::provider().install_default();
    let client = match connect().await {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "the cluster cannot be reached: no kubeconfig and no service account");
            return ExitCode::from(2);
        }
    };
    match serve(settings, client, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the operator ends");
            ExitCode::FAILURE
        }
    }
}

/// How long the API server may take for a plain request: longer than it waits for any webhook.
const PATIENCE: Duration = Duration::from_secs(35);
/// How long a watch may be silent: the API server ends each before that.
const SILENCE: Duration = Duration::from_secs(295);

/// A client whose requests all end, whatever becomes of the API server and of the way to it, and whose answers take little
/// memory, however large the objects are that others write.
async fn connect() -> Result<Client, Box<dyn std::error::Error>> {
    let mut config = Config::infer().await?;
    config.read_timeout = Some(SILENCE);
    Ok(asks::sparing(Client::try_from(config)?, PATIENCE, "the operator's limit"))
}

/// The client's own warnings repeat whole answers, which hold what others wrote.
const QUIET: &str = "kube_client::client=error";

fn start_logging(format: LogFormat) {
    use tracing_subscriber::EnvFilter;
    // Without the variable, or with one that does not read, everything that matters is logged.
    let filter = EnvFilter::try_from_env("KAFKA_BACKUP_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = match QUIET.parse() {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_target(false).init(),
        LogFormat::Json => builder.json().init(),
    }
}

/// SIGTERM and SIGINT are caught from now on: the first process of a container ends of neither by itself.
fn stop_on_signals(stop: &CancellationToken) {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let stop = stop.clone();
        match signal(kind) {
            Ok(mut told) => drop(tokio::spawn(async move {
                if told.recv().await.is_some() {
                    stop.cancel();
                }
            })),
            Err(error) => tracing::warn!(%error, "a signal cannot be caught"),
        }
    }
}
