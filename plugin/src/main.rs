//! The program that kubectl runs for `kubectl kafka-backup`.

use std::process::ExitCode;

use clap::Parser;
use plugin::cli::Cli;
use plugin::error::Error;
use plugin::exit::Exit;
use plugin::screen::{Screen, Tone};
use plugin::words::safe_lines;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are what was asked for; a closed pipe is no reason to complain.
            drop(error.print());
            let asked = !error.use_stderr();
            return ExitCode::from(if asked { Exit::Done } else { Exit::Usage } as u8);
        }
    };
    let global = &cli.global;
    let mut screen = Screen::new(global.color, global.time, !global.no_headers, global.quiet);
    let exit = match run(cli, &mut screen) {
        Ok(exit) => exit,
        Err(error) => {
            complain(&error, &mut screen);
            error.exit()
        }
    };
    ExitCode::from(exit as u8)
}

fn run(cli: Cli, screen: &mut Screen) -> Result<Exit, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Error::from)?;
    let exit = runtime.block_on(plugin::dispatch::execute(cli, screen));
    // Work that nobody waits for any more is not waited for.
    runtime.shutdown_background();
    let exit = exit?;
    screen.flush()?;
    Ok(exit)
}

fn complain(error: &Error, screen: &mut Screen) {
    if matches!(error, Error::Closed) {
        return;
    }
    let mut lines = safe_lines(&error.to_string());
    if let Some(code) = error.code() {
        lines = format!("{lines}  ({code})");
    }
    let word = screen.style.paint(Tone::Bad, "error:");
    screen.complain(&format!("{word} {lines}"));
    if let Some(hint) = error.hint() {
        screen.complain(&format!("hint: {}", safe_lines(&hint)));
    }
}
