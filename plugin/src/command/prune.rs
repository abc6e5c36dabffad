//! `prune`: which recovery points retention would take away, and why the others stay. With `--yes` it asks the operator for a run that
//! removes them by the rules of the KafkaBackup; nothing is removed from here.

use std::time::Duration;

use api::oso::KafkaBackup;
use api::{lower, trigger};
use clap::Args;
use contract::retention::{RetentionRules, age_secs};
use contract::words::read_size;
use contract::{Code, Failure};
use inspect::{Answer, Question, RetentionQuestion, WholeRetentionPlan};
use kube::ResourceExt;

use crate::cluster::{Cluster, Connection, duration};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::show;
use crate::source::Source;
use crate::steps::trigger::ask;
use crate::steps::wait::{Progress, not_begun, wait};
use crate::steps::write::{DryRun, Write};
use crate::steps::{or_interrupt, print, with_source};

/// Flags of `prune`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without flags the rules are those of spec.retention of the KafkaBackup. With --keep-last and --max-age
a point stays when it is young, or among the newest; --keep-last alone is also the most that stays.
The newest point always stays, and so does what a restore needs that has not ended. Ages are those of
the store's clock. Without --yes nothing is changed.

--yes asks the operator for a run by the rules of spec.retention, and by no others. It hides the points
that go: no restore finds them from then on. A later run deletes them, a day after that at the earliest.

Examples:
  kubectl kafka-backup prune nightly                              by the rules of the KafkaBackup
  kubectl kafka-backup prune nightly --keep-last 7
  kubectl kafka-backup prune nightly --keep-last 3 --max-age 30d -o yaml
  kubectl kafka-backup prune nightly --max-total-bytes 1TiB --store s3://backups/kafka
  kubectl kafka-backup prune nightly --yes --wait                 remove them

Exit code 1, with --wait: the run failed.")]
pub struct PruneFlags {
    /// BACKUP
    name: String,
    /// Newest points that stay
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Rules")]
    keep_last: Option<u32>,
    /// Points older than this may go: 36h, 30d, 8w
    #[arg(long, value_name = "AGE", value_parser = age, help_heading = "Rules")]
    max_age: Option<u64>,
    /// While all points together have more bytes, the oldest may go: 500GiB, 2TiB, or a number of bytes
    #[arg(long, value_name = "SIZE", value_parser = read_size, help_heading = "Rules")]
    max_total_bytes: Option<u64>,
    /// Id of the source cluster whose backups are meant, where the storage has those of several
    #[arg(long, value_name = "ID", help_heading = "Source")]
    cluster_id: Option<String>,
    /// Namespace whose backups are meant, where the store has those of several
    #[arg(long, value_name = "NAME", requires = "store", help_heading = "Source")]
    owner_namespace: Option<String>,
    #[command(flatten)]
    from: ReadFrom,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Remove the points: ask the operator for a run by the rules of spec.retention
    #[arg(long, help_heading = "Write", conflicts_with_all = ["keep_last", "max_age", "max_total_bytes", "cluster_id", "store"])]
    yes: bool,
    /// Wait until the run has ended; the exit code tells how
    #[arg(long, requires = "yes", help_heading = "Write")]
    wait: bool,
    /// How long to wait: 10m, 1h30m
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration, requires = "wait", help_heading = "Write")]
    timeout: Duration,
}

fn age(text: &str) -> Result<u64, String> {
    age_secs(text).ok_or_else(|| format!("`{text}` is no number above 0 and one of s, m, h, d, w, as 30d"))
}

/// Shows what would go, or asks for a run that removes it.
pub(crate) async fn prune(options: PruneFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    if options.yes {
        return or_interrupt(remove(&options, connection, screen)).await;
    }
    let rules = match options.rules()? {
        Some(rules) => rules,
        None => or_interrupt(rules_of(&options, connection)).await?,
    };
    let question = Question::Retention(RetentionQuestion {
        name: options.name.clone(),
        owner_namespace: options.owner_namespace.clone(),
        cluster_id: options.cluster_id.clone(),
        rules,
        reader: screen.style.now,
    });
    let read = async |source: &Source, _: &mut Screen| {
        let mut answers = source.ask(question);
        let mut items = Vec::new();
        while let Some(answer) = answers.next().await? {
            match answer {
                Answer::Retained(point) => items.push(point),
                Answer::Retention(plan) => return Ok(WholeRetentionPlan { plan: *plan, items }),
                _ => return Err(Error::unexpected("retention")),
            }
        }
        Err(Error::Archive(Failure::new(Code::Internal, format!("no plan came for {}", options.name))))
    };
    let found = with_source(&options.from, connection, &options.name, false, screen, read).await?;
    match options.output {
        Output::Table | Output::Wide => {
            let text = show::retention::retention(&found.plan, &found.items, &screen.style);
            screen.text(&text)?;
        }
        Output::Name => {
            let going = found.items.into_iter().filter(|point| point.verdict.goes());
            print::names(going.map(|point| point.name), screen)?;
        }
        Output::Jsonl => found.items.iter().try_for_each(|point| print::raw(point, options.output, screen))?,
        output => print::document("RetentionPlan", &found, output, screen)?,
    }
    Ok(Exit::Done)
}

