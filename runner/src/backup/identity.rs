//! Which run this is: its id, its recovery point, and the set that it writes to.

use archive::{Catalog, Chain, Entry, Head, Layout, Store};
use contract::{BackupSpec, Code, Failure, RunSpec, stamp};
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
    /// The same run with the stamp that its point takes.
    pub(crate) fn with_stamp(self, name: &str, stamp: &str) -> Self {
        Self { stamp: stamp.to_owned(), point: format!("{name}-{stamp}"), ..self }
    }

    fn new(name: &str, run: String, stamp: String, extends: bool) -> Self {
        let point = format!("{name}-{stamp}");
        let set = if extends { name.to_owned() } else { point.clone() };
        Self { run, stamp, point, layout: Layout::new(set) }
    }
}

/// A run, and the newest entry of the set that it extends, as it was read for that.
pub(crate) struct Resolved {
    pub(crate) identity: Identity,
    pub(crate) head: Option<Head>,
}

/// The run that the specification names, else the newest unfinished one of the same work, else a new one. The stamp is
/// what the run asks for: whether it is free in a set that has points is decided when the set is opened.
pub(crate) async fn resolve(
    context: &Context,
    store: &Store,
    spec: &RunSpec,
    backup: &BackupSpec,
) -> Result<Resolved, Failure> {
    let named = spec.run.as_ref().map(|run| (run.id.as_str(), run.at));
    if backup.extends_set() {
        let chain = Chain::new(store.clone(), Layout::new(&spec.name));
        let head = chain.head().await?;
        Ok(extending(context, spec, backup, named, head))
    } else {
        full(context, store, spec, named).await
    }
}

fn extending(
    context: &Context,
    spec: &RunSpec,
    backup: &BackupSpec,
    named: Option<(&str, Timestamp)>,
    head: Option<Head>,
) -> Resolved {
    let name = &spec.name;
    if let Some((run, at)) = named {
        let identity = Identity::new(name, run.to_owned(), stamp::stamp(at), true);
        return Resolved { identity, head };
    }
    let digest = work_digest(spec);
    // A continuous run is never finished.
    let goes_on = |entry: &&Entry| (entry.seal.is_none() || backup.continuous) && entry.spec == digest;
    let identity = if let Some(entry) = head.as_ref().map(|head| &head.entry).filter(goes_on) {
        Identity::new(name, entry.run.clone(), entry.point.clone(), true)
    } else {
        // Points are in the log's order: a stamp behind the newest entry's is free.
        let newest = head.as_ref().map(|head| head.entry.point.as_str());
        let stamp = stamp::stamp_after(context.clock.now(), newest);
        Identity::new(name, format!("{name}-{stamp}"), stamp, true)
    };
    Resolved { identity, head }
}

/// A full run has a set of its own: the first free second from the one asked for on, or the set that it began.
async fn full(
    context: &Context,
    store: &Store,
    spec: &RunSpec,
    named: Option<(&str, Timestamp)>,
) -> Result<Resolved, Failure> {
    let name = &spec.name;
    if named.is_none()
        && let Some((_, entry)) = Catalog::new(store.clone()).unfinished(name, &work_digest(spec)).await?
    {
        let identity = Identity::new(name, entry.run, entry.point, false);
        let head = Chain::new(store.clone(), identity.layout.clone()).head().await?;
        return Ok(Resolved { identity, head });
    }
    let mut at = named.map_or_else(|| context.clock.now(), |(_, at)| at);
    loop {
        let stamp = stamp::stamp(at);
        let run = named.map_or_else(|| format!("{name}-{stamp}"), |(run, _)| run.to_owned());
        let identity = Identity::new(name, run, stamp, false);
        let head = Chain::new(store.clone(), identity.layout.clone()).head().await?;
        let free = match &head {
            Some(head) => named.is_some() && head.entry.run == identity.run,
            // A set without a log is nobody's run yet, unless somebody begins it right now.
            None => named.is_some() || !Catalog::new(store.clone()).has_set(identity.layout.set()).await?,
        };
        if free {
            return Ok(Resolved { identity, head });
        }
        let late = || Failure::new(Code::SpecInvalid, "no later second is free for a recovery point; correct run.at");
        at = at.checked_add(1.second()).map_err(|_| late())?;
    }
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
