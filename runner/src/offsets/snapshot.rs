//! The committed offsets that groups have before a run changes them, saved in the form that offset snapshots of the API group
//! `kafka.oso.sh` have, with what a rollback needs besides.
//!
//! What is read is checked whole before anything is done with it: another cluster's offsets are never committed.

use std::collections::{BTreeMap, BTreeSet};

use archive::{SavedOffsets, from_json};
use contract::stamp;
use contract::words::plural;
use contract::{Code, CrashPoint, EventKind, Failure, OffsetSaving, OffsetsBefore, crash};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use wire::{Cluster, CoordinatorPatience, Group, GroupOffset};

use super::archived::{self, Groups, Offsets};
use super::commit::{AT_ONCE, PATIENCE, There, offsets_of_all, unasked, unlisted};
use super::configs::{self, Set};
use super::expiry::{count, delete_expired, id_of};
use crate::context::Context;
use crate::emit::Emitter;

/// Most bytes of a document that a person names.
pub(crate) const LARGEST: u64 = 256 << 20;

/// The document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    #[serde(rename = "snapshot_id")]
    pub(crate) id: String,
    created_at: String,
    /// By group id; a group that the cluster does not have has no offsets.
    pub(crate) group_offsets: BTreeMap<String, GroupOffsets>,
    /// Topics in which the run changes offsets of some group. An addition: releases that do not know `changed` of a group go
    /// by it, and so do we with a document of theirs. See [`Snapshot::scope`].
    #[serde(default)]
    topics: Option<BTreeSet<String>>,
    /// Ids of topics: one that was made again under its name is another topic. An addition.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) topic_ids: BTreeMap<String, Uuid>,
    #[serde(default)]
    cluster_id: Option<String>,
    #[serde(default)]
    description: Option<String>,
}

/// What one group has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupOffsets {
    group_id: String,
    /// `classic`, `consumer`, `share` or `streams`. An addition.
    #[serde(default = "classic")]
    pub(crate) kind: String,
    /// By topic and partition.
    pub(crate) offsets: BTreeMap<String, BTreeMap<i32, SavedOffset>>,
    #[serde(default)]
    partition_count: Option<usize>,
    /// Partitions in which the run changes offsets of this group. An addition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<Places>,
    /// Configs that the run sets on the group itself, with what was set there before. An addition.
    #[serde(default, skip_serializing_if = "Set::is_empty")]
    pub(crate) configs: Set,
}

/// Partitions by topic.
pub(crate) type Places = BTreeMap<String, BTreeSet<i32>>;

/// What a rollback of one group touches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Scope<'a> {
    /// Everything that was saved is put back, and nothing is deleted: a document that does not say what was changed.
    Saved,
    /// These topics.
    Topics(&'a BTreeSet<String>),
    /// The topics of these places. A share group forgets whole topics.
    TopicsOf(&'a Places),
    /// These places.
    Places(&'a Places),
}

impl Scope<'_> {
    /// Whether a saved offset is put back.
    pub(super) fn puts_back(self, topic: &str, partition: i32) -> bool {
        matches!(self, Self::Saved) || self.deletes(topic, partition)
    }

    /// Whether an offset that was not there before is deleted.
    pub(super) fn deletes(self, topic: &str, partition: i32) -> bool {
        match self {
            Self::Saved => false,
            Self::Topics(topics) => topics.contains(topic),
            Self::TopicsOf(places) => places.contains_key(topic),
            Self::Places(places) => places.get(topic).is_some_and(|partitions| partitions.contains(&partition)),
        }
    }
}

impl Snapshot {
    /// What a rollback touches of a group whose kind is `kind` now: no offset that the run did not change, since its consumers
    /// may have gone on from there.
    pub(super) fn scope<'a>(&'a self, saved: &'a GroupOffsets, kind: &str) -> Scope<'a> {
        match (&saved.changed, &self.topics) {
            (Some(changed), _) if kind == "share" => Scope::TopicsOf(changed),
            (Some(changed), _) => Scope::Places(changed),
            (None, Some(topics)) => Scope::Topics(topics),
            (None, None) => Scope::Saved,
        }
    }
}

impl GroupOffsets {
    /// Adds places in which the run changes offsets.
    fn change(&mut self, places: &Places) {
        let changed = self.changed.get_or_insert_default();
        for (topic, partitions) in places {
            changed.entry(topic.clone()).or_default().extend(partitions);
        }
    }

    /// One by one.
    pub(super) fn listed(&self) -> Vec<GroupOffset> {
        let of_topic = |(topic, partitions): (&String, &BTreeMap<i32, SavedOffset>)| {
            let topic = topic.clone();
            let one = move |(partition, at): (&i32, &SavedOffset)| GroupOffset {
                topic: topic.clone(),
                partition: *partition,
                offset: at.offset,
                leader_epoch: -1,
                metadata: at.metadata.clone(),
            };
            partitions.iter().map(one).collect::<Vec<_>>()
        };
        self.offsets.iter().flat_map(of_topic).collect()
    }
}

/// The kind of groups of snapshots that do not say it.
pub(super) fn classic() -> String {
    "classic".to_owned()
}

/// One committed offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedOffset {
    pub(crate) offset: i64,
    #[serde(default)]
    pub(crate) metadata: Option<String>,
}

