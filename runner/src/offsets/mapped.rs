//! Where the offsets of a group go by an offset mapping. Pure.
//!
//! A group that stands in the mapping goes where the restore computed that it has to stand. Any other group goes by its
//! committed offsets: those of the source lead to places in the target, those of the target stay. An offset that can be of
//! either is refused: a wrong guess would lose records or repeat them.

use std::collections::{BTreeSet, HashMap, HashSet};

use contract::{InexactOffset, OffsetFound, OffsetLine, SourceOffset};
use uuid::Uuid;
use wire::{GroupOffset, TopicPartition};

use super::inexact::to_start;
use super::mapping::{MappedGroup, MappedOffset, Mapping, Part, Records};
use crate::logs::Span;

/// Topics that a message names.
const NAMED: usize = 3;

/// The offsets of one group.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Mapped {
    /// What is committed, with the metadata of each.
    pub(super) offsets: Vec<(OffsetLine, Option<String>)>,
    /// Committed offsets that are left alone.
    pub(super) elsewhere: u64,
    /// Those of them that stand in the target already.
    stays: u64,
    /// Those of them in partitions of the source of which no record was restored.
    pub(super) nowhere: Vec<TopicPartition>,
    /// Places that the target does not have any more, and what takes their place.
    pub(super) inexact: Vec<InexactOffset>,
}

/// Where a group goes, whose committed offsets are `held`. `named` says which topics are meant, by their name in the target or
/// in the source.
///
/// # Errors
/// An offset that leads nowhere, or that the mapping has none of its offsets, in words.
pub(super) fn mapped(
    id: &str,
    held: Vec<GroupOffset>,
    mapping: &Mapping,
    named: impl Fn(&str) -> bool,
) -> Result<Mapped, String> {
    let before = held.iter().map(|at| at.topic.clone()).collect();
    let found = match mapping.group(id).filter(|group| !group.offsets.is_empty()) {
        Some(group) => computed(group, &held, mapping, named)?,
        None => translated(held, mapping, named)?,
    };
    // Whoever is named and led nowhere must not look as if it had been led.
    let is_led = !found.offsets.is_empty() || !found.nowhere.is_empty() || found.stays > 0;
    if is_led { Ok(found) } else { Err(not_led(before)) }
}

/// Why nothing of a group can be set, whose offsets are of these topics.
fn not_led(topics: BTreeSet<String>) -> String {
    if topics.is_empty() {
        return "it has no committed offset, and the mapping has none for it; set it with another reset, or leave it out".into();
    }
    let more = if topics.len() > NAMED { ", ..." } else { "" };
    let named = topics.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    format!(
        "none of its committed offsets (of {named}{more}) is of a topic and partition that was restored and is asked for; take the \
         mapping of the restore of its topics, or leave it out"
    )
}

/// The offsets that the restore computed.
fn computed(
    group: &MappedGroup,
    held: &[GroupOffset],
    mapping: &Mapping,
    named: impl Fn(&str) -> bool,
) -> Result<Mapped, String> {
    let mut out = Mapped::default();
    for (topic, partition, at) in places(group) {
        let place = (topic.to_owned(), partition);
        let part = mapping.of_target(&place);
        if !named(topic) && !part.is_some_and(|part| named(&part.source.0)) {
            continue;
        }
        let found = match at.target_offset {
            Some(offset) => Some((offset, OffsetFound::Mapped)),
            None => part.and_then(|part| part.find(at.source_offset)),
        };
        let (offset, found) = found.ok_or_else(|| {
            format!("it does not lead from offset {} of the source to {topic}/{partition}", at.source_offset)
        })?;
        let source = part.map_or_else(|| place.clone(), |part| part.source.clone());
        out.offsets.push((line(place, &source, at.source_offset, (offset, found)), at.metadata.clone()));
    }
    let set: HashSet<_> = out.offsets.iter().map(|(line, _)| (line.topic.as_str(), line.partition)).collect();
    out.elsewhere = held.iter().filter(|at| !set.contains(&(at.topic.as_str(), at.partition))).count() as u64;
    Ok(out)
}

