//! From the command line to the command.

use clap::CommandFactory;

use crate::cli::{Cli, Command};
use crate::cluster::{Cluster, Connection};
use crate::command::{
    backup, browse, check, complete, completion, convert, diff, doctor, evidence, explain, groups, install, logs,
    offsets, peek, prune, restore, schedule, status, timeline, uninstall, validate, validation, verify, version,
};
use crate::error::Error;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::steps::or_interrupt;

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
            | Command::Groups(_)
            | Command::Diff(_)
            | Command::Timeline(_)
            | Command::Verify(_)
            | Command::Prune(_)
            | Command::Check(_)
    );
    let work = Box::pin(dispatch(cli.command, &cli.global.connection, screen));
    if tidies { work.await } else { or_interrupt(work).await }
}

async fn dispatch(command: Command, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match command {
        Command::Validate(options) => validate::validate(options, connection, screen).await,
        Command::Install(options) => install::install(options, connection, screen).await,
        Command::Uninstall(options) => uninstall::uninstall(options, connection, screen).await,
        Command::Doctor(options) => doctor::doctor(options, &Cluster::connect(connection).await?, screen).await,
        Command::Version(options) => version::version(options, connection, screen).await,
        Command::Restore(command) => Box::pin(restore::restore(command, connection, screen)).await,
        Command::Offsets(command) => offsets::offsets(command, connection, screen).await,
        Command::Evidence(command) => evidence::evidence(command, connection, screen).await,
        Command::Validation(command) => validation::validation(command, connection, screen).await,
        Command::Logs(options) => logs::logs(options, connection, screen).await,
        Command::Browse(options) => browse::browse(options, connection, screen).await,
        Command::Peek(options) => peek::peek(options, connection, screen).await,
        Command::Groups(options) => groups::groups(options, connection, screen).await,
        Command::Diff(options) => diff::diff(options, connection, screen).await,
        Command::Timeline(options) => timeline::timeline(options, connection, screen).await,
        Command::Verify(options) => verify::verify(options, connection, screen).await,
        Command::Convert(options) => convert::convert(options, connection, screen).await,
        Command::Prune(options) => prune::prune(options, connection, screen).await,
        Command::Check(options) => check::check(options, connection, screen).await,
        Command::Backup(command) => backup::backup(command, connection, screen).await,
        Command::Schedule(command) => schedule::schedule(command, connection, screen).await,
        Command::Status(options) => status::status(options, &Cluster::connect(connection).await?, screen).await,
        Command::Explain(options) => explain::explain(&options, screen),
        Command::Complete(options) => complete::complete(&options, Cli::command(), screen).await,
        Command::Completion(options) => completion::completion(&options, Cli::command(), screen),
    }
}
