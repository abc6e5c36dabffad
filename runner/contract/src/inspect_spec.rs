//! What a pod that answers questions about an archive is told.

use serde::{Deserialize, Serialize};

use crate::StoreSpec;
use crate::run_spec::FORMAT_VERSION;
use crate::set_owner::SetOwner;

/// Port on the pod's own loopback where questions are taken: reached by port-forward only.
pub const INSPECT_PORT: u16 = 8099;

/// A pod that answers questions, for one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InspectSpec {
    /// Version of this document; 1.
    pub format_version: u32,
    /// Name of the backup that may be asked about; other sets of the storage are not answered for.
    pub name: String,
    /// Whose set it must be; those of others are not answered for. Not asked when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<SetOwner>,
    /// Where the archive is.
    pub storage: StoreSpec,
    /// BLAKE3-256 of the token that every question must carry, 64 hexadecimal digits.
    pub token_digest: String,
    /// Whether what records hold may be shown.
    pub records: bool,
    /// Seconds without a question after which the pod ends.
    pub idle_secs: u64,
}

impl InspectSpec {
    /// What is wrong with it; `None` when it is good.
    #[must_use]
    pub fn finding(&self) -> Option<String> {
        if self.format_version != FORMAT_VERSION {
            return Some(format!("formatVersion is {}; this release reads {FORMAT_VERSION}", self.format_version));
        }
        let findings = self.storage.findings();
        findings.first().map(|(field, rule)| format!("storage.{field} {rule}"))
    }
}
