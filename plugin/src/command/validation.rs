//! `validation`: make a KafkaBackupValidation, run one now, and show what it found.

use api::oso::{KafkaBackupValidation, KafkaRestore};
use clap::{Args, Subcommand, ValueEnum};
use contract::words::read_size;
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::patterns::patterns;
use crate::screen::Screen;
use crate::show;
use crate::steps::kafka::{Kafka, storage};
use crate::steps::made::of_kind;
use crate::steps::print;
use crate::steps::trigger::trigger;
use crate::steps::wait::{Progress, Wait, not_begun, wait as wait_for};
use crate::steps::write::{self, DryRun, Write};
use crate::view::validations::Validation;
use crate::words;

/// Commands about validations.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a KafkaBackupValidation: check a recovery point, and a cluster that it was restored into
    #[command(after_help = "\
Without --checks, the archive is looked at whole (structure, checksum, decode), and a cluster that is
named is compared with it (message-count, offset-range). Neither is changed. Webhooks and notifications
have no flags: print the resource with --dry-run client -o yaml, and add them.

Examples:
  kubectl kafka-backup validation create now --backup nightly --wait
  kubectl kafka-backup validation create weekly --backup nightly --schedule '0 0 6 * * SUN' --sample 10%
  kubectl kafka-backup validation create drill --backup nightly --restore back --groups shop --wait
  kubectl kafka-backup validation create old --storage 's3://backups/kafka?region=eu-central-1' \\
      --storage-secret s3 --point nightly-20261119-020000 --checks structure

Exit code 1, with --wait: a check failed, or could not be made.")]
    Create(Box<Create>),
    /// Run a validation now, also while it is suspended
    #[command(after_help = "\
Examples:
  kubectl kafka-backup validation run weekly -n shop --wait
  kubectl kafka-backup validation run weekly --dry-run client -o yaml

Exit code 1, with --wait: a check failed, or could not be made.")]
    Run(Run),
    /// Show what a validation found: each check, and the results before
    #[command(after_help = "Examples:\n  kubectl kafka-backup validation show weekly -n shop")]
    Show(ShowFlags),
}

/// Flags of `validation create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Name of the new KafkaBackupValidation
    name: String,
    /// KafkaBackup whose newest recovery point is checked, and all of its log
    #[arg(long, value_name = "NAME", required_unless_present = "storage")]
    backup: Option<String>,
    /// The recovery point; the newest when absent
    #[arg(long, value_name = "POINT")]
    point: Option<String>,
    /// KafkaRestore whose cluster is compared with what it restored
    #[arg(long, value_name = "NAME")]
    restore: Option<String>,
    /// What is checked, separated by commas or repeated
    #[arg(long, value_enum, value_name = "CHECK", value_delimiter = ',')]
    checks: Vec<Check>,
    /// Topics whose records are counted: names, globs, or a regular expression after ~; all when absent
    #[arg(long)]
    topics: Vec<String>,
    /// A consumer group whose committed offsets are compared, by id or glob; may be repeated
    #[arg(long, value_name = "GROUP")]
    groups: Vec<String>,
    /// Read only a part of the archive, drawn by chance: 10%, or bytes such as 500MiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    sample: Option<Size>,
    /// When to check: cron with seconds first, UTC, or @daily, @weekly, ...; once when absent
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// Where, instead of a KafkaBackup: `s3://BUCKET/PREFIX?region=R`, `azure://ACCOUNT/CONTAINER`, `gs://BUCKET`, `pvc://CLAIM/SUBPATH`
    #[arg(long, value_name = "URL", help_heading = "Storage")]
    storage: Option<String>,
    /// Secret with the credentials of the storage
    #[arg(long, value_name = "SECRET", requires = "storage", help_heading = "Storage")]
    storage_secret: Option<String>,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    write: Write,
    #[command(flatten)]
    wait: Wait,
}

/// Flags of a run that is asked for now.
#[derive(Debug, Args)]
pub struct Run {
    /// Validation
    name: String,
    #[command(flatten)]
    write: Write,
    #[command(flatten)]
    wait: Wait,
}

