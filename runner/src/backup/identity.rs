//! Which run this is: its id, its recovery point, and the set that it writes to.

use archive::{Catalog, Chain, Layout, Store};
use contract::{BackupSpec, Failure, RunSpec, stamp};
use jiff::{Timestamp, ToSpan};

use crate::context::Context;
use crate::spec_file::work_digest;

/// The identity of a backup run.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// Run id.
    pub(crate) run: String,
    /// Stamp of the recovery point.
    pub(crate) stamp: String,
    /// Name of the recovery point.
    pub(crate) point: String,
    /// The set.
    pub(crate) layout: Layout,
}

impl Identity {
    fn new(name: &str, run: String, stamp: String, extends: bool) -> Self {
        let point = format!("{name}-{stamp}");
        let set = if extends { name.to_owned() } else { point.clone() };
        Self { run, stamp, point, layout: Layout::new(set) }
    }
}

/// The run that the specification names, else the newest unfinished one of the same work, else a new one.
pub(crate) async fn resolve(
    context: &Context,
    store: &Store,
    spec: &RunSpec,
    backup: &BackupSpec,
) -> Result<Identity, Failure> {
    let name = &spec.name;
    if let Some(run) = &spec.run {
        return Ok(Identity::new(name, run.id.clone(), stamp::stamp(run.at), backup.extends_set()));
    }
    let digest = work_digest(spec);
    let unfinished = if backup.extends_set() {
        let chain = Chain::new(store.clone(), Layout::new(name));
        match chain.newest().await? {
            None => None,
            Some(newest) => Some(chain.entry(newest).await?.0),
        }
    } else {
        Catalog::new(store.clone()).unfinished(name, &digest).await?.map(|(_, entry)| entry)
    };
    // A continuous run is never finished.
    let goes_on = |entry: &archive::Entry| (entry.seal.is_none() || backup.continuous) && entry.spec == digest;
    if let Some(entry) = unfinished.filter(goes_on) {
        return Ok(Identity::new(name, entry.run, entry.point, backup.extends_set()));
    }
    let mut at = context.clock.now();
    loop {
        let stamp = stamp::stamp(at);
        let identity = Identity::new(name, format!("{name}-{stamp}"), stamp, backup.extends_set());
        if !taken(store, &identity, backup.extends_set()).await? {
            return Ok(identity);
        }
        // Two runs in one second: the point takes the next free one.
        at = at.checked_add(1.second()).unwrap_or(Timestamp::MAX);
    }
}

async fn taken(store: &Store, identity: &Identity, extends: bool) -> Result<bool, Failure> {
    if extends {
        return Ok(Catalog::new(store.clone()).has_point(&identity.layout, &identity.stamp).await?);
    }
    Ok(Catalog::new(store.clone()).has_set(identity.layout.set()).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_run_has_a_set_of_its_own() {
        let full = Identity::new("orders", "r".into(), "20260131-080102".into(), false);
        assert_eq!((full.layout.set(), full.point.as_str()), ("orders-20260131-080102", "orders-20260131-080102"));
        let incremental = Identity::new("orders", "r".into(), "20260131-080102".into(), true);
        assert_eq!((incremental.layout.set(), incremental.point.as_str()), ("orders", "orders-20260131-080102"));
    }
}
