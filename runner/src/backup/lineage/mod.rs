//! Which topic of the source a topic of a converted archive is. Such an archive knows no topic ids: its topics have ids of
//! the set alone, and the first run that goes on with the set compares their last records with those of the source.
//!
//! What is decided once stands in the log (`sourceId` of the topic) and is not decided again. Where records differ, or none
//! can be compared, the topic of the source begins a lineage of its own, and nothing of it is taken to be archived.

mod judge;
mod sample;

use std::collections::{BTreeMap, HashSet};

use archive::{ArchiveError, Chain, Head, Layout, Owner, SetState, Store, TopicState};
use contract::{BackupSpec, Code, Failure};
use uuid::Uuid;
use wire::{Cluster, Topic};

use self::judge::{Decision, decide};
use self::sample::{archived, beside};
use super::lineages::Lineages;
use crate::emit::Emitter;

/// Topics that a refusal names.
const NAMED: usize = 5;

/// What a set knows, as far as it was converted: the newest point, the state behind it, and the owner.
struct Known {
    seal: u64,
    state: SetState,
    owner: Option<Owner>,
}

/// What the set must know to go on: `None` where it was not converted, or has no recovery point.
async fn known(store: &Store, layout: &Layout, head: &Head) -> Result<Option<Known>, ArchiveError> {
    let is_converted = |topics: &[TopicState]| topics.iter().any(|topic| topic.source_id.is_some());
    let seal = match (&head.entry.seal, head.entry.last_seal) {
        (Some(seal), _) if is_converted(&seal.topics) => head.entry.n,
        (None, Some(number)) => {
            let found = Chain::new(store.clone(), layout.clone()).entry(number).await;
            match found {
                Ok((entry, _)) if entry.seal.as_ref().is_some_and(|seal| is_converted(&seal.topics)) => number,
                Ok(_) => return Ok(None),
                // Whoever opens the set says what is wrong with it, or that retention removed it.
                Err(error) if error.is_damage() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        (Some(_), _) | (None, None) => return Ok(None),
    };
    let (state, owner) = archive::known_state(store, layout, head.clone()).await?;
    Ok(Some(Known { seal, state, owner }))
}

/// A topic of the source whose name a topic of the converted archive has, and the id of that.
struct Pair<'t> {
    source: &'t Topic,
    ours: Uuid,
}

/// Topics of which nobody has decided yet which they are.
fn pairs<'t>(state: &SetState, found: &'t [Topic]) -> Vec<Pair<'t>> {
    let decided: HashSet<Uuid> =
        state.topics.values().flat_map(|topic| [Some(topic.id), topic.source_id]).flatten().collect();
    let open: BTreeMap<&str, Uuid> = state
        .topics
        .values()
        .filter(|topic| topic.is_undecided())
        .map(|topic| (topic.name.as_str(), topic.id))
        .collect();
    let found = found.iter().filter(|topic| topic.error == 0 && !decided.contains(&topic.id));
    found.filter_map(|source| Some(Pair { source, ours: *open.get(source.name.as_str())? })).collect()
}

