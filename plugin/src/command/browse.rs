//! `browse`: recovery points, and what one holds.

use clap::Args;
use inspect::PointDetail;

use crate::cluster::Connection;
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::show;
use crate::source::Source;
use crate::steps::points::{Points, Wanted, detail, with_points};
use crate::steps::watch::{Watch, pause, watch};
use crate::steps::{newest, print, with_source};
use crate::view::listing::Backup;

/// Flags of `browse`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup browse                                    every recovery point
  kubectl kafka-backup browse nightly                            the points of one backup
  kubectl kafka-backup browse nightly -w                         again when a point was made
  kubectl kafka-backup browse nightly-20261120-020000            topics of a point
  kubectl kafka-backup browse nightly-20261120-020000/orders     partitions and configs of a topic
  kubectl kafka-backup browse nightly-20261120-020000 --groups   positions of consumer groups
  kubectl kafka-backup browse --store s3://backups/kafka         without a cluster")]
pub struct BrowseFlags {
    /// BACKUP, POINT, POINT/TOPIC or POINT/TOPIC/PARTITION; `latest` as POINT is the newest of all
    place: Option<String>,
    /// Show the positions of consumer groups
    #[arg(long)]
    groups: bool,
    /// Read the archive, though the status of the KafkaBackup tells of all these points
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    watch: Watch,
    #[command(flatten)]
    from: ReadFrom,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Shows points, or what one holds.
pub(crate) async fn browse(options: BrowseFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let place = options.place.as_deref().unwrap_or_default();
    let mut parts = place.splitn(3, '/');
    let (name, topic, partition) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let is_point =
        topic.is_some() || options.groups || name == "latest" || contract::stamp::split_point(name).is_some();
    if is_point {
        let name = newest(name);
        let read = async |source: &Source, screen: &mut Screen| {
            let draw = |detail: &PointDetail, screen: &mut Screen| look(detail, topic, partition, &options, screen);
            watch(options.watch, screen, async |_| detail(source, name).await, pause, draw).await
        };
        with_source(&options.from, connection, name, false, screen, read).await?;
    } else {
        let wanted = Wanted {
            name: (!name.is_empty()).then(|| name.to_owned()),
            fresh: options.fresh || options.watch.watch,
            ..Wanted::default()
        };
        let read = async |points: &Points<'_>, screen: &mut Screen| {
            let mut exit = Exit::Done;
            let draw = |backups: &Vec<Backup>, screen: &mut Screen| {
                let sound = backups.iter().all(|backup| backup.problems.is_empty());
                exit = if sound { Exit::Done } else { Exit::No };
                list(backups, options.output, screen)
            };
            watch(options.watch, screen, async |_| points.list().await, pause, draw).await?;
            points.remark(options.output, screen);
            Ok(exit)
        };
        return with_points(&options.from, connection, wanted, screen, read).await;
    }
    Ok(Exit::Done)
}

fn list(backups: &[Backup], output: Output, screen: &mut Screen) -> Result<(), Error> {
    match output {
        Output::Table | Output::Wide => {
            if backups.is_empty() {
                screen.say("no backup yet");
                return Ok(());
            }
            let text = show::points::points(backups, output == Output::Wide, &screen.style);
            screen.text(&text)?;
            for problem in backups.iter().flat_map(|backup| &backup.problems) {
                screen.say(&format!("damaged: {}", crate::words::safe(problem)));
            }
            Ok(())
        }
        Output::Name => {
            let points = backups.iter().flat_map(|backup| backup.points.iter().rev());
            print::names(points.map(|point| point.name.clone()), screen)
        }
        output => print::list("RecoveryPointList", backups, output, screen),
    }
}

fn look(
    detail: &PointDetail,
    topic: Option<&str>,
    partition: Option<&str>,
    options: &BrowseFlags,
    screen: &mut Screen,
) -> Result<(), Error> {
    if !matches!(options.output, Output::Table | Output::Wide) {
        return document(detail, topic, options, screen);
    }
    let style = screen.style.clone();
    if options.groups {
        let Some(groups) = &detail.groups else {
            screen.say("this recovery point was made without consumerGroupSnapshot: it knows no groups");
            return Ok(());
        };
        return screen.text(&show::detail::groups(groups, &style));
    }
    let Some(wanted) = topic else { return screen.text(&show::detail::point(detail, &style)) };
    let partition = partition.map(str::parse::<i32>).transpose();
    let partition = partition.map_err(|_| Error::usage("PARTITION is not a number", "write POINT/TOPIC/PARTITION"))?;
    let found: Vec<_> = detail.topics.iter().filter(|topic| topic.name == wanted || topic.id == wanted).collect();
    if found.is_empty() {
        return Err(unknown_topic(detail, wanted));
    }
    found.into_iter().try_for_each(|topic| screen.text(&show::detail::topic(detail, topic, partition, &style)))
}

fn document(
    detail: &PointDetail,
    topic: Option<&str>,
    options: &BrowseFlags,
    screen: &mut Screen,
) -> Result<(), Error> {
    let mut shown = detail.clone();
    if let Some(wanted) = topic {
        shown.topics.retain(|topic| topic.name == wanted || topic.id == wanted);
        if shown.topics.is_empty() {
            return Err(unknown_topic(detail, wanted));
        }
    }
    match options.output {
        Output::Name => print::names(shown.topics.into_iter().map(|topic| topic.name), screen),
        Output::Jsonl => shown.topics.iter().try_for_each(|topic| print::raw(topic, options.output, screen)),
        output => print::document("RecoveryPoint", &shown, output, screen),
    }
}

fn unknown_topic(detail: &PointDetail, wanted: &str) -> Error {
    let names: Vec<&str> = detail.topics.iter().map(|topic| topic.name.as_str()).collect();
    let hint =
        crate::near::hint(wanted, &names).unwrap_or_else(|| format!("`browse {}` lists its topics", detail.name));
    Error::usage(format!("recovery point {} has no topic `{wanted}`", detail.name), hint)
}
