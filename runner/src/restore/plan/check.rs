//! Whether a saved plan is one that its specification makes. It lies in the store: whoever writes there may have changed it,
//! and what it says is done to the target. Pure.

use std::collections::BTreeMap;
use std::fmt::Debug;

use contract::names::{self, is_internal_topic};
use contract::stamp::split_point;
use contract::words::{cut, safe};
use contract::{ExistingTopics, RestoreSpec, Selection};

use super::count::Retained;
use super::make::{Sealed, created_partitions, is_wanted, outline, source_partitions};
use super::{RestorePlan, TargetAction, TopicPlan};
use crate::restore::configs::{for_creation, held_at};
use crate::restore::route::Route;
use crate::restore::select::choose;

/// Whether a rule is kept; else what breaks it: field, value and rule.
pub(crate) type Checked = Result<(), String>;

/// Largest offset, count and size that can be: sums of two of them stay numbers.
pub(crate) const MOST: u64 = 1 << 61;
/// Characters of a value that are shown.
const SHOWN: usize = 200;
/// Configs by which a topic deletes records: a created topic has them as the source had them.
const DELETING: [&str; 5] =
    ["cleanup.policy", "delete.retention.ms", "max.compaction.lag.ms", "retention.bytes", "retention.ms"];

/// Refuses what breaks a rule.
pub(crate) fn must(kept: bool, found: impl FnOnce() -> String) -> Checked {
    if kept { Ok(()) } else { Err(found()) }
}

/// Refuses a field with another value than the one that it must have.
pub(crate) fn equal<T: PartialEq + Debug + ?Sized>(field: &str, found: &T, expected: &T) -> Checked {
    must(found == expected, || format!("{field} is {}, it must be {}", shown(found), shown(expected)))
}

/// A value on one line, not longer than people read.
pub(crate) fn shown(value: &(impl Debug + ?Sized)) -> String {
    cut(safe(&format!("{value:?}")), SHOWN)
}

/// Whether an offset can be.
pub(crate) fn is_offset(offset: i64) -> bool {
    u64::try_from(offset).is_ok_and(|offset| offset <= MOST)
}

/// Holds a plan against the cluster and itself, where nobody has its specification.
pub(crate) fn of_itself(plan: &RestorePlan, cluster: &str) -> Checked {
    equal("cluster", plan.cluster.as_str(), cluster)?;
    let mut before = "";
    for (place, topic) in plan.topics.iter().enumerate() {
        let at = |found: String| format!("topics[{place}].{found}");
        of_target(&topic.target).and_then(|()| of_configs(topic)).map_err(at)?;
        let is_new = topic.action == TargetAction::Create;
        must(topic.action != TargetAction::Refuse && is_new == topic.target_id.is_none(), || {
            at(format!("action is {}, which does not fit targetId", topic.action))
        })?;
        must(topic.target.as_str() > before, || at("target does not come after the one before it".to_owned()))?;
        before = &topic.target;
    }
    Ok(())
}

/// Whether a restore may write to a topic of this name.
fn of_target(target: &str) -> Checked {
    names::check_topic(target).map_err(|rule| format!("target is {}; it {rule}", shown(target)))?;
    must(!is_internal_topic(target), || format!("target is {target}, which is Kafka's own"))
}

/// Holds a plan against its specification: what the identity of a restore is made of has not changed since.
pub(crate) fn of_spec(plan: &RestorePlan, spec: &RestoreSpec, cluster: &str) -> Checked {
    equal("cluster", plan.cluster.as_str(), cluster)?;
    let (start, end) = spec.window().map_err(|(field, rule)| format!("restore.{field} {rule}"))?;
    equal("window", &(plan.window.start, plan.window.end), &(start, end))?;
    must(plan.ends.is_empty() || spec.before_end_secs.is_some(), || {
        "ends has partitions, and restore.beforeEndSecs is absent".to_owned()
    })?;
    equal("onUnreadable", &plan.on_unreadable, &spec.on_unreadable)?;
    equal("foreignRecords", &plan.foreign_records, &spec.foreign_records)?;
    let headers = spec.include_offset_headers.unwrap_or(plan.offset_headers);
    equal("offsetHeaders", &plan.offset_headers, &headers)?;
    equal("stripOffsetHeaders", &plan.strip_offset_headers, &spec.strip_offset_headers)?;
    let selection = Selection::new(&spec.topics, &spec.exclude, spec.pattern_syntax)?;
    let mut before = "";
    for (place, topic) in plan.topics.iter().enumerate() {
        let at = |found: String| format!("topics[{place}].{found}");
        let source = &topic.source;
        must(selection.matches(source), || {
            format!("source is {}, which restore.topics does not choose", shown(source))
        })
        .and_then(|()| of_topic(topic, spec))
        .map_err(at)?;
        must(topic.target.as_str() > before, || at("target does not come after the one before it".to_owned()))?;
        before = &topic.target;
    }
    let numbers = plan.topics.iter().map(|topic| (topic.records, topic.bytes));
    let sum = numbers
        .reduce(|(records, bytes), (more, further)| (records.saturating_add(more), bytes.saturating_add(further)));
    must(sum.is_some_and(|(records, bytes)| records.max(bytes) <= MOST), || {
        "topics is empty, or has more records and bytes than can be".to_owned()
    })
}

