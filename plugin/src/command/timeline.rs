//! `timeline`: which moments can be restored.

use api::oso::KafkaBackup;
use api::promise::Promise;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use crate::cluster::Connection;
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::show;
use crate::steps::points::{Points, Wanted, with_points};
use crate::steps::print;
use crate::steps::watch::{Watch, pause, watch};
use crate::view::coverage::{Coverage, Recall};
use crate::view::listing::Backup;

/// Flags of `timeline`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup timeline                                  the last 14 days of all backups
  kubectl kafka-backup timeline nightly --since 90d
  kubectl kafka-backup timeline nightly -w                       again when a point was made
  kubectl kafka-backup timeline nightly --at 2026-11-19T08:00:00Z   what a restore to that moment gives

Exit code 1: something of a backup is damaged; with --at: nothing can be restored, or the moment lies
before the first point.")]
pub struct TimelineFlags {
    /// Backup; all when absent
    name: Option<String>,
    /// How far back: 36h, 14d, 8w, or an RFC 3339 time
    #[arg(long, default_value = "14d")]
    since: String,
    /// What a restore to this moment would give: RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = contract::stamp::parse_millis)]
    at: Option<i64>,
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

/// Shows a picture of time.
pub(crate) async fn timeline(
    options: TimelineFlags,
    connection: &Connection,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    let since = since(&options.since, screen.style.now)?;
    let at = options.at.map(Timestamp::from_millisecond).transpose();
    let at = at.map_err(|_| Error::usage("--at is not a time", "write 2026-11-19T08:00:00Z"))?;
    let wanted = Wanted {
        name: options.name.clone(),
        // A moment may lie before the picture.
        since: at.is_none().then_some(since),
        at,
        fresh: options.fresh || options.watch.watch,
    };
    let read = async |points: &Points<'_>, screen: &mut Screen| {
        let look = async |_| {
            let covered = |backup: Backup| {
                let promised = promised(&points.resources, &backup);
                Coverage::of(backup, promised)
            };
            Ok(points.list().await?.into_iter().map(covered).collect::<Vec<_>>())
        };
        let mut exit = Exit::Done;
        let draw = |coverages: &Vec<Coverage>, screen: &mut Screen| {
            if let Some(at) = at {
                exit = recall(coverages, at, options.output, screen)?;
            } else {
                let sound = coverages.iter().all(|coverage| coverage.problems.is_empty());
                exit = if sound { Exit::Done } else { Exit::No };
                draw(coverages, since, options.output, screen)?;
            }
            Ok(())
        };
        watch(options.watch, screen, look, pause, draw).await?;
        points.remark(options.output, screen);
        Ok(exit)
    };
    with_points(&options.from, connection, wanted, screen, read).await
}

/// ReadFrom when on the next point of a backup is late, as the schedule of its resource promises.
fn promised(resources: &[KafkaBackup], backup: &Backup) -> Option<Timestamp> {
    let is_it = |resource: &&KafkaBackup| {
        resource.name_any() == backup.name && resource.namespace().as_deref() == Some(&backup.namespace)
    };
    resources.iter().find(is_it).and_then(Promise::of).map(|promise| promise.late)
}

fn draw(coverages: &[Coverage], since: Timestamp, output: Output, screen: &mut Screen) -> Result<(), Error> {
    match output {
        Output::Table | Output::Wide if coverages.is_empty() => {
            screen.say("no backup yet");
            Ok(())
        }
        Output::Table | Output::Wide => screen.text(&show::timeline::timeline(coverages, since, &screen.style.clone())),
        Output::Name => print::names(coverages.iter().map(|coverage| coverage.name.clone()), screen),
        output => print::list("Timeline", coverages, output, screen),
    }
}

fn recall(coverages: &[Coverage], at: Timestamp, output: Output, screen: &mut Screen) -> Result<Exit, Error> {
    let recalls: Vec<Recall> = coverages.iter().filter_map(|coverage| coverage.recall(at)).collect();
    match output {
        Output::Table | Output::Wide => {
            for found in &recalls {
                let text = show::timeline::recall(found, &screen.style);
                screen.text(&text)?;
            }
        }
        Output::Name => print::names(recalls.iter().map(|found| found.point.clone()), screen)?,
        output => print::list("Recall", &recalls, output, screen)?,
    }
    if recalls.is_empty() {
        screen.say("nothing can be restored: there is no point yet");
        return Ok(Exit::No);
    }
    Ok(if recalls.iter().all(|found| found.lost_seconds.is_none()) { Exit::No } else { Exit::Done })
}

/// A time, or a distance from now.
fn since(text: &str, now: Timestamp) -> Result<Timestamp, Error> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let wrong = || {
        Error::usage(
            format!("--since `{text}` is neither a distance nor a time"),
            "write 36h, 14d, 8w, or 2026-11-01T00:00:00Z",
        )
    };
    let unit = text.chars().last().ok_or_else(wrong)?;
    let seconds = match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return Err(wrong()),
    };
    let count: i64 = text.get(..text.len() - 1).and_then(|count| count.parse().ok()).ok_or_else(wrong)?;
    let distance = count.checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    now.checked_sub(SignedDuration::from_secs(distance)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_and_times_are_read() {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let read = |text: &str| since(text, now).map(|at| at.to_string());
        assert_eq!(read("36h").unwrap(), "2026-11-21T00:00:00Z");
        assert_eq!(read("2w").unwrap(), "2026-11-08T12:00:00Z");
        assert_eq!(read("2026-11-01T00:00:00Z").unwrap(), "2026-11-01T00:00:00Z");
        for wrong in ["", "d", "5", "-1d", "5y", "99999999999999999w", "ä"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
