//! `schedule`: suspend, resume, trigger, and the coming ticks.

use api::oso::KafkaBackup;
use api::schedule::{CronJob, Schedule, Unread};
use api::ticks::{COUNTED, Passed, SKIP_ANNOTATION, anchor_of, passed};
use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::backup;
use crate::cluster::{Cluster, Connection, failed, resource};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::screen::{Screen, Style, Times};
use crate::show;
use crate::steps::print;
use crate::steps::write::{self, DryRun, Write};
use crate::view::ticks::{Tick, ticks};

/// Commands about schedules.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start no run of a backup until it is resumed; a continuous one saves its progress and stops
    #[command(after_help = "Examples:\n  kubectl kafka-backup schedule suspend nightly -n shop")]
    Suspend {
        /// Backup
        name: String,
        /// How it is written.
        #[command(flatten)]
        write: Write,
    },
    /// Let a suspended backup run again; the newest tick that it missed runs at once
    #[command(
        after_help = "Examples:\n  kubectl kafka-backup schedule resume nightly -n shop\n  kubectl kafka-backup schedule resume nightly --skip-missed     the next tick is the next run"
    )]
    Resume {
        /// Backup
        name: String,
        /// Leave out the ticks that were missed
        #[arg(long)]
        skip_missed: bool,
        /// How it is written.
        #[command(flatten)]
        write: Write,
    },
    /// Run a backup now, beside its schedule
    #[command(
        after_help = "Examples:\n  kubectl kafka-backup schedule trigger nightly -n shop --wait\n  kubectl kafka-backup schedule trigger nightly --dry-run server"
    )]
    Trigger(backup::Run),
    /// Show when a schedule is due next, and which ticks a clock change moves
    #[command(after_help = "\
Examples:
  kubectl kafka-backup schedule next nightly -n shop
  kubectl kafka-backup schedule next --cron '0 0 2 * * *' --show-zone Europe/Berlin
  kubectl kafka-backup schedule next --cron '15 2 * * *' --zone Europe/Berlin     as the Strimzi groups write it")]
    Next {
        /// Backup
        #[arg(required_unless_present = "cron", conflicts_with = "cron")]
        name: Option<String>,
        /// A schedule instead: with seconds first, UTC; with --zone: five fields
        #[arg(long)]
        cron: Option<String>,
        /// IANA zone that the schedule is in
        #[arg(long, requires = "cron", value_parser = zone)]
        zone: Option<TimeZone>,
        /// IANA zone to show times in; the zone of the schedule when absent
        #[arg(long, value_parser = zone)]
        show_zone: Option<TimeZone>,
        /// How many
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
        /// Form of the result
        #[arg(short, long, value_enum, default_value_t)]
        output: Output,
    },
}

fn zone(name: &str) -> Result<TimeZone, String> {
    CronJob::zone(name).ok_or_else(|| format!("`{name}` is no IANA zone such as Europe/Berlin"))
}

/// Does what is asked about a schedule.
pub(crate) async fn schedule(command: Command, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match command {
        Command::Suspend { name, write } => {
            suspend(&Cluster::connect(connection).await?, &name, Turn::Suspend, &write, screen).await
        }
        Command::Resume { name, skip_missed, write } => {
            suspend(&Cluster::connect(connection).await?, &name, Turn::Resume { skip_missed }, &write, screen).await
        }
        Command::Trigger(run) => backup::run(&Cluster::connect(connection).await?, &run, screen).await,
        Command::Next { name, cron, zone, show_zone, count, output } => {
            let show_zone = show_zone.or_else(|| own_zone(&screen.style));
            let (title, ticks) = match (name, cron) {
                (Some(name), _) => {
                    let cluster = Cluster::connect(connection).await?;
                    let object: KafkaBackup = cluster.get(&name).await?;
                    let Some(cron) = object.spec.schedule else {
                        let what = format!("backup `{name}` has no schedule");
                        return Err(Error::usage(what, "it runs once, or continuously"));
                    };
                    if object.spec.continuous {
                        let what = format!("backup `{name}` is continuous");
                        return Err(Error::usage(what, "its schedule has no effect: none of its ticks runs"));
                    }
                    if object.spec.suspend {
                        screen.say(&format!("backup `{name}` is suspended: none of these runs"));
                    }
                    (format!("{name}   '{cron}'   UTC"), next(&cron, None, show_zone, count, screen.style.now)?)
                }
                (None, cron) => {
                    let cron = cron.unwrap_or_default();
                    let shown = zone.as_ref().and_then(TimeZone::iana_name).unwrap_or("UTC").to_owned();
                    (format!("'{cron}'   {shown}"), next(&cron, zone, show_zone, count, screen.style.now)?)
                }
            };
            show(&title, &ticks, output, screen)
        }
    }
}

/// What becomes of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Suspend,
    Resume { skip_missed: bool },
}

