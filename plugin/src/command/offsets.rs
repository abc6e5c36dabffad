//! `offsets`: setting committed offsets of consumer groups, and putting them back.

use api::oso::{KafkaBackup, KafkaOffsetReset, KafkaOffsetResetStatus, KafkaOffsetRollback, KafkaRestore};
use clap::{Args, Subcommand};
use kube::ResourceExt;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::screen::Screen;
use crate::show::table::table;
use crate::steps::confirm::confirm;
use crate::steps::kafka::Kafka;
use crate::steps::made::of_kind;
use crate::steps::print;
use crate::steps::wait::{Progress, Wait, wait};
use crate::steps::write::{self, DryRun, Write};
use crate::words;

/// Commands about committed offsets.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set the committed offsets of consumer groups; what they had before is saved first
    #[command(after_help = "\
TO is earliest, latest, an offset, or a time (RFC 3339, or milliseconds since 1970). Groups must have no members: stop their
consumers first. --plan writes nothing, and shows where each partition would go.

Examples:
  kubectl kafka-backup offsets reset replay --backup nightly --groups shop --to earliest --plan --wait
  kubectl kafka-backup offsets reset replay --backup nightly --groups shop --to 2026-11-19T08:00:00Z --topics orders --wait
  kubectl kafka-backup offsets reset follow --backup nightly --groups shop --from-restore back --wait
  kubectl kafka-backup offsets reset follow --backup nightly --groups shop --mapping moved.json --mapping-pvc files --wait

Exit code 1: the offsets of some group are not set.")]
    Reset(Box<Reset>),
    /// Put back committed offsets that a restore or a reset saved
    #[command(after_help = "\
Examples:
  kubectl kafka-backup offsets rollback undo --restore back --wait
  kubectl kafka-backup offsets rollback undo --reset replay --groups shop --plan --wait
  kubectl kafka-backup offsets rollback undo --snapshot before-20261129-154500-24h-0123abcd --wait
  kubectl kafka-backup offsets rollback undo --backup nightly --path saved.json --pvc files --wait

Exit code 1: the offsets of some group are not put back.")]
    Rollback(Box<Rollback>),
    /// List the saved offsets that can be put back
    #[command(after_help = "\
It lists what restores and resets of the namespace saved, as their statuses tell.

Example:
  kubectl kafka-backup offsets snapshots")]
    Snapshots(SnapshotFlags),
}

/// Flags of `offsets reset`.
#[derive(Debug, Args)]
pub struct Reset {
    /// Name of the new KafkaOffsetReset
    name: String,
    /// A consumer group by its id; may be repeated
    #[arg(long, value_name = "GROUP", required = true)]
    groups: Vec<String>,
    /// earliest, latest, an offset, or a time
    #[arg(long, value_name = "TO", value_parser = to, required_unless_present_any = ["from_restore", "mapping", "mapping_pvc"])]
    to: Option<To>,
    /// Where this KafkaRestore put the records that the groups would have read next
    #[arg(long, value_name = "NAME", conflicts_with = "to")]
    from_restore: Option<String>,
    /// Where this offset mapping says that they are: its path in the storage of the restore, else of the backup, or in --mapping-pvc
    #[arg(long, value_name = "PATH", conflicts_with = "to")]
    mapping: Option<String>,
    /// PersistentVolumeClaim with the offset mapping; offset-mapping.json in it, or --mapping
    #[arg(long, value_name = "CLAIM", conflicts_with_all = ["to", "from_restore"])]
    mapping_pvc: Option<String>,
    /// Groups that are worked on at once
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    parallelism: Option<u32>,
    /// Topics by name: only their offsets are set; all when absent
    #[arg(long, value_delimiter = ',')]
    topics: Vec<String>,
    /// KafkaBackup whose cluster and storage are used: offsets are saved beside its archive
    #[arg(long, value_name = "NAME")]
    backup: Option<String>,
    /// Set the offsets of the other groups where those of one cannot be set
    #[arg(long)]
    continue_on_error: bool,
    /// Show where each partition would go, and write nothing to Kafka
    #[arg(long)]
    plan: bool,
    /// Do not ask first
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    write: Write,
    #[command(flatten)]
    wait: Wait,
}

