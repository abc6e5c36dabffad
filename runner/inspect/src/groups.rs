//! Where the consumer groups of a recovery point stood.

use std::collections::HashMap;

use archive::{GroupPosition, GroupSnapshot, PartitionState, Point, Store};
use contract::{Code, Failure, GroupPresence, PatternSyntax, Selection, SetOwner};

use crate::owned::opened;
use crate::replies::Replies;
use crate::{Answer, Group, Offset, PointGroups};

/// Answers with the point, then with each of its groups that is wanted.
pub(crate) async fn groups(
    store: &Store,
    name: &str,
    include: &[String],
    owner: Option<&SetOwner>,
    replies: &mut Replies,
) -> Result<(), Failure> {
    let selection = selection(include)?;
    let point = opened(store, name, owner).await?;
    let found = point.groups().await?;
    let head = PointGroups {
        name: point.seal.point.clone(),
        at: point.seal.at.clone(),
        cluster_id: point.seal.owner.cluster_id.clone(),
        has_groups: found.is_some(),
    };
    replies.send(Answer::Groups(head)).await?;
    let Some(found) = found else { return Ok(()) };
    for wanted in selection.literals() {
        if !found.iter().any(|group| group.group == *wanted) {
            let text = format!(
                "recovery point {} has no consumer group {wanted:?}; correct the name, or leave it out to see all of them",
                point.seal.point
            );
            return Err(Failure::new(Code::UnknownGroup, text));
        }
    }
    let places = places(&point);
    for group in found.into_iter().filter(|group| selection.matches(&group.group)) {
        replies.send(Answer::Group(positions(&places, group))).await?;
    }
    Ok(())
}

/// The groups that these ids and patterns mean; all when there are none.
///
/// # Errors
/// [`Code::SpecInvalid`] with the pattern that does not compile.
pub fn selection(include: &[String]) -> Result<Selection, Failure> {
    Selection::new(include, &[], PatternSyntax::Glob)
        .map_err(|rule| Failure::new(Code::SpecInvalid, format!("the group pattern {rule}")))
}

/// Partitions of live topics by name and number, each with the id of its topic.
pub(crate) type Places<'a> = HashMap<(&'a str, i32), (String, &'a PartitionState)>;

/// Where groups of a point can stand.
pub(crate) fn places(point: &Point) -> Places<'_> {
    let seal = &point.seal;
    let live = |row: &PartitionState| seal.topics.get(row.topic as usize).filter(|topic| topic.live);
    let rows = seal.partitions.iter().filter_map(|row| {
        let topic = live(row)?;
        Some(((topic.name.as_str(), row.partition), (topic.source_topic().to_string(), row)))
    });
    rows.collect()
}

/// A group as it stood.
pub(crate) fn positions(places: &Places<'_>, group: GroupSnapshot) -> Group {
    let offset = |position: &GroupPosition| {
        let place = places.get(&(position.topic.as_str(), position.partition));
        Offset {
            topic: position.topic.clone(),
            partition: position.partition,
            offset: position.offset,
            end: place.map(|(_, row)| row.next),
            // An archive of another tool may not know it.
            log_end: place.map(|(_, row)| row.high_watermark).filter(|end| *end >= 0),
            topic_id: place.map(|(id, _)| id.clone()),
            no_holes_from: place.and_then(|(_, row)| no_holes_from(row)),
        }
    };
    let offsets = group.offsets.iter().map(offset).collect();
    let missing = group.missing.filter(|missing| missing.is_missing());
    let state = match missing {
        Some(GroupPresence::Forbidden) => "positions missing: the user of the backup may not describe it".to_owned(),
        Some(GroupPresence::Unavailable) => "positions missing: its coordinator did not answer".to_owned(),
        Some(GroupPresence::Gone) | None => group.state,
    };
    Group { offsets, group: group.group, kind: group.kind, state, missing }
}

/// The first archived offset, where each one from there on is a record that consumers see: one timeline, and as many records as
/// offsets.
fn no_holes_from(row: &PartitionState) -> Option<i64> {
    let offsets = u64::try_from(row.next.checked_sub(row.first)?).ok()?;
    (row.timeline == 0 && row.committed == offsets).then_some(row.first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_count_as_records_only_where_none_is_missing() {
        let row = |timeline, first, next, committed| PartitionState {
            timeline,
            first,
            next,
            committed,
            ..PartitionState::new(0, 0)
        };
        assert_eq!(no_holes_from(&row(0, 5, 15, 10)), Some(5));
        assert_eq!(no_holes_from(&row(0, 5, 15, 9)), None, "compacted, or a marker of a transaction");
        assert_eq!(no_holes_from(&row(1, 5, 15, 10)), None, "records of an older timeline are counted, too");
        assert_eq!(no_holes_from(&row(0, 15, 5, 0)), None);
    }

    #[test]
    fn a_group_without_its_positions_says_why() {
        let group = |missing| GroupSnapshot {
            group: "shop".into(),
            kind: "classic".into(),
            state: "Empty".into(),
            offsets: Vec::new(),
            configs: None,
            missing,
        };
        let told = |missing| {
            let told = positions(&Places::new(), group(missing));
            (told.missing, told.state)
        };
        assert_eq!(told(None), (None, "Empty".to_owned()));
        let (missing, state) = told(Some(GroupPresence::Forbidden));
        assert_eq!(missing, Some(GroupPresence::Forbidden));
        assert!(state.contains("may not describe"), "{state}");
    }
}
