//! `repair`: makes a missing `set.json` again from what the log knows.

use archive::{Layout, Repair, SetDocument, repair_set};
use contract::{Code, ExitCode, Failure, RunSpec, names};

use super::print;
use crate::connect;
use crate::context::Context;

/// Says what would be created, and creates it with `apply`.
pub(crate) async fn repair(context: &Context, spec: &RunSpec, set: &str, apply: bool) -> Result<ExitCode, Failure> {
    names::check_name(set).map_err(|rule| Failure::new(Code::SpecInvalid, format!("set {set:?}: {rule}")))?;
    let store = connect::store(context, spec).await?;
    let line = |verb: &str, document: &SetDocument| {
        format!(
            "{}/{set}/set.json {verb}: owner {}, incremental {}",
            store.place(),
            document.owner,
            document.incremental
        )
    };
    match repair_set(&store, &Layout::new(set), apply).await? {
        Repair::Sound => print::line(&format!("{set}: set.json is the one that the log names; nothing to do")),
        Repair::Planned(document) => {
            print::line(&line("is missing and would be created", &document));
            print::line("nothing was written; run again with --apply");
        }
        Repair::Done(document) => print::line(&line("is created", &document)),
    }
    Ok(ExitCode::Done)
}