fn places(group: &MappedGroup) -> impl Iterator<Item = (&str, i32, &MappedOffset)> {
    group
        .offsets
        .iter()
        .flat_map(|(topic, partitions)| partitions.iter().map(move |(partition, at)| (topic.as_str(), *partition, at)))
}

/// The committed offsets of a group that the restore did not know.
fn translated(held: Vec<GroupOffset>, mapping: &Mapping, named: impl Fn(&str) -> bool) -> Result<Mapped, String> {
    let stands: HashSet<TopicPartition> = held.iter().map(|at| (at.topic.clone(), at.partition)).collect();
    let mut out = Mapped::default();
    for at in held {
        let here: TopicPartition = (at.topic.clone(), at.partition);
        let is_asked_for = |part: &&Part| named(&part.source.0) || named(&part.target.0);
        let Some(part) = mapping.of_source(&here).filter(is_asked_for) else {
            out.elsewhere += 1;
            out.stays += u64::from(mapping.of_target(&here).as_ref().is_some_and(is_asked_for));
            continue;
        };
        // One that stands in the target already stays there.
        if part.target != here && stands.contains(&part.target) {
            out.elsewhere += 1;
            out.stays += 1;
            continue;
        }
        match part.records {
            Records::Runs(_) | Records::Unasked => {}
            Records::Nothing => {
                out.elsewhere += 1;
                out.nowhere.push(here);
                continue;
            }
            Records::NotTold => {
                return Err(format!(
                    "it has the first and the last record of {}/{} and not where those between went, and there are holes; take a \
                     mapping with details, or leave the group out",
                    at.topic, at.partition
                ));
            }
        }
        if part.target != here && mapping.of_target(&here).is_some() {
            return Err(format!(
                "offset {} of {}/{} can be one of the source or one of the target, since the restore wrote there as well",
                at.offset, at.topic, at.partition
            ));
        }
        if let Some(found) = moved(part, &here, at.offset)? {
            out.offsets.push((line(part.target.clone(), &here, at.offset, found), at.metadata));
        } else {
            out.elsewhere += 1;
            out.stays += 1;
        }
    }
    Ok(out)
}

/// Where one offset goes; `None` where it is one of the target already.
fn moved(part: &Part, here: &TopicPartition, offset: i64) -> Result<Option<(i64, OffsetFound)>, String> {
    let (topic, partition) = here;
    let found = part.find(offset).filter(|_| part.is_of_source(offset));
    let is_there = part.target == *here && part.is_of_target(offset);
    match (found, is_there) {
        (Some(found), false) => Ok(Some(found)),
        // The same place either way.
        (Some(found), true) if found.0 == offset => Ok(Some(found)),
        (None, true) => Ok(None),
        (Some(found), true) => Err(format!(
            "offset {offset} of {topic}/{partition} can be one of the source, which leads to offset {}, or one of the target, \
             which stays",
            found.0
        )),
        (None, false) => {
            Err(format!("offset {offset} of {topic}/{partition} is not among the offsets that were restored"))
        }
    }
}

fn line(
    target: TopicPartition,
    source: &TopicPartition,
    source_offset: i64,
    (offset, found): (i64, OffsetFound),
) -> OffsetLine {
    let source = SourceOffset { topic: source.0.clone(), partition: source.1, offset: source_offset };
    OffsetLine { sources: vec![source], ..OffsetLine::planned(target.0, target.1, offset, found) }
}

/// Refuses places in a topic that was made again since the file was written: its offsets mean other records.
///
/// # Errors
/// The first such topic, in words.
pub(super) fn same_topics(mapped: &Mapped, mapping: &Mapping, now: &HashMap<String, Uuid>) -> Result<(), String> {
    for (line, _) in &mapped.offsets {
        let ids = mapping.topic_id(&line.topic).zip(now.get(&line.topic));
        if let Some((then, now)) = ids.filter(|(then, now)| then != *now) {
            return Err(format!(
                "it leads to topic {}, which was deleted and made again since (its id was {then} and is {now}); restore it once \
                 more, and go by the mapping of that restore",
                line.topic
            ));
        }
    }
    Ok(())
}

