//! The judge: compares what runs said and what the archive holds with the truth that the model kept.

mod point;
mod pulse;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use archive::{Catalog, Chain, Layout, Level, verify_log};
use contract::{ExitCode, Report, RunSpec};
use uuid::Uuid;

use self::point::Made;
use crate::attempt::{Ended, Ground};
use crate::log::Marks;
use crate::script::{Action, Mode};
use crate::shown::shown;

/// Offsets of the source at one moment.
pub(crate) type AllMarks = BTreeMap<(Uuid, i32), Marks>;

/// Milliseconds for which a run waits for what does not answer, and goes on without it.
const PATIENCE_MS: u64 = 8_000;
/// Steps of one simulation at most.
const STEPS: u64 = 400_000;

#[derive(Debug, Default)]
struct Inner {
    violations: Vec<String>,
    points: u64,
    records: u64,
    /// Seals that were compared: set and entry.
    checked: BTreeSet<(String, u64)>,
    /// Offsets at the first attempt of each run.
    starts: BTreeMap<String, AllMarks>,
    /// Offsets from time to time.
    history: Vec<(u64, AllMarks)>,
    /// When attempts began.
    begun: Vec<u64>,
    /// Names of the live topics of the newest point of each set.
    live: BTreeMap<String, BTreeSet<String>>,
    /// When everything was well, and the offsets then.
    healed: Option<AllMarks>,
}

/// The judge of one simulation.
#[derive(Debug, Clone)]
pub(crate) struct Oracle {
    ground: Ground,
    inner: Arc<Mutex<Inner>>,
    /// Somebody else judges how attempts end.
    probing: bool,
}

impl Oracle {
    pub(crate) fn new(ground: &Ground) -> Self {
        Self { ground: ground.clone(), inner: Arc::default(), probing: false }
    }

    /// One that leaves it to somebody else to judge how attempts end.
    pub(crate) fn probing(self) -> Self {
        Self { probing: true, ..self }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Notes something that must not be.
    pub(crate) fn violation(&self, text: impl Into<String>) {
        let text = text.into();
        self.ground.trace.step(format_args!("VIOLATION {text}"));
        self.inner().violations.push(text);
    }

    /// Everything is well from now on.
    pub(crate) fn note_healed(&self) {
        let marks = self.ground.kafka.look().marks();
        self.inner().healed = Some(marks);
    }

    /// Points and records compared.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let inner = self.inner();
        (inner.points, inner.records)
    }

    /// Objects of the archive that nothing else can give again are removed: only somebody can mend what fails then.
    pub(crate) fn loses(&self) -> bool {
        let script = &self.ground.script;
        let expires = script.actions.iter().any(|at| matches!(at.what, Action::Expire(_)));
        (expires && !script.settings.reread)
            || script.actions.iter().any(|at| matches!(&at.what, Action::Lose(part) if part != "/roll/"))
    }

    /// Objects are removed.
    fn loses_any(&self) -> bool {
        self.ground.script.actions.iter().any(|at| matches!(at.what, Action::Lose(_)))
    }

    /// Retention runs.
    pub(crate) fn has_retention(&self) -> bool {
        self.ground.script.has_retention()
    }

    /// Retention runs more than once, perhaps at the same time.
    pub(crate) fn has_other_retention(&self) -> bool {
        self.runs_of_retention() > 1
    }

    fn runs_of_retention(&self) -> usize {
        self.ground.script.actions.iter().filter(|at| matches!(at.what, Action::Prune(_))).count()
    }

    /// Points that retention has removed may be read no more.
    async fn is_removed(&self, set: &str, entry: u64) -> bool {
        self.has_retention() && !shown(&self.ground).await.iter().any(|(_, of, seal)| of == set && *seal == entry)
    }

    /// Segments are removed at this time or later: a base that was looked at before may be gone.
    fn loses_from(&self, ms: u64) -> bool {
        self.ground.script.actions.iter().any(|at| matches!(at.what, Action::Expire(_)) && at.ms >= ms)
    }

