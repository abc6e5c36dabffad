//! What kubectl asks for when somebody presses Tab: commands, flags, their values, and names that are live in the cluster.
//! Silent about everything that goes wrong.

use std::time::Duration;

use api::oso::{KafkaBackup, KafkaRestore};
use clap::{Arg, Args, Command, CommandFactory, Parser};
use kube::ResourceExt;

use crate::cli::Cli;
use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::screen::Screen;

/// Nobody waits longer for a completion.
const PATIENCE: Duration = Duration::from_secs(2);
/// What kubectl takes for: no names of files (cobra's `ShellCompDirectiveNoFileComp`).
const NO_FILES: &str = ":4";

/// Flags of `__complete`.
#[derive(Debug, Args)]
pub struct Options {
    /// The words so far; the last is not finished
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// What may follow.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    /// One of these.
    Words(Vec<String>),
    /// The name of a backup.
    Backups,
    /// The name of a backup or a restore.
    All,
}

/// Prints what may follow.
pub(crate) async fn complete(options: &Options, screen: &mut Screen) -> Result<Exit, Error> {
    let (last, before) = options.words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let found = match wanted(&Cli::command(), before, last) {
        Wanted::Words(words) => words,
        names => {
            let connection = connection(before);
            let asked = tokio::time::timeout(PATIENCE, live(&connection, &names));
            asked.await.unwrap_or_default()
        }
    };
    for word in found.iter().filter(|word| word.starts_with(last)) {
        screen.text(&format!("{word}\n"))?;
    }
    screen.text(&format!("{NO_FILES}\n"))?;
    Ok(Exit::Done)
}

/// kubectl's own flags among the words so far.
fn connection(before: &[String]) -> Connection {
    #[derive(Parser)]
    #[command(ignore_errors = true)]
    struct Only {
        #[command(flatten)]
        connection: Connection,
        words: Vec<String>,
    }
    let words = std::iter::once("x").chain(before.iter().map(String::as_str));
    Only::try_parse_from(words).map(|only| only.connection).unwrap_or_default()
}

fn wanted(root: &Command, before: &[String], last: &str) -> Wanted {
    let mut command = root;
    let mut path: Vec<&str> = Vec::new();
    let (mut flag, mut positional) = (None, 0);
    for word in before {
        if flag.take().is_some() {
            continue;
        }
        if let Some(name) = word.strip_prefix('-') {
            flag = find(root, command, name.trim_start_matches('-')).filter(|_| !word.contains('='));
            flag = flag.filter(|flag| flag.get_action().takes_values());
        } else if let Some(next) = command.find_subcommand(word) {
            command = next;
            path.push(next.get_name());
        } else {
            positional += 1;
        }
    }
    if let Some(flag) = flag {
        return of_flag(flag);
    }
    if last.starts_with('-') {
        let flags = command.get_arguments().chain(root.get_arguments()).filter(|flag| !flag.is_hide_set());
        let mut names: Vec<String> = flags.filter_map(Arg::get_long).map(|name| format!("--{name}")).collect();
        names.push("--help".to_owned());
        names.sort();
        names.dedup();
        return Wanted::Words(names);
    }
    let commands = command.get_subcommands().filter(|next| !next.is_hide_set());
    let commands: Vec<String> = commands.map(|next| next.get_name().to_owned()).collect();
    match (commands.is_empty(), path.as_slice(), positional) {
        (false, _, _) => Wanted::Words(commands),
        (true, ["status" | "logs"], 0) => Wanted::All,
        (true, ["browse" | "peek" | "timeline" | "verify"] | ["backup", "run"] | ["schedule", _], 0) => Wanted::Backups,
        (true, ["explain"], 0) => Wanted::Words(contract::Code::ALL.iter().map(ToString::to_string).collect()),
        (true, ["completion"], 0) => {
            Wanted::Words(["bash", "elvish", "fish", "powershell", "zsh"].map(str::to_owned).to_vec())
        }
        _ => Wanted::Words(Vec::new()),
    }
}

fn find<'a>(root: &'a Command, command: &'a Command, name: &str) -> Option<&'a Arg> {
    let is_it = |flag: &&Arg| {
        flag.get_long() == Some(name)
            || flag.get_short().is_some_and(|short| name.len() == 1 && name.starts_with(short))
    };
    command.get_arguments().chain(root.get_arguments()).find(is_it)
}

fn of_flag(flag: &Arg) -> Wanted {
    if flag.get_long() == Some("from") {
        return Wanted::Backups;
    }
    let values = flag.get_possible_values();
    Wanted::Words(values.iter().filter(|value| !value.is_hide_set()).map(|value| value.get_name().to_owned()).collect())
}

/// Names in the cluster; none when it does not answer.
async fn live(connection: &Connection, wanted: &Wanted) -> Vec<String> {
    let Ok(cluster) = Cluster::connect(connection).await else { return Vec::new() };
    let backups = cluster.list::<KafkaBackup>().await.unwrap_or_default();
    let mut names: Vec<String> = backups.iter().map(ResourceExt::name_any).collect();
    if *wanted == Wanted::All {
        let restores = cluster.list::<KafkaRestore>().await.unwrap_or_default();
        names.extend(restores.iter().map(ResourceExt::name_any));
    }
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(words: &[&str], last: &str) -> Wanted {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        wanted(&Cli::command(), &words, last)
    }

    fn has(wanted: &Wanted, word: &str) -> bool {
        matches!(wanted, Wanted::Words(words) if words.iter().any(|known| known == word))
    }

    #[test]
    fn each_place_has_its_words() {
        assert!(has(&after(&[], ""), "timeline") && !has(&after(&[], ""), "__complete"));
        assert!(has(&after(&["backup"], ""), "create"));
        assert!(has(&after(&["status", "-o"], ""), "json"));
        assert!(has(&after(&["status"], "--"), "--exit-code") && has(&after(&["status"], "--"), "--namespace"));
        assert_eq!(after(&["-n", "shop", "status"], ""), Wanted::All);
        assert_eq!(after(&["schedule", "suspend"], ""), Wanted::Backups);
        assert_eq!(after(&["restore", "create", "back", "--from"], ""), Wanted::Backups);
        assert_eq!(after(&["peek", "nightly"], ""), Wanted::Words(Vec::new()), "topics are not asked for");
        assert!(has(&after(&["explain"], "KB"), "KB4001"));
    }
}
