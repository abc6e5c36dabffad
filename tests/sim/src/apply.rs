//! Doing to the model what a script says.

use crate::attempt::Ground;
use crate::broker::{Kafka, Power};
use crate::rng::Rng;
use crate::script::Action;
use crate::store::ModelStore;
use crate::trace::Trace;

/// The world that actions change.
pub(crate) struct Apply {
    kafka: Kafka,
    store: ModelStore,
    trace: Trace,
    rng: Rng,
    /// Producers of the transactions that the script names.
    transactions: Vec<(u32, i64)>,
}

impl Apply {
    pub(crate) fn new(ground: &Ground) -> Self {
        let Ground { kafka, store, trace, script, .. } = ground.clone();
        Self { kafka, store, trace, rng: Rng::new(script.seed, "actions"), transactions: Vec::new() }
    }

    /// Does it; what concerns the runner itself is done elsewhere.
    pub(crate) async fn apply(&mut self, action: &Action) {
        self.trace.step(format_args!("{action:?}"));
        let now = self.trace.now_ms();
        match action {
            Action::Store(rule) => self.store.faults().rules.push(rule.clone()),
            Action::Lose(part) => {
                let keys = self.store.keys(part).await;
                self.store.remove(&keys).await;
            }
            Action::Expire(percent) => {
                let mut keys = self.store.keys(".seg").await;
                keys.retain(|_| self.rng.percent(*percent));
                self.store.remove(&keys).await;
            }
            Action::Begin(number, topic, partitions, records, size) => {
                let producer = self.kafka.change(crate::broker::State::new_producer);
                self.transactions.push((*number, producer));
                self.kafka.change(|state| {
                    for partition in partitions {
                        let sizes = vec![*size; *records as usize];
                        state.produce(topic, *partition, &sizes, Some(producer), now);
                    }
                });
            }
            Action::End(number, committed) => {
                let found = self.transactions.iter().find(|(known, _)| known == number).map(|(_, producer)| *producer);
                if let Some(producer) = found {
                    self.kafka.change(|state| state.end_transaction(producer, *committed, now));
                }
            }
            Action::Heal => {
                self.store.faults().heal();
                self.change(action, now);
            }
            Action::Wait(millis) => tokio::time::sleep(std::time::Duration::from_millis(*millis)).await,
            Action::Kill | Action::Freeze(_) | Action::Rival | Action::Restore(_) | Action::Prune(_) => {}
            _ => self.change(action, now),
        }
    }

    fn change(&self, action: &Action, now: u64) {
        let rng = &self.rng;
        self.kafka.change(|state| match action {
            Action::Create(name, partitions, replicas) => state.create_topic(name, *partitions, *replicas, now),
            Action::Delete(name) => state.delete_topic(name, now),
            Action::Widen(name, more) => state.add_partitions(name, *more, 2, now),
            Action::Forbid(name, forbidden) => {
                if let Some(topic) = state.topics.get_mut(name) {
                    topic.forbidden = *forbidden;
                }
            }
            Action::Config(topic, name, value) => {
                if let Some(topic) = state.topics.get_mut(topic) {
                    topic.configs.insert(name.clone(), value.clone());
                    state.strangers.set(&topic.name, name, value);
                }
            }
            Action::Produce(topic, partition, batches, records, size) => {
                for _ in 0..*batches {
                    state.produce(topic, *partition, &vec![*size; *records as usize], None, now);
                }
            }
            Action::Trim(topic, partition, percent) => {
                if let Some(p) = state.partition(topic, *partition) {
                    let to = p.log.start + (p.log.end - p.log.start) * (*percent as i64) / 100;
                    p.log.trim(to);
                }
            }
            Action::Erase(topic, partition, to) => {
                if let Some(p) = state.partition(topic, *partition) {
                    p.log.delete_before(*to);
                }
            }
            Action::Compact(topic, partition, keep, below) => {
                if let Some(p) = state.partition(topic, *partition) {
                    let below = p.log.start + (p.log.end - p.log.start) * (*below as i64) / 100;
                    p.log.compact(below, || rng.percent(*keep), || rng.percent(20));
                }
            }
            Action::Cut(topic, partition, records) => {
                if let Some(p) = state.partition(topic, *partition).filter(|p| p.leader >= 0) {
                    p.log.cut(p.log.end - records);
                    p.epoch += 1;
                    p.log.note_epoch(p.epoch);
                }
            }
            Action::Move(topic, partition) => state.move_leader(topic, *partition),
            Action::Stop(broker) => state.stop(*broker),
            Action::Start(broker) => state.start(*broker),
            Action::Silence(broker, silent) => {
                if let Some(found) = state.brokers.get_mut(broker).filter(|found| found.power != Power::Down) {
                    found.power = if *silent { Power::Silent } else { Power::Up };
                }
            }
            Action::Sleep(broker) => state.sleep(*broker),
            Action::Wake(broker) => state.wake(*broker),
            Action::Learn(broker) => state.learn(*broker),
            Action::Replace(broker, by) => state.replace(*broker, *by),
            Action::Empty(millis) => state.faults.empty_until = now + millis,
            Action::Slow(millis) => state.faults.slow_ms = *millis,
            Action::Throttle(api, 0) => drop(state.faults.throttle.remove(api)),
            Action::Throttle(api, millis) => drop(state.faults.throttle.insert(*api, *millis)),
            Action::Quota(bytes) => state.faults.quota = *bytes,
            Action::Undescribe(topic, code) => drop(state.faults.undescribed.insert(topic.clone(), *code)),
            Action::Deny(topic, partition) => drop(state.faults.denied.insert((topic.clone(), *partition))),
            Action::Code(api, code, count) => drop(state.faults.codes.insert(*api, (*code, *count))),
            Action::Break(api, broken, count) => {
                state.faults.broken.extend(std::iter::repeat_n((*api, *broken), *count as usize));
            }
            Action::Offer(api, version) => drop(state.faults.versions.insert(*api, *version)),
            Action::Commit(group, topic, partition) => {
                let end = state.partition(topic, *partition).map(|p| p.log.end);
                if let Some(end) = end {
                    let offsets = &mut state.groups.entry(group.clone()).or_default().offsets;
                    offsets.insert((topic.clone(), *partition), end);
                }
            }
            Action::Expiration(expiration) => state.expiration = Some(*expiration),
            Action::Sweep => state.sweep(now),
            Action::Heal => {
                state.faults.heal();
                let brokers: Vec<i32> = state.brokers.keys().copied().collect();
                for broker in brokers {
                    state.start(broker);
                }
                state.topics.values_mut().for_each(|topic| topic.forbidden = false);
            }
            other => unreachable!("{other:?} is done elsewhere"),
        });
    }
}