/// Flags of `offsets rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// Name of the new KafkaOffsetRollback
    name: String,
    /// What is put back
    #[command(flatten)]
    saved: WhatSaved,
    /// Where --path lies
    // What is required is not looked for where it would conflict.
    #[arg(long, value_name = "CLAIM", requires = "path", conflicts_with_all = ["restore", "reset", "snapshot"])]
    pvc: Option<String>,
    /// KafkaBackup whose cluster and storage are used, with --snapshot or --path
    #[arg(long, value_name = "NAME", conflicts_with_all = ["restore", "reset"])]
    backup: Option<String>,
    /// A consumer group by its id; may be repeated; all that were saved when absent
    #[arg(long, value_name = "GROUP")]
    groups: Vec<String>,
    /// Show where each partition would go, and write nothing to Kafka
    #[arg(long)]
    plan: bool,
    /// Do not ask first
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    kafka: Kafka,
    #[command(flatten)]
    write: Write,
    #[command(flatten)]
    wait: Wait,
}

/// Which saved offsets are put back.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct WhatSaved {
    /// KafkaRestore that saved the offsets
    #[arg(long, value_name = "NAME")]
    restore: Option<String>,
    /// KafkaOffsetReset that saved the offsets
    #[arg(long, value_name = "NAME")]
    reset: Option<String>,
    /// Saved offsets by the ID that `offsets snapshots` lists
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// Saved offsets by their path in the storage of --backup, else of the installation, or in --pvc
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
}

/// Flags of `offsets snapshots`.
#[derive(Debug, Args)]
pub struct SnapshotFlags {
    /// Only what restores and resets with these labels saved: `team=shop`, `tier!=test`
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Where offsets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Earliest,
    Latest,
    Offset(i64),
    Time(i64),
}

/// A number of more than 12 digits is milliseconds since 1970, as no log is that long; a shorter one is an offset.
fn to(text: &str) -> Result<To, String> {
    match text {
        "earliest" => Ok(To::Earliest),
        "latest" => Ok(To::Latest),
        number if number.len() <= 12 && number.bytes().all(|byte| byte.is_ascii_digit()) && !number.is_empty() => {
            number.parse().map(To::Offset).map_err(|error| error.to_string())
        }
        time => contract::stamp::parse_millis(time).map(To::Time).map_err(|_| {
            "must be earliest, latest, an offset such as 1500, or a time such as 2026-01-31T08:00:00Z".to_owned()
        }),
    }
}

/// Sets, puts back or lists.
pub(crate) async fn offsets(command: Command, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match command {
        Command::Reset(options) => reset(*options, connection, screen).await,
        Command::Rollback(options) => rollback(*options, connection, screen).await,
        Command::Snapshots(options) => snapshots(&options, &Cluster::connect(connection).await?, screen).await,
    }
}

async fn reset(options: Reset, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let alone = options.write.dry_run == DryRun::Client && options.backup.is_none();
    let cluster = if alone { None } else { Some(Cluster::connect(connection).await?) };
    let backup: Option<KafkaBackup> = match (&options.backup, &cluster) {
        (Some(name), Some(cluster)) => Some(cluster.get(name).await?),
        _ => None,
    };
    let kafka = match (options.kafka.block(), &backup) {
        (Some(block), _) => block,
        (None, Some(backup)) => print::value(&backup.spec.kafka_cluster)?,
        (None, None) => {
            return Err(Error::usage("--bootstrap-servers is missing", "name the cluster, or a --backup of it"));
        }
    };
    let mut spec =
        Map::from_iter([("kafkaCluster".to_owned(), kafka), ("consumerGroups".to_owned(), json!(options.groups))]);
    match (options.to, mapping_ref(&options)) {
        (Some(to), _) => spec.extend(strategy(to)),
        (None, mapping) if !mapping.is_empty() => {
            spec.insert("resetStrategy".to_owned(), "from-mapping".into());
            spec.insert("offsetMappingRef".to_owned(), Value::Object(mapping));
        }
        (None, _) => {
            return Err(Error::usage("--to, --from-restore or --mapping is missing", "say where the groups go"));
        }
    }
    if let Some(parallelism) = options.parallelism {
        spec.insert("parallelism".to_owned(), parallelism.into());
    }
    if let Some(backup) = &backup {
        spec.insert("stateStorage".to_owned(), print::value(&backup.spec.storage)?);
    }
    if !options.topics.is_empty() {
        spec.insert("topics".to_owned(), json!(options.topics));
    }
    for (name, flag) in [("continueOnError", options.continue_on_error), ("dryRun", options.plan)] {
        if flag {
            spec.insert(name.to_owned(), true.into());
        }
    }
    if !options.plan && options.write.dry_run == DryRun::None {
        let groups = words::plural(options.groups.len() as u64, "consumer group");
        confirm(&format!("this sets the committed offsets of {groups}"), options.yes, screen)?;
    }
    let document = of_kind("KafkaOffsetReset", &options.name, spec);
    let created = write::create::<KafkaOffsetReset>(cluster.as_ref(), document, &options.write, screen).await?;
    match &cluster {
        Some(cluster) if created && options.wait.wait => {
            let ended = wait(cluster, &options.name, options.wait.timeout, screen, reset_progress).await?;
            let made: KafkaOffsetReset = cluster.get(&options.name).await?;
            tell(made.status.and_then(|status| status.plan), screen)?;
            Ok(ended)
        }
        _ => Ok(Exit::Done),
    }
}

