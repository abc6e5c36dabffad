//! `verify`: reads a recovery point and says everything that is wrong with it.

use archive::{Level, check_owner, verify_named};
use clap::ValueEnum;
use contract::{ExitCode, Failure, RunSpec};
use foreign::Named;

use super::{Output, print};
use crate::connect;
use crate::context::Context;

/// How deep to look.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum LevelArg {
    /// The log, sizes, headers and footers
    Structure,
    /// Also the digest of every block
    Checksum,
    /// Also every batch and record
    Decode,
}

/// Verifies a point; exit 1 when something is wrong.
pub(crate) async fn verify(
    context: &Context,
    spec: &RunSpec,
    name: &str,
    level: LevelArg,
    output: Output,
) -> Result<ExitCode, Failure> {
    let store = connect::store(context, spec).await?;
    let expected = spec.restore.as_ref().and_then(|restore| restore.expected_owner());
    let named = foreign::find(&store, name).await;
    if let (Some(expected), Ok(named)) = (expected, &named) {
        let checked = match named {
            Named::Ours(found) => check_owner(&store, &found.layout, found.seal, expected).await,
            Named::Theirs(_) => foreign::open(&store, name).await?.check_owner(expected).await,
        };
        match checked {
            // Damage is what is looked for below.
            Err(error) if !error.is_damage() => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
    }
    let level = match level {
        LevelArg::Structure => Level::Structure,
        LevelArg::Checksum => Level::Checksum,
        LevelArg::Decode => Level::Decode,
    };
    let found = match named {
        Ok(Named::Theirs(set)) => set.verify(level).await?,
        // What is damaged of ours is looked for there.
        Ok(Named::Ours(_)) | Err(_) => verify_named(&store, name, level).await?.2,
    };
    if output == Output::Json {
        print::json(&found)?;
    } else {
        let counts = format!(
            "{} segments, {} of blocks, {} batches, {} records",
            found.segments,
            print::size(found.bytes),
            found.batches,
            found.records
        );
        let verdict = if found.problems.is_empty() { "nothing wrong" } else { "DAMAGED" };
        print::line(&format!("{name}: {verdict}; checked {counts}"));
        for problem in &found.problems {
            print::line(&format!("  {problem}"));
        }
        for note in &found.notes {
            print::line(&format!("  note: {note}"));
        }
    }
    Ok(if found.problems.is_empty() { ExitCode::Done } else { ExitCode::No })
}
