//! What the source is compared with: the last recovery point of the same backup. A set that a run extends knows it by
//! itself; a full run has a set of its own, and looks into the one before it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use archive::{ArchiveError, Catalog, LastFull, Layout, Owner, SetState, Store, TopicState};
use contract::{BackupSpec, Before};
use uuid::Uuid;

use super::identity::Identity;
use crate::emit::Emitter;

/// Points that are looked at, at most, for a topic that the newest ones could not read.
const OLDEST: usize = 30;

/// The last recovery point before a run.
#[derive(Debug, Default)]
pub(crate) struct Last {
    /// The set that holds it; absent when there is none.
    pub(crate) set: Option<Layout>,
    /// What lies before the point of a full run; `None` where that is not known.
    pub(crate) before: Option<Before>,
    /// What it knew, where the run's own set does not.
    known: Option<SetState>,
    /// Topics that it names and knows nothing of.
    absent: BTreeSet<String>,
}

impl Last {
    /// Looks for it. A point that cannot be read is no reason not to make the next one.
    pub(crate) async fn find(
        store: &Store,
        identity: &Identity,
        owner: &Owner,
        backup: &BackupSpec,
        emitter: &Emitter,
    ) -> Self {
        if backup.extends_set() {
            return Self { set: Some(identity.layout.clone()), ..Self::default() };
        }
        match Self::before(store, identity.layout.set(), owner).await {
            Ok(last) => last,
            Err(error) => {
                emitter.warn(format!(
                    "the last recovery point cannot be read, so it is not known whether a topic is missing now: {error}"
                ));
                Self::default()
            }
        }
    }

    async fn before(store: &Store, set: &str, owner: &Owner) -> Result<Self, ArchiveError> {
        let catalog = Catalog::new(store.clone());
        let mut out = Self::default();
        let mut at = set.to_owned();
        for place in 0..OLDEST {
            let last = catalog.last_full(&owner.name, &at).await?;
            if place == 0 {
                out.before = before(&last);
            }
            let LastFull::Point(layout, entry) = last else { break };
            let Some(seal) = entry.seal.as_ref().filter(|seal| seal.owner == *owner) else {
                // Another backup, or another cluster: it says nothing about this source.
                break;
            };
            let mut state = SetState::default();
            state.apply(&entry)?;
            layout.set().clone_into(&mut at);
            match &mut out.known {
                None => out.known = Some(state),
                Some(known) => add(known, &state, &out.absent),
            }
            out.set.get_or_insert(layout);
            // A full point has nothing of a topic that it could not read: the point before it knows the topic.
            let known = |name: &str| out.known.iter().flat_map(|known| known.topics.values()).any(|t| t.name == name);
            out.absent.extend(seal.held_back.iter().map(|held| held.topic.clone()));
            out.absent = out.absent.iter().filter(|name| !known(name)).cloned().collect();
            if out.absent.is_empty() {
                break;
            }
        }
        Ok(out)
    }

    /// Topics that are known from before this run: `own` are those of its set.
    pub(crate) fn topics(&self, mut own: BTreeMap<Uuid, TopicState>) -> BTreeMap<Uuid, TopicState> {
        for (id, topic) in self.known.iter().flat_map(|known| &known.topics) {
            own.entry(*id).or_insert_with(|| topic.clone());
        }
        own
    }

    /// The rows of all topics: what the run's set says, and of other topics what the last point says. Nothing of those is
    /// in the run's set, so they begin where the source's log did.
    pub(crate) fn with<'s>(&self, state: &'s SetState) -> Cow<'s, SetState> {
        let Some(last) = &self.known else { return Cow::Borrowed(state) };
        let mut all = state.clone();
        for (key, row) in last.partitions.iter().filter(|((id, _), _)| !state.topics.contains_key(id)) {
            let mut row = row.clone();
            row.next = row.log_start.min(row.high_watermark);
            all.partitions.insert(*key, row);
        }
        all.topics = self.topics(all.topics);
        Cow::Owned(all)
    }
}

fn before(last: &LastFull) -> Option<Before> {
    match last {
        LastFull::Point(_, entry) => Some(Before::stamp(Some(&entry.point))),
        LastFull::Nothing => Some(Before::Nothing),
        LastFull::Unfinished => None,
    }
}

/// Adds live topics of these names, with their rows.
fn add(known: &mut SetState, older: &SetState, names: &BTreeSet<String>) {
    for (id, topic) in older.topics.iter().filter(|(_, topic)| topic.live && names.contains(&topic.name)) {
        known.topics.insert(*id, topic.clone());
        let rows = older.partitions.iter().filter(|((of, _), _)| of == id);
        known.partitions.extend(rows.map(|(key, row)| (*key, row.clone())));
    }
}

#[cfg(test)]
mod tests {
    use archive::PartitionState;

    use super::*;

    fn state(topics: &[(u128, &str)]) -> SetState {
        let mut state = SetState::default();
        for (id, name) in topics {
            let id = Uuid::from_u128(*id);
            state.topics.insert(id, TopicState::new(id, name, 1, 1));
            let mut row = PartitionState::new(0, 7);
            (row.next, row.log_start, row.high_watermark) = (90, 5, 100);
            state.partitions.insert((id, 0), row);
        }
        state
    }

    #[test]
    fn what_only_the_last_point_knows_is_missing_from_its_log_start_on() {
        let last = Last { known: Some(state(&[(1, "a"), (2, "b")])), ..Last::default() };
        let own = state(&[(2, "b"), (3, "c")]);
        let all = last.with(&own);
        assert_eq!(all.topics.values().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c"]);
        let next = |id| all.partitions[&(Uuid::from_u128(id), 0)].next;
        assert_eq!((next(1), next(2), next(3)), (5, 90, 90));
        assert!(matches!(Last::default().with(&own), Cow::Borrowed(_)));
    }

    #[test]
    fn a_topic_that_the_newest_point_could_not_read_is_known_from_an_older_one() {
        let mut known = state(&[(2, "b")]);
        let older = state(&[(1, "a"), (3, "gone")]);
        add(&mut known, &older, &BTreeSet::from(["a".to_owned()]));
        assert_eq!(known.topics.values().map(|topic| topic.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(known.partitions.len(), 2);
    }
}
