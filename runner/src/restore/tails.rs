//! The ends of target partitions: how many of our records stand there, whether anything else does, and whether the fence
//! has arrived.

mod fetching;
mod markers;
mod walk;

use std::ops::Range;

use batch::BatchHeader;
use contract::{Code, Failure};
use wire::{Cluster, ProducerIdentity, WireError, code};

pub(crate) use self::markers::markers_in;
use self::walk::Walk;
use super::facts::{existing, same_topics};
use super::named::Named;
use super::state::{Epoch, RestoreState};
use crate::logs::{Span, spans};

/// Offsets among our records that sequences do not explain.
#[derive(Debug, PartialEq, Eq)]
struct Unexplained {
    /// Where they are.
    range: Range<i64>,
    /// How many there are.
    extra: u64,
    /// Whose the records around them are: producer id and epoch.
    writer: (i64, i16),
}

/// Sequences of a producer begin again after so many records.
const SEQUENCES: u64 = 1 << 31;

/// Where a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Records restored so far.
    pub(crate) done: u64,
    /// Target offset of the next record.
    pub(crate) next: i64,
    /// The record of the source that the last of them names.
    pub(crate) named: Option<Named>,
}

/// Reads the end of every partition of the state, waiting for the fence's markers where there is one.
///
/// # Errors
/// [`Code::ForeignWriter`] when records of somebody else stand there, [`Code::TargetLost`] when ours are gone.
pub(crate) async fn read(
    cluster: &Cluster,
    state: &RestoreState,
    fence: Option<ProducerIdentity>,
) -> Result<Vec<Tail>, Failure> {
    let mut backoff = cluster.backoff();
    loop {
        let waiting = match read_once(cluster, state, fence).await {
            Ok(Ok(tails)) => return Ok(tails),
            Ok(Err(waiting)) => waiting,
            Err(failure) => return Err(with_cause(cluster, state, failure).await),
        };
        backoff.wait(waiting).await?;
    }
}

/// The tails, or what must be waited for.
async fn read_once(
    cluster: &Cluster,
    state: &RestoreState,
    fence: Option<ProducerIdentity>,
) -> Result<Result<Vec<Tail>, WireError>, Failure> {
    let topics = same_topics(cluster, &state.topics).await?;
    let spans = spans(cluster, &topics).await?;
    let mut walks = Vec::new();
    for (place, partition) in state.partitions.iter().enumerate() {
        let name = state.topics.get(partition.topic).map(|topic| topic.name.clone()).unwrap_or_default();
        let Some(log) = spans.get(&(name.clone(), partition.partition)) else {
            return Ok(Err(WireError::no_progress(state.place(partition), "its ends are not known")));
        };
        walks.push(Walk::new(place, name, partition, *log, fence.is_none()));
    }
    match walk::back(cluster, topics.clone(), &mut walks, fence).await {
        // The log start moved while we read: look at the logs again.
        Err(error) if error.broker_code() == Some(code::OFFSET_OUT_OF_RANGE) => {
            return Ok(Err(WireError::no_progress("the log start moved", error.to_string())));
        }
        other => other?,
    }
    let mut tails = Vec::new();
    for walk in &walks {
        let subject = format!("{}/{}", walk.topic, walk.partition);
        let stand = Stand { place: walk.place, start: walk.start, log: walk.log };
        let between = walk.last.as_ref().and_then(|last| stand.unexplained(&state.epochs, last));
        let markers = match between {
            Some(Unexplained { range, extra, writer }) => {
                let place = (walk.topic.as_str(), walk.partition);
                match markers_in(cluster, &topics, place, (range, extra), Some(writer)).await {
                    Ok(markers) => markers,
                    Err(error) => return Ok(Err(error)),
                }
            }
            None => 0,
        };
        let tail = stand.judge(&subject, &state.epochs, walk.last.as_ref(), markers)?;
        tails.push(Tail { named: walk.named.clone(), ..tail });
        if !walk.fenced {
            return Ok(Err(WireError::no_progress(subject, "the fence has not arrived")));
        }
    }
    Ok(Ok(tails))
}

/// Adds to a loss what deletes in the target now.
pub(crate) async fn with_cause(cluster: &Cluster, state: &RestoreState, failure: Failure) -> Failure {
    if failure.code != Code::TargetLost {
        return failure;
    }
    let names: Vec<_> = state.topics.iter().map(|topic| topic.name.clone()).collect();
    let Ok(targets) = existing(cluster, &names).await else { return failure };
    let mut deletes = Vec::new();
    for topic in &state.topics {
        let Some(target) = targets.get(&topic.name) else { continue };
        let differing = super::holds::differing(topic, target);
        let values = differing.keys().filter_map(|name| Some(format!("{name}={}", target.effective.get(name)?)));
        let values: Vec<_> = values.collect();
        if !values.is_empty() {
            deletes.push(format!("{} has {} now", topic.name, values.join(", ")));
        }
    }
    let cause = if deletes.is_empty() {
        "no config was changed: somebody deleted records, or a leader was elected without them".to_owned()
    } else {
        deletes.join("; ")
    };
    Failure::new(failure.code, format!("{} ({cause})", failure.message))
}

