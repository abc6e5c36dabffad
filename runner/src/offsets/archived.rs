//! The committed offsets in an archive of the OSO tool, `consumer-groups-snapshot.json`, as saved offsets that a rollback puts
//! back. Pure.
//!
//! The file says neither its cluster nor what somebody changed: all of it is put back, nothing is deleted, and an offset that the
//! log does not have is left out.

use std::collections::BTreeMap;

use archive::{JsonError, from_json};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Offsets of a group, by topic and partition.
pub(super) type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;
/// Offsets by group.
pub(super) type Groups = BTreeMap<String, Offsets>;

/// What tells the form of a document.
#[derive(Deserialize)]
struct Marks {
    groups: Option<Vec<IgnoredAny>>,
    group_offsets: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    snapshot_time: Option<i64>,
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    group_id: String,
    #[serde(default)]
    offsets: BTreeMap<String, BTreeMap<String, i64>>,
}

/// The time and the groups of such a document; `None` where it is none.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Option<i64>, Groups)>, String> {
    // What has another form is judged by whoever reads that.
    let is_one = from_json::<Marks>(bytes).is_ok_and(|marks| marks.groups.is_some() && marks.group_offsets.is_none());
    if !is_one {
        return Ok(None);
    }
    let document: Document = from_json(bytes).map_err(|fault: JsonError| format!("cannot be read: it {fault}"))?;
    let mut out = Groups::new();
    for group in document.groups {
        let mut offsets = Offsets::new();
        for (topic, partitions) in group.offsets {
            let of_topic = offsets.entry(topic.clone()).or_default();
            for (partition, offset) in partitions {
                let number: i32 =
                    partition.parse().map_err(|_| format!("name partition {partition:?} of topic {topic}"))?;
                of_topic.insert(number, offset);
            }
        }
        if out.insert(group.group_id.clone(), offsets).is_some() {
            return Err(format!("have group {:?} twice", group.group_id));
        }
    }
    Ok(Some((document.snapshot_time, out)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_an_archive_are_read_and_other_documents_are_left_to_others() {
        let text = br#"{"snapshot_time": 5, "groups": [{"group_id": "g", "offsets": {"t": {"0": 7, "11": 0}}}, {"group_id": "h"}]}"#;
        let (at, groups) = read(text).unwrap().unwrap();
        assert_eq!((at, groups.len()), (Some(5), 2));
        assert_eq!(groups["g"]["t"][&11], 0);
        assert_eq!(read(br#"{"group_offsets": {}, "snapshot_id": "s", "created_at": ""}"#), Ok(None));
        assert_eq!(read(br#"[{"group": "g"}]"#), Ok(None));
        assert_eq!(read(b"nothing"), Ok(None));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let wrong = |text: &str| read(text.as_bytes()).unwrap_err();
        assert!(wrong(r#"{"groups": [{"group_id": "g", "offsets": {"t": {"x": 7}}}]}"#).contains("partition \"x\""));
        assert!(wrong(r#"{"groups": [{"group_id": "g"}, {"group_id": "g"}]}"#).contains("twice"));
        assert!(wrong(r#"{"groups": [{"offsets": {}}]}"#).contains("cannot be read"));
    }
}
