//! Whether the target takes the offsets of a group as what it is in the source: a share group has others than every other kind.
//! Found before the first record is written.

use std::collections::BTreeMap;

use contract::{Failure, GroupRestore};
use wire::{Cluster, Group, Request, WireError};

use super::chosen::{Chosen, ChosenGroup};
use crate::offsets::commit::There;

/// The kind that has requests of its own.
const SHARE: &str = "share";

/// Why offsets of groups cannot be set in the target, by their ids there.
///
/// # Errors
/// When the target cannot be asked.
pub(super) async fn unfit(
    cluster: &Cluster,
    there: &There,
    chosen: &Chosen,
    spec: &GroupRestore,
) -> Result<BTreeMap<String, String>, Failure> {
    let with_offsets = || chosen.groups.iter().filter(|group| !group.offsets.is_empty());
    let mut out: BTreeMap<_, _> = with_offsets()
        .filter_map(|group| Some((group.target.clone(), conflict(group, there.get(&group.target)?)?)))
        .collect();
    let shares: Vec<_> =
        with_offsets().filter(|group| group.kind == SHARE && !out.contains_key(&group.target)).collect();
    if shares.is_empty() {
        return Ok(out);
    }
    let delete = spec.roll_back_on_failure.then_some(Request::DeleteShareGroupOffsets);
    let needs = [Request::DescribeShareGroupOffsets, Request::AlterShareGroupOffsets].into_iter().chain(delete);
    match cluster.require(&needs.collect::<Vec<_>>()).await {
        Ok(()) => {}
        Err(WireError::Unsupported { broker, missing }) => out.extend(shares.into_iter().map(|group| {
            let why = format!(
                "consumer group {:?} is a share group, and {broker} does not take its offsets: {missing}",
                group.id
            );
            (group.target.clone(), why)
        })),
        Err(error) => return Err(error.into()),
    }
    Ok(out)
}

/// Why a group of the target is none that takes the offsets; also where it has no members and no offsets.
fn conflict(group: &ChosenGroup, there: &Group) -> Option<String> {
    let differs = (group.kind == SHARE) != (there.kind == SHARE);
    differs.then(|| {
        format!(
            "consumer group {:?} is a {} group in the target, and {:?} is a {} group in the recovery point: neither takes offsets \
             of the other; map it to another id with restore.groups.mapping, delete the group in the target",
            there.id, there.kind, group.id, group.kind
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind but share groups takes the same commits: measured with Kafka 4.3.1, also where the group has another kind.
    #[test]
    fn a_share_group_and_any_other_kind_do_not_go_together() {
        let of = |source: &str, target: &str| {
            let group = ChosenGroup {
                id: "g".into(),
                kind: source.into(),
                target: "g2".into(),
                offsets: BTreeMap::new(),
                elsewhere: 0,
                is_named: false,
                configs: BTreeMap::new(),
            };
            conflict(&group, &Group { id: "g2".into(), kind: target.into(), state: "Empty".into() })
        };
        for (source, target) in
            [("classic", "consumer"), ("consumer", "classic"), ("classic", "streams"), ("share", "share")]
        {
            assert_eq!(of(source, target), None, "{source} {target}");
        }
        for (source, target) in
            [("classic", "share"), ("streams", "share"), ("share", "classic"), ("share", "consumer")]
        {
            let why = of(source, target).unwrap();
            assert!(why.contains(&format!("\"g2\" is a {target} group")) && why.contains("mapping"), "{why}");
        }
    }
}
