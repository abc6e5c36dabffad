//! The stores of a run: whether they open, and whether they keep the rules that archives rest on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::StoreSpec;

use super::lines::Lines;
use crate::connect;
use crate::context::Context;

/// A request that keeps failing is not sent again for longer.
const BUDGET: Duration = Duration::from_secs(4);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(25);

/// Opens a store, and tries it out where the run writes there.
pub(crate) async fn check(context: &Context, storage: &StoreSpec, writes: bool, lines: &Lines) {
    if !super::secrets(context, storage.secret_files(), lines) {
        return;
    }
    let answered = AtomicBool::new(false);
    if tokio::time::timeout(PATIENCE, within(context, storage, writes, lines, &answered)).await.is_err() {
        let fix = "look at what limits the store, or the way to it";
        let text = format!("not all was tried out within {} s; {fix}", PATIENCE.as_secs());
        // One that answers is slow, and a run works all the same.
        if answered.load(Ordering::Relaxed) { lines.note("time", text) } else { lines.wrong("time", text) }
    }
}

/// Tries a store out; `answered` becomes true once it did something.
async fn within(context: &Context, storage: &StoreSpec, writes: bool, lines: &Lines, answered: &AtomicBool) {
    if let Some(identity) = archive::ambient_identity(storage) {
        lines.ok("identity", format!("no credentials are given: {identity} counts"));
    }
    let Some(store) = lines.unless("open", connect::briefly(context, storage, BUDGET).await) else { return };
    lines.ok("open", format!("{} can be reached", store.place()));
    answered.store(true, Ordering::Relaxed);
    if !writes {
        return;
    }
    let say = |finding: archive::Finding| {
        if finding.good { lines.ok(finding.name, finding.detail) } else { lines.wrong(finding.name, finding.detail) }
    };
    let tried = archive::probe(&store, &context.nonce(), || context.clock.now(), say).await;
    lines.unless("write and read", tried.map_err(Into::into));
}
