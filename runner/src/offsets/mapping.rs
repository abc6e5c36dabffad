//! An offset mapping: the file in which a restore wrote where the records of each source partition went, and where its groups
//! stand. Pure: text in, places out; `restore/groups/save_mapping` writes such files.
//!
//! Both forms that files of the API group `kafka.oso.sh` have are read: form 1 has a pair for each record, form 2 has runs of
//! records that follow each other. A place that the file does not lead to is never guessed.

use std::collections::{BTreeMap, HashMap};

use archive::from_json;
use contract::{Code, Failure, OffsetFound};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::TopicPartition;

/// Most bytes of a file that is read: about four million records in form 1.
pub(crate) const LARGEST: u64 = 256 << 20;

/// The newest form.
pub(crate) const FORM: u32 = 2;

#[derive(Debug, Deserialize)]
struct Document {
    /// Absent in form 1.
    #[serde(default = "first_form")]
    format_version: u32,
    #[serde(default)]
    target_cluster_id: Option<String>,
    /// Ids of target topics by name. An addition; without it a topic that was made again is not told from the one that was restored.
    #[serde(default)]
    target_topic_ids: HashMap<String, Uuid>,
    /// By target topic and partition.
    entries: HashMap<String, Entry>,
    #[serde(default)]
    detailed_mappings: HashMap<String, Runs>,
    #[serde(default)]
    consumer_groups: BTreeMap<String, MappedGroup>,
}

fn first_form() -> u32 {
    1
}

/// One partition of the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) source_first_offset: i64,
    pub(crate) source_last_offset: i64,
    #[serde(default)]
    pub(crate) target_first_offset: Option<i64>,
    #[serde(default)]
    pub(crate) target_last_offset: Option<i64>,
    #[serde(default)]
    pub(crate) first_timestamp: i64,
    #[serde(default)]
    pub(crate) last_timestamp: i64,
    /// The topic of the source. An addition; without it the topic of the target is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_topic: Option<String>,
    /// The partition of the source. An addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) source_partition: Option<i32>,
}

/// A group whose offsets the restore computed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MappedGroup {
    pub(crate) group_id: String,
    /// `classic`, `consumer`, `share` or `streams`. An addition.
    #[serde(default = "super::snapshot::classic")]
    pub(crate) kind: String,
    /// By target topic and partition.
    pub(crate) offsets: BTreeMap<String, BTreeMap<i32, MappedOffset>>,
}

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MappedOffset {
    pub(crate) source_offset: i64,
    #[serde(default)]
    pub(crate) target_offset: Option<i64>,
    #[serde(default)]
    pub(crate) timestamp: i64,
    #[serde(default)]
    pub(crate) metadata: Option<String>,
}

/// Records that follow each other in source and target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Run {
    pub(crate) source_start: i64,
    pub(crate) target_start: i64,
    pub(crate) len: u64,
    pub(crate) first_timestamp: i64,
    pub(crate) last_timestamp: i64,
}

impl Run {
    /// The offset after its last record.
    fn end(&self, start: i64) -> i64 {
        start.saturating_add(i64::try_from(self.len).unwrap_or(i64::MAX))
    }
}

/// An element of either form.
#[derive(Deserialize)]
struct Element {
    source_offset: Option<i64>,
    target_offset: Option<i64>,
    source_start: Option<i64>,
    target_start: Option<i64>,
    len: Option<u64>,
}

/// The runs of one partition, ascending. Pairs become runs as they are read: a file of pairs is never held twice.
#[derive(Debug, Default)]
struct Runs(Vec<Run>);

impl Runs {
    fn push(&mut self, source_start: i64, target_start: i64, len: u64) {
        if let Some(last) = self.0.last_mut()
            && (last.end(last.source_start), last.end(last.target_start)) == (source_start, target_start)
        {
            last.len = last.len.saturating_add(len);
        } else {
            self.0.push(Run { source_start, target_start, len, first_timestamp: 0, last_timestamp: 0 });
        }
    }

