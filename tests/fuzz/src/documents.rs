//! Documents of an archive, of restores and of committed offsets, as whoever writes to the bucket can leave them.

use std::sync::LazyLock;

use archive::segment::Footer;
use archive::{Entry, GroupSnapshot, SetDocument, SideDocument, TopicConfigs, from_json};
use contract::RunSpec;
use serde_json::Value;

use crate::forge::Objects;
use crate::ways;

/// The first bytes of a zstd frame.
const PACKED: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes of a segment's trailer.
const TRAILER: usize = 48;

/// What an honest archive holds.
pub(crate) static HONEST: LazyLock<Objects> = LazyLock::new(|| ways::runtime().block_on(ways::honest()));

fn objects(part: &'static str) -> impl Iterator<Item = &'static Vec<u8>> {
    HONEST.iter().filter(move |(key, _)| key.contains(part)).map(|(_, bytes)| bytes)
}

/// A document as JSON.
fn open(bytes: &[u8]) -> Vec<u8> {
    if bytes.starts_with(&PACKED) { zstd::decode_all(bytes).unwrap() } else { bytes.to_vec() }
}

/// As it is, and as the writer would have packed it: what is changed in the JSON gets past the frame's checksum.
fn both(data: &[u8]) -> [Vec<u8>; 2] {
    [data.to_vec(), zstd::bulk::compress(data, 1).unwrap()]
}

pub(crate) fn entries() -> Vec<Vec<u8>> {
    let all: Vec<_> = objects("/log/main/").map(|bytes| open(bytes)).collect();
    all.iter().take(4).chain(all.iter().rev().take(4)).cloned().collect()
}

/// What is read is written back the same.
pub(crate) fn entry(data: &[u8]) {
    let number = serde_json::from_slice::<Value>(data).ok().and_then(|json| json["n"].as_u64()).unwrap_or(0);
    for bytes in both(data) {
        let Ok(entry) = Entry::decode("fuzz", number, &bytes) else { continue };
        if let Ok(again) = entry.encode() {
            assert_eq!(Entry::decode("fuzz", number, &again).ok(), Some(entry));
        }
    }
}

pub(crate) fn footers() -> Vec<Vec<u8>> {
    let footer = |bytes: &Vec<u8>| {
        let (rest, trailer) = bytes.split_at(bytes.len() - TRAILER);
        let length = u64::from_le_bytes(trailer[..8].try_into().unwrap());
        open(&rest[rest.len() - usize::try_from(length).unwrap()..])
    };
    objects(".seg").take(4).map(footer).collect()
}

pub(crate) fn footer(data: &[u8]) {
    for bytes in both(data) {
        drop(Footer::decode("fuzz", &bytes));
    }
}

pub(crate) fn sets() -> Vec<Vec<u8>> {
    objects("set.json").map(|bytes| open(bytes)).collect()
}

pub(crate) fn set(data: &[u8]) {
    drop(from_json::<SetDocument>(data));
}

pub(crate) fn sides() -> Vec<Vec<u8>> {
    const GROUPS: &str = r#"{"format":1,"content":[{"group":"g","kind":"consumer","positions":[
        {"topic":"t","topicId":"00000000-0000-0000-0000-000000000001","partition":0,"offset":5,"leaderEpoch":1,"metadata":"m"}]}]}"#;
    objects("/side/").take(4).map(|bytes| open(bytes)).chain([GROUPS.into()]).collect()
}

/// Group positions beside a seal are written back the same.
pub(crate) fn groups(data: &[u8]) {
    type Groups = SideDocument<Vec<GroupSnapshot>>;
    if let Ok(groups) = from_json::<Groups>(data) {
        let again = from_json::<Groups>(&serde_json::to_vec(&groups).unwrap()).unwrap();
        assert_eq!(again.content, groups.content);
    }
}

pub(crate) fn configs(data: &[u8]) {
    drop(from_json::<SideDocument<TopicConfigs>>(data));
}

/// The restore of a whole set, which takes most plans.
static RESTORE: LazyLock<RunSpec> = LazyLock::new(|| {
    let text = r#"{"formatVersion": 1, "name": "r", "kafka": {"bootstrapServers": ["h:1"]},
        "storage": {"type": "filesystem", "path": "x"}, "restore": {"existingTopics": "purge"}}"#;
    serde_json::from_str(text).unwrap()
});

pub(crate) fn restores() -> Vec<Vec<u8>> {
    const PLAN: &str = r#"{"format":1,"point":"p","digest":"","cluster":"c","offsetHeaders":true,"window":[0,1],"forks":[],"older":[],"topics":[]}"#;
    const STATE: &str = r#"{"namespace":"","name":"r","life":"l","set":"s","entry":0,"digest":"","plan":"","topics":[],"partitions":[]}"#;
    vec![[PLAN.as_bytes(), b"\0", STATE.as_bytes()].concat()]
}

/// A plan, a zero and a state: an attempt refuses them or goes on.
pub(crate) fn restore(data: &[u8]) {
    let half = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (plan, state) = data.split_at(half);
    let _ = runner::documents::may_go_on(&RESTORE, plan, state.get(1..).unwrap_or_default());
}

pub(crate) fn saved() -> Vec<Vec<u8>> {
    const SAVED: &str = r#"{"snapshot_id": "s", "created_at": "2026-11-01T00:00:00Z", "topics": ["t"], "cluster_id": "c",
        "topic_ids": {"t": "00000000-0000-0000-0000-000000000007"}, "group_offsets": {"g": {"group_id": "g", "kind": "classic",
        "partition_count": 2, "changed": {"t": [0, 1]}, "offsets": {"t": {"0": {"offset": 5, "metadata": "m"}, "1": {"offset": 70}}}}}}"#;
    vec![SAVED.into()]
}

pub(crate) fn saved_offsets(data: &[u8]) {
    let _ = runner::documents::are_saved_offsets(data);
}

pub(crate) fn mappings() -> Vec<Vec<u8>> {
    const MAPPING: &str = r#"{"format_version": 2, "target_cluster_id": "c", "created_at": 1, "detailed_mappings": {"t/0": [
        {"source_start": 10, "target_start": 0, "len": 10, "first_timestamp": 1, "last_timestamp": 9},
        {"source_start": 30, "target_start": 10, "len": 5, "first_timestamp": 10, "last_timestamp": 19}]}, "entries": {"t/0": {
        "topic": "t", "partition": 0, "source_first_offset": 10, "source_last_offset": 34, "target_first_offset": 0,
        "target_last_offset": 14, "first_timestamp": 1, "last_timestamp": 19}}, "consumer_groups": {"g": {"group_id": "g",
        "kind": "classic", "offsets": {"t": {"0": {"source_offset": 12, "target_offset": 2, "timestamp": 1}}}}}}"#;
    vec![MAPPING.into()]
}

/// Where a restore put records: whoever looks for an offset in it comes back.
pub(crate) fn mapping(data: &[u8]) {
    let offsets = [i64::MIN, -1, 0, 12, 25, 34, 40, i64::MAX];
    let _ = runner::documents::is_offset_mapping(data, "t", &offsets);
}
