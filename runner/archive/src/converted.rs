//! What a set was converted from, and what is lost of that. Every seal of such a set says it.

use contract::ForeignRecords;
use serde::{Deserialize, Serialize};

use crate::{Digest, Problem};

/// Losses that are named; more are only counted.
const NAMED: usize = 1_000;

/// The archive of another tool that a set was converted from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Converted {
    /// Its name.
    pub from: String,
    /// BLAKE3-256 of its manifest as it was stored.
    pub manifest: Digest,
    /// What was done with its records.
    pub records: ForeignRecords,
    /// Recovery point that holds it.
    pub point: String,
    /// What it lost, in words that begin with the place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<String>,
    /// Losses that are not named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_losses: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks with a reference
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Converted {
    /// Names what is lost.
    pub fn name(&mut self, losses: &[Problem]) {
        self.losses = losses.iter().take(NAMED).map(ToString::to_string).collect();
        self.more_losses = losses.len().saturating_sub(NAMED) as u64;
    }

    /// What somebody who reads a point of the set must know; `key` is that of its seal.
    pub(crate) fn notes(&self, key: &str) -> Vec<Problem> {
        let Self { from, point, losses, more_losses, .. } = self;
        let note = |what: String| Problem::new(key, format!("{point} was converted from {from}: {what}"));
        let more = (*more_losses > 0).then(|| note(format!("{more_losses} more losses are not named")));
        losses.iter().map(|loss| note(loss.clone())).chain(more).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_named_with_their_place_and_the_rest_is_counted() {
        let mut converted = Converted {
            from: "old".to_owned(),
            manifest: Digest::of(b""),
            records: ForeignRecords::Cleaned,
            point: "new-20260131-080000".to_owned(),
            losses: Vec::new(),
            more_losses: 0,
        };
        let loss = |number: usize| Problem::new(format!("t/{number}"), "it is lost");
        converted.name(&(0..NAMED + 2).map(loss).collect::<Vec<_>>());
        let notes = converted.notes("seal");
        assert_eq!(notes.len(), NAMED + 1);
        assert_eq!(notes[0].what, "new-20260131-080000 was converted from old: t/0: it is lost");
        assert!(notes.last().is_some_and(|note| note.what.ends_with("2 more losses are not named")));
    }
}
