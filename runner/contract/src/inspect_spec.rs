//! What a pod that answers questions about an archive is told.

use serde::{Deserialize, Serialize};

use crate::StoreSpec;
use crate::allowed::{AllowedEndpoints, outside};
use crate::run_spec::{FORMAT_VERSION, RunSpec};
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
    /// Where the pod may connect to, as in run specifications; everywhere when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_endpoints: Vec<String>,
    /// The run whose connections are checked; then nothing of the archive is answered for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Box<RunSpec>>,
    /// The run whose brokers may be asked: where consumer groups stand now or, with `readsSource`, how the source differs from a
    /// recovery point; absent: nobody asks them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Box<RunSpec>>,
    /// Whether the records of the source are read, to compare them with the archive's. None of what they hold is shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reads_source: bool,
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
        let runs = self.check.iter().chain(&self.source);
        if let Some(finding) = runs.flat_map(|run| run.findings()).next() {
            return Some(finding.to_string());
        }
        if let Some((field, rule)) = self.storage.findings().first() {
            return Some(format!("storage.{field} {rule}"));
        }
        let allowed = match AllowedEndpoints::parse(&self.allowed_endpoints) {
            Ok(allowed) => allowed,
            Err((place, rule)) => return Some(format!("allowedEndpoints[{place}] {rule}")),
        };
        let (host, port) = self.storage.authority()?;
        (!allowed.allows(&host, port)).then(|| format!("storage: {}", outside(&format!("{host}:{port}"))))
    }
}
