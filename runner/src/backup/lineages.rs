//! Ids of the set for topics of the source that have others: those that came with a converted archive. `lineage` finds out
//! which they are, the log says it, and whoever asks the cluster for topics gets them with the ids of the set from here.

use std::collections::{HashMap, HashSet};

use archive::TopicState;
use contract::{BackupSpec, Failure};
use uuid::Uuid;
use wire::{Cluster, Topic};

use super::select::{self, Chosen};

/// Ids that topics of the source have in the set, where these are others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lineages {
    /// By the id that the source gives.
    ours: HashMap<Uuid, Uuid>,
    /// Those of them that no entry of the log names yet.
    new: HashSet<Uuid>,
}

impl Lineages {
    /// Those that a set knows.
    pub(crate) fn of<'t>(topics: impl Iterator<Item = &'t TopicState>) -> Self {
        let known = topics.filter_map(|topic| Some((topic.source_id.filter(|id| !id.is_nil())?, topic.id)));
        Self { ours: known.collect(), new: HashSet::new() }
    }

    /// A topic of the source is one of the set, and no entry says so yet.
    pub(crate) fn learn(&mut self, source: Uuid, ours: Uuid) {
        self.ours.insert(source, ours);
        self.new.insert(source);
    }

    /// Whether anything was learned.
    pub(crate) fn learned(&self) -> bool {
        !self.new.is_empty()
    }

    /// Gives topics the ids that they have in the set. Brokers are asked for `wire_id` as before.
    pub(crate) fn name(&self, topics: &mut [Topic]) {
        for topic in topics {
            if let Some(id) = self.ours.get(&topic.id) {
                topic.id = *id;
            }
        }
    }

    /// The same for all that was found.
    pub(crate) fn found(&self, mut chosen: Chosen) -> Chosen {
        self.name(&mut chosen.topics);
        self.name(&mut chosen.undescribed);
        chosen
    }

    /// As [`select::rediscover`], with the ids of the set.
    ///
    /// # Errors
    /// As that.
    pub(crate) async fn rediscover(&self, cluster: &Cluster, backup: &BackupSpec) -> Result<Chosen, Failure> {
        Ok(self.found(select::rediscover(cluster, backup).await?))
    }

    /// Of a topic with the id of the set: which of the source it is, where no entry says it yet.
    pub(crate) fn learned_of(&self, topic: &Topic) -> Option<Uuid> {
        self.new.iter().find(|source| self.ours.get(source) == Some(&topic.id)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_the_ids_of_the_set_and_the_claim_says_what_is_new() {
        let known = |id: u128, source: Option<u128>| TopicState {
            source_id: source.map(Uuid::from_u128),
            ..TopicState::new(Uuid::from_u128(id), "t", 1, 1)
        };
        let mut lineages = Lineages::of([known(2, Some(20)), known(3, None), known(1, Some(0))].iter());
        assert!(!lineages.learned());
        lineages.learn(Uuid::from_u128(10), Uuid::from_u128(1));
        let topic = |id: u128| {
            let id = Uuid::from_u128(id);
            Topic { name: "t".into(), id, wire_id: id, internal: false, partitions: Vec::new(), error: 0 }
        };
        let mut found = [topic(10), topic(20), topic(3)];
        lineages.name(&mut found);
        assert_eq!(found.iter().map(|topic| topic.id.as_u128()).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(found[0].wire_id, Uuid::from_u128(10), "brokers are asked for what they know");
        let sources: Vec<_> = found.iter().map(|topic| lineages.learned_of(topic)).collect();
        assert_eq!(sources, [Some(Uuid::from_u128(10)), None, None]);
    }
}