/// Flags of `validation show`.
#[derive(Debug, Args)]
pub struct ShowFlags {
    /// Validation
    name: String,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// A check that a flag names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Check {
    /// The log and every segment: there, and as long as it says
    Structure,
    /// The digest of every block
    Checksum,
    /// Every batch and record
    Decode,
    /// Records of the cluster
    MessageCount,
    /// Ranges of offsets of the cluster
    OffsetRange,
    /// Committed offsets of consumer groups
    Groups,
}

impl Check {
    const ALL: [Self; 6] =
        [Self::Structure, Self::Checksum, Self::Decode, Self::MessageCount, Self::OffsetRange, Self::Groups];

    /// Its field below `spec.checks`.
    fn field(self) -> &'static str {
        match self {
            Self::Structure => "structure",
            Self::Checksum => "checksum",
            Self::Decode => "decode",
            Self::MessageCount => "messageCount",
            Self::OffsetRange => "offsetRange",
            Self::Groups => "consumerGroupOffsets",
        }
    }

    /// Whether it looks at the archive alone, and is made unless it is disabled.
    fn is_of_archive(self) -> bool {
        matches!(self, Self::Structure | Self::Checksum | Self::Decode)
    }
}

/// How much of an archive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Size {
    Percent(u32),
    Bytes(u64),
}

fn size(text: &str) -> Result<Size, String> {
    let Some(percent) = text.strip_suffix('%') else {
        return read_size(text).map(Size::Bytes).map_err(|rule| format!("{rule}; or a share from 1% to 100%"));
    };
    let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent));
    percent.map(Size::Percent).ok_or_else(|| "must be a share from 1% to 100%, or bytes such as 500MiB".to_owned())
}

/// Makes, runs or shows a validation.
pub(crate) async fn validation(command: Command, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match command {
        Command::Create(create) => make(*create, connection, screen).await,
        Command::Run(options) => run(&Cluster::connect(connection).await?, &options, screen).await,
        Command::Show(options) => show(&Cluster::connect(connection).await?, &options, screen).await,
    }
}

async fn make(create: Create, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    // What is made from flags alone needs no cluster to be shown.
    let alone = create.restore.is_none() && create.write.dry_run == DryRun::Client;
    let cluster = if alone { None } else { Some(Cluster::connect(connection).await?) };
    let restored = match (&create.restore, &cluster) {
        (Some(name), Some(cluster)) => Some(cluster.get::<KafkaRestore>(name).await?),
        _ => None,
    };
    let document = of_kind("KafkaBackupValidation", &create.name, spec(&create, restored.as_ref())?);
    let created = write::create::<KafkaBackupValidation>(cluster.as_ref(), document, &create.write, screen).await?;
    match &cluster {
        Some(cluster) if created && create.wait.wait => follow(cluster, &create.name, &create.wait, None, screen).await,
        Some(cluster) if created => {
            screen.say(&next(&create.name, cluster));
            Ok(Exit::Done)
        }
        _ => Ok(Exit::Done),
    }
}

/// The specification that flags ask for. The cluster is the one of the flags, else that of the restore.
fn spec(create: &Create, restored: Option<&KafkaRestore>) -> Result<Map<String, Value>, Error> {
    let mut from = Map::from_iter([("name".to_owned(), create.backup.clone().unwrap_or_default().into())]);
    if let Some(point) = &create.point {
        from.insert("backupId".to_owned(), point.clone().into());
    }
    if let Some(url) = &create.storage {
        from.insert("storage".to_owned(), storage(url, create.storage_secret.as_deref())?);
    }
    let mut spec = Map::from_iter([("backupRef".to_owned(), Value::Object(from))]);
    let kafka = match (create.kafka.block(), restored) {
        (Some(block), _) => Some(block),
        (None, Some(restore)) => Some(print::value(&restore.spec.kafka_cluster)?),
        (None, None) => None,
    };
    spec.insert("checks".to_owned(), Value::Object(checks(create, kafka.is_some())));
    if let Some(kafka) = kafka {
        spec.insert("kafkaCluster".to_owned(), kafka);
    }
    if let Some(restore) = &create.restore {
        spec.insert("restoreRef".to_owned(), json!({"name": restore}));
    }
    if let Some(sample) = create.sample {
        let sample = match sample {
            Size::Percent(percent) => json!({"percent": percent}),
            Size::Bytes(bytes) => json!({"bytes": bytes}),
        };
        spec.insert("sample".to_owned(), sample);
    }
    if let Some(schedule) = &create.schedule {
        spec.insert("schedule".to_owned(), schedule.clone().into());
    }
    Ok(spec)
}