async fn suspend(cluster: &Cluster, name: &str, turn: Turn, write: &Write, screen: &mut Screen) -> Result<Exit, Error> {
    let mut object: KafkaBackup = cluster.get(name).await?;
    let (suspended, skip) = (turn == Turn::Suspend, turn == Turn::Resume { skip_missed: true });
    let word = if suspended { "suspended" } else { "resumed" };
    if object.spec.suspend == suspended && !skip && write.output.is_none() {
        screen.text(&format!("kafkabackup.kafka.oso.sh/{name} unchanged: it is {word} already\n"))?;
        return Ok(Exit::Done);
    }
    let now = screen.style.now;
    let missed = missed(&object, now);
    if write.dry_run == DryRun::Client {
        object.spec.suspend = suspended;
        if skip {
            object.annotations_mut().insert(SKIP_ANNOTATION.to_owned(), now.to_string());
        }
    } else {
        let spec = json!({"suspend": suspended});
        let patch = if skip {
            json!({"metadata": {"annotations": {SKIP_ANNOTATION: now.to_string()}}, "spec": spec})
        } else {
            json!({"spec": spec})
        };
        let parameters = PatchParams { dry_run: write.dry_run == DryRun::Server, ..PatchParams::default() };
        let patched = cluster.api::<KafkaBackup>().patch(name, &parameters, &Patch::Merge(patch)).await;
        object = patched.map_err(|error| failed(&format!("change backup `{name}`"), error))?;
    }
    let done = write.words(word);
    write::show(&print::value(&object)?, &resource::<KafkaBackup>(), write, &done, screen)?;
    if let (false, Some(missed)) = (suspended, missed) {
        screen.say(&missed_words(missed, skip));
    }
    Ok(Exit::Done)
}

/// The zone that `--time local` asks for.
fn own_zone(style: &Style) -> Option<TimeZone> {
    (style.times == Times::Local).then(|| style.zone.clone())
}

/// The ticks that a backup missed, as its operator counts them.
fn missed(object: &KafkaBackup, now: Timestamp) -> Option<Passed> {
    let schedule = object.spec.schedule.as_deref().filter(|_| !object.spec.continuous)?;
    passed(&Schedule::parse(schedule).ok()?, anchor_of(object, now), now)
}

fn missed_words(missed: Passed, skip: bool) -> String {
    let newest = missed.newest;
    let ticks = match missed.count {
        1 => format!("the tick of {newest}, which was missed,"),
        COUNTED.. => format!("{COUNTED} or more ticks were missed: the newest, of {newest},"),
        count => format!("{count} ticks were missed: the newest, of {newest},"),
    };
    if skip {
        format!("{ticks} is left out, and the next tick is the next run")
    } else {
        format!("{ticks} runs now; with --skip-missed it would not")
    }
}

fn next(
    cron: &str,
    zone: Option<TimeZone>,
    show_zone: Option<TimeZone>,
    count: u16,
    now: Timestamp,
) -> Result<Vec<Tick>, Error> {
    let wrong = |unread: Unread| Error::usage(format!("the schedule '{cron}' {}", unread.rule), unread.fix);
    let count = usize::from(count);
    match zone {
        None => {
            let schedule = Schedule::parse(cron).map_err(wrong)?;
            let zone = show_zone.unwrap_or(TimeZone::UTC);
            Ok(ticks(|time| schedule.next_after(time), now, count, &zone))
        }
        Some(zone) => {
            let schedule = CronJob::parse(cron, zone.clone()).map_err(wrong)?;
            Ok(ticks(|time| schedule.next_after(time), now, count, &show_zone.unwrap_or(zone)))
        }
    }
}

fn show(title: &str, ticks: &[Tick], output: Output, screen: &mut Screen) -> Result<Exit, Error> {
    match output {
        Output::Table | Output::Wide => {
            let text = show::ticks::ticks(title, ticks, &screen.style);
            screen.text(&text)?;
        }
        Output::Name => print::names(ticks.iter().map(|tick| tick.at.to_string()), screen)?,
        output => print::list("TickList", ticks, output, screen)?,
    }
    if ticks.is_empty() {
        screen.say("it is never due");
        return Ok(Exit::No);
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::style;

    #[test]
    fn ticks_are_shown_in_the_zone_that_is_asked_for() {
        let berlin = CronJob::zone("Europe/Berlin").unwrap();
        let local = Style { times: Times::Local, zone: berlin, ..style(None) };
        let at = "2026-11-28T12:00:00Z".parse().unwrap();
        let shown = |style: &Style| next("0 0 2 * * *", None, own_zone(style), 1, at).unwrap().remove(0).shown;
        assert_eq!(shown(&local), "Sun 2026-11-29 03:00:00 CET");
        assert_eq!(shown(&Style { times: Times::Utc, ..local }), "Sun 2026-11-29 02:00:00 UTC");
    }

    #[test]
    fn a_resumed_schedule_says_which_tick_runs() {
        let missed = |count| Passed { newest: "2026-11-28T02:00:00Z".parse().unwrap(), count };
        assert_eq!(
            missed_words(missed(1), false),
            "the tick of 2026-11-28T02:00:00Z, which was missed, runs now; with --skip-missed it would not"
        );
        assert_eq!(
            missed_words(missed(3), true),
            "3 ticks were missed: the newest, of 2026-11-28T02:00:00Z, is left out, and the next tick is the next run"
        );
        assert!(missed_words(missed(100), false).starts_with("100 or more ticks were missed"));
    }
}