fn of_topic(topic: &TopicPlan, spec: &RestoreSpec) -> Checked {
    let target = &topic.target;
    equal("target", target.as_str(), spec.target_of(&topic.source))?;
    of_target(target)?;
    if let Some(lineage) = spec.lineages.get(&topic.source) {
        equal("sourceId", &topic.source_id.to_string(), &lineage.to_lowercase())?;
    }
    equal("route", &topic.route, &Route::new(spec, target))?;
    let wanted = |partition: &i32| *partition >= 0 && is_wanted(spec, *partition);
    must(topic.partitions.iter().all(wanted) && topic.partitions.is_sorted_by(|a, b| a < b), || {
        format!("partitions is {}; restore.sourcePartitions chooses others", shown(&topic.partitions))
    })?;
    equal("targets", &topic.targets, &topic.route.targets(&topic.partitions))?;
    let needs = topic.targets.iter().max().map_or(1, |last| last.saturating_add(1));
    let has = topic.partition_count;
    must(has >= needs && topic.route.exact().is_none_or(|exact| exact == has), || {
        format!("partitionCount is {has}, its route needs {needs}")
    })?;
    must(topic.replication == -1 || topic.replication > 0, || {
        format!("replication is {}; it must be -1 or greater than 0", topic.replication)
    })?;
    of_action(topic, spec)?;
    of_configs(topic)?;
    of_counts(topic)
}

/// What is done to the target, and what that deletes.
fn of_action(topic: &TopicPlan, spec: &RestoreSpec) -> Checked {
    let allowed = match topic.action {
        TargetAction::Create => topic.target_id.is_none(),
        TargetAction::Fill => topic.target_id.is_some(),
        TargetAction::Append => topic.target_id.is_some() && spec.existing_topics == ExistingTopics::Append,
        TargetAction::Purge => topic.target_id.is_some() && spec.existing_topics == ExistingTopics::Purge,
        TargetAction::Refuse => false,
    };
    must(allowed, || {
        let is = if topic.target_id.is_some() { "exists" } else { "does not exist" };
        format!(
            "action is {}, which is none for a topic that {is} where restore.existingTopics is {}",
            topic.action,
            shown(&spec.existing_topics)
        )
    })?;
    let held: Vec<_> = topic.holds.iter().map(|range| range.partition).collect();
    let exists = topic.action != TargetAction::Create;
    equal("holds", held.as_slice(), if exists { topic.targets.as_slice() } else { &[] })?;
    let is_log = |start: i64, end: i64| is_offset(start) && is_offset(end) && start <= end;
    let is_empty = |start: i64, end: i64| topic.action != TargetAction::Fill || start == end;
    let odd = topic.holds.iter().find(|range| {
        let (start, end) = (range.log.start, range.log.end);
        !(is_log(start, end) && is_empty(start, end))
    });
    odd.map_or(Ok(()), |range| Err(format!("holds has {}, which cannot be with this action", shown(range))))
}

/// Only configs that a restore carries over or holds off.
fn of_configs(topic: &TopicPlan) -> Checked {
    let carried = for_creation(&topic.configs);
    let odd = topic.configs.keys().find(|name| !carried.contains_key(*name));
    odd.map_or(Ok(()), |name| Err(format!("configs has {}, which a restore does not set", shown(name))))?;
    equal("held", &topic.held, &held_at(topic.held.keys(), false, topic.largest_batch))?;
    must(topic.before.keys().eq(topic.held.keys()), || "before has other configs than held".to_owned())?;
    must(topic.action != TargetAction::Create || topic.held.is_empty(), || {
        "held has configs of a topic that does not exist".to_owned()
    })
}

