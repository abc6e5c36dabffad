//! `verify`: whether a recovery point is whole.

use clap::{Args, ValueEnum};
use inspect::{Answer, Depth, Question};

use crate::cluster::Connection;
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::{Output, ReadFrom};
use crate::screen::Screen;
use crate::show;
use crate::source::Source;
use crate::steps::{newest, print, with_source};

/// Flags of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup verify nightly                             the newest point of a backup
  kubectl kafka-backup verify nightly-20261120-020000 --level checksum
  kubectl kafka-backup verify nightly --store s3://backups/kafka  without a cluster

Exit code 1: something is damaged or missing.")]
pub struct VerifyFlags {
    /// POINT, or a backup: then its newest; `latest` is the newest of all
    point: String,
    /// How deep to look; each includes those before
    #[arg(long, value_enum, default_value_t)]
    level: Level,
    #[command(flatten)]
    from: ReadFrom,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How deep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Level {
    /// The log, and the size and index of every segment.
    Structure,
    /// The digest of every block.
    Checksum,
    /// Every batch and record.
    #[default]
    Decode,
}

/// Verifies a point.
pub(crate) async fn verify(options: VerifyFlags, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    let name = newest(&options.point);
    let depth = match options.level {
        Level::Structure => Depth::Structure,
        Level::Checksum => Depth::Checksum,
        Level::Decode => Depth::Decode,
    };
    let question = Question::Verify { name: name.to_owned(), depth };
    let read = async |source: &Source, _: &mut Screen| {
        let mut answers = source.ask(question);
        while let Some(answer) = answers.next().await? {
            if let Answer::Verified(found) = answer {
                return Ok(Some(found));
            }
        }
        Ok(None)
    };
    let Some(found) = with_source(&options.from, connection, name, false, screen, read).await? else {
        return Ok(Exit::Unknown);
    };
    match options.output {
        Output::Table | Output::Wide => {
            let text = show::verified::verified(&found, depth, &screen.style);
            screen.text(&text)?;
        }
        Output::Name => screen.text(&format!("{}\n", found.name))?,
        output => print::document("Verification", &found, output, screen)?,
    }
    Ok(if found.problems.is_empty() { Exit::Done } else { Exit::No })
}
