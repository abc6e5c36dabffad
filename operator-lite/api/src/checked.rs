//! The kinds whose runs connect to brokers or stores, which a check tries out. Pure.

use serde_json::Value;

use crate::{oso, strimzi};

/// A kind whose runs can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// Its group.
    pub group: &'static str,
    /// Its versions, the usual one first.
    pub versions: &'static [&'static str],
    /// Its name.
    pub kind: &'static str,
    /// Its resource, as rights name it.
    pub plural: &'static str,
    /// How a command line may name it, in front of a `/`.
    pub short: &'static str,
}

const fn kind(
    group: &'static str,
    versions: &'static [&'static str],
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
) -> Checked {
    Checked { group, versions, kind, plural, short }
}

const ONE: &[&str] = &["v1alpha1"];
const TWO: &[&str] = &["v1", "v1alpha1"];

/// All of them.
pub const CHECKED: [Checked; 9] = [
    kind(oso::GROUP, ONE, "KafkaBackup", "kafkabackups", "backup"),
    kind(oso::GROUP, ONE, "KafkaRestore", "kafkarestores", "restore"),
    kind(oso::GROUP, ONE, "KafkaOffsetReset", "kafkaoffsetresets", "offsetreset"),
    kind(oso::GROUP, ONE, "KafkaOffsetRollback", "kafkaoffsetrollbacks", "offsetrollback"),
    kind(oso::GROUP, ONE, "KafkaBackupValidation", "kafkabackupvalidations", "validation"),
    kind(strimzi::GROUP, ONE, "KafkaBackup", "kafkabackups", "backup"),
    kind(strimzi::GROUP, ONE, "KafkaRestore", "kafkarestores", "restore"),
    kind(strimzi::RELEASED_GROUP, TWO, "KafkaBackup", "kafkabackups", "backup"),
    kind(strimzi::RELEASED_GROUP, TWO, "KafkaRestore", "kafkarestores", "restore"),
];

impl Checked {
    /// The kind of an `apiVersion` and a `kind`.
    #[must_use]
    pub fn of(api_version: &str, kind: &str) -> Option<Self> {
        let (group, version) = api_version.split_once('/')?;
        let is_it = |known: &Self| known.group == group && known.kind == kind && known.versions.contains(&version);
        CHECKED.into_iter().find(is_it)
    }

    /// The kind of a document.
    #[must_use]
    pub fn of_document(document: &Value) -> Option<Self> {
        let text = |field: &str| document.get(field).and_then(Value::as_str);
        Self::of(text("apiVersion")?, text("kind")?)
    }

    /// Its usual `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.group, self.versions.first().unwrap_or(&""))
    }
}

/// The names of all kinds, with their groups, for messages.
#[must_use]
pub fn known() -> String {
    let of = |group: &str| {
        let kinds: Vec<_> = CHECKED.iter().filter(|known| known.group == group).map(|known| known.kind).collect();
        format!("{} of {group}", kinds.join(", "))
    };
    [oso::GROUP, strimzi::GROUP, strimzi::RELEASED_GROUP].map(of).join("; ")
}
