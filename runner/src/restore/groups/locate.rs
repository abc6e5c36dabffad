//! The committed offsets of groups as the target has to have them.

use std::collections::{BTreeMap, BTreeSet};

use archive::{Point, TopicIdPartition};
use contract::{Code, ConfigLine, Failure, GroupLine, GroupOutcome, OffsetLine, SourceOffset};

use super::chosen::ChosenGroup;
use super::dealt::dealt;
use super::meet::{Meeting, Source};
use crate::offsets::commit::GroupWork;
use crate::restore::plan::{RestorePlan, TopicPlan};
use crate::restore::standing::{Standings, standings};
use crate::restore::state::RestoreState;

/// Where each group has to stand in the target, from what is restored there.
///
/// # Errors
/// When the archive cannot be read, or does not fit the state of the restore.
pub(crate) async fn locate(
    (point, state): (&Point, &RestoreState),
    plan: &RestorePlan,
    groups: &[ChosenGroup],
) -> Result<Vec<GroupWork>, Failure> {
    let meetings = meetings(point, state.left_out > 0, plan, groups).await?;
    groups.iter().map(|group| one(state, plan, &meetings, group)).collect()
}

/// Source partitions by target partition, for each topic of the plan in which a group stands.
async fn meetings(
    point: &Point,
    skips: bool,
    plan: &RestorePlan,
    groups: &[ChosenGroup],
) -> Result<Vec<Vec<Meeting>>, Failure> {
    let mut asked: Vec<BTreeMap<i32, BTreeSet<i64>>> = vec![BTreeMap::new(); plan.topics.len()];
    for ((topic, partition), position) in groups.iter().flat_map(|group| &group.offsets) {
        if let Some(asked) = asked.get_mut(*topic) {
            asked.entry(*partition).or_default().insert(position.offset);
        }
    }
    // Whole topics go by the index, all of them in one walk.
    let mut of_index: BTreeMap<TopicIdPartition, BTreeSet<i64>> = BTreeMap::new();
    for (topic, asked) in plan.topics.iter().zip(&asked).filter(|(topic, asked)| !asked.is_empty() && !is_dealt(topic))
    {
        for partition in &topic.partitions {
            of_index.insert((topic.source_id, *partition), asked.get(partition).cloned().unwrap_or_default());
        }
    }
    let found = standings(point, plan, &of_index, skips).await?;
    let mut out = Vec::new();
    for (topic, asked) in plan.topics.iter().zip(&asked) {
        let dealt = if is_dealt(topic) && !asked.is_empty() {
            dealt(point, plan, topic, asked).await?
        } else {
            BTreeMap::new()
        };
        let of = |target: i32, source: i32| match topic.route.single(source) {
            Some(single) if single == target => found.get(&(topic.source_id, source)).cloned(),
            Some(_) => None,
            None => dealt.get(&(target, source)).cloned(),
        };
        let meeting = |target: &i32| Meeting {
            target: *target,
            sources: topic
                .partitions
                .iter()
                .filter_map(|source| Some(source_of(topic, *source, of(*target, *source)?)))
                .collect(),
            is_dealt: is_dealt(topic),
            ends_in_time: plan.ends_at().is_some(),
        };
        out.push(topic.targets.iter().map(meeting).collect());
    }
    Ok(out)
}

/// Whether records of one source partition go to several targets.
fn is_dealt(topic: &TopicPlan) -> bool {
    topic.partitions.iter().any(|partition| topic.route.single(*partition).is_none())
}

fn source_of(topic: &TopicPlan, partition: i32, standings: Standings) -> Source {
    let range = topic.sources.iter().find(|source| source.partition == partition);
    Source { partition, first: range.map_or(i64::MIN, |range| range.first), standings }
}

fn one(
    state: &RestoreState,
    plan: &RestorePlan,
    meetings: &[Vec<Meeting>],
    group: &ChosenGroup,
) -> Result<GroupWork, Failure> {
    let (mut offsets, mut metadata) = (Vec::new(), Vec::new());
    for (number, (topic, meetings)) in plan.topics.iter().zip(meetings).enumerate() {
        let stood: BTreeMap<i32, i64> =
            group.offsets.range((number, i32::MIN)..=(number, i32::MAX)).map(|((_, p), at)| (*p, at.offset)).collect();
        for meeting in meetings.iter().filter(|_| !stood.is_empty()) {
            let Some((before, found)) = meeting.place(&stood) else { continue };
            let here: Vec<_> =
                meeting.sources.iter().filter_map(|source| group.offsets.get(&(number, source.partition))).collect();
            let source = |at: &&archive::GroupPosition| SourceOffset {
                topic: topic.source.clone(),
                partition: at.partition,
                offset: at.offset,
            };
            // What a consumer wrote beside its offset is about one place.
            metadata.push(if let [one] = here.as_slice() { one.metadata.clone() } else { None });
            let offset = target_offset(state, number, meeting.target, before)?;
            let planned = OffsetLine::planned(topic.target.clone(), meeting.target, offset, found);
            offsets.push(OffsetLine { sources: here.iter().map(source).collect(), ..planned });
        }
    }
    let set = |(name, value): (&String, &String)| ConfigLine::planned(name.clone(), Some(value.clone()));
    let configs = group.configs.iter().map(set);
    let line = GroupLine {
        group: group.id.clone(),
        target: group.target.clone(),
        kind: group.kind.clone(),
        outcome: GroupOutcome::Planned,
        reason: group.nothing(),
        offsets,
        deleted: Vec::new(),
        configs: configs.collect(),
        inexact: Vec::new(),
        elsewhere: group.elsewhere,
        done: 0,
    };
    Ok(GroupWork { line, metadata, may_pass: false, sent: false })
}

/// The offset of restored record number `before` of a target partition; after the last one, of its end.
fn target_offset(state: &RestoreState, topic: usize, partition: i32, before: u64) -> Result<i64, Failure> {
    let found = state.place_of(topic, partition).and_then(|place| state.target_offset(place, before));
    found.ok_or_else(|| {
        let name = state.topics.get(topic).map_or("?", |topic| topic.name.as_str());
        Failure::new(
            Code::StateMismatch,
            format!("the state of the restore does not say where {name}/{partition} begins"),
        )
    })
}
