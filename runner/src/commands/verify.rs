//! `verify`: reads a recovery point and says everything that is wrong with it.

use archive::{Level, check_owner, resolve, verify_named};
use clap::ValueEnum;
use contract::{ExitCode, Failure, RunSpec};

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
    if let Some(expected) = spec.restore.as_ref().and_then(|restore| restore.expected_owner()) {
        let (layout, seal) = resolve(&store, name).await?;
        match check_owner(&store, &layout, seal, expected).await {
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
    let (_, _, found) = verify_named(&store, name, level).await?;
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
