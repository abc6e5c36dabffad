//! Rules of KafkaOffsetReset and KafkaOffsetRollback.

use contract::offset_spec::MOST_AT_ONCE;

use super::names::object_name;
use super::{cluster, each_once, groups, not_empty, storage};
use crate::finding::Findings;
use crate::oso::{KafkaOffsetResetSpec, KafkaOffsetRollbackSpec, OffsetMappingRef, ResetStrategy};

pub(super) fn reset(out: &mut Findings, spec: &KafkaOffsetResetSpec) {
    cluster::cluster(out, "spec.kafkaCluster", &spec.kafka_cluster);
    if spec.consumer_groups.is_empty() {
        out.missing("spec.consumerGroups", "needs at least one group", "name the groups");
    }
    groups(out, "spec.consumerGroups", &spec.consumer_groups);
    each_once(out, "spec.consumerGroups", &spec.consumer_groups);
    topics(out, &spec.topics);
    out.above_zero("spec.parallelism", spec.parallelism);
    if spec.parallelism > MOST_AT_ONCE {
        let rule = format!("is more than a run does at once: {MOST_AT_ONCE} groups are reset at once");
        out.warn("spec.parallelism", Some(spec.parallelism.to_string()), &rule, "set at most that");
    }
    if let Some(place) = &spec.state_storage {
        storage::storage(out, "spec.stateStorage", place);
    }
    let (timestamp, offset, mapping) = ("spec.resetTimestamp", "spec.resetOffset", "spec.offsetMappingRef");
    match spec.reset_strategy {
        ResetStrategy::ToTimestamp if spec.reset_timestamp.is_none() => {
            out.missing(timestamp, "is required with to-timestamp", "write milliseconds since 1970");
        }
        ResetStrategy::ToOffset if spec.reset_offset.is_none() => {
            out.missing(offset, "is required with to-offset", "write the offset");
        }
        ResetStrategy::FromMapping => from_mapping(out, mapping, spec.offset_mapping_ref.as_ref()),
        // The other strategies take none of these fields, or have theirs.
        _ => {}
    }
    if let Some(number) = spec.reset_offset.filter(|number| *number < 0) {
        out.wrong(offset, number, "must not be negative", "use to-earliest or to-latest for the ends");
    }
    if let Some(millis) = spec.reset_timestamp.filter(|millis| *millis < 0) {
        out.wrong(timestamp, millis, "must be milliseconds since 1970", "use to-earliest for the start");
    }
    let unused = [
        (timestamp, spec.reset_timestamp.is_some(), ResetStrategy::ToTimestamp, "to-timestamp"),
        (offset, spec.reset_offset.is_some(), ResetStrategy::ToOffset, "to-offset"),
        (mapping, spec.offset_mapping_ref.is_some(), ResetStrategy::FromMapping, "from-mapping"),
    ];
    for (field, there, strategy, name) in unused {
        if there && spec.reset_strategy != strategy {
            out.warn(field, None, &format!("has no effect without {name}"), "remove it, or change resetStrategy");
        }
    }
}

/// Topics by name; a reset takes no patterns.
fn topics(out: &mut Findings, topics: &[String]) {
    const FIELD: &str = "spec.topics";
    not_empty(out, FIELD, topics, "write the name of a topic");
    each_once(out, FIELD, topics);
}

fn from_mapping(out: &mut Findings, field: &str, mapping: Option<&OffsetMappingRef>) {
    let named = |mapping: &&OffsetMappingRef| {
        mapping.restore_name.is_some() || mapping.path.is_some() || mapping.pvc_name.is_some()
    };
    let Some(mapping) = mapping.filter(named) else {
        let rule = "names no mapping: that of the newest finished restore in this namespace is used";
        return out.warn(field, None, rule, "name the restore to be sure");
    };
    for (name, value) in [("restoreName", &mapping.restore_name), ("pvcName", &mapping.pvc_name)] {
        if let Some(value) = value {
            object_name(out, &format!("{field}.{name}"), value);
        }
    }
    let set = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let (Some(restore), Some(_)) = (set(&mapping.restore_name), set(&mapping.pvc_name)) {
        let rule = "does not go with pvcName: the file lies in that volume, and nothing is asked of the restore";
        out.wrong(&format!("{field}.restoreName"), format!("{restore:?}"), rule, "keep the one that has the file");
    }
}

pub(super) fn rollback(out: &mut Findings, spec: &KafkaOffsetRollbackSpec) {
    const FIELD: &str = "spec.snapshotRef";
    cluster::cluster(out, "spec.kafkaCluster", &spec.kafka_cluster);
    groups(out, "spec.consumerGroups", &spec.consumer_groups);
    each_once(out, "spec.consumerGroups", &spec.consumer_groups);
    if let Some(place) = &spec.state_storage {
        storage::storage(out, "spec.stateStorage", place);
    }
    let reference = &spec.snapshot_ref;
    let set = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let (path, restore, reset) = (set(&reference.path), set(&reference.restore_ref), set(&reference.offset_reset_ref));
    if reference.name.is_empty() && !path && !restore && !reset {
        out.missing(FIELD, "names no saved positions", "set name, restoreRef, offsetResetRef, or pvcName and path");
    }
    if restore && reset {
        let value = format!(
            "{} and {}",
            reference.restore_ref.as_deref().unwrap_or_default(),
            reference.offset_reset_ref.as_deref().unwrap_or_default()
        );
        out.wrong(FIELD, value, "restoreRef and offsetResetRef exclude each other", "keep the one that saved them");
    }
    let volume = reference.pvc_name.clone().filter(|name| !name.is_empty());
    if let Some(volume) = volume.filter(|_| restore || reset) {
        let other = if restore { "restoreRef" } else { "offsetResetRef" };
        let rule = format!("does not go with {other}, which says itself where the saved positions are");
        let fix = "remove one of the two; for another place beside the reference, set spec.stateStorage";
        out.wrong(&format!("{FIELD}.pvcName"), format!("{volume:?}"), &rule, fix);
    } else if set(&reference.pvc_name) && !path {
        out.missing(&format!("{FIELD}.path"), "is required with pvcName", "write the file's path in the volume");
    }
    if path && !reference.name.is_empty() {
        let (name, rule) =
            (format!("{:?}", reference.name), "has no effect beside path: that file counts, whatever its name");
        out.warn(&format!("{FIELD}.name"), Some(name), rule, "leave it empty, or remove path");
    }
    if set(&reference.pvc_name) && !restore && !reset && spec.state_storage.is_some() {
        let rule =
            "does not go with snapshotRef.pvcName: the saved positions and the state of the run are in that volume";
        out.wrong("spec.stateStorage", "set", rule, "remove one of the two");
    }
    let references = [
        ("pvcName", &reference.pvc_name),
        ("restoreRef", &reference.restore_ref),
        ("offsetResetRef", &reference.offset_reset_ref),
    ];
    for (name, value) in references {
        if let Some(value) = value.as_ref().filter(|value| !value.is_empty()) {
            object_name(out, &format!("{FIELD}.{name}"), value);
        }
    }
}
