//! `release`: ends a restore that will not go on.

use contract::{Action, Code, ExitCode, Failure, RunSpec};

use super::{Output, print};
use crate::context::Context;
use crate::restore;

/// Ends restores and says what was done.
pub(crate) async fn release(
    context: &Context,
    spec: &RunSpec,
    topics: &[String],
    output: Output,
) -> Result<ExitCode, Failure> {
    let Ok(Action::Restore(part)) = spec.action() else {
        return Err(Failure::new(Code::SpecInvalid, "restore: release needs the specification of a restore"));
    };
    let done = restore::release(context, spec, part, topics).await?;
    if output == Output::Json {
        print::json(&done)?;
    } else {
        for line in &done {
            print::line(line);
        }
    }
    Ok(ExitCode::Done)
}
