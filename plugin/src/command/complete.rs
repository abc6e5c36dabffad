//! What kubectl asks for when somebody presses Tab: clap's engine says what may follow, and names are live in the cluster.
//! Silent about everything that goes wrong.

use std::ffi::OsString;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use api::oso::{KafkaBackup, KafkaBackupValidation, KafkaOffsetReset, KafkaRestore};
use clap::{Args, Command, FromArgMatches};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::screen::Screen;

/// Nobody waits longer for a completion.
const PATIENCE: Duration = Duration::from_secs(2);
/// What kubectl takes for: these are all, no names of files besides (cobra's `ShellCompDirectiveNoFileComp`).
const ALL: &str = ":4";
/// The same, and no space after them: what is in a folder may follow (with `ShellCompDirectiveNoSpace`).
const FOLDERS: &str = ":6";

/// Flags of `__complete`.
#[derive(Debug, Args)]
pub struct CompleteFlags {
    /// The words so far; the last is not finished
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Names that only somebody else knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// Of backups.
    Backups,
    /// Of backups and restores.
    All,
    /// Of restores.
    Restores,
    /// Of validations.
    Validations,
    /// Of resets of committed offsets.
    Resets,
    /// Of errors.
    Codes,
}

/// Where such names stand: a command, and the argument.
const PLACES: [(&[&str], &str, Names); 31] = [
    (&["status"], "name", Names::All),
    (&["logs"], "name", Names::All),
    (&["check"], "name", Names::All),
    (&["browse"], "place", Names::Backups),
    (&["peek"], "point", Names::Backups),
    (&["groups"], "name", Names::Backups),
    (&["timeline"], "name", Names::Backups),
    (&["verify"], "point", Names::Backups),
    (&["prune"], "name", Names::Backups),
    (&["backup", "run"], "name", Names::Backups),
    (&["backup", "create"], "from", Names::Backups),
    (&["schedule", "suspend"], "name", Names::Backups),
    (&["schedule", "resume"], "name", Names::Backups),
    (&["schedule", "trigger"], "name", Names::Backups),
    (&["schedule", "next"], "name", Names::Backups),
    (&["restore", "plan"], "from", Names::Backups),
    (&["restore", "create"], "from", Names::Backups),
    (&["validation", "create"], "backup", Names::Backups),
    (&["validation", "create"], "restore", Names::Restores),
    (&["validation", "run"], "name", Names::Validations),
    (&["validation", "show"], "name", Names::Validations),
    (&["diff"], "point", Names::Backups),
    (&["diff"], "other", Names::Backups),
    (&["offsets", "reset"], "backup", Names::Backups),
    (&["offsets", "reset"], "from_restore", Names::Restores),
    (&["offsets", "rollback"], "backup", Names::Backups),
    (&["offsets", "rollback"], "restore", Names::Restores),
    (&["offsets", "rollback"], "reset", Names::Resets),
    (&["evidence", "list"], "name", Names::Validations),
    (&["evidence", "get"], "name", Names::Validations),
    (&["explain"], "what", Names::Codes),
];

/// Prints what may follow.
pub(crate) async fn complete(options: &CompleteFlags, command: Command, screen: &mut Screen) -> Result<Exit, Error> {
    let connection = connection(&options.words, command.clone());
    let words = options.words.clone();
    // The engine asks for names where it stands: on a thread that may wait.
    let found = tokio::task::spawn_blocking(move || {
        let ask = Arc::new(move |names| {
            // Nobody waits long for a word.
            let live = async { tokio::time::timeout(PATIENCE, live(&connection, names)).await };
            // What nobody answers in time is not offered.
            let live = async { live.await.unwrap_or_else(|_| Vec::new()) };
            Handle::current().block_on(live)
        });
        following(&words, command, ask)
    });
    // What cannot be completed is not.
    let found = found.await.unwrap_or_else(|_| Vec::new());
    for word in &found {
        screen.text(&format!("{word}\n"))?;
    }
    screen.text(&format!("{}\n", directive(&found)))?;
    Ok(Exit::Done)
}

