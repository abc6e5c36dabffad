//! From saved offsets back to them: what is committed, and what is deleted because it was not there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use contract::{Code, DeletedOffset, Failure, GroupOutcome, OffsetFound, OffsetLine};
use wire::{Cluster, CoordinatorPatience, Group, GroupOffset};

use super::commit::{GroupWork, PATIENCE, listed, members, offsets_of};
use super::reset::{Plan, empty};
use super::snapshot::{GroupOffsets, Snapshot};
use crate::logs::present;

/// Which groups of a snapshot are put back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    /// These; all when there are none.
    Named(&'a [String]),
    /// Those that a run has changed, which are the only ones that it may touch.
    Changed(&'a BTreeSet<String>),
}

/// What has to be done, of all groups that are not `done` already.
///
/// # Errors
/// When the cluster cannot be asked.
pub(crate) async fn plan(
    cluster: &Cluster,
    snapshot: &Snapshot,
    which: Which<'_>,
    done: &BTreeMap<String, u64>,
) -> Result<Plan, Failure> {
    let mut plan = Plan { topics: snapshot.topics.clone(), ..Plan::default() };
    let there = listed(cluster).await?;
    let wanted = |id: &String| match which {
        Which::Named([]) => true,
        Which::Named(names) => names.contains(id),
        Which::Changed(changed) => changed.contains(id),
    };
    if let Which::Named(names) = which {
        for id in names.iter().filter(|id| !snapshot.group_offsets.contains_key(*id)) {
            let text = format!("the saved offsets {} have no group {id:?}; correct the name", snapshot.id);
            plan.refuse(id, Failure::new(Code::UnknownGroup, text));
        }
    }
    let chosen: Vec<_> =
        snapshot.group_offsets.iter().filter(|(id, _)| wanted(id) && !done.contains_key(*id)).collect();
    let topics: BTreeSet<_> = chosen.iter().flat_map(|(_, saved)| saved.offsets.keys().cloned()).collect();
    let exist = partitions(cluster, topics).await?;
    let patience = CoordinatorPatience::new(PATIENCE);
    for (id, saved) in chosen {
        let group = there.get(id);
        let now = match group {
            Some(group) => offsets_of(cluster, group, &patience).await?,
            None => Vec::new(),
        };
        let mut work = one(id, saved, group, &now, &snapshot.topics);
        let gone = leave_out(&mut work, &exist);
        // One that stands where it stood may have members.
        if is_as_saved(&work) {
            work.line.outcome = GroupOutcome::Committed;
            work.line.done = work.line.offsets.len() as u64;
        } else if let Some(group) = group
            && let Some(reason) = members(cluster, group).await?
        {
            plan.refuse(id, Failure::new(Code::GroupIsLive, reason));
            continue;
        }
        plan.warnings.extend(gone.iter().map(|(topic, partition)| {
            format!(
                "group {id:?} had an offset of {topic}/{partition}, which does not exist any more: it is not put back"
            )
        }));
        plan.work.push(work);
    }
    Ok(plan)
}

/// Partitions of each topic that exists.
async fn partitions(cluster: &Cluster, topics: BTreeSet<String>) -> Result<HashMap<String, BTreeSet<i32>>, Failure> {
    if topics.is_empty() {
        return Ok(HashMap::new());
    }
    let names: Vec<_> = topics.into_iter().collect();
    let found = present(cluster, &names).await?;
    Ok(found.into_iter().map(|topic| (topic.name, topic.partitions.iter().map(|p| p.index).collect())).collect())
}

/// One group. The kind is that of the group as it is, which decides what its coordinator takes.
fn one(
    id: &str,
    saved: &GroupOffsets,
    there: Option<&Group>,
    now: &[GroupOffset],
    topics: &BTreeSet<String>,
) -> GroupWork {
    let kind = there.map_or(saved.kind.as_str(), |group| group.kind.as_str());
    let mut work = empty(id, kind);
    let before = |topic: &str, partition| {
        now.iter().find(|at| at.topic == topic && at.partition == partition).map(|at| at.offset)
    };
    for (topic, partitions) in &saved.offsets {
        for (partition, at) in partitions {
            work.line.offsets.push(OffsetLine {
                topic: topic.clone(),
                partition: *partition,
                sources: Vec::new(),
                offset: at.offset,
                found: OffsetFound::Saved,
                before: before(topic, *partition),
                read_back: None,
                reason: None,
            });
            work.metadata.push(at.metadata.clone());
        }
    }
    for at in now {
        let was_there = saved.offsets.get(&at.topic).is_some_and(|partitions| partitions.contains_key(&at.partition));
        match (was_there, topics.contains(&at.topic)) {
            (true, _) => {}
            (false, true) => work.line.deleted.push(DeletedOffset {
                topic: at.topic.clone(),
                partition: at.partition,
                before: at.offset,
                reason: None,
            }),
            (false, false) => work.line.elsewhere += 1,
        }
    }
    work
}

/// Whether nothing has to be done.
fn is_as_saved(work: &GroupWork) -> bool {
    work.line.deleted.is_empty() && work.line.offsets.iter().all(|at| at.before == Some(at.offset))
}

/// Takes out what has no partition any more: no coordinator commits for it.
fn leave_out(work: &mut GroupWork, exist: &HashMap<String, BTreeSet<i32>>) -> Vec<(String, i32)> {
    let (mut kept, mut gone) = (Vec::new(), Vec::new());
    for (line, metadata) in work.line.offsets.drain(..).zip(work.metadata.drain(..)) {
        if exist.get(&line.topic).is_some_and(|partitions| partitions.contains(&line.partition)) {
            kept.push((line, metadata));
        } else {
            gone.push((line.topic, line.partition));
        }
    }
    (work.line.offsets, work.metadata) = kept.into_iter().unzip();
    work.line.elsewhere += gone.len() as u64;
    gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::snapshot::read;

    const SAVED: &str = r#"{"snapshot_id": "s", "created_at": "2026-11-01T00:00:00Z", "topics": ["t", "new"],
        "group_offsets": {"g": {"group_id": "g", "kind": "classic", "partition_count": 2,
        "offsets": {"t": {"0": {"offset": 5, "metadata": "m"}}, "u": {"0": {"offset": 7, "metadata": null}}}}}}"#;

    fn now(topic: &str, partition: i32, offset: i64) -> GroupOffset {
        GroupOffset { topic: topic.into(), partition, offset, leader_epoch: -1, metadata: None }
    }

    #[test]
    fn what_was_not_there_goes_in_topics_of_the_run_only() {
        let snapshot = read(SAVED.as_bytes(), "x", "c").unwrap();
        let held = [now("t", 0, 50), now("t", 1, 60), now("new", 0, 70), now("v", 0, 80)];
        let work = one("g", &snapshot.group_offsets["g"], None, &held, &snapshot.topics);
        let back: Vec<_> =
            work.line.offsets.iter().map(|at| (at.topic.as_str(), at.partition, at.offset, at.before)).collect();
        assert_eq!(back, [("t", 0, 5, Some(50)), ("u", 0, 7, None)]);
        let gone: Vec<_> = work.line.deleted.iter().map(|at| (at.topic.as_str(), at.partition, at.before)).collect();
        assert_eq!(gone, [("t", 1, 60), ("new", 0, 70)]);
        assert_eq!((work.line.elsewhere, work.line.kind.as_str()), (1, "classic"));
        assert!(!is_as_saved(&work));
        let held = [now("t", 0, 5), now("u", 0, 7), now("v", 0, 80)];
        assert!(is_as_saved(&one("g", &snapshot.group_offsets["g"], None, &held, &snapshot.topics)));
    }

    #[test]
    fn what_has_no_partition_any_more_is_left_out_and_named() {
        let snapshot = read(SAVED.as_bytes(), "x", "c").unwrap();
        let mut work = one("g", &snapshot.group_offsets["g"], None, &[], &snapshot.topics);
        let gone = leave_out(&mut work, &[("t".to_owned(), [0].into())].into());
        assert_eq!(gone, [("u".to_owned(), 0)]);
        assert_eq!((work.line.offsets.len(), work.metadata.len(), work.line.elsewhere), (1, 1, 1));
        assert_eq!(work.metadata, [Some("m".to_owned())]);
    }
}
