//! Whether the target takes what comes with the offsets of groups: their configs, and the metadata of their commits.

use std::collections::BTreeSet;

use contract::words::plural;
use contract::{Code, Failure, GroupOutcome, RestoreSpec, Risk};
use wire::Cluster;

use super::chosen::Chosen;
use crate::offsets::commit::GroupWork;
use crate::offsets::configs::{UNKNOWN, asked};
use crate::offsets::metadata::{is_longer, longest, too_long};
use crate::restore::Restore;
use crate::restore::plan::Proposal;

/// What mends metadata that is too long.
const MENDED: &str =
    "raise offset.metadata.max.bytes there, or say restore.accept: [long-metadata] to commit these offsets without it";

/// Adds to a plan what the target does not take.
///
/// # Errors
/// When the target cannot be asked.
pub(super) async fn fit(
    cluster: &Cluster,
    chosen: &Chosen,
    part: &RestoreSpec,
    proposal: &mut Proposal,
) -> Result<(), Failure> {
    let with_configs: Vec<_> = chosen.groups.iter().filter(|group| !group.configs.is_empty()).collect();
    let ids: BTreeSet<_> = with_configs.iter().map(|group| group.target.clone()).collect();
    proposal.configured = ids.into_iter().collect();
    match asked(cluster, &proposal.configured).await? {
        None => proposal.warnings.push(format!(
            "the configs of {} are not set in the target: {UNKNOWN}",
            plural(with_configs.len() as u64, "consumer group")
        )),
        Some(told) => proposal.warnings.extend(told.refused.iter().map(|(id, error)| {
            format!(
                "the configs of consumer group {id:?} are not set in the target: {error}; grant DescribeConfigs and \
                 AlterConfigs on the group"
            )
        })),
    }
    let has_metadata = |text: &String| !text.is_empty();
    let positions = chosen.groups.iter().flat_map(|group| group.offsets.values());
    if !positions.filter_map(|at| at.metadata.as_ref()).any(has_metadata) {
        return Ok(());
    }
    let longest = longest(cluster).await?;
    for group in &chosen.groups {
        let Some(why) = too_long(&group.target, group.metadata(&proposal.plan), longest) else { continue };
        if part.accept.contains(&Risk::LongMetadata) {
            proposal.warnings.push(format!("{why}: these offsets are committed without it"));
        } else {
            proposal.refusals.push(Failure::new(Code::OffsetsNotCommitted, format!("{why}; {MENDED}")));
        }
    }
    Ok(())
}

/// Groups whose metadata the target takes, and those of which it refuses some. Where that is accepted, it is left out.
///
/// # Errors
/// When the target cannot be asked.
pub(super) async fn with_metadata(
    restore: &Restore<'_>,
    mut open: Vec<GroupWork>,
) -> Result<(Vec<GroupWork>, Vec<GroupWork>), Failure> {
    let mut all = open.iter().flat_map(|group| group.metadata.iter().flatten());
    if all.all(String::is_empty) {
        return Ok((open, Vec::new()));
    }
    let longest = longest(&restore.cluster).await?;
    let is_accepted = restore.spec.accept.contains(&Risk::LongMetadata);
    for group in &mut open {
        judge(group, longest, is_accepted);
    }
    Ok(open.into_iter().partition(|group| group.line.outcome != GroupOutcome::Failed))
}

/// Leaves out what is too long, or fails the group.
fn judge(group: &mut GroupWork, longest: Option<usize>, is_accepted: bool) {
    let Some(most) = longest else { return };
    let places = group.line.offsets.iter().zip(&group.metadata);
    let places = places.map(|(at, metadata)| (at.topic.as_str(), at.partition, metadata.as_deref()));
    let Some(why) = too_long(&group.line.target, places, longest) else { return };
    if is_accepted {
        group.metadata.iter_mut().filter(|text| is_longer(text.as_deref(), most)).for_each(|text| *text = None);
    } else {
        group.fail(format!("{why}; {MENDED}"));
    }
}

#[cfg(test)]
mod tests {
    use contract::{OffsetFound, OffsetLine};

    use super::*;
    use crate::offsets::reset::empty;

    #[test]
    fn metadata_is_never_cut() {
        let mut group = empty("g", "classic");
        group.line.offsets = (0..2).map(|p| OffsetLine::planned("t".into(), p, 5, OffsetFound::Record)).collect();
        group.metadata = vec![Some("short".into()), Some("x".repeat(50))];
        let judged = |longest, is_accepted| {
            let mut group = group.clone();
            judge(&mut group, longest, is_accepted);
            (group.line.reason, group.metadata)
        };
        let (reason, metadata) = judged(Some(40), false);
        let reason = reason.unwrap();
        assert!(reason.contains("t/1 (50 characters)") && reason.contains("long-metadata"), "{reason}");
        assert_eq!(metadata, group.metadata);
        assert_eq!(judged(Some(40), true), (None, vec![Some("short".into()), None]));
        assert_eq!(judged(Some(50), false), (None, group.metadata.clone()));
        assert_eq!(judged(None, false), (None, group.metadata.clone()), "the brokers do not tell their limit");
    }
}
