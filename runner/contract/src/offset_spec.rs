//! Runs that change committed offsets of consumer groups and no records: a reset, and a rollback to offsets that were saved
//! before.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::StoreSpec;
use crate::offset_saving::OffsetSaving;

/// Most groups that are worked on at once.
pub const MOST_AT_ONCE: u32 = 1_000;

/// Sets the committed offsets of consumer groups. They are saved in the storage of the run first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OffsetResetSpec {
    /// Groups by id; at least one.
    pub groups: Vec<String>,
    /// Where their offsets go.
    pub to: ResetTo,
    /// Topics by name: only committed offsets of these are set. All that a group has when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Groups that are worked on at once; 1 to 1000.
    #[serde(default = "fifty")]
    pub parallelism: u32,
    /// Set the offsets of the other groups where those of one cannot be set. Without it nothing is written then.
    #[serde(default)]
    pub continue_on_error: bool,
    /// How the offsets are saved that the groups have before.
    #[serde(default)]
    pub saving: OffsetSaving,
    /// Report where each group would stand, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

fn fifty() -> u32 {
    50
}

/// Where offsets go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ResetTo {
    /// The first record of each partition.
    Earliest,
    /// The end of each partition.
    Latest,
    /// The first record of this time or later, in milliseconds since 1970; the end where there is none.
    Timestamp(i64),
    /// This offset; where a partition does not have it, the nearer end of the partition.
    Offset(i64),
    /// Where a restore put the record that the group would have read next.
    Mapping(Box<MappingPlace>),
}

/// Where an offset mapping is: the file in which a restore wrote where records went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingPlace {
    /// Its object: relative to the prefix or directory of its storage, or as the report of the restore says it.
    pub path: String,
    /// Its storage; that of the run when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StoreSpec>,
}

/// Puts back committed offsets of consumer groups that were saved before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OffsetRollbackSpec {
    /// The saved offsets.
    pub from: SavedOffsets,
    /// Groups by id; all that were saved when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Do not read the offsets back and compare them.
    #[serde(default)]
    pub without_verification: bool,
    /// Report where each group would stand, and write nothing.
    #[serde(default)]
    pub dry_run: bool,
}

/// Where saved offsets are in the storage of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SavedOffsets {
    /// Their name, as a restore or a reset reported it.
    Id(String),
    /// Their object: relative to the storage's prefix or directory, or as a report says it.
    Path(String),
}

impl OffsetResetSpec {
    /// Rules inside; paths are relative to this block.
    pub(crate) fn check(&self, out: &mut Vec<(String, String)>) {
        if self.groups.is_empty() {
            out.push(("groups".into(), "must name at least one consumer group".into()));
        }
        names("groups", &self.groups, out);
        names("topics", &self.topics, out);
        let parallelism = self.parallelism;
        if parallelism == 0 || parallelism > MOST_AT_ONCE {
            out.push(("parallelism".into(), format!("is {parallelism}; it must be 1 to {MOST_AT_ONCE}")));
        }
        match &self.to {
            ResetTo::Timestamp(millis) if *millis < 0 => {
                let rule = format!("is {millis}; it must be milliseconds since 1970; use earliest for the start");
                out.push(("to.timestamp".into(), rule));
            }
            ResetTo::Offset(offset) if *offset < 0 => {
                let rule = format!("is {offset}; it must not be negative; use earliest or latest for the ends");
                out.push(("to.offset".into(), rule));
            }
            ResetTo::Earliest | ResetTo::Latest | ResetTo::Timestamp(_) | ResetTo::Offset(_) => {}
            ResetTo::Mapping(mapping) => {
                object_path("to.mapping.path", &mapping.path, out);
                let storage = mapping.storage.iter().flat_map(StoreSpec::findings);
                out.extend(storage.map(|(field, rule)| (format!("to.mapping.storage.{field}"), rule)));
            }
        }
        self.saving.check(out);
    }
}

impl OffsetRollbackSpec {
    /// Rules inside; paths are relative to this block.
    pub(crate) fn check(&self, out: &mut Vec<(String, String)>) {
        names("groups", &self.groups, out);
        match &self.from {
            SavedOffsets::Id(id) => {
                if let Err(rule) = crate::names::check_name(id) {
                    out.push(("from.id".into(), format!("is {id:?}; {rule}")));
                }
            }
            SavedOffsets::Path(path) => object_path("from.path", path, out),
        }
    }
}

/// The path of an object is one inside its storage, or the whole place of it.
fn object_path(field: &str, path: &str, out: &mut Vec<(String, String)>) {
    let inside = path.split_once("://").map_or(path, |(_, rest)| rest);
    let inside = inside.strip_prefix('/').unwrap_or(inside);
    if inside.is_empty() || inside.split('/').any(|part| matches!(part, "" | "." | "..")) {
        out.push((field.into(), format!("is {path:?}; write the path of the object, without a slash at its end")));
    }
}

/// Names are there, and each once.
fn names(field: &str, names: &[String], out: &mut Vec<(String, String)>) {
    let mut known = HashSet::new();
    for (number, name) in names.iter().enumerate() {
        if name.is_empty() {
            out.push((format!("{field}[{number}]"), "is empty; write a name".into()));
        } else if !known.insert(name.as_str()) {
            out.push((format!("{field}[{number}]"), format!("is {name:?} a second time; remove it")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(check: impl Fn(&mut Vec<(String, String)>)) -> Vec<String> {
        let mut out = Vec::new();
        check(&mut out);
        out.into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn a_reset_says_where_to() {
        let reset = |to: &str, more: &str| {
            let text = format!(r#"{{"groups": ["a"], "to": {to}{more}}}"#);
            let spec: OffsetResetSpec = serde_json::from_str(&text).unwrap();
            fields(|out| spec.check(out))
        };
        for to in [r#""earliest""#, r#""latest""#, r#"{"offset": 5}"#, r#"{"timestamp": 0}"#] {
            assert!(reset(to, "").is_empty(), "{to}");
        }
        assert!(reset(r#"{"mapping": {"path": "a/offset-mapping.json"}}"#, "").is_empty());
        assert_eq!(reset(r#"{"mapping": {"path": "a/../b"}}"#, ""), ["to.mapping.path"]);
        assert_eq!(reset(r#"{"offset": -1}"#, r#", "parallelism": 0"#), ["parallelism", "to.offset"]);
        let topics = r#", "topics": ["t", "t", ""]"#;
        assert_eq!(reset(r#"{"timestamp": -1}"#, topics), ["topics[1]", "topics[2]", "to.timestamp"]);
        assert_eq!(reset(r#""latest""#, r#", "saving": {"keepHours": 0}"#), ["saving.keepHours"]);
    }

    #[test]
    fn a_rollback_names_what_was_saved() {
        let rollback = |from| {
            let spec = OffsetRollbackSpec { from, groups: Vec::new(), without_verification: false, dry_run: false };
            fields(|out| spec.check(out))
        };
        assert!(rollback(SavedOffsets::Id("before-1".into())).is_empty());
        assert!(rollback(SavedOffsets::Path("offset-snapshots/1/snapshot.json".into())).is_empty());
        for path in ["s3://bucket/p/_offsets/c/saved/a.json", "/var/backups/a.json"] {
            assert!(rollback(SavedOffsets::Path(path.into())).is_empty(), "as a status tells it: {path}");
        }
        for path in ["", "//a", "a/", "../a", "s3://"] {
            assert_eq!(rollback(SavedOffsets::Path(path.into())), ["from.path"], "{path}");
        }
        assert_eq!(rollback(SavedOffsets::Id("a/b".into())), ["from.id"]);
    }
}
