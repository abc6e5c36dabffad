//! `kafka-backup-runner`: command line, signals, exit code.

use std::process::ExitCode;

use clap::Parser;
use runner::commands::{self, Cli};
use runner::context::Context;
use runner::outlet;
use tokio::signal::unix::{SignalKind, signal};

/// Threads for files and codecs at once.
const BLOCKING_THREADS: usize = 16;

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_logging(cli.log_format);
    arm_crash_point();
    // Every blocking thread has memory of its own in the allocator: a few are enough for files and codecs.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().max_blocking_threads(BLOCKING_THREADS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            outlet::finish();
            return ExitCode::from(contract::ExitCode::Resumable as u8);
        }
    };
    let code = runtime.block_on(async {
        let context = Context::system(cli.paths());
        stop_on_signals(&context);
        commands::execute(&context, cli).await
    });
    // Blocking tasks that hang on a dead store must not keep the process, and neither must a reader that hangs.
    runtime.shutdown_background();
    outlet::finish();
    ExitCode::from(code as u8)
}

/// Tests name a place where the process shall end, or wait for a file; release builds have no such places.
#[cfg(debug_assertions)]
// The environment of tests is read here, too.
#[allow(clippy::disallowed_methods)]
fn arm_crash_point() {
    if let Ok(point) = std::env::var("KAFKA_BACKUP_CRASH_AT") {
        contract::crash::arm(&point, std::env::var_os("KAFKA_BACKUP_WAIT_FOR").map(|file| wait_for(file.into())));
    }
}

/// Says that the place is reached by a file beside this one, with the ending `reached`, and waits for this one.
#[cfg(debug_assertions)]
fn wait_for(file: std::path::PathBuf) -> contract::crash::Hold {
    Box::new(move || {
        if std::fs::write(file.with_extension("reached"), "").is_err() {
            std::process::abort();
        }
        while !file.exists() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    })
}

#[cfg(not(debug_assertions))]
fn arm_crash_point() {}

fn start_logging(format: commands::LogFormat) {
    use tracing_subscriber::EnvFilter;
    let (filter, wrong) = match EnvFilter::try_from_env("KAFKA_BACKUP_LOG") {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("warn"), Some(error).filter(|_| std::env::var_os("KAFKA_BACKUP_LOG").is_some())),
    };
    // No colours: what a log says of names and hosts must not act on a terminal, and colours could not be told apart.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    match format {
        commands::LogFormat::Text => builder.with_target(false).with_writer(|| outlet::LogLines::Text).init(),
        commands::LogFormat::Json => builder.json().with_writer(|| outlet::LogLines::Json).init(),
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "KAFKA_BACKUP_LOG cannot be read; the log is at level warn");
    }
}

/// SIGTERM and SIGINT ask the run to save its progress and end.
fn stop_on_signals(context: &Context) {
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let cancel = context.cancel.clone();
        match signal(kind) {
            Ok(mut signals) => drop(tokio::spawn(async move {
                if signals.recv().await.is_some() {
                    tracing::warn!("stopping: progress is being saved");
                    outlet::stop();
                    cancel.cancel();
                }
            })),
            Err(error) => tracing::warn!(%error, "a signal cannot be caught"),
        }
    }
}