/// What a run is about to change.
#[derive(Debug)]
pub(crate) struct Changes<'a> {
    /// Who changes it, in words.
    pub(crate) by: String,
    pub(crate) groups: Vec<ToSave>,
    pub(crate) saving: &'a OffsetSaving,
}

/// A group that is about to be changed.
#[derive(Debug)]
pub(crate) struct ToSave {
    pub(crate) id: String,
    /// Its kind where the cluster does not have it.
    pub(crate) kind: String,
    /// Where its offsets are changed.
    pub(crate) changed: Places,
    /// Configs that are set on it.
    pub(crate) configs: Vec<String>,
}

/// What an earlier attempt of the run saved.
#[derive(Debug)]
pub(crate) struct Earlier {
    before: OffsetsBefore,
    /// Groups that it may have changed: what they have now is not what they had before.
    touched: BTreeSet<String>,
    pub(crate) document: Snapshot,
}

impl Earlier {
    /// Reads it, if it still is there: it may be over and deleted.
    ///
    /// # Errors
    /// When the store fails, or it is damaged.
    pub(crate) async fn read(
        emitter: &Emitter,
        cluster: &str,
        place: &SavedOffsets,
        before: &OffsetsBefore,
        touched: BTreeSet<String>,
    ) -> Result<Option<Self>, Failure> {
        let id = &before.id;
        if let Some(bytes) = place.read(id).await? {
            let document = read(&bytes, &place.place(id), cluster)?;
            return Ok(Some(Self { before: before.clone(), touched, document }));
        }
        if !touched.is_empty() {
            let groups = plural(touched.len() as u64, "consumer group");
            emitter.warn(format!(
                "the saved offsets {id} are gone: what {groups} had before an earlier attempt changed them cannot be put back"
            ));
        }
        Ok(None)
    }
}

/// Saves the offsets of all topics of these groups, and deletes what was saved before and is over. What an earlier attempt
/// saved of groups that it may have changed stays; all others are saved as they are now. Returns what holds all of it:
/// the earlier one where nothing else is to be saved, and nothing where there is nothing.
///
/// # Errors
/// When a group cannot be read, or the store fails: then nothing is changed either.
pub(crate) async fn keep(
    context: &Context,
    emitter: &Emitter,
    (cluster, there): (&Cluster, &There),
    place: &SavedOffsets,
    earlier: Option<Earlier>,
    changes: Changes<'_>,
) -> Result<Option<OffsetsBefore>, Failure> {
    let mut kept = Kept::default();
    if let Some(earlier) = &earlier {
        kept.take(&earlier.document, &earlier.touched);
    }
    let open: Vec<_> = changes.groups.iter().filter(|group| !kept.groups.contains_key(&group.id)).collect();
    let read = now(cluster, there, &open).await?;
    let names: BTreeSet<_> = read.values().flat_map(|group| group.offsets.keys().cloned()).collect();
    for (name, id) in ids(cluster, names).await? {
        kept.topic_ids.entry(name).or_insert(id);
    }
    kept.groups.extend(read);
    changes.groups.iter().for_each(|group| kept.change(group));
    if kept.groups.is_empty() || earlier.as_ref().is_some_and(|earlier| kept.is_in(&earlier.document)) {
        let known = earlier.map(|earlier| earlier.before);
        if let Some(before) = &known {
            emitter.emit(EventKind::OffsetsSaved { before: before.clone() });
        }
        return Ok(known);
    }
    let saved = save(context, cluster, place, kept, &changes).await?;
    crash::at(CrashPoint::OffsetsSaved);
    if let Some(mut earlier) = earlier {
        // The new document has all of it that counts.
        count(emitter, place, &mut earlier.before, context.clock.now()).await;
    }
    emitter.emit(EventKind::OffsetsSaved { before: saved.clone() });
    match delete_expired(place, context.clock.now()).await {
        Ok(0) => {}
        Ok(count) => {
            emitter.warn(format!("saved offsets of {} are over, and are deleted", plural(count, "earlier run")));
        }
        Err(error) => emitter.warn(format!("saved offsets that are over could not be deleted: {error}")),
    }
    Ok(Some(saved))
}

