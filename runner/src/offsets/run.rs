//! Runs that change committed offsets of consumer groups and no records.
//!
//! ```text
//! reset:    groups as they are, logs -> plan -> saved -> committed, read back -> report
//! rollback: saved offsets, groups as they are -> plan -> committed and deleted, read back -> report
//! ```

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use archive::{RestoreJournal, SavedOffsets, Store};
use contract::words::plural;
use contract::{
    Action, Code, EventKind, Failure, GroupLine, GroupOutcome, OffsetResetSpec, OffsetRollbackSpec, OffsetSaving,
    Report, ResetTo, RunSpec, SavedOffsets as From,
};
use wire::Cluster;

use super::commit::{AT_ONCE, GroupWork, Manner, Notes, commit_all, failed, group_lines, is_idle, places_of};
use super::expiry::{count_hours, hold, warn_not_noted};
use super::inexact::{self, inexact_of, not_exact};
use super::mapping_file::MappingFile;
use super::reset::{self, Goal, InLog, Plan, Progress};
use super::rollback::{self, Which};
use super::snapshot::{self, Changes, Earlier, Places, Snapshot, ToSave};
use super::state::{self, OffsetRun, Opened};
use super::text::text;
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
        let goal = goal(context, spec, part, &run.id).await?;
        return run.show(reset::plan(&run.cluster, part, &goal, &Progress::default()).await?, report);
    }
    let store = connect::store(context, spec).await?;
    let Some(mut opened) = run.open(&store, report).await? else { return Ok(()) };
    let place = SavedOffsets::new(&run.saving_store(&part.saving, &store).await?, &run.id);
    if let Some(before) = &mut opened.state.before {
        hold(emitter, &place, before).await;
    }
    let ended = run.reset(part, &mut opened, &place, report).await;
    run.count_hours(&mut opened, &place, report).await;
    ended
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
        return run.show(rollback_plan(&run.cluster, &store, &run.id, part, &BTreeMap::new()).await?, report);
    }
    let Some(mut opened) = run.open(&store, report).await? else { return Ok(()) };
    let plan = rollback_plan(&run.cluster, &store, &run.id, part, &opened.state.done).await?;
    let read_back = !part.without_verification;
    // A group that cannot be put back keeps none of the others from it. A name that is wrong is mended first.
    let go_on = plan.refusals.iter().all(|refusal| refusal.code != Code::UnknownGroup);
    let manner = Manner { read_back, go_on, all_configs: true, ..Manner::default() };
    run.carry_out(&mut opened, plan, None, manner, report).await
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
    /// The plan by group.
    pub(crate) lines: Vec<GroupLine>,
}

impl Preview {
    /// Groups on which configs are set.
    pub(crate) fn configured(&self) -> Vec<String> {
        let set = self.lines.iter().filter(|line| !line.configs.is_empty());
        set.map(|line| line.target.clone()).collect()
    }
}

/// The plan of a run without doing it.
///
/// # Errors
/// When the cluster or the store cannot be read; what the plan refuses stands in it.
pub(crate) async fn preview(context: &Context, cluster: &Cluster, spec: &RunSpec) -> Result<Preview, Failure> {
    let nothing = BTreeMap::new();
    let plan = match (&spec.offset_reset, &spec.offset_rollback) {
        (Some(part), _) => {
            let goal = goal(context, spec, part, &connect::cluster_id(cluster)?).await?;
            reset::plan(cluster, part, &goal, &Progress::default()).await?
        }
        (None, Some(part)) => {
            let store = connect::store(context, spec).await?;
            rollback_plan(cluster, &store, &connect::cluster_id(cluster)?, part, &nothing).await?
        }
        (None, None) => return Err(Failure::new(Code::Internal, "this run changes no committed offsets")),
    };
    let groups = plan.work.iter().filter(|group| group.line.outcome != GroupOutcome::Failed).count() as u64;
    let (text, lines) = (text(&plan.work), group_lines(plan.work));
    let warnings = plan.warnings.into_iter().chain(inexact::words(&inexact_of(&lines))).collect();
    Ok(Preview { refusals: plan.refusals, warnings, groups, text, lines })
}

/// Where a reset leads; an offset mapping is read.
///
/// # Errors
/// When the mapping is missing, damaged, or of another cluster.
async fn goal(context: &Context, spec: &RunSpec, part: &OffsetResetSpec, cluster: &str) -> Result<Goal, Failure> {
    let groups = &part.groups;
    let in_log = match &part.to {
        ResetTo::Earliest => InLog::Earliest,
        ResetTo::Latest => InLog::Latest,
        ResetTo::Timestamp(millis) => InLog::Since(*millis),
        ResetTo::Offset(offset) => InLog::Offset(*offset),
        ResetTo::Mapping(mapping) => {
            let store = match &mapping.storage {
                Some(storage) => connect::open(context, storage, &spec.circuit_breaker).await?,
                None => connect::store(context, spec).await?,
            };
            let file = MappingFile::open(store, &mapping.path, cluster, groups).await?;
            return Ok(Goal::Mapped(Box::new(file)));
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
        From::Path(path) => (path.clone(), store.at(path, snapshot::LARGEST).await?),
    };
    let missing = || {
        let text = format!("there are no saved offsets {place}; correct the name, or they are over and were deleted");
        Failure::new(Code::NoSavedOffsets, text)
    };
    snapshot::read(&found.ok_or_else(missing)?, &place, cluster)
}

/// How offsets are saved first.
struct Saving<'a> {
    how: &'a OffsetSaving,
    place: &'a SavedOffsets,
    earlier: Option<Earlier>,
}

