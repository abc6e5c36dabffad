//! Where the offsets of a reset go. What it asks of the cluster stands in one function; the rest is pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use contract::{Code, ExitCode, Failure, GroupLine, GroupOutcome, OffsetFound, OffsetLine, OffsetResetSpec};
use futures::StreamExt;
use wire::{Cluster, CoordinatorPatience, Group, GroupOffset, TopicPartition};

use super::commit::{GroupWork, PATIENCE, There, listed, members, offsets_of_all, unasked, unlisted};
use super::inexact::tell_nearest;
use super::mapped::{fit, mapped, same_topics};
use super::mapping::Heads;
use super::mapping_file::MappingFile;
use super::metadata::{CONFIG, longest, too_long};
use super::snapshot::classic;
use crate::logs::{Span, present, spans};

/// Groups that a warning names.
const NAMED: usize = 5;

/// Where offsets go.
#[derive(Debug)]
pub(crate) enum Goal {
    /// To a place in each log.
    InLog(InLog),
    /// To where a restore put the records.
    Mapped(Box<MappingFile>),
}

/// A place in each log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum InLog {
    Earliest,
    Latest,
    /// Milliseconds since 1970.
    Since(i64),
    Offset(i64),
}

/// What is to be done, and what speaks against it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) work: Vec<GroupWork>,
    pub(crate) refusals: Vec<Failure>,
    pub(crate) warnings: Vec<String>,
    /// The groups that the cluster had when the plan was made.
    pub(crate) there: There,
}

impl Plan {
    /// Sets aside a group that cannot be worked on.
    pub(crate) fn refuse(&mut self, group: &str, refusal: Failure) {
        let mut work = empty(group, "");
        work.fail(refusal.message.clone());
        work.may_pass = refusal.code.exit() == ExitCode::Resumable;
        self.work.push(work);
        self.refusals.push(refusal);
    }
}

/// A group without offsets.
pub(crate) fn empty(group: &str, kind: &str) -> GroupWork {
    let line = GroupLine {
        group: group.to_owned(),
        target: group.to_owned(),
        kind: kind.to_owned(),
        outcome: GroupOutcome::Planned,
        reason: None,
        offsets: Vec::new(),
        deleted: Vec::new(),
        configs: Vec::new(),
        inexact: Vec::new(),
        elsewhere: 0,
        done: 0,
    };
    GroupWork { line, metadata: Vec::new(), may_pass: false, sent: false }
}

/// The logs of the partitions in question.
struct Logs {
    spans: HashMap<TopicPartition, Span>,
    /// With a time: the first offset since then.
    since: HashMap<TopicPartition, Option<i64>>,
}

/// What earlier attempts of the run did.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// Groups that are done.
    pub(crate) done: BTreeMap<String, u64>,
    /// What groups had before that may be changed already, where they are looked at as they were.
    pub(crate) saved: BTreeMap<String, Vec<GroupOffset>>,
}

/// Where each group goes, of all groups that are not done already.
///
/// # Errors
/// When the cluster cannot be asked.
pub(crate) async fn plan(
    cluster: &Cluster,
    spec: &OffsetResetSpec,
    goal: &Goal,
    progress: &Progress,
) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let mapping = match goal {
        Goal::InLog(_) => None,
        Goal::Mapped(file) => Some(&file.heads),
    };
    let there = listed(cluster).await?;
    let patience = CoordinatorPatience::new(PATIENCE);
    let ids = spec.groups.iter().filter(|id| !progress.done.contains_key(*id));
    let at_once = spec.parallelism as usize;
    let looks =
        futures::stream::iter(ids).map(async |id: &String| (id, look(cluster, there.get(id), id, mapping).await));
    let looks: Vec<_> = looks.buffered(at_once).collect().await;
    // The others are refused below, with their reason.
    let groups: Vec<_> = looks.iter().filter_map(|(_, look)| look.as_ref().ok()).cloned().collect();
    let mut found = offsets_of_all(cluster, &groups, &patience, at_once).await;
    let mut held = Vec::new();
    for (id, look) in looks {
        let offsets = found.remove(id).unwrap_or_else(|| Err(unasked(id)));
        let is_known = there.contains_key(id) || mapping.is_some_and(|mapping| mapping.group(id).is_some());
        match look.and_then(|group| Ok((group, offsets?))) {
            Ok((_, offsets)) if offsets.is_empty() && !is_known => plan.refuse(id, unknown(id)),
            Ok((group, offsets)) => held.push((group, progress.saved.get(id).cloned().unwrap_or(offsets))),
            Err(refusal) => plan.refuse(id, refusal),
        }
    }
    let chosen: BTreeSet<&str> = spec.topics.iter().map(String::as_str).collect();
    let named = |topic: &str| chosen.is_empty() || chosen.contains(topic);
    match goal {
        Goal::InLog(to) => {
            in_logs(cluster, &mut plan, held, *to, named).await?;
            plan.warnings.extend(tell_nearest(&plan.work));
        }
        Goal::Mapped(file) => by_mapping(cluster, &mut plan, held, file, named).await?,
    }
    let unused = unused_topics(spec, &plan);
    plan.warnings.extend(unused);
    refuse_long_metadata(cluster, &mut plan).await?;
    plan.work.sort_by(|a, b| a.line.target.cmp(&b.line.target));
    plan.there = there;
    Ok(plan)
}

