//! `restore`: what a restore would do, and doing it.

mod paste;
mod plan;

use api::oso::{KafkaBackup, KafkaRestore};
use clap::{Args, Subcommand};
use contract::stamp::rfc3339;
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::pairs::{map_of, pair};
use crate::patterns::patterns;
use crate::screen::Screen;
use crate::steps::confirm::confirm;
use crate::steps::kafka::Kafka;
use crate::steps::made::{document, progress};
use crate::steps::or_interrupt;
use crate::steps::print;
use crate::steps::wait::{Wait, next, wait};
use crate::steps::write::{self, DryRun, Write};
use plan::{DryRunOf, plan};

/// Commands about restores.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a restore would do; writes nothing to Kafka
    #[command(after_help = "\
Reads both sides in a short run: what is archived, and what the target has. The fingerprint that it prints makes `restore
create` refuse if the plan is another one by then.

Examples:
  kubectl kafka-backup restore plan --from nightly --create-topics
  kubectl kafka-backup restore plan --from nightly --at 2026-11-19T08:00:00Z --topics orders --map orders=orders-restored

Exit code 1: the plan is blocked.")]
    Plan(Box<Plan>),
    /// Restore topics of a recovery point
    #[command(after_help = "\
Examples:
  kubectl kafka-backup restore create back --from nightly --create-topics --wait
  kubectl kafka-backup restore create back --from nightly --create-topics --groups '*' --wait
  kubectl kafka-backup restore create back --from nightly --groups 'env=prod' --group-map 'env\\=prod=env\\=test' --wait
  kubectl kafka-backup restore create back --from nightly --plan-fingerprint 7f3a9c1b2d4e5f60 --wait
  kubectl kafka-backup restore create back --from nightly --point nightly-20261120-020000 --dry-run client -o yaml")]
    Create(Box<Create>),
}

/// What to restore, where to, and how.
#[derive(Debug, Args)]
struct RestoreFlags {
    /// KafkaBackup whose recovery point is restored
    #[arg(long, value_name = "NAME")]
    from: String,
    /// Namespace of the KafkaBackup, if it is another one
    #[arg(long, value_name = "NAME")]
    from_namespace: Option<String>,
    /// Recovery point; the newest when absent
    #[arg(long, value_name = "POINT")]
    point: Option<String>,
    /// Only records up to this time: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = contract::stamp::parse_millis)]
    at: Option<i64>,
    /// Only records from this time on
    #[arg(long, value_name = "TIME", value_parser = contract::stamp::parse_millis)]
    since: Option<i64>,
    /// Topics by name, glob, or regular expression after ~; separated by commas, or repeated; all when absent
    #[arg(long)]
    topics: Vec<String>,
    /// Restore a topic under another name; may be repeated
    #[arg(long, value_name = "SOURCE=TARGET", value_parser = pair)]
    map: Vec<(String, String)>,
    /// Restore the committed offsets of consumer groups too: an id, a glob, or a regular expression after ~; '*' for all; may be
    /// repeated
    #[arg(long, value_name = "GROUP")]
    groups: Vec<String>,
    /// Restore the offsets of a group under another id; may be repeated. A `=` of an id is written `\=`, a `\` is written `\\`
    #[arg(long, value_name = "SOURCE=TARGET", value_parser = pair, requires = "groups")]
    group_map: Vec<(String, String)>,
    /// Create missing topics
    #[arg(long)]
    create_topics: bool,
    /// Delete the records of target topics first
    #[arg(long)]
    purge_topics: bool,
    /// Add no headers with the original offset and time
    #[arg(long)]
    no_offset_headers: bool,
    #[command(flatten)]
    kafka: Kafka,
}

/// Flags of `restore plan`.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    work: RestoreFlags,
    /// How long to wait for the plan
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = crate::cluster::duration)]
    timeout: std::time::Duration,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Flags of `restore create`.
#[derive(Debug, Args)]
pub struct Create {
    /// Name of the new KafkaRestore
    name: String,
    #[command(flatten)]
    work: RestoreFlags,
    /// Refuse if the plan is not the one with this fingerprint
    #[arg(long, value_name = "DIGITS")]
    plan_fingerprint: Option<String>,
    /// Do not ask before records are deleted
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    write: Write,
    #[command(flatten)]
    wait: Wait,
}

