//! Whether the plan and the state that a restore reads back are its own: both lie in a store, and whoever writes there may have
//! changed them. Each attempt holds them against its specification and against the archive before it does what they say.
//!
//! What cannot be known from there is believed: values that a topic itself had before the restore (unless the plan is one
//! that somebody looked at), how far an epoch came, and that everything is produced.

use archive::{Layout, Point};
use contract::names::check_name;
use contract::words::safe;
use contract::{Code, Failure, RestoreSpec, RunSpec};

use super::claims::{Thing, full_name};
use super::configs::held_at;
use super::holds::is_noted;
use super::plan::check::{
    Checked, MOST, equal, is_offset, must, of_itself as of_plan_itself, of_name, of_point, of_rows, of_source, of_spec,
    shown,
};
use super::plan::{RestorePlan, Sealed, TargetAction, TopicPlan, ends, retained};
use super::prepare::largest_batch;
use super::state::{Epoch, RestoreState, TargetPartition, TargetTopic};

/// The only config that may be held and is not in the plan: batches get room that the plan does not count.
const ROOMY: &str = "segment.bytes";

/// What was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) spec: &'a RunSpec,
    pub(crate) part: &'a RestoreSpec,
    /// Id of the target cluster.
    pub(crate) cluster: &'a str,
}

impl Asked<'_> {
    /// Holds plan and state against the specification.
    ///
    /// # Errors
    /// [`Code::StateMismatch`] names what differs.
    pub(crate) fn fits(&self, plan: &RestorePlan, state: &RestoreState) -> Result<(), Failure> {
        let of_plan = of_spec(plan, self.part, self.cluster).and_then(|()| of_name(plan, &state.set, &self.part.from));
        of_plan.map_err(|found| refused("plan", &found))?;
        of_state(state, plan, self.spec, self.part).map_err(|found| refused("state", &found))
    }

    /// Holds plan and state against the specification and the archive.
    ///
    /// # Errors
    /// [`Code::StateMismatch`] names what differs. When the archive cannot be read.
    pub(crate) async fn fits_archive(
        &self,
        plan: &RestorePlan,
        state: &RestoreState,
        point: &Point,
    ) -> Result<(), Failure> {
        self.fits(plan, state)?;
        let in_plan = |found: String| refused("plan", &found);
        of_point(plan, &Sealed::of(point), self.part).map_err(in_plan)?;
        if let Some(secs) = self.part.before_end_secs {
            equal("ends", &plan.ends, &ends(point, plan, secs).await?).map_err(in_plan)?;
        }
        let all = || plan.topics.iter().zip(&state.topics).enumerate();
        if plan.topics.iter().any(|topic| topic.action == TargetAction::Create) {
            let rows = retained(point, plan).await?;
            for (place, (topic, _)) in all().filter(|(_, (topic, _))| topic.action == TargetAction::Create) {
                let rows = rows.get(&topic.source_id).copied().unwrap_or_default();
                of_rows(topic, rows).map_err(|found| in_plan(format!("topics[{place}].{found}")))?;
            }
        }
        let is_open =
            |topic: &TopicPlan, known: &TargetTopic| topic.action == TargetAction::Create && known.id.is_nil();
        if all().any(|(_, (topic, known))| is_open(topic, known)) {
            let configs = point.configs().await?;
            for (place, (topic, _)) in all().filter(|(_, (topic, known))| is_open(topic, known)) {
                let source = configs.get(&topic.source);
                of_source(topic, source).map_err(|found| in_plan(format!("topics[{place}].{found}")))?;
            }
        }
        Ok(())
    }
}

/// The set that a saved state names, once its name is looked at.
///
/// # Errors
/// A name that no set has.
pub(crate) fn set_of(state: &RestoreState) -> Result<Layout, Failure> {
    of_set(state).map_err(|found| refused("state", &found))?;
    Ok(Layout::new(&state.set))
}

/// Holds the state of a restore that is to be released, and the plan that it names, against what holds the claim. Of a restore
/// whose specification nobody has (`own` is that of the one who asks, where it is the same restore) only that remains: that
/// both documents are of this cluster and of each other, and that `thing` is what it claimed.
///
/// # Errors
/// [`Code::StateMismatch`] names what differs.
pub(crate) fn may_be_released(
    plan: &RestorePlan,
    state: &RestoreState,
    thing: &Thing,
    cluster: &str,
    own: Option<Asked<'_>>,
) -> Result<(), Failure> {
    let kept = "Nothing was put back, and nothing is released";
    of_claim(plan, state, thing, cluster).map_err(|(document, found)| not_ours(state, document, &found, kept))?;
    own.map_or(Ok(()), |asked| asked.fits(plan, state))
}