/// What a run notes of its groups.
struct Noted<'a> {
    emitter: &'a Emitter,
    journal: &'a mut RestoreJournal,
    state: &'a mut OffsetRun,
}

impl Notes for Noted<'_> {
    fn touched(&mut self) -> &mut BTreeSet<String> {
        &mut self.state.touched
    }

    fn done(&mut self, group: &GroupWork) {
        self.state.note_done(group);
    }

    async fn write_down(&mut self, is_step: bool) -> Result<(), Failure> {
        let entry = self.journal.save(&*self.state).await?;
        if is_step {
            self.emitter.emit(EventKind::Committed { entry, sealed: false, point: None, made: None });
        }
        Ok(())
    }
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
            // Whoever asks again may not have had the report.
            report.is_repeated = true;
            report.positions = group_lines(done_before(&opened.state));
            return match not_exact(&opened.state.inexact) {
                None => {
                    report.outcome = "AlreadyDone".into();
                    Ok(None)
                }
                Some(failure) => Err(in_part(report, failure)),
            };
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
    ///
    /// # Errors
    /// What is in the way first.
    fn show(&self, plan: Plan, report: &mut Report) -> Result<(), Failure> {
        report.outcome = "DryRun".into();
        // What cannot be done exactly ends the run as a refusal does.
        let first = plan
            .refusals
            .first()
            .cloned()
            .or_else(|| not_exact(&inexact_of(plan.work.iter().map(|group| &group.line))));
        plan.warnings.into_iter().for_each(|warning| self.emitter.warn(warning));
        report.refusals = Some(plan.refusals);
        report.details = serde_json::json!({"text": text(&plan.work)});
        report.positions = group_lines(plan.work);
        first.map_or(Ok(()), Err)
    }

    /// Plans a reset and carries it out.
    async fn reset(
        &self,
        part: &OffsetResetSpec,
        opened: &mut Opened,
        place: &SavedOffsets,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let goal = goal(self.context, self.spec, part, &self.id).await?;
        let state = &opened.state;
        let earlier = match &state.before {
            Some(before) => Earlier::read(self.emitter, &self.id, place, before, state.may_be_ours()).await?,
            None => None,
        };
        let progress = progress(state, &goal, earlier.as_ref())?;
        let plan = reset::plan(&self.cluster, part, &goal, &progress).await?;
        let saving = (!part.saving.skip).then_some(Saving { how: &part.saving, place, earlier });
        let at_once = usize::try_from(part.parallelism).unwrap_or(AT_ONCE);
        let manner = Manner { at_once, go_on: part.continue_on_error, ..Manner::default() };
        self.carry_out(opened, plan, saving, manner, report).await
    }

    async fn carry_out(
        &self,
        opened: &mut Opened,
        plan: Plan,
        saving: Option<Saving<'_>>,
        manner: Manner,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let Opened { journal, state, .. } = opened;
        plan.warnings.into_iter().for_each(|warning| self.emitter.warn(warning));
        // Those that cannot be worked on, and those that stand where they shall already.
        let (mut ended, open): (Vec<_>, Vec<_>) =
            plan.work.into_iter().partition(|group| group.line.outcome != GroupOutcome::Planned);
        let before = done_before(state);
        let is_done = |line: &GroupLine| line.outcome == GroupOutcome::Committed || line.is_inexact();
        let good = ended.iter().filter(|group| is_done(&group.line));
        good.for_each(|group| state.note_done(group));
        ended.extend(before);
        let all = (ended.len() + open.len()) as u64;
        if let Some(refusal) = plan.refusals.into_iter().next().filter(|_| !manner.go_on) {
            ended.extend(not_tried(&open, &[]));
            report.positions = group_lines(ended);
            return Err(refusal);
        }
        let partitions = open.iter().map(|group| (group.line.offsets.len() + group.line.deleted.len()) as u64).sum();
        let topics: BTreeSet<_> =
            open.iter().flat_map(|group| places_of(&group.line)).map(|(topic, _)| topic).collect();
        self.emitter.emit(EventKind::Planned { topics: topics.len() as u64, partitions, records: 0 });
        if let Some(Saving { how, place, earlier }) = saving {
            let changes = Changes { by: format!("run {}", state.run), groups: to_save(&open), saving: how };
            let cluster = (self.cluster.as_ref(), &plan.there);
            state.before = snapshot::keep(self.context, self.emitter, cluster, place, earlier, changes).await?;
            report.offsets_before.clone_from(&state.before);
        }
        report.changed = true;
        let mut notes = Noted { emitter: self.emitter, journal: &mut *journal, state: &mut *state };
        let cancel = &self.context.cancel;
        let worked = commit_all(&self.cluster, cancel, &mut notes, &open, manner, &mut ended).await;
        let rest = not_tried(&open, &ended);
        ended.extend(rest);
        let verdict = failed(&ended, |count, why| {
            let all = plural(all, "consumer group");
            format!(
                "the committed offsets of {count} of {all} are not as they should be: {why}. Run it again: it only does what is left"
            )
        });
        report.positions = group_lines(ended);
        worked?;
        if manner.go_on && verdict.is_some() && !state.done.is_empty() {
            report.outcome = "PartiallyCompleted".into();
        }
        if let Some(failure) = verdict {
            return Err(failure);
        }
        state.is_complete = true;
        journal.save(&*state).await?;
        match not_exact(&inexact_of(&report.positions)) {
            None => {
                report.outcome = "Completed".into();
                Ok(())
            }
            Some(failure) => Err(in_part(report, failure)),
        }
    }

    /// From the end of the attempt on the hours count for which saved offsets are kept.
    async fn count_hours(&self, opened: &mut Opened, place: &SavedOffsets, report: &mut Report) {
        let (Opened { journal, state, .. }, now) = (opened, self.context.clock.now());
        let counts = count_hours(self.emitter, place, state.before.as_mut(), now, report).await;
        if counts && let Err(error) = journal.save(&*state).await {
            warn_not_noted(self.emitter, &error);
        }
    }

    async fn saving_store(&self, saving: &OffsetSaving, store: &Store) -> Result<Store, Failure> {
        match &saving.storage {
            Some(place) => connect::open(self.context, place, &self.spec.circuit_breaker).await,
            None => Ok(store.clone()),
        }
    }
}

