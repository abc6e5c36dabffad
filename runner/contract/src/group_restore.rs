//! What a restore does with the committed offsets of consumer groups.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::shared_targets;
use crate::offset_saving::OffsetSaving;
use crate::selection::{PatternSyntax, Selection};

/// Which consumer groups of a recovery point a restore takes along, and whether it commits their offsets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupRestore {
    /// Groups of the recovery point, by id or pattern; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Groups to leave out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How the patterns are written.
    #[serde(default)]
    pub pattern_syntax: PatternSyntax,
    /// Group of the source to group of the target; others keep their ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mapping: BTreeMap<String, String>,
    /// How the offsets are saved that the groups have in the target before.
    #[serde(default)]
    pub saving: OffsetSaving,
    /// Put the saved offsets back when committing fails for good for some group after others were changed. The records stay.
    #[serde(default)]
    pub roll_back_on_failure: bool,
    /// Save an offset mapping beside the state of the restore: where the records of each source partition went. Resets go by it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub save_mapping: bool,
    /// Commit the offsets once all records are in the target. Without it the report says where each group would stand.
    #[serde(default)]
    pub commit: bool,
}

/// What was left out before this field was there is not written now either: states are named by the digest of this block.
#[allow(clippy::trivially_copy_pass_by_ref)] // serde asks with a reference
fn is_false(flag: &bool) -> bool {
    !flag
}

impl GroupRestore {
    /// The target's id of a source group.
    #[must_use]
    pub fn target_of<'a>(&'a self, source: &'a str) -> &'a str {
        self.mapping.get(source).map_or(source, String::as_str)
    }

    /// The compiled patterns.
    ///
    /// # Errors
    /// The pattern that does not compile, and why.
    pub fn selection(&self) -> Result<Selection, String> {
        Selection::new(&self.include, &self.exclude, self.pattern_syntax)
    }

    /// Rules inside; paths are relative to this block.
    pub(crate) fn check(&self, out: &mut Vec<(String, String)>) {
        if let Err(rule) = self.selection() {
            out.push(("include".into(), rule));
        }
        self.saving.check(out);
        if self.saving.skip && self.roll_back_on_failure {
            out.push(("rollBackOnFailure".into(), "needs saved offsets; remove saving.skip, or this".into()));
        }
        for (source, target, rule) in shared_targets(&self.mapping) {
            out.push((format!("mapping.{source}"), format!("is {target:?}; {rule}")));
        }
        for (source, _) in self.mapping.iter().filter(|(_, target)| target.is_empty()) {
            out.push((format!("mapping.{source}"), "is empty; write the id of a group".into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_groups_never_become_one() {
        let mapping = [("a", "x"), ("b", "x"), ("c", "")].map(|(from, to)| (from.to_owned(), to.to_owned()));
        let mut groups = GroupRestore { mapping: mapping.into(), ..GroupRestore::default() };
        let mut out = Vec::new();
        groups.check(&mut out);
        let fields: Vec<_> = out.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(fields, ["mapping.b", "mapping.c"], "{out:?}");
        (groups.mapping, groups.roll_back_on_failure, groups.saving.skip) = (BTreeMap::new(), true, true);
        let mut out = Vec::new();
        groups.check(&mut out);
        assert_eq!(out[0].0, "rollBackOnFailure", "nothing was saved to go back to");
    }
}