/// Holds the state of a restore that was found by what it claimed, and the plan that it names, against that: for whoever only
/// reads them.
///
/// # Errors
/// [`Code::StateMismatch`] names what differs.
pub(crate) fn may_be_read(
    plan: &RestorePlan,
    state: &RestoreState,
    thing: &Thing,
    cluster: &str,
) -> Result<(), Failure> {
    let kept = "Nothing is compared with it";
    of_claim(plan, state, thing, cluster).map_err(|(document, found)| not_ours(state, document, &found, kept))
}

fn not_ours(state: &RestoreState, document: &str, found: &str, kept: &str) -> Failure {
    let who = full_name(state);
    let text = format!(
        "the saved {document} of restore {} is not one that a restore makes: {found}. {kept}. Somebody else may have changed it: look who can write to the storage of the state",
        safe(&who)
    );
    Failure::new(Code::StateMismatch, text)
}

/// Holds both documents against the claim that led to them; else which of them breaks a rule, and how.
fn of_claim(
    plan: &RestorePlan,
    state: &RestoreState,
    thing: &Thing,
    cluster: &str,
) -> Result<(), (&'static str, String)> {
    let claimed = match thing {
        Thing::Name(namespace, name) => {
            equal("namespace", &state.namespace, namespace).and_then(|()| equal("name", &state.name, name))
        }
        Thing::Topic(name, _) => must(state.topics.iter().any(|topic| topic.name == *name), || {
            format!("topics has no {name}, which it claims")
        }),
    };
    claimed.map_err(|found| ("state", found))?;
    of_plan_itself(plan, cluster).map_err(|found| ("plan", found))?;
    of_itself(state, plan).map_err(|found| ("state", found))
}

fn refused(document: &str, found: &str) -> Failure {
    let text = format!(
        "the saved {document} of this restore is not one that its specification makes: {found}. Nothing was changed by this attempt. Somebody else may have changed it: look who can write to the storage of the state, then restore again under a new name"
    );
    Failure::new(Code::StateMismatch, text)
}

fn of_set(state: &RestoreState) -> Checked {
    check_name(&state.set).map_err(|rule| format!("set is {}; it {rule}", shown(&state.set)))?;
    must(state.entry <= MOST, || format!("entry is {}, which cannot be", state.entry))
}

fn of_state(state: &RestoreState, plan: &RestorePlan, spec: &RunSpec, part: &RestoreSpec) -> Checked {
    equal("namespace", &state.namespace, &spec.namespace)?;
    equal("name", &state.name, &spec.name)?;
    of_itself(state, plan)?;
    for (place, (topic, planned)) in state.topics.iter().zip(&plan.topics).enumerate() {
        let may_be = !(topic.id.is_nil() && topic.created) || part.create_topics;
        let created = must(may_be, || {
            format!("created is true, and restore.createTopics is false: set that to true to create {}", topic.name)
        });
        let is_seen = part.plan_fingerprint.is_some() && state.ended.is_none();
        let seen = if is_seen { of_seen(topic, planned) } else { Ok(()) };
        created.and(seen).map_err(|found| format!("topics[{place}].{found}"))?;
    }
    Ok(())
}

/// Holds a state against the plan that it names.
fn of_itself(state: &RestoreState, plan: &RestorePlan) -> Checked {
    of_set(state)?;
    check_name(&state.life).map_err(|rule| format!("life is {}; it {rule}", shown(&state.life)))?;
    equal("digest", &state.digest, &plan.digest)?;
    must(state.left_out <= MOST, || format!("leftOut is {}, which cannot be", state.left_out))?;
    if let Some(before) = &state.groups.before {
        check_name(&before.id).map_err(|rule| format!("groups.before.id is {}; it {rule}", shown(&before.id)))?;
    }
    equal("the number of topics", &state.topics.len(), &plan.topics.len())?;
    for (place, (topic, planned)) in state.topics.iter().zip(&plan.topics).enumerate() {
        let checked = of_topic(topic, planned, state.started()).and_then(|()| of_held(topic, planned));
        checked.map_err(|found| format!("topics[{place}].{found}"))?;
    }
    of_partitions(state, plan)?;
    of_epochs(state)
}

fn of_topic(topic: &TargetTopic, planned: &TopicPlan, started: bool) -> Checked {
    equal("name", &topic.name, &planned.target)?;
    equal("source", &topic.source, &planned.source_id)?;
    equal("created", &topic.created, &(planned.action == TargetAction::Create))?;
    if topic.id.is_nil() {
        return must(!started, || "id is not known, though records were produced".to_owned());
    }
    planned.target_id.map_or(Ok(()), |id| equal("id", &topic.id, &id))?;
    must(topic.guard.is_none_or(|guard| guard.producer_id >= 0 && guard.number >= 0), || {
        format!("guard is {}, which cannot be", shown(&topic.guard))
    })
}

