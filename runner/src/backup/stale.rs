//! Leaders of the past: a broker that slept (a frozen machine, a long pause), or that its controller does not reach, answers as if
//! nothing had happened since, with the metadata and the logs of then. Leader epochs only grow, so who names an older one than is
//! known is behind the others: they are asked, and what they know counts. Believed, its log would be one that was cut.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use uuid::Uuid;
use wire::{BrokerId, Cluster, Partition, Topic, WireError};

/// For so long nobody who is behind is believed: then it is the cluster that lost its metadata.
pub(crate) const BEHIND: Duration = Duration::from_secs(30);
/// Others that are asked in one go, at most, and how long one of them is waited for.
const OTHERS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(2);

/// The newest leader epochs that are known, by topic id and partition.
pub(crate) type Epochs = HashMap<(Uuid, i32), i32>;

/// Whether metadata names a leader of an older epoch than one that is known. Where topics have no ids, one that was made again begins
/// with epoch 0, and nothing can be told.
pub(crate) fn is_behind(topic: &Topic, partition: &Partition, known: i32) -> bool {
    !topic.wire_id.is_nil() && partition.leader_epoch >= 0 && partition.leader_epoch < known
}

/// The same as an error that passes.
pub(crate) fn behind(topic: &Topic, partition: &Partition, known: i32) -> WireError {
    let detail = format!(
        "the broker that was asked names leader epoch {}, and epoch {known} is known: it is behind the others",
        partition.leader_epoch
    );
    WireError::no_progress(format!("{}/{}", topic.name, partition.index), detail)
}

/// Asks other brokers about the topics of which older leaders are named than are known, until none is left.
///
/// # Errors
/// When nobody knows better: the first partition of which an older leader is named.
pub(crate) async fn catch_up(cluster: &Cluster, topics: &mut [Topic], epochs: &Epochs) -> Result<(), WireError> {
    let mut asked = HashSet::new();
    for _ in 0..OTHERS {
        let names: BTreeSet<_> = all_behind(topics, epochs).map(|(topic, _)| topic.name.clone()).collect();
        let names: Vec<_> = names.into_iter().collect();
        if names.is_empty() || !take_from_another(cluster, topics, &names, &mut asked).await {
            break;
        }
    }
    let first = all_behind(topics, epochs).next();
    first.map_or(Ok(()), |(topic, p)| Err(behind(topic, p, known(topic, p, epochs))))
}

/// Takes over what one more broker knows better of these topics; whether it answered.
pub(crate) async fn take_from_another(
    cluster: &Cluster,
    topics: &mut [Topic],
    names: &[String],
    asked: &mut HashSet<BrokerId>,
) -> bool {
    match tokio::time::timeout(PATIENCE, cluster.topics_of_another(names, asked)).await {
        Ok(Ok(others)) => {
            merge(topics, &others);
            true
        }
        // Whoever needs the answer has one, and says what is wrong with it.
        Ok(Err(_)) | Err(_) => false,
    }
}

/// Partitions of which an older leader is named than is known.
fn all_behind<'t>(topics: &'t [Topic], epochs: &Epochs) -> impl Iterator<Item = (&'t Topic, &'t Partition)> {
    let all = topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
    all.filter(move |(topic, p)| is_behind(topic, p, known(topic, p, epochs)))
}

fn known(topic: &Topic, partition: &Partition, epochs: &Epochs) -> i32 {
    epochs.get(&(topic.id, partition.index)).copied().unwrap_or(-1)
}

/// Takes over the leaders of newer epochs.
fn merge(topics: &mut [Topic], others: &[Topic]) {
    for topic in topics {
        if let Some(other) = others.iter().find(|other| other.error == 0 && other.wire_id == topic.wire_id) {
            topic.take_newer(other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(id: u128, leaders: &[(i32, i32)]) -> Topic {
        let partition = |(index, (leader, leader_epoch)): (i32, &(i32, i32))| Partition {
            index,
            leader: *leader,
            leader_epoch: *leader_epoch,
            replicas: 2,
            in_sync: vec![*leader],
        };
        let id = Uuid::from_u128(id);
        let partitions = (0..).zip(leaders).map(partition).collect();
        Topic { name: "t".into(), id, wire_id: id, internal: false, partitions, error: 0 }
    }

    fn leaders(topic: &Topic) -> Vec<(i32, i32)> {
        topic.partitions.iter().map(|p| (p.leader, p.leader_epoch)).collect()
    }

    #[test]
    fn of_two_answers_the_leader_of_the_newer_epoch_counts() {
        let mut topics = vec![topic(1, &[(1, 4), (2, 7), (3, 2)])];
        merge(&mut topics, &[topic(1, &[(2, 5), (1, 6), (3, 2)])]);
        assert_eq!(leaders(&topics[0]), [(2, 5), (2, 7), (3, 2)]);
        // Another topic of that name, or one that the broker does not know.
        merge(&mut topics, &[topic(2, &[(9, 9)])]);
        merge(&mut topics, &[Topic { error: 3, ..topic(1, &[(9, 9)]) }]);
        assert_eq!(leaders(&topics[0])[0], (2, 5));
    }

    #[test]
    fn who_names_an_older_leader_than_is_known_is_behind() {
        let topics = [topic(1, &[(1, 4), (2, 7)])];
        let behind = |topics: &[Topic], epoch| {
            let epochs = Epochs::from([((Uuid::from_u128(1), 1), epoch)]);
            all_behind(topics, &epochs).map(|(_, p)| p.index).collect::<Vec<_>>()
        };
        assert_eq!((behind(&topics, 8), behind(&topics, 7), behind(&topics, -1)), (vec![1], vec![], vec![]));
        let without_ids = Topic { wire_id: Uuid::nil(), ..topic(1, &[(1, 4), (2, 7)]) };
        assert_eq!(behind(&[without_ids], 8), [0i32; 0]);
    }
}
