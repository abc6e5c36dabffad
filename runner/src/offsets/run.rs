//! Runs that change committed offsets of consumer groups and no records.
//!
//! ```text
//! reset:    groups as they are, logs -> plan -> saved -> committed, read back -> report
//! rollback: saved offsets, groups as they are -> plan -> committed and deleted, read back -> report
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use archive::{RestoreJournal, SavedOffsets, Store};
use contract::words::{plural, safe};
use contract::{
    Action, Code, EventKind, Failure, GroupOutcome, OffsetResetSpec, OffsetRollbackSpec, OffsetSaving, OffsetsBefore,
    Report, ResetTo, RunSpec, SavedOffsets as From,
};
use wire::Cluster;

use super::commit::{AT_ONCE, BETWEEN_SAVES, GroupWork, Manner, commit, failed, group_lines, note_begin, note_sent};
use super::mapping::{self, Mapping};
use super::reset::{self, Goal, InLog, Plan, Progress};
use super::rollback::{self, Which};
use super::snapshot::{self, Changes, Earlier, Snapshot};
use super::state::{self, OffsetRun, Opened};
use crate::connect;
use crate::context::Context;
use crate::emit::Emitter;

/// What both kinds of runs use.
struct Run<'a> {
    context: &'a Context,
    emitter: &'a Emitter,
    spec: &'a RunSpec,
    cluster: Arc<Cluster>,
    id: String,
}

/// Runs a reset and fills `report`.
///
/// # Errors
/// The failure that ended it. Running again goes on where it stopped.
pub(crate) async fn reset(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    part: &OffsetResetSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    let run = Run::connect(context, emitter, spec, Action::OffsetReset(part)).await?;
    if part.dry_run {
        let goal = goal(context, spec, &part.to, &run.id).await?;
        run.show(reset::plan(&run.cluster, part, &goal, &Progress::default()).await?, report);
        return Ok(());
    }
    let store = connect::store(context, spec).await?;
    let Some(opened) = run.open(&store, report).await? else { return Ok(()) };
    let goal = goal(context, spec, &part.to, &run.id).await?;
    let progress = run.progress(&opened.state, &goal, part, &store).await?;
    let plan = reset::plan(&run.cluster, part, &goal, &progress).await?;
    let saving = Some(&part.saving).filter(|saving| !saving.skip);
    let at_once = usize::try_from(part.parallelism).unwrap_or(AT_ONCE);
    let how = How { saving, go_on: part.continue_on_error, manner: Manner { at_once, read_back: true } };
    run.carry_out(opened, plan, &store, how, report).await
}

/// Runs a rollback and fills `report`.
///
/// # Errors
/// The failure that ended it. Running again goes on where it stopped.
pub(crate) async fn roll_back(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    part: &OffsetRollbackSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    let run = Run::connect(context, emitter, spec, Action::OffsetRollback(part)).await?;
    let store = connect::store(context, spec).await?;
    if part.dry_run {
        run.show(rollback_plan(&run.cluster, &store, &run.id, part, &BTreeMap::new()).await?, report);
        return Ok(());
    }
    let Some(opened) = run.open(&store, report).await? else { return Ok(()) };
    let plan = rollback_plan(&run.cluster, &store, &run.id, part, &opened.state.done).await?;
    let manner = Manner { at_once: AT_ONCE, read_back: !part.without_verification };
    run.carry_out(opened, plan, &store, How { saving: None, go_on: false, manner }, report).await
}

async fn rollback_plan(
    cluster: &Cluster,
    store: &Store,
    id: &str,
    part: &OffsetRollbackSpec,
    done: &BTreeMap<String, u64>,
) -> Result<Plan, Failure> {
    let saved = load(store, id, &part.from).await?;
    rollback::plan(cluster, &saved, Which::Named(&part.groups), done).await
}

/// What a run would do.
pub(crate) struct Preview {
    pub(crate) refusals: Vec<Failure>,
    pub(crate) warnings: Vec<String>,
    /// Groups whose offsets can be changed.
    pub(crate) groups: u64,
    /// The plan in words.
    pub(crate) text: String,
}

