//! Whether a set is the one that its folder's name says.
//!
//! Folders can be copied and moved by tools that know nothing of archives. A restore of another set than the one that
//! was named is the worst that an archive can do: the names inside decide.

use contract::stamp::split_point;

use crate::documents::SetDocument;
use crate::entry::decode_small;
use crate::problem::Problem;
use crate::{ArchiveError, Chain, Digest, Entry, Layout, Store};

/// What `set.json` of a set is.
#[derive(Debug)]
pub(crate) enum SetCheck {
    /// The one that the log begins with.
    Sound(SetDocument),
    /// Missing or not to be read. Nothing that a restore needs stands in it.
    Damaged(Problem),
    /// That of another set.
    Other(SetDocument, Problem),
}

/// Reads `set.json` and compares it with the digest in entry 0.
pub(crate) async fn set_document(store: &Store, layout: &Layout) -> Result<SetCheck, ArchiveError> {
    let key = layout.set_document();
    let shown = store.show(&key);
    let chain = Chain::new(store.clone(), layout.clone());
    let (bytes, first) = futures::join!(store.get(&key), chain.entry(0));
    let back = "bring the object back from an older version or a copy";
    let Some(bytes) = bytes? else {
        return Ok(SetCheck::Damaged(Problem::new(shown, format!("it is missing; {back}"))));
    };
    let document: SetDocument = match decode_small(&shown, &bytes) {
        Ok(document) => document,
        Err(error @ ArchiveError::Newer { .. }) => return Err(error),
        Err(error) => return Ok(SetCheck::Damaged(Problem::new(shown, format!("{error}; {back}")))),
    };
    match first {
        Ok((entry, _)) if entry.set.as_ref().is_some_and(|set| document.is_named(&Digest::of(&bytes), set)) => {
            Ok(SetCheck::Sound(document))
        }
        Ok(_) => {
            let what =
                "its digest is not the one that the first claim names: it belongs to another set, or was changed";
            Ok(SetCheck::Other(document, Problem::new(shown, what)))
        }
        // A set whose first run has not claimed it yet has an empty log.
        Err(error) if error.is_damage() && chain.newest().await?.is_none() => Ok(SetCheck::Sound(document)),
        Err(error) if error.is_damage() => Ok(SetCheck::Damaged(Problem::of(&error))),
        Err(error) => Err(error),
    }
}

/// What is wrong when the folder `set` holds this seal. A full backup's set has the name of its one point; the points of
/// other sets are named after the set, with their stamp.
pub(crate) fn name_finding(set: &str, entry: &Entry) -> Option<String> {
    let seal = entry.seal.as_ref()?;
    let stamp = split_point(&seal.point).map(|(_, stamp)| stamp);
    let fits = seal.point == set || split_point(&seal.point).is_some_and(|(base, _)| base == set);
    if fits && stamp == Some(entry.point.as_str()) {
        return None;
    }
    Some(format!(
        "the folder of set {set:?} holds recovery point {:?} with stamp {}: another set was copied or moved there. Move it \
         back to the name that it was written under",
        seal.point, entry.point
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn seal(point: &str, stamp: &str) -> Entry {
        let columns = |names: &[&str]| names.iter().map(|name| format!("{name:?}:[]")).collect::<Vec<_>>().join(",");
        let rows = columns(&[
            "segment",
            "topic",
            "partition",
            "timeline",
            "first",
            "next",
            "bytes",
            "records",
            "committed",
            "maxTimestamp",
            "minTimestamp",
            "minExact",
        ]);
        let state = columns(&[
            "topic",
            "partition",
            "timeline",
            "first",
            "next",
            "epoch",
            "logStart",
            "lastStable",
            "highWatermark",
            "committed",
            "bytes",
            "maxTimestamp",
            "largestBatch",
        ]);
        let text = format!(
            r#"{{"format":1,"kind":"seal","n":1,"previous":"","claim":0,"nonce":"","run":"","spec":"","point":"{stamp}",
            "lastSeal":null,"lastState":null,"lastRollup":null,"rows":{{{rows}}},"positions":{{{state}}},"seal":{{
            "point":"{point}","at":"","topics":[],"partitions":{{{state}}},"owner":{{"namespace":"","name":"other",
            "clusterId":"c"}},"includeOffsetHeaders":false,"heldBack":[],"configs":{{"size":0,"digest":""}},"writer":""}}}}"#
        );
        Entry::decode("entry", 1, text.as_bytes()).unwrap()
    }

    #[test]
    fn a_point_fits_its_own_set_only() {
        let stamp = "20260131-080000";
        let finding = |set: &str, point: &str, own: &str| name_finding(set, &seal(point, own));
        assert_eq!(finding("orders", "orders-20260131-080000", stamp), None);
        assert_eq!(finding("orders-20260131-080000", "orders-20260131-080000", stamp), None, "a full set");
        assert!(finding("orders", "payments-20260131-080000", stamp).unwrap().contains("payments"));
        assert!(finding("orders-20260131-080001", "orders-20260131-080000", stamp).is_some());
        assert!(finding("orders", "orders-20260131-080000", "20260131-080001").is_some());
        assert!(finding("orders", "orders", stamp).is_some());
    }
}
