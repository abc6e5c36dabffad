//! A restore that is completed, found by its name: what it noted of the target, for whoever compares the target with that. It
//! only reads.

use archive::Store;
use contract::{Code, Failure, GroupLine, ValidatedRestore};
use uuid::Uuid;

use super::claims::{Claims, Thing, full_name};
use super::groups::expected::expected;
use super::plan::RestorePlan;
use super::point::saved_point;
use super::state::{Ended, RestoreState};
use super::trust::may_be_read;

/// A completed restore.
#[derive(Debug)]
pub(crate) struct Finished {
    plan: RestorePlan,
    state: RestoreState,
}

/// What a restore put into one partition of the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Topic of the archive.
    pub(crate) source: String,
    /// Topic of the target.
    pub(crate) topic: String,
    /// Its id when the restore wrote to it.
    pub(crate) id: Uuid,
    pub(crate) partition: i32,
    /// Offsets of the first record, and after the last one.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// Records that follow each other, ascending: target offset of the first one, and how many.
    pub(crate) runs: Vec<(i64, u64)>,
}

impl Placed {
    /// Records that were put here.
    pub(crate) fn records(&self) -> u64 {
        self.runs.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Those of them that a log of these ends still has.
    pub(crate) fn within(&self, start: i64, end: i64) -> u64 {
        let inside = |(at, count): &(i64, u64)| {
            let after = at.saturating_add(i64::try_from(*count).unwrap_or(i64::MAX));
            u64::try_from(after.min(end).saturating_sub((*at).max(start))).unwrap_or(0)
        };
        self.runs.iter().map(inside).fold(0, u64::saturating_add)
    }
}

/// Finds the restore that used a name last.
///
/// # Errors
/// When there is none, it is not completed, or its documents are not ones that a restore makes.
pub(crate) async fn find(
    states: &Store,
    cluster: &str,
    (namespace, name): (&str, &str),
    nonce: &str,
) -> Result<Finished, Failure> {
    let claims = Claims { states, cluster, restore: "", nonce };
    let thing = Thing::Name(namespace.to_owned(), name.to_owned());
    let who = if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") };
    let holder = claims.claimed_by(&thing).await?.ok_or_else(|| {
        let text = format!(
            "{} knows no restore {who} into this cluster; correct the name, or name the storage of its state",
            states.place()
        );
        Failure::new(Code::NoSuchPoint, text)
    })?;
    let plan = RestorePlan::read(&holder.journal.plan(&holder.state.plan).await?)?;
    may_be_read(&plan, &holder.state, &thing, cluster)?;
    match &holder.state.ended {
        Some(Ended::Completed) => Ok(Finished { plan, state: holder.state }),
        Some(Ended::Failed(failure)) => {
            let text = format!("restore {who} failed ({failure}): there is nothing to compare the cluster with");
            Err(Failure::new(Code::StateMismatch, text))
        }
        None => {
            let text = format!("restore {who} is not completed yet; compare the cluster with it once it is");
            Err(Failure::new(Code::StateMismatch, text))
        }
    }
}

impl Finished {
    /// What it put into each partition, in order of topics and partitions.
    ///
    /// # Errors
    /// When its state does not say it.
    pub(crate) fn placed(&self) -> Result<Vec<Placed>, Failure> {
        let ends = self.state.produced.as_deref();
        let all = self.state.partitions.iter().enumerate();
        all.map(|(place, partition)| {
            let missing = || {
                let text = format!(
                    "the state of restore {} does not say where {} ended",
                    full_name(&self.state),
                    self.state.place(partition)
                );
                Failure::new(Code::StateMismatch, text)
            };
            let end = *ends.and_then(|ends| ends.get(place)).ok_or_else(missing)?;
            let topic = self.state.topics.get(partition.topic).ok_or_else(missing)?;
            let planned = self.plan.topics.get(partition.topic).ok_or_else(missing)?;
            Ok(Placed {
                source: planned.source.clone(),
                topic: topic.name.clone(),
                id: topic.id,
                partition: partition.partition,
                start: partition.start,
                end,
                runs: self.runs(place, end).ok_or_else(missing)?,
            })
        })
        .collect()
    }

    /// Where the records of each epoch lie in the partition at this place.
    fn runs(&self, place: usize, end: i64) -> Option<Vec<(i64, u64)>> {
        let epochs = &self.state.epochs;
        let mut runs = Vec::new();
        for (number, epoch) in epochs.iter().enumerate() {
            let (start, base) = (*epoch.starts.get(place)?, *epoch.bases.get(place)?);
            let count = match epochs.get(number + 1) {
                Some(next) => next.bases.get(place)?.checked_sub(base)?,
                None => u64::try_from(end.checked_sub(start)?).ok()?,
            };
            if count > 0 {
                runs.push((start, count));
            }
        }
        Some(runs)
    }