    /// Judges one attempt and every recovery point that it made.
    pub(crate) async fn judge(&self, spec: &RunSpec, ended: &Ended) {
        let run = spec.run.as_ref().map(|run| run.id.clone()).unwrap_or_default();
        self.inner().begun.push(ended.from_ms);
        self.inner().starts.entry(run).or_insert_with(|| ended.marks.clone());
        let mut made = None;
        if let Some((report, exit)) = &ended.said {
            for text in words::made_up(&self.ground, report) {
                self.violation(text);
            }
            let nothing_there = self.ground.kafka.look().topics.is_empty();
            let forbidden = self.ground.kafka.look().topics.values().any(|topic| topic.forbidden);
            let excused = nothing_there || forbidden || self.probing || self.loses();
            if *exit == ExitCode::Final && !excused {
                self.violation(format!("ended for good without a cause: {:?}", report.failure));
            }
            if *exit == ExitCode::Resumable && !self.probing {
                self.check_failure(report);
            }
            if *exit == ExitCode::Done {
                made = report.point.clone();
                if made.is_none() {
                    self.violation("exit 0 without a recovery point");
                }
            }
        }
        let fresh = self.fresh_seals().await;
        for (set, entry, _, run) in &fresh {
            let lower = self.lower_bound(set, *entry, run);
            let said = ended.said.as_ref().map(|(report, _)| report).filter(|report| report.run == *run);
            self.check(set, *entry, lower.as_ref(), ended, said).await;
        }
        if self.ground.script.settings.mode != Mode::Continuous
            && let (Some(point), Some((report, _))) = (&made, &ended.said)
            && report.outcome != "AlreadyDone"
            && !fresh.iter().any(|(_, _, other, _)| other == point)
        {
            self.violation(format!("{point} is not in the archive although its run said so"));
        }
        if self.ground.trace.steps() > STEPS {
            self.violation(format!("more than {STEPS} requests"));
        }
    }

    /// A run may fail while something is wrong, and until its requests have timed out; then it must go on. Partitions
    /// without a leader hold up nothing but themselves.
    fn check_failure(&self, report: &Report) {
        let state = self.ground.kafka.look();
        let led = |topic: &crate::broker::Topic| topic.partitions.iter().any(|p| p.leader >= 0);
        let (all, some) = (state.all_led(), state.topics.values().any(led));
        drop(state);
        let only_leaders = report.failure.as_ref().is_some_and(|failure| {
            // What is given up is given up for good: without the leader nobody knows what that is.
            failure.message.contains("without a leader") && !failure.message.contains("where its log starts")
        });
        if !all && some && only_leaders {
            self.violation(format!("partitions without a leader held up the others: {:?}", report.failure));
        }
        let (trouble, deadline) = (self.ground.trace.trouble_ms(), self.ground.script.settings.deadline_ms);
        let gave_up = report.failure.as_ref().is_some_and(|failure| failure.message.contains("gave up after"));
        if gave_up && trouble < deadline / 2 {
            let text =
                format!("gave up {} s after trouble began, with a deadline of {} s", trouble / 1000, deadline / 1000);
            self.violation(format!("{text}: {:?}", report.failure));
        }
        let calm = self.ground.trace.calm_ms();
        if calm > 2 * self.ground.script.settings.timeout_ms + 3000 {
            self.violation(format!("failed though nothing was wrong for {} s: {:?}", calm / 1000, report.failure));
        }
    }

    /// Seals that were not compared yet: set, entry, point, run; oldest first.
    async fn fresh_seals(&self) -> Vec<(String, u64, String, String)> {
        let store = self.ground.plain_store();
        let mut out = Vec::new();
        for set in Catalog::new(store.clone()).sets().await.unwrap_or_default() {
            let chain = Chain::new(store.clone(), Layout::new(&set));
            let mut next = chain.newest().await.ok().flatten();
            let mut found = Vec::new();
            while let Some(number) = next {
                if self.inner().checked.contains(&(set.clone(), number)) {
                    break;
                }
                match chain.entry(number).await {
                    Ok((entry, _)) => {
                        if let Some(seal) = &entry.seal {
                            found.push((set.clone(), number, seal.point.clone(), entry.run.clone()));
                        }
                        next = entry.last_seal;
                    }
                    Err(error) => {
                        self.violation(format!("{set}: entry {number} cannot be read: {error}"));
                        next = None;
                    }
                }
            }
            out.extend(found.into_iter().rev());
        }
        out
    }

    /// What a point must hold at least: everything that the source had at one moment.
    fn lower_bound(&self, set: &str, entry: u64, run: &str) -> Option<AllMarks> {
        let inner = self.inner();
        if self.ground.script.settings.mode != Mode::Continuous {
            // A later attempt keeps the targets of the first: a point does not grow because its run died.
            return inner.starts.get(run).cloned();
        }
        // The look that a point answers began after the point before the last was made.
        let created = self.ground.store.created();
        let before = |made: &&crate::store::Created| {
            made.sealed && made.number < entry && made.key.starts_with(&format!("{set}/"))
        };
        let seals: Vec<u64> = created.iter().filter(before).map(|made| made.at_ms).collect();
        let since = seals.iter().rev().nth(1).copied()?;
        inner.history.iter().rev().find(|(at, _)| *at <= since).map(|(_, marks)| marks.clone())
    }

