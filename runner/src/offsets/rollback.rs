//! From saved offsets back to them: what is committed, and what is deleted because it was not there.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use contract::{Code, ConfigLine, DeletedOffset, Failure, GroupOutcome, OffsetFound, OffsetLine};
use uuid::Uuid;
use wire::{Cluster, CoordinatorPatience, Group, GroupOffset, TopicPartition};

use super::commit::{AT_ONCE, GroupWork, Held, PATIENCE, listed, members, offsets_of_all, unasked, unlisted};
use super::configs::{self, Set};
use super::inexact::{left_out, to_start};
use super::reset::{Plan, empty, refuse_long_metadata};
use super::snapshot::{GroupOffsets, SavedOffset, Scope, Snapshot};
use crate::logs::{Span, present, spans};

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
    let mut plan = Plan::default();
    let there = listed(cluster).await?;
    let named: BTreeSet<&String> = match which {
        Which::Named(names) => names.iter().collect(),
        Which::Changed(_) => BTreeSet::new(),
    };
    let wanted = |id: &String| match which {
        Which::Named([]) => true,
        Which::Named(_) => named.contains(id),
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
    let patience = CoordinatorPatience::new(PATIENCE);
    let wanted: Vec<(&str, Vec<&str>)> =
        chosen.iter().map(|(id, saved)| (id.as_str(), saved.configs.keys().map(String::as_str).collect())).collect();
    let set = configs::now(cluster, &wanted).await?;
    let of =
        |(id, saved): &(&String, &GroupOffsets)| there.get(*id).cloned().unwrap_or_else(|| unlisted(id, &saved.kind));
    let groups: Vec<_> = chosen.iter().map(of).collect();
    let both = chosen.iter().zip(&groups);
    let topics = both.flat_map(|((_, saved), group)| meant(saved, snapshot.scope(saved, &group.kind)));
    let logs = logs(cluster, topics.cloned().collect()).await?;
    let mut held = offsets_of_all(cluster, &groups, &patience, AT_ONCE).await;
    for ((id, saved), group) in chosen.into_iter().zip(&groups) {
        let now = held.remove(id).unwrap_or_else(|| Err(unasked(id)));
        match look(cluster, (group, now), (saved, set.get(id)), snapshot, &logs).await {
            Ok(work) => plan.work.push(work),
            Err(refusal) => plan.refuse(id, refusal),
        }
    }
    refuse_long_metadata(cluster, &mut plan).await?;
    plan.there = there;
    Ok(plan)
}

/// What is done with one group.
///
/// # Errors
/// Why its offsets cannot be put back.
async fn look(
    cluster: &Cluster,
    (group, now): (&Group, Held),
    (saved, set): (&GroupOffsets, Option<&Set>),
    snapshot: &Snapshot,
    logs: &Logs,
) -> Result<GroupWork, Failure> {
    let mut work = one(&group.id, saved, &group.kind, &now?, snapshot.scope(saved, &group.kind));
    work.line.configs = as_saved(&saved.configs, set);
    fit(&mut work, snapshot, logs);
    // One that stands where it stood may have members.
    if is_as_saved(&work) {
        let has_none = work.line.offsets.is_empty();
        work.line.outcome = if has_none { GroupOutcome::NoOffsets } else { GroupOutcome::Committed };
        work.line.done = work.line.offsets.len() as u64;
    } else if let Some(reason) = members(cluster, group).await? {
        return Err(Failure::new(Code::GroupIsLive, reason));
    }
    Ok(work)
}

/// Topics of a group in which offsets are put back.
fn meant<'a>(saved: &'a GroupOffsets, scope: Scope<'a>) -> impl Iterator<Item = &'a String> {
    let is_meant = move |(topic, partitions): &(&String, &BTreeMap<i32, SavedOffset>)| {
        partitions.keys().any(|partition| scope.puts_back(topic, *partition))
    };
    saved.offsets.iter().filter(is_meant).map(|(topic, _)| topic)
}

