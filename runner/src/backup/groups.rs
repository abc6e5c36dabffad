//! The committed positions of every consumer group, read before the data's cut.
//!
//! A list of groups is what this user may describe, and brokers do not say what they leave out. So groups of the last
//! recovery point that are not in the list are asked for by name: what is forbidden is a warning, what is gone a line in
//! the report, and an empty list is only believed of a user who may see all groups.
//!
//! Configs that were set on groups come along. That they cannot be read keeps no positions back.

use std::collections::BTreeMap;
use std::time::Duration;

use archive::{GroupPosition, GroupSnapshot, Layout, Store, newest_groups};
use contract::{BackupSpec, Code, Failure, GroupChange, GroupPresence};
use futures::{StreamExt, TryStreamExt};
use wire::{Cluster, CoordinatorPatience, Group, WireError, code};

use crate::emit::Emitter;

/// Groups asked at once.
const PARALLEL: usize = 8;
/// How long a coordinator that does not answer is waited for: the data is not kept from its recovery point.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// The same where their configs are asked for.
const CONFIGS_PATIENCE: Duration = Duration::from_secs(5);
/// The state of a group that was asked for by name and that no list described.
const UNKNOWN: &str = "Unknown";

/// The groups that the newest recovery point of the last set knows. A point that cannot be read is no reason not to make the
/// next one.
pub(crate) async fn of_last_point(
    store: &Store,
    last: Option<&Layout>,
    backup: &BackupSpec,
    emitter: &Emitter,
) -> Vec<GroupSnapshot> {
    let Some(layout) = last.filter(|_| backup.consumer_group_snapshot) else { return Vec::new() };
    match newest_groups(store, layout).await {
        Ok(groups) => groups,
        Err(error) => {
            emitter.warn(format!(
                "the consumer groups of the last recovery point cannot be read, so it is not known whether one is missing now: {error}"
            ));
            Vec::new()
        }
    }
}

