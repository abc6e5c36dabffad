//! Which evidence a validation leaves behind. Keys stand in files, never in the specification.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{StoreSpec, paths};

/// Days for which evidence is kept when nothing is said.
pub const EVIDENCE_DAYS: u32 = 90;

/// Evidence of a validation: a document in JSON with what was asked, what was read and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EvidenceSpec {
    /// Whether pages for people (PDF) that show the document are written, too.
    #[serde(default)]
    pub pdf: bool,
    /// How it is signed; not at all when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing: Option<SigningSpec>,
    /// Where it is kept; beside the archive when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StoreSpec>,
    /// Days for which it is kept, at least; greater than 0. A later run of the same name and namespace deletes what is older.
    #[serde(default = "days")]
    pub retention_days: u32,
}

fn days() -> u32 {
    EVIDENCE_DAYS
}

/// A pair of keys: ECDSA over P-256 with SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningSpec {
    /// File with the private key: PKCS#8 in PEM.
    pub private_key_file: String,
    /// File with the public key in PEM. It must belong to the private key.
    pub public_key_file: String,
}

impl EvidenceSpec {
    /// Broken rules: field below `evidence`, and the rule.
    pub(crate) fn findings(&self) -> Vec<(String, String)> {
        let mut out: Vec<(String, String)> = Vec::new();
        for (field, file) in self.files() {
            if let Err(rule) = paths::check_file(file) {
                out.push((field.to_owned(), format!("is {file:?}; it {rule}")));
            }
        }
        let storage = self.storage.iter().flat_map(StoreSpec::findings);
        out.extend(storage.map(|(field, rule)| (format!("storage.{field}"), rule)));
        if self.retention_days == 0 {
            out.push(("retentionDays".to_owned(), "must be greater than 0; leave it out for 90".to_owned()));
        }
        out
    }

    fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.signing.iter().flat_map(|signing| {
            [
                ("signing.privateKeyFile", signing.private_key_file.as_str()),
                ("signing.publicKeyFile", signing.public_key_file.as_str()),
            ]
        })
    }

    /// Files with secrets that it names, but for those of its storage.
    pub fn secret_files(&self) -> impl Iterator<Item = &str> {
        self.files().map(|(_, file)| file)
    }
}
