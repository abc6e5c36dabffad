//! Which consumer groups a restore takes along, with the committed offsets that lie in its topics.

use std::collections::{BTreeMap, HashMap, HashSet};

use archive::{GroupPosition, GroupSnapshot, Point, PointGroups, TopicState};
use contract::words::plural;
use contract::{Code, Failure, GroupPresence, GroupRestore};

use crate::offsets::snapshot::Places;
use crate::restore::plan::RestorePlan;

/// The groups that were chosen, and what speaks against that.
#[derive(Debug, Default)]
pub(crate) struct Chosen {
    /// The recovery point whose offsets they are.
    pub(crate) point: String,
    /// In order of their ids.
    pub(crate) groups: Vec<ChosenGroup>,
    pub(crate) refusals: Vec<Failure>,
    pub(crate) warnings: Vec<String>,
}

/// A group of the source.
#[derive(Debug, Clone)]
pub(crate) struct ChosenGroup {
    pub(crate) id: String,
    pub(crate) kind: String,
    /// Its id in the target.
    pub(crate) target: String,
    /// Offsets by position of the topic in the plan and source partition.
    pub(crate) offsets: BTreeMap<(usize, i32), GroupPosition>,
    /// Offsets of topics and partitions that are not restored.
    pub(crate) elsewhere: u64,
    /// Whether the specification has its name, and no pattern that it matches only.
    pub(crate) is_named: bool,
    /// Configs that were set on the group in the source; none of a group without offsets in what is restored.
    pub(crate) configs: BTreeMap<String, String>,
}

impl ChosenGroup {
    /// Why nothing is committed of a group that somebody asked for by its name.
    pub(super) fn nothing(&self) -> Option<String> {
        let why = match self.elsewhere {
            0 => "the recovery point has no committed offset of it".to_owned(),
            count => {
                format!("all of its {} are of topics or partitions that are not restored", plural(count, "offset"))
            }
        };
        (self.is_named && self.offsets.is_empty()).then(|| format!("nothing is set for it: {why}"))
    }

    /// Where its offsets may be changed in the target.
    pub(super) fn changed(&self, plan: &RestorePlan) -> Places {
        let mut places = Places::new();
        for (number, partition) in self.offsets.keys() {
            let Some(topic) = plan.topics.get(*number) else { continue };
            let of_topic = places.entry(topic.target.clone()).or_default();
            match topic.route.single(*partition) {
                Some(target) => drop(of_topic.insert(target)),
                None => of_topic.extend(&topic.targets),
            }
        }
        places
    }

    /// The metadata that is committed, with the place in the target of each. Where the offsets of several partitions meet, there
    /// is none.
    pub(super) fn metadata<'a>(
        &'a self,
        plan: &'a RestorePlan,
    ) -> impl Iterator<Item = (&'a str, i32, Option<&'a str>)> {
        let place = move |((number, partition), at): (&(usize, i32), &'a GroupPosition)| {
            let topic = plan.topics.get(*number)?;
            let of_topic = self.offsets.range((*number, i32::MIN)..=(*number, i32::MAX));
            let goes_to = topic.route.single(*partition);
            let meets = of_topic.filter(|((_, other), _)| other != partition).any(|((_, other), _)| {
                goes_to.is_none() || topic.route.single(*other).is_none_or(|to| Some(to) == goes_to)
            });
            (!meets).then(|| (topic.target.as_str(), goes_to.unwrap_or(*partition), at.metadata.as_deref()))
        };
        self.offsets.iter().filter_map(place)
    }
}

/// Chooses groups of the recovery point; where the restore ends with a time, of the newest point that is not after it.
///
/// # Errors
/// When the archive cannot be read, or a pattern does not compile.
pub(crate) async fn choose(point: &Point, plan: &RestorePlan, spec: &GroupRestore) -> Result<Chosen, Failure> {
    let end = plan.ends_at();
    let mut early = None;
    let found = match point.groups_not_after(end).await? {
        None if end.is_some() => {
            early = Some(format!(
                "no recovery point before the end of the time window has committed offsets: those of {} are taken, and what \
                 lies beyond the window stands at its end",
                point.seal.point
            ));
            point.groups_not_after(None).await?
        }
        found => found,
    };
    let Some(found) = found else {
        let text = format!(
            "recovery point {} has no committed offsets: the backup was made without consumerGroupSnapshot; leave \
             restore.groups out",
            point.seal.point
        );
        let refusals = vec![Failure::new(Code::UnknownGroup, text)];
        return Ok(Chosen { refusals, ..Chosen::default() });
    };
    let mut chosen = sort_out(found, plan, spec)?;
    chosen.warnings.extend(early);
    Ok(chosen)
}

