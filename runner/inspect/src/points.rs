//! The sets of a store and their recovery points.

use archive::{Catalog, Entry, Seal, Store};
use contract::stamp::{split_point, stamp, stamp_time};
use contract::{Code, Failure};
use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::ask::Replies;
use crate::{Answer, PointLine, SetLine};

/// Seals that are read at once.
const AT_ONCE: usize = 16;

/// Lists the sets that `name` names, or all, and their points from `since` on.
pub(crate) async fn points(
    store: &Store,
    name: Option<&str>,
    since: Option<&str>,
    replies: &mut Replies,
) -> Result<(), Failure> {
    let since = since.map(str::parse::<Timestamp>).transpose();
    let since = since.map_err(|_| Failure::new(Code::SpecInvalid, "since: not an RFC 3339 time"))?.map(stamp);
    let catalog = Catalog::new(store.clone());
    let sets = catalog.sets().await?;
    let mut found = false;
    for set in &sets {
        let stamped = split_point(set);
        let named = |name: &str| set == name || stamped.is_some_and(|(base, _)| base == name);
        let early = stamped.is_some_and(|(_, stamp)| since.as_deref().is_some_and(|since| stamp < since));
        if !name.is_none_or(named) {
            continue;
        }
        found = true;
        if early {
            continue;
        }
        let summary = catalog.set(set).await?;
        let line = SetLine {
            name: summary.name,
            namespace: summary.namespace,
            resource: summary.resource,
            cluster_id: summary.cluster_id,
            incremental: summary.incremental,
            unfinished: summary.unfinished,
        };
        replies.send(Answer::Set(line)).await?;
        let wanted = summary.points.into_iter().filter(|point| since.as_deref().is_none_or(|since| &**point >= since));
        let seals = wanted.map(|stamp| {
            let (catalog, set) = (&catalog, set);
            async move { catalog.seal(set, &stamp).await }
        });
        let mut seals = stream::iter(seals).buffered(AT_ONCE);
        while let Some(entry) = seals.next().await {
            // A hint without its seal: somebody removed the seal since the list was read.
            let Some(Entry { seal: Some(seal), .. }) = entry? else { continue };
            replies.send(Answer::Point(line_of(&seal))).await?;
        }
    }
    match name {
        Some(name) if !found => {
            let mut known: Vec<&str> =
                sets.iter().map(|set| split_point(set).map_or(set.as_str(), |(base, _)| base)).collect();
            known.dedup();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let text = format!("{} has no backup {name:?}; it has: {known}", store.place());
            Err(Failure::new(Code::NoSuchPoint, text))
        }
        _ => Ok(()),
    }
}

fn line_of(seal: &Seal) -> PointLine {
    let sum = |of: fn(&archive::PartitionState) -> u64| seal.partitions.iter().map(of).sum();
    let live = seal.topics.iter().filter(|topic| topic.live);
    let newest = seal.partitions.iter().filter(|row| row.committed > 0).map(|row| row.max_timestamp).max();
    PointLine {
        name: seal.point.clone(),
        at: split_point(&seal.point).map_or_else(|| seal.at.clone(), |(_, stamp)| stamp_time(stamp)),
        topics: live.clone().count() as u64,
        partitions: live.map(|topic| u64::from(topic.partitions.unsigned_abs())).sum(),
        records: sum(|row| row.committed),
        bytes: sum(|row| row.bytes),
        newest,
        held_back: seal.held_back.len() as u64,
    }
}