/// Topics that exist, and their logs.
#[derive(Debug, Default)]
struct Logs {
    ids: HashMap<String, Uuid>,
    spans: HashMap<TopicPartition, Span>,
}

async fn logs(cluster: &Cluster, topics: BTreeSet<String>) -> Result<Logs, Failure> {
    if topics.is_empty() {
        return Ok(Logs::default());
    }
    let names: Vec<_> = topics.into_iter().collect();
    let found = present(cluster, &names).await?;
    let ids = found.iter().map(|topic| (topic.name.clone(), topic.wire_id)).collect();
    Ok(Logs { ids, spans: spans(cluster, &found).await? })
}

/// One group. The kind is that of the group as it is, which decides what its coordinator takes.
fn one(id: &str, saved: &GroupOffsets, kind: &str, now: &[GroupOffset], scope: Scope<'_>) -> GroupWork {
    let mut work = empty(id, kind);
    let stood: HashMap<(&str, i32), i64> =
        now.iter().map(|at| ((at.topic.as_str(), at.partition), at.offset)).collect();
    let before = |topic: &str, partition| stood.get(&(topic, partition)).copied();
    for (topic, partitions) in &saved.offsets {
        for (partition, at) in partitions {
            if !scope.puts_back(topic, *partition) {
                work.line.elsewhere += 1;
                continue;
            }
            let planned = OffsetLine::planned(topic.clone(), *partition, at.offset, OffsetFound::Saved);
            work.line.offsets.push(OffsetLine { before: before(topic, *partition), ..planned });
            work.metadata.push(at.metadata.clone());
        }
    }
    for at in now {
        let was_there = saved.offsets.get(&at.topic).is_some_and(|partitions| partitions.contains_key(&at.partition));
        match (was_there, scope.deletes(&at.topic, at.partition)) {
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

/// The configs of a group that are put back. Those of which is not known what is set now are put back all the same.
fn as_saved(saved: &Set, now: Option<&Set>) -> Vec<ConfigLine> {
    let line = |(name, value): (&String, &Option<String>)| {
        let before = now.and_then(|now| now.get(name).cloned());
        let planned = ConfigLine::planned(name.clone(), value.clone());
        (before.as_ref() != Some(value)).then(|| ConfigLine { before: before.flatten(), ..planned })
    };
    saved.iter().filter_map(line).collect()
}

/// Whether nothing has to be done.
fn is_as_saved(work: &GroupWork) -> bool {
    let line = &work.line;
    line.deleted.is_empty() && line.configs.is_empty() && line.offsets.iter().all(|at| at.before == Some(at.offset))
}

/// Holds saved offsets against the logs. Those of partitions that are gone, or of a topic that was made again, mean nothing any
/// more and are taken out; those of records that are deleted lead to the first record that is left. All of them are named.
fn fit(work: &mut GroupWork, snapshot: &Snapshot, logs: &Logs) {
    let mut kept = Vec::new();
    for (mut line, metadata) in work.line.offsets.drain(..).zip(work.metadata.drain(..)) {
        let (topic, partition) = (&line.topic, line.partition);
        let other = snapshot.topic_ids.get(topic).zip(logs.ids.get(topic)).is_some_and(|(then, now)| then != now);
        let gone = match logs.spans.get(&(topic.clone(), partition)) {
            None => Some("it does not exist any more"),
            Some(_) if other => Some("it was deleted and made again"),
            // Its log was cut, or the offsets are those of another cluster.
            Some(span) if line.offset > span.end => Some("its log ends before this offset"),
            Some(span) => {
                if line.offset < span.start {
                    work.line.inexact.push(to_start(&mut line, span.start));
                }
                None
            }
        };
        match gone {
            None => kept.push((line, metadata)),
            Some(why) => work.line.inexact.push(left_out(&line, why)),
        }
    }
    (work.line.offsets, work.metadata) = kept.into_iter().unzip();
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

    fn worked(snapshot: &Snapshot, held: &[GroupOffset]) -> GroupWork {
        let saved = &snapshot.group_offsets["g"];
        one("g", saved, "classic", held, snapshot.scope(saved, "classic"))
    }

    /// What the run changed of other groups is theirs: this one may have gone on there.
    #[test]
    fn a_group_is_put_back_only_where_the_run_changed_its_offsets() {
        let text = SAVED.replace(r#""partition_count""#, r#""changed": {"t": [0, 1]}, "partition_count""#);
        let snapshot = read(text.as_bytes(), "x", "c").unwrap();
        let found = worked(&snapshot, &[now("t", 0, 50), now("t", 1, 60), now("t", 2, 65), now("new", 0, 70)]);
        let back: Vec<_> = found.line.offsets.iter().map(|at| (at.topic.as_str(), at.partition, at.offset)).collect();
        let gone: Vec<_> = found.line.deleted.iter().map(|at| (at.topic.as_str(), at.partition)).collect();
        assert_eq!((back, gone, found.line.elsewhere), (vec![("t", 0, 5)], vec![("t", 1)], 3));
        let nothing = read(SAVED.replace(r#"["t", "new"]"#, "[]").as_bytes(), "x", "c").unwrap();
        let found = worked(&nothing, &[now("t", 0, 50), now("t", 1, 60)]);
        assert!(is_as_saved(&found) && found.line.offsets.is_empty(), "a run that changed nothing says so: {found:?}");
    }

    #[test]
    fn what_was_not_there_goes_in_topics_of_the_run_only() {
        let snapshot = read(SAVED.as_bytes(), "x", "c").unwrap();
        let work = |held: &[GroupOffset]| worked(&snapshot, held);
        let found = work(&[now("t", 0, 50), now("t", 1, 60), now("new", 0, 70), now("u", 0, 75), now("v", 0, 80)]);
        let back: Vec<_> =
            found.line.offsets.iter().map(|at| (at.topic.as_str(), at.partition, at.offset, at.before)).collect();
        assert_eq!(back, [("t", 0, 5, Some(50))], "the run changed nothing in u: its consumers may have gone on");
        let gone: Vec<_> = found.line.deleted.iter().map(|at| (at.topic.as_str(), at.partition, at.before)).collect();
        assert_eq!(gone, [("t", 1, 60), ("new", 0, 70)]);
        assert_eq!(found.line.elsewhere, 2);
        assert!(!is_as_saved(&found));
        assert!(is_as_saved(&work(&[now("t", 0, 5), now("u", 0, 700), now("v", 0, 80)])));
    }

    #[test]
    fn configs_that_a_restore_set_are_put_back_and_those_that_are_as_they_were_are_not() {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let set = |values: [Option<&str>; 3]| -> Set {
            ["a", "b", "c"].into_iter().zip(values).map(|(name, value)| (name.to_owned(), text(value))).collect()
        };
        let saved = set([Some("1"), None, None]);
        let lines = as_saved(&saved, Some(&set([Some("2"), Some("3"), None])));
        let told: Vec<_> =
            lines.iter().map(|line| (line.name.as_str(), line.value.clone(), line.before.clone())).collect();
        assert_eq!(told, [("a", text(Some("1")), text(Some("2"))), ("b", None, text(Some("3")))]);
        assert_eq!(as_saved(&saved, None).len(), 3, "nobody says what is set");
        let mut work = worked(&read(SAVED.as_bytes(), "x", "c").unwrap(), &[now("t", 0, 5)]);
        assert!(is_as_saved(&work));
        work.line.configs = lines;
        assert!(!is_as_saved(&work));
    }

    #[test]
    fn a_foreign_snapshot_says_nothing_of_topics_and_means_all() {
        let snapshot = read(SAVED.replace(r#""topics": ["t", "new"],"#, "").as_bytes(), "x", "c").unwrap();
        let work = worked(&snapshot, &[now("v", 0, 8)]);
        assert_eq!((work.line.offsets.len(), work.line.deleted.len(), work.line.elsewhere), (2, 0, 1));
    }

    /// What was wanted, what is there instead, and why.
    type Inexact = (i64, Option<i64>, String);

    /// What becomes of the offsets of `t` and `u` in these logs.
    fn fitted(ids: &str, logs: &Logs) -> (Vec<(String, i64, OffsetFound)>, Vec<Inexact>) {
        let text = SAVED.replace(r#""topics": ["t", "new"],"#, ids);
        let snapshot = read(text.as_bytes(), "x", "c").unwrap();
        let mut work = worked(&snapshot, &[]);
        fit(&mut work, &snapshot, logs);
        assert_eq!((work.line.offsets.len(), work.line.elsewhere), (work.metadata.len(), 0));
        let inexact = work.line.inexact.into_iter();
        let inexact = inexact.map(|at| (at.wanted, at.got, format!("{}/{}: {}", at.topic, at.partition, at.reason)));
        (work.line.offsets.into_iter().map(|at| (at.topic, at.offset, at.found)).collect(), inexact.collect())
    }

    #[test]
    fn what_a_log_does_not_have_any_more_is_never_told_as_put_back() {
        let spans = |start| [(("t".to_owned(), 0), Span { start, end: 100 })].into();
        let logs = |start, id: u128| Logs { ids: [("t".to_owned(), Uuid::from_u128(id))].into(), spans: spans(start) };
        let (kept, inexact) = fitted("", &logs(0, 1));
        assert_eq!(kept, [("t".to_owned(), 5, OffsetFound::Saved)]);
        assert_eq!(inexact, [(7, None, "u/0: it does not exist any more".to_owned())]);
        let (kept, inexact) = fitted("", &logs(50, 1));
        assert_eq!(kept, [("t".to_owned(), 50, OffsetFound::Nearest)]);
        assert_eq!(inexact[0], (5, Some(50), "t/0: its records up to 50 are deleted".to_owned()));
        let ends_before =
            Logs { ids: HashMap::new(), spans: [(("t".to_owned(), 0), Span { start: 0, end: 4 })].into() };
        let (kept, inexact) = fitted("", &ends_before);
        assert!(kept.is_empty(), "{kept:?}");
        assert_eq!(inexact[0], (5, None, "t/0: its log ends before this offset".to_owned()));
        let ids = format!(r#""topic_ids": {{"t": "{}"}},"#, Uuid::from_u128(1));
        assert_eq!(fitted(&ids, &logs(0, 1)).0.len(), 1);
        let (kept, inexact) = fitted(&ids, &logs(0, 2));
        assert!(kept.is_empty() && inexact[0].2.contains("made again"), "{inexact:?}");
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // it looks at a clock of its own
    fn a_hundred_thousand_offsets_are_compared_at_once() {
        let count = 100_000;
        let partitions: Vec<_> = (0..count).map(|p| format!(r#""{p}": {{"offset": {p}}}"#)).collect();
        let text = format!(
            r#"{{"snapshot_id": "s", "created_at": "2026-11-01T00:00:00Z", "topics": ["t"], "group_offsets": {{"g": {{
            "group_id": "g", "kind": "classic", "offsets": {{"t": {{{}}}}}}}}}}}"#,
            partitions.join(",")
        );
        let snapshot = read(text.as_bytes(), "x", "c").unwrap();
        let held: Vec<_> = (0..count).rev().map(|p| now("t", p, i64::from(p))).collect();
        let since = std::time::Instant::now();
        let work = worked(&snapshot, &held);
        assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
        assert!(work.line.offsets.len() == held.len() && is_as_saved(&work));
    }
}