/// Sets aside groups whose coordinator would refuse the metadata of a commit.
pub(super) async fn refuse_long_metadata(cluster: &Cluster, plan: &mut Plan) -> Result<(), Failure> {
    if plan.work.iter().all(|work| work.metadata.iter().flatten().all(String::is_empty)) {
        return Ok(());
    }
    let longest = longest(cluster).await?;
    let mut refused = Vec::new();
    plan.work.retain(|work| {
        let places = work.line.offsets.iter().zip(&work.metadata);
        let places = places.map(|(at, metadata)| (at.topic.as_str(), at.partition, metadata.as_deref()));
        // What stands where it shall is not committed.
        let why = Some(work).filter(|work| work.line.outcome == GroupOutcome::Planned);
        let why = why.and_then(|work| too_long(&work.line.target, places, longest));
        refused.extend(why.clone().map(|why| (work.line.target.clone(), why)));
        why.is_none()
    });
    for (group, why) in refused {
        let text = format!("{why}; raise {CONFIG} there, or leave the group out");
        plan.refuse(&group, Failure::new(Code::OffsetsNotCommitted, text));
    }
    Ok(())
}

/// A group that has no members.
///
/// # Errors
/// Why its offsets cannot be set.
async fn look(cluster: &Cluster, listed: Option<&Group>, id: &str, mapping: Option<&Heads>) -> Result<Group, Failure> {
    if let Some(group) = listed
        && let Some(reason) = members(cluster, group).await?
    {
        return Err(Failure::new(Code::GroupIsLive, reason));
    }
    // After a loss the cluster has no group yet: one that the mapping knows is made.
    let known = mapping.and_then(|mapping| mapping.group(id));
    let kind = known.map_or_else(classic, |group| group.kind.clone());
    Ok(listed.cloned().unwrap_or_else(|| unlisted(id, &kind)))
}

/// Where the committed offsets of groups go in their logs.
async fn in_logs(
    cluster: &Cluster,
    plan: &mut Plan,
    held: Vec<(Group, Vec<GroupOffset>)>,
    to: InLog,
    named: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let touched = held.iter().flat_map(|(_, offsets)| offsets).filter(|at| named(&at.topic));
    let topics = touched.map(|at| at.topic.clone()).collect();
    let logs = logs(cluster, &topics, to).await?;
    for (group, offsets) in held {
        let (work, gone) = one(&group, offsets, &named, &logs, to);
        if work.line.offsets.is_empty() && work.line.elsewhere == 0 {
            plan.warnings.push(format!("group {:?} has no committed offset: nothing is set", group.id));
        }
        plan.warnings.extend(gone.iter().map(|at| {
            let (topic, partition) = (&at.topic, at.partition);
            format!("group {:?} has an offset of {topic}/{partition}, which does not exist: it is left alone", group.id)
        }));
        plan.work.push(work);
    }
    Ok(())
}

