//! `prune`: which recovery points retention would take away, and why the others stay. It changes nothing.

use api::lower;
use api::oso::KafkaBackup;
use clap::Args;
use contract::retention::{RetentionRules, age_secs};
use contract::words::read_size;
use contract::{Code, Failure};
use inspect::{Answer, Question, RetentionQuestion, WholeRetentionPlan};

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::show;
use crate::source::Source;
use crate::steps::{or_interrupt, print, with_source};

/// Flags of `prune`.
#[derive(Debug, Args)]
#[command(after_help = "\
Without flags the rules are those of spec.retention of the KafkaBackup. With --keep-last and --max-age
a point stays when it is young, or among the newest; --keep-last alone is also the most that stays.
The newest point always stays, and so does what a restore needs that has not ended. Ages are those of
the store's clock. Nothing is changed: this release has no code that removes a recovery point.

Examples:
  kubectl kafka-backup prune nightly                              by the rules of the KafkaBackup
  kubectl kafka-backup prune nightly --keep-last 7
  kubectl kafka-backup prune nightly --keep-last 3 --max-age 30d -o yaml
  kubectl kafka-backup prune nightly --max-total-bytes 1TiB --store s3://backups/kafka")]
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
}

fn age(text: &str) -> Result<u64, String> {
    age_secs(text).ok_or_else(|| format!("`{text}` is no number above 0 and one of s, m, h, d, w, as 30d"))
}

/// Shows what would go.
pub(crate) async fn prune(options: PruneFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
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
    let backup: KafkaBackup = Cluster::connect(connection).await?.get(&options.name).await?;
    let rules = lower::retention(&backup.spec);
    let rules = rules.map_err(|finding| Error::usage(finding.to_string(), "correct the KafkaBackup"))?;
    rules.ok_or_else(|| {
        let what = format!("backup `{}` has no spec.retention that is enabled", options.name);
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
            "nightly --yes",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
