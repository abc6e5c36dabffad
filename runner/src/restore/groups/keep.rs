//! What the groups of a restore had in the target before: saved before anything is written, kept for as long as was asked for
//! after the end, and told of groups that an earlier attempt changed.

use std::collections::BTreeSet;

use contract::{EventKind, Failure, GroupOutcome, GroupRestore, Report};

use super::chosen::{ChosenGroup, choose};
use super::digest;
use crate::offsets::commit::{GroupWork, Notes, listed};
use crate::offsets::expiry::{self, hold, warn_not_noted};
use crate::offsets::snapshot::{Changes, Earlier, Snapshot, ToSave, keep};
use crate::restore::Restore;
use crate::restore::plan::RestorePlan;

impl Notes for Restore<'_> {
    fn touched(&mut self) -> &mut BTreeSet<String> {
        &mut self.state.groups.touched
    }

    fn done(&mut self, group: &GroupWork) {
        self.state.groups.done.insert(group.line.target.clone(), group.line.group.clone());
    }

    async fn write_down(&mut self, is_step: bool) -> Result<(), Failure> {
        let entry = self.journal.save(&self.state).await?;
        if is_step {
            self.emitter.emit(EventKind::Committed { entry, sealed: false, point: None, made: None });
        }
        Ok(())
    }
}

/// Saves the offsets that the groups have in the target, before anything is written.
///
/// # Errors
/// When they cannot be read or saved: then nothing was changed.
pub(crate) async fn keep_offsets(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<(), Failure> {
    let Some(spec) = restore.spec.groups.as_ref().filter(|spec| spec.commit) else { return Ok(()) };
    let chosen = choose(&restore.point, plan, spec).await?;
    restore.state.groups.go_on(digest(spec)?);
    keep_offsets_of(restore, plan, spec, &chosen.groups).await?;
    Ok(())
}

/// The same for these groups, as they are now; what those had is kept that may be changed already. Returns what an earlier
/// attempt saved.
pub(super) async fn keep_offsets_of(
    restore: &mut Restore<'_>,
    plan: &RestorePlan,
    spec: &GroupRestore,
    groups: &[ChosenGroup],
) -> Result<Option<Snapshot>, Failure> {
    if spec.saving.skip {
        return Ok(None);
    }
    let (place, done) = (restore.saved_offsets(), &restore.state.groups);
    let earlier = match &done.before {
        Some(before) => {
            let cluster = restore.identity.cluster();
            Earlier::read(restore.emitter, cluster, &place, before, done.may_be_ours()).await?
        }
        None => None,
    };
    let document = earlier.as_ref().map(|earlier| earlier.document.clone());
    let is_open = |group: &&ChosenGroup| !group.offsets.is_empty() && !done.has(&group.id, &group.target);
    let save = |group: &&ChosenGroup| ToSave {
        id: group.target.clone(),
        kind: group.kind.clone(),
        changed: group.changed(plan),
        configs: group.configs.keys().cloned().collect(),
    };
    let groups = groups.iter().filter(is_open).map(|group| save(&group)).collect();
    let changes = Changes { by: format!("restore {}", restore.state.name), groups, saving: &spec.saving };
    let there = listed(&restore.cluster).await?;
    let cluster = (restore.cluster.as_ref(), &there);
    let before = keep(restore.context, restore.emitter, cluster, &place, earlier, changes).await?;
    if before != restore.state.groups.before {
        restore.state.groups.before = before;
        restore.note().await?;
    }
    Ok(document)
}

/// A group that an earlier attempt has done: its offsets are committed, and what it had before is what was saved.
pub(super) fn done_before(group: &mut GroupWork, saved: Option<&Snapshot>) {
    let line = &mut group.line;
    line.outcome = GroupOutcome::Committed;
    line.done = line.offsets.len() as u64;
    let Some(saved) = saved.and_then(|saved| saved.group_offsets.get(&line.target)) else { return };
    for at in &mut line.offsets {
        let then = saved.offsets.get(&at.topic).and_then(|partitions| partitions.get(&at.partition));
        at.before = then.map(|then| then.offset);
    }
    for config in &mut line.configs {
        config.before = saved.configs.get(&config.name).cloned().flatten();
    }
}

/// Keeps what an earlier attempt saved while this one works.
pub(crate) async fn hold_offsets(restore: &mut Restore<'_>) {
    let place = restore.saved_offsets();
    if let Some(before) = &mut restore.state.groups.before {
        hold(restore.emitter, &place, before).await;
    }
}

/// From the end of the attempt on the hours count for which saved offsets are kept.
pub(crate) async fn count_hours(restore: &mut Restore<'_>, report: &mut Report) {
    let place = restore.saved_offsets();
    let now = restore.context.clock.now();
    let before = restore.state.groups.before.as_mut();
    let counts = expiry::count_hours(restore.emitter, &place, before, now, report).await;
    if counts && let Err(error) = restore.note().await {
        warn_not_noted(restore.emitter, &error);
    }
}

#[cfg(test)]
mod tests {
    use contract::{ConfigLine, OffsetFound, OffsetLine};

    use super::*;
    use crate::offsets::reset::empty;
    use crate::offsets::snapshot::read;

    /// The attempt that changed it left no report: what was there before is told from what was saved.
    #[test]
    fn a_group_of_an_earlier_attempt_tells_what_it_had_before() {
        let saved = r#"{"snapshot_id": "s", "created_at": "2026-11-01T00:00:00Z", "topics": ["t"],
            "group_offsets": {"g": {"group_id": "g", "kind": "consumer", "configs": {"a": "1", "b": null},
            "offsets": {"t": {"0": {"offset": 5, "metadata": null}}}}}}"#;
        let saved = read(saved.as_bytes(), "x", "c").unwrap();
        let mut work = empty("g", "consumer");
        let at = |partition| OffsetLine::planned("t".into(), partition, 50, OffsetFound::Record);
        work.line.offsets = vec![at(0), at(1)];
        work.line.configs = ["a", "b"].map(|name| ConfigLine::planned(name.into(), Some("2".into()))).into();
        let mut alone = work.clone();
        done_before(&mut work, Some(&saved));
        assert_eq!((work.line.outcome, work.line.done), (GroupOutcome::Committed, 2));
        assert_eq!(work.line.offsets.iter().map(|at| at.before).collect::<Vec<_>>(), [Some(5), None]);
        assert_eq!(work.line.configs.iter().map(|at| at.before.as_deref()).collect::<Vec<_>>(), [Some("1"), None]);
        done_before(&mut alone, None);
        assert_eq!((alone.line.done, alone.line.offsets[0].before), (2, None), "it was not saved");
    }
}
