//! Where consumer groups stood at a recovery point, beside where they stand now. Pure.

use std::collections::{BTreeMap, BTreeSet};

use inspect::{Group, GroupNow, Offset, OffsetNow, PointGroups, SourceNow};
use serde::Serialize;

/// The consumer groups of a recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Positions {
    /// The recovery point.
    pub point: String,
    /// Its second (RFC 3339).
    pub at: String,
    /// Whether groups were asked for when it was made.
    pub has_groups: bool,
    /// Whether the brokers were asked, too.
    pub live: bool,
    /// What is not known of the groups' places now, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// The groups, by id.
    pub groups: Vec<GroupPositions>,
    /// Groups that the source has now and the point does not know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only_now: Vec<String>,
}

/// A consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GroupPositions {
    /// Group id.
    pub group: String,
    /// `classic`, `consumer`, `share` or `streams`.
    pub kind: String,
    /// State when the point was made, or why its positions are missing there.
    pub state: String,
    /// State now; absent when the brokers were not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_now: Option<String>,
    /// Its positions in topic and partition order.
    pub positions: Vec<Position>,
}

/// A position of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Committed offset at the point; `None` when the group had none there.
    pub offset: Option<i64>,
    /// Where the log ended then; `None` when the partition is not in the point.
    pub log_end: Option<i64>,
    /// Offsets that were left to read then; `None` when the partition is not in the point.
    pub lag: Option<i64>,
    /// Where the group stands now; absent when that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Now>,
}

/// Where a group stands now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Now {
    /// Committed offset; `None` when the group has none there.
    pub offset: Option<i64>,
    /// How many offsets it moved on since the point, negative when it went back; `None` when the two cannot be compared.
    pub offsets_between: Option<i64>,
    /// How many records that are; `None` when some of the offsets may be no records: compacted, markers of transactions, or
    /// behind the end of what is archived.
    pub records_between: Option<u64>,
    /// Why the two cannot be compared, or why that may be wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What the brokers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Live {
    /// The source.
    pub source: SourceNow,
    /// Its groups.
    pub groups: Vec<GroupNow>,
}

impl Positions {
    /// Puts what the archive says beside what the brokers say.
    #[must_use]
    pub fn of(head: PointGroups, groups: Vec<Group>, live: Option<Live>) -> Self {
        let mut out = Self {
            point: head.name,
            at: head.at,
            has_groups: head.has_groups,
            live: live.is_some(),
            unknown: Vec::new(),
            groups: Vec::new(),
            only_now: Vec::new(),
        };
        let Some(Live { source, groups: found }) = live else {
            out.groups = groups.into_iter().map(|group| then(&group)).collect();
            return out;
        };
        out.unknown.clone_from(&source.unanswered);
        let same_source = source.cluster_id == head.cluster_id;
        if !same_source {
            let text = format!(
                "the recovery point is of cluster {}, and the KafkaBackup leads to cluster {} now: offsets of the two cannot be \
                 compared",
                head.cluster_id, source.cluster_id
            );
            out.unknown.push(text);
        }
        let mut found: BTreeMap<String, GroupNow> =
            found.into_iter().map(|group| (group.group.clone(), group)).collect();
        for group in &groups {
            let now = found.remove(&group.group);
            out.groups.push(match now {
                Some(now) => beside(group, &now, same_source),
                None => GroupPositions { state_now: Some(absent(&source)), ..then(group) },
            });
        }
        out.only_now = found.into_keys().collect();
        out
    }
}

/// Why a group is not among those that the brokers list.
fn absent(source: &SourceNow) -> String {
    if !source.unanswered.is_empty() {
        return "not known: not all brokers answered".to_owned();
    }
    match source.sees_all {
        Some(true) => "gone".to_owned(),
        Some(false) | None => "not listed: gone, or the user of the backup may not describe it".to_owned(),
    }
}

/// A group as the point has it.
fn then(group: &Group) -> GroupPositions {
    GroupPositions {
        group: group.group.clone(),
        kind: group.kind.clone(),
        state: group.state.clone(),
        state_now: None,
        positions: group.offsets.iter().map(position).collect(),
    }
}

fn position(at: &Offset) -> Position {
    Position {
        topic: at.topic.clone(),
        partition: at.partition,
        offset: Some(at.offset),
        log_end: at.log_end,
        lag: at.log_end.map(|end| end.saturating_sub(at.offset)),
        now: None,
    }
}

