//! Brokers that sleep, as a frozen process does: the others go on without them, and when they wake up they answer by what they knew
//! before, until they hear what happened.

use std::collections::BTreeMap;

use super::state::{Broker, Power, State, Topic};

impl State {
    /// The topics as this broker knows them.
    pub(super) fn topics_of(&self, broker: i32) -> &BTreeMap<String, Topic> {
        self.behind.get(&broker).unwrap_or(&self.topics)
    }

    /// A broker falls asleep: others lead what it led.
    pub fn sleep(&mut self, broker: i32) {
        let Some(found) = self.brokers.get_mut(&broker).filter(|found| found.power == Power::Up) else { return };
        found.power = Power::Down;
        self.behind.insert(broker, self.topics.clone());
        self.elect();
        if let Some(found) = self.brokers.get_mut(&broker) {
            found.power = Power::Silent;
        }
    }

    /// It wakes up.
    pub fn wake(&mut self, broker: i32) {
        let asleep = |found: &&mut Broker| found.power == Power::Silent;
        if let Some(found) = self.brokers.get_mut(&broker).filter(asleep) {
            found.power = Power::Up;
        }
    }

    /// It hears of what happened meanwhile.
    pub fn learn(&mut self, broker: i32) {
        self.behind.remove(&broker);
    }
}
