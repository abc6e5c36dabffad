//! `groups`: where consumer groups stood at a recovery point, and where they stand now.

use api::inspection::InspectionLevel;
use clap::Args;
use contract::stamp::{parse_millis, split_point};
use contract::{Code, Failure};
use inspect::{Answer, Group, PointGroups, Question};
use jiff::Timestamp;

use crate::cluster::Connection;
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::show;
use crate::source::Source;
use crate::steps::points::listed;
use crate::steps::{newest, print, with_level};
use crate::view::groups::{Live, Positions};

/// Flags of `groups`.
#[derive(Debug, Args)]
#[command(after_help = "\
LOG END is where the log ended when the point was made, LAG what was left to read then. With
--live, a pod asks the brokers of the KafkaBackup, with its Secrets and network: NOW is the offset
that the group has committed now, BETWEEN the records from one to the other. `<=N` are N offsets
of which some may be no records: compacted, markers of transactions, or behind what is archived.
Of a share group, offsets are where it starts.

Examples:
  kubectl kafka-backup groups nightly                            groups of the newest point
  kubectl kafka-backup groups nightly-20261120-020000 --group shop --group 'billing-*'
  kubectl kafka-backup groups nightly --at 2026-11-20T12:00:00Z  of the newest point up to then
  kubectl kafka-backup groups nightly --live                     beside where they stand now
  kubectl kafka-backup groups nightly --store s3://backups/kafka   without a cluster

Exit code 1: the point knows no groups, since it was made without consumerGroupSnapshot.")]
pub struct GroupsFlags {
    /// POINT, or a backup: then its newest; `latest` is the newest of all
    name: String,
    /// Recovery point of that backup; with a time, the newest that is not after it
    #[arg(long, value_name = "POINT|TIME")]
    at: Option<String>,
    /// A consumer group: its id, a glob, or a regular expression after ~; may be repeated; all when absent
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Ask the brokers where the groups stand now, too
    #[arg(long, conflicts_with = "store")]
    live: bool,
    #[command(flatten)]
    from: ReadFrom,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Shows where groups stand.
pub(crate) async fn groups(options: GroupsFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let name = newest(&options.name);
    let at = options.at.as_deref().map(|at| at_of(name, at)).transpose()?;
    let level = if options.live { InspectionLevel::Compare } else { InspectionLevel::Inspect };
    let read = async |source: &Source, _: &mut Screen| {
        let point = match at {
            None => name.to_owned(),
            Some(At::Point(point)) => point,
            Some(At::Time(millis)) => point_at(source, name, millis).await?,
        };
        let (head, groups) = then(source, point, &options.groups).await?;
        let live = if options.live && head.has_groups { Some(now(source, name, &options.groups).await?) } else { None };
        Ok(Positions::of(head, groups, live))
    };
    let found = with_level(&options.from, connection, name, level, screen, read).await?;
    tell(&found, options.output, screen)?;
    Ok(if found.has_groups { Exit::Done } else { Exit::No })
}

fn tell(found: &Positions, output: Output, screen: &mut Screen) -> Result<(), Error> {
    match output {
        Output::Table | Output::Wide if !found.has_groups => {
            screen.say(&format!(
                "recovery point {} was made without consumerGroupSnapshot: it knows no groups",
                crate::words::safe(&found.point)
            ));
            Ok(())
        }
        Output::Table | Output::Wide => {
            let text = show::groups::groups(found, &screen.style);
            screen.text(&text)
        }
        Output::Name => print::names(found.groups.iter().map(|group| group.group.clone()), screen),
        Output::Jsonl => found.groups.iter().try_for_each(|group| print::raw(group, output, screen)),
        output => print::document("ConsumerGroupPositions", found, output, screen),
    }
}

/// What `--at` means.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Point(String),
    /// Milliseconds since 1970.
    Time(i64),
}

/// The point or the time that `at` names, of the backup `name`.
fn at_of(name: &str, at: &str) -> Result<At, Error> {
    if name.is_empty() || split_point(name).is_some() {
        let what = "--at goes with the name of a backup".to_owned();
        return Err(Error::usage(what, "name the backup, or name the point alone"));
    }
    if split_point(at).is_some_and(|(base, _)| base == name) {
        return Ok(At::Point(at.to_owned()));
    }
    parse_millis(at).map(At::Time).map_err(|_| {
        let what = format!("--at `{at}` is neither a recovery point of `{name}` nor a time");
        Error::usage(what, format!("write 2026-11-20T12:00:00Z, or a point: `browse {name}` lists them"))
    })
}

/// The newest point of a backup that is not after a time.
async fn point_at(source: &Source, name: &str, millis: i64) -> Result<String, Error> {
    let time = Timestamp::from_millisecond(millis)
        .map_err(|_| Error::usage(format!("--at {millis} is not a time"), "write 2026-11-20T12:00:00Z"))?;
    let points = listed(source, Some(name.to_owned()), None).await?.into_iter().flat_map(|backup| backup.points);
    let newest = points.filter(|point| point.at <= time).max_by_key(|point| point.at);
    newest.map(|point| point.name).ok_or_else(|| {
        let text = format!("{name} has no recovery point that is not after {time}");
        Error::Archive(Failure::new(Code::NoSuchPoint, text))
    })
}

/// The groups as the point has them.
async fn then(source: &Source, name: String, include: &[String]) -> Result<(PointGroups, Vec<Group>), Error> {
    let question = Question::Groups { name: name.clone(), include: include.to_vec() };
    let (mut answers, mut head, mut groups) = (source.ask(question), None, Vec::new());
    while let Some(answer) = answers.next().await? {
        match answer {
            Answer::Groups(found) => head = Some(found),
            Answer::Group(group) => groups.push(group),
            _ => return Err(Error::unexpected("consumer groups")),
        }
    }
    match head {
        Some(head) => Ok((head, groups)),
        None => Err(Error::Archive(Failure::new(Code::Internal, format!("no answer about {name}")))),
    }
}

/// The groups as the brokers have them.
async fn now(source: &Source, name: &str, include: &[String]) -> Result<Live, Error> {
    let question = Question::GroupsNow { name: name.to_owned(), include: include.to_vec() };
    let (mut answers, mut told, mut groups) = (source.ask(question), None, Vec::new());
    while let Some(answer) = answers.next().await? {
        match answer {
            Answer::Source(found) => told = Some(found),
            Answer::GroupNow(group) => groups.push(group),
            _ => return Err(Error::unexpected("consumer groups")),
        }
    }
    match told {
        Some(source) => Ok(Live { source, groups }),
        None => Err(Error::Archive(Failure::new(Code::Internal, "no answer about the brokers"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_names_a_point_of_the_backup_or_a_time() {
        let of = |at: &str| at_of("nightly", at).map_err(|error| error.to_string());
        assert_eq!(of("nightly-20261120-020000"), Ok(At::Point("nightly-20261120-020000".into())));
        assert_eq!(of("2026-01-31T08:00:00Z"), Ok(At::Time(1_769_846_400_000)));
        for wrong in ["hourly-20261120-020000", "yesterday", ""] {
            assert!(of(wrong).unwrap_err().contains("neither a recovery point"), "{wrong}");
        }
        for name in ["", "nightly-20261120-020000"] {
            assert!(at_of(name, "2026-01-31T08:00:00Z").is_err(), "{name}");
        }
    }
}