/// What these groups have now.
async fn now(cluster: &Cluster, there: &There, groups: &[&ToSave]) -> Result<BTreeMap<String, GroupOffsets>, Failure> {
    let patience = CoordinatorPatience::new(PATIENCE);
    let of = |group: &&ToSave| there.get(&group.id).cloned().unwrap_or_else(|| unlisted(&group.id, &group.kind));
    let all: Vec<_> = groups.iter().map(of).collect();
    let mut found = offsets_of_all(cluster, &all, &patience, AT_ONCE).await;
    let mut read = BTreeMap::new();
    for group in all {
        let offsets = found.remove(&group.id).ok_or_else(|| unasked(&group.id))??;
        read.insert(group.id.clone(), one(group, offsets));
    }
    let wanted: Vec<(&str, Vec<&str>)> =
        groups.iter().map(|group| (group.id.as_str(), group.configs.iter().map(String::as_str).collect())).collect();
    for (id, set) in configs::now(cluster, &wanted).await? {
        if let Some(group) = read.get_mut(&id) {
            group.configs = set;
        }
    }
    Ok(read)
}

/// What goes into a document.
#[derive(Debug, Default)]
struct Kept {
    groups: BTreeMap<String, GroupOffsets>,
    topics: BTreeSet<String>,
    topic_ids: BTreeMap<String, Uuid>,
}

impl Kept {
    /// Takes over what an earlier document has of these groups.
    fn take(&mut self, old: &Snapshot, touched: &BTreeSet<String>) {
        let groups = old.group_offsets.iter().filter(|(id, _)| touched.contains(*id));
        self.groups.extend(groups.map(|(id, group)| (id.clone(), group.clone())));
        if !self.groups.is_empty() {
            self.topics = old.topics.iter().flatten().cloned().collect();
            self.topic_ids.clone_from(&old.topic_ids);
        }
    }

    /// Notes where the run changes offsets of a group.
    fn change(&mut self, group: &ToSave) {
        self.topics.extend(group.changed.keys().cloned());
        // A document of a release that did not know `changed` goes by its topics for as long as it counts.
        if let Some(kept) = self.groups.get_mut(&group.id).filter(|kept| kept.changed.is_some()) {
            kept.change(&group.changed);
        }
    }

    /// Whether a document has all of it.
    fn is_in(&self, old: &Snapshot) -> bool {
        let has = |(id, group): (&String, &GroupOffsets)| old.group_offsets.get(id) == Some(group);
        let has_topics = || old.topics.as_ref().is_some_and(|topics| self.topics.is_subset(topics));
        self.groups.iter().all(has) && has_topics()
    }
}

/// Ids of those topics that exist and have one.
async fn ids(cluster: &Cluster, names: BTreeSet<String>) -> Result<Vec<(String, Uuid)>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<_> = names.into_iter().collect();
    let topics = cluster.topics(Some(&names)).await?;
    let known = topics.into_iter().filter(|topic| topic.error == 0 && !topic.wire_id.is_nil());
    Ok(known.map(|topic| (topic.name, topic.wire_id)).collect())
}

async fn save(
    context: &Context,
    cluster: &Cluster,
    place: &SavedOffsets,
    kept: Kept,
    changes: &Changes<'_>,
) -> Result<OffsetsBefore, Failure> {
    let now = context.clock.now();
    let (at, nonce) = (context.now_text(), context.nonce());
    let id = id_of(now, changes.saving.keep_hours, nonce.get(..8).unwrap_or(&nonce));
    let document = Snapshot {
        id: id.clone(),
        created_at: at.clone(),
        group_offsets: kept.groups,
        topics: Some(kept.topics),
        topic_ids: kept.topic_ids,
        cluster_id: cluster.cluster_id(),
        description: Some(format!("before {}", changes.by)),
    };
    let bytes = serde_json::to_vec_pretty(&document);
    let bytes = bytes.map_err(|error| Failure::new(Code::Internal, format!("offsets as JSON: {error}")))?;
    let path = place.save(&id, bytes).await?;
    Ok(OffsetsBefore { id, at, path, expires_at: None })
}