/// Asks the operator for a run of retention.
async fn remove(options: &PruneFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let cluster = Cluster::connect(connection).await?;
    let name = &options.name;
    let backup: KafkaBackup = cluster.get(name).await?;
    let refused = |what: String, hint: &str| Err(Error::Refused { what, hint: hint.to_owned() });
    if let Err(error) = enabled(&backup) {
        return refused(error.to_string(), "set spec.retention of the KafkaBackup: a run goes by the rules there");
    }
    if backup.spec.retention.as_ref().is_some_and(|block| block.dry_run) {
        let what = format!("spec.retention.dryRun of backup `{name}` is true: a run would remove nothing");
        return refused(what, "set spec.retention.dryRun to false");
    }
    let write = Write { dry_run: DryRun::None, output: None };
    let words = ("ask for a run of retention of backup", "asked for a run of retention");
    let Some(asked) = ask(&cluster, backup, trigger::PRUNE, words, &write, screen).await? else {
        return Ok(Exit::Done);
    };
    if !options.wait {
        screen.say(&format!("next: kubectl kafka-backup status {name} -n {}", cluster.namespace));
        return Ok(Exit::Done);
    }
    wait(&cluster, name, options.timeout, screen, |object: &KafkaBackup| progress(object, &asked)).await
}

/// How far the run of retention is that was asked for.
fn progress(object: &KafkaBackup, asked: &str) -> Progress {
    let status = object.status.clone().unwrap_or_default();
    let told = status.conditions.iter().find(|condition| condition.type_ == "RetentionActive");
    let message = told.map(|condition| condition.message.clone());
    let known = status.retention.as_ref().filter(|known| known.last_trigger.as_deref() == Some(asked));
    let Some(known) = known else { return not_begun(&status.conditions, object.metadata.generation) };
    match known.run.as_ref().filter(|run| run.finished_at.is_some()) {
        Some(run) => {
            let good = run.outcome.as_deref() == Some("Completed") && known.error.is_none();
            Progress::Over(good, message.unwrap_or_else(|| "the run has ended".to_owned()))
        }
        None => Progress::Going(message.unwrap_or_else(|| "recovery points are looked at".to_owned())),
    }
}

impl PruneFlags {
    /// The rules that the flags give; `None` without any.
    fn rules(&self) -> Result<Option<RetentionRules>, Error> {
        let (last, age, bytes) = (self.keep_last, self.max_age, self.max_total_bytes);
        if last.is_none() && age.is_none() && bytes.is_none() {
            return Ok(None);
        }
        let rules = RetentionRules::keeping(last, age, bytes);
        rules.map(Some).map_err(|rule| Error::usage(rule, FLAGS))
    }
}

/// What to write where no rule is known.
const FLAGS: &str = "give --keep-last, --max-age or --max-total-bytes";

/// The rules of the KafkaBackup.
async fn rules_of(options: &PruneFlags, connection: &Connection) -> Result<RetentionRules, Error> {
    if options.from.store.is_some() {
        return Err(Error::usage("a store has no rules of retention", FLAGS));
    }
    enabled(&Cluster::connect(connection).await?.get(&options.name).await?)
}

/// The rules of a KafkaBackup that has some.
fn enabled(backup: &KafkaBackup) -> Result<RetentionRules, Error> {
    let rules = lower::retention(&backup.spec);
    let rules = rules.map_err(|finding| Error::usage(finding.to_string(), "correct the KafkaBackup"))?;
    rules.ok_or_else(|| {
        let what = format!("backup `{}` has no spec.retention that is enabled", backup.name_any());
        Error::usage(what, FLAGS)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: PruneFlags,
    }

    fn read(line: &str) -> Result<PruneFlags, clap::Error> {
        Line::try_parse_from(std::iter::once("prune").chain(line.split(' '))).map(|line| line.flags)
    }

    #[test]
    fn rules_are_read_from_flags() {
        let rules = |line: &str| read(line).unwrap().rules().unwrap();
        assert_eq!(rules("nightly"), None);
        let both = rules("nightly --keep-last 3 --max-age 30d").unwrap();
        assert_eq!((both.least, both.most, both.max_age_secs), (3, None, Some(30 * 86_400)));
        assert_eq!(rules("nightly --keep-last 3").unwrap().most, Some(3));
        assert_eq!(rules("nightly --max-total-bytes 5").unwrap().max_total_bytes, Some(5));
        assert_eq!(rules("nightly --max-total-bytes 2GiB").unwrap().max_total_bytes, Some(2 << 30));
    }

    #[test]
    fn flags_that_mean_nothing_are_refused() {
        for line in [
            "nightly --keep-last 0",
            "nightly --max-age 30",
            "nightly --max-age 0d",
            "nightly --max-total-bytes 0",
            "nightly --max-total-bytes 5%",
            "nightly --owner-namespace shop",
            "nightly --yes --keep-last 3",
            "nightly --yes --store s3://b",
            "nightly --wait",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
