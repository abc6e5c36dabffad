//! Asking a store what the rules of retention would take away of a backup.

use archive::{Left, LeftSet, PrunePlan, Store, prune_plan};
use contract::retention::{RetentionRules, Verdict};
use contract::{Code, Failure, SetOwner};
use jiff::Timestamp;

use crate::replies::Replies;
use crate::{
    Answer, Compacted, LeftAlone, RetainedPoint, RetainedSet, RetentionPlan, RetentionQuestion, Unfinished,
    WholeRetentionPlan,
};

/// Answers with each point, oldest first, then with the plan.
pub(crate) async fn retention(
    store: &Store,
    question: &RetentionQuestion,
    owner: Option<&SetOwner>,
    replies: &mut Replies,
) -> Result<(), Failure> {
    if let Some(finding) = question.rules.finding() {
        return Err(Failure::new(Code::SpecInvalid, format!("rules: {finding}")));
    }
    let expected = expected(question, owner);
    let plan = prune_plan(store, &expected, &question.rules, question.reader).await?;
    let WholeRetentionPlan { plan, items } = told(&expected.name, &question.rules, plan);
    for point in items {
        replies.send(Answer::Retained(point)).await?;
    }
    replies.send(Answer::Retention(Box::new(plan))).await
}

/// Whose sets are meant: those that may be asked about, and what the question says beside.
fn expected(question: &RetentionQuestion, owner: Option<&SetOwner>) -> SetOwner {
    let asked = question.cluster_id.clone();
    match owner {
        Some(owner) => SetOwner { cluster_id: asked.or_else(|| owner.cluster_id.clone()), ..owner.clone() },
        None => {
            SetOwner { name: question.name.clone(), namespace: question.owner_namespace.clone(), cluster_id: asked }
        }
    }
}

/// A plan as answers.
#[must_use]
pub fn told(name: &str, rules: &RetentionRules, plan: PrunePlan) -> WholeRetentionPlan {
    let items: Vec<RetainedPoint> = plan.points.into_iter().map(|point| retained(rules, point)).collect();
    let may_go = items.iter().filter(|point| point.verdict.goes()).count() as u64;
    let given_up = plan.unfinished.iter().filter(|set| set.goes).map(|set| set.bytes);
    let comes_back = items.iter().filter_map(|point| point.bytes).chain(given_up).fold(0, u64::saturating_add);
    let plan = RetentionPlan {
        name: name.to_owned(),
        namespace: plan.owner.as_ref().map(|owner| owner.namespace.clone()),
        cluster_id: plan.owner.map(|owner| owner.cluster_id),
        now: plan.now,
        rules: *rules,
        points: items.len() as u64,
        may_go,
        comes_back,
        chains: plan.chains.into_iter().map(set).collect(),
        unfinished: plan
            .unfinished
            .into_iter()
            .map(|set| Unfinished { set: set.set, bytes: set.bytes, goes: set.goes })
            .collect(),
        left: plan.left.into_iter().map(left).collect(),
        holds: plan.holds,
    };
    WholeRetentionPlan { plan, items }
}

fn retained(rules: &RetentionRules, point: archive::PlannedPoint) -> RetainedPoint {
    let why = match &point.verdict {
        Verdict::Stays(stays) => stays.words(rules, point.age_secs),
        Verdict::Goes(goes) => goes.words(rules),
    };
    RetainedPoint {
        name: point.name,
        set: point.set,
        committed: point.committed,
        age_secs: point.age_secs,
        verdict: point.verdict,
        why,
        bytes: point.bytes,
        held_back: point.held_back,
    }
}

fn set(chain: archive::ChainPlan) -> RetainedSet {
    RetainedSet {
        comes_back: chain.comes_back(),
        set: chain.set,
        oldest: chain.oldest,
        stored_bytes: chain.stored_bytes,
        dead_segments: chain.dead.segments,
        rewritable_segments: chain.rewritable.segments,
        rewritable_bytes: chain.rewritable.bytes,
        topics: chain.topics,
        newest_record: chain.newest_record.and_then(|millis| Timestamp::from_millisecond(millis).ok()),
        compacted: chain
            .compacted
            .into_iter()
            .map(|topic| Compacted { topic: topic.name, bytes: topic.bytes })
            .collect(),
    }
}

fn left(left: LeftSet) -> LeftAlone {
    let (owner, why) = match left.why {
        Left::OtherOwner { owner } => (Some(owner.clone()), format!("it belongs to {owner}")),
        Left::Unread { what } => (None, format!("it cannot be read: {what}")),
        Left::Removed { entry } => (None, format!("retention removed its recovery points before (entry {entry})")),
        Left::Incomplete { what } => (None, what),
    };
    LeftAlone { set: left.set, owner, why }
}