/// A group with what it has.
fn one(group: Group, found: Vec<GroupOffset>) -> GroupOffsets {
    let partition_count = Some(found.len());
    let mut offsets: BTreeMap<String, BTreeMap<i32, SavedOffset>> = BTreeMap::new();
    for at in found {
        let offset = SavedOffset { offset: at.offset, metadata: at.metadata };
        offsets.entry(at.topic).or_default().insert(at.partition, offset);
    }
    let changed = Some(Places::new());
    GroupOffsets { group_id: group.id, kind: group.kind, offsets, partition_count, changed, configs: Set::new() }
}

/// The offsets of an archive of another tool as saved ones.
fn of_archive(place: &str, at: Option<i64>, groups: Groups) -> Snapshot {
    let saved = |(partition, offset)| (partition, SavedOffset { offset, metadata: None });
    let topic =
        |(topic, partitions): (String, BTreeMap<i32, i64>)| (topic, partitions.into_iter().map(saved).collect());
    let group = |(group_id, offsets): (String, Offsets)| {
        let (partition_count, changed, configs) = (None, None, Set::new());
        let offsets = offsets.into_iter().map(topic).collect();
        let saved =
            GroupOffsets { group_id: group_id.clone(), kind: classic(), offsets, partition_count, changed, configs };
        (group_id, saved)
    };
    Snapshot {
        id: place.to_owned(),
        created_at: at.map_or_else(String::new, stamp::rfc3339),
        group_offsets: groups.into_iter().map(group).collect(),
        topics: None,
        topic_ids: BTreeMap::new(),
        cluster_id: None,
        description: None,
    }
}