    /// Records that its plan has of each topic of the archive, and whether it is that number exactly; what could not be read was
    /// left out of it.
    pub(crate) fn planned(&self) -> Vec<(&str, u64, bool)> {
        self.plan.topics.iter().map(|topic| (topic.source.as_str(), topic.records, topic.is_exact())).collect()
    }

    /// Records that it left out, because they cannot be read.
    pub(crate) fn left_out(&self) -> u64 {
        self.state.left_out
    }

    /// Set and entry of the recovery point that it restored.
    pub(crate) fn point(&self) -> (&str, u64) {
        (self.state.set.as_str(), self.state.entry)
    }

    /// The groups whose offsets it committed, each with these offsets; source and target are named in each.
    ///
    /// # Errors
    /// When its recovery point cannot be read, or is another one now.
    pub(crate) async fn groups(&self, archive: &Store) -> Result<Vec<GroupLine>, Failure> {
        let point = saved_point(archive, &self.state, self.plan.foreign_records).await?;
        if point.digest != self.state.digest {
            let text = format!("recovery point {} is not the one that was restored", point.seal.point);
            return Err(Failure::new(Code::StateMismatch, text));
        }
        expected(&point, &self.plan, &self.state).await
    }

    /// As reports name it.
    pub(crate) fn named(&self, records: u64) -> ValidatedRestore {
        ValidatedRestore {
            name: self.state.name.clone(),
            namespace: self.state.namespace.clone(),
            point: self.plan.point.clone(),
            digest: self.state.digest.0.clone(),
            plan_fingerprint: self.plan.fingerprint(),
            records,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::restore::plan::check::tests::plan;
    use crate::restore::state::{Epoch, TargetPartition};

    fn epoch(base: u64, start: i64) -> Epoch {
        Epoch { producer_id: 1, number: 0, bases: vec![base], starts: vec![start] }
    }

    fn runs(epochs: Vec<Epoch>, end: i64) -> Option<Vec<(i64, u64)>> {
        let partitions = vec![TargetPartition { topic: 0, partition: 0, start: 0 }];
        let state = RestoreState { partitions, epochs, ..RestoreState::default() };
        Finished { plan: plan(), state }.runs(0, end)
    }

    fn placed(runs: Vec<(i64, u64)>) -> Placed {
        let (source, topic) = ("s".to_owned(), "t".to_owned());
        Placed { source, topic, id: Uuid::nil(), partition: 0, start: 0, end: 0, runs }
    }

    #[test]
    fn records_lie_where_the_epochs_say_and_markers_between_them_count_for_nothing() {
        // 10 records from 100, a marker at 110, one from 111, a marker, 8 from 113.
        let found = runs(vec![epoch(0, 100), epoch(10, 111), epoch(11, 113)], 121).unwrap();
        assert_eq!(found, [(100, 10), (111, 1), (113, 8)]);
        let placed = placed(found);
        assert_eq!(placed.records(), 19);
        assert_eq!((placed.within(0, 121), placed.within(101, 121), placed.within(110, 121)), (19, 18, 9));
        assert_eq!((placed.within(100, 112), placed.within(100, 50), placed.within(500, 600)), (11, 0, 0));
        // An epoch that wrote nothing, and states that cannot be.
        assert_eq!(runs(vec![epoch(0, 5), epoch(0, 6)], 8).unwrap(), [(6, 2)]);
        assert_eq!(runs(vec![epoch(0, 5)], 4), None);
        assert_eq!(runs(vec![epoch(5, 0), epoch(2, 9)], 10), None);
    }

    proptest! {
        #[test]
        fn no_record_is_counted_that_is_not_there(
            lengths in proptest::collection::vec((0u64..50, 0i64..5), 1..6), start in 0i64..300, length in 0i64..300,
        ) {
            let (mut at, mut runs, mut all) = (10i64, Vec::new(), std::collections::BTreeSet::new());
            for (count, pause) in lengths {
                if count > 0 {
                    runs.push((at, count));
                }
                all.extend(at..at + i64::try_from(count).unwrap());
                at += i64::try_from(count).unwrap() + pause;
            }
            let placed = placed(runs);
            let end = start + length;
            prop_assert_eq!(placed.records(), all.len() as u64);
            prop_assert_eq!(placed.within(start, end), all.range(start..end).count() as u64);
        }
    }
}
