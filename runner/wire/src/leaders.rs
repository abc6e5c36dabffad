//! One question to the leaders of many partitions: each leader is asked by itself, and none holds up what the others
//! say. What cannot be asked is returned with its reason; nothing gets a value that no leader told.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use contract::pauses::Pauses;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::brokers::BrokerId;
use crate::cluster::Cluster;
use crate::metadata::{Topic, UNKNOWN_LOOKS};
use crate::{Request, Retry, WireError, code};

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A topic that is unknown for less than this may be one that its broker has not heard of yet.
const UNKNOWN_FOR: Duration = Duration::from_millis(1500);

/// A partition by topic name and number.
pub type TopicPartition = (String, i32);

/// Partitions by topic.
pub(crate) type ByTopic = BTreeMap<String, Vec<i32>>;

/// What one leader says of each partition that it was asked for.
pub(crate) type Told<T> = Result<Vec<(TopicPartition, Result<T, WireError>)>, WireError>;

/// What the leaders said, and what could not be asked.
#[derive(Debug)]
pub struct Answers<T> {
    /// The answer of each partition whose leader gave one.
    pub found: HashMap<TopicPartition, T>,
    /// Why each other partition has none.
    pub missing: HashMap<TopicPartition, WireError>,
}

impl<T> Answers<T> {
    /// The answers, when none is missing.
    ///
    /// # Errors
    /// The error of a partition without an answer: one that stays before one that may pass.
    pub fn complete(self) -> Result<HashMap<TopicPartition, T>, WireError> {
        let rank = |error: &WireError| u8::from(matches!(error, WireError::Deadline { .. }));
        match self.missing.into_iter().min_by(|(a, x), (b, y)| (rank(x), a).cmp(&(rank(y), b))) {
            None => Ok(self.found),
            Some((_, error)) => Err(error),
        }
    }
}

/// What is asked, and how patiently.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) request: Request,
    /// How long stragglers are waited for.
    pub(crate) limit: Duration,
    /// One partition that can never be asked ends the whole question.
    pub(crate) all_or_none: bool,
}

/// Partitions that have no answer yet.
struct Open<'a> {
    cluster: &'a Cluster,
    request: Request,
    topics: Vec<Topic>,
    since: Instant,
    /// The last error of each partition that waits to be asked again.
    waiting: HashMap<TopicPartition, Option<WireError>>,
    /// Partitions whose leader is being asked.
    asked: HashSet<TopicPartition>,
    /// Looks in a row that found a topic unknown.
    unknown: HashMap<String, u32>,
    /// Brokers that were asked where partitions are led: each look asks another.
    told_by: HashSet<BrokerId>,
}

/// Asks the leader of each of `wanted`, again where the error passes, until all answered or the time is up.
///
/// # Errors
/// [`WireError::Stopped`], or when no broker lets us look where partitions are led.
pub(crate) async fn ask_leaders<'a, T>(
    cluster: &'a Cluster,
    topics: &[Topic],
    wanted: HashSet<TopicPartition>,
    question: Question,
    ask: impl Fn(BrokerId, ByTopic) -> BoxFuture<'a, Told<T>>,
) -> Result<Answers<T>, WireError> {
    let mut answers = Answers { found: HashMap::with_capacity(wanted.len()), missing: HashMap::new() };
    let mut open = Open {
        cluster,
        request: question.request,
        topics: topics.to_vec(),
        since: Instant::now(),
        waiting: wanted.into_iter().map(|key| (key, None)).collect(),
        asked: HashSet::new(),
        unknown: HashMap::new(),
        told_by: HashSet::new(),
    };
    let end = open.since + question.limit;
    let (mut pauses, mut next) = (Pauses::new(FIRST_PAUSE, LONGEST_PAUSE), None);
    let mut asking = FuturesUnordered::new();
    while !(open.waiting.is_empty() && asking.is_empty()) && Instant::now() < end {
        if next.is_none_or(|at| at <= Instant::now()) && !open.waiting.is_empty() {
            if next.is_some() {
                open.look(end, &mut answers.missing).await?;
                if question.all_or_none && !answers.missing.is_empty() {
                    break;
                }
            }
            for (leader, by_topic) in open.by_leader() {
                let keys: Vec<TopicPartition> =
                    by_topic.iter().flat_map(|(name, list)| list.iter().map(|p| (name.clone(), *p))).collect();
                let told = ask(leader, by_topic);
                asking.push(async move { (keys, told.await) });
            }
            next = Some(Instant::now() + pauses.step());
        }
        if asking.is_empty() && open.waiting.is_empty() {
            break;
        }
        let again = next.filter(|_| !open.waiting.is_empty()).unwrap_or(end).min(end);
        tokio::select! {
            biased;
            Some((keys, told)) = asking.next() => open.take(keys, told, &mut answers)?,
            () = tokio::time::sleep_until(again) => {}
        }
        if question.all_or_none && !answers.missing.is_empty() {
            break;
        }
    }
    open.give_up(&mut answers.missing);
    Ok(answers)
}

