//! Conditions that keep the time of their last change.

use api::oso::RunClaim;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::Moment;

/// Longest message of a condition (apimachinery).
const LONGEST: usize = 32_768;

/// Sets a condition; its time changes only with its status.
pub(super) fn set(all: &mut Vec<Condition>, name: &str, status: bool, reason: &str, message: &str, moment: Moment) {
    put(all, name, if status { "True" } else { "False" }, (reason, message), moment);
}

/// Sets a condition to `True`, `False` or `Unknown`; its time changes only with its status.
pub(super) fn put(all: &mut Vec<Condition>, name: &str, status: &str, (reason, message): (&str, &str), moment: Moment) {
    let old = all.iter().position(|condition| condition.type_ == name);
    let since = old.and_then(|place| all.get(place)).filter(|old| old.status == status);
    let condition = Condition {
        type_: name.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(LONGEST).collect(),
        observed_generation: Some(moment.generation),
        last_transition_time: since.map_or(Time(moment.now), |old| old.last_transition_time.clone()),
    };
    match old.and_then(|place| all.get_mut(place)) {
        Some(place) => *place = condition,
        None => all.push(condition),
    }
}

/// All that a status says was judged for this generation: who waits for a condition after an edit waits for that.
pub(super) fn judged(all: &mut [Condition], moment: Moment) {
    for condition in all {
        condition.observed_generation = Some(moment.generation);
    }
}

/// How the run of an earlier specification ended was not judged for this one: whoever waits for it after an edit goes on waiting.
pub(super) fn ended_before(all: &mut [Condition], claim: Option<&RunClaim>) {
    let Some(claim) = claim else { return };
    for condition in all.iter_mut().filter(|condition| ["Complete", "Failed"].contains(&condition.type_.as_str())) {
        condition.observed_generation = Some(claim.generation);
    }
}

/// A run begins: how the one before ended is no news any more.
pub(super) fn begin(all: &mut Vec<Condition>, reason: &str, message: &str, moment: Moment) {
    for name in ["Complete", "Failed"] {
        if all.iter().any(|condition| condition.type_ == name) {
            set(all, name, false, reason, message, moment);
        }
    }
}

/// The next run of a schedule begins: how the last one ended counts until this one has.
pub(super) fn keep_ends(all: &mut [Condition], old: &[Condition]) {
    let ends = old.iter().filter(|condition| ["Complete", "Failed"].contains(&condition.type_.as_str()));
    for end in ends {
        if let Some(place) = all.iter_mut().find(|condition| condition.type_ == end.type_) {
            place.clone_from(end);
        }
    }
}

/// The condition of an object that was another operator's.
const TAKEN_OVER: &str = "TakenOver";

/// Whether an object was another operator's, and is ours.
pub(crate) fn taken_over(all: &[Condition]) -> bool {
    all.iter().any(|condition| condition.type_ == TAKEN_OVER && condition.status == "True")
}

/// The object is ours from now on. Tells what stands for the run of the other operator, if there was one: `claim`, with the
/// phase that the other operator left; a schedule just goes on.
pub(super) fn take_over(
    all: &mut Vec<Condition>,
    claim: Option<&RunClaim>,
    phase: Option<&String>,
    moment: Moment,
) -> Option<String> {
    set(all, TAKEN_OVER, true, "TakenOver", "the object is run by this operator", moment);
    let outcome = claim?.outcome.as_deref().unwrap_or_default();
    let (reason, text) = if phase.is_some_and(|phase| phase == "Running") {
        ("Abandoned", "the operator that ran it has left; make a new resource to run it again".to_owned())
    } else {
        ("TakenOver", format!("{outcome} by another operator; it does not run again"))
    };
    let failed = outcome == "Failed";
    health(all, (!failed, failed, false), reason, &text, moment);
    set(all, "Complete", !failed, reason, &text, moment);
    set(all, "Failed", failed, reason, &text, moment);
    Some(text)
}

/// The three conditions by which tools tell whether a resource is well (kstatus), with one reason.
pub(crate) fn health(
    all: &mut Vec<Condition>,
    (ready, stalled, reconciling): (bool, bool, bool),
    reason: &str,
    message: &str,
    moment: Moment,
) {
    set(all, "Ready", ready, reason, message, moment);
    set(all, "Stalled", stalled, reason, message, moment);
    set(all, "Reconciling", reconciling, reason, message, moment);
}

/// Whether the resource says something else than how its run ended: what was told of it meanwhile is no news any more.
pub(super) fn is_unsettled(all: &[Condition], outcome: &str, phase: Option<&String>) -> bool {
    let find = |name: &str| all.iter().find(|condition| condition.type_ == name).map(|condition| &condition.reason);
    phase.map(String::as_str) != Some(outcome) || find("Ready") != find(end(outcome))
}

/// Says again how the run ended. Returns it in words.
pub(super) fn settle(all: &mut Vec<Condition>, outcome: &str, lasting: bool, moment: Moment) -> String {
    let known = all.iter().find(|condition| condition.type_ == end(outcome) && condition.status == "True");
    let usual = || (format!("Run{outcome}"), format!("the run ended: {outcome}"));
    let (reason, text) = known.map_or_else(usual, |known| (known.reason.clone(), known.message.clone()));
    let failed = outcome != "Completed";
    health(all, (!failed, failed && !lasting, false), &reason, &text, moment);
    set(all, "Complete", !failed, &reason, &text, moment);
    set(all, "Failed", failed, &reason, &text, moment);
    text
}

/// The condition that tells of an outcome.
fn end(outcome: &str) -> &'static str {
    if outcome == "Completed" { "Complete" } else { "Failed" }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn the_time_changes_only_with_the_status() {
        let at = |second| Moment::new(1, Timestamp::from_second(second).unwrap());
        let mut all = Vec::new();
        set(&mut all, "Ready", true, "A", "a", at(1));
        set(&mut all, "Ready", true, "B", "b", at(2));
        assert_eq!((all.len(), all[0].reason.as_str(), all[0].last_transition_time.0.as_second()), (1, "B", 1));
        set(&mut all, "Ready", false, "B", "b", at(3));
        assert_eq!(all[0].last_transition_time.0.as_second(), 3);
    }
}