    /// Sorted, as few as can be; an error where two runs overlap, or go backwards in the target.
    fn settled(mut self) -> Result<Self, String> {
        self.0.sort_by_key(|run| run.source_start);
        let mut merged = Self::default();
        self.0.into_iter().for_each(|run| merged.push(run.source_start, run.target_start, run.len));
        self = merged;
        for pair in self.0.windows(2) {
            if let [a, b] = pair
                && (a.end(a.source_start) > b.source_start || a.end(a.target_start) > b.target_start)
            {
                return Err(format!("leads source offset {} to two places, or backwards", b.source_start));
            }
        }
        Ok(self)
    }
}

impl<'de> Deserialize<'de> for Runs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = Runs;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("pairs or runs of offsets")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Runs, A::Error> {
                let mut runs = Runs::default();
                while let Some(element) = elements.next_element::<Element>()? {
                    let run = match element {
                        Element { source_offset: Some(source), target_offset: Some(target), .. } => (source, target, 1),
                        Element { source_start: Some(source), target_start: Some(target), len: Some(len), .. } => {
                            (source, target, len)
                        }
                        _ => return Err(de::Error::custom("an element is no pair and no run of offsets")),
                    };
                    if run.0 < 0 || run.1 < 0 || run.2 == 0 {
                        return Err(de::Error::custom("an offset is negative, or a run has no records"));
                    }
                    let ends = i64::try_from(run.2).ok().map(|length| [run.0, run.1].map(|at| at.checked_add(length)));
                    if ends.is_none_or(|ends| ends.contains(&None)) {
                        return Err(de::Error::custom("a run of offsets goes beyond the largest offset"));
                    }
                    runs.push(run.0, run.1, run.2);
                }
                Ok(runs)
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

/// The records of one source partition, all in one partition of the target.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) source: TopicPartition,
    pub(crate) target: TopicPartition,
    pub(crate) records: Records,
}

/// What a file says of the records of a partition.
#[derive(Debug)]
pub(crate) enum Records {
    /// Where they went.
    Runs(Vec<Run>),
    /// None were restored.
    Nothing,
    /// Some were restored, and where each of them went is not told: there are holes between the first and the last.
    NotTold,
}

impl Part {
    fn runs(&self) -> &[Run] {
        match &self.records {
            Records::Runs(runs) => runs,
            Records::Nothing | Records::NotTold => &[],
        }
    }

    /// Where an offset of the source stands in the target: at its record, or the next one that was restored.
    pub(crate) fn find(&self, offset: i64) -> Option<(i64, OffsetFound)> {
        let runs = self.runs();
        let number = runs.partition_point(|run| run.end(run.source_start) <= offset);
        match runs.get(number) {
            Some(run) if run.source_start <= offset => {
                Some((run.target_start + (offset - run.source_start), OffsetFound::Record))
            }
            Some(run) if number == 0 => Some((run.target_start, OffsetFound::Start)),
            Some(run) => Some((run.target_start, OffsetFound::NextRecord)),
            None => runs.last().map(|last| (last.end(last.target_start), OffsetFound::End)),
        }
    }

    /// Whether an offset can be one of the source.
    pub(crate) fn is_of_source(&self, offset: i64) -> bool {
        self.within(offset, |run| run.source_start)
    }

    /// Whether an offset can be one of the target.
    pub(crate) fn is_of_target(&self, offset: i64) -> bool {
        self.within(offset, |run| run.target_start)
    }

    fn within(&self, offset: i64, start: impl Fn(&Run) -> i64) -> bool {
        let ends = self.runs().first().zip(self.runs().last());
        ends.is_some_and(|(first, last)| (start(first)..=last.end(start(last))).contains(&offset))
    }
}

