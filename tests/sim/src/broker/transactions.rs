//! Transactions as their coordinator has them, and what it answers.
//!
//! A coordinator says that a transaction ends before its markers are written. A leader that knows a newer epoch of the
//! producer refuses the marker for good, and the coordinator gives up without a word: whoever uses the transactional id
//! is told to come again, and consumers of that partition wait, for ever (seen on 3.9.2 and 4.3.1).

use std::collections::BTreeSet;

use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

use super::groups::coordinator;
use super::serve::Kafka;
use super::state::{EPOCH_MS, State};

/// An error of this name's coordinator: `CONCURRENT_TRANSACTIONS`.
const BUSY: i16 = 51;

/// A transaction that is open, or is being ended.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Partitions in it, by the topic's name: its marker comes also where the topic was made again meanwhile.
    pub partitions: BTreeSet<(String, i32)>,
    /// When it began.
    pub began_ms: u64,
    /// How it is being ended: a leader refused its marker.
    pub ending: Option<Ending>,
}

/// What the markers of a transaction say.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// It is committed, and not rolled back.
    pub committed: bool,
    /// The producer's epoch.
    pub epoch: i16,
}

impl State {
    /// The next producer epoch of a transactional id; what it had open is rolled back first, under an epoch of its own
    /// that nobody is told. Who names the id and epoch that it had gets the next one only if nobody was faster (KIP-360).
    pub(super) fn next_epoch(&mut self, name: &str, given: Option<(i64, i16)>, now_ms: u64) -> Result<(i64, i16), i16> {
        self.used_ms.insert(name.to_owned(), now_ms);
        let Some((id, mut epoch)) = self.transactional.get(name).copied() else {
            let fresh = (self.new_producer(), 0);
            self.transactional.insert(name.to_owned(), fresh);
            return Ok(fresh);
        };
        if self.is_ending(id) {
            return Err(BUSY);
        }
        if given.is_some_and(|(given, _)| given != id) {
            return Err(90);
        }
        if self.transactions.contains_key(&id) {
            epoch += 1;
            self.transactional.insert(name.to_owned(), (id, epoch));
            match given {
                Some((_, named)) if named == epoch - 1 && !self.is_old => {
                    self.named_epochs.insert(name.to_owned(), named);
                }
                Some(_) | None => drop(self.named_epochs.remove(name)),
            }
            self.end_transaction(id, false, now_ms);
            if self.is_ending(id) {
                return Err(BUSY);
            }
        }
        match given {
            Some((_, named)) if named == epoch => drop(self.named_epochs.insert(name.to_owned(), named)),
            // The same request once more.
            Some((_, named)) if self.named_epochs.get(name) == Some(&named) => {
                self.ended.remove(&(id, epoch));
                return Ok((id, epoch));
            }
            Some(_) => return Err(90),
            None => drop(self.named_epochs.remove(name)),
        }
        self.transactional.insert(name.to_owned(), (id, epoch + 1));
        Ok((id, epoch + 1))
    }

    /// Whether the transaction of a producer is being ended.
    fn is_ending(&self, producer: i64) -> bool {
        self.transactions.get(&producer).is_some_and(|open| open.ending.is_some())
    }

    /// What a coordinator says of a producer of a transactional id, as leaders ask; 0 when it is the newest one.
    pub(super) fn coordinated(&self, name: &str, producer: (i64, i16)) -> i16 {
        match self.transactional.get(name) {
            Some((id, epoch)) if *id == producer.0 => match *epoch == producer.1 {
                true if self.is_ending(*id) => BUSY,
                true => 0,
                false => 90,
            },
            Some(_) | None => 49,
        }
    }

    /// What a coordinator says to a producer; since 4.0 it looks first at whether it is busy.
    pub(super) fn refused(&self, name: &str, producer: (i64, i16)) -> i16 {
        match self.transactional.get(name) {
            Some((id, _)) if !self.is_old && self.is_ending(*id) => BUSY,
            Some(_) | None => self.coordinated(name, producer),
        }
    }

    /// Ends the transaction of a transactional id for its producer, or says why not.
    pub(super) fn end_for(&mut self, name: &str, producer: (i64, i16), committed: bool, now_ms: u64) -> i16 {
        let code = self.refused(name, producer);
        if code != 0 {
            return code;
        }
        self.used_ms.insert(name.to_owned(), now_ms);
        if self.transactions.contains_key(&producer.0) {
            self.end_transaction(producer.0, committed, now_ms);
            return 0;
        }
        // The same request once more, or nothing was open.
        if self.ended.get(&producer) == Some(&committed) { 0 } else { 48 }
    }

    /// A partition joins the transaction of a producer.
    pub(super) fn join(&mut self, producer: i64, place: (String, i32), now_ms: u64) {
        let open = self.transactions.entry(producer).or_default();
        open.began_ms = now_ms;
        open.partitions.insert(place);
    }

    /// Ends a transaction in all its partitions.
    pub fn end_transaction(&mut self, producer: i64, committed: bool, now_ms: u64) {
        let epoch = self.transactional.values().find(|(id, _)| *id == producer).map_or(0, |(_, epoch)| *epoch);
        let Some(open) = self.transactions.get_mut(&producer).filter(|open| open.ending.is_none()) else { return };
        let ending = Ending { committed, epoch };
        open.ending = Some(ending);
        let partitions = open.partitions.clone();
        self.mark(producer, ending, partitions, now_ms);
    }