fn of_counts(topic: &TopicPlan) -> Checked {
    let in_order = topic.sources.is_sorted_by(|a, b| a.partition < b.partition);
    let odd = topic.sources.iter().find(|source| {
        let is_range = is_offset(source.first) && is_offset(source.next) && source.first <= source.next;
        !(is_range && topic.partitions.binary_search(&source.partition).is_ok())
    });
    if let Some(source) = odd {
        return Err(format!("sources has {}, which cannot be", shown(source)));
    }
    must(in_order, || "sources are not in order".to_owned())?;
    let records = topic.sources.iter().fold(0_u64, |sum, source| sum.saturating_add(source.records));
    equal("records", &topic.records, &records)?;
    must(topic.largest_partition <= topic.bytes, || "largestPartition is larger than bytes".to_owned())?;
    must(topic.largest_batch <= MOST, || format!("largestBatch is {}, which cannot be", topic.largest_batch))?;
    must(topic.oldest.is_some() != topic.sources.is_empty(), || "oldest does not fit sources".to_owned())
}

/// Whether the set and the point of a plan are ones that `restore.from` can mean.
pub(crate) fn of_name(plan: &RestorePlan, set: &str, from: &str) -> Checked {
    let base = |name: &str| split_point(name).map(|(base, _)| base.to_owned());
    must(plan.point == set || base(&plan.point).as_deref() == Some(set), || {
        format!("point is {}, which is none of set {}", shown(&plan.point), shown(set))
    })?;
    let meant = from.is_empty() || set == from || plan.point == from || base(set).as_deref() == Some(from);
    must(meant, || format!("point is {}, and restore.from is {from:?}", shown(&plan.point)))
}

/// Holds a plan, which fits its specification, against its recovery point.
pub(crate) fn of_point(plan: &RestorePlan, sealed: &Sealed<'_>, spec: &RestoreSpec) -> Checked {
    let (chosen, _) = choose(sealed.seal, spec).map_err(|failure| failure.message)?;
    let (made, _) = outline(plan.cluster.clone(), sealed, spec, &chosen).map_err(|failure| failure.message)?;
    equal("point", &plan.point, &made.point)?;
    equal("digest", &plan.digest, &made.digest)?;
    equal("offsetHeaders", &plan.offset_headers, &made.offset_headers)?;
    equal("forks", &plan.forks, &made.forks)?;
    equal("older", &plan.older, &made.older)?;
    let planned: Vec<_> = plan.topics.iter().map(|t| (t.source.as_str(), t.source_id, t.target.as_str())).collect();
    let wanted: Vec<_> = chosen.iter().map(|c| (c.topic.name.as_str(), c.topic.id, c.target.as_str())).collect();
    let place = planned.iter().zip(&wanted).position(|(planned, wanted)| planned != wanted);
    let place = place.unwrap_or(planned.len().min(wanted.len()));
    equal(&format!("topics[{place}]"), &planned.get(place), &wanted.get(place))?;
    for (place, (topic, chosen)) in plan.topics.iter().zip(&chosen).enumerate() {
        let count = chosen.topic.partitions;
        equal(&format!("topics[{place}].partitions"), &topic.partitions, &source_partitions(spec, count))?;
        if topic.action == TargetAction::Create {
            let made = created_partitions(&topic.route, count, &topic.partitions);
            equal(&format!("topics[{place}].partitionCount"), &topic.partition_count, &made)?;
        }
    }
    Ok(())
}

/// Holds the configs that a topic is created with against those of its source. The target may have bounds of its own: then
/// a number is another one.
pub(crate) fn of_source(topic: &TopicPlan, source: Option<&BTreeMap<String, String>>) -> Checked {
    let source = source.map(for_creation).unwrap_or_default();
    let is_number = |value: &str| value.parse::<f64>().is_ok();
    for (name, value) in &topic.configs {
        let Some(original) = source.get(name) else {
            return Err(format!("configs has {}, which the source topic had not", shown(name)));
        };
        let bounded = is_number(value) && is_number(original) && !DELETING.contains(&name.as_str());
        must(bounded || value == original, || {
            format!("configs.{name} is {}, the source topic had {}", shown(value), shown(original))
        })?;
    }
    Ok(())
}

/// Holds what says whether retention would delete restored records against the rows of the archive.
pub(crate) fn of_rows(topic: &TopicPlan, rows: Retained) -> Checked {
    let is_old = rows.oldest.is_none_or(|oldest| topic.oldest.is_some_and(|planned| planned <= oldest));
    must(is_old, || format!("oldest is {:?}, the archive has {:?}", topic.oldest, rows.oldest))?;
    must(topic.largest_partition >= rows.largest, || {
        format!("largestPartition is {}, the archive has {}", topic.largest_partition, rows.largest)
    })
}

#[cfg(test)]
pub(crate) mod tests;