/// Where the offset mapping lies that is named.
fn mapping_ref(options: &Reset) -> Map<String, Value> {
    let fields =
        [("restoreName", &options.from_restore), ("path", &options.mapping), ("pvcName", &options.mapping_pvc)];
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))).collect()
}

/// The fields that say where offsets go.
fn strategy(to: To) -> Vec<(String, Value)> {
    let (name, more) = match to {
        To::Earliest => ("to-earliest", None),
        To::Latest => ("to-latest", None),
        To::Offset(offset) => ("to-offset", Some(("resetOffset", offset))),
        To::Time(millis) => ("to-timestamp", Some(("resetTimestamp", millis))),
    };
    let more = more.map(|(field, number)| (field.to_owned(), number.into()));
    std::iter::once(("resetStrategy".to_owned(), name.into())).chain(more).collect()
}

async fn rollback(options: Rollback, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let cluster = Cluster::connect(connection).await?;
    let mut spec = what_is_put_back(&options, &cluster).await?;
    if !options.groups.is_empty() {
        spec.insert("consumerGroups".to_owned(), json!(options.groups));
    }
    if options.plan {
        spec.insert("dryRun".to_owned(), true.into());
    } else if options.write.dry_run == DryRun::None {
        confirm("this puts back committed offsets of consumer groups", options.yes, screen)?;
    }
    let document = of_kind("KafkaOffsetRollback", &options.name, spec);
    let created = write::create::<KafkaOffsetRollback>(Some(&cluster), document, &options.write, screen).await?;
    if !created || !options.wait.wait {
        return Ok(Exit::Done);
    }
    let ended = wait(&cluster, &options.name, options.wait.timeout, screen, rollback_progress).await?;
    let made: KafkaOffsetRollback = cluster.get(&options.name).await?;
    tell(made.status.and_then(|status| status.plan), screen)?;
    Ok(ended)
}

/// The fields that say which saved offsets are put back, and in which cluster.
async fn what_is_put_back(options: &Rollback, cluster: &Cluster) -> Result<Map<String, Value>, Error> {
    let WhatSaved { restore, reset, snapshot, path } = &options.saved;
    if options.kafka.block().is_some() && (restore.is_some() || reset.is_some()) {
        let what = "--bootstrap-servers does not go with --restore or --reset";
        return Err(Error::usage(what, "the cluster is that of the resource that saved the offsets"));
    }
    let by = match snapshot {
        Some(id) if options.backup.is_none() && options.kafka.block().is_none() => Some(saved_by(cluster, id).await?),
        _ => None,
    };
    // The cluster of the groups is that of the resource that saved them.
    let of_resource =
        |kafka, reference| Map::from_iter([("kafkaCluster".to_owned(), kafka), ("snapshotRef".to_owned(), reference)]);
    let (restore, reset) = match by {
        Some(By::Restore(name)) => (Some(name), None),
        Some(By::Reset(name)) => (None, Some(name)),
        None => (restore.clone(), reset.clone()),
    };
    match (restore, reset) {
        (Some(name), _) => {
            let found: KafkaRestore = cluster.get(&name).await?;
            Ok(of_resource(print::value(&found.spec.kafka_cluster)?, json!({"name": "", "restoreRef": name})))
        }
        (None, Some(name)) => {
            let found: KafkaOffsetReset = cluster.get(&name).await?;
            Ok(of_resource(print::value(&found.spec.kafka_cluster)?, json!({"name": "", "offsetResetRef": name})))
        }
        (None, None) => {
            let mut reference = Map::from_iter([("name".to_owned(), snapshot.clone().unwrap_or_default().into())]);
            for (name, value) in [("path", path), ("pvcName", &options.pvc)] {
                reference.extend(value.clone().map(|value| (name.to_owned(), value.into())));
            }
            by_place(options, cluster, Value::Object(reference)).await
        }
    }
}