/// The groups of a point that the specification wants.
fn sort_out(found: PointGroups, plan: &RestorePlan, spec: &GroupRestore) -> Result<Chosen, Failure> {
    let invalid = |rule: String| Failure::new(Code::SpecInvalid, format!("restore.groups.include {rule}"));
    let selection = spec.selection().map_err(invalid)?;
    let mut out = Chosen { point: found.point.clone(), ..Chosen::default() };
    let named: HashSet<&str> = selection.literals().iter().map(String::as_str).collect();
    let there: HashSet<&str> = found.groups.iter().map(|group| group.group.as_str()).collect();
    let places = places(&found, plan);
    let unknown = |text: String| Failure::new(Code::UnknownGroup, text);
    for name in selection.literals().iter().chain(spec.mapping.keys()) {
        if !(there.contains(name.as_str()) && selection.matches(name)) {
            out.refusals.push(unknown(format!(
                "recovery point {} has no consumer group {name:?} among those that restore.groups names; correct the name",
                found.point
            )));
        }
    }
    for group in &found.groups {
        if !selection.matches(&group.group) {
            continue;
        }
        if group.group.is_empty() {
            let text = "the consumer group without an id is left out: no consumer can be a member of it, and what commits there \
                        keeps its offsets by itself";
            out.warnings.push(text.into());
            continue;
        }
        if let Some(missing) = group.missing {
            let why = if missing == GroupPresence::Forbidden {
                "the user of the backup may not describe it"
            } else {
                "its coordinator did not answer"
            };
            let text =
                format!("recovery point {} lacks the offsets of consumer group {:?}: {why}", found.point, group.group);
            if named.contains(group.group.as_str()) {
                out.refusals.push(unknown(format!("{text}; leave the group out, or take another recovery point")));
            } else {
                out.warnings.push(text);
            }
            continue;
        }
        let is_named = named.contains(group.group.as_str()) || spec.mapping.contains_key(&group.group);
        out.groups.push(ChosenGroup { is_named, ..with_offsets(group, &places, plan, spec) });
    }
    let mut targets = BTreeMap::new();
    for group in &out.groups {
        if let Some(other) = targets.insert(&group.target, &group.id) {
            let text = format!(
                "consumer groups {other:?} and {:?} would both become {:?}; leave one out, or map it to another id",
                group.id, group.target
            );
            out.refusals.push(unknown(text));
        }
    }
    Ok(out)
}

/// Where the plan has the topics that positions name. A name that meant another topic then is another topic. Of a topic that
/// was deleted the positions are of its last life: brokers forget those of a topic when they delete it.
fn places<'a>(found: &'a PointGroups, plan: &RestorePlan) -> HashMap<&'a str, usize> {
    let planned: HashMap<_, _> =
        plan.topics.iter().enumerate().map(|(number, topic)| (topic.source_id, number)).collect();
    let mut meant: HashMap<&str, &TopicState> = HashMap::new();
    for topic in &found.topics {
        let age = |topic: &TopicState| (topic.live, topic.until, topic.since);
        let known = meant.entry(topic.name.as_str()).or_insert(topic);
        if age(topic) > age(known) {
            *known = topic;
        }
    }
    meant.into_iter().filter_map(|(name, topic)| Some((name, *planned.get(&topic.id)?))).collect()
}