/// The plan of a run without doing it.
///
/// # Errors
/// When the cluster or the store cannot be read; what the plan refuses stands in it.
pub(crate) async fn preview(context: &Context, cluster: &Cluster, spec: &RunSpec) -> Result<Preview, Failure> {
    let nothing = BTreeMap::new();
    let plan = match (&spec.offset_reset, &spec.offset_rollback) {
        (Some(part), _) => {
            let goal = goal(context, spec, &part.to, &connect::cluster_id(cluster)?).await?;
            reset::plan(cluster, part, &goal, &Progress::default()).await?
        }
        (None, Some(part)) => {
            let store = connect::store(context, spec).await?;
            rollback_plan(cluster, &store, &connect::cluster_id(cluster)?, part, &nothing).await?
        }
        (None, None) => return Err(Failure::new(Code::Internal, "this run changes no committed offsets")),
    };
    let groups = plan.work.iter().filter(|group| group.line.outcome != GroupOutcome::Failed).count() as u64;
    Ok(Preview { refusals: plan.refusals, warnings: plan.warnings, groups, text: text(&plan.work) })
}

/// Where a reset leads; an offset mapping is read.
///
/// # Errors
/// When the mapping is missing, damaged, or of another cluster.
async fn goal(context: &Context, spec: &RunSpec, to: &ResetTo, cluster: &str) -> Result<Goal, Failure> {
    let in_log = match to {
        ResetTo::Earliest => InLog::Earliest,
        ResetTo::Latest => InLog::Latest,
        ResetTo::Timestamp(millis) => InLog::Since(*millis),
        ResetTo::Offset(offset) => InLog::Offset(*offset),
        ResetTo::Mapping(mapping) => {
            let store = match &mapping.storage {
                Some(storage) => connect::open(context, storage, &spec.circuit_breaker).await?,
                None => connect::store(context, spec).await?,
            };
            let path = &mapping.path;
            let missing = || {
                let text = format!("there is no offset mapping {path} in {}; correct the path", store.place());
                Failure::new(Code::NoOffsetMapping, text)
            };
            let bytes = store.at(path, mapping::LARGEST).await?.ok_or_else(missing)?;
            return Ok(Goal::Mapped(Box::new(Mapping::read(&bytes, path, cluster)?)));
        }
    };
    Ok(Goal::InLog(in_log))
}

/// Finds saved offsets and reads them.
///
/// # Errors
/// When there are none, or they are damaged or of another cluster.
pub(crate) async fn load(store: &Store, cluster: &str, from: &From) -> Result<Snapshot, Failure> {
    let saved = SavedOffsets::new(store, cluster);
    let (place, found) = match from {
        From::Id(id) => (saved.place(id), saved.read(id).await?),
        From::Path(path) => (path.clone(), store.at(path, mapping::LARGEST).await?),
    };
    let missing = || {
        let text = format!("there are no saved offsets {place}; correct the name, or they are over and were deleted");
        Failure::new(Code::NoSavedOffsets, text)
    };
    snapshot::read(&found.ok_or_else(missing)?, &place, cluster)
}

/// How a plan is carried out.
struct How<'a> {
    /// How offsets are saved first; `None`: they are not.
    saving: Option<&'a OffsetSaving>,
    /// Whether groups are worked on where another one fails.
    go_on: bool,
    manner: Manner,
}

impl<'a> Run<'a> {
    async fn connect(
        context: &'a Context,
        emitter: &'a Emitter,
        spec: &'a RunSpec,
        action: Action<'_>,
    ) -> Result<Self, Failure> {
        let cluster = connect::cluster(context, spec, &connect::needs(action)).await?;
        let id = connect::cluster_id(&cluster)?;
        Ok(Self { context, emitter, spec, cluster, id })
    }

