//! The way back from the end of each partition to its last data batch, over the markers that stand behind it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use batch::BatchHeader;
use wire::{Cluster, ProducerIdentity, Request, Retry, Topic, WireError};

use super::fetching::{options, spot};
use crate::logs::{Span, leaders};
use crate::restore::named::Named;
use crate::restore::state::TargetPartition;

/// Partitions asked in one request.
const SPOTS: usize = 128;
const ANSWER: i32 = 16 << 20;
/// Bytes of one partition: a batch that is larger comes whole all the same.
const BATCH: i32 = 2 << 20;

/// One partition on the way back.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// Position in the state.
    pub(super) place: usize,
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Target offset of the first restored record.
    pub(super) start: i64,
    pub(super) log: Span,
    at: i64,
    /// The fence's marker was seen, or there is no fence.
    pub(super) fenced: bool,
    /// The last data batch.
    pub(super) last: Option<BatchHeader>,
    /// The record of the source that its last record names.
    pub(super) named: Option<Named>,
}

impl Walk {
    pub(super) fn new(place: usize, topic: String, of: &TargetPartition, log: Span, fenced: bool) -> Self {
        let (partition, start) = (of.partition, of.start);
        Self { place, topic, partition, start, log, at: log.end - 1, fenced, last: None, named: None }
    }

    /// Whether there is something to read where it stands.
    fn is_open(&self) -> bool {
        self.last.is_none() && self.at >= self.start.max(self.log.start)
    }

    /// Takes the batch at its place in.
    fn take(&mut self, header: BatchHeader, named: Option<Named>, fence: Option<ProducerIdentity>) {
        if header.attributes.control() {
            self.fenced |= fence.is_some_and(|f| (header.producer_id, header.producer_epoch) == (f.id, f.epoch));
            self.at = header.base_offset - 1;
        } else {
            (self.last, self.named) = (Some(header), named);
        }
    }
}

/// Walks all partitions back. Leaders are looked for again after each refusal.
///
/// # Errors
/// What cannot be read until the deadline.
pub(super) async fn back(
    cluster: &Cluster,
    mut topics: Vec<Topic>,
    walks: &mut [Walk],
    fence: Option<ProducerIdentity>,
) -> Result<(), WireError> {
    let names: Vec<_> = topics.iter().map(|topic| topic.name.clone()).collect();
    let mut backoff = cluster.backoff();
    loop {
        let open: Vec<usize> = (0..walks.len()).filter(|place| walks.get(*place).is_some_and(Walk::is_open)).collect();
        if open.is_empty() {
            return Ok(());
        }
        let (mut found, mut trouble) = (false, None);
        for (leader, places) in by_leader(&topics, walks, &open) {
            for places in places.chunks(SPOTS) {
                match fetch(cluster, leader, &topics, walks, places).await {
                    Ok((headers, refused)) => {
                        found |= !headers.is_empty();
                        for (place, header, named) in headers {
                            if let Some(walk) = walks.get_mut(place) {
                                walk.take(header, named, fence);
                            }
                        }
                        trouble = trouble.or(refused);
                    }
                    Err(error) => trouble = trouble.or(Some(error)),
                }
            }
        }
        if found {
            backoff.reset();
        }
        let nothing = || WireError::no_progress("the ends of target partitions", "a fetch brought nothing");
        let Some(error) = trouble.or_else(|| (!found).then(nothing)) else { continue };
        if backoff.wait(error).await? == Retry::Refresh {
            take_newer(&mut topics, cluster.topics(Some(&names)).await?);
        }
    }
}

/// Takes what a newer answer says; of a topic that the answer does not describe the older one counts.
fn take_newer(topics: &mut [Topic], newer: Vec<Topic>) {
    let mut newer: HashMap<_, _> = newer
        .into_iter()
        .filter(|topic| topic.error == 0)
        .map(|topic| ((topic.name.clone(), topic.id), topic))
        .collect();
    for topic in topics {
        if let Some(newer) = newer.remove(&(topic.name.clone(), topic.id)) {
            *topic = newer;
        }
    }
}

