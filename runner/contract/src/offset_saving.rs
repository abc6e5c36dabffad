//! How committed offsets of consumer groups are saved before a run changes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::StoreSpec;

/// Most hours for which saved offsets are kept: ten years.
const MOST_HOURS: u32 = 87_600;

/// Saving of committed offsets before they are changed. A run that cannot save them changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OffsetSaving {
    /// Do not save them: they cannot be put back then.
    #[serde(default)]
    pub skip: bool,
    /// Hours for which they are kept after the end of the run; 1 to 87600. The next run that saves offsets of this cluster in the
    /// same storage deletes what is over. Kept for ever when absent, and while the run is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_hours: Option<u32>,
    /// Where they are saved; beside the state of the run when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StoreSpec>,
}

impl OffsetSaving {
    /// Rules inside; paths are relative to the block that has `saving`.
    pub(crate) fn check(&self, out: &mut Vec<(String, String)>) {
        if let Some(hours) = self.keep_hours.filter(|hours| !(1..=MOST_HOURS).contains(hours)) {
            out.push(("saving.keepHours".into(), format!("is {hours}; it must be 1 to {MOST_HOURS}")));
        }
        let storage = self.storage.iter().flat_map(StoreSpec::findings);
        out.extend(storage.map(|(field, rule)| (format!("saving.storage.{field}"), rule)));
    }
}
