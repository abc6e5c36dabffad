//! Reads an offset mapping as a stream, of any size: first what stands beside the records, then the records that are asked
//! for. The details may come before the entries that say whose they are, so a file is read twice. Pure: bytes in, values out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::marker::PhantomData;

use archive::Passing;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use uuid::Uuid;

use super::form::{Entry, MappedGroup, Run};
use super::runs::Runs;

/// What reads an object by visiting it.
macro_rules! seed_of_a_map {
    ($name:ident) => {
        impl<'de> DeserializeSeed<'de> for $name<'_> {
            type Value = <Self as Visitor<'de>>::Value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.deserialize_map(self)
            }
        }
    };
}

/// Everything of a file but the records.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Absent in form 1.
    pub(super) format_version: Option<u32>,
    pub(super) target_cluster_id: Option<String>,
    /// Ids of target topics by name. An addition; without it a topic that was made again is not told from the one that was
    /// restored.
    pub(super) target_topic_ids: HashMap<String, Uuid>,
    /// By target topic and partition.
    pub(super) entries: HashMap<String, Entry>,
    /// Partitions that have details, and whether these have any records.
    pub(super) details: HashMap<String, bool>,
    /// Those groups that are asked for.
    pub(super) groups: BTreeMap<String, MappedGroup>,
    /// What cannot be, in words.
    pub(super) fault: Option<String>,
}

/// Reads everything but the records; of the groups those that are named.
pub(super) struct HeadSeed<'a>(pub(super) &'a BTreeSet<String>);

seed_of_a_map!(HeadSeed);

impl<'de> Visitor<'de> for HeadSeed<'_> {
    type Value = Head;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an offset mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Head, A::Error> {
        let (mut head, mut seen) = (Head::default(), HashSet::new());
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "format_version" => head.format_version = Some(fields.next_value()?),
                "target_cluster_id" => head.target_cluster_id = fields.next_value()?,
                "target_topic_ids" => head.target_topic_ids = fields.next_value()?,
                "entries" => head.entries = fields.next_value()?,
                "detailed_mappings" => {
                    head.details = fields
                        .next_value::<HashMap<String, HasRecords>>()?
                        .into_iter()
                        .map(|(key, has)| (key, has.0))
                        .collect();
                }
                "consumer_groups" => {
                    let found = fields.next_value_seed(GroupsSeed(self.0))?;
                    (head.groups, head.fault) = (found.0, found.1);
                }
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
            }
            if !seen.insert(name) {
                return Err(A::Error::custom("a field stands twice"));
            }
        }
        if seen.contains("entries") { Ok(head) } else { Err(A::Error::missing_field("entries")) }
    }
}

/// Whether a list has elements.
struct HasRecords(bool);

impl<'de> Deserialize<'de> for HasRecords {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements;
        impl<'de> Visitor<'de> for Elements {
            type Value = HasRecords;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of records")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<HasRecords, A::Error> {
                let mut has = false;
                while list.next_element::<IgnoredAny>()?.is_some() {
                    has = true;
                }
                Ok(HasRecords(has))
            }
        }
        deserializer.deserialize_seq(Elements)
    }
}

/// Groups that are named, and what cannot be of any group.
struct GroupsSeed<'a>(&'a BTreeSet<String>);

seed_of_a_map!(GroupsSeed);

impl<'de> Visitor<'de> for GroupsSeed<'_> {
    type Value = (BTreeMap<String, MappedGroup>, Option<String>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("groups by their ids")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut groups: A) -> Result<Self::Value, A::Error> {
        let (mut found, mut fault) = (BTreeMap::new(), None);
        while let Some(id) = groups.next_key::<String>()? {
            if self.0.contains(&id) {
                let group: MappedGroup = groups.next_value()?;
                fault = fault.or_else(|| group.fault(&id));
                found.insert(id, group);
            } else {
                let group = groups.next_value_seed(Passing(PhantomData::<MappedGroup>))?;
                fault = fault.or_else(|| group.fault(&id));
            }
        }
        Ok((found, fault))
    }
}

/// Offsets of the source that are looked for, by target topic and partition as files name them.
pub(super) type Asked = HashMap<String, BTreeSet<i64>>;

/// Reads the records of the partitions in which offsets are asked for; all others are held against themselves only. The error
/// of a partition is in words.
pub(super) struct RunsSeed<'a>(pub(super) &'a Asked);

seed_of_a_map!(RunsSeed);

impl<'de> Visitor<'de> for RunsSeed<'_> {
    type Value = Result<HashMap<String, Vec<Run>>, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an offset mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut found = Ok(HashMap::new());
        while let Some(name) = fields.next_key::<String>()? {
            if name == "detailed_mappings" {
                found = fields.next_value_seed(DetailsSeed(self.0))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct DetailsSeed<'a>(&'a Asked);

seed_of_a_map!(DetailsSeed);

impl<'de> Visitor<'de> for DetailsSeed<'_> {
    type Value = Result<HashMap<String, Vec<Run>>, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lists of records by target topic and partition")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut partitions: A) -> Result<Self::Value, A::Error> {
        let (nothing, mut found, mut fault) = (BTreeSet::new(), HashMap::new(), None);
        while let Some(key) = partitions.next_key::<String>()? {
            let asked = self.0.get(&key);
            match partitions.next_value_seed(OneSeed(Runs::new(asked.unwrap_or(&nothing))))? {
                Ok(runs) if asked.is_some() => drop(found.insert(key, runs)),
                Ok(_) => {}
                Err(what) => fault = fault.or_else(|| Some(format!("{what} in {key}"))),
            }
        }
        Ok(fault.map_or(Ok(found), Err))
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

impl Element {
    fn run(self) -> Result<Run, &'static str> {
        let (source_start, target_start, len) = match self {
            Self { source_offset: Some(source), target_offset: Some(target), .. } => (source, target, 1),
            Self { source_start: Some(source), target_start: Some(target), len: Some(len), .. } => {
                (source, target, len)
            }
            _ => return Err("an element is no pair and no run of offsets"),
        };
        if source_start < 0 || target_start < 0 || len == 0 {
            return Err("an offset is negative, or a run has no records");
        }
        let fits = |start: i64| i64::try_from(len).ok().and_then(|length| start.checked_add(length)).is_some();
        if !fits(source_start) || !fits(target_start) {
            return Err("a run of offsets goes beyond the largest offset");
        }
        Ok(Run { source_start, target_start, len, first_timestamp: 0, last_timestamp: 0 })
    }
}

/// Reads the records of one partition.
struct OneSeed<'a>(Runs<'a>);

impl<'de> DeserializeSeed<'de> for OneSeed<'_> {
    type Value = Result<Vec<Run>, String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for OneSeed<'_> {
    type Value = Result<Vec<Run>, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("pairs or runs of offsets")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut fault = None;
        while let Some(element) = elements.next_element_seed(Passing(PhantomData::<Element>))? {
            let run = element.run().map_err(A::Error::custom)?;
            if fault.is_none() {
                fault = self.0.push(run).err();
            }
        }
        Ok(fault.map_or_else(|| self.0.ended(), Err))
    }
}