/// kubectl's own flags among the words so far, before and after the command.
fn connection(words: &[String], command: Command) -> Connection {
    let before = words.split_last().map(|(_, before)| before).unwrap_or_default();
    let words = std::iter::once("kubectl-kafka_backup").chain(before.iter().map(String::as_str));
    let Ok(matches) = command.ignore_errors(true).try_get_matches_from(words) else {
        return Connection::default();
    };
    let mut innermost = &matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    // Words that are not finished yet say less: then the flags of the environment count.
    Connection::from_arg_matches(innermost).unwrap_or_else(|_| Connection::default())
}

/// What kubectl shall do with these words.
fn directive(found: &[String]) -> &'static str {
    if found.iter().any(|word| word.ends_with('/')) { FOLDERS } else { ALL }
}

type Ask = Arc<dyn Fn(Names) -> Vec<String> + Send + Sync>;

/// The words that may stand where the last one stands, and begin as it does.
fn following(words: &[String], command: Command, ask: Ask) -> Vec<String> {
    let mut command = PLACES.iter().fold(command, |command, (path, argument, names)| {
        let (ask, names) = (Arc::clone(&ask), *names);
        let known = move || ask(names).into_iter().map(CompletionCandidate::new).collect::<Vec<_>>();
        with(command, path, argument, ArgValueCandidates::new(known))
    });
    let mut all: Vec<OsString> =
        std::iter::once("kubectl-kafka_backup").chain(words.iter().map(String::as_str)).map(OsString::from).collect();
    if words.is_empty() {
        all.push(OsString::new());
    }
    let last = all.len() - 1;
    // A shell that completes shows no errors: there is nothing to complete.
    let Ok(found) = clap_complete::engine::complete(&mut command, all, last, None) else { return Vec::new() };
    let shown = found.iter().filter(|candidate| !candidate.is_hide_set());
    shown.filter_map(|candidate| candidate.get_value().to_str().map(str::to_owned)).collect()
}

/// The command whose argument at this place has these candidates.
fn with(command: Command, path: &[&str], argument: &'static str, candidates: ArgValueCandidates) -> Command {
    match path.split_first() {
        Some((first, rest)) => command.mut_subcommand(*first, |inner| with(inner, rest, argument, candidates)),
        // `mut_arg` would put the argument behind the others.
        None => {
            command.mut_args(|inner| if inner.get_id() == argument { inner.add(candidates.clone()) } else { inner })
        }
    }
}

/// Names in the cluster; none when it does not answer.
async fn live(connection: &Connection, names: Names) -> Vec<String> {
    if names == Names::Codes {
        return contract::Code::ALL.iter().map(ToString::to_string).collect();
    }
    let Ok(cluster) = Cluster::connect(connection).await else { return Vec::new() };
    let mut known: Vec<String> = Vec::new();
    if matches!(names, Names::Backups | Names::All) {
        known.extend(named::<KafkaBackup>(&cluster).await);
    }
    if matches!(names, Names::Restores | Names::All) {
        known.extend(named::<KafkaRestore>(&cluster).await);
    }
    if names == Names::Validations {
        known.extend(named::<KafkaBackupValidation>(&cluster).await);
    }
    if names == Names::Resets {
        known.extend(named::<KafkaOffsetReset>(&cluster).await);
    }
    known.sort();
    known
}

