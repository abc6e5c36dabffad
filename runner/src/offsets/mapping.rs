//! An offset mapping: the file in which a restore wrote where the records of each source partition went, and where its groups
//! stand. Pure: text in, places out; `restore/groups/save_mapping` writes such files.
//!
//! Both forms that files of the API group `kafka.oso.sh` have are read: form 1 has a pair for each record, form 2 has runs of
//! records that follow each other. A place that the file does not lead to is never guessed.

mod form;
mod read;
mod runs;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;

use archive::from_json_stream;
use contract::{Code, Failure, OffsetFound};
use uuid::Uuid;
use wire::TopicPartition;

pub(crate) use self::form::{Entry, FORM, MappedGroup, MappedOffset, Run};
use self::read::{Asked, HeadSeed, RunsSeed};

/// The records of one source partition, all in one partition of the target.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) source: TopicPartition,
    pub(crate) target: TopicPartition,
    pub(crate) records: Records,
}

/// What a file says of the records of a partition.
#[derive(Debug, Clone)]
pub(crate) enum Records {
    /// Where they went: the first and the last ones, and those that the offsets lead to that were asked for.
    Runs(Vec<Run>),
    /// The file says where they went, and no offset of them was asked for.
    Unasked,
    /// None were restored.
    Nothing,
    /// Some were restored, and where each of them went is not told: there are holes between the first and the last.
    NotTold,
}

impl Part {
    fn runs(&self) -> &[Run] {
        match &self.records {
            Records::Runs(runs) => runs,
            Records::Unasked | Records::Nothing | Records::NotTold => &[],
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

/// A mapping without the records for which it has details.
#[derive(Debug, Clone)]
pub(crate) struct Heads(Mapping);

impl Heads {
    /// Reads everything but details, and of the groups those that are named.
    ///
    /// # Errors
    /// When it is no such file, contradicts itself, or is of another cluster.
    pub(crate) fn read(
        bytes: impl Read,
        place: &str,
        cluster: &str,
        groups: &BTreeSet<String>,
    ) -> Result<Self, Failure> {
        let damaged = |what: String| damaged(place, &what);
        let head = from_json_stream(bytes, HeadSeed(groups))
            .map_err(|fault| damaged(format!("is no offset mapping: it {fault}")))?;
        if let Some(form) = head.format_version.filter(|form| *form > FORM) {
            return Err(damaged(format!("has form {form}; this release reads up to {FORM}")));
        }
        if let Some(other) = head.target_cluster_id.as_deref().filter(|id| !id.is_empty() && *id != cluster) {
            let text = format!("the offset mapping {place} is of cluster {other}, and this is cluster {cluster}");
            return Err(Failure::new(Code::NoOffsetMapping, text));
        }
        let mut details = head.details;
        let mut out = Mapping {
            place: place.to_owned(),
            parts: Vec::new(),
            by_source: HashMap::new(),
            by_target: HashMap::new(),
            groups: head.groups,
            topic_ids: head.target_topic_ids,
        };
        for (key, entry) in head.entries {
            if key != format!("{}/{}", entry.topic, entry.partition) || entry.partition < 0 {
                return Err(damaged(format!("names {key} and {}/{} for one partition", entry.topic, entry.partition)));
            }
            let records = records(details.remove(&key), &entry);
            let source_topic = entry.source_topic.unwrap_or_else(|| entry.topic.clone());
            let source = (source_topic, entry.source_partition.unwrap_or(entry.partition));
            out.add(Part { source, target: (entry.topic, entry.partition), records })
                .map_err(|source| damaged(format!("leads {}/{} to two partitions", source.0, source.1)))?;
        }
        if let Some(key) = details.keys().next() {
            return Err(damaged(format!("has offsets of {key}, and no entry of it")));
        }
        head.fault.map_or(Ok(Self(out)), |what| Err(damaged(what)))
    }

    /// A group whose offsets stand in the file.
    pub(crate) fn group(&self, id: &str) -> Option<&MappedGroup> {
        self.0.group(id)
    }

    /// Adds the records to which these offsets of the source lead, each by a place in the target or in the source. All of the
    /// details are looked at.
    ///
    /// # Errors
    /// When details contradict themselves.
    pub(crate) fn with_details(
        self,
        bytes: impl Read,
        asked: &BTreeMap<TopicPartition, BTreeSet<i64>>,
    ) -> Result<Mapping, Failure> {
        let Self(mut out) = self;
        let mut named = Asked::new();
        for (place, offsets) in asked {
            let both = [out.by_source.get(place), out.by_target.get(place)];
            for part in both.into_iter().flatten().filter_map(|number| out.parts.get(*number)) {
                named.entry(key(&part.target)).or_default().extend(offsets);
            }
        }
        let found = from_json_stream(bytes, RunsSeed(&named))
            .map_err(|fault| damaged(&out.place, &format!("is no offset mapping: it {fault}")))?;
        let mut found = found.map_err(|what| damaged(&out.place, &what))?;
        for part in out.parts.iter_mut().filter(|part| matches!(part.records, Records::Unasked)) {
            if let Some(runs) = found.remove(&key(&part.target)).filter(|runs| !runs.is_empty()) {
                part.records = Records::Runs(runs);
            }
        }
        Ok(out)
    }
}

/// A partition as files name it.
fn key((topic, partition): &TopicPartition) -> String {
    format!("{topic}/{partition}")
}

fn damaged(place: &str, what: &str) -> Failure {
    Failure::new(Code::ArchiveDamaged, format!("the offset mapping {place} {what}"))
}

/// A mapping, with the records that are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    /// Where it is, for messages.
    pub(crate) place: String,
    parts: Vec<Part>,
    by_source: HashMap<TopicPartition, usize>,
    by_target: HashMap<TopicPartition, usize>,
    /// Those that were asked for.
    groups: BTreeMap<String, MappedGroup>,
    topic_ids: HashMap<String, Uuid>,
}

impl Mapping {
    fn add(&mut self, part: Part) -> Result<(), TopicPartition> {
        let number = self.parts.len();
        self.by_target.insert(part.target.clone(), number);
        if self.by_source.insert(part.source.clone(), number).is_some() {
            return Err(part.source);
        }
        self.parts.push(part);
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

/// What the details, which may have records, and the entry of a partition say together.
fn records(details: Option<bool>, entry: &Entry) -> Records {
    if details == Some(true) {
        return Records::Unasked;
    }
    // A list without runs says that there are none, unless the entry has a first record.
    let is_empty = details.is_some() && entry.target_first_offset.is_none();
    match without_details(entry) {
        Some(run) => Records::Runs(vec![run]),
        None if is_empty => Records::Nothing,
        None => Records::NotTold,
    }
}

/// Without details the ends of a partition say where its records went only if there are no holes: then as many offsets lie
/// between them in the target as in the source.
fn without_details(entry: &Entry) -> Option<Run> {
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
    (same && first >= 0 && entry.source_first_offset >= 0).then_some(run)
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
        read_text(file.to_string().as_bytes())
    }

    /// Group `g`, and all offsets that tests ask for.
    fn read_text(text: &[u8]) -> Result<Mapping, Failure> {
        let heads = Heads::read(text, "x", "c", &["g".to_owned()].into())?;
        let asked = ["copy", "t"].map(|topic| ((topic.to_owned(), 0), (-5..600).collect())).into();
        heads.with_details(text, &asked)
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
            let failure = read_text(&text.as_bytes()[..length]).unwrap_err();
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