/// What is held, and what is put back in the end.
fn of_held(topic: &TargetTopic, planned: &TopicPlan) -> Checked {
    let is_known = !topic.id.is_nil();
    must(is_known || topic.held.is_empty(), || "held has configs, though id is not known".to_owned())?;
    equal("held", &topic.held, &held_at(topic.held.keys(), topic.created, largest_batch(planned)))?;
    must(topic.previous.keys().eq(topic.held.keys()), || "previous has other configs than held".to_owned())?;
    let odd = topic.effective.keys().find(|name| !is_noted(name));
    odd.map_or(Ok(()), |name| Err(format!("effective has {}, which is never noted", shown(name))))?;
    // What a topic says itself is what was in force.
    let differs = |(name, said): &(&String, &Option<String>)| {
        said.is_some() && topic.effective.get(*name).is_some_and(|was| said.as_ref() != Some(was))
    };
    topic.previous.iter().find(differs).map_or(Ok(()), |(name, said)| {
        Err(format!("previous.{name} is {}, and effective has another value", shown(said)))
    })
}

/// What a plan that somebody looked at says of the values that are put back.
fn of_seen(topic: &TargetTopic, planned: &TopicPlan) -> Checked {
    if topic.created {
        return Ok(());
    }
    let differs = |(name, said): &(&String, &Option<String>)| match planned.before.get(*name) {
        Some(seen) => seen != *said,
        None => name.as_str() != ROOMY,
    };
    topic.previous.iter().find(differs).map_or(Ok(()), |(name, said)| {
        let seen = planned.before.get(name).map_or_else(|| "nothing".to_owned(), shown);
        Err(format!(
            "previous.{name} is {}, and the plan that was looked at has {seen}; if you changed it meanwhile, leave out restore.planFingerprint",
            shown(said)
        ))
    })
}

fn of_partitions(state: &RestoreState, plan: &RestorePlan) -> Checked {
    let of_plan = || plan.topics.iter().enumerate();
    let targets = of_plan().flat_map(|(place, topic)| topic.targets.iter().map(move |partition| (place, *partition)));
    let found = state.partitions.iter().map(|partition| (partition.topic, partition.partition));
    let is_plan = if state.started() { found.eq(targets) } else { state.partitions.is_empty() };
    must(is_plan, || "partitions are not those of the plan".to_owned())?;
    // What a topic holds stands in the order of its targets, or it is created.
    let ends = of_plan().flat_map(|(_, topic)| {
        let end = move |at: usize| topic.holds.get(at).map_or(0, |range| range.log.end);
        (0..topic.targets.len()).map(move |at| (topic.action, end(at)))
    });
    let odd = state.partitions.iter().zip(ends).find(|(partition, (action, end))| {
        let fits = if *action == TargetAction::Append { partition.start >= *end } else { partition.start == *end };
        !(fits && is_offset(partition.start))
    });
    odd.map_or(Ok(()), |(partition, _)| Err(format!("partitions has {}, where it cannot begin", shown(partition))))
}

fn of_epochs(state: &RestoreState) -> Checked {
    let count = state.partitions.len();
    for (place, epoch) in state.epochs.iter().enumerate() {
        let has_all = epoch.bases.len() == count && epoch.starts.len() == count;
        must(has_all, || format!("epochs[{place}] has not one base and start for each partition"))?;
        must(can_be(epoch), || format!("epochs[{place}] has numbers that cannot be"))?;
    }
    let none = vec![0; count];
    let first = state.epochs.first().map_or(none.as_slice(), |epoch| epoch.bases.as_slice());
    equal("epochs[0].bases", first, none.as_slice())?;
    for (place, (epoch, next)) in state.epochs.iter().zip(state.epochs.iter().skip(1)).enumerate() {
        let grows = epoch.bases.iter().zip(&next.bases).all(|(before, after)| before <= after);
        must(grows, || format!("epochs[{}] has fewer records than the one before it", place + 1))?;
    }
    let Some(produced) = &state.produced else { return Ok(()) };
    let fits = |(end, partition): (&i64, &TargetPartition)| is_offset(*end) && *end >= partition.start;
    let all = produced.iter().zip(&state.partitions).all(fits);
    must(state.started() && produced.len() == count && all, || {
        "produced has not one end for each partition, behind its start".to_owned()
    })
}

fn can_be(epoch: &Epoch) -> bool {
    epoch.producer_id >= 0
        && epoch.number >= 0
        && epoch.bases.iter().all(|base| *base <= MOST)
        && epoch.starts.iter().all(|start| is_offset(*start))
}

#[cfg(test)]
pub(super) mod tests;