    async fn check(&self, set: &str, entry: u64, lower: Option<&AllMarks>, ended: &Ended, said: Option<&Report>) {
        self.inner().checked.insert((set.to_owned(), entry));
        let held = match point::read(&self.ground.plain_store(), set, entry).await {
            Ok(held) => held,
            Err(_) if self.is_removed(set, entry).await => {
                self.inner().live.remove(set);
                return;
            }
            // Nobody looks at the base again once the set is claimed.
            Err(_) if !self.outlasts(set, entry) => {
                // What the point after it is compared with is not known then.
                self.inner().live.remove(set);
                return;
            }
            Err(error) => return self.violation(format!("{set}, entry {entry} cannot be read: {error}")),
        };
        self.check_vanished(&held, said);
        let lasted = ended.to_ms - ended.from_ms;
        let forbidden = self.ground.kafka.look().topics.values().any(|topic| topic.forbidden);
        let made = Made { said, troubled: forbidden || self.ground.trace.calm_ms() <= lasted + PATIENCE_MS };
        let (records, found) = point::compare(&self.ground, &held, lower, made);
        {
            let mut inner = self.inner();
            inner.points += 1;
            inner.records += records;
        }
        for text in found {
            self.violation(format!("{}: {text}", held.point.seal.point));
        }
    }

    /// A topic that was live in the point before and is not in this one is named by the run.
    fn check_vanished(&self, held: &point::Held, said: Option<&Report>) {
        let set = held.point.set().to_owned();
        let live = held.live();
        let before = self.inner().live.insert(set, live.clone()).unwrap_or_default();
        // A run that was killed says nothing, and one that made several points says it once.
        let Some(report) = said.filter(|_| self.ground.script.settings.mode == Mode::Incremental) else { return };
        let text = serde_json::to_string(report).expect("a report is a document");
        for name in before.difference(&live).filter(|name| !text.contains(name.as_str())) {
            self.violation(format!("topic {name} vanished from the set, and the report does not name it"));
        }
    }

    /// Whether no segments were removed since the attempt began that claimed the set before this entry.
    fn outlasts(&self, set: &str, entry: u64) -> bool {
        let created = self.ground.store.created();
        let is_claim = |made: &&crate::store::Created| {
            made.claim && made.number <= entry && made.key.starts_with(&format!("{set}/"))
        };
        let Some(claimed) = created.iter().filter(is_claim).max_by_key(|made| made.number) else { return true };
        let begun = self.inner().begun.iter().copied().filter(|ms| *ms <= claimed.at_ms).max();
        let rivals = self.ground.script.actions.iter().filter(|at| matches!(at.what, Action::Rival));
        let rival = rivals.map(|at| at.ms).filter(|ms| *ms <= claimed.at_ms).max();
        let since = [begun, rival].into_iter().flatten().min().unwrap_or(0);
        !self.loses_from(since)
    }

    /// What is wrong at the end of everything.
    pub(crate) async fn finish(&self) -> Vec<String> {
        let store = self.ground.plain_store();
        let checked = self.inner().checked.clone();
        let nothing_there = self.ground.kafka.look().topics.is_empty();
        if checked.is_empty() && self.inner().violations.is_empty() && !nothing_there {
            self.violation("no recovery point was made at all");
        }
        if !self.loses_any() {
            for (set, entry) in checked.iter().filter(|(set, entry)| self.outlasts(set, *entry)) {
                if self.is_removed(set, *entry).await {
                    continue;
                }
                match verify_log(&store, &Layout::new(set), *entry, Level::Decode).await {
                    Ok(verification) => {
                        for problem in verification.problems {
                            self.violation(format!("{set}, entry {entry}: verify says {problem:?}"));
                        }
                    }
                    Err(error) => self.violation(format!("{set}, entry {entry}: verify ended: {error}")),
                }
            }
        }
        let healed = self.inner().healed.clone();
        if let (Some((set, entry)), Some(marks)) = (checked.last(), healed)
            && let Ok(held) = point::read(&store, set, *entry).await
        {
            let made = Made { said: None, troubled: false };
            for text in point::compare(&self.ground, &held, Some(&marks), made).1 {
                self.violation(format!("the last point, {}: {text}", held.point.seal.point));
            }
        }
        self.inner().violations.clone()
    }
}
