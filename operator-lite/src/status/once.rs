//! What the statuses of all kinds say that run once, and that of a validation while its run works.

use api::oso::{
    KafkaBackupValidationStatus, KafkaOffsetResetStatus, KafkaOffsetRollbackStatus, KafkaRestoreStatus, RunClaim,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::conditions::{begin, ended_before, health, is_unsettled, judged, set, settle, take_over};
use super::{
    CHANGED, Moment, NEEDS_SOMEBODY, Running, State, closed, findings, forgive, is_disrupted, is_outdated,
    not_implemented, note, working_text,
};
use crate::decide::Verdict;

/// The fields that they have in common.
pub(super) struct Common<'a> {
    phase: &'a mut Option<String>,
    message: &'a mut Option<String>,
    start_time: &'a mut Option<String>,
    completion_time: &'a mut Option<String>,
    run: &'a mut Option<RunClaim>,
    conditions: &'a mut Vec<Condition>,
}

/// A status with these fields.
pub(super) trait Once {
    /// The fields.
    fn common(&mut self) -> Common<'_>;
}

macro_rules! once {
    ($($status:ident)*) => {
        $(impl Once for $status {
            fn common(&mut self) -> Common<'_> {
                Common {
                    phase: &mut self.phase,
                    message: &mut self.message,
                    start_time: &mut self.start_time,
                    completion_time: &mut self.completion_time,
                    run: &mut self.run,
                    conditions: &mut self.conditions,
                }
            }
        })*
    };
}

once! { KafkaRestoreStatus KafkaOffsetResetStatus KafkaOffsetRollbackStatus KafkaBackupValidationStatus }

/// The kind's own words.
pub(super) struct Words {
    /// The reason while a run works.
    pub(super) running: &'static str,
    /// The reason between two attempts.
    pub(super) retrying: &'static str,
    /// The text while a run works.
    pub(super) works: &'static str,
}

impl Common<'_> {
    fn tell(
        &mut self,
        phase: &str,
        (ready, stalled, reconciling): (bool, bool, bool),
        reason: &str,
        text: &str,
        moment: Moment,
    ) {
        *self.phase = Some(phase.to_owned());
        *self.message = Some(text.to_owned());
        health(self.conditions, (ready, stalled, reconciling), reason, text, moment);
    }

    /// All states but the end of a run, which is told by [`Self::conclude`].
    pub(super) fn advance(&mut self, state: &State, words: &Words, moment: Moment) {
        match state {
            State::Invalid(all) => {
                self.tell("Failed", (false, true, false), "ValidationFailed", &findings(all), moment);
            }
            State::NotImplemented(fields) => {
                let text = not_implemented(fields);
                self.tell("Failed", (false, true, false), "NotImplemented", &text, moment);
                set(self.conditions, "Failed", true, "NotImplemented", &text, moment);
            }
            State::Foreign(text) => {
                *self.message = Some(text.clone());
                health(self.conditions, (false, true, false), "ForeignOperator", text, moment);
            }
            State::TakenOver(claim) => {
                if let Some(text) = take_over(self.conditions, claim.as_deref(), self.phase.as_ref(), moment) {
                    *self.run = claim.as_deref().cloned();
                    *self.phase = self.run.as_ref().and_then(|run| run.outcome.clone());
                    *self.message = Some(text);
                }
            }
            State::Pending(reason, text) => self.tell("Pending", (false, false, true), reason, text, moment),
            State::Idle(_) => {
                if is_outdated(self.run.as_ref(), moment) {
                    let text = "the specification was changed since its run, and it runs once: make a new one";
                    *self.message = Some(text.to_owned());
                    return health(self.conditions, (false, true, false), CHANGED, text, moment);
                }
                let outcome = self.run.as_ref().and_then(|run| run.outcome.clone());
                let phase = self.phase.clone();
                // A run that failed may have a phase that says more.
                let unsettled = |outcome: &String| {
                    !says_more(phase.as_ref()) && is_unsettled(self.conditions, outcome, phase.as_ref())
                };
                if let Some(outcome) = outcome.filter(unsettled) {
                    *self.message = Some(settle(self.conditions, &outcome, false, moment));
                    *self.phase = Some(outcome);
                }
            }
            State::Claimed(tick) => {
                self.tell("Running", (false, false, true), words.running, "the run begins", moment);
                begin(self.conditions, words.running, "the run begins", moment);
                *self.run = Some(tick.claim.clone());
                *self.start_time = Some(moment.now.to_string());
                *self.completion_time = None;
            }
            State::Running(running) => self.working(running, words, moment),
            State::Waiting | State::Over(..) => {}
            State::Renewed(claim) => *self.run = Some((**claim).clone()),
            State::Retrying(claim, text) => {
                let stalled = is_disrupted(claim);
                self.tell("Running", (false, stalled, !stalled), words.retrying, text, moment);
                *self.run = Some((**claim).clone());
            }
            State::Swept => {
                if let Some(run) = self.run {
                    run.job_uid = None;
                }
            }
        }
    }

    fn working(&mut self, running: &Running, words: &Words, moment: Moment) {
        note(self.run.as_mut(), running, moment);
        if let Some(progress) = &running.progress {
            forgive(self.run.as_mut(), progress);
        }
        let usual = || (words.running, working_text(self.run.as_ref(), running, false, words.works));
        let problem = running.problem.as_ref().map(|(reason, text)| (reason.as_str(), text.clone()));
        let (reason, text) = problem.unwrap_or_else(usual);
        let stalled = NEEDS_SOMEBODY.contains(&reason);
        self.tell("Running", (false, stalled, !stalled), reason, &text, moment);
    }

    /// All that it says was judged for this generation, but for how the run of an earlier specification ended.
    pub(super) fn judged(&mut self, moment: Moment) {
        judged(self.conditions, moment);
        if moment.changed && self.run.as_ref().is_some_and(|run| !run.is_unfinished()) {
            ended_before(self.conditions, self.run.as_ref());
        }
    }

    /// A run is over.
    pub(super) fn conclude(
        &mut self,
        (claim, verdict): (&RunClaim, &Verdict),
        phase: &str,
        reason: &str,
        text: &str,
        moment: Moment,
    ) {
        let completed = verdict.is_completed();
        *self.run = Some(closed(claim, verdict, moment.now));
        *self.completion_time = Some(moment.now.to_string());
        self.tell(phase, (completed, !completed, false), reason, text, moment);
        set(self.conditions, "Complete", completed, reason, text, moment);
        set(self.conditions, "Failed", !completed, reason, text, moment);
    }
}

/// Phases of runs that failed, and that say what was done nevertheless.
fn says_more(phase: Option<&String>) -> bool {
    phase.is_some_and(|phase| ["RolledBack", "PartiallyCompleted"].contains(&phase.as_str()))
}
