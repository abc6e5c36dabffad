//! `completion`: scripts that complete commands.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::error::Error;
use crate::exit::Exit;
use crate::screen::Screen;

/// Flags of `completion`.
#[derive(Debug, Args)]
#[command(after_help = "\
kubectl itself completes plugins by a program `kubectl_complete-kafka_backup` on PATH, which packages bring along.

Examples:
  kubectl kafka-backup completion bash > ~/.local/share/bash-completion/completions/kubectl-kafka_backup
  source <(kubectl kafka-backup completion zsh)")]
pub struct CompletionFlags {
    /// The shell
    shell: Shell,
}

/// Prints a script.
pub(crate) fn completion(options: &CompletionFlags, mut command: Command, screen: &mut Screen) -> Result<Exit, Error> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut command, "kubectl-kafka_backup", &mut text);
    screen.bytes(&text)?;
    Ok(Exit::Done)
}
