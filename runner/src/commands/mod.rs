//! The commands of `kafka-backup-runner`. Text for people, `-o json` for machines; data to standard output,
//! messages to standard error.

mod check;
mod convert;
mod groups;
mod inspect;
mod list;
mod lookup;
mod now;
mod print;
mod prune_plan;
mod pruned;
mod release;
mod repair;
mod show;
mod store_check;
mod table;
mod validation;
mod verify;

use std::path::PathBuf;
use std::time::Duration;

use archive::Paths;
use clap::{Args, Parser, Subcommand, ValueEnum};
use contract::{Code, ExitCode, Failure, RunSpec};

use crate::context::Context;
use crate::emit::Emitter;
use crate::{metrics, run, spec_file, waiting};

const EXAMPLES: &str = "\
Examples:
  kafka-backup-runner run backup.yaml           back up or restore what the file says
  kafka-backup-runner check backup.yaml         connect, resolve, write nothing
  kafka-backup-runner groups restore.yaml       where consumer groups would go on
  kafka-backup-runner ls backup.yaml            sets and recovery points in its storage
  kafka-backup-runner verify backup.yaml        read everything of the newest point and check it
  kafka-backup-runner store-check s3://bucket   whether a store keeps the rules
  kafka-backup-runner convert old/nightly backup.yaml   an archive of the OSO tool becomes a set of this one
  kafka-backup-runner explain KB4003            what an error code means

Exit codes:
  0 done   1 the answer is no   2 bad specification   3 failed, run again to go on
  4 failed, change something first   5 another run took over   75 stopped, progress saved";

/// Backs up Apache Kafka topics to object storage and restores them exactly once.
#[derive(Debug, Parser)]
#[command(name = "kafka-backup-runner", version, after_help = EXAMPLES)]
pub struct Cli {
    /// Folder that relative paths of secrets are taken from
    #[arg(long, global = true, default_value = ".", env = "KAFKA_BACKUP_SECRETS")]
    secrets: PathBuf,
    /// Folder that relative storage paths are taken from
    #[arg(long, global = true, default_value = ".", env = "KAFKA_BACKUP_VOLUMES")]
    volumes: PathBuf,
    /// Form of log lines on standard error
    #[arg(long, global = true, value_enum, default_value = "text", env = "KAFKA_BACKUP_LOG_FORMAT")]
    pub log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

impl Cli {
    /// The folders of secrets and volumes.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths { secrets: self.secrets.clone(), volumes: self.volumes.clone() }
    }
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Form of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    Text,
    Json,
}