impl Open<'_> {
    /// Sorts what one leader said.
    fn take<T>(&mut self, keys: Vec<TopicPartition>, told: Told<T>, answers: &mut Answers<T>) -> Result<(), WireError> {
        let told = match told {
            Ok(told) => told,
            Err(WireError::Stopped) => return Err(WireError::Stopped),
            Err(error) => {
                let last = error.retry() == Retry::Never;
                for key in keys {
                    self.asked.remove(&key);
                    if last {
                        answers.missing.insert(key, error.clone());
                    } else {
                        self.waiting.insert(key, Some(error.clone()));
                    }
                }
                return Ok(());
            }
        };
        for (key, answer) in told {
            // What was not asked for does not count.
            if !self.asked.remove(&key) {
                continue;
            }
            match answer {
                Ok(value) => drop(answers.found.insert(key, value)),
                Err(error) if error.retry() == Retry::Never => drop(answers.missing.insert(key, error)),
                Err(error) => drop(self.waiting.insert(key, Some(error))),
            }
        }
        for key in keys {
            if self.asked.remove(&key) {
                let subject = format!("{}/{}", key.0, key.1);
                self.waiting.insert(key, Some(WireError::Unanswered { request: self.request, subject }));
            }
        }
        Ok(())
    }

    /// Looks where the waiting partitions are led now, at another broker each time; those of topics that are gone wait no longer.
    async fn look(&mut self, end: Instant, missing: &mut HashMap<TopicPartition, WireError>) -> Result<(), WireError> {
        let mut names: Vec<_> = self.waiting.keys().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names.dedup();
        let found = match tokio::time::timeout_at(end, self.cluster.look(Some(&names), &mut self.told_by)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) if error.retry() == Retry::Never => return Err(error),
            Ok(Err(error)) => {
                self.waiting.values_mut().for_each(|last| *last = Some(error.clone()));
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        let mut gone = HashSet::new();
        for topic in &found {
            if topic.error != code::UNKNOWN_TOPIC_OR_PARTITION {
                self.unknown.remove(&topic.name);
                continue;
            }
            let looks = self.unknown.entry(topic.name.clone()).or_default();
            *looks += 1;
            if *looks >= UNKNOWN_LOOKS && self.since.elapsed() >= UNKNOWN_FOR {
                gone.insert(topic.name.as_str());
            }
        }
        let gone = self.waiting.extract_if(|(name, _), _| gone.contains(name.as_str()));
        missing.extend(gone.map(|(key, _)| {
            let topic = key.0.clone();
            (key, WireError::TopicGone { topic })
        }));
        let mut known: HashMap<String, Vec<Topic>> = HashMap::new();
        let names: HashSet<_> = names.into_iter().collect();
        for topic in self.topics.extract_if(.., |topic| names.contains(&topic.name)) {
            known.entry(topic.name.clone()).or_default().push(topic);
        }
        for topic in found {
            let before = known.remove(&topic.name).unwrap_or_default(); // none where it was not looked at before
            self.topics.extend(newest(before, topic));
        }
        Ok(())
    }

    /// The waiting partitions that have a leader, by that leader; they are asked from now on.
    fn by_leader(&mut self) -> BTreeMap<BrokerId, ByTopic> {
        let mut out: BTreeMap<BrokerId, ByTopic> = BTreeMap::new();
        for topic in &self.topics {
            for p in topic.partitions.iter().filter(|p| p.leader >= 0) {
                let key = (topic.name.clone(), p.index);
                if self.waiting.remove(&key).is_some() {
                    out.entry(p.leader).or_default().entry(topic.name.clone()).or_default().push(p.index);
                    self.asked.insert(key);
                }
            }
        }
        for ((name, partition), last) in self.waiting.iter_mut().filter(|(_, last)| last.is_none()) {
            *last = Some(WireError::no_leader(format!("{name}/{partition}")));
        }
        out
    }

    /// The time is up for what has no answer.
    fn give_up(self, missing: &mut HashMap<TopicPartition, WireError>) {
        let seconds = self.since.elapsed().as_secs();
        let silent = |(name, partition): &TopicPartition| {
            WireError::no_progress(format!("{name}/{partition}"), "its leader did not answer in time")
        };
        let asked = self.asked.into_iter().map(|key| (key, None));
        for (key, last) in self.waiting.into_iter().chain(asked) {
            let last = Box::new(last.unwrap_or_else(|| silent(&key)));
            missing.insert(key, WireError::Deadline { seconds, last });
        }
    }
}