/// A mapping that was read whole.
#[derive(Debug)]
pub(crate) struct Mapping {
    /// Where it is, for messages.
    pub(crate) place: String,
    parts: Vec<Part>,
    by_source: HashMap<TopicPartition, usize>,
    by_target: HashMap<TopicPartition, usize>,
    groups: BTreeMap<String, MappedGroup>,
    topic_ids: HashMap<String, Uuid>,
}

impl Mapping {
    /// Reads a mapping, all of it or nothing.
    ///
    /// # Errors
    /// When it is no such file, contradicts itself, or is of another cluster.
    pub(crate) fn read(bytes: &[u8], place: &str, cluster: &str) -> Result<Self, Failure> {
        let damaged = |what: String| Failure::new(Code::ArchiveDamaged, format!("the offset mapping {place} {what}"));
        let document: Document =
            from_json(bytes).map_err(|fault| damaged(format!("is no offset mapping: it {fault}")))?;
        if document.format_version > FORM {
            return Err(damaged(format!("has form {}; this release reads up to {FORM}", document.format_version)));
        }
        if let Some(other) = document.target_cluster_id.as_deref().filter(|id| !id.is_empty() && *id != cluster) {
            let text = format!("the offset mapping {place} is of cluster {other}, and this is cluster {cluster}");
            return Err(Failure::new(Code::NoOffsetMapping, text));
        }
        let mut details = document.detailed_mappings;
        let mut out = Self {
            place: place.to_owned(),
            parts: Vec::new(),
            by_source: HashMap::new(),
            by_target: HashMap::new(),
            groups: document.consumer_groups,
            topic_ids: document.target_topic_ids,
        };
        for (key, entry) in document.entries {
            if key != format!("{}/{}", entry.topic, entry.partition) || entry.partition < 0 {
                return Err(damaged(format!("names {key} and {}/{} for one partition", entry.topic, entry.partition)));
            }
            let runs = details.remove(&key).map(Runs::settled).transpose();
            let runs = runs.map_err(|what| damaged(format!("{what} in {key}")))?.map(|runs| runs.0);
            let records = records(runs, &entry);
            let source_topic = entry.source_topic.unwrap_or_else(|| entry.topic.clone());
            let source = (source_topic, entry.source_partition.unwrap_or(entry.partition));
            out.add(Part { source, target: (entry.topic, entry.partition), records })
                .map_err(|source| damaged(format!("leads {}/{} to two partitions", source.0, source.1)))?;
        }
        if let Some(key) = details.keys().next() {
            return Err(damaged(format!("has offsets of {key}, and no entry of it")));
        }
        out.check_groups().map_err(damaged)?;
        Ok(out)
    }

    fn add(&mut self, part: Part) -> Result<(), TopicPartition> {
        let number = self.parts.len();
        self.by_target.insert(part.target.clone(), number);
        if self.by_source.insert(part.source.clone(), number).is_some() {
            return Err(part.source);
        }
        self.parts.push(part);
        Ok(())
    }

    fn check_groups(&self) -> Result<(), String> {
        for (id, group) in &self.groups {
            if group.group_id != *id {
                return Err(format!("names group {id:?} and group {:?} for the same offsets", group.group_id));
            }
            for (topic, partitions) in &group.offsets {
                let bad = |at: &MappedOffset| at.source_offset < 0 || at.target_offset.is_some_and(|offset| offset < 0);
                if let Some((partition, _)) = partitions.iter().find(|(partition, at)| **partition < 0 || bad(at)) {
                    return Err(format!("has an offset of group {id:?} in {topic}/{partition} that cannot be"));
                }
            }
        }
        Ok(())
    }

    /// The id of a target topic when its records were restored, where the file says it.
    pub(crate) fn topic_id(&self, topic: &str) -> Option<Uuid> {
        self.topic_ids.get(topic).copied()
    }

    /// The records of a source partition.
    pub(crate) fn of_source(&self, place: &TopicPartition) -> Option<&Part> {
        self.by_source.get(place).and_then(|number| self.parts.get(*number))
    }

