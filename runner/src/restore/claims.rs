//! Claims: who may change a target topic, and which restore has a name. Each is created once under the next number, so
//! that of two restores one finds it taken.
//!
//! A claim holds as long as the restore that made it is not over: its state says so, in one document for all its claims.
//! The state is saved before the claims are made; so whoever finds a claim finds what was done with the topic, too.

use std::collections::HashMap;

use archive::{ArchiveError, RestoreJournal, Store};
use contract::names::check_name;
use contract::words::safe;
use contract::{Code, Failure};
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::state::RestoreState;

/// Claims that are looked at at once.
const AT_ONCE: usize = 16;
/// Rounds against others who claim the same at the same time.
const ROUNDS: u32 = 5;

/// What can be claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Thing {
    /// The name of a restore, with its namespace.
    Name(String, String),
    /// A target topic, with the id that it has now, if it exists.
    Topic(String, Option<Uuid>),
}

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    /// Identity of the restore.
    restore: String,
    /// Its life: one that begins anew claims anew.
    life: String,
    /// What is claimed, for people.
    thing: String,
}

/// A restore that holds what somebody else wants.
#[derive(Debug)]
pub(crate) struct Holder {
    /// Its identity.
    pub(crate) restore: String,
    pub(crate) journal: RestoreJournal,
    pub(crate) state: RestoreState,
}

/// Where claims are, and who asks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claims<'a> {
    pub(crate) states: &'a Store,
    pub(crate) cluster: &'a str,
    /// Identity of the restore that asks.
    pub(crate) restore: &'a str,
    pub(crate) nonce: &'a str,
}

impl Thing {
    fn key(&self) -> String {
        match self {
            Self::Name(namespace, name) => format!("name/{namespace}/{name}"),
            Self::Topic(name, _) => format!("topic/{name}"),
        }
    }

    /// Why it cannot be had, and what to do.
    fn refusal(&self, holder: &RestoreState) -> Failure {
        let who = full_name(holder);
        let text = match self {
            Self::Name(..) => format!(
                "restore {who} is not finished and does something else than this specification says; run its own specification again, or end it with `kafka-backup-runner release FILE`, FILE being this specification"
            ),
            Self::Topic(topic, _) => format!(
                "target topic {topic} is claimed by restore {who}, which is not finished; let it end, or end it with `kafka-backup-runner release FILE {topic}`, FILE being this specification"
            ),
        };
        Failure::new(Code::TargetClaimed, text)
    }
}

/// A restore as people know it.
pub(crate) fn full_name(state: &RestoreState) -> String {
    if state.namespace.is_empty() { state.name.clone() } else { format!("{}/{}", state.namespace, state.name) }
}

