//! `lookup`: where source offsets stand in the target of a restore.

use contract::{Action, Code, ExitCode, Failure, RunSpec};

use super::{Output, print};
use crate::context::Context;
use crate::restore;

/// Prints source and target offsets.
pub(crate) async fn lookup(
    context: &Context,
    spec: &RunSpec,
    topic: &str,
    partition: i32,
    offsets: &[i64],
    output: Output,
) -> Result<ExitCode, Failure> {
    let Ok(Action::Restore(part)) = spec.action() else {
        return Err(Failure::new(Code::SpecInvalid, "restore: lookup needs the specification of a restore"));
    };
    let found = restore::lookup(context, spec, part, topic, partition, offsets).await?;
    if output == Output::Json {
        print::json(&found)?;
    } else {
        let row =
            |at: &restore::Landing| vec![at.source.to_string(), at.target.to_string(), at.found.words().to_owned()];
        let rows: Vec<_> = found.iter().map(row).collect();
        print::table(&["SOURCE OFFSET", "TARGET OFFSET", "FOUND"], &rows);
    }
    Ok(ExitCode::Done)
}