/// A specification whose storage is read.
#[derive(Debug, Args)]
struct SpecArg {
    /// Run specification, YAML or JSON; `-` reads standard input
    spec: String,
    /// Form of the result
    #[arg(short, long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run what a specification says: a backup, a restore, a validation, retention
    #[command(
        after_help = "Events go to standard output as JSON lines with -o json, else a summary at the end.\n\nExample:\n  kafka-backup-runner run backup.yaml\n  cat spec.json | kafka-backup-runner run - -o json"
    )]
    Run {
        #[command(flatten)]
        spec: SpecArg,
        /// Also write the short report to this file, for a pod's termination message
        #[arg(long)]
        termination_log: Option<PathBuf>,
    },
    /// Read, resolve, connect, and say what a run would do; writes nothing
    Check {
        #[command(flatten)]
        spec: SpecArg,
    },
    /// Say where a restore, an offset reset or an offset rollback puts consumer groups; writes nothing
    #[command(
        after_help = "For each group and partition: where it stood, where it goes, how that place was found, and what stands in the way. For a restore\nthat has not begun, places are those of a target to which nobody writes until then.\nExit code 1: something stands in the way.\n\nExamples:\n  kafka-backup-runner groups restore.yaml\n  kafka-backup-runner groups reset.yaml -o json"
    )]
    Groups {
        #[command(flatten)]
        spec: SpecArg,
    },
    /// Verify a recovery point
    #[command(
        after_help = "Examples:\n  kafka-backup-runner verify backup.yaml                        the newest point of the set it names\n  kafka-backup-runner verify backup.yaml orders-20260131-080000 --level checksum"
    )]
    Verify {
        #[command(flatten)]
        spec: SpecArg,
        /// Set or recovery point; the one that the specification names when absent
        name: Option<String>,
        /// How deep to look
        #[arg(long, value_enum, default_value = "decode")]
        level: verify::LevelArg,
    },
    /// List sets and recovery points, or topics, partitions and segments of a point
    #[command(
        after_help = "Examples:\n  kafka-backup-runner ls backup.yaml\n  kafka-backup-runner ls backup.yaml orders-20260131-080000 --partitions\n  kafka-backup-runner ls backup.yaml orders --segments"
    )]
    Ls {
        #[command(flatten)]
        spec: SpecArg,
        /// Set or recovery point
        name: Option<String>,
        /// Show partitions
        #[arg(long)]
        partitions: bool,
        /// Show segments
        #[arg(long)]
        segments: bool,
    },
    /// Print a document of the archive, readable
    #[command(
        after_help = "Examples:\n  kafka-backup-runner show backup.yaml orders set\n  kafka-backup-runner show backup.yaml orders entry 3\n  kafka-backup-runner show backup.yaml orders groups\n  kafka-backup-runner show backup.yaml orders segment 3 0"
    )]
    Show {
        #[command(flatten)]
        spec: SpecArg,
        /// Set or recovery point
        name: String,
        /// Which document
        #[command(subcommand)]
        document: show::Document,
    },
    /// Where offsets of the source stand in the target of a restore
    #[command(after_help = "Example:\n  kafka-backup-runner lookup restore.yaml orders 0 1500 1501")]
    Lookup {
        #[command(flatten)]
        spec: SpecArg,
        /// Source topic
        topic: String,
        /// Source partition
        partition: i32,
        /// Source offsets
        #[arg(required = true)]
        offsets: Vec<i64>,
    },
    /// End a restore that will not go on, and give its target topics back
    #[command(
        after_help = "Held configs are put back to what they were. Without topics, the restore that has the name of the specification is ended;\nwith topics, whichever restore holds them. Stop its run first.\n\nExamples:\n  kafka-backup-runner release restore.yaml\n  kafka-backup-runner release restore.yaml orders payments"
    )]
    Release {
        #[command(flatten)]
        spec: SpecArg,
        /// Target topics
        topics: Vec<String>,
    },
    /// Make a missing set.json again from what the log of the set knows; creates what is absent, touches nothing else
    #[command(
        after_help = "Without --apply it says what it would create.\n\nExample:\n  kafka-backup-runner repair backup.yaml orders --apply"
    )]
    Repair {
        /// Run specification, YAML or JSON; `-` reads standard input
        spec: String,
        /// The backup set
        set: String,
        /// Create it
        #[arg(long)]
        apply: bool,
    },
    /// Rewrite an archive that the OSO tool wrote as a backup set, with which incremental backups go on
    #[command(
        after_help = "The archive stays as it is. What is stored is read back and compared before it is sealed. A conversion that was ended goes on\nwhere it stopped. Credentials of URLs come from the environment.\n\nExamples:\n  kafka-backup-runner convert s3://old/kafka/nightly s3://backups/kafka/orders --namespace shop\n  kafka-backup-runner convert ./old/nightly backup.yaml           store, name and owner as the backup has them"
    )]
    Convert {
        #[command(flatten)]
        flags: convert::Flags,
    },
    /// Say which recovery points rules of retention would take away, and what would come back; changes nothing
    #[command(
        after_help = "For each point whether it stays, and why. With --keep-last and --max-age a point stays when it is young, or among the newest;\n--keep-last alone is also the most that stays. Ages are those of the store's clock.\n\nExamples:\n  kafka-backup-runner prune-plan backup.yaml --keep-last 7\n  kafka-backup-runner prune-plan backup.yaml --keep-last 3 --max-age 30d -o json"
    )]
    PrunePlan {
        #[command(flatten)]
        spec: SpecArg,
        #[command(flatten)]
        flags: prune_plan::Flags,
    },
    /// Try out whether a store keeps the rules that archives rest on, and how fast it answers
    #[command(
        after_help = "Credentials come from the environment, or from a specification's storage block. Writes below _check/ only, and cleans up.\nExit code 1: the store breaks a rule.\n\nExamples:\n  kafka-backup-runner store-check 's3://backups/team?region=eu-central-1'\n  kafka-backup-runner store-check azure://account/container\n  kafka-backup-runner store-check backup.yaml"
    )]
    StoreCheck {
        /// URL of a store, a directory, or a run specification
        store: String,
        /// Trust the authority in this file (PEM or DER) for the certificate of the store of a URL, beside the system's
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
        /// Form of the result
        #[arg(short, long, value_enum, default_value = "text")]
        output: Output,
    },
    /// Answer questions about one backup, on this machine's loopback, for whoever holds its token
    #[command(
        after_help = "A pod does this for `kubectl kafka-backup` (KafkaBackupInspection).\n\nExample:\n  kafka-backup-runner inspect inspect.json"
    )]
    Inspect {
        /// What to answer for, JSON
        spec: PathBuf,
        /// Write a failure to this file, for a pod's termination message
        #[arg(long)]
        termination_log: Option<PathBuf>,
    },
    /// Explain an error code
    Explain {
        /// Such as KB4003; all codes when absent
        code: Option<String>,
    },
    /// Print the JSON schema of run specifications
    Schema,
}