/// Open walks by the leader of their partition, -1 where none is known.
fn by_leader(topics: &[Topic], walks: &[Walk], open: &[usize]) -> BTreeMap<i32, Vec<usize>> {
    let leaders = leaders(topics);
    let mut out: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for place in open {
        let Some(walk) = walks.get(*place) else { continue };
        let leader = leaders.get(&(walk.topic.as_str(), walk.partition)).copied().unwrap_or(-1);
        out.entry(leader).or_default().push(*place);
    }
    out
}

type Found = (Vec<(usize, BatchHeader, Option<Named>)>, Option<WireError>);

/// The headers of the batches at which these walks stand, with what their last records name, and the first refusal.
async fn fetch(
    cluster: &Cluster,
    leader: i32,
    topics: &[Topic],
    walks: &[Walk],
    places: &[usize],
) -> Result<Found, WireError> {
    let asked: Vec<_> = places.iter().filter_map(|place| Some((*place, walks.get(*place)?))).collect();
    if leader < 0 {
        let names: BTreeSet<_> = asked.iter().map(|(_, walk)| walk.topic.as_str()).collect();
        let names: Vec<_> = names.into_iter().collect();
        return Err(WireError::no_leader(format!("a partition of {}", names.join(", "))));
    }
    let ids: HashMap<_, _> = topics.iter().map(|topic| (topic.name.as_str(), topic.wire_id)).collect();
    let id = |walk: &Walk| ids.get(walk.topic.as_str()).copied().unwrap_or(uuid::Uuid::nil());
    let spots: Vec<_> =
        asked.iter().map(|(_, walk)| spot((&walk.topic, id(walk)), walk.partition, walk.at, BATCH)).collect();
    let connection = cluster.broker(leader, 0, None).await?;
    let answer = connection.fetch(&spots, &options(ANSWER)).await?;
    let (mut headers, mut refused) = (Vec::new(), None);
    for part in answer.partitions {
        let Some((place, walk)) = asked.get(part.spot) else { continue };
        if part.error != 0 {
            let subject = format!("{}/{}", walk.topic, walk.partition);
            refused.get_or_insert(WireError::broker(Request::Fetch, subject, part.error));
            continue;
        }
        if let Ok(header) = BatchHeader::parse(&part.records)
            && header.last_offset() >= walk.at
        {
            headers.push((*place, header, Named::of_last(&part.records)));
        }
    }
    Ok((headers, refused))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(leaders: &[i32], error: i16) -> Topic {
        let of = |(leader, index): (&i32, i32)| wire::Partition {
            index,
            leader: *leader,
            leader_epoch: 0,
            replicas: 1,
            in_sync: Vec::new(),
        };
        let id = uuid::Uuid::from_u128(1);
        let partitions = leaders.iter().zip(0..).map(of).collect();
        Topic { id, wire_id: id, name: "t".into(), internal: false, partitions, error }
    }

    #[test]
    fn partitions_are_grouped_by_the_newest_leader() {
        let of = |partition| TargetPartition { topic: 0, partition, start: 0 };
        let log = Span { start: 0, end: 10 };
        let walks: Vec<_> = (0..3).map(|p| Walk::new(p, "t".into(), &of(p as i32), log, true)).collect();
        let mut topics = vec![topic(&[1, 2, 1], 0)];
        let group = |topics: &[Topic]| by_leader(topics, &walks, &[0, 1, 2]).into_iter().collect::<Vec<_>>();
        assert_eq!(group(&topics), [(1, vec![0, 2]), (2, vec![1])]);
        take_newer(&mut topics, vec![topic(&[2, 2, -1], 0)]);
        assert_eq!(group(&topics), [(-1, vec![2]), (2, vec![0, 1])]);
        // An answer that does not know the topic says nothing.
        take_newer(&mut topics, vec![topic(&[], 3)]);
        assert_eq!(group(&topics), [(-1, vec![2]), (2, vec![0, 1])]);
    }

    #[test]
    fn nothing_is_read_behind_the_log_start() {
        let of = TargetPartition { topic: 0, partition: 0, start: 3 };
        let open = |start, end| Walk::new(0, "t".into(), &of, Span { start, end }, true).is_open();
        assert!(open(0, 10) && open(5, 10));
        assert!(!open(10, 10) && !open(0, 3), "all of ours is gone, or nothing of ours is there");
    }
}