/// Reads saved offsets, all of them or none.
///
/// # Errors
/// When they are no such document, or of another cluster.
pub(crate) fn read(bytes: &[u8], place: &str, cluster: &str) -> Result<Snapshot, Failure> {
    let damaged = |what: String| Failure::new(Code::ArchiveDamaged, format!("the saved offsets {place} {what}"));
    let snapshot: Snapshot = match archived::read(bytes).map_err(damaged)? {
        Some((at, groups)) => of_archive(place, at, groups),
        None => from_json(bytes).map_err(|fault| damaged(format!("are no document of saved offsets: it {fault}")))?,
    };
    if let Some(other) = snapshot.cluster_id.as_deref().filter(|id| !id.is_empty() && *id != cluster) {
        let text = format!("the saved offsets {place} are those of cluster {other}, and this is cluster {cluster}");
        return Err(Failure::new(Code::NoSavedOffsets, text));
    }
    for (id, group) in &snapshot.group_offsets {
        if group.group_id != *id {
            return Err(damaged(format!("name group {id:?} and group {:?} for the same offsets", group.group_id)));
        }
        let count = group.offsets.values().map(BTreeMap::len).sum::<usize>();
        if group.partition_count.is_some_and(|told| told != count) {
            return Err(damaged(format!("have {count} offsets of group {id:?} and another number of them")));
        }
        for (topic, partitions) in &group.offsets {
            if let Some((partition, at)) = partitions.iter().find(|(p, at)| **p < 0 || at.offset < 0) {
                let text = format!("have offset {} of group {id:?} in {topic}/{partition}", at.offset);
                return Err(damaged(text));
            }
        }
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN: &str = r#"{"snapshot_id": "7c", "created_at": "2026-11-01T00:00:00Z", "group_offsets": {"g": {
        "group_id": "g", "partition_count": 2,
        "offsets": {"t": {"0": {"offset": 5, "metadata": null, "timestamp": 7}, "1": {"offset": 0, "metadata": "m"}}}}},
        "restore_id": null, "cluster_id": null, "bootstrap_servers": ["b:9092"], "description": null}"#;

    #[test]
    fn the_groups_of_an_archive_of_another_tool_are_put_back_and_nothing_is_deleted() {
        let text = br#"{"snapshot_time": 5, "groups": [{"group_id": "g", "offsets": {"t": {"0": 7}}}]}"#;
        let snapshot = read(text, "old/consumer-groups-snapshot.json", "c").unwrap();
        let group = &snapshot.group_offsets["g"];
        assert_eq!((group.kind.as_str(), group.offsets["t"][&0].offset), ("classic", 7));
        assert!(matches!(snapshot.scope(group, "classic"), Scope::Saved));
        let negative = br#"{"groups": [{"group_id": "g", "offsets": {"t": {"0": -7}}}]}"#;
        assert_eq!(read(negative, "x", "c").unwrap_err().code, Code::ArchiveDamaged);
    }

    #[test]
    fn a_snapshot_without_our_additions_is_read() {
        let snapshot = read(FOREIGN.as_bytes(), "x", "c").unwrap();
        let group = &snapshot.group_offsets["g"];
        assert_eq!((group.kind.as_str(), group.offsets["t"][&0].offset), ("classic", 5));
        assert!(matches!(snapshot.scope(group, "classic"), Scope::Saved), "it does not say what was changed");
        assert_eq!(group.offsets["t"][&1].metadata.as_deref(), Some("m"));
    }

    #[test]
    fn what_groups_had_before_they_were_changed_stays_and_others_are_saved_as_they_are() {
        let text = r#"{"snapshot_id": "s", "created_at": "2026-11-01T00:00:00Z", "topics": ["t"], "group_offsets": {
            "done": {"group_id": "done", "kind": "classic", "offsets": {"t": {"0": {"offset": 5}}}},
            "open": {"group_id": "open", "kind": "classic", "offsets": {"t": {"0": {"offset": 6}}}}}}"#;
        let old = read(text.as_bytes(), "x", "c").unwrap();
        let mut kept = Kept::default();
        kept.take(&old, &BTreeSet::from(["done".to_owned(), "unknown".to_owned()]));
        assert_eq!(kept.groups.keys().collect::<Vec<_>>(), ["done"]);
        assert!(kept.is_in(&old), "nothing else is to be saved");
        let mut now = old.group_offsets["open"].clone();
        kept.groups.insert("open".into(), now.clone());
        assert!(kept.is_in(&old), "it is as it was");
        now.offsets.get_mut("t").unwrap().get_mut(&0).unwrap().offset = 7;
        kept.groups.insert("open".into(), now);
        assert!(!kept.is_in(&old), "its consumers went on");
        kept.take(&old, &BTreeSet::from(["open".to_owned()]));
        kept.topics.insert("u".into());
        assert!(!kept.is_in(&old), "another topic is changed");
    }

    #[test]
    fn where_offsets_of_a_group_are_changed_is_added_up_over_attempts() {
        let group = |id: &str, partition: i32| ToSave {
            id: id.to_owned(),
            kind: classic(),
            changed: Places::from([("t".to_owned(), BTreeSet::from([partition]))]),
            configs: Vec::new(),
        };
        let new = |id: &str| one(Group { id: id.to_owned(), kind: classic(), state: "Empty".to_owned() }, Vec::new());
        let groups = ["a", "b"].map(|id| (id.to_owned(), new(id))).into();
        let mut kept = Kept { groups, ..Kept::default() };
        kept.change(&group("a", 0));
        kept.change(&group("a", 1));
        let scope = |kept: &Kept, id: &str, kind: &str, at: (&str, i32)| {
            let old = read(FOREIGN.as_bytes(), "x", "c").unwrap();
            let topics = Some(kept.topics.clone());
            Snapshot { topics, ..old }.scope(&kept.groups[id], kind).deletes(at.0, at.1)
        };
        let found = [("t", 0), ("t", 1), ("t", 2), ("u", 0)].map(|at| scope(&kept, "a", "classic", at));
        assert_eq!(found, [true, true, false, false]);
        assert!(scope(&kept, "a", "share", ("t", 2)), "a share group forgets whole topics");
        assert!(!scope(&kept, "b", "classic", ("t", 0)), "the run changes nothing of it");
        // A document of a release that noted topics only.
        kept.groups.get_mut("b").unwrap().changed = None;
        kept.change(&group("b", 0));
        assert!(kept.groups["b"].changed.is_none() && scope(&kept, "b", "classic", ("t", 7)));
    }

    #[test]
    fn what_is_cut_short_or_of_another_cluster_is_refused() {
        let code = |text: &str| read(text.as_bytes(), "x", "c").unwrap_err().code;
        for length in (0..FOREIGN.len()).step_by(7) {
            assert_eq!(code(&FOREIGN[..length]), Code::ArchiveDamaged, "{length}");
        }
        for (from, to) in [
            (r#""partition_count": 2"#, r#""partition_count": 3"#),
            (r#""offset": 5"#, r#""offset": -1"#),
            (r#""group_id": "g""#, r#""group_id": "h""#),
            (r#""0": {"#, r#""-1": {"#),
        ] {
            assert_eq!(code(&FOREIGN.replace(from, to)), Code::ArchiveDamaged, "{to}");
        }
        assert_eq!(code(&FOREIGN.replace(r#""cluster_id": null"#, r#""cluster_id": "d""#)), Code::NoSavedOffsets);
        assert!(read(FOREIGN.replace(r#""cluster_id": null"#, r#""cluster_id": "c""#).as_bytes(), "x", "c").is_ok());
    }
}
