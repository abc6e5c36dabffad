//! The commands: each asks a source or the API server, makes a view, and shows it.

pub mod backup;
pub mod browse;
pub mod complete;
pub mod completion;
mod confirm;
mod contents;
pub mod doctor;
pub mod explain;
pub mod install;
pub mod kafka;
pub mod logs;
mod paste;
pub mod peek;
mod plan;
mod points;
pub mod print;
mod probe;
mod replaced;
pub mod restore;
pub mod schedule;
pub mod status;
pub mod timeline;
pub mod uninstall;
pub mod validate;
pub mod verify;
pub mod version;
pub mod wait;
pub mod watch;
pub mod write;

use std::pin::Pin;
use std::sync::Arc;

use crate::cli::{Cli, Command, From};
use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::source::{Direct, Source, Through};

/// Does what the command line says.
///
/// # Errors
/// Why it could not.
pub async fn execute(cli: Cli, screen: &mut Screen) -> Result<Exit, Error> {
    // These let go of what they made in the cluster before they end.
    let tidies = matches!(
        cli.command,
        Command::Restore(_)
            | Command::Logs(_)
            | Command::Browse(_)
            | Command::Peek(_)
            | Command::Timeline(_)
            | Command::Verify(_)
    );
    let work = Box::pin(dispatch(cli.command, &cli.global.connection, screen));
    if tidies { work.await } else { or_interrupt(work).await }
}

/// Does the work, unless somebody presses Ctrl-C.
fn or_interrupt<T>(work: impl Future<Output = Result<T, Error>>) -> Pin<Box<impl Future<Output = Result<T, Error>>>> {
    Box::pin(async move {
        tokio::select! {
            result = work => result,
            Ok(()) = tokio::signal::ctrl_c() => Err(Error::Interrupted),
        }
    })
}

async fn dispatch(command: Command, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match command {
        Command::Validate(options) => validate::validate(options, connection, screen).await,
        Command::Install(options) => install::install(options, connection, screen).await,
        Command::Uninstall(options) => uninstall::uninstall(options, connection, screen).await,
        Command::Doctor(options) => doctor::doctor(options, &Cluster::connect(connection).await?, screen).await,
        Command::Version(options) => version::version(options, connection, screen).await,
        Command::Restore(command) => Box::pin(restore::restore(command, connection, screen)).await,
        Command::Logs(options) => logs::logs(options, connection, screen).await,
        Command::Browse(options) => browse::browse(options, connection, screen).await,
        Command::Peek(options) => peek::peek(options, connection, screen).await,
        Command::Timeline(options) => timeline::timeline(options, connection, screen).await,
        Command::Verify(options) => verify::verify(options, connection, screen).await,
        Command::Backup(command) => backup::backup(command, connection, screen).await,
        Command::Schedule(command) => schedule::schedule(command, connection, screen).await,
        Command::Status(options) => status::status(options, &Cluster::connect(connection).await?, screen).await,
        Command::Explain(options) => explain::explain(&options, screen),
        Command::Complete(options) => complete::complete(&options, screen).await,
        Command::Completion(options) => completion::completion(&options, screen),
    }
}

/// Works with what a command reads, and lets go of it however that ends. `name` is the backup or point that is meant, if one
/// is named; `records` tells whether what records hold will be shown.
async fn with_source<T>(
    from: &From,
    connection: &Connection,
    name: &str,
    records: bool,
    screen: &mut Screen,
    work: impl AsyncFnOnce(&Source, &mut Screen) -> Result<T, Error>,
) -> Result<T, Error> {
    let source = if let Some(url) = &from.store {
        Source::Direct(Direct::open(url, from.ca_file.as_deref()).await?)
    } else {
        let cluster = or_interrupt(Cluster::connect(connection)).await?;
        Source::Through(Arc::new(Through::open(cluster, name, records, screen).await?))
    };
    let result = or_interrupt(work(&source, screen)).await;
    let closed = source.close().await;
    let result = result?;
    closed?;
    Ok(result)
}

/// `latest` is the newest point of all that is asked about.
fn newest(name: &str) -> &str {
    if name == "latest" { "" } else { name }
}
