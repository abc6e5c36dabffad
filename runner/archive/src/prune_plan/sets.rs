//! The sets of one owner, looked into before anything is judged: full backups by one listing each, sets of many points with
//! their index.

use std::collections::BTreeMap;

use contract::retention::{Candidate, Shape};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::chain::{self, Chained};
use super::holds::Held;
use super::ours::Known;
use super::stored::{self, Heap};
use super::whole_point::{entry_of, lacking, newest_configs};
use super::{Left, LeftSet, WholeSet};
use crate::holdings::Tally;
use crate::index::Index;
use crate::{ArchiveError, Layout, SealedPoint, Store};

/// Full backups that are listed at once.
const AT_ONCE: usize = 16;

/// Sets that were looked into, before anything is judged.
#[derive(Debug, Default)]
pub(super) struct Sets {
    pub(super) chains: Vec<Chained>,
    pub(super) whole: Vec<Whole>,
    pub(super) unfinished: Vec<Unsealed>,
    pub(super) left: Vec<LeftSet>,
}

/// A full backup.
#[derive(Debug)]
pub(super) struct Whole {
    layout: Layout,
    sealed: SealedPoint,
    segments: Tally,
    heap: Heap,
    committed: Option<Timestamp>,
}

impl Whole {
    /// Name of the set.
    pub(super) fn set(&self) -> &str {
        self.layout.set()
    }

    /// The set as one that goes.
    pub(super) fn going(&self) -> WholeSet {
        WholeSet { set: self.set().to_owned(), behind: self.sealed.entry }
    }

    /// Its point.
    pub(super) fn candidate(&self, held: &[Held]) -> Candidate {
        let set = self.layout.set();
        Candidate {
            name: set.to_owned(),
            set: set.to_owned(),
            committed: self.committed,
            bytes: self.heap.bytes,
            shape: Shape::Whole,
            held: held.iter().find(|held| held.is_of(set)).map(|held| held.hold.clone()),
        }
    }
}

/// A full backup without a seal.
#[derive(Debug)]
pub(super) struct Unsealed {
    pub(super) set: String,
    pub(super) heap: Heap,
    /// Number of its newest entry.
    pub(super) end: Option<u64>,
}

/// Looks into the sets that are ours.
pub(super) async fn look_into(
    store: &Store,
    ours: Vec<Known>,
    left: Vec<LeftSet>,
    latest: Timestamp,
) -> Result<Sets, ArchiveError> {
    let mut sets = Sets { left, ..Sets::default() };
    let (whole, chains): (Vec<Known>, Vec<Known>) = ours.into_iter().partition(|known| known.is_whole);
    let list = |known: Known| async move {
        let number = known.sealed.as_ref().map(|sealed| sealed.entry);
        let stored = stored::whole(store, &known.layout, number, latest).await?;
        Ok::<_, ArchiveError>((known, stored))
    };
    let mut listed = futures::stream::iter(whole).map(list).buffered(AT_ONCE);
    while let Some((Known { layout, sealed, end, .. }, (heap, committed, segments))) = listed.try_next().await? {
        match sealed {
            Some(sealed) => sets.whole.push(Whole { layout, sealed, segments, heap, committed }),
            None => sets.unfinished.push(Unsealed { set: layout.set().to_owned(), heap, end }),
        }
    }
    for Known { layout, sealed, .. } in chains {
        // A set of many points that has none is that of a first run.
        let Some(sealed) = sealed else { continue };
        let loaded = match chain::load(store, &layout, &sealed, latest).await {
            Ok(loaded) => loaded,
            Err(error) => Err(Left::of(error)?),
        };
        match loaded {
            Ok(chain) => sets.chains.push(chain),
            Err(why) => sets.left.push(LeftSet { set: layout.set().to_owned(), why }),
        }
    }
    Ok(sets)
}

/// No full backup goes while the newest of them is not whole.
pub(super) async fn leave_unless_newest_is_whole(store: &Store, sets: &mut Sets) -> Result<(), ArchiveError> {
    let newest = sets.whole.iter().max_by(|a, b| (a.committed, a.layout.set()).cmp(&(b.committed, b.layout.set())));
    let Some(newest) = newest else { return Ok(()) };
    let why = match lacks(store, newest).await {
        Ok(why) => why,
        Err(error) => Some(Left::of(error)?),
    };
    let Some(why) = why else { return Ok(()) };
    let set = newest.layout.set().to_owned();
    let behind = Left::Incomplete { what: format!("the newest full backup {set} is not whole") };
    for whole in std::mem::take(&mut sets.whole) {
        let name = whole.layout.set().to_owned();
        let why = if name == set { why.clone() } else { behind.clone() };
        sets.left.push(LeftSet { set: name, why });
    }
    Ok(())
}

/// What the store lacks of a full backup.
async fn lacks(store: &Store, whole: &Whole) -> Result<Option<Left>, ArchiveError> {
    let Whole { layout, sealed, segments, .. } = whole;
    let entry = entry_of(store, layout, sealed).await?;
    let index = Index::up_to(store, layout, (&entry, &sealed.digest), false).await?;
    newest_configs(store, layout, &entry).await?;
    let Some(seal) = &entry.seal else { return Ok(None) };
    lacking(store, layout, seal, &index, *segments).await
}

impl Sets {
    /// The newest time that the store tells of them.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        let chains = self.chains.iter().map(|chain| chain.stored.heap.newest);
        let whole = self.whole.iter().map(|whole| whole.heap.newest);
        chains.chain(whole).chain(self.unfinished.iter().map(|set| set.heap.newest)).max().flatten()
    }

    /// Partitions that each point lacks something of, by set and point.
    pub(super) fn held_back(&self) -> BTreeMap<(&str, &str), u64> {
        let whole = self.whole.iter();
        let whole = whole.map(|whole| ((whole.set(), whole.sealed.point.as_str()), whole.sealed.held_back));
        self.chains.iter().flat_map(Chained::held_back).chain(whole).collect()
    }
}
