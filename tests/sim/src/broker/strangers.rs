//! Configs that somebody sets in the target of a restore: the restore's next attempt sets its own before it writes.

use std::collections::{BTreeMap, BTreeSet};

use super::state::State;

/// Configs that strangers set, and the restored batches that were appended in spite of them.
#[derive(Debug, Default)]
pub struct Strangers {
    /// Value by topic and config.
    set: BTreeMap<(String, String), String>,
    /// Those that were set before the present attempt began.
    due: BTreeMap<(String, String), String>,
    /// Producers that the present attempt asked for.
    producers: BTreeSet<i64>,
    /// What is wrong, in words.
    pub wrong: BTreeSet<String>,
}

impl Strangers {
    /// Somebody sets a config. In the middle of an attempt only the next one must have seen it, also where the value is the one of
    /// before.
    pub(crate) fn set(&mut self, topic: &str, config: &str, value: &str) {
        let what = (topic.to_owned(), config.to_owned());
        self.due.remove(&what);
        self.set.insert(what, value.to_owned());
    }

    /// An attempt begins. Batches of earlier ones may still be on their way.
    pub(crate) fn attempt(&mut self) {
        self.due = self.set.clone();
        self.producers.clear();
    }

    /// The present attempt gets a producer id.
    pub(super) fn producer(&mut self, id: i64) {
        self.producers.insert(id);
    }
}

impl State {
    /// A producer appended to a topic.
    pub(super) fn appended_beside_strangers(&mut self, topic: &str, producer: i64) {
        let Some(found) = self.topics.get(topic).filter(|_| self.strangers.producers.contains(&producer)) else {
            return;
        };
        let is_due = |((of, config), value): &(&(String, String), &String)| {
            of == topic && found.configs.get(config) == Some(value)
        };
        for ((_, config), value) in self.strangers.due.iter().filter(is_due) {
            let text =
                format!("an attempt wrote into {topic} beside {config}={value}, which somebody set before it began");
            self.strangers.wrong.insert(text);
        }
    }
}