/// What is known of one partition when its end was read.
struct Stand {
    /// Position in the state.
    place: usize,
    /// Target offset of the first restored record.
    start: i64,
    log: Span,
}

impl Stand {
    /// Counts our records from the last data batch, and checks that nothing else stands between but so many offsets of markers.
    fn judge(
        &self,
        subject: &str,
        epochs: &[Epoch],
        last: Option<&BatchHeader>,
        markers: u64,
    ) -> Result<Tail, Failure> {
        let known = epochs.last().and_then(|epoch| epoch.bases.get(self.place)).copied().unwrap_or(0);
        let done = last.map_or(Ok(0), |last| self.count(subject, epochs, last, markers))?;
        if done < known {
            let text = format!(
                "{subject}: this restore wrote {known} records before, and {done} are there: the target lost the others"
            );
            return Err(Failure::new(Code::TargetLost, text));
        }
        if done > 0 && self.log.start > self.start {
            return Err(deleted(subject, self.start, self.log.start));
        }
        Ok(Tail { done, next: self.log.end, named: None })
    }

    /// Offsets in the epoch of the last batch that its sequence does not explain, if there are some.
    fn unexplained(&self, epochs: &[Epoch], last: &BatchHeader) -> Option<Unexplained> {
        let writer = (last.producer_id, last.producer_epoch);
        let epoch = epochs.iter().find(|epoch| (epoch.producer_id, epoch.number) == writer)?;
        let start = *epoch.starts.get(self.place)?;
        let since = u64::try_from(last.next_offset() - start).ok()?;
        let in_epoch = u64::try_from(last.base_sequence).ok()? + last.records();
        let extra = since.checked_sub(in_epoch)? % SEQUENCES;
        (extra > 0).then_some(Unexplained { range: start..last.base_offset, extra, writer })
    }

    /// Our records up to and with this batch.
    fn count(&self, subject: &str, epochs: &[Epoch], last: &BatchHeader, markers: u64) -> Result<u64, Failure> {
        let foreign = |what: &str| {
            let text = format!(
                "{subject}: the records at offset {} are {what}; stop the other producer, then restore again under a new name",
                last.base_offset
            );
            Failure::new(Code::ForeignWriter, text)
        };
        let ours = |epoch: &Epoch| (epoch.producer_id, epoch.number) == (last.producer_id, last.producer_epoch);
        let number = epochs.iter().position(ours).ok_or_else(|| foreign("not from this restore"))?;
        let of_place = |epoch: &Epoch| Some((*epoch.bases.get(self.place)?, *epoch.starts.get(self.place)?));
        let known = epochs.get(number).and_then(of_place);
        let (base, start) = known.ok_or_else(|| foreign("of an epoch that the state does not know"))?;
        // Records of an epoch end where the next one began.
        let next = epochs.get(number + 1).and_then(|next| next.starts.get(self.place));
        if next.is_some_and(|start| last.base_offset >= *start) {
            return Err(foreign("a late request of an earlier attempt"));
        }
        let sequence = u64::try_from(last.base_sequence).map_err(|_| foreign("without a sequence"))?;
        let in_epoch = sequence + last.records();
        let since = u64::try_from(last.next_offset() - start).ok().and_then(|since| since.checked_sub(markers));
        let since = since.ok_or_else(|| foreign("before the epoch's first"))?;
        // Sequences wrap at 2^31; offsets since the epoch's start tell how often. Nothing else may stand between.
        if since < in_epoch || !(since - in_epoch).is_multiple_of(SEQUENCES) {
            return Err(foreign(&format!(
                "number {in_epoch} of this attempt, and stand {since} offsets after its first: {} others stand between",
                since.abs_diff(in_epoch)
            )));
        }
        Ok(base + since)
    }
}

/// Records at the beginning are gone.
pub(crate) fn deleted(subject: &str, first: i64, log_start: i64) -> Failure {
    let text = format!(
        "{subject}: the restored records begin at offset {first}, and the log begins at {log_start}: the target deleted {} offsets of them",
        log_start - first
    );
    Failure::new(Code::TargetLost, text)
}

#[cfg(test)]
mod tests;
