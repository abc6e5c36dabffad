//! The last look before the first record: the target is what the plan saw and what its action allows, or nothing is
//! written. Here the offsets are fixed at which the restored records begin.

use contract::{Code, Failure};

use super::Restore;
use super::facts::same_topics;
use super::plan::{RestorePlan, TargetAction};
use super::state::TargetPartition;
use super::tails::Tail;
use crate::logs::{Span, spans};

/// The start offsets of a restore that has not produced yet; from here on nothing is deleted any more.
///
/// # Errors
/// [`Code::TargetNotEmpty`] when somebody else wrote since the plan was made.
pub(crate) async fn first_tails(restore: &mut Restore<'_>, plan: &RestorePlan) -> Result<Vec<Tail>, Failure> {
    let topics = same_topics(&restore.cluster, &restore.state.topics).await?;
    let spans = spans(&restore.cluster, &topics).await?;
    let mut partitions = Vec::new();
    for (place, topic) in plan.topics.iter().enumerate() {
        for partition in &topic.targets {
            let subject = format!("{}/{partition}", topic.target);
            let now = spans.get(&(topic.target.clone(), *partition)).copied();
            let now = now.ok_or_else(|| {
                Failure::new(Code::TargetMismatch, format!("target partition {subject} does not exist"))
            })?;
            let seen = topic.holds.iter().find(|range| range.partition == *partition).map(|range| range.log);
            let start = start_of(topic.action, seen, now).map_err(|found| refused(&subject, seen, now, found))?;
            partitions.push(TargetPartition { topic: place, partition: *partition, start });
        }
    }
    restore.state.partitions = partitions;
    let tail = |partition: &TargetPartition| Tail { done: 0, next: partition.start, named: None };
    Ok(restore.state.partitions.iter().map(tail).collect())
}

/// Where the records of a plan would begin if nobody wrote to the target until then; `None` when it is refused.
pub(crate) fn foreseen(plan: &RestorePlan) -> Option<Vec<TargetPartition>> {
    let mut out = Vec::new();
    for (place, topic) in plan.topics.iter().enumerate() {
        for partition in &topic.targets {
            let seen = topic.holds.iter().find(|range| range.partition == *partition).map(|range| range.log);
            let now = match (topic.action, seen) {
                // What is purged is gone by then.
                (TargetAction::Purge, Some(seen)) => Span { start: seen.end, end: seen.end },
                (_, Some(seen)) => seen,
                (_, None) => Span { start: 0, end: 0 },
            };
            // The last look, which comes after this, refuses by the rule.
            let start = start_of(topic.action, seen, now).ok()?;
            out.push(TargetPartition { topic: place, partition: *partition, start });
        }
    }
    Some(out)
}

/// Where the restored records begin, given what the plan saw and what is there now; the rule that is broken otherwise.
fn start_of(action: TargetAction, seen: Option<Span>, now: Span) -> Result<i64, &'static str> {
    let empty = now.start == now.end;
    match (action, seen) {
        (TargetAction::Create, None) if now.end == 0 => Ok(0),
        (TargetAction::Create, None) => Err("it was just created by this restore"),
        (TargetAction::Fill, Some(seen)) if empty && now.end == seen.end => Ok(now.end),
        (TargetAction::Fill, _) => Err("the plan found it empty"),
        (TargetAction::Purge, Some(seen)) if empty && now.end == seen.end => Ok(now.end),
        (TargetAction::Purge, _) => Err("what the plan found was deleted"),
        (TargetAction::Append, Some(seen)) if now.end >= seen.end => Ok(now.end),
        (TargetAction::Append, _) => Err("the plan found it longer: its log was cut"),
        (TargetAction::Create | TargetAction::Refuse, _) => Err("the plan does not allow it"),
    }
}

fn refused(subject: &str, seen: Option<Span>, now: Span, rule: &str) -> Failure {
    let before =
        seen.map_or(String::new(), |seen| format!(", and went from {} to {} in the plan", seen.start, seen.end));
    let text = format!(
        "target partition {subject} goes from offset {} to {} now{before}: {rule}, so somebody else wrote or deleted there. Nothing was written",
        now.start, now.end
    );
    Failure::new(Code::TargetNotEmpty, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::plan::TargetRange;
    use crate::restore::plan::tests::{plan, topic};

    #[test]
    fn what_a_plan_saw_says_where_its_records_would_begin() {
        let of = |action, log: Option<Span>| {
            let mut planned = topic("t", action, &[0, 3]);
            planned.holds =
                log.map_or_else(Vec::new, |log| [0, 3].map(|partition| TargetRange { partition, log }).to_vec());
            let starts = foreseen(&plan(vec![planned]))?;
            Some(starts.iter().map(|at| (at.topic, at.partition, at.start)).collect::<Vec<_>>())
        };
        let log = Some(Span { start: 4, end: 9 });
        assert_eq!(of(TargetAction::Create, None), Some(vec![(0, 0, 0), (0, 3, 0)]));
        assert_eq!(of(TargetAction::Append, log), Some(vec![(0, 0, 9), (0, 3, 9)]));
        assert_eq!(of(TargetAction::Purge, log), Some(vec![(0, 0, 9), (0, 3, 9)]));
        assert_eq!(of(TargetAction::Fill, Some(Span { start: 7, end: 7 })), Some(vec![(0, 0, 7), (0, 3, 7)]));
        assert_eq!((of(TargetAction::Refuse, log), of(TargetAction::Fill, log)), (None, None));
    }

    #[test]
    fn records_begin_only_where_the_plan_and_the_action_allow() {
        let span = |start, end| Span { start, end };
        let of = |action, seen: Option<Span>, now| start_of(action, seen, now).ok();
        let (create, fill, append, purge) =
            (TargetAction::Create, TargetAction::Fill, TargetAction::Append, TargetAction::Purge);
        assert_eq!((of(create, None, span(0, 0)), of(create, None, span(0, 1))), (Some(0), None));
        // Written and deleted again counts as written.
        assert_eq!(of(create, None, span(5, 5)), None);
        assert_eq!(of(fill, Some(span(7, 7)), span(7, 7)), Some(7));
        assert_eq!((of(fill, Some(span(7, 7)), span(7, 8)), of(fill, Some(span(7, 7)), span(8, 8))), (None, None));
        assert_eq!(of(purge, Some(span(0, 9)), span(9, 9)), Some(9));
        assert_eq!((of(purge, Some(span(0, 9)), span(9, 10)), of(purge, Some(span(0, 9)), span(0, 9))), (None, None));
        assert_eq!(of(purge, Some(span(0, 9)), span(10, 10)), None);
        assert_eq!(of(append, Some(span(0, 9)), span(0, 9)), Some(9));
        assert_eq!(
            (of(append, Some(span(0, 9)), span(4, 12)), of(append, Some(span(0, 9)), span(0, 8))),
            (Some(12), None)
        );
        assert_eq!((of(fill, None, span(0, 0)), of(TargetAction::Refuse, None, span(0, 0))), (None, None));
    }
}