fn checks(create: &Create, cluster: bool) -> Map<String, Value> {
    let is_made = |check: Check| {
        let by_default = match check {
            Check::Structure | Check::Checksum | Check::Decode => true,
            Check::MessageCount | Check::OffsetRange => cluster,
            Check::Groups => false,
        };
        let by_flag = match check {
            Check::MessageCount => !create.topics.is_empty(),
            Check::Groups => !create.groups.is_empty(),
            Check::Structure | Check::Checksum | Check::Decode | Check::OffsetRange => false,
        };
        create.checks.contains(&check) || by_flag || create.checks.is_empty() && by_default
    };
    let mut out = Map::new();
    for check in Check::ALL {
        let mut block = Map::from_iter([("enabled".to_owned(), is_made(check).into())]);
        match check {
            Check::MessageCount if !create.topics.is_empty() => {
                block.insert("topics".to_owned(), json!(patterns(&create.topics)));
            }
            Check::Groups if !create.groups.is_empty() => {
                block.insert("consumerGroups".to_owned(), json!(create.groups));
            }
            // The other checks take no names.
            _ => {}
        }
        if is_made(check) || check.is_of_archive() {
            out.insert(check.field().to_owned(), Value::Object(block));
        }
    }
    out
}

/// How to see what a validation finds, as a command.
fn next(name: &str, cluster: &Cluster) -> String {
    format!("next: kubectl kafka-backup validation show {name} -n {}", cluster.namespace)
}

/// Asks for a run now; `wait` follows it.
async fn run(cluster: &Cluster, options: &Run, screen: &mut Screen) -> Result<Exit, Error> {
    let Run { name, write, wait } = options;
    let object: KafkaBackupValidation = cluster.get(name).await?;
    let Some(asked) = trigger(cluster, object, "validation", write, screen).await? else { return Ok(Exit::Done) };
    if !wait.wait {
        screen.say(&next(name, cluster));
        return Ok(Exit::Done);
    }
    follow(cluster, name, wait, Some(&asked), screen).await
}

/// Waits for a run, and shows what it found.
async fn follow(
    cluster: &Cluster,
    name: &str,
    wait: &Wait,
    asked: Option<&str>,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    let far = |object: &KafkaBackupValidation| progress(object, asked);
    let ended = wait_for(cluster, name, wait.timeout, screen, far).await?;
    let object: KafkaBackupValidation = cluster.get(name).await?;
    let text = show::validations::validation(&Validation::of(&object), &screen.style);
    screen.text(&text)?;
    Ok(ended)
}

/// How far the run of a validation is; of the run that `asked` stands for.
fn progress(object: &KafkaBackupValidation, asked: Option<&str>) -> Progress {
    let found = Validation::of(object);
    let status = &found.status;
    if asked.is_some() && status.last_trigger.as_deref() != asked {
        return not_begun(&status.conditions, object.metadata.generation);
    }
    let message = status.message.clone().unwrap_or_else(|| "waiting for the operator".to_owned());
    let is_stalled = status.conditions.iter().any(|one| one.type_ == "Stalled" && one.status == "True");
    match &status.run {
        Some(run) if run.finished_at.is_some() => Progress::Over(found.is_good(), message),
        None if is_stalled => Progress::Over(false, message),
        Some(_) | None => {
            let made = status.checks_completed.filter(|made| *made > 0).map(|made| words::plural(made, "check"));
            Progress::Going(made.map_or_else(|| message.clone(), |made| format!("{message}: {made} made")))
        }
    }
}