/// Holds the offsets against the logs: what a log has lost at its start leads to its start; what it never had is not of this
/// mapping.
///
/// # Errors
/// The first offset that does not fit, in words.
pub(super) fn fit(
    mapped: &mut Mapped,
    held: &HashMap<TopicPartition, i64>,
    spans: &HashMap<TopicPartition, Span>,
) -> Result<(), String> {
    for (line, _) in &mut mapped.offsets {
        let place = (line.topic.clone(), line.partition);
        let Some(span) = spans.get(&place) else {
            return Err(format!("it leads to {}/{}, which does not exist", line.topic, line.partition));
        };
        if line.offset > span.end {
            return Err(format!(
                "it leads to offset {} of {}/{}, which ends at {}: the topic is not the one that was restored",
                line.offset, line.topic, line.partition, span.end
            ));
        }
        if line.offset < span.start {
            mapped.inexact.push(to_start(line, span.start));
        }
        line.before = held.get(&place).copied();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::mapping::tests::{file, read};
    use super::*;

    fn at(topic: &str, partition: i32, offset: i64) -> GroupOffset {
        GroupOffset { topic: topic.into(), partition, offset, leader_epoch: 7, metadata: Some("m".into()) }
    }

    fn offsets(file: &Value, id: &str, held: Vec<GroupOffset>) -> Result<(Vec<(String, i64)>, u64), String> {
        let found = mapped(id, held, &read(file).unwrap(), |_| true)?;
        let lines =
            found.offsets.into_iter().map(|(line, _)| (format!("{}/{}", line.topic, line.partition), line.offset));
        Ok((lines.collect(), found.elsewhere))
    }

    fn same_name() -> Value {
        let text = file().to_string().replace("copy", "t");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn a_group_of_the_mapping_goes_where_the_restore_computed() {
        let held = || vec![at("other", 0, 5), at("copy", 0, 1)];
        assert_eq!(offsets(&file(), "g", held()), Ok((vec![("copy/0".into(), 10)], 1)));
        let mut by_source = file();
        by_source["consumer_groups"]["g"]["offsets"]["copy"]["0"]["target_offset"] = Value::Null;
        assert_eq!(offsets(&by_source, "g", Vec::new()), Ok((vec![("copy/0".into(), 10)], 0)));
        by_source["detailed_mappings"] = json!({});
        assert!(offsets(&by_source, "g", Vec::new()).unwrap_err().contains("does not lead from offset 25"));
    }

    #[test]
    fn topics_are_meant_by_their_names_in_the_target_or_in_the_source() {
        for (topic, expected) in [("copy", 1), ("t", 1), ("u", 0)] {
            let mapping = read(&file()).unwrap();
            let count =
                |id, held| mapped(id, held, &mapping, |name| name == topic).map_or(0, |found| found.offsets.len());
            assert_eq!((count("g", Vec::new()), count("x", vec![at("t", 0, 12)])), (expected, expected), "{topic}");
        }
    }

    #[test]
    fn another_group_goes_by_its_offsets_of_the_source() {
        assert_eq!(offsets(&file(), "x", vec![at("t", 0, 12)]), Ok((vec![("copy/0".into(), 2)], 0)));
        assert_eq!(offsets(&file(), "x", vec![at("t", 0, 25)]), Ok((vec![("copy/0".into(), 10)], 0)));
        // It stands in the target already; topics and partitions that the mapping does not have.
        assert_eq!(offsets(&file(), "x", vec![at("t", 0, 12), at("copy", 0, 7)]), Ok((Vec::new(), 2)));
        assert_eq!(offsets(&file(), "x", vec![at("t", 0, 12), at("u", 0, 3)]), Ok((vec![("copy/0".into(), 2)], 1)));
        assert_eq!(offsets(&file(), "x", vec![at("copy", 0, 7), at("u", 0, 3)]), Ok((Vec::new(), 2)), "it is there");
        assert!(offsets(&file(), "x", vec![at("t", 0, 500)]).unwrap_err().contains("not among the offsets"));
    }

    /// A group that is named and of which nothing is set must not end as done.
    #[test]
    fn a_group_that_the_mapping_leads_nowhere_is_refused() {
        let why = |file: &Value, held| offsets(file, "x", held).unwrap_err();
        let foreign = why(&file(), vec![at("t", 1, 12), at("u", 0, 3)]);
        assert!(foreign.contains("none of its committed offsets (of t, u)"), "{foreign}");
        assert!(why(&file(), Vec::new()).contains("no committed offset"));
        let found = mapped("g", vec![at("t", 0, 12)], &read(&file()).unwrap(), |topic| topic == "other");
        assert!(found.unwrap_err().contains("(of t)"), "topics that the mapping does not have");
        // Known, and with holes of which the file says nothing.
        let mut holes = file();
        holes["detailed_mappings"] = json!({});
        let known = why(&holes, vec![at("t", 0, 12)]);
        assert!(known.contains("first and the last record of t/0") && known.contains("holes"), "{known}");
    }

    #[test]
    fn a_partition_of_which_no_record_was_restored_is_told() {
        let mut empty = file();
        empty["entries"]["copy/0"]["target_first_offset"] = Value::Null;
        empty["detailed_mappings"]["copy/0"] = json!([]);
        let found = mapped("x", vec![at("t", 0, 12)], &read(&empty).unwrap(), |_| true).unwrap();
        assert_eq!((found.offsets.len(), found.elsewhere, found.nowhere), (0, 1, vec![("t".to_owned(), 0)]));
    }

    #[test]
    fn an_offset_that_can_be_of_both_is_refused() {
        // 10 to 35 in the source, 0 to 15 in the target, under one name.
        let one = |offset| offsets(&same_name(), "x", vec![at("t", 0, offset)]);
        assert_eq!(one(30), Ok((vec![("t/0".into(), 10)], 0)), "only the source has it");
        assert_eq!(one(5), Ok((Vec::new(), 1)), "only the target has it");
        assert!(one(12).unwrap_err().contains("can be one of the source, which leads to offset 2"));
        assert!(one(40).unwrap_err().contains("not among"));
        // Names that the restore swapped.
        let mut swapped = file();
        swapped["entries"]["t/0"] = json!({"topic": "t", "partition": 0, "source_first_offset": 0, "source_last_offset": 3,
            "target_first_offset": 0, "target_last_offset": 3, "source_topic": "copy", "source_partition": 0});
        assert!(offsets(&swapped, "x", vec![at("t", 0, 12)]).unwrap_err().contains("the restore wrote there as well"));
    }

    #[test]
    fn a_topic_that_was_made_again_is_not_the_one_that_was_restored() {
        let (then, now) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let judged = |file: &Value, id: Uuid| {
            let mapping = read(file).unwrap();
            let found = mapped("g", Vec::new(), &mapping, |_| true).unwrap();
            same_topics(&found, &mapping, &HashMap::from([("copy".to_owned(), id)]))
        };
        assert_eq!(judged(&file(), now), Ok(()), "files without ids are taken as they are");
        let mut with_ids = file();
        with_ids["target_topic_ids"] = json!({"copy": then});
        assert_eq!(judged(&with_ids, then), Ok(()));
        let why = judged(&with_ids, now).unwrap_err();
        assert!(why.contains("topic copy") && why.contains("made again since"), "{why}");
    }

    #[test]
    fn what_a_log_never_had_is_not_of_this_mapping() {
        let fitted = |span: Option<(i64, i64)>| {
            let mut found = mapped("g", Vec::new(), &read(&file()).unwrap(), |_| true).unwrap();
            let spans = span.map(|(start, end)| (("copy".to_owned(), 0), Span { start, end })).into_iter().collect();
            fit(&mut found, &HashMap::from([(("copy".to_owned(), 0), 3)]), &spans)?;
            let line = found.offsets.remove(0).0;
            assert_eq!(line.before, Some(3));
            Ok::<_, String>((line.offset, line.found, found.inexact.first().map(|at| (at.wanted, at.got))))
        };
        assert_eq!(fitted(Some((0, 15))), Ok((10, OffsetFound::Mapped, None)));
        assert_eq!(fitted(Some((12, 15))), Ok((12, OffsetFound::Nearest, Some((10, Some(12))))));
        assert!(fitted(Some((0, 9))).unwrap_err().contains("ends at 9"));
        assert!(fitted(None).unwrap_err().contains("does not exist"));
    }
}