/// Plans or restores.
pub(crate) async fn restore(command: Command, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match command {
        Command::Plan(options) => {
            let cluster = or_interrupt(Cluster::connect(connection)).await?;
            let spec = or_interrupt(spec(&options.work, Some(&cluster))).await?;
            let arguments = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
            let dry_run = DryRunOf { from: &options.work.from, spec, arguments, timeout: options.timeout };
            Box::pin(plan(dry_run, options.output, &cluster, screen)).await
        }
        Command::Create(options) => or_interrupt(create(*options, connection, screen)).await,
    }
}

async fn create(options: Create, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let alone = options.write.dry_run == DryRun::Client && options.work.kafka.block().is_some();
    let cluster = if alone { None } else { Some(Cluster::connect(connection).await?) };
    let mut spec = spec(&options.work, cluster.as_ref()).await?;
    if let Some(fingerprint) = options.plan_fingerprint {
        spec.insert("planFingerprint".to_owned(), fingerprint.into());
    }
    let sends = options.write.dry_run == DryRun::None;
    if options.work.purge_topics && sends {
        confirm("--purge-topics deletes all records of the target topics first", options.yes, screen)?;
    }
    let created =
        write::create::<KafkaRestore>(cluster.as_ref(), document(&options.name, spec), &options.write, screen).await?;
    match &cluster {
        Some(cluster) if created && options.wait.wait => {
            wait(cluster, &options.name, options.wait.timeout, screen, progress).await
        }
        _ => {
            if created {
                screen.say(&next(&options.name, cluster.as_ref()));
            }
            Ok(Exit::Done)
        }
    }
}

async fn spec(work: &RestoreFlags, cluster: Option<&Cluster>) -> Result<Map<String, Value>, Error> {
    let mut reference = Map::from_iter([("name".to_owned(), Value::from(work.from.clone()))]);
    if let Some(namespace) = &work.from_namespace {
        reference.insert("namespace".to_owned(), namespace.clone().into());
    }
    if let Some(point) = &work.point {
        reference.insert("backupId".to_owned(), point.clone().into());
    }
    let kafka = match (work.kafka.block(), cluster) {
        (Some(block), _) => block,
        (None, Some(cluster)) => {
            let there = Cluster {
                namespace: work.from_namespace.clone().unwrap_or_else(|| cluster.namespace.clone()),
                ..cluster.clone()
            };
            let backup: KafkaBackup = there.get(&work.from).await?;
            print::value(&backup.spec.kafka_cluster)?
        }
        (None, None) => return Err(Error::usage("--bootstrap-servers is missing", "name the target cluster")),
    };
    let mut spec =
        Map::from_iter([("backupRef".to_owned(), Value::Object(reference)), ("kafkaCluster".to_owned(), kafka)]);
    if !work.topics.is_empty() {
        spec.insert("topics".to_owned(), json!(patterns(&work.topics)));
    }
    for (flag, field, pairs) in [("--map", "topicMapping", &work.map), ("--group-map", "groupMapping", &work.group_map)]
    {
        if !pairs.is_empty() {
            let twice = |name| Error::usage(format!("{flag} names `{name}` twice"), "give each source one target");
            spec.insert(field.to_owned(), json!(map_of(pairs).map_err(twice)?));
        }
    }
    match work.groups.as_slice() {
        [] => {}
        [all] if all == "*" => drop(spec.insert("autoConsumerGroups".to_owned(), true.into())),
        named => {
            let reset = json!({"enabled": true, "strategy": "auto", "consumerGroups": named});
            spec.insert("offsetReset".to_owned(), reset);
        }
    }
    let ends = [("startTime", work.since), ("endTime", work.at)];
    let window: Map<String, Value> =
        ends.into_iter().filter_map(|(name, at)| Some((name.to_owned(), rfc3339(at?).into()))).collect();
    if !window.is_empty() {
        spec.insert("pitr".to_owned(), Value::Object(window));
    }
    for (name, flag) in [("createTopics", work.create_topics), ("purgeTopics", work.purge_topics)] {
        if flag {
            spec.insert(name.to_owned(), true.into());
        }
    }
    if work.no_offset_headers {
        spec.insert("includeOffsetHeaders".to_owned(), false.into());
    }
    Ok(spec)
}