    /// Opens the state; nothing is returned when the run is done already.
    async fn open(&self, store: &Store, report: &mut Report) -> Result<Option<Opened>, Failure> {
        let opened = state::open(self.context, self.spec, &self.id, store).await?;
        report.run.clone_from(&opened.state.run);
        report.offsets_before.clone_from(&opened.state.before);
        let name = self.spec.name.clone();
        self.emitter.emit(EventKind::Started { run: report.run.clone(), name, resumed: opened.resumed });
        if opened.state.is_complete {
            report.outcome = "AlreadyDone".into();
            return Ok(None);
        }
        if opened.resumed && self.spec.run.is_none() && !opened.state.done.is_empty() {
            let groups = plural(opened.state.done.len() as u64, "consumer group");
            self.emitter.warn(format!(
                "this goes on with run {}, which was not completed: {groups} that it has done are left alone",
                opened.state.run
            ));
        }
        Ok(Some(opened))
    }

    /// Reports a plan that is not carried out.
    fn show(&self, plan: Plan, report: &mut Report) {
        report.outcome = "DryRun".into();
        plan.warnings.into_iter().for_each(|warning| self.emitter.warn(warning));
        report.refusals = Some(plan.refusals);
        report.details = serde_json::json!({"text": text(&plan.work)});
        report.positions = group_lines(plan.work);
    }

    /// What earlier attempts did. Where offsets are translated, groups that they may have changed are translated from what was
    /// saved: what those have now may be translated already.
    async fn progress(
        &self,
        state: &OffsetRun,
        goal: &Goal,
        part: &OffsetResetSpec,
        store: &Store,
    ) -> Result<Progress, Failure> {
        let mut progress = Progress { done: state.done.clone(), saved: BTreeMap::new() };
        if let (Goal::Mapped(_), Some(before), false) = (goal, &state.before, state.touched.is_empty()) {
            let place = self.saving_store(&part.saving, store).await?;
            let saved = load(&place, &self.id, &From::Id(before.id.clone())).await?;
            let touched = saved.group_offsets.into_iter().filter(|(id, _)| state.touched.contains(id));
            progress.saved = touched.map(|(id, saved)| (id, saved.listed())).collect();
        }
        Ok(progress)
    }

    async fn carry_out(
        &self,
        opened: Opened,
        plan: Plan,
        store: &Store,
        how: How<'_>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let Opened { mut journal, mut state, .. } = opened;
        plan.warnings.into_iter().for_each(|warning| self.emitter.warn(warning));
        // Those that cannot be worked on, and those that stand where they shall already.
        let (mut ended, open): (Vec<_>, Vec<_>) =
            plan.work.into_iter().partition(|group| group.line.outcome != GroupOutcome::Planned);
        let before: Vec<_> = state.done.iter().map(|(group, count)| done_before(group, *count)).collect();
        note_done(&mut state, &ended);
        ended.extend(before);
        let all = (ended.len() + open.len()) as u64;
        if let Some(refusal) = plan.refusals.into_iter().next().filter(|_| !how.go_on) {
            report.positions = group_lines(ended);
            return Err(refusal);
        }
        let partitions = open.iter().map(|group| (group.line.offsets.len() + group.line.deleted.len()) as u64).sum();
        self.emitter.emit(EventKind::Planned { topics: plan.topics.len() as u64, partitions, records: 0 });
        if let Some(saving) = how.saving {
            let groups = open.iter().map(|group| (group.line.target.clone(), group.line.kind.clone())).collect();
            let changes = Changes { by: format!("run {}", state.run), groups, topics: plan.topics, saving };
            state.before = self.save_offsets(store, &state, changes).await?;
            report.offsets_before.clone_from(&state.before);
        }
        report.changed = true;
        let worked = self.commit_all(&mut journal, &mut state, &open, &how, &mut ended).await;
        let verdict = failed(&ended, |count, why| {
            let all = plural(all, "consumer group");
            format!(
                "the committed offsets of {count} of {all} are not as they should be: {why}. Run it again: it only does what is left"
            )
        });
        report.positions = group_lines(ended);
        worked?;
        if how.go_on && verdict.is_some() && !state.done.is_empty() {
            report.outcome = "PartiallyCompleted".into();
        }
        if let Some(failure) = verdict {
            return Err(failure);
        }
        state.is_complete = true;
        journal.save(&state).await?;
        report.outcome = "Completed".into();
        Ok(())
    }