/// Finds out which topics of the source are those of a converted archive, before the set is claimed.
///
/// # Errors
/// When it cannot be told now; when the archive does not say of which cluster it is, and nothing shows that it is of this one.
pub(crate) async fn find(
    cluster: &Cluster,
    (store, layout): (&Store, &Layout),
    head: Option<&Head>,
    (owner, backup): (&Owner, &BackupSpec),
    found: &[Topic],
    emitter: &Emitter,
) -> Result<Lineages, Failure> {
    let Some(head) = head else { return Ok(Lineages::default()) };
    let Some(Known { seal, state, owner: known_owner }) = known(store, layout, head).await? else {
        return Ok(Lineages::default());
    };
    let mut lineages = Lineages::of(state.topics.values());
    // Whoever opens the set refuses everybody else.
    let may_go_on = |known: &Owner| known == owner || owner.may_be(known) || backup.adopt;
    if !known_owner.as_ref().is_none_or(may_go_on) {
        return Ok(lineages);
    }
    let pairs = pairs(&state, found);
    let keys: HashSet<(Uuid, i32)> =
        state.partitions.keys().filter(|(id, _)| pairs.iter().any(|pair| pair.ours == *id)).copied().collect();
    let samples = archived(store, layout, seal, &keys).await?;
    let mut refusals = Vec::new();
    for pair in &pairs {
        let verdicts = beside(cluster, pair.source, pair.ours, &samples).await?;
        match decide(&verdicts) {
            Decision::Same => {
                tracing::info!(topic = pair.source.name, "it goes on where the converted archive ends");
                lineages.learn(pair.source.id, pair.ours);
            }
            Decision::Later(why) => {
                let text = format!(
                    "topic {}: whether the set {} goes on with it is not known now: {why}; run again. Nothing was written",
                    pair.source.name,
                    layout.set()
                );
                return Err(Failure::new(Code::BrokerFailed, text));
            }
            Decision::Another(why) => refusals.push(format!("topic {}: {why}", pair.source.name)),
        }
    }
    let is_unknown = known_owner.as_ref().is_some_and(|known| known != owner && owner.may_be(known));
    if is_unknown && !lineages.learned() && !backup.adopt {
        return Err(unproved(layout.set(), &refusals));
    }
    for refusal in refusals {
        emitter.warn(format!(
            "{refusal}. It begins anew in this set; what the converted archive has of it stays in the recovery points before"
        ));
    }
    Ok(lineages)
}

/// That nothing shows that the set is of this cluster.
fn unproved(set: &str, refusals: &[String]) -> Failure {
    let more = refusals.len().saturating_sub(NAMED);
    let shown = refusals.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ");
    let why = match (shown.is_empty(), more) {
        (true, _) => "none of its topics is among those that are backed up".to_owned(),
        (false, 0) => shown,
        (false, more) => format!("{shown}; and {more} more"),
    };
    let text = format!(
        "set {set} was converted from an archive that does not say of which cluster it is, and nothing shows that it is of this \
         one: {why}. Use another name; or, where it is of this cluster, run once with backup.adopt: true, which begins these \
         topics anew in it. Nothing was written"
    );
    Failure::new(Code::ForeignOwner, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, id: u128) -> Topic {
        let id = Uuid::from_u128(id);
        Topic { name: name.into(), id, wire_id: id, internal: false, partitions: Vec::new(), error: 0 }
    }

    fn state(topics: &[(&str, u128, Option<u128>)]) -> SetState {
        let mut state = SetState::default();
        for (name, id, source) in topics {
            let id = Uuid::from_u128(*id);
            let source_id = source.map(Uuid::from_u128);
            state.topics.insert(id, TopicState { source_id, ..TopicState::new(id, name, 1, 1) });
        }
        state
    }

    #[test]
    fn only_what_nobody_decided_is_compared() {
        let mut state =
            state(&[("a", 1, Some(0)), ("b", 2, Some(20)), ("c", 3, None), ("d", 4, Some(0)), ("e", 5, Some(0))]);
        // One began anew: its name is there twice.
        let anew = Uuid::from_u128(40);
        state.topics.insert(anew, TopicState::new(anew, "d", 1, 1));
        state.topics.get_mut(&Uuid::from_u128(5)).unwrap().live = false;
        let found = [topic("a", 10), topic("b", 20), topic("c", 3), topic("d", 40), topic("e", 50), topic("f", 60)];
        let pairs: Vec<_> = pairs(&state, &found).iter().map(|pair| (pair.source.name.clone(), pair.ours)).collect();
        assert_eq!(pairs, [("a".to_owned(), Uuid::from_u128(1))]);
    }

    #[test]
    fn a_refusal_names_what_was_compared() {
        let refusals: Vec<_> = (0..7).map(|n| format!("topic t{n}: it differs")).collect();
        let text = unproved("orders", &refusals).message;
        assert!(text.contains("t4") && !text.contains("t5") && text.contains("and 2 more"), "{text}");
        assert!(unproved("orders", &[]).message.contains("none of its topics"));
    }
}