impl Claims<'_> {
    /// The refusals of what others hold; nothing is claimed.
    pub(crate) async fn look(&self, things: &[Thing]) -> Result<Vec<Failure>, Failure> {
        let look = |thing: Thing| async move {
            let (_, found) = self.open(&thing).await?;
            let held = match found {
                Some(claim) if claim.restore != self.restore => self.holder(&claim, &thing).await?,
                _ => None,
            };
            Ok::<_, Failure>(held.map(|holder| thing.refusal(&holder.state)))
        };
        let found: Vec<_> = futures::stream::iter(things.to_vec()).map(look).buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Claims everything for this life of the restore, whose state is saved already.
    ///
    /// # Errors
    /// [`Code::TargetClaimed`] when another restore that is not over holds something.
    pub(crate) async fn take(&self, things: &[Thing], life: &str) -> Result<(), Failure> {
        let take = |thing: Thing| async move { self.take_one(&thing, life).await };
        futures::stream::iter(things.to_vec()).map(take).buffered(AT_ONCE).try_collect().await
    }

    async fn take_one(&self, thing: &Thing, life: &str) -> Result<(), Failure> {
        for _ in 0..ROUNDS {
            let (mut journal, found) = self.open(thing).await?;
            let ours = Claim { restore: self.restore.to_owned(), life: life.to_owned(), thing: thing.key() };
            match found {
                Some(claim) if claim == ours => return Ok(()),
                Some(claim) => {
                    if let Some(holder) = self.holder(&claim, thing).await? {
                        return Err(thing.refusal(&holder.state));
                    }
                }
                None => {}
            }
            match journal.save(&ours).await {
                Ok(_) => return Ok(()),
                // Somebody claimed it at the same time: look who.
                Err(ArchiveError::Fenced { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Failure::new(Code::Fenced, format!("{}: others keep claiming it at the same time", thing.key())))
    }

    /// Who holds something now.
    pub(crate) async fn held_by(&self, thing: &Thing) -> Result<Option<Holder>, Failure> {
        match self.open(thing).await?.1 {
            Some(claim) => self.holder(&claim, thing).await,
            None => Ok(None),
        }
    }

    async fn open(&self, thing: &Thing) -> Result<(RestoreJournal, Option<Claim>), Failure> {
        let nonce = self.nonce.to_owned();
        Ok(RestoreJournal::open_claim(self.states, self.cluster, &thing.key(), nonce).await?)
    }

    /// The restore that claimed something last, whether it is over or not.
    pub(crate) async fn claimed_by(&self, thing: &Thing) -> Result<Option<Holder>, Failure> {
        let Some(claim) = self.open(thing).await?.1 else { return Ok(None) };
        let behind = self.behind(&claim, thing).await?;
        Ok(behind.filter(|holder| holder.state.life == claim.life))
    }

    /// The restore behind a claim, if the claim still holds.
    async fn holder(&self, claim: &Claim, thing: &Thing) -> Result<Option<Holder>, Failure> {
        let behind = self.behind(claim, thing).await?;
        Ok(behind.filter(|holder| holds(claim, &holder.state, thing)))
    }

    /// The restore that a claim names.
    async fn behind(&self, claim: &Claim, thing: &Thing) -> Result<Option<Holder>, Failure> {
        let nonce = self.nonce.to_owned();
        let restore = claim.restore.clone();
        check_name(&restore).map_err(|rule| {
            let text =
                format!("the claim of {} names restore {}; it {rule}", thing.key(), safe(&format!("{restore:?}")));
            Failure::new(Code::StateMismatch, text)
        })?;
        let (journal, state): (_, Option<RestoreState>) =
            RestoreJournal::open(self.states, self.cluster, &restore, nonce).await?;
        Ok(state.map(|state| Holder { restore, journal, state }))
    }
}

/// Whether a claim keeps others out.
fn holds(claim: &Claim, state: &RestoreState, thing: &Thing) -> bool {
    if state.life != claim.life || state.ended.is_some() {
        return false;
    }
    let Thing::Topic(name, now) = thing else { return true };
    // The topic that was claimed may be gone: what has its name now is another one.
    let known: HashMap<_, _> = state.topics.iter().map(|topic| (topic.name.as_str(), topic.id)).collect();
    known.get(name.as_str()).is_none_or(|id| id.is_nil() || *now == Some(*id))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use archive::{Digest, Store};
    use object_store::memory::InMemory;

    use super::*;
    use crate::restore::state::{Ended, TargetTopic};

    fn state(name: &str, life: &str, id: Uuid) -> RestoreState {
        let topic = TargetTopic { name: "t".into(), id, ..TargetTopic::default() };
        let (life, plan) = (life.to_owned(), Digest::default());
        RestoreState { name: name.into(), life, plan, topics: vec![topic], ..RestoreState::default() }
    }

    async fn begin(store: &Store, name: &str, life: &str, id: Uuid) -> RestoreJournal {
        let (mut journal, _): (_, Option<RestoreState>) =
            RestoreJournal::open(store, "c", name, life.into()).await.unwrap();
        journal.save(&state(name, life, id)).await.unwrap();
        journal
    }

    fn claims<'a>(store: &'a Store, restore: &'a str) -> Claims<'a> {
        Claims { states: store, cluster: "c", restore, nonce: "n" }
    }

    #[tokio::test]
    async fn a_topic_has_one_restore_until_that_is_over() {
        let store = Store::new(Arc::new(InMemory::new()), "", "memory");
        let (one, two) = (claims(&store, "one"), claims(&store, "two"));
        let mut first = begin(&store, "one", "a", Uuid::nil()).await;
        begin(&store, "two", "b", Uuid::nil()).await;
        let topic = [Thing::Topic("t".into(), None)];
        one.take(&topic, "a").await.unwrap();
        one.take(&topic, "a").await.unwrap();
        let refused = two.take(&topic, "b").await.unwrap_err();
        assert_eq!(refused.code, Code::TargetClaimed);
        assert!(refused.message.contains("restore one") && refused.message.contains("release FILE t"), "{refused}");
        assert_eq!(two.look(&topic).await.unwrap().len(), 1);
        assert!(one.look(&topic).await.unwrap().is_empty());
        // It is over: the other may have it, and who begins anew does not get it back.
        first.save(&RestoreState { ended: Some(Ended::Completed), ..state("one", "a", Uuid::nil()) }).await.unwrap();
        two.take(&topic, "b").await.unwrap();
        first.save(&state("one", "c", Uuid::nil())).await.unwrap();
        assert_eq!(one.take(&topic, "c").await.unwrap_err().code, Code::TargetClaimed);
    }

    #[test]
    fn a_claim_ends_with_its_topic_or_its_life() {
        let (old, new) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let claim = Claim { restore: "one".into(), life: "a".into(), thing: String::new() };
        let of = |state: &RestoreState, now| holds(&claim, state, &Thing::Topic("t".into(), now));
        assert!(of(&state("one", "a", old), Some(old)));
        assert!(!of(&state("one", "a", old), Some(new)) && !of(&state("one", "a", old), None));
        assert!(of(&state("one", "a", Uuid::nil()), Some(new)), "it is about to be created");
        assert!(!of(&state("one", "b", old), Some(old)));
    }
}
