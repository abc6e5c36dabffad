//! The stores of a run: whether they open, and whether they keep the rules that archives rest on.

use std::time::Duration;

use archive::Store;
use contract::{ConnectionSpec, StoreSpec};
use tokio::time::{Instant, timeout_at};

use super::lines::Lines;
use super::{certificates, reach};
use crate::connect;
use crate::context::Context;

/// A request that keeps failing is not sent again for longer.
const BUDGET: Duration = Duration::from_secs(4);
/// How long the greeting of TLS may take.
const SHOWN: Duration = Duration::from_secs(3);
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

/// Where the store is, whether somebody listens there, and the certificate that is shown; or that a proxy stands in between.
async fn reach(context: &Context, storage: &StoreSpec, lines: &Lines) -> bool {
    // What opens the store says what is wrong with the environment.
    let led = archive::led_by_environment(storage).ok().flatten();
    let storage = led.as_ref().map_or(storage, |(led, _)| led);
    let Some((host, port)) = storage.authority() else { return true };
    if let Some(proxy) = archive::proxy_of(storage) {
        lines.note("tcp", format!("{host}:{port} is reached through the proxy {proxy}, as the environment says"));
        return true;
    }
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let dialer = (context.dialers)(&ConnectionSpec::default());
    let mut seen = reach::look(&*dialer, (bare, port), "the endpoint").await;
    if !seen.told(lines) {
        return false;
    }
    if let (true, Some(stream)) = (storage.is_encrypted(), seen.stream.take()) {
        // Whoever opens the store says why there is none.
        let shown = tokio::time::timeout(SHOWN, wire::shown(bare, stream)).await.ok().flatten();
        if let Some(about) = shown {
            lines.say(certificates::line(lines.part(), "certificate of the store", &about, context.clock.now()));
        }
    }
    true
}

async fn open(context: &Context, storage: &StoreSpec, lines: &Lines) -> Option<Store> {
    if !reach(context, storage, lines).await {
        return None;
    }
    if let Some(identity) = archive::ambient_identity(storage) {
        lines.ok("identity", format!("no credentials are given: {identity} counts"));
    }
    let store = lines.unless("open", connect::briefly(context, storage, BUDGET).await)?;
    lines.ok("open", format!("{} can be reached", store.place()));
    Some(store)
}

async fn try_out(context: &Context, store: &Store, lines: &Lines) {
    let say = |finding: archive::Finding| {
        lines.told(finding.name, finding.verdict, finding.detail);
    };
    let tried = archive::probe(store, &context.nonce(), || context.clock.now(), say).await;
    lines.unless("write and read", tried.map_err(Into::into));
}