    /// The records of a target partition.
    pub(crate) fn of_target(&self, place: &TopicPartition) -> Option<&Part> {
        self.by_target.get(place).and_then(|number| self.parts.get(*number))
    }

    /// A group whose offsets stand in the file.
    pub(crate) fn group(&self, id: &str) -> Option<&MappedGroup> {
        self.groups.get(id)
    }
}

/// What the details and the entry of a partition say together.
fn records(details: Option<Vec<Run>>, entry: &Entry) -> Records {
    // A list without runs says that there are none, unless the entry has a first record.
    let is_empty = details.as_ref().is_some_and(Vec::is_empty) && entry.target_first_offset.is_none();
    match details.filter(|runs| !runs.is_empty()).or_else(|| without_details(entry)) {
        Some(runs) => Records::Runs(runs),
        None if is_empty => Records::Nothing,
        None => Records::NotTold,
    }
}

/// Without details the ends of a partition say where its records went only if there are no holes: then as many offsets lie
/// between them in the target as in the source.
fn without_details(entry: &Entry) -> Option<Vec<Run>> {
    let (first, last) = (entry.target_first_offset?, entry.target_last_offset?);
    let len = u64::try_from(last.checked_sub(first)?.checked_add(1)?).ok().filter(|len| *len > 0)?;
    let same = entry.source_last_offset.checked_sub(entry.source_first_offset)? == last - first;
    let run = Run {
        source_start: entry.source_first_offset,
        target_start: first,
        len,
        first_timestamp: entry.first_timestamp,
        last_timestamp: entry.last_timestamp,
    };
    (same && first >= 0 && entry.source_first_offset >= 0).then(|| vec![run])
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// A file of form 2: source `t/0` with offsets 10 to 19 and 30 to 34 is restored as `copy/0` from offset 0 on; group `g`
    /// stood at offset 25.
    pub(crate) fn file() -> Value {
        json!({
            "format_version": 2, "target_cluster_id": "c", "created_at": 1,
            "entries": {"copy/0": {
                "topic": "copy", "partition": 0, "source_first_offset": 10, "source_last_offset": 34,
                "target_first_offset": 0, "target_last_offset": 14, "first_timestamp": 5, "last_timestamp": 6,
                "source_topic": "t", "source_partition": 0,
            }},
            "detailed_mappings": {"copy/0": [
                {"source_start": 10, "target_start": 0, "len": 10, "first_timestamp": 5, "last_timestamp": 6},
                {"source_start": 30, "target_start": 10, "len": 5, "first_timestamp": 5, "last_timestamp": 6},
            ]},
            "consumer_groups": {"g": {"group_id": "g", "offsets": {"copy": {"0":
                {"source_offset": 25, "target_offset": 10, "timestamp": 1, "metadata": "m"}}}}},
        })
    }

    pub(crate) fn read(file: &Value) -> Result<Mapping, Failure> {
        Mapping::read(file.to_string().as_bytes(), "x", "c")
    }

    fn places(mapping: &Mapping) -> Vec<Option<(i64, OffsetFound)>> {
        let part = mapping.of_source(&("t".to_owned(), 0)).unwrap();
        [0, 10, 19, 20, 29, 30, 34, 35, 99].map(|offset| part.find(offset)).to_vec()
    }

    #[test]
    fn an_offset_leads_to_its_record_or_to_the_next_one() {
        use OffsetFound::{End, NextRecord, Record, Start};
        let expected = [
            (0, Start),
            (0, Record),
            (9, Record),
            (10, NextRecord),
            (10, NextRecord),
            (10, Record),
            (14, Record),
            (15, End),
            (15, End),
        ];
        assert_eq!(places(&read(&file()).unwrap()), expected.map(Some));
        // The same as pairs, in any order, as form 1 has them.
        let mut first = file();
        let pair = |source: i64, target: i64| json!({"source_offset": source, "target_offset": target, "timestamp": 5});
        let pairs: Vec<_> =
            (0..10).map(|n| pair(10 + n, n)).chain((0..5).map(|n| pair(30 + n, 10 + n))).rev().collect();
        first["detailed_mappings"]["copy/0"] = pairs.into();
        first.as_object_mut().unwrap().remove("format_version");
        assert_eq!(places(&read(&first).unwrap()), expected.map(Some));
    }

    #[test]
    fn without_details_only_a_partition_without_holes_leads_anywhere() {
        let mut file = file();
        file["detailed_mappings"] = json!({});
        let source = ("t".to_owned(), 0);
        let records = |file: &Value| format!("{:?}", read(file).unwrap().of_source(&source).unwrap().records);
        assert_eq!(records(&file), "NotTold", "25 offsets became 15 records");
        file["entries"]["copy/0"]["target_last_offset"] = 24.into();
        let mapping = read(&file).unwrap();
        assert_eq!(mapping.of_source(&source).unwrap().find(12), Some((2, OffsetFound::Record)));
        file["entries"]["copy/0"]["target_first_offset"] = Value::Null;
        assert_eq!(records(&file), "NotTold");
        file["detailed_mappings"]["copy/0"] = json!([]);
        assert_eq!(records(&file), "Nothing");
    }

    #[test]
    fn what_is_cut_short_foreign_or_contradicts_itself_is_refused() {
        let text = file().to_string();
        for length in (0..text.len()).step_by(11) {
            let failure = Mapping::read(&text.as_bytes()[..length], "x", "c").unwrap_err();
            assert_eq!(failure.code, Code::ArchiveDamaged, "{length}");
        }
        for (pointer, value) in [
            ("/format_version", json!(3)),
            ("/entries/copy~10/partition", json!(1)),
            ("/detailed_mappings/copy~10/1/source_start", json!(15)),
            ("/detailed_mappings/copy~10/1/target_start", json!(5)),
            ("/detailed_mappings/copy~10/0/len", json!(0)),
            ("/detailed_mappings/copy~10/0/source_start", json!(-1)),
            ("/consumer_groups/g/group_id", json!("h")),
            ("/consumer_groups/g/offsets/copy/0/target_offset", json!(-1)),
            ("/detailed_mappings", json!({"other/0": [{"source_offset": 1, "target_offset": 1}]})),
        ] {
            let mut changed = file();
            *changed.pointer_mut(pointer).unwrap() = value;
            assert_eq!(read(&changed).unwrap_err().code, Code::ArchiveDamaged, "{pointer}");
        }
        let mut other = file();
        other["target_cluster_id"] = "d".into();
        assert_eq!(read(&other).unwrap_err().code, Code::NoOffsetMapping);
        assert_eq!(read(&json!({"points": []})).unwrap_err().code, Code::ArchiveDamaged, "another document");
    }

    proptest! {
        /// Whatever records were restored, in runs or as pairs: an offset leads to the first of them at or above it.
        #[test]
        fn every_offset_leads_to_the_first_record_at_or_above_it(
            steps in proptest::collection::vec((1_i64..5, 1_i64..3), 1..60), offset in 0_i64..400, form in 1_u32..3,
        ) {
            let (mut source, mut target, mut records) = (0, 100, Vec::new());
            for (skip, hop) in steps {
                (source, target) = (source + skip, target + hop);
                records.push((source, target));
            }
            let details: Vec<_> = records.iter().map(|(source, target)| match form {
                1 => json!({"source_offset": source, "target_offset": target}),
                _ => json!({"source_start": source, "target_start": target, "len": 1}),
            }).collect();
            let mut file = file();
            file["detailed_mappings"]["copy/0"] = details.into();
            let mapping = read(&file).unwrap();
            let found = mapping.of_source(&("t".to_owned(), 0)).unwrap().find(offset).unwrap().0;
            let expected = records.iter().find(|(source, _)| *source >= offset).map(|(_, target)| *target);
            prop_assert_eq!(found, expected.unwrap_or(target + 1));
        }
    }
}