/// A group as the point has it, beside what it is now.
fn beside(group: &Group, now: &GroupNow, same_source: bool) -> GroupPositions {
    let mut out = then(group);
    if let Some(reason) = &now.unknown {
        out.state_now = Some(format!("{}, its offsets are not known: {reason}", now.state));
        return out;
    }
    out.state_now = Some(now.state.clone());
    let at = |topic: &str, partition: i32| now.offsets.iter().find(|at| at.topic == topic && at.partition == partition);
    for (position, stood) in out.positions.iter_mut().zip(&group.offsets) {
        position.now = Some(at(&stood.topic, stood.partition).map_or_else(
            || Now { note: Some("no committed offset now".to_owned()), ..Now::default() },
            |now| moved(stood, now, same_source),
        ));
    }
    let known: BTreeSet<(&str, i32)> = group.offsets.iter().map(|at| (at.topic.as_str(), at.partition)).collect();
    let is_new = |at: &&OffsetNow| !known.contains(&(at.topic.as_str(), at.partition));
    let new = now.offsets.iter().filter(is_new).map(|at| Position {
        topic: at.topic.clone(),
        partition: at.partition,
        offset: None,
        log_end: None,
        lag: None,
        now: Some(Now {
            offset: Some(at.offset),
            note: Some("no committed offset at the point".to_owned()),
            ..Now::default()
        }),
    });
    // Positions that are missing in the point are no news of the group.
    if group.missing.is_none() {
        out.positions.extend(new);
        out.positions.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    }
    out
}