/// Where groups go by an offset mapping.
async fn by_mapping(
    cluster: &Cluster,
    plan: &mut Plan,
    held: Vec<(Group, Vec<GroupOffset>)>,
    file: &MappingFile,
    named: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    let mapping = &file.with_details(asked(&held, &file.heads)).await?;
    let mut found = Vec::new();
    for (group, offsets) in held {
        let before: HashMap<_, _> = offsets.iter().map(|at| ((at.topic.clone(), at.partition), at.offset)).collect();
        let goes = mapped(&group.id, offsets, mapping, &named);
        found.push((group, before, goes));
    }
    // The others are refused below, with their reason.
    let lines = found.iter().filter_map(|(.., goes)| goes.as_ref().ok()).flat_map(|goes| &goes.offsets);
    let topics: BTreeSet<_> = lines.map(|(line, _)| line.topic.clone()).collect();
    let topics: Vec<_> = topics.into_iter().collect();
    let there = if topics.is_empty() { Vec::new() } else { present(cluster, &topics).await? };
    let ids = there.iter().filter(|topic| !topic.wire_id.is_nil());
    let ids: HashMap<_, _> = ids.map(|topic| (topic.name.clone(), topic.wire_id)).collect();
    let spans = if there.is_empty() { HashMap::new() } else { spans(cluster, &there).await? };
    for (group, before, goes) in found {
        let fitted = goes.and_then(|mut goes| {
            same_topics(&goes, mapping, &ids)?;
            fit(&mut goes, &before, &spans)?;
            Ok(goes)
        });
        match fitted {
            Ok(goes) => {
                plan.warnings.extend(nothing_there(&group.id, &goes.nowhere));
                let mut work = empty(&group.id, &group.kind);
                (work.line.elsewhere, work.line.inexact) = (goes.elsewhere, goes.inexact);
                (work.line.offsets, work.metadata) = goes.offsets.into_iter().unzip();
                plan.work.push(work);
            }
            Err(why) => {
                let text = format!("the offset mapping {} does not fit group {:?}: {why}", mapping.place, group.id);
                plan.refuse(&group.id, Failure::new(Code::NoOffsetMapping, text));
            }
        }
    }
    Ok(())
}

/// The offsets that are looked for in a mapping: those that groups have, and those of the file that it leaves to be looked up.
fn asked(held: &[(Group, Vec<GroupOffset>)], heads: &Heads) -> BTreeMap<TopicPartition, BTreeSet<i64>> {
    let mut out: BTreeMap<TopicPartition, BTreeSet<i64>> = BTreeMap::new();
    for (group, offsets) in held {
        for at in offsets {
            out.entry((at.topic.clone(), at.partition)).or_default().insert(at.offset);
        }
        let of_file = heads.group(&group.id).into_iter().flat_map(|group| &group.offsets);
        for (topic, partitions) in of_file {
            for (partition, at) in partitions {
                out.entry((topic.clone(), *partition)).or_default().insert(at.source_offset);
            }
        }
    }
    out
}

/// Partitions of the source of which no record was restored: there is no place to lead a group to.
fn nothing_there(group: &str, places: &[TopicPartition]) -> Option<String> {
    let named: Vec<_> = places.iter().take(NAMED).map(|(topic, partition)| format!("{topic}/{partition}")).collect();
    let more = match places.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more partitions"),
    };
    let named = named.join(", ");
    (!places.is_empty()).then(|| {
        format!("group {group:?} has offsets of {named}{more}, of which no record was restored: nothing is set there")
    })
}

fn unknown(id: &str) -> Failure {
    let text = format!("the cluster has no consumer group {id:?} that this user may describe; correct the name");
    Failure::new(Code::UnknownGroup, text)
}

/// Topics that are named, and groups of which nothing is set there: most likely typing errors.
fn unused_topics(spec: &OffsetResetSpec, plan: &Plan) -> Vec<String> {
    let topics_of = |work: &GroupWork| -> BTreeSet<String> {
        let sources = work.line.offsets.iter().flat_map(|at| at.sources.iter().map(|source| source.topic.clone()));
        work.line.offsets.iter().map(|at| at.topic.clone()).chain(sources).collect()
    };
    let planned: Vec<_> = plan
        .work
        .iter()
        .filter(|work| work.line.outcome == GroupOutcome::Planned)
        .map(|work| (work.line.target.as_str(), topics_of(work)))
        .collect();
    let words = |topic: &String| {
        let without: Vec<_> =
            planned.iter().filter(|(_, has)| !has.contains(topic)).map(|(target, _)| *target).collect();
        let named = without.iter().take(NAMED).map(|id| format!("{id:?}")).collect::<Vec<_>>().join(", ");
        let more = without.len().saturating_sub(NAMED);
        match (without.len(), more) {
            (0, _) => None,
            (all, _) if all == planned.len() => {
                Some(format!("none of the groups has a committed offset of topic {topic}: nothing is set there"))
            }
            (_, 0) => {
                Some(format!("the groups {named} have no committed offset of topic {topic}: nothing is set there"))
            }
            (_, more) => Some(format!(
                "the groups {named} and {more} more have no committed offset of topic {topic}: nothing is set there"
            )),
        }
    };
    spec.topics.iter().filter_map(words).collect()
}

