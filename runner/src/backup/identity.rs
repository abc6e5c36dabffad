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
    fn new(name: &str, run: String, stamp: String, incremental: bool) -> Self {
        let point = format!("{name}-{stamp}");
        let set = if incremental { name.to_owned() } else { point.clone() };
        Self { run, stamp, point, layout: Layout::new(set) }
    }

    /// UTC second of the point, RFC 3339.
    pub(crate) fn at(&self) -> String {
        let (date, time) = self.stamp.split_once('-').unwrap_or_default();
        let part = |text: &str, from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
        format!(
            "{}-{}-{}T{}:{}:{}Z",
            part(date, 0, 4),
            part(date, 4, 6),
            part(date, 6, 8),
            part(time, 0, 2),
            part(time, 2, 4),
            part(time, 4, 6)
        )
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
        return Ok(Identity::new(name, run.id.clone(), stamp::stamp(run.at), backup.incremental));
    }
    let digest = work_digest(spec);
    let unfinished = if backup.incremental {
        let chain = Chain::new(store.clone(), Layout::new(name));
        match chain.newest().await? {
            None => None,
            Some(newest) => Some(chain.entry(newest).await?.0),
        }
    } else {
        Catalog::new(store.clone()).unfinished(name, &digest).await?.map(|(_, entry)| entry)
    };
    if let Some(entry) = unfinished.filter(|entry| entry.seal.is_none() && entry.spec == digest) {
        return Ok(Identity::new(name, entry.run, entry.point, backup.incremental));
    }
    let mut at = context.clock.now();
    loop {
        let stamp = stamp::stamp(at);
        let identity = Identity::new(name, format!("{name}-{stamp}"), stamp, backup.incremental);
        if !taken(store, &identity, backup.incremental).await? {
            return Ok(identity);
        }
        // Two runs in one second: the point takes the next free one.
        at = at.checked_add(1.second()).unwrap_or(Timestamp::MAX);
    }
}

async fn taken(store: &Store, identity: &Identity, incremental: bool) -> Result<bool, Failure> {
    if incremental {
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
        assert_eq!(full.at(), "2026-01-31T08:01:02Z");
    }
}