impl Command {
    /// Whether a program reads what it says.
    fn says_json(&self) -> bool {
        let output = match self {
            Self::Run { spec, .. }
            | Self::Check { spec }
            | Self::Groups { spec }
            | Self::Verify { spec, .. }
            | Self::Ls { spec, .. }
            | Self::Lookup { spec, .. }
            | Self::PrunePlan { spec, .. }
            | Self::Release { spec, .. } => spec.output,
            Self::StoreCheck { output, .. } => *output,
            Self::Convert { flags } => flags.output,
            // The others have no option for it.
            _ => Output::Text,
        };
        output == Output::Json
    }
}

/// Executes a command and returns the process's exit code.
pub async fn execute(context: &Context, cli: Cli) -> ExitCode {
    // A run ends by itself when it is asked to: it has something to finish. An inspection says how it ended.
    let finishes = matches!(cli.command, Command::Run { .. } | Command::Inspect { .. });
    let is_run = matches!(cli.command, Command::Run { .. });
    let is_json = cli.command.says_json();
    let say = |seconds, what: String| print::waiting(seconds, what, is_json);
    let result = tokio::select! {
        biased;
        never = waiting::announce(&context.waits, say), if !is_run => match never {},
        () = context.cancel.cancelled(), if !finishes => Err(Failure::new(Code::Interrupted, "stopped on request")),
        result = Box::pin(dispatch(context, cli.command)) => result,
    };
    waiting::tell_news(&context.waits, &say);
    match result {
        Ok(exit) => exit,
        Err(failure) => {
            print::failure(&failure);
            failure.code.exit()
        }
    }
}

