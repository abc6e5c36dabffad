//! The account at the end: what was planned, produced, acknowledged and is present must agree for every partition.

use std::collections::BTreeMap;

use contract::{Code, Failure};
use wire::{Topic, WireError};

use super::Restore;
use super::facts::same_topics;
use super::plan::{RestorePlan, TopicPlan};
use super::tails::{deleted, markers_in, with_cause};
use crate::logs::{Span, spans};

/// Checks every partition; `expected` is the offset after the last acknowledged record, by place of the state, `left_out`
/// how many planned records the transformation left out and told. Returns the ends in the order of the state.
///
/// # Errors
/// [`Code::ForeignWriter`], [`Code::TargetLost`], or a difference that must not be.
pub(crate) async fn check(
    restore: &Restore<'_>,
    plan: &RestorePlan,
    expected: &BTreeMap<usize, i64>,
    left_out: u64,
) -> Result<Vec<i64>, Failure> {
    let mut ends = Vec::new();
    let mut produced: BTreeMap<usize, u64> = BTreeMap::new();
    for (place, partition) in restore.state.partitions.iter().enumerate() {
        let end = expected.get(&place).copied();
        let count = end.and_then(|end| restored(restore, place, end));
        let (Some(end), Some(count)) = (end, count) else {
            let text = format!("nobody says where {} ended", restore.state.place(partition));
            return Err(Failure::new(Code::Internal, text));
        };
        ends.push(end);
        *produced.entry(partition.topic).or_default() += count;
    }
    let counted: Vec<_> = plan.topics.iter().zip(produced.values().copied()).collect();
    difference(&counted, left_out).map_or(Ok(()), Err)?;
    let mut backoff = restore.cluster.backoff();
    loop {
        let topics = same_topics(&restore.cluster, &restore.state.topics).await?;
        let logs = spans(&restore.cluster, &topics).await?;
        let mut behind = None;
        for (place, (partition, end)) in restore.state.partitions.iter().zip(&ends).enumerate() {
            let subject = restore.state.place(partition);
            let name = restore.state.topics.get(partition.topic).map(|topic| topic.name.clone()).unwrap_or_default();
            let Some(log) = logs.get(&(name.clone(), partition.partition)) else {
                behind = Some(format!("{subject}: no answer"));
                continue;
            };
            let count = restored(restore, place, *end).unwrap_or(0);
            let log = match without_markers(restore, &topics, (&name, partition.partition), *end, *log).await {
                Ok(log) => log,
                Err(error) => {
                    behind = Some(format!("{subject}: {error}"));
                    continue;
                }
            };
            match compare(&subject, partition.start, *end, count, log) {
                Ok(true) => {}
                Ok(false) => behind = Some(format!("{subject} ends at {} instead of {end}", log.end)),
                Err(failure) => return Err(with_cause(&restore.cluster, &restore.state, failure).await),
            }
        }
        // Followers may still be copying: the high watermark comes last.
        let Some(behind) = behind else { return Ok(ends) };
        backoff.wait(WireError::no_progress("the end of the restore", behind)).await?;
    }
}

/// The log as if only markers stood behind `end` where that is so: a coordinator may write one once more at any time.
async fn without_markers(
    restore: &Restore<'_>,
    topics: &[Topic],
    place: (&str, i32),
    end: i64,
    log: Span,
) -> Result<Span, WireError> {
    let more = u64::try_from(log.end - end).unwrap_or(0);
    let markers = markers_in(&restore.cluster, topics, place, (end..log.end, more), None).await?;
    Ok(if markers == more && more > 0 { Span { end, ..log } } else { log })
}

/// Records that all epochs wrote to a partition that ends here.
pub(crate) fn restored(restore: &Restore<'_>, place: usize, end: i64) -> Option<u64> {
    let last = restore.state.epochs.last()?;
    let since = u64::try_from(end - last.starts.get(place)?).ok()?;
    Some(last.bases.get(place)? + since)
}

/// A topic whose records are not as many as the plan says.
fn difference(counted: &[(&TopicPlan, u64)], left_out: u64) -> Option<Failure> {
    let wrong = |(topic, count): &&(&TopicPlan, u64)| {
        let least = if topic.is_exact() { topic.records.saturating_sub(left_out) } else { 0 };
        !(least..=topic.records).contains(count)
    };
    counted.iter().find(wrong).map(|(topic, count)| {
        let text = format!(
            "target topic {}: {count} records were produced, the plan has {}{}; this must not be, the restore is not complete",
            topic.target,
            topic.records,
            if topic.is_exact() { "" } else { " at most" }
        );
        Failure::new(Code::Internal, text)
    })
}

/// Whether a partition's log holds just what was restored: `false` while its end is behind.
fn compare(subject: &str, first: i64, end: i64, count: u64, log: Span) -> Result<bool, Failure> {
    if count > 0 && log.start > first {
        return Err(deleted(subject, first, log.start));
    }
    if log.end > end {
        let text = format!("{subject} ends at {}, the restore ended at {end}: another producer writes there", log.end);
        return Err(Failure::new(Code::ForeignWriter, text));
    }
    Ok(log.end == end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::plan::tests::topic;
    use crate::restore::plan::{SourceRange, TargetAction};

    #[test]
    fn planned_and_produced_must_agree() {
        let mut planned = topic("t", TargetAction::Create, &[0]);
        assert!(difference(&[(&planned, 10)], 0).is_none());
        for (count, left_out) in [(9, 0), (11, 0), (11, 5), (8, 1)] {
            assert_eq!(difference(&[(&planned, count)], left_out).unwrap().code, Code::Internal, "{count} {left_out}");
        }
        assert!(difference(&[(&planned, 9)], 1).is_none());
        planned.sources = vec![SourceRange { partition: 0, first: 0, next: 10, records: 10, exact: false }];
        assert!(difference(&[(&planned, 3)], 0).is_none() && difference(&[(&planned, 11)], 0).is_some());
    }

    #[test]
    fn what_is_present_is_what_was_restored() {
        let code = |first, end, count, start, log_end| {
            compare("t/0", first, end, count, Span { start, end: log_end }).map_err(|failure| failure.code)
        };
        assert_eq!(code(5, 15, 10, 0, 15), Ok(true));
        assert_eq!(code(5, 15, 10, 0, 14), Ok(false));
        assert_eq!(code(5, 15, 10, 0, 16), Err(Code::ForeignWriter));
        assert_eq!(code(5, 15, 10, 6, 15), Err(Code::TargetLost));
        // Nothing was restored there: what the target deletes of its own is its own.
        assert_eq!(code(5, 5, 0, 5, 5), Ok(true));
    }
}