    /// The coordinator started anew: it tries once more to end what it was ending, in every partition.
    pub(super) fn end_again(&mut self, now_ms: u64) {
        let ending = |(id, open): (&i64, &Transaction)| Some((*id, open.ending?, open.partitions.clone()));
        let all: Vec<_> = self.transactions.iter().filter_map(ending).collect();
        for (producer, ending, partitions) in all {
            self.mark(producer, ending, partitions, now_ms);
        }
    }

    /// Has markers written. The transaction is over where no leader refuses one.
    fn mark(&mut self, producer: i64, ending: Ending, partitions: BTreeSet<(String, i32)>, now_ms: u64) {
        let Ending { committed, epoch } = ending;
        let mut refused = false;
        for (topic, partition) in partitions {
            let Some(p) = self.partition(&topic, partition) else { continue };
            if p.log.producers.is_newer(producer, epoch) {
                refused = true;
            } else {
                p.log.marker(p.epoch, producer, epoch, committed, EPOCH_MS + now_ms as i64);
            }
        }
        if !refused {
            self.transactions.remove(&producer);
            self.ended.insert((producer, epoch), committed);
        }
    }

    /// A transactional id as an administrator is told of it.
    fn told(&self, name: &str) -> TransactionState {
        let out = TransactionState::default().with_transactional_id(TransactionalId(text(name)));
        let Some((id, epoch)) = self.transactional.get(name).copied() else {
            return out.with_error_code(105).with_producer_id(ProducerId(-1)).with_producer_epoch(-1);
        };
        let open = self.transactions.get(&id);
        let word = match (open.map(|open| open.ending), self.ended.get(&(id, epoch))) {
            (Some(None), _) => "Ongoing",
            (Some(Some(Ending { committed: true, .. })), _) => "PrepareCommit",
            (Some(Some(Ending { committed: false, .. })), _) => "PrepareAbort",
            (None, Some(true)) => "CompleteCommit",
            (None, Some(false)) => "CompleteAbort",
            (None, None) => "Empty",
        };
        let began = open.map_or(-1, |open| EPOCH_MS + open.began_ms as i64);
        let topic = |(topic, partition): &(String, i32)| {
            TopicData::default().with_topic(TopicName(text(topic))).with_partitions(vec![*partition])
        };
        let topics = open.iter().flat_map(|open| open.partitions.iter().map(topic)).collect();
        let out = out.with_transaction_state(text(word)).with_transaction_start_time_ms(began).with_topics(topics);
        out.with_producer_id(ProducerId(id)).with_producer_epoch(epoch)
    }
}

impl Kafka {
    pub(super) fn describe_transactions(
        &self,
        broker: i32,
        request: &DescribeTransactionsRequest,
    ) -> DescribeTransactionsResponse {
        let state = self.look();
        let one = |name: &TransactionalId| {
            if coordinator(&state, &name.0) == Some(broker) {
                state.told(&name.0)
            } else {
                TransactionState::default().with_transactional_id(name.clone()).with_error_code(16)
            }
        };
        DescribeTransactionsResponse::default()
            .with_transaction_states(request.transactional_ids.iter().map(one).collect())
    }
}

fn text(value: &str) -> StrBytes {
    StrBytes::from_string(value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A cluster with two partitions in the transaction of "t", of which the second knows a newer epoch of its producer.
    fn refusing() -> (State, i64) {
        let mut state = State::new(1);
        state.create_topic("a", 2, 1, 0);
        let (id, epoch) = state.next_epoch("t", None, 0).unwrap();
        for partition in 0..2 {
            state.join(id, ("a".to_owned(), partition), 0);
        }
        state.partition("a", 1).unwrap().log.producers.note(id, epoch + 1, (0, 0), 0, 0);
        (state, id)
    }

    #[test]
    fn a_marker_that_a_leader_refuses_is_never_written() {
        let (mut state, id) = refusing();
        assert_eq!(state.end_for("t", (id, 0), false, 1), 0);
        let ends = |state: &mut State| (0..2).map(|n| state.partition("a", n).unwrap().log.end).collect::<Vec<_>>();
        assert_eq!(ends(&mut state), [1, 0]);
        assert_eq!(&*state.told("t").transaction_state, "PrepareAbort");
        // All who use the name are told to come again.
        assert_eq!(state.end_for("t", (id, 0), false, 2), BUSY);
        assert_eq!(state.refused("t", (id, 0)), BUSY);
        assert_eq!(state.next_epoch("t", None, 3), Err(BUSY));
        // A coordinator that starts anew has all markers written, and no more luck.
        state.restart(&BTreeMap::new(), 4);
        assert_eq!(ends(&mut state), [2, 0]);
        assert_eq!(&*state.told("t").transaction_state, "PrepareAbort");
        // Without the partition that refuses it comes to its end.
        state.topics.get_mut("a").unwrap().partitions.truncate(1);
        state.restart(&BTreeMap::new(), 5);
        assert_eq!(&*state.told("t").transaction_state, "CompleteAbort");
        assert_eq!(state.end_for("t", (id, 0), false, 6), 0);
    }

    #[test]
    fn what_is_asked_first_differs_by_release() {
        let (mut state, id) = refusing();
        state.end_transaction(id, true, 1);
        assert_eq!(state.refused("t", (id, 7)), BUSY);
        assert_eq!(state.coordinated("t", (id, 7)), 90);
        state.is_old = true;
        assert_eq!(state.refused("t", (id, 7)), 90);
        assert_eq!(state.refused("t", (id + 1, 0)), 49);
    }
}