async fn show(cluster: &Cluster, options: &ShowFlags, screen: &mut Screen) -> Result<Exit, Error> {
    let object: KafkaBackupValidation = cluster.get(&options.name).await?;
    let found = Validation::of(&object);
    match options.output {
        Output::Table | Output::Wide => {
            let text = show::validations::validation(&found, &screen.style);
            screen.text(&text)?;
        }
        Output::Name => print::names([format!("kafkabackupvalidation.kafka.oso.sh/{}", found.name)], screen)?,
        form => print::document("Validation", &found, form, screen)?,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn made(words: &str) -> Value {
        let words = std::iter::once("validation").chain(words.split(' '));
        match <Line as clap::Parser>::try_parse_from(words).unwrap().command {
            Command::Create(create) => Value::Object(spec(&create, None).unwrap()),
            Command::Run(_) | Command::Show(_) => Value::Null,
        }
    }

    fn enabled(spec: &Value) -> Vec<&str> {
        let checks = spec["checks"].as_object().unwrap();
        checks.iter().filter(|(_, block)| block["enabled"] == true).map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn flags_become_checks() {
        let plain = made("create a --backup nightly");
        assert_eq!(enabled(&plain), ["checksum", "decode", "structure"]);
        assert_eq!(plain["backupRef"], json!({"name": "nightly"}));
        let cluster = made("create a --backup nightly --bootstrap-servers k:9092 --groups shop,eu");
        assert_eq!(
            enabled(&cluster),
            ["checksum", "consumerGroupOffsets", "decode", "messageCount", "offsetRange", "structure"]
        );
        assert_eq!(cluster["checks"]["consumerGroupOffsets"]["consumerGroups"], json!(["shop,eu"]), "one group");
        let few = made("create a --storage pvc://c --point p-20261119-020000 --checks structure");
        assert_eq!(enabled(&few), ["structure"]);
        assert_eq!(few["checks"]["decode"], json!({"enabled": false}), "it is made unless it is disabled");
        assert_eq!(few["backupRef"]["backupId"], "p-20261119-020000");
        for spec in [plain, cluster, few] {
            let document = json!({"apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation",
                "metadata": {"name": "a"}, "spec": spec});
            let findings = api::document::check(&document, "2026-11-29T10:00:00Z".parse().unwrap());
            assert!(findings.iter().all(|one| one.level == api::finding::Level::Warning), "{findings:?}");
        }
    }

    #[test]
    fn sizes_are_shares_or_bytes() {
        assert_eq!(size("10%"), Ok(Size::Percent(10)));
        assert_eq!(size("500MiB"), Ok(Size::Bytes(500 << 20)));
        assert_eq!(size("7"), Ok(Size::Bytes(7)));
        for wrong in ["0%", "101%", "0", "-1", "10 GB", "", "99999999999TiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_run_is_over_when_the_one_that_was_asked_for_is() {
        let object = |status: Value| -> KafkaBackupValidation {
            serde_json::from_value(json!({
                "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation", "metadata": {"name": "a"},
                "spec": {"backupRef": {"name": "b"}, "checks": {"decode": {}}}, "status": status,
            }))
            .unwrap()
        };
        let over = |result: &str| {
            object(json!({"validationResult": result, "lastTrigger": "t", "run": {"id": "r", "finishedAt": "then"}}))
        };
        assert!(matches!(progress(&over("Pass"), Some("t")), Progress::Over(true, _)));
        assert!(matches!(progress(&over("Warn"), None), Progress::Over(true, _)));
        assert!(matches!(progress(&over("Fail"), Some("t")), Progress::Over(false, _)));
        assert!(matches!(progress(&over("Pass"), Some("other")), Progress::Going(_)));
        let works = object(json!({"message": "m", "checksCompleted": 2, "run": {"id": "r"}}));
        assert_eq!(progress(&works, None), Progress::Going("m: 2 checks made".to_owned()));
    }
}
