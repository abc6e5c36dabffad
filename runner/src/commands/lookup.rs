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
        let rows: Vec<_> = found.iter().map(|found| vec![found.source.to_string(), found.target.to_string()]).collect();
        print::table(&["SOURCE OFFSET", "TARGET OFFSET"], &rows);
    }
    Ok(ExitCode::Done)
}
