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
    Action, Code, EventKind, Failure, GroupOutcome, OffsetResetSpec, OffsetRollbackSpec, OffsetSaving, Report, RunSpec,
    SavedOffsets as From,
};
use wire::Cluster;

use super::commit::{AT_ONCE, BETWEEN_SAVES, GroupWork, Manner, commit, failed, group_lines, listed};
use super::reset::{self, Plan};
use super::rollback::{self, Which};
use super::snapshot::{self, Changes, Snapshot};
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
        run.show(reset::plan(&run.cluster, part, &BTreeMap::new()).await?, report);
        return Ok(());
    }
    let store = connect::store(context, spec).await?;
    let Some(opened) = run.open(&store, report).await? else { return Ok(()) };
    let plan = reset::plan(&run.cluster, part, &opened.state.done).await?;
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
        (Some(part), _) => reset::plan(cluster, part, &nothing).await?,
        (None, Some(part)) => {
            let store = connect::store(context, spec).await?;
            rollback_plan(cluster, &store, &connect::cluster_id(cluster)?, part, &nothing).await?
        }
        (None, None) => return Err(Failure::new(Code::Internal, "this run changes no committed offsets")),
    };
    let groups = plan.work.iter().filter(|group| group.line.outcome != GroupOutcome::Failed).count() as u64;
    Ok(Preview { refusals: plan.refusals, warnings: plan.warnings, groups, text: text(&plan.work) })
}

/// Finds saved offsets and reads them.
///
/// # Errors
/// When there are none, or they are damaged or of another cluster.
pub(crate) async fn load(store: &Store, cluster: &str, from: &From) -> Result<Snapshot, Failure> {
    let saved = SavedOffsets::new(store, cluster);
    let (place, found) = match from {
        From::Id(id) => (saved.place(id), saved.read(id).await?),
        From::Path(path) => (path.clone(), store.at(path).await?),
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
        ended.extend(state.done.iter().map(|(group, count)| done_before(group, *count)));
        let all = (ended.len() + open.len()) as u64;
        if let Some(refusal) = plan.refusals.into_iter().next().filter(|_| !how.go_on) {
            report.positions = group_lines(ended);
            return Err(refusal);
        }
        let partitions = open.iter().map(|group| (group.line.offsets.len() + group.line.deleted.len()) as u64).sum();
        self.emitter.emit(EventKind::Planned { topics: plan.topics.len() as u64, partitions, records: 0 });
        if let Some(saving) = how.saving.filter(|_| state.before.is_none()) {
            let groups = open.iter().map(|group| (group.line.target.clone(), group.line.kind.clone())).collect();
            let changes = Changes { by: format!("run {}", state.run), groups, topics: plan.topics, saving };
            state.before = Some(self.save_offsets(store, changes).await?);
            report.offsets_before.clone_from(&state.before);
        }
        self.save(&mut journal, &state).await?;
        report.changed = true;
        ended.extend(self.commit_all(&mut journal, &mut state, &open, &how).await?);
        let verdict = failed(&ended, |count, why| {
            let all = plural(all, "consumer group");
            format!(
                "the committed offsets of {count} of {all} are not as they should be: {why}. Run it again: it only does what is left"
            )
        });
        if how.go_on && verdict.is_some() && !state.done.is_empty() {
            report.outcome = "PartiallyCompleted".into();
        }
        report.positions = group_lines(ended);
        if let Some(failure) = verdict {
            return Err(failure);
        }
        state.is_complete = true;
        self.save(&mut journal, &state).await?;
        report.outcome = "Completed".into();
        Ok(())
    }

    /// Works on one part of the groups after the other, and notes what is done between them.
    async fn commit_all(
        &self,
        journal: &mut RestoreJournal,
        state: &mut OffsetRun,
        open: &[GroupWork],
        how: &How<'_>,
    ) -> Result<Vec<GroupWork>, Failure> {
        let mut ended = Vec::new();
        for part in open.chunks(how.manner.at_once.max(BETWEEN_SAVES)) {
            let worked = commit(&self.cluster, part.to_vec(), how.manner).await?;
            let good = worked.iter().filter(|group| group.line.outcome == GroupOutcome::Committed);
            state.done.extend(good.map(|group| (group.line.target.clone(), group.line.done)));
            let is_failed = worked.iter().any(|group| group.line.outcome == GroupOutcome::Failed);
            ended.extend(worked);
            self.save(journal, state).await?;
            if self.context.cancel.is_cancelled() {
                return Err(Failure::new(Code::Interrupted, "stopped on request; groups that are done stay so"));
            }
            if is_failed && !how.go_on {
                break;
            }
        }
        Ok(ended)
    }

    async fn save(&self, journal: &mut RestoreJournal, state: &OffsetRun) -> Result<(), Failure> {
        let entry = journal.save(state).await?;
        self.emitter.emit(EventKind::Committed { entry, sealed: false, point: None, made: None });
        Ok(())
    }

    /// Saves what the groups have now.
    async fn save_offsets(&self, store: &Store, changes: Changes<'_>) -> Result<contract::OffsetsBefore, Failure> {
        let there = listed(&self.cluster).await?;
        let place = match &changes.saving.storage {
            Some(place) => connect::open(self.context, place, &self.spec.circuit_breaker).await?,
            None => store.clone(),
        };
        let place = SavedOffsets::new(&place, &self.id);
        snapshot::keep(self.context, self.emitter, &self.cluster, &there, &place, changes).await
    }
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