/// How far a group moved in one partition.
fn moved(then: &Offset, now: &OffsetNow, same_source: bool) -> Now {
    let here = Now { offset: Some(now.offset), ..Now::default() };
    let apart = |note: &str| Now { note: Some(note.to_owned()), ..here.clone() };
    let note = match (&then.topic_id, &now.topic_id) {
        _ if !same_source => return apart("another cluster now"),
        (_, None) => return apart("there is no such topic now"),
        (Some(then), Some(now)) if then != now => return apart("another topic has this name now"),
        (Some(_), Some(_)) => None,
        (None, Some(_)) => Some("not in the point: another topic may have had this name".to_owned()),
    };
    let offsets = now.offset.saturating_sub(then.offset);
    let known = then.no_holes_from.zip(then.end).map(|(from, end)| from..=end);
    let exact = offsets == 0 || known.is_some_and(|known| known.contains(&then.offset) && known.contains(&now.offset));
    Now {
        offsets_between: Some(offsets),
        records_between: (exact && note.is_none()).then_some(offsets.unsigned_abs()),
        note,
        ..here
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use contract::GroupPresence;

    use super::*;

    pub(crate) fn head() -> PointGroups {
        PointGroups {
            name: "nightly-20261122-020000".into(),
            at: "2026-11-22T02:00:00Z".into(),
            cluster_id: "c".into(),
            has_groups: true,
        }
    }

    /// A partition of which each archived offset from 10 to 99 is a record; the log ended at 102.
    pub(crate) fn stood(topic: &str, partition: i32, offset: i64) -> Offset {
        Offset {
            topic: topic.into(),
            partition,
            offset,
            end: Some(100),
            log_end: Some(102),
            topic_id: Some(format!("id of {topic}")),
            no_holes_from: Some(10),
        }
    }

    pub(crate) fn group(id: &str, offsets: Vec<Offset>) -> Group {
        Group { group: id.into(), kind: "consumer".into(), state: "Empty".into(), offsets, missing: None }
    }

    pub(crate) fn stands(topic: &str, partition: i32, offset: i64) -> OffsetNow {
        OffsetNow { topic: topic.into(), topic_id: Some(format!("id of {topic}")), partition, offset }
    }

    pub(crate) fn now(id: &str, offsets: Vec<OffsetNow>) -> GroupNow {
        GroupNow { group: id.into(), kind: "consumer".into(), state: "Stable".into(), offsets, unknown: None }
    }

    pub(crate) fn live(groups: Vec<GroupNow>) -> Live {
        let source = SourceNow { cluster_id: "c".into(), sees_all: Some(true), unanswered: Vec::new() };
        Live { source, groups }
    }

    /// Offsets and records between two positions.
    fn between(then: &Offset, now: &OffsetNow) -> (Option<i64>, Option<u64>) {
        let moved = moved(then, now, true);
        (moved.offsets_between, moved.records_between)
    }

    #[test]
    fn records_are_counted_only_where_each_offset_is_one() {
        let then = stood("orders", 0, 40);
        for (now, expected) in [
            (40, (Some(0), Some(0))),
            (55, (Some(15), Some(15))),
            (100, (Some(60), Some(60))),
            (101, (Some(61), None)), // behind what is archived
            (30, (Some(-10), Some(10))),
            (5, (Some(-35), None)), // before what is archived
        ] {
            assert_eq!(between(&then, &stands("orders", 0, now)), expected, "{now}");
        }
        let holes = Offset { no_holes_from: None, ..then };
        assert_eq!(between(&holes, &stands("orders", 0, 55)), (Some(15), None));
        assert_eq!(between(&holes, &stands("orders", 0, 40)), (Some(0), Some(0)), "nothing lies between");
    }

    #[test]
    fn what_cannot_be_compared_is_not() {
        let then = stood("orders", 0, 40);
        let another = OffsetNow { topic_id: Some("another".into()), ..stands("orders", 0, 55) };
        let gone = OffsetNow { topic_id: None, ..stands("orders", 0, 55) };
        for (now, same, note) in [
            (&another, true, "another topic"),
            (&gone, true, "no such topic"),
            (&stands("orders", 0, 55), false, "another cluster"),
        ] {
            let moved = moved(&then, now, same);
            assert_eq!((moved.offset, moved.offsets_between, moved.records_between), (Some(55), None, None));
            assert!(moved.note.clone().is_some_and(|text| text.contains(note)), "{moved:?}");
        }
        let outside = Offset { topic_id: None, ..then };
        let moved = moved(&outside, &stands("orders", 0, 55), true);
        assert_eq!((moved.offsets_between, moved.records_between), (Some(15), None));
        assert!(moved.note.is_some(), "{moved:?}");
    }

    #[test]
    fn groups_are_put_beside_each_other_by_id() {
        let groups = vec![group("a", vec![stood("orders", 0, 40)]), group("b", vec![stood("orders", 0, 50)])];
        let found = live(vec![
            now("a", vec![stands("orders", 0, 45), stands("new", 1, 3)]),
            now("c", vec![stands("orders", 0, 1)]),
        ]);
        let all = Positions::of(head(), groups, Some(found));
        assert_eq!((all.groups.len(), all.only_now.as_slice()), (2, &["c".to_owned()][..]));
        let [a, b] = all.groups.as_slice() else { panic!("{all:?}") };
        let shown: Vec<_> = a.positions.iter().map(|at| (at.topic.as_str(), at.offset)).collect();
        assert_eq!(shown, [("new", None), ("orders", Some(40))]);
        assert_eq!((a.state_now.as_deref(), b.state_now.as_deref()), (Some("Stable"), Some("gone")));
        assert_eq!(b.positions[0].now, None);
    }

    #[test]
    fn what_nobody_says_is_not_made_up() {
        let groups = || vec![group("a", vec![stood("orders", 0, 40)])];
        let state = |change: fn(&mut Live)| {
            let mut found = live(Vec::new());
            change(&mut found);
            let all = Positions::of(head(), groups(), Some(found));
            (all.groups[0].state_now.clone().unwrap(), all.unknown)
        };
        assert_eq!(state(|_| {}).0, "gone");
        assert!(state(|live| live.source.sees_all = Some(false)).0.contains("may not describe"));
        let (told, unknown) = state(|live| live.source.unanswered = vec!["broker 2: silent".into()]);
        assert!(told.starts_with("not known") && unknown == ["broker 2: silent"], "{told}");
        assert!(state(|live| live.source.cluster_id = "d".into()).1[0].contains("cannot be compared"));
        let silent = GroupNow { unknown: Some("its coordinator did not answer".into()), ..now("a", Vec::new()) };
        let all = Positions::of(head(), groups(), Some(live(vec![silent])));
        assert!(all.groups[0].state_now.as_ref().unwrap().contains("did not answer"));
        assert_eq!(all.groups[0].positions[0].now, None, "nobody knows where it stands");
    }

    #[test]
    fn positions_that_are_missing_in_the_point_are_no_news() {
        let missing = Group { missing: Some(GroupPresence::Forbidden), ..group("a", Vec::new()) };
        let found = live(vec![now("a", vec![stands("orders", 0, 45)])]);
        assert!(Positions::of(head(), vec![missing], Some(found)).groups[0].positions.is_empty());
    }
}