/// Saved offsets that are named by where they lie: somebody has to say whose they are.
async fn by_place(options: &Rollback, cluster: &Cluster, reference: Value) -> Result<Map<String, Value>, Error> {
    let backup: Option<KafkaBackup> = match &options.backup {
        Some(name) => Some(cluster.get(name).await?),
        None => None,
    };
    let kafka = match (options.kafka.block(), &backup) {
        (Some(block), _) => block,
        (None, Some(backup)) => print::value(&backup.spec.kafka_cluster)?,
        (None, None) => {
            return Err(Error::usage("--bootstrap-servers is missing", "name the cluster, or a --backup of it"));
        }
    };
    let mut spec = Map::from_iter([("kafkaCluster".to_owned(), kafka), ("snapshotRef".to_owned(), reference)]);
    // In a volume that is named, the state of the run is beside the file.
    if let Some(backup) = backup.filter(|_| options.pvc.is_none()) {
        spec.insert("stateStorage".to_owned(), print::value(&backup.spec.storage)?);
    }
    Ok(spec)
}

/// What saved offsets.
enum By {
    Restore(String),
    Reset(String),
}

/// Who saved the offsets with this name, as the statuses of the namespace tell.
async fn saved_by(cluster: &Cluster, id: &str) -> Result<By, Error> {
    let restores = cluster.list::<KafkaRestore>(None).await?;
    let is_it = |saved: Option<Saved>| saved.is_some_and(|saved| saved.id == id);
    if let Some(restore) = restores.iter().find(|restore| is_it(of_restore(restore))) {
        return Ok(By::Restore(restore.name_any()));
    }
    let resets = cluster.list::<KafkaOffsetReset>(None).await?;
    let reset = resets.iter().find(|reset| is_it(of_reset(reset)));
    reset.map(|reset| By::Reset(reset.name_any())).ok_or_else(|| {
        let what = format!("no restore or reset of this namespace has saved offsets {id:?} that can be put back");
        Error::usage(
            what,
            "`kubectl kafka-backup offsets snapshots` lists them; with --backup the storage of that backup is searched",
        )
    })
}

/// Prints a plan.
fn tell(plan: Option<String>, screen: &mut Screen) -> Result<(), Error> {
    match plan {
        Some(plan) => screen.text(&format!("{}\n", words::safe_lines(&plan))),
        None => Ok(()),
    }
}

fn reset_progress(object: &KafkaOffsetReset) -> Progress {
    let status: KafkaOffsetResetStatus = object.status.clone().unwrap_or_default();
    progress(status.phase.as_deref(), status.message)
}

fn rollback_progress(object: &KafkaOffsetRollback) -> Progress {
    let status = object.status.clone().unwrap_or_default();
    progress(status.phase.as_deref(), status.message)
}

fn progress(phase: Option<&str>, message: Option<String>) -> Progress {
    let message = message.unwrap_or_else(|| "waiting for the operator".to_owned());
    match phase {
        Some("Completed") => Progress::Over(true, message),
        Some("Failed" | "PartiallyCompleted") => Progress::Over(false, message),
        _ => Progress::Going(message),
    }
}

/// Saved offsets, as a status tells of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Saved {
    id: String,
    /// The kind and the name of what saved them.
    by: String,
    at: Option<String>,
    expires_at: Option<String>,
    path: Option<String>,
}

async fn snapshots(options: &SnapshotFlags, cluster: &Cluster, screen: &mut Screen) -> Result<Exit, Error> {
    let labels = options.selector.as_deref();
    let restores = cluster.list::<KafkaRestore>(labels).await?;
    let resets = cluster.list::<KafkaOffsetReset>(labels).await?;
    let mut all: Vec<Saved> =
        restores.iter().filter_map(of_restore).chain(resets.iter().filter_map(of_reset)).collect();
    all.sort_by(|a, b| b.id.cmp(&a.id));
    match options.output {
        Output::Table | Output::Wide => {}
        Output::Name => {
            print::names(all.into_iter().map(|saved| saved.id), screen)?;
            return Ok(Exit::Done);
        }
        form => {
            print::list("SavedOffsetsList", &all, form, screen)?;
            return Ok(Exit::Done);
        }
    }
    if all.is_empty() {
        screen.say("no restore or reset of this namespace has saved offsets");
        return Ok(Exit::Done);
    }
    let rows: Vec<_> = all
        .into_iter()
        .map(|saved| {
            let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
            vec![
                saved.id.into(),
                saved.by.into(),
                or_dash(saved.at).into(),
                or_dash(saved.expires_at).into(),
                or_dash(saved.path).into(),
            ]
        })
        .collect();
    let text = table(&["ID", "SAVED BY", "TAKEN", "KEPT UNTIL", "PLACE"], &rows, &screen.style);
    screen.text(&text)?;
    Ok(Exit::Done)
}