/// What counts of a topic once one more broker described it: what it says, but for what it is behind in. Who does not describe
/// the topic now, or knows fewer of its partitions, takes nothing back.
fn newest(known: Vec<Topic>, mut found: Topic) -> Vec<Topic> {
    if found.error != 0 && known.iter().any(|topic| topic.error == 0) {
        return known;
    }
    let id = found.wire_id;
    for topic in known.into_iter().filter(|topic| topic.wire_id == id) {
        found.take_newer(&topic);
        let there: HashSet<i32> = found.partitions.iter().map(|p| p.index).collect();
        found.partitions.extend(topic.partitions.into_iter().filter(|p| !there.contains(&p.index)));
    }
    vec![found]
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::Partition;

    fn topic(id: u128, error: i16, leaders: &[(i32, i32)]) -> Topic {
        let partition = |(index, (leader, leader_epoch)): (i32, &(i32, i32))| Partition {
            index,
            leader: *leader,
            leader_epoch: *leader_epoch,
            replicas: 2,
            in_sync: vec![*leader],
        };
        let (id, partitions) = (Uuid::from_u128(id), (0..).zip(leaders).map(partition).collect());
        Topic { name: "t".into(), id, wire_id: id, internal: false, partitions, error }
    }

    #[test]
    fn who_is_behind_takes_nothing_back() {
        let after = |found: Topic| {
            // Each partition may have been asked for by itself.
            let mut other = topic(1, 0, &[(1, 4), (2, 7)]);
            other.partitions.remove(0);
            let topics = newest(vec![topic(1, 0, &[(1, 4)]), other], found);
            let mut all: Vec<_> = topics.iter().flat_map(|topic| &topic.partitions).collect();
            all.sort_by_key(|p| p.index);
            all.iter().map(|p| (p.leader, p.leader_epoch)).collect::<Vec<_>>()
        };
        assert_eq!(after(topic(1, 0, &[(3, 5), (3, 6)])), [(3, 5), (2, 7)], "of each partition the newer epoch counts");
        assert_eq!(after(topic(1, 0, &[(3, 4)])), [(3, 4), (2, 7)], "it has not heard of a partition");
        assert_eq!(after(topic(1, 3, &[])), [(1, 4), (2, 7)], "it has not heard of the topic");
        assert_eq!(
            after(topic(1, 0, &[(-1, 8), (3, 7)])),
            [(-1, 8), (3, 7)],
            "who has no leader for now is not behind"
        );
        assert_eq!(after(topic(2, 0, &[(3, 0)])), [(3, 0)], "a topic that was made again");
        assert_eq!(after(topic(1, 0, &[(3, -1), (3, -1)])), [(3, -1), (3, -1)], "no epochs, nothing to compare");
    }
}