    /// Works on one part of the groups after the other. Before anything is sent for a part, its groups are noted; after it,
    /// what is done.
    async fn commit_all(
        &self,
        journal: &mut RestoreJournal,
        state: &mut OffsetRun,
        open: &[GroupWork],
        how: &How<'_>,
        ended: &mut Vec<GroupWork>,
    ) -> Result<(), Failure> {
        for part in open.chunks(how.manner.at_once.max(BETWEEN_SAVES)) {
            if self.context.cancel.is_cancelled() {
                return Err(Failure::new(Code::Interrupted, "stopped on request; groups that are done stay so"));
            }
            let new = note_begin(&mut state.touched, part);
            journal.save(state).await?;
            let worked = commit(&self.cluster, part.to_vec(), how.manner).await;
            let sent = worked.as_deref().unwrap_or_default();
            note_sent(&mut state.touched, &new, sent);
            let done = note_done(state, sent);
            let is_failed = sent.iter().any(|group| group.line.outcome == GroupOutcome::Failed);
            let entry = journal.save(state).await?;
            // Only what goes on counts as a step: a coordinator that stays away is not waited for again and again.
            if done > 0 {
                self.emitter.emit(EventKind::Committed { entry, sealed: false, point: None, made: None });
            }
            ended.extend(worked?);
            if is_failed && !how.go_on {
                break;
            }
        }
        Ok(())
    }

    async fn saving_store(&self, saving: &OffsetSaving, store: &Store) -> Result<Store, Failure> {
        match &saving.storage {
            Some(place) => connect::open(self.context, place, &self.spec.circuit_breaker).await,
            None => Ok(store.clone()),
        }
    }

    /// Saves what the groups have now, but for those that an earlier attempt may have changed.
    async fn save_offsets(
        &self,
        store: &Store,
        state: &OffsetRun,
        changes: Changes<'_>,
    ) -> Result<Option<OffsetsBefore>, Failure> {
        let place = SavedOffsets::new(&self.saving_store(changes.saving, store).await?, &self.id);
        let earlier = state.before.as_ref().map(|before| Earlier { before, touched: state.may_be_ours() });
        snapshot::keep(self.context, self.emitter, &self.cluster, &place, earlier, changes).await
    }
}

/// Notes the groups that are done. Returns how many there are more.
fn note_done(state: &mut OffsetRun, worked: &[GroupWork]) -> usize {
    let good = worked.iter().filter(|group| group.line.outcome == GroupOutcome::Committed);
    let before = state.done.len();
    state.done.extend(good.map(|group| (group.line.target.clone(), group.line.done)));
    state.done.len() - before
}

/// A group that an earlier attempt has done.
fn done_before(group: &str, count: u64) -> GroupWork {
    let mut work = reset::empty(group, "");
    (work.line.outcome, work.line.done) = (GroupOutcome::Committed, count);
    work
}

/// The plan in words.
fn text(work: &[GroupWork]) -> String {
    let mut out = String::new();
    for GroupWork { line, .. } in work {
        let separator = if out.is_empty() { "" } else { "\n" };
        let _ = write!(out, "{separator}group {}", safe(&line.target));
        if let Some(reason) = &line.reason {
            let _ = write!(out, ": {reason}");
        }
        for at in &line.offsets {
            let before = at.before.map_or_else(|| "no offset".to_owned(), |offset| format!("offset {offset}"));
            let (topic, partition, found) = (safe(&at.topic), at.partition, at.found.words());
            let _ = write!(out, "\n  {topic}/{partition}: {before} -> offset {} ({found})", at.offset);
        }
        for at in &line.deleted {
            let _ = write!(out, "\n  {}/{}: offset {} -> no offset", safe(&at.topic), at.partition, at.before);
        }
        if line.elsewhere > 0 {
            let _ = write!(out, "\n  {} left alone", plural(line.elsewhere, "other offset"));
        }
    }
    out
}