fn of_restore(object: &KafkaRestore) -> Option<Saved> {
    let saved = object.status.as_ref()?.rollback.as_ref().filter(|saved| saved.rollback_available != Some(false))?;
    Some(Saved {
        id: saved.snapshot_id.clone()?,
        by: format!("kafkarestore/{}", object.name_any()),
        at: saved.snapshot_time.clone(),
        expires_at: saved.expires_at.clone(),
        path: saved.snapshot_path.clone(),
    })
}

fn of_reset(object: &KafkaOffsetReset) -> Option<Saved> {
    let status = object.status.as_ref()?;
    Some(Saved {
        id: status.snapshot_id.clone()?,
        by: format!("kafkaoffsetreset/{}", object.name_any()),
        at: status.start_time.clone(),
        expires_at: None,
        path: status.snapshot_path.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_offsets_go_is_read_from_one_word() {
        for (text, expected) in [
            ("earliest", To::Earliest),
            ("latest", To::Latest),
            ("0", To::Offset(0)),
            ("1500", To::Offset(1_500)),
            ("1750000000000", To::Time(1_750_000_000_000)),
            ("2026-01-31T08:00:00Z", To::Time(1_769_846_400_000)),
        ] {
            assert_eq!(to(text), Ok(expected), "{text}");
        }
        for wrong in ["", "-1", "yesterday", "5s"] {
            assert!(to(wrong).is_err(), "{wrong}");
        }
        assert_eq!(strategy(To::Offset(7))[1], ("resetOffset".to_owned(), 7.into()));
        assert_eq!(strategy(To::Latest), [("resetStrategy".to_owned(), "to-latest".into())]);
    }

    /// A group id may have any characters.
    #[test]
    fn a_group_with_a_comma_is_one_group() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(subcommand)]
            command: Command,
        }
        let groups = |words: &[&str]| match <Line as clap::Parser>::try_parse_from(words).unwrap().command {
            Command::Reset(reset) => reset.groups,
            Command::Rollback(rollback) => rollback.groups,
            Command::Snapshots(_) => Vec::new(),
        };
        let reset = groups(&["offsets", "reset", "x", "--to", "latest", "--groups", "shop,eu", "--groups", "billing"]);
        assert_eq!(reset, ["shop,eu", "billing"]);
        assert_eq!(groups(&["offsets", "rollback", "x", "--restore", "r", "--groups", "shop,eu"]), ["shop,eu"]);
    }

    #[test]
    fn saved_offsets_and_mappings_are_named_in_one_way() {
        #[derive(Debug, clap::Parser)]
        struct Line {
            #[command(subcommand)]
            command: Command,
        }
        let is_read = |words: &str| {
            let words = ["offsets"].into_iter().chain(words.split_whitespace());
            <Line as clap::Parser>::try_parse_from(words).is_ok()
        };
        for right in [
            "rollback x --restore r",
            "rollback x --reset r",
            "rollback x --snapshot s",
            "rollback x --snapshot s --backup b",
            "rollback x --path p --pvc c --bootstrap-servers k:1",
            "reset x --groups g --mapping p --parallelism 7",
            "reset x --groups g --mapping-pvc c",
            "reset x --groups g --from-restore r --mapping p",
        ] {
            assert!(is_read(right), "{right}");
        }
        for wrong in [
            "rollback x",
            "rollback x --restore r --reset s",
            "rollback x --snapshot s --path p",
            "rollback x --pvc c",
            "rollback x --snapshot s --pvc c",
            "rollback x --restore r --backup b",
            "reset x --groups g",
            "reset x --groups g --to latest --mapping p",
            "reset x --groups g --from-restore r --mapping-pvc c",
            "reset x --groups g --to latest --parallelism 0",
        ] {
            assert!(!is_read(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_reset_that_did_a_part_has_not_ended_well() {
        assert!(matches!(progress(Some("PartiallyCompleted"), None), Progress::Over(false, _)));
        assert!(matches!(progress(Some("Completed"), None), Progress::Over(true, _)));
        assert!(matches!(progress(Some("Running"), None), Progress::Going(_)));
    }
}