async fn dispatch(context: &Context, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Run { spec, termination_log } => {
            let output = spec.output;
            let parsed = read(context, &spec.spec).await;
            let stays = match &parsed {
                Ok(spec) => spec.metrics.as_ref().map_or(Duration::ZERO, metrics::kept_alive),
                Err(_) => Duration::ZERO,
            };
            let (report, exit) = match parsed {
                Ok(spec) => Box::pin(run::run(context, &Emitter::new(context, output == Output::Json), &spec)).await,
                Err(failure) => {
                    let exit = failure.code.exit();
                    let report =
                        contract::Report { outcome: "Failed".into(), failure: Some(failure), ..Default::default() };
                    (report, exit)
                }
            };
            if let Some(path) = termination_log {
                run::write_termination(&path, &report);
            }
            print::report(&report, output);
            // A stop ends it, as it ends the run.
            tokio::select! {
                () = tokio::time::sleep(stays) => {}
                () = context.cancel.cancelled() => {}
            }
            Ok(exit)
        }
        Command::Check { spec } => check::check(context, &read(context, &spec.spec).await?, spec.output).await,
        Command::Groups { spec } => groups::groups(context, &read(context, &spec.spec).await?, spec.output).await,
        Command::Verify { spec, name, level } => {
            let parsed = read(context, &spec.spec).await?;
            let name = name.unwrap_or_else(|| named(&parsed));
            verify::verify(context, &parsed, &name, level, spec.output).await
        }
        Command::Ls { spec, name, partitions, segments } => {
            let parsed = read(context, &spec.spec).await?;
            let detail = list::Detail { partitions, segments };
            list::list(context, &parsed, name.as_deref(), detail, spec.output).await
        }
        Command::Show { spec, name, document } => {
            show::show(context, &read(context, &spec.spec).await?, &name, document).await
        }
        Command::Lookup { spec, topic, partition, offsets } => {
            lookup::lookup(context, &read(context, &spec.spec).await?, &topic, partition, &offsets, spec.output).await
        }
        Command::Repair { spec, set, apply } => {
            repair::repair(context, &read(context, &spec).await?, &set, apply).await
        }
        Command::Convert { flags } => convert::convert(context, &flags).await,
        Command::PrunePlan { spec, flags } => {
            prune_plan::plan(context, &read(context, &spec.spec).await?, &flags, spec.output).await
        }
        Command::Release { spec, topics } => {
            release::release(context, &spec_file::read(&spec.spec)?, &topics, spec.output).await
        }
        Command::StoreCheck { store, ca_file, output } => {
            store_check::store_check(context, &store, ca_file.as_deref(), output).await
        }
        Command::Inspect { spec, termination_log } => {
            let result = inspect::serve(context, &spec).await;
            if let (Err(failure), Some(path)) = (&result, termination_log) {
                let report = contract::Report { failure: Some(failure.clone()), ..Default::default() };
                run::write_termination(&path, &report);
            }
            result
        }
        Command::Explain { code } => explain(code.as_deref()),
        Command::Schema => {
            print::json(&RunSpec::schema())?;
            Ok(ExitCode::Done)
        }
    }
}

/// Reads a specification. Standard input may never end: it does not keep anybody from stopping.
pub(crate) async fn read(context: &Context, file: &str) -> Result<RunSpec, Failure> {
    let name = file.to_owned();
    let task = tokio::task::spawn_blocking(move || spec_file::read(&name));
    tokio::select! {
        spec = task => spec.map_err(|error| Failure::new(Code::Internal, error.to_string()))?,
        () = context.cancel.cancelled() => {
            Err(Failure::new(Code::Interrupted, format!("stopped on request before {file} was read")))
        }
    }
}

/// The set or point that a specification is about.
fn named(spec: &RunSpec) -> String {
    let restored = spec.restore.as_ref().map(|restore| &restore.from);
    let validated = spec.validation.as_ref().map(|part| &part.from);
    restored.or(validated).unwrap_or(&spec.name).clone()
}

fn explain(code: Option<&str>) -> Result<ExitCode, Failure> {
    let Some(code) = code else {
        for code in Code::ALL {
            print::line(&format!("{code}  exit {:2}  {}", code.exit() as u8, code.title()));
        }
        return Ok(ExitCode::Done);
    };
    let code: Code = code.parse().map_err(|rule: String| {
        Failure::new(Code::SpecInvalid, format!("{rule}; `kafka-backup-runner explain` lists all codes"))
    })?;
    print::line(&format!("{code}: {}\n\n{}\n\nExit code {}.", code.title(), code.help(), code.exit() as u8));
    Ok(ExitCode::Done)
}
