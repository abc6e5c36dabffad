//! Where the offsets of a reset go. What it asks of the cluster stands in one function; the rest is pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use contract::{Code, Failure, GroupLine, GroupOutcome, OffsetFound, OffsetLine, OffsetResetSpec, ResetTo};
use futures::{StreamExt, TryStreamExt};
use wire::{Cluster, CoordinatorPatience, Group, GroupOffset, Place};

use super::commit::{GroupWork, PATIENCE, listed, members, offsets_of};
use crate::logs::{Span, present, spans};

/// What is to be done, and what speaks against it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) work: Vec<GroupWork>,
    pub(crate) refusals: Vec<Failure>,
    pub(crate) warnings: Vec<String>,
    /// Topics in which offsets are changed.
    pub(crate) topics: BTreeSet<String>,
}

impl Plan {
    /// Sets aside a group that cannot be worked on.
    pub(crate) fn refuse(&mut self, group: &str, refusal: Failure) {
        let mut work = empty(group, "");
        work.fail(refusal.message.clone());
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
        elsewhere: 0,
        done: 0,
    };
    GroupWork { line, metadata: Vec::new(), may_pass: false }
}

/// The logs of the partitions in question.
struct Logs {
    spans: HashMap<Place, Span>,
    /// With a time: the first offset since then.
    since: HashMap<Place, Option<i64>>,
}

/// Where each group goes, of all groups that are not `done` already.
///
/// # Errors
/// When the cluster cannot be asked.
pub(crate) async fn plan(
    cluster: &Cluster,
    spec: &OffsetResetSpec,
    done: &BTreeMap<String, u64>,
) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    let there = listed(cluster).await?;
    let mut open = Vec::new();
    for id in spec.groups.iter().filter(|id| !done.contains_key(*id)) {
        let Some(group) = there.get(id) else {
            plan.refuse(id, unknown(id));
            continue;
        };
        match members(cluster, group).await? {
            Some(reason) => plan.refuse(id, Failure::new(Code::GroupIsLive, reason)),
            None => open.push(group),
        }
    }
    let patience = CoordinatorPatience::new(PATIENCE);
    let held = futures::stream::iter(open)
        .map(async |group: &Group| Ok::<_, Failure>((group, offsets_of(cluster, group, &patience).await?)));
    let held: Vec<(&Group, Vec<GroupOffset>)> = held.buffered(spec.parallelism as usize).try_collect().await?;
    let named = |topic: &str| spec.topics.is_empty() || spec.topics.iter().any(|name| name == topic);
    let touched = held.iter().flat_map(|(_, offsets)| offsets).filter(|at| named(&at.topic));
    plan.topics = touched.map(|at| at.topic.clone()).collect();
    plan.warnings.extend(unused_topics(spec, &plan.topics));
    let logs = logs(cluster, &plan.topics, spec.to).await?;
    for (group, offsets) in held {
        let (work, gone) = one(group, offsets, named, &logs, spec.to);
        plan.warnings.extend(gone.iter().map(|at| {
            let (topic, partition) = (&at.topic, at.partition);
            format!("group {:?} has an offset of {topic}/{partition}, which does not exist: it is left alone", group.id)
        }));
        plan.work.push(work);
    }
    plan.work.sort_by(|a, b| a.line.target.cmp(&b.line.target));
    Ok(plan)
}

fn unknown(id: &str) -> Failure {
    let text = format!("the cluster has no consumer group {id:?} that this user may describe; correct the name");
    Failure::new(Code::UnknownGroup, text)
}

/// Topics that are named and have no offset of these groups: most likely a typing error.
fn unused_topics(spec: &OffsetResetSpec, touched: &BTreeSet<String>) -> Vec<String> {
    let unused = spec.topics.iter().filter(|name| !touched.contains(*name));
    unused
        .map(|name| format!("none of the groups has a committed offset of topic {name}: nothing is set there"))
        .collect()
}

async fn logs(cluster: &Cluster, names: &BTreeSet<String>, to: ResetTo) -> Result<Logs, Failure> {
    if names.is_empty() {
        return Ok(Logs { spans: HashMap::new(), since: HashMap::new() });
    }
    let names: Vec<_> = names.iter().cloned().collect();
    let topics = present(cluster, &names).await?;
    let since = match to {
        ResetTo::Timestamp(millis) => cluster.offsets_since(&topics, millis).await?,
        ResetTo::Earliest | ResetTo::Latest | ResetTo::Offset(_) => HashMap::new(),
    };
    Ok(Logs { spans: spans(cluster, &topics).await?, since })
}

/// One group, and its offsets of partitions that do not exist.
fn one(
    group: &Group,
    offsets: Vec<GroupOffset>,
    named: impl Fn(&str) -> bool,
    logs: &Logs,
    to: ResetTo,
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
                let (topic, partition, before) = (at.topic, at.partition, Some(at.offset));
                let (sources, read_back, reason) = (Vec::new(), None, None);
                work.line.offsets.push(OffsetLine {
                    topic,
                    partition,
                    sources,
                    offset,
                    found,
                    before,
                    read_back,
                    reason,
                });
                work.metadata.push(at.metadata);
            }
        }
    }
    work.line.elsewhere += gone.len() as u64;
    (work, gone)
}

/// Where an offset goes in one partition.
fn place(span: Span, since: Option<i64>, to: ResetTo) -> (i64, OffsetFound) {
    match to {
        ResetTo::Earliest => (span.start, OffsetFound::LogStart),
        ResetTo::Latest => (span.end, OffsetFound::LogEnd),
        ResetTo::Timestamp(_) => match since {
            Some(offset) => (offset, OffsetFound::SinceTime),
            None => (span.end, OffsetFound::NoneSinceTime),
        },
        ResetTo::Offset(offset) if offset < span.start => (span.start, OffsetFound::Nearest),
        ResetTo::Offset(offset) if offset > span.end => (span.end, OffsetFound::Nearest),
        ResetTo::Offset(offset) => (offset, OffsetFound::Given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_always_lies_in_the_log() {
        let span = Span { start: 10, end: 20 };
        for (to, since, expected) in [
            (ResetTo::Earliest, None, (10, OffsetFound::LogStart)),
            (ResetTo::Latest, None, (20, OffsetFound::LogEnd)),
            (ResetTo::Timestamp(7), Some(15), (15, OffsetFound::SinceTime)),
            // The broker says -1 then, which is no offset.
            (ResetTo::Timestamp(7), None, (20, OffsetFound::NoneSinceTime)),
            (ResetTo::Offset(10), None, (10, OffsetFound::Given)),
            (ResetTo::Offset(20), None, (20, OffsetFound::Given)),
            (ResetTo::Offset(9), None, (10, OffsetFound::Nearest)),
            (ResetTo::Offset(21), None, (20, OffsetFound::Nearest)),
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
        let (work, gone) = one(&group, offsets, |topic| topic == "t", &logs, ResetTo::Earliest);
        assert_eq!((work.line.offsets.len(), work.line.elsewhere, gone.len()), (1, 2, 1));
        assert_eq!((work.line.offsets[0].offset, work.line.offsets[0].before), (10, Some(15)));
        assert_eq!(work.metadata, [Some("m".to_owned())]);
    }
}
