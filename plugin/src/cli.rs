//! The command line: what all commands share, and the list of commands.

use std::fmt::Write;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::cluster::Connection;
use crate::command;
use crate::exit::TABLE;
use crate::screen::{Colour, Times};

/// Look at Kafka backups, make them, restore them
#[derive(Debug, Parser)]
#[command(
    name = "kubectl kafka-backup",
    bin_name = "kubectl kafka-backup",
    version,
    after_help = TABLE,
    max_term_width = 100
)]
pub struct Cli {
    /// What all commands share.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Debug, Args)]
pub struct Global {
    /// The cluster.
    #[command(flatten)]
    pub connection: Connection,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Output")]
    pub color: Colour,
    /// How times are written
    #[arg(long, global = true, value_enum, default_value_t, help_heading = "Output")]
    pub time: Times,
    /// Leave the titles of tables out
    #[arg(long, global = true, help_heading = "Output")]
    pub no_headers: bool,
    /// Say nothing beside the result
    #[arg(short, long, global = true, help_heading = "Output")]
    pub quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Make a backup, or run one now
    #[command(subcommand)]
    Backup(command::backup::Command),
    /// Suspend, resume or trigger a backup, and see when it runs next
    #[command(subcommand)]
    Schedule(command::schedule::Command),
    /// Say what a restore would do, and restore
    #[command(subcommand)]
    Restore(command::restore::Command),
    /// Set committed offsets of consumer groups, put them back, list what was saved
    #[command(subcommand)]
    Offsets(command::offsets::Command),
    /// Check recovery points, and clusters that they were restored into: once, now, or on a schedule
    #[command(subcommand)]
    Validation(command::validation::Command),
    /// List the evidence of validations, fetch it, and check its signature
    #[command(subcommand)]
    Evidence(command::evidence::Command),
    /// Show what the runner of a backup, restore or validation says
    Logs(command::logs::LogsFlags),
    /// Show how well backups are protected, what runs, and what is wrong
    Status(command::status::StatusFlags),
    /// List recovery points, or look into one: topics, partitions, offsets, times, sizes, configs, groups
    Browse(command::browse::BrowseFlags),
    /// Show records of a recovery point without restoring it
    Peek(command::peek::PeekFlags),
    /// Show where consumer groups stood at a recovery point, beside where they stand now
    Groups(command::groups::GroupsFlags),
    /// Compare two recovery points: what was added, what is gone, what changed
    Diff(command::diff::DiffFlags),
    /// Draw which moments can be restored, and where there are gaps
    Timeline(command::timeline::TimelineFlags),
    /// Read a recovery point and check it against its digests
    Verify(command::verify::VerifyFlags),
    /// Rewrite an archive that the OSO tool wrote as a backup set, with which a KafkaBackup goes on
    Convert(command::convert::ConvertFlags),
    /// Say which recovery points retention would take away, and why the others stay; changes nothing
    Prune(command::prune::PruneFlags),
    /// Judge files as admission would, with line and column
    Validate(command::validate::ValidateFlags),
    /// Try out what a run would meet: brokers, rights, stores; each failure with its fix
    Check(command::check::CheckFlags),
    /// Print or apply the operator and its definitions
    Install(command::install::InstallFlags),
    /// Print or remove what `install` applied
    Uninstall(command::uninstall::UninstallFlags),
    /// Look for what is not well in the cluster, each with its fix
    Doctor(command::doctor::DoctorFlags),
    /// Show the versions of this program and of what runs in the cluster
    Version(command::version::VersionFlags),
    /// Explain an error code or a field
    Explain(command::explain::ExplainFlags),
    /// Say what may follow some words
    #[command(name = "__complete", hide = true)]
    Complete(command::complete::CompleteFlags),
    /// Print a script that completes commands, for a shell
    Completion(command::completion::CompletionFlags),
}

/// Every command with its flags and examples, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut out = String::from(
        "# Commands\n\nMade by `just gen` from the program. What all commands share stands once, at the top.\n",
    );
    page(&root, "kubectl kafka-backup", &mut out);
    for command in root.get_subcommands().filter(|command| !command.is_hide_set() && command.get_name() != "help") {
        let name = format!("kubectl kafka-backup {}", command.get_name());
        page(&own(command), &name, &mut out);
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            page(&own(inner), &format!("{name} {}", inner.get_name()), &mut out);
        }
    }
    out
}

/// A command without the flags that all share.
fn own(command: &clap::Command) -> clap::Command {
    command.clone().mut_args(|flag| if flag.is_global_set() { flag.hide(true) } else { flag })
}

fn page(command: &clap::Command, name: &str, out: &mut String) {
    let help = command.clone().render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing to a string does not fail.
    let _ = writeln!(out, "\n## {name}\n\n```text\n{}\n```", lines.join("\n").trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_do_not_clash() {
        Cli::command().debug_assert();
    }

    /// A flag of one command that has the name of a flag of all would take its place, and its form.
    #[test]
    fn flags_of_all_commands_are_no_command_s_own() {
        fn walk(command: &clap::Command, all: &[clap::Id]) {
            for inner in command.get_subcommands() {
                for argument in inner.get_arguments() {
                    assert!(!all.contains(argument.get_id()), "{} of {}", argument.get_id(), inner.get_name());
                }
                walk(inner, all);
            }
        }
        let command = Cli::command();
        let all: Vec<_> = command.get_arguments().map(|argument| argument.get_id().clone()).collect();
        assert!(all.len() > 15, "{all:?}");
        walk(&command, &all);
    }

    #[test]
    fn the_reference_in_docs_is_fresh() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md");
        assert!(std::fs::read_to_string(docs).unwrap() == reference(), "run `just gen`");
    }
}