/// Names of a kind; none when they cannot be listed.
async fn named<K>(cluster: &Cluster) -> Vec<String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    // What cannot be listed is not offered.
    let found = cluster.list::<K>(None).await.unwrap_or_else(|_| Vec::new());
    found.iter().map(ResourceExt::name_any).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn after(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        following(&words, Cli::command(), Arc::new(|names| vec![format!("{names:?}"), format!("other-{names:?}")]))
    }

    fn has(words: &[&str], word: &str) -> bool {
        after(words).iter().any(|known| known == word)
    }

    #[test]
    fn each_place_has_its_words() {
        assert!(has(&[], "timeline") && has(&[""], "timeline") && !has(&[""], "__complete"));
        assert_eq!(after(&["timel"]), ["timeline"]);
        assert!(has(&["backup", ""], "create"));
        assert!(has(&["status", "-o", ""], "json") && has(&["status", "--output=j"], "--output=json"));
        assert!(has(&["status", "--"], "--exit-code") && has(&["status", "--"], "--namespace"));
        assert!(has(&["-n", "shop", "status", ""], "All") && has(&["logs", "-f", "other"], "other-All"));
        assert_eq!(after(&["schedule", "suspend", "Ba"]), ["Backups"]);
        assert!(has(&["restore", "create", "back", "--from", ""], "Backups"));
        assert!(has(&["validation", "show", ""], "Validations"));
        assert!(has(&["validation", "create", "a", "--restore", ""], "Restores"));
        let topics = after(&["peek", "nightly", ""]);
        assert!(topics.iter().all(|word| word.starts_with("--")), "topics are not asked for: {topics:?}");
        assert!(has(&["diff", ""], "Backups") && has(&["diff", "nightly", ""], "Backups"));
        assert!(has(&["offsets", "reset", "a", "--from-restore", ""], "Restores"));
        assert!(has(&["offsets", "reset", "a", "--backup", ""], "Backups"));
        assert!(has(&["offsets", "rollback", "a", "--reset", ""], "Resets"));
        assert!(has(&["evidence", "get", ""], "Validations") && has(&["evidence", "list", ""], "Validations"));
        assert!(has(&["explain", ""], "Codes"));
        assert!(has(&["completion", ""], "zsh"));
    }

    /// A command that takes the name of a resource has its place.
    #[test]
    fn each_command_about_a_resource_has_its_place() {
        fn walk(command: &Command, path: &[&str], bare: &mut Vec<String>) {
            for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
                let mut path = path.to_vec();
                path.push(inner.get_name());
                let is_named = |id: &str| ["name", "backup", "restore", "reset", "from_restore", "from"].contains(&id);
                for argument in inner.get_arguments().filter(|one| is_named(one.get_id().as_str())) {
                    let id = argument.get_id().as_str();
                    if !PLACES.iter().any(|(known, name, _)| *known == path && *name == id) {
                        bare.push(format!("{} {id}", path.join(" ")));
                    }
                }
                walk(inner, &path, bare);
            }
        }
        let mut bare = Vec::new();
        walk(&Cli::command(), &[], &mut bare);
        // Names of what is made, and stores.
        let made = [
            "convert from",
            "backup create name",
            "restore create name",
            "restore plan name",
            "offsets reset name",
            "offsets rollback name",
            "validation create name",
        ];
        bare.retain(|place| !made.contains(&place.as_str()));
        assert!(bare.is_empty(), "{bare:#?}");
    }

    #[test]
    fn files_and_folders_are_words() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("inner")).unwrap();
        std::fs::write(folder.path().join("backup.yaml"), "").unwrap();
        let begun = format!("{}/", folder.path().display());
        for words in
            [vec!["validate", "-f", &begun], vec!["--kubeconfig", &begun], vec!["status", "--kubeconfig", &begun]]
        {
            let mut found = after(&words);
            found.sort();
            assert_eq!(found, [format!("{begun}backup.yaml"), format!("{begun}inner/")], "{words:?}");
            assert_eq!(directive(&found), FOLDERS);
        }
        assert_eq!(directive(&after(&["timel"])), ALL);
    }

    #[test]
    fn flags_of_the_cluster_count_wherever_they_stand() {
        for words in [
            "-n shop --context work status",
            "status -n shop --context work",
            "status --exit-code -n shop --context=work",
            "-n shop restore create back --context work --from",
        ] {
            let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
            words.push(String::new());
            let flags = connection(&words, Cli::command());
            assert_eq!(
                (flags.namespace.as_deref(), flags.context.as_deref()),
                (Some("shop"), Some("work")),
                "{words:?}"
            );
        }
    }
}
