//! The stores of a run: whether they open, and whether they keep the rules that archives rest on.

use std::time::Duration;

use archive::Store;
use contract::StoreSpec;
use tokio::time::{Instant, timeout_at};

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
    let until = Instant::now() + PATIENCE;
    let late = || {
        format!(
            "not all was tried out within {} s; look at what limits the store, or the way to it",
            PATIENCE.as_secs()
        )
    };
    match timeout_at(until, open(context, storage, lines)).await {
        Err(_) => lines.wrong("time", late()),
        Ok(None) => {}
        Ok(Some(_)) if !writes => {}
        Ok(Some(store)) => {
            // One that answers is slow, and a run works all the same.
            if timeout_at(until, try_out(context, &store, lines)).await.is_err() {
                lines.note("time", late());
            }
        }
    }
}

async fn open(context: &Context, storage: &StoreSpec, lines: &Lines) -> Option<Store> {
    if let Some(identity) = archive::ambient_identity(storage) {
        lines.ok("identity", format!("no credentials are given: {identity} counts"));
    }
    let store = lines.unless("open", connect::briefly(context, storage, BUDGET).await)?;
    lines.ok("open", format!("{} can be reached", store.place()));
    Some(store)
}

async fn try_out(context: &Context, store: &Store, lines: &Lines) {
    let say = |finding: archive::Finding| {
        if finding.good { lines.ok(finding.name, finding.detail) } else { lines.wrong(finding.name, finding.detail) }
    };
    let tried = archive::probe(store, &context.nonce(), || context.clock.now(), say).await;
    lines.unless("write and read", tried.map_err(Into::into));
}