/// Reads all groups that the backup wants. `last` are those of the newest recovery point; of them, those that are missing now are kept as such.
///
/// # Errors
/// When the cluster cannot be asked, or says what nobody expects of a group.
pub(crate) async fn snapshot(
    cluster: &Cluster,
    backup: &BackupSpec,
    emitter: &Emitter,
    last: &[GroupSnapshot],
    patience: Duration,
) -> Result<Vec<GroupSnapshot>, Failure> {
    let selection =
        backup.group_selection().map_err(|rule| Failure::new(Code::SpecInvalid, format!("backup.groups: {rule}")))?;
    let wire::Groups { groups: listed, unanswered, sees_all } = cluster.groups(patience).await?;
    for (broker, error) in &unanswered {
        emitter.warn(format!(
            "broker {broker} does not list its consumer groups for now; new groups of it are missing here: {error}"
        ));
    }
    let is_empty = listed.is_empty();
    let mut wanted: BTreeMap<_, _> = listed.into_iter().map(|group| (group.id.clone(), (group, true))).collect();
    for group in last {
        let unlisted = || Group { id: group.group.clone(), kind: group.kind.clone(), state: UNKNOWN.to_owned() };
        wanted.entry(group.group.clone()).or_insert_with(|| (unlisted(), false));
    }
    wanted.retain(|id, _| selection.matches(id));
    let patience = CoordinatorPatience::new(patience);
    let mut groups: Vec<_> = futures::stream::iter(wanted.into_values())
        .map(|(group, is_listed)| {
            let patience = &patience;
            async move { sort_out(&group, is_listed, cluster.group_offsets(&group, patience).await) }
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    tell(emitter, &groups);
    if is_empty && sees_all == Some(false) {
        emitter.warn(
            "no consumer group was listed, and this user may not see all of them: brokers leave out groups that it may not Describe; grant Describe on the groups (or on the cluster)",
        );
    }
    groups.retain(|group| group.missing != Some(GroupPresence::Gone));
    add_configs(cluster, emitter, &mut groups).await?;
    Ok(groups)
}

/// Adds what was set on the groups themselves, where brokers tell.
///
/// # Errors
/// When the run is asked to stop.
async fn add_configs(cluster: &Cluster, emitter: &Emitter, groups: &mut [GroupSnapshot]) -> Result<(), Failure> {
    let is_asked = |group: &&mut GroupSnapshot| group.missing.is_none() && !group.group.is_empty();
    let ids: Vec<_> = groups.iter_mut().filter(is_asked).map(|group| group.group.clone()).collect();
    match cluster.group_configs(&ids, CONFIGS_PATIENCE).await {
        Ok(None) => tracing::info!("these brokers know no configs of consumer groups: there are none to archive"),
        Ok(Some(mut told)) => {
            for group in groups.iter_mut() {
                group.configs = told.configs.remove(&group.group);
            }
            let news = |id: &&String| emitter.is_first_refusal_of_configs(&format!("group {id}"));
            let refused: Vec<_> = told.refused.keys().filter(news).map(String::as_str).collect();
            if let (false, Some(error)) = (refused.is_empty(), told.refused.values().next()) {
                emitter.warn(format!(
                    "{}: their configs are not in the archive: {error}; grant DescribeConfigs on the groups",
                    some(&refused)
                ));
            }
        }
        Err(error) if error.code() == Code::Interrupted => return Err(error.into()),
        Err(error) => emitter.warn(format!("the configs of consumer groups are not in this recovery point: {error}")),
    }
    Ok(())
}

/// What the answer for one group means.
fn sort_out(
    group: &Group,
    is_listed: bool,
    offsets: Result<Vec<wire::GroupOffset>, WireError>,
) -> Result<GroupSnapshot, Failure> {
    let lacks = |missing| Ok(GroupSnapshot { missing: Some(missing), ..describe(group, Vec::new()) });
    match offsets {
        // Of a group that does not exist, coordinators answer that it has no positions.
        Ok(offsets) if offsets.is_empty() && !is_listed => lacks(GroupPresence::Gone),
        Ok(offsets) => Ok(describe(group, offsets)),
        Err(error) => match error.broker_code() {
            Some(code::GROUP_ID_NOT_FOUND) => lacks(GroupPresence::Gone),
            Some(code::GROUP_AUTHORIZATION_FAILED) => lacks(GroupPresence::Forbidden),
            // What may pass was waited for.
            _ if !error.is_final() => lacks(GroupPresence::Unavailable),
            Some(_) | None => Err(Failure::from(error)),
        },
    }
}

/// Tells what is missing: at most one warning for each reason.
fn tell(emitter: &Emitter, groups: &[GroupSnapshot]) {
    let (mut forbidden, mut away) = (Vec::new(), Vec::new());
    for group in groups {
        let name = group.group.as_str();
        let Some(change) = group.missing else {
            emitter.group_is_back(name);
            continue;
        };
        if emitter.group(&GroupChange { group: name.to_owned(), change }) {
            match change {
                GroupPresence::Gone => {}
                GroupPresence::Forbidden => forbidden.push(name),
                GroupPresence::Unavailable => away.push(name),
            }
        }
    }
    if !forbidden.is_empty() {
        emitter.warn(format!(
            "{}: this user may not Describe them, so their positions are missing here; grant Describe on the groups",
            some(&forbidden)
        ));
    }
    if !away.is_empty() {
        emitter.warn(format!(
            "{}: their coordinator does not answer for now, so their positions are missing here",
            some(&away)
        ));
    }
}

/// How many, and the names of the first.
fn some(groups: &[&str]) -> String {
    let named = groups.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    let more = groups.len().saturating_sub(5);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("consumer groups {named}{rest}")
}

fn describe(group: &Group, offsets: Vec<wire::GroupOffset>) -> GroupSnapshot {
    let position = |o: wire::GroupOffset| GroupPosition {
        topic: o.topic,
        partition: o.partition,
        offset: o.offset,
        leader_epoch: o.leader_epoch,
        metadata: o.metadata,
    };
    GroupSnapshot {
        group: group.id.clone(),
        kind: group.kind.clone(),
        state: group.state.clone(),
        offsets: offsets.into_iter().map(position).collect(),
        configs: None,
        missing: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(is_listed: bool, offsets: Result<usize, i16>) -> String {
        let group = Group { id: "g".into(), kind: "classic".into(), state: "Empty".into() };
        let one = wire::GroupOffset { topic: "t".into(), partition: 0, offset: 1, leader_epoch: -1, metadata: None };
        let offsets = offsets
            .map(|count| vec![one; count])
            .map_err(|code| WireError::broker(wire::Request::OffsetFetch, "g", code));
        match sort_out(&group, is_listed, offsets) {
            Ok(group) => group.missing.map_or(format!("{} positions", group.offsets.len()), |why| format!("{why:?}")),
            Err(failure) => failure.code.to_string(),
        }
    }

    #[test]
    fn only_an_answer_makes_a_group_gone() {
        assert_eq!(word(true, Ok(2)), "2 positions");
        assert_eq!(word(true, Ok(0)), "0 positions", "a listed group may have none");
        assert_eq!(word(false, Ok(2)), "2 positions", "left out of the list, and there");
        assert_eq!(word(false, Ok(0)), "Gone");
        assert_eq!(word(true, Err(69)), "Gone");
        assert_eq!(word(false, Err(30)), "Forbidden");
        assert_eq!(word(true, Err(30)), "Forbidden");
        assert_eq!(word(false, Err(15)), "Unavailable");
        assert_eq!(word(true, Err(29)), "KB2004");
    }

    #[test]
    fn a_warning_names_a_few_groups() {
        assert_eq!(some(&["a", "b"]), "consumer groups a, b");
        assert_eq!(some(&["a", "b", "c", "d", "e", "f", "g"]), "consumer groups a, b, c, d, e and 2 more");
    }
}