async fn logs(cluster: &Cluster, names: &BTreeSet<String>, to: InLog) -> Result<Logs, Failure> {
    if names.is_empty() {
        return Ok(Logs { spans: HashMap::new(), since: HashMap::new() });
    }
    let names: Vec<_> = names.iter().cloned().collect();
    let topics = present(cluster, &names).await?;
    let since = match to {
        InLog::Since(millis) => cluster.offsets_since(&topics, millis).await?,
        InLog::Earliest | InLog::Latest | InLog::Offset(_) => HashMap::new(),
    };
    Ok(Logs { spans: spans(cluster, &topics).await?, since })
}

/// One group, and its offsets of partitions that do not exist.
fn one(
    group: &Group,
    offsets: Vec<GroupOffset>,
    named: impl Fn(&str) -> bool,
    logs: &Logs,
    to: InLog,
) -> (GroupWork, Vec<GroupOffset>) {
    let (mut work, mut gone) = (empty(&group.id, &group.kind), Vec::new());
    for at in offsets {
        let key = (at.topic.clone(), at.partition);
        match logs.spans.get(&key) {
            _ if !named(&at.topic) => work.line.elsewhere += 1,
            None => gone.push(at),
            Some(span) => {
                let since = logs.since.get(&key).copied().flatten();
                let (offset, found) = place(*span, since, to);
                let planned = OffsetLine::planned(at.topic, at.partition, offset, found);
                work.line.offsets.push(OffsetLine { before: Some(at.offset), ..planned });
                work.metadata.push(at.metadata);
            }
        }
    }
    work.line.elsewhere += gone.len() as u64;
    (work, gone)
}

/// Where an offset goes in one partition.
fn place(span: Span, since: Option<i64>, to: InLog) -> (i64, OffsetFound) {
    match to {
        InLog::Earliest => (span.start, OffsetFound::LogStart),
        InLog::Latest => (span.end, OffsetFound::LogEnd),
        InLog::Since(_) => match since {
            Some(offset) => (offset, OffsetFound::SinceTime),
            None => (span.end, OffsetFound::NoneSinceTime),
        },
        InLog::Offset(offset) if offset < span.start => (span.start, OffsetFound::Nearest),
        InLog::Offset(offset) if offset > span.end => (span.end, OffsetFound::Nearest),
        InLog::Offset(offset) => (offset, OffsetFound::Given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_always_lies_in_the_log() {
        let span = Span { start: 10, end: 20 };
        for (to, since, expected) in [
            (InLog::Earliest, None, (10, OffsetFound::LogStart)),
            (InLog::Latest, None, (20, OffsetFound::LogEnd)),
            (InLog::Since(7), Some(15), (15, OffsetFound::SinceTime)),
            // The broker says -1 then, which is no offset.
            (InLog::Since(7), None, (20, OffsetFound::NoneSinceTime)),
            (InLog::Offset(10), None, (10, OffsetFound::Given)),
            (InLog::Offset(20), None, (20, OffsetFound::Given)),
            (InLog::Offset(9), None, (10, OffsetFound::Nearest)),
            (InLog::Offset(21), None, (20, OffsetFound::Nearest)),
        ] {
            assert_eq!(place(span, since, to), expected, "{to:?}");
        }
    }

    #[test]
    fn offsets_of_other_topics_and_of_partitions_that_are_gone_are_left_alone() {
        let group = Group { id: "g".into(), kind: "classic".into(), state: "Empty".into() };
        let at = |topic: &str, partition| GroupOffset {
            topic: topic.into(),
            partition,
            offset: 15,
            leader_epoch: 7,
            metadata: Some("m".into()),
        };
        let spans = [(("t".to_owned(), 0), Span { start: 10, end: 20 })].into();
        let logs = Logs { spans, since: HashMap::new() };
        let offsets = vec![at("t", 0), at("t", 1), at("u", 0)];
        let (work, gone) = one(&group, offsets, |topic| topic == "t", &logs, InLog::Earliest);
        assert_eq!((work.line.offsets.len(), work.line.elsewhere, gone.len()), (1, 2, 1));
        assert_eq!((work.line.offsets[0].offset, work.line.offsets[0].before), (10, Some(15)));
        assert_eq!(work.metadata, [Some("m".to_owned())]);
    }
}
