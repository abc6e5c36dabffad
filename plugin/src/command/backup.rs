//! `backup`: make a KafkaBackup, or run one now.

use api::oso::KafkaBackup;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::patterns::patterns;
use crate::screen::Screen;
use crate::steps::kafka::{Kafka, storage};
use crate::steps::trigger::trigger;
use crate::steps::wait::{Progress, Wait, next, not_begun, wait as wait_for};
use crate::steps::write::{self, DryRun, Write};
use crate::words;

/// Commands about backups.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a KafkaBackup from flags, or after the model of another
    #[command(after_help = "\
Examples:
  kubectl kafka-backup backup create before-upgrade --from nightly --wait
  kubectl kafka-backup backup create nightly --bootstrap-servers kafka:9092 --topics 'orders-*' \\
      --storage 's3://backups/kafka?region=eu-central-1' --storage-secret s3 --schedule '0 0 2 * * *'
  kubectl kafka-backup backup create hourly --from nightly --schedule @hourly --incremental \\
      --dry-run client -o yaml > hourly.yaml        # for Git")]
    Create(Box<Create>),
    /// Run an existing backup now, also while it is suspended
    #[command(after_help = "\
Examples:
  kubectl kafka-backup backup run nightly -n shop --wait
  kubectl kafka-backup backup run nightly --dry-run client -o yaml")]
    Run(Run),
}

/// Flags of a run that is asked for now.
#[derive(Debug, Args)]
pub struct Run {
    /// Backup
    name: String,
    #[command(flatten)]
    write: Write,
    #[command(flatten)]
    wait: Wait,
}

/// Flags of `backup create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Name of the new KafkaBackup
    name: String,
    /// Take the specification of this KafkaBackup; without --schedule, the new one runs once
    #[arg(long, value_name = "NAME")]
    from: Option<String>,
    /// Topics by name, glob, or regular expression after ~; separated by commas, or repeated
    #[arg(long)]
    topics: Vec<String>,
    /// When to run: cron with seconds first, UTC, or @hourly, @daily, ...
    #[arg(long, value_name = "CRON")]
    schedule: Option<String>,
    /// Each run moves only what is new
    #[arg(long)]
    incremental: bool,
    /// Follow the topics without end
    #[arg(long, conflicts_with_all = ["schedule", "incremental"])]
    continuous: bool,
    /// Keep the positions of consumer groups, too
    #[arg(long)]
    groups: bool,
    /// Where: `s3://BUCKET/PREFIX?region=R`, `azure://ACCOUNT/CONTAINER`, `gs://BUCKET`, `pvc://CLAIM/SUBPATH`
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

/// Makes or runs a backup.
pub(crate) async fn backup(command: Command, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match command {
        Command::Create(create) => make(*create, connection, screen).await,
        Command::Run(options) => run(&Cluster::connect(connection).await?, &options, screen).await,
    }
}

async fn make(create: Create, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    // What is made from flags alone needs no cluster to be shown.
    let alone = create.from.is_none() && create.write.dry_run == DryRun::Client;
    let cluster = if alone { None } else { Some(Cluster::connect(connection).await?) };
    let mut spec = Map::new();
    if let (Some(name), Some(cluster)) = (&create.from, &cluster) {
        let model: KafkaBackup = cluster.get(name).await?;
        if let Ok(Value::Object(fields)) = serde_json::to_value(model.spec) {
            spec = fields;
        }
        for name in ["schedule", "suspend", "continuous"] {
            spec.remove(name);
        }
    }
    if !create.topics.is_empty() {
        spec.insert("topics".to_owned(), json!(patterns(&create.topics)));
    }
    if let Some(block) = create.kafka.block() {
        spec.insert("kafkaCluster".to_owned(), block);
    }
    if let Some(url) = &create.storage {
        spec.insert("storage".to_owned(), storage(url, create.storage_secret.as_deref())?);
    }
    if let Some(schedule) = &create.schedule {
        spec.insert("schedule".to_owned(), schedule.clone().into());
    }
    if create.continuous {
        spec.insert("continuous".to_owned(), true.into());
        spec.remove("stopAtCurrentOffsets");
    } else {
        spec.insert("stopAtCurrentOffsets".to_owned(), true.into());
    }
    if create.incremental && !spec.contains_key("checkpoint") {
        spec.insert("checkpoint".to_owned(), json!({"intervalSecs": 30}));
    }
    if create.groups {
        spec.insert("consumerGroupSnapshot".to_owned(), true.into());
    }
    for (field, flag) in [("kafkaCluster", "--bootstrap-servers"), ("topics", "--topics"), ("storage", "--storage")] {
        if !spec.contains_key(field) {
            return Err(Error::usage(
                format!("{flag} is missing"),
                "name it, or take it from another backup: --from NAME",
            ));
        }
    }
    let document = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": create.name}, "spec": spec,
    });
    let created = write::create::<KafkaBackup>(cluster.as_ref(), document, &create.write, screen).await?;
    match &cluster {
        Some(cluster) if created && create.wait.wait => {
            wait_for(cluster, &create.name, create.wait.timeout, screen, |object: &KafkaBackup| progress(object, None))
                .await
        }
        _ => {
            if created {
                screen.say(&next(&create.name, cluster.as_ref()));
            }
            Ok(Exit::Done)
        }
    }
}

/// Asks for a run now; `wait` follows it.
pub(crate) async fn run(cluster: &Cluster, options: &Run, screen: &mut Screen) -> Result<Exit, Error> {
    let Run { name, write, wait } = options;
    let object: KafkaBackup = cluster.get(name).await?;
    if object.spec.continuous {
        let what = format!("backup `{name}` is continuous: it runs already, or is suspended");
        return Err(Error::Refused {
            what,
            hint: format!("kubectl kafka-backup schedule resume {name} -n {}", cluster.namespace),
        });
    }
    let Some(asked) = trigger(cluster, object, "backup", write, screen).await? else { return Ok(Exit::Done) };
    if !wait.wait {
        screen.say(&next(name, Some(cluster)));
        return Ok(Exit::Done);
    }
    wait_for(cluster, name, wait.timeout, screen, |object: &KafkaBackup| progress(object, Some(&asked))).await
}

/// How far the run of a backup is; of the run that `trigger` asked for.
fn progress(object: &KafkaBackup, trigger: Option<&str>) -> Progress {
    let status = object.status.clone().unwrap_or_default();
    let message = status.message.clone().unwrap_or_else(|| "waiting for the operator".to_owned());
    if trigger.is_some() && status.last_trigger.as_deref() != trigger {
        return not_begun(&status.conditions, object.metadata.generation);
    }
    let stalled = status.conditions.iter().find(|condition| condition.type_ == "Stalled" && condition.status == "True");
    match status.run.as_ref().filter(|run| run.finished_at.is_some()) {
        Some(run) => {
            let good = run.outcome.as_deref() == Some("Completed");
            let point = status.backup_id.as_deref().filter(|_| good).map(|point| format!("{point}: "));
            let moved = format!(
                "{}, {}",
                words::plural(status.records_processed.unwrap_or(0), "record"),
                words::size(status.bytes_processed.unwrap_or(0))
            );
            Progress::Over(good, if good { format!("{}{moved}", point.unwrap_or_default()) } else { message })
        }
        None if stalled.is_some() && status.run.is_none() => Progress::Over(false, message),
        None => match (status.records_processed.filter(|_| status.run.is_some()), status.bytes_processed) {
            (Some(records), Some(bytes)) => {
                Progress::Going(format!("{message}: {}, {}", words::plural(records, "record"), words::size(bytes)))
            }
            _ => Progress::Going(message),
        },
    }
}