/// A group with its offsets in topics of the plan.
fn with_offsets(
    group: &GroupSnapshot,
    places: &HashMap<&str, usize>,
    plan: &RestorePlan,
    spec: &GroupRestore,
) -> ChosenGroup {
    let place = |position: &GroupPosition| {
        let number = *places.get(position.topic.as_str())?;
        let planned = plan.topics.get(number)?;
        // They are in order.
        planned.partitions.binary_search(&position.partition).is_ok().then_some((number, position.partition))
    };
    let mut offsets = BTreeMap::new();
    let mut elsewhere = 0;
    for position in &group.offsets {
        match place(position) {
            Some(place) => drop(offsets.insert(place, position.clone())),
            None => elsewhere += 1,
        }
    }
    let (id, kind, target) = (group.group.clone(), group.kind.clone(), spec.target_of(&group.group).to_owned());
    let configs = match &group.configs {
        Some(configs) if !offsets.is_empty() => configs.clone(),
        Some(_) | None => BTreeMap::new(),
    };
    ChosenGroup { id, kind, target, offsets, elsewhere, is_named: false, configs }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::plan::TargetAction;
    use crate::restore::plan::tests::{plan, topic};

    fn group(id: &str, missing: Option<GroupPresence>, offsets: &[(&str, i32, i64)]) -> GroupSnapshot {
        let position = |(topic, partition, offset): &(&str, i32, i64)| GroupPosition {
            topic: (*topic).to_owned(),
            partition: *partition,
            offset: *offset,
            leader_epoch: 5,
            metadata: None,
        };
        let offsets = offsets.iter().map(position).collect();
        GroupSnapshot {
            group: id.into(),
            kind: "classic".into(),
            state: "Empty".into(),
            offsets,
            configs: None,
            missing,
        }
    }

    fn chosen(groups: Vec<GroupSnapshot>, spec: &str) -> Chosen {
        let topics = vec![archive::TopicState::new(uuid::Uuid::from_u128(7), "t", 3, 1)];
        let found = PointGroups { point: "p".into(), topics, groups };
        let plan = plan(vec![topic("t", TargetAction::Create, &[0, 1])]);
        sort_out(found, &plan, &serde_json::from_str(spec).unwrap()).unwrap()
    }

    #[test]
    fn offsets_of_other_topics_and_partitions_are_left_alone_and_counted() {
        let found = chosen(vec![group("a", None, &[("t", 0, 5), ("t", 2, 6), ("u", 0, 7)])], "{}");
        assert_eq!((found.groups[0].offsets.len(), found.groups[0].elsewhere), (1, 2));
        assert_eq!(found.groups[0].offsets[&(0, 0)].offset, 5);
    }

    /// Positions name topics by name; the lives of a topic have one name.
    #[test]
    fn offsets_of_a_deleted_topic_are_those_of_its_last_life() {
        let life = |id: u128, live: bool, until: Option<u64>| archive::TopicState {
            live,
            until,
            ..archive::TopicState::new(uuid::Uuid::from_u128(id), "t", 3, 1)
        };
        let restored = plan(vec![topic("t", TargetAction::Create, &[0, 1])]);
        assert_eq!(restored.topics[0].source_id, uuid::Uuid::from_u128(7));
        let count = |topics: Vec<archive::TopicState>| {
            let groups = vec![group("a", None, &[("t", 0, 5)])];
            let found = PointGroups { point: "p".into(), topics, groups };
            sort_out(found, &restored, &GroupRestore::default()).unwrap().groups[0].offsets.len()
        };
        assert_eq!(count(vec![life(6, false, Some(3)), life(7, false, Some(9))]), 1, "it was deleted, and is restored");
        assert_eq!(count(vec![life(7, false, Some(3)), life(6, false, Some(9))]), 0, "they are of a later one");
        assert_eq!(count(vec![life(7, false, Some(3)), life(6, true, None)]), 0, "they are of the one that is there");
    }

    #[test]
    fn a_group_that_is_named_and_has_nothing_there_says_so() {
        let groups = || vec![group("a", None, &[("u", 0, 7)]), group("b", None, &[]), group("c", None, &[("t", 0, 5)])];
        let told = |spec: &str| chosen(groups(), spec).groups.iter().map(ChosenGroup::nothing).collect::<Vec<_>>();
        assert_eq!(told("{}"), [None, None, None], "nobody asked for them by name");
        let named = told(r#"{"include": ["a", "b", "c"]}"#);
        assert!(named[0].as_ref().unwrap().contains("all of its 1 offset are of topics"), "{named:?}");
        assert!(
            named[1].as_ref().unwrap().contains("has no committed offset of it") && named[2].is_none(),
            "{named:?}"
        );
        assert!(told(r#"{"mapping": {"a": "z"}}"#)[0].is_some());
    }

    #[test]
    fn configs_come_with_the_offsets_that_are_restored() {
        let set = |mut group: GroupSnapshot| {
            group.configs = Some([("consumer.session.timeout.ms".to_owned(), "50000".to_owned())].into());
            group
        };
        let groups = vec![set(group("a", None, &[("t", 0, 5)])), set(group("b", None, &[("u", 0, 5)]))];
        let found = chosen(groups, "{}");
        assert_eq!((found.groups[0].configs.len(), found.groups[1].configs.len()), (1, 0), "b reads other topics");
    }

    #[test]
    fn offsets_are_changed_where_records_of_the_group_go() {
        let found = chosen(vec![group("a", None, &[("t", 0, 5), ("u", 0, 7)])], "{}");
        let changed = |plan: &RestorePlan| found.groups[0].changed(plan);
        let mut one = plan(vec![topic("t", TargetAction::Create, &[0, 1])]);
        let target = one.topics[0].target.clone();
        one.topics[0].route = crate::restore::route::Route::Partition([(0, 7)].into());
        assert_eq!(changed(&one), Places::from([(target.clone(), [7].into())]), "not partition 1, and not u");
        one.topics[0].route = crate::restore::route::Route::Offset(3);
        one.topics[0].targets = vec![0, 1, 2];
        assert_eq!(changed(&one), Places::from([(target, [0, 1, 2].into())]));
    }

    #[test]
    fn metadata_is_that_of_one_place() {
        let mut both = group("a", None, &[("t", 0, 5), ("t", 1, 6)]);
        both.offsets[0].metadata = Some("of 0".into());
        let found = chosen(vec![both], "{}");
        let told = |plan: &RestorePlan| {
            let all = found.groups[0].metadata(plan);
            all.map(|(topic, partition, text)| format!("{topic}/{partition} {text:?}")).collect::<Vec<_>>()
        };
        let apart = plan(vec![topic("t", TargetAction::Create, &[0, 1])]);
        assert_eq!(told(&apart), ["t/5 Some(\"of 0\")", "t/1 None"]);
        let mut meet = apart;
        let part: contract::RestoreSpec = serde_json::from_str(r#"{"partitionMapping": {"1": 0}}"#).unwrap();
        meet.topics[0].route = crate::restore::route::Route::new(&part, "t");
        assert!(told(&meet).is_empty());
    }

    #[test]
    #[allow(clippy::disallowed_methods)] // it looks at a clock of its own
    fn a_hundred_thousand_groups_and_offsets_are_sorted_out_at_once() {
        let count = 100_000u32;
        let name = |kind: &str, n: u32| format!("{kind}-{n:06}");
        let topics: Vec<_> = (0..count)
            .map(|n| archive::TopicState::new(uuid::Uuid::from_u128(n.into()), &name("t", n), 1, 1))
            .collect();
        let planned = |n: u32| crate::restore::plan::TopicPlan {
            source_id: uuid::Uuid::from_u128(n.into()),
            ..topic(&name("t", n), TargetAction::Create, &[0])
        };
        let plan = plan((0..count).map(planned).collect());
        let mut groups: Vec<_> = (0..count).map(|n| group(&name("g", n), None, &[])).collect();
        let positions: Vec<_> = (0..count).map(|n| (name("t", n), 0, 5)).collect();
        let offsets: Vec<_> =
            positions.iter().map(|(topic, partition, at)| (topic.as_str(), *partition, *at)).collect();
        groups.push(group("large", None, &offsets));
        let mapping = groups.iter().map(|group| (group.group.clone(), format!("new-{}", group.group))).collect();
        let spec = GroupRestore { mapping, ..GroupRestore::default() };
        let since = std::time::Instant::now();
        let found = sort_out(PointGroups { point: "p".into(), topics, groups }, &plan, &spec).unwrap();
        assert!(since.elapsed() < std::time::Duration::from_secs(10), "{:?}", since.elapsed());
        assert_eq!((found.groups.len(), found.refusals.len()), (count as usize + 1, 0));
        assert_eq!(found.groups.last().unwrap().offsets.len(), count as usize);
    }

    #[test]
    fn a_group_that_is_named_must_be_there() {
        let groups =
            || vec![group("a", None, &[]), group("", None, &[]), group("b", Some(GroupPresence::Forbidden), &[])];
        let all = chosen(groups(), "{}");
        assert_eq!((all.groups.len(), all.refusals.len(), all.warnings.len()), (1, 0, 2), "{all:?}");
        for spec in [r#"{"include": ["c"]}"#, r#"{"include": ["b"]}"#, r#"{"mapping": {"x": "y"}}"#] {
            let found = chosen(groups(), spec);
            assert_eq!(found.refusals.len(), 1, "{spec}: {found:?}");
            assert_eq!(found.refusals[0].code, Code::UnknownGroup);
        }
        let renamed = chosen(groups(), r#"{"mapping": {"a": "z"}}"#);
        assert_eq!((renamed.refusals.len(), renamed.groups[0].target.as_str()), (0, "z"));
        let both = chosen(vec![group("a", None, &[]), group("z", None, &[])], r#"{"mapping": {"a": "z"}}"#);
        assert!(both.refusals[0].message.contains("would both become"), "{both:?}");
    }
}
