//! Whether the last point has what the source has.

use std::collections::BTreeMap;

use serde_json::json;

use super::Outcome;
use super::writers::{Shared, Topic};
use crate::kafka::Kafka;
use crate::oracle::{self, Seen};
use crate::runner::Bench;

/// Verifies the archive, restores the last point and compares every partition by the offsets of the source.
pub(super) fn judge(source: &Kafka, bench: &Bench, backup: &str, shared: &Shared, outcome: &mut Outcome) {
    let target = Kafka::start();
    let what = json!({"from": backup, "topics": ["l-*"], "defaultReplicationFactor": 1});
    let restore = bench.restore("life-restore", &target.bootstrap(), what);
    let verified = bench.call("verify", &restore, &[backup]);
    if verified.code != 0 {
        outcome.faults.push(format!("verify ends with {}: {}{}", verified.code, verified.stdout, verified.stderr));
    }
    let restored = bench.run(&restore);
    if restored.code != 0 {
        outcome.faults.push(format!("the restore ends with {}: {}", restored.code, restored.stderr));
        return;
    }
    let rolled_back = shared.rolled_back();
    for (name, topic) in &*shared.topics() {
        for partition in 0..topic.partitions {
            let there = oracle::read(&source.bootstrap(), name, partition, false);
            let back: Vec<_> = oracle::read(&target.bootstrap(), name, partition, false)
                .iter()
                .map(|seen| seen.without_offset_headers(None))
                .collect();
            let found = compare(topic, &there, &back, |transaction| rolled_back.contains(&transaction));
            outcome.records += back.len() as u64;
            outcome.faults.extend(found.into_iter().map(|text| format!("{name}/{partition}: {text}")));
        }
    }
}

/// What is wrong with a restored partition; the first of each kind.
fn compare(topic: &Topic, there: &[Seen], back: &[Seen], rolled_back: impl Fn(u64) -> bool) -> Vec<String> {
    let mut out = Vec::new();
    let restored: BTreeMap<i64, Seen> = back.iter().map(|seen| (seen.offset, seen.content())).collect();
    if let Some(two) = back.windows(2).find(|two| two[1].offset <= two[0].offset) {
        out.push(format!("offset {} comes after offset {}", two[1].offset, two[0].offset));
    }
    // The target compacts, too, and may be ahead of the source: the newest record of each key stays.
    let newest: BTreeMap<_, _> = back.iter().map(|seen| (seen.key.as_ref(), seen.offset)).collect();
    let is_compacted = |seen: &Seen| {
        let later = newest.get(&seen.key.as_ref()).is_some_and(|newest| *newest > seen.offset);
        topic.compacted && later && !restored.contains_key(&seen.offset)
    };
    let is_missing = |seen: &&Seen| restored.get(&seen.offset) != Some(&seen.content()) && !is_compacted(seen);
    let missing: Vec<_> = there.iter().filter(is_missing).collect();
    if let Some(first) = missing.first() {
        let has = restored.get(&first.offset);
        let last = missing.last().map_or(first.offset, |last| last.offset);
        out.push(format!(
            "{} records are missing or differ up to offset {last}, the first is {first:?}; restored: {has:?}",
            missing.len()
        ));
    }
    let start = there.first().map_or(i64::MAX, |seen| seen.offset);
    let source: BTreeMap<i64, Seen> = there.iter().map(|seen| (seen.offset, seen.content())).collect();
    // What the source's cleaner removed has a newer record of its key there.
    let newest_there: BTreeMap<_, _> = there.iter().map(|seen| (seen.key.as_ref(), seen.offset)).collect();
    let was_cleaned =
        |seen: &Seen| topic.cleaned && newest_there.get(&seen.key.as_ref()).is_some_and(|newest| *newest > seen.offset);
    let mut strange = Vec::new();
    for seen in back {
        let text = String::from_utf8_lossy(seen.value.as_deref().unwrap_or_default()).into_owned();
        let mut words = text.split(' ');
        let incarnation = words.next().and_then(|word| word.parse().ok());
        let transaction = words.next().and_then(|word| word.parse().ok());
        let why = if transaction.is_some_and(&rolled_back) {
            "was rolled back"
        } else if source.get(&seen.offset) == Some(&seen.content()) {
            // A writer that did not know of the new topic yet wrote there, too.
            continue;
        } else if incarnation != Some(topic.incarnation) {
            "is a record of another topic"
        } else if seen.offset > start && !source.contains_key(&seen.offset) && !was_cleaned(seen) {
            "is not in the source"
        } else {
            continue;
        };
        strange.push((seen.offset, format!("{why}: {text:.60}")));
    }
    if let (Some((first, why)), Some((last, _))) = (strange.first(), strange.last()) {
        let end = there.last().map_or(-1, |seen| seen.offset);
        let count = strange.len();
        out.push(format!("offset {first} {why} ({count} such records up to offset {last}; the source ends at {end})"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(offset: i64, value: &str) -> Seen {
        Seen { offset, timestamp: 1, append_time: false, key: None, value: Some(value.into()), headers: Vec::new() }
    }

    #[test]
    fn what_is_wrong_is_found() {
        let topic = Topic { partitions: 1, incarnation: 4, compacted: false, cleaned: false };
        let source = [seen(5, "4 - 15"), seen(6, "4 7 16"), seen(8, "4 - 18")];
        let judge = |back: &[Seen]| compare(&topic, &source, back, |transaction| transaction == 9).join("; ");
        // What was deleted from the source is kept.
        let all = [seen(4, "4 - 14"), seen(5, "4 - 15"), seen(6, "4 7 16"), seen(8, "4 - 18")];
        assert_eq!(judge(&all), "");
        assert!(judge(&all[..3]).contains("1 records are missing"));
        assert!(judge(&[&all[..3], &[seen(8, "4 - 19")]].concat()).contains("differ"));
        assert!(judge(&[&all[..], &all[3..]].concat()).contains("offset 8 comes after offset 8"));
        assert!(judge(&[&[seen(3, "2 - 13")], &all[..]].concat()).contains("of another topic"));
        assert!(judge(&[&[seen(3, "4 9 13")], &all[..]].concat()).contains("was rolled back"));
        assert!(judge(&[&all[..3], &[seen(7, "4 - 17")], &all[3..]].concat()).contains("not in the source"));
        // What the source's cleaner removed has a newer record of its key in the source.
        let topic = Topic { cleaned: true, ..topic };
        let judge = |back: &[Seen]| compare(&topic, &source, back, |_| false).join("; ");
        assert_eq!(judge(&[&all[..3], &[seen(7, "4 - 17")], &all[3..]].concat()), "");
        let other = Seen { key: Some("k".into()), ..seen(7, "4 - 17") };
        assert!(judge(&[&all[..3], &[other], &all[3..]].concat()).contains("not in the source"));
        // What the target compacted is there by its key's newest record.
        let topic = Topic { compacted: true, ..topic };
        let judge = |back: &[Seen]| compare(&topic, &source, back, |_| false).join("; ");
        assert_eq!(judge(&all[2..]), "");
        assert!(judge(&all[..3]).contains("1 records are missing"));
    }
}
