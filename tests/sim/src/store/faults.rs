//! What can go wrong between a store and its client.

use std::collections::BTreeMap;

/// Requests to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Write, over what is there.
    Put,
    /// Create, if absent.
    Create,
    /// One part of an upload.
    Part,
    /// The end of an upload.
    Complete,
    /// Read.
    Get,
    /// Look at.
    Head,
    /// List.
    List,
    /// Delete.
    Delete,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is done, and its answer is lost: the client tries again by itself, and hears what a second try hears.
    LostAnswer,
    /// It is done, and the client gives up after its own retries.
    DoneButFailed,
    /// It is not done, and the client gives up after its own retries.
    Failed,
    /// The client gives up at once; it is done so many milliseconds later.
    Late(u64),
    /// It takes so many milliseconds longer.
    Slow(u64),
    /// What is read is said not to be there.
    NotFound,
    /// What is written is not listed for so many milliseconds.
    ListedLate(u64),
    /// What is written is not listed and cannot be read for so many milliseconds.
    SeenLate(u64),
}

/// A fault for the next requests that fit.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Which request.
    pub op: Op,
    /// Part of the key; empty for any.
    pub key: String,
    /// What goes wrong.
    pub fault: Fault,
    /// How often.
    pub count: u32,
}

/// Everything that goes wrong with a store now.
#[derive(Debug, Default)]
pub struct StoreFaults {
    /// Rules, the first that fits counts.
    pub rules: Vec<Rule>,
    /// Keys that lists do not show until a virtual millisecond.
    pub(super) unlisted: BTreeMap<String, u64>,
    /// Keys that cannot be read until a virtual millisecond.
    pub(super) unread: BTreeMap<String, u64>,
}

impl StoreFaults {
    /// What goes wrong with this request.
    pub(super) fn take(&mut self, op: Op, key: &str) -> Option<Fault> {
        let at = self.rules.iter().position(|rule| rule.op == op && key.contains(&rule.key))?;
        let fault = self.rules[at].fault;
        self.rules[at].count -= 1;
        if self.rules[at].count == 0 {
            self.rules.remove(at);
        }
        Some(fault)
    }

    pub(super) fn hidden(map: &BTreeMap<String, u64>, key: &str, now: u64) -> bool {
        map.get(key).is_some_and(|until| now < *until)
    }

    /// Nothing goes wrong any more; everything is seen.
    pub fn heal(&mut self) {
        *self = Self::default();
    }
}
