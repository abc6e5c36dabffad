//! The topics that a set knows, compared with those that the source shows: what is new, deleted, made again, forbidden or
//! no longer matched is decided here and told. Deciding is pure; only [`Members::look`] asks the cluster.
//!
//! A topic that is not in the cluster's list says nothing by that: it is asked for by its name, and only an answer makes
//! it gone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use archive::{HeldBack, HeldReason, PartitionState, SetState, TopicState};
use contract::{BackupSpec, Failure, MemberChange, Membership};
use uuid::Uuid;
use wire::{Cluster, Topic, code};

use super::lineages::Lineages;
use super::select;
use crate::emit::Emitter;

/// What the cluster says of a topic that is asked for by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// It has one with this id.
    Is(Uuid),
    /// It has none.
    None,
    /// This user may not know.
    Forbidden,
    /// It does not say, with this error.
    Unsaid,
}

/// The members of a set during one run.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// Topics that the source may still have, though nothing can be read of them now.
    missing: BTreeMap<Uuid, MemberChange>,
    /// Topics that no set knows yet and that no broker describes for now, by name.
    undescribed: BTreeMap<String, MemberChange>,
}

impl Members {
    /// Compares what the set knows with what was found, asks for what is missing, and tells what changed. Topics that were
    /// only left out of the list are added to those that were found; the others of `found` are there, but not described.
    ///
    /// # Errors
    /// When the cluster does not answer at all.
    pub(crate) async fn look(
        &mut self,
        cluster: &Cluster,
        backup: &BackupSpec,
        (known, lineages): (&BTreeMap<Uuid, TopicState>, &Lineages),
        (found, undescribed): (&mut Vec<Topic>, &[Topic]),
        emitter: &Emitter,
    ) -> Result<(), Failure> {
        let selected = select::by_name(backup)?;
        let missing = missing(known, found, &selected);
        let mut answers = BTreeMap::new();
        if !missing.is_empty() {
            let mut asked = cluster.topics(Some(&missing)).await?;
            lineages.name(&mut asked);
            for topic in asked {
                let is_ours = known.get(&topic.id).is_some_and(|known| known.live && known.name == topic.name);
                answers.insert(topic.name.clone(), answer(&topic));
                if topic.error == 0 && is_ours {
                    found.push(topic);
                }
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let cluster_id = crate::connect::cluster_id(cluster)?;
        let had_no_id =
            |topic: &TopicState| topic.is_undecided() || topic.id == wire::made_up_id(&cluster_id, &topic.name);
        let changes = changes(known, found, (&selected, &had_no_id), &answers);
        self.tell(changes, found, emitter);
        let is_known = |topic: &&Topic| known.values().any(|other| other.live && other.name == topic.name);
        self.tell_undescribed(undescribed.iter().filter(|topic| !is_known(topic)), emitter);
        Ok(())
    }

    /// Tells of topics that are new and cannot be read now.
    fn tell_undescribed<'a>(&mut self, topics: impl Iterator<Item = &'a Topic>, emitter: &Emitter) {
        self.undescribed.clear();
        for topic in topics {
            let member = line(&topic.name, topic.id, Membership::Unavailable, None, None);
            if emitter.member(&member) {
                emitter.warn(format!("{member}: {} ({})", advice(&member), select::refusal(topic)));
            }
            self.undescribed.insert(topic.name.clone(), member);
        }
    }

    /// A topic that the cluster does not describe for now.
    pub(crate) fn unavailable(&self) -> Option<&str> {
        let away = |member: &&MemberChange| member.change == Membership::Unavailable;
        self.missing.values().chain(self.undescribed.values()).find(away).map(|member| member.topic.as_str())
    }

    /// Whether nothing is missing.
    pub(crate) fn are_whole(&self) -> bool {
        self.missing.is_empty() && self.undescribed.is_empty()
    }

    /// Tells what is new since it was told last, and what is there again.
    fn tell(&mut self, changes: Vec<(Uuid, MemberChange)>, found: &[Topic], emitter: &Emitter) {
        for topic in found {
            if let Some(mut member) = self.missing.remove(&topic.id) {
                member.change = Membership::Returned;
                emitter.member(&member);
            }
        }
        for (id, member) in changes {
            let is_news = emitter.member(&member);
            if !member.change.is_missing() {
                self.missing.remove(&id);
                continue;
            }
            if is_news {
                emitter.warn(format!("{member}: {}", advice(&member)));
            }
            self.missing.insert(id, member);
        }
    }

    /// Topics that the source may still have, though nothing can be read of them now.
    pub(crate) fn missing(&self) -> BTreeSet<Uuid> {
        self.missing.keys().copied().collect()
    }

    /// Their names.
    pub(crate) fn missing_names(&self) -> impl Iterator<Item = &str> {
        self.missing.values().map(|member| member.topic.as_str())
    }

    /// What a recovery point says of them: where each partition stands, and how far the source was known to go.
    pub(crate) fn held_back(&self, state: &SetState) -> Vec<HeldBack> {
        let held = |((topic, partition), row): (&(Uuid, i32), &PartitionState)| {
            let member = self.missing.get(topic)?;
            let forbidden = member.change == Membership::Forbidden;
            Some(HeldBack {
                topic: member.topic.clone(),
                partition: *partition,
                from: row.next,
                to: row.high_watermark.max(row.next),
                reason: if forbidden { HeldReason::Forbidden } else { HeldReason::Unavailable },
                producer_id: None,
                age_ms: None,
            })
        };
        // Nobody tells how many partitions the others have: each has a first one.
        let other = |member: &MemberChange| HeldBack {
            topic: member.topic.clone(),
            partition: 0,
            from: 0,
            to: 0,
            reason: HeldReason::Unavailable,
            producer_id: None,
            age_ms: None,
        };
        state.partitions.iter().filter_map(held).chain(self.undescribed.values().map(other)).collect()
    }
}

/// The names of topics.
fn names(topics: &[Topic]) -> HashSet<&str> {
    topics.iter().map(|topic| topic.name.as_str()).collect()
}

/// Names of live members that the patterns want and that were not found.
fn missing(known: &BTreeMap<Uuid, TopicState>, found: &[Topic], selected: &impl Fn(&str) -> bool) -> Vec<String> {
    let there = names(found);
    let is_missing = |topic: &&TopicState| topic.live && selected(&topic.name) && !there.contains(topic.name.as_str());
    let names: BTreeSet<_> = known.values().filter(is_missing).map(|topic| topic.name.clone()).collect();
    names.into_iter().collect()
}

fn answer(topic: &Topic) -> Answer {
    match topic.error {
        0 => Answer::Is(topic.id),
        code::UNKNOWN_TOPIC_OR_PARTITION | code::UNKNOWN_TOPIC_ID => Answer::None,
        code::TOPIC_AUTHORIZATION_FAILED => Answer::Forbidden,
        // Whatever else a broker says, it does not say that the topic is gone.
        _ => Answer::Unsaid,
    }
}

/// What is not as the set knows it, by topic id. A set that knows nothing has nothing to compare.
fn changes(
    known: &BTreeMap<Uuid, TopicState>,
    found: &[Topic],
    (selected, had_no_id): (&impl Fn(&str) -> bool, &impl Fn(&TopicState) -> bool),
    answers: &BTreeMap<String, Answer>,
) -> Vec<(Uuid, MemberChange)> {
    let by_id: HashMap<Uuid, &Topic> = found.iter().rev().map(|topic| (topic.id, topic)).collect();
    let (there, mut out) = (names(found), Vec::new());
    for topic in known.values().filter(|topic| topic.live) {
        let now = by_id.get(&topic.id).copied();
        let partitions = now.map(partitions);
        let change = match partitions {
            Some(now) if now > topic.partitions => Membership::PartitionsAdded,
            Some(now) if now < topic.partitions => Membership::PartitionsGone,
            Some(_) => continue,
            None => match lost(topic, &there, selected, answers) {
                Membership::Recreated if had_no_id(topic) => Membership::Identified,
                other => other,
            },
        };
        out.push((topic.id, line(&topic.name, topic.id, change, Some(topic.partitions), partitions)));
    }
    let live: HashSet<&str> = known.values().filter(|topic| topic.live).map(|topic| topic.name.as_str()).collect();
    for topic in found.iter().filter(|_| !known.is_empty()) {
        let is_made_again = live.contains(topic.name.as_str());
        let change = match known.get(&topic.id) {
            Some(known) if known.live => continue,
            Some(_) => Membership::Returned,
            // Told as what became of the lineage before.
            None if is_made_again => continue,
            None => Membership::New,
        };
        out.push((topic.id, line(&topic.name, topic.id, change, None, Some(partitions(topic)))));
    }
    out
}

/// Why a member was not found.
fn lost(
    topic: &TopicState,
    there: &HashSet<&str>,
    selected: &impl Fn(&str) -> bool,
    answers: &BTreeMap<String, Answer>,
) -> Membership {
    if there.contains(topic.name.as_str()) {
        return Membership::Recreated;
    }
    if !selected(&topic.name) {
        return Membership::NoLongerMatched;
    }
    match answers.get(&topic.name) {
        Some(Answer::Is(id)) if *id != topic.id => Membership::Recreated,
        Some(Answer::None) => Membership::Deleted,
        Some(Answer::Forbidden) => Membership::Forbidden,
        Some(Answer::Is(_) | Answer::Unsaid) | None => Membership::Unavailable,
    }
}

fn line(topic: &str, id: Uuid, change: Membership, before: Option<i32>, now: Option<i32>) -> MemberChange {
    MemberChange {
        topic: topic.to_owned(),
        topic_id: id.to_string(),
        change,
        partitions_before: before,
        partitions: now,
    }
}

/// Partitions of a topic, 0 when the cluster named none.
pub(crate) fn partitions(topic: &Topic) -> i32 {
    topic.partitions.iter().map(|p| p.index + 1).max().unwrap_or(0)
}

fn advice(member: &MemberChange) -> String {
    let topic = &member.topic;
    if member.change == Membership::Forbidden {
        format!(
            "what is new of it is missing here; grant this user Describe, DescribeConfigs and Read on topic {topic}, or add it to exclude (the cluster does not say whether it still exists)"
        )
    } else {
        "what is new of it is missing here; it is read on by the next run that finds it".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::Partition;

    fn topic(name: &str, id: u128, count: i32) -> Topic {
        let partition = |index| Partition { index, leader: 1, leader_epoch: 0, replicas: 1, in_sync: vec![1] };
        Topic {
            name: name.into(),
            id: Uuid::from_u128(id),
            wire_id: Uuid::from_u128(id),
            internal: false,
            partitions: (0..count).map(partition).collect(),
            error: 0,
        }
    }

    fn known(topics: &[(&str, u128, i32)]) -> BTreeMap<Uuid, TopicState> {
        let state = |(name, id, count): &(&str, u128, i32)| {
            let id = Uuid::from_u128(*id);
            (id, TopicState::new(id, name, *count, 1))
        };
        topics.iter().map(state).collect()
    }

    fn said(known: &BTreeMap<Uuid, TopicState>, found: &[Topic], answers: &[(&str, Answer)]) -> Vec<String> {
        let answers = answers.iter().map(|(name, answer)| ((*name).to_owned(), *answer)).collect();
        let had_no_id = |topic: &TopicState| topic.id == wire::made_up_id("c", &topic.name);
        let changes = changes(known, found, (&|name: &str| !name.starts_with('x'), &had_no_id), &answers);
        changes.iter().map(|(_, member)| format!("{} {:?}", member.topic, member.change)).collect()
    }

    #[test]
    fn a_topic_that_has_an_id_now_is_not_said_to_be_made_again() {
        let made_up = wire::made_up_id("c", "a");
        let known = BTreeMap::from([(made_up, TopicState::new(made_up, "a", 1, 1))]);
        let without = Topic { id: made_up, wire_id: Uuid::nil(), ..topic("a", 1, 1) };
        assert_eq!(said(&known, &[without], &[]), [""; 0]);
        assert_eq!(said(&known, &[topic("a", 1, 1)], &[]), ["a Identified"]);
    }

    #[test]
    fn each_way_to_be_missing_has_its_own_name() {
        let known = known(&[("a", 1, 1), ("b", 2, 1), ("c", 3, 2), ("d", 4, 1), ("e", 5, 1), ("f", 6, 1), ("x", 7, 1)]);
        let found = [topic("b", 20, 1), topic("c", 3, 3), topic("new", 8, 1)];
        let answers = [
            ("a", Answer::None),
            ("d", Answer::Forbidden),
            ("e", Answer::Unsaid),
            ("f", Answer::Is(Uuid::from_u128(60))),
        ];
        assert_eq!(
            said(&known, &found, &answers),
            [
                "a Deleted",
                "b Recreated",
                "c PartitionsAdded",
                "d Forbidden",
                "e Unavailable",
                "f Recreated",
                "x NoLongerMatched",
                "new New"
            ]
        );
        assert_eq!(missing(&known, &found, &|name: &str| !name.starts_with('x')), ["a", "d", "e", "f"]);
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // it looks at a clock of its own
    fn a_hundred_thousand_topics_are_compared_at_once() {
        let count = 100_000u128;
        let name = |n: u128| format!("topic-{n:06}");
        let known =
            (0..count).map(|n| (Uuid::from_u128(n), TopicState::new(Uuid::from_u128(n), &name(n), 1, 1))).collect();
        // Half of them were made again.
        let found: Vec<_> =
            (0..count).rev().map(|n| topic(&name(n), if n % 2 == 0 { n } else { n + count }, 1)).collect();
        let since = std::time::Instant::now();
        assert!(missing(&known, &found, &|_: &str| true).is_empty());
        assert_eq!(said(&known, &found, &[]).len(), 50_000);
        assert!(since.elapsed() < std::time::Duration::from_secs(10), "{:?}", since.elapsed());
    }

    #[test]
    fn without_an_answer_nothing_is_gone() {
        assert_eq!(said(&known(&[("a", 1, 1)]), &[], &[]), ["a Unavailable"]);
    }

    #[test]
    fn a_first_run_has_nothing_to_compare_and_an_old_lineage_is_not_missed() {
        assert!(said(&known(&[]), &[topic("a", 1, 1)], &[]).is_empty());
        let mut known = known(&[("a", 1, 1), ("b", 2, 1)]);
        for topic in known.values_mut() {
            topic.live = topic.name == "b";
        }
        assert!(said(&known, &[topic("b", 2, 1)], &[]).is_empty());
        assert_eq!(said(&known, &[topic("a", 1, 1), topic("b", 2, 1)], &[]), ["a Returned"], "matched again");
    }

    #[test]
    fn a_change_is_told_once_and_a_return_is_told() {
        let paths = archive::Paths { secrets: ".".into(), volumes: ".".into() };
        let emitter = Emitter::new(&crate::context::Context::system(paths), false);
        let known = known(&[("a", 1, 1)]);
        let mut members = Members::default();
        for answer in [Answer::Forbidden, Answer::Forbidden] {
            let answers = BTreeMap::from([("a".to_owned(), answer)]);
            members.tell(changes(&known, &[], (&|_: &str| true, &|_: &TopicState| false), &answers), &[], &emitter);
        }
        assert_eq!(members.missing(), BTreeSet::from([Uuid::from_u128(1)]));
        assert_eq!(emitter.warnings().len(), 1, "{:?}", emitter.warnings());
        assert!(emitter.warnings()[0].contains("grant this user Describe"));
        members.tell(Vec::new(), &[topic("a", 1, 1)], &emitter);
        assert!(members.missing().is_empty());
        assert_eq!(emitter.members()[0].change, Membership::Returned);
        assert!(members.are_whole());
    }

    #[test]
    fn a_new_topic_that_nobody_describes_is_named_until_somebody_does() {
        let paths = archive::Paths { secrets: ".".into(), volumes: ".".into() };
        let emitter = Emitter::new(&crate::context::Context::system(paths), false);
        let mut members = Members::default();
        let away = Topic { error: 5, partitions: Vec::new(), ..topic("late", 8, 0) };
        members.tell_undescribed([&away, &away].into_iter(), &emitter);
        assert_eq!((members.unavailable(), members.are_whole()), (Some("late"), false));
        let held = members.held_back(&SetState::default());
        assert_eq!(
            held.iter().map(|held| (held.topic.as_str(), held.reason)).collect::<Vec<_>>(),
            [("late", HeldReason::Unavailable)]
        );
        assert!(emitter.warnings()[0].contains("LEADER_NOT_AVAILABLE"), "{:?}", emitter.warnings());
        assert_eq!(emitter.warnings().len(), 1);
        members.tell_undescribed(std::iter::empty(), &emitter);
        assert!(members.are_whole());
    }
}