/// What earlier attempts did. Where offsets are translated, groups that they may have changed are translated from what was
/// saved: what those have now may be translated already.
///
/// # Errors
/// When what was saved is gone, and is needed.
fn progress(state: &OffsetRun, goal: &Goal, earlier: Option<&Earlier>) -> Result<Progress, Failure> {
    let mut progress = Progress { done: state.done.clone(), saved: BTreeMap::new() };
    if let (Goal::Mapped(_), Some(before), false) = (goal, &state.before, state.touched.is_empty()) {
        let gone = || {
            let text = format!(
                "the saved offsets {} are gone: where the groups stood before this run is not known, so nothing can be \
                 translated once more. Set them with another reset",
                before.id
            );
            Failure::new(Code::NoSavedOffsets, text)
        };
        let saved = &earlier.ok_or_else(gone)?.document.group_offsets;
        let touched = saved.iter().filter(|(id, _)| state.touched.contains(*id));
        progress.saved = touched.map(|(id, saved)| (id.clone(), saved.listed())).collect();
    }
    Ok(progress)
}

/// What is saved of groups before they are changed. Of one that is not changed there is nothing to put back.
fn to_save(open: &[GroupWork]) -> Vec<ToSave> {
    let one = |group: &GroupWork| ToSave {
        id: group.line.target.clone(),
        kind: group.line.kind.clone(),
        changed: changed(&group.line),
        configs: group.line.configs.iter().map(|config| config.name.clone()).collect(),
    };
    open.iter().filter(|group| !is_idle(&group.line)).map(one).collect()
}

/// The places in which a line changes offsets.
fn changed(line: &GroupLine) -> Places {
    let mut places = Places::new();
    for (topic, partition) in places_of(line) {
        places.entry(topic.to_owned()).or_default().insert(partition);
    }
    places
}

/// The groups that earlier attempts have done.
fn done_before(state: &OffsetRun) -> Vec<GroupWork> {
    let one = |(group, count): (&String, &u64)| {
        let mut work = reset::empty(group, "");
        work.line.inexact = state.inexact.get(group).cloned().unwrap_or_default();
        let has_none = *count == 0 && !work.line.inexact.is_empty();
        work.line.outcome = if has_none { GroupOutcome::NoOffsets } else { GroupOutcome::Committed };
        work.line.done = *count;
        work
    };
    state.done.iter().map(one).collect()
}

/// Everything is done that can be done: where that is something, the run is completed in part.
fn in_part(report: &mut Report, failure: Failure) -> Failure {
    let is_something = report.positions.iter().any(|line| line.done > 0);
    report.outcome = if is_something { "PartiallyCompleted" } else { "Failed" }.into();
    failure
}

/// Groups that nothing was sent for, because the run ended before: they are not as they should be, either.
fn not_tried(open: &[GroupWork], ended: &[GroupWork]) -> Vec<GroupWork> {
    let tried: HashSet<&str> = ended.iter().map(|group| group.line.target.as_str()).collect();
    let rest = open.iter().filter(|group| !tried.contains(group.line.target.as_str()));
    let fail = |group: &GroupWork| {
        let mut group = group.clone();
        group.fail(format!("consumer group {:?} was not tried: this run ended before", group.line.target));
        group
    };
    rest.map(fail).collect()
}
