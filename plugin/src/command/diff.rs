//! `diff`: how two recovery points differ.

use api::inspection::InspectionLevel;
use clap::Args;
use contract::stamp::split_point;
use contract::{Code, Failure};
use inspect::{Answer, PointDetail, Question};

use crate::cluster::Connection;
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::show;
use crate::source::Source;
use crate::steps::points::{detail, listed};
use crate::steps::{newest, print, with_level, with_source};
use crate::view::difference::Difference;
use crate::view::listing::Backup;
use crate::view::live::{LiveDifference, is_contradiction};

/// Flags of `diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
The earlier point is the one before, in whichever order they are named. RECORDS ADDED and RECORDS
GONE are how many records a partition holds more or less. What a topic's retention deleted in the
source counts as an ordinary change.

Examples:
  kubectl kafka-backup diff nightly                              the newest point and the one before it
  kubectl kafka-backup diff nightly-20261120-020000              that point and the one before it
  kubectl kafka-backup diff nightly-20261113-020000 nightly-20261120-020000 -o wide
  kubectl kafka-backup diff nightly --store s3://backups/kafka   without a cluster
  kubectl kafka-backup diff nightly --live --topic orders        the newest point and the source now

With --live, a pod reads the archive and the brokers side by side, with the Secrets and network of
the KafkaBackup, and compares each batch by its first offset and checksum: the columns count
batches. EXPIRED are those that retention removed in the source, COMPACTED those that its cleaner
removed or made smaller, NEWER counts offsets behind the end of the point.

Exit code 1: something of the earlier point is gone or is another in the later one: a topic, a
partition, the end of a partition, or offsets. With --live: the source lost or changed something
that the point holds, or has records below the end of the point that the point does not have.")]
pub struct DiffFlags {
    /// POINT, or a backup: then its newest; `latest` is the newest of all
    point: String,
    /// Another point of the same backup; when absent, the one before POINT
    #[arg(value_name = "POINT")]
    other: Option<String>,
    /// Compare POINT with what its source holds now
    #[arg(long, conflicts_with_all = ["other", "store"])]
    live: bool,
    /// With --live, a topic: its name, a glob, or a regular expression after ~; may be repeated; all when absent
    #[arg(long = "topic", value_name = "TOPIC", requires = "live")]
    topics: Vec<String>,
    #[command(flatten)]
    from: ReadFrom,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Compares two points.
pub(crate) async fn diff(options: DiffFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let name = newest(&options.point);
    if options.live {
        return with_source_now(&options, name, connection, screen).await;
    }
    let read = async |source: &Source, _: &mut Screen| {
        let one = detail(source, name).await?;
        let other = match &options.other {
            Some(other) => newest(other).to_owned(),
            None => before(source, &one).await?,
        };
        Ok(Difference::of(&one, &detail(source, &other).await?))
    };
    let found = with_source(&options.from, connection, name, false, screen, read).await?;
    match options.output {
        Output::Table | Output::Wide => {
            let text = show::difference::difference(&found, options.output == Output::Wide, &screen.style);
            screen.text(&text)?;
        }
        Output::Name => print::names(found.topics.iter().map(|topic| topic.topic.clone()), screen)?,
        Output::Jsonl => found.topics.iter().try_for_each(|topic| print::raw(topic, options.output, screen))?,
        output => print::document("RecoveryPointDifference", &found, output, screen)?,
    }
    Ok(if found.has_losses { Exit::No } else { Exit::Done })
}

/// Compares a point with its source.
async fn with_source_now(
    options: &DiffFlags,
    name: &str,
    connection: &Connection,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    let question = Question::Live { name: name.to_owned(), include: options.topics.clone() };
    let read = async |source: &Source, _: &mut Screen| {
        let (mut answers, mut head, mut topics) = (source.ask(question), None, Vec::new());
        while let Some(answer) = answers.next().await? {
            match answer {
                Answer::Live(found) => head = Some(found),
                Answer::LiveTopic(topic) => topics.push(topic),
                _ => return Err(Error::unexpected("the source")),
            }
        }
        let head = head.ok_or_else(|| Error::Archive(Failure::new(Code::Internal, "no answer about the source")))?;
        Ok(LiveDifference::of(head, topics))
    };
    let found = with_level(&options.from, connection, name, InspectionLevel::Diff, screen, read).await?;
    match options.output {
        Output::Table | Output::Wide => {
            let text = show::live::live(&found, options.output == Output::Wide, &screen.style);
            screen.text(&text)?;
        }
        Output::Name => {
            let differ = found.topics.iter().filter(|topic| is_contradiction(topic));
            print::names(differ.map(|topic| topic.name.clone()), screen)?;
        }
        Output::Jsonl => found.topics.iter().try_for_each(|topic| print::raw(topic, options.output, screen))?,
        output => print::document("SourceDifference", &found, output, screen)?,
    }
    Ok(match (found.contradicts, found.incomplete) {
        (true, _) => Exit::No,
        (false, true) => Exit::Unknown,
        (false, false) => Exit::Done,
    })
}

/// The point before this one, of the same backup.
async fn before(source: &Source, point: &PointDetail) -> Result<String, Error> {
    let base = split_point(&point.name).map_or(point.name.as_str(), |(base, _)| base);
    let backups = listed(source, Some(base.to_owned()), None).await?;
    previous(&backups, &point.name).ok_or_else(|| {
        let text = format!("{} is the oldest recovery point of {base}: there is none before it", point.name);
        Error::Archive(Failure::new(Code::NoSuchPoint, text))
    })
}

/// The name of the point before the one of that name, in its backup.
fn previous(backups: &[Backup], name: &str) -> Option<String> {
    backups.iter().find_map(|backup| {
        let place = backup.points.iter().position(|point| point.name == name)?;
        backup.points.get(place.checked_sub(1)?).map(|point| point.name.clone())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::backup;

    #[test]
    fn the_point_before_is_of_the_same_backup() {
        let all = [backup("hourly", &[18]), backup("nightly", &[17, 19, 20])];
        let of = |name: &str| previous(&all, name);
        assert_eq!(of("nightly-20261120-020000").as_deref(), Some("nightly-20261119-020000"));
        assert_eq!(of("nightly-20261117-020000"), None);
        assert_eq!(of("hourly-20261118-020000"), None);
        assert_eq!(of("weekly-20261118-020000"), None);
    }
}
