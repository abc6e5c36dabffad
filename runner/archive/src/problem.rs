//! Something of an archive that is not as it should be: what is wrong, or only missing, with its object.

use serde::{Deserialize, Serialize};

use crate::ArchiveError;

/// Something that is wrong with an object, or worth knowing of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Problem {
    /// The object; empty when it is about no single one.
    pub key: String,
    /// What is wrong with it.
    pub what: String,
}

impl Problem {
    /// About this object.
    pub(crate) fn new(key: impl ToString, what: impl ToString) -> Self {
        Self { key: key.to_string(), what: what.to_string() }
    }

    /// What this error says.
    pub(crate) fn of(error: &ArchiveError) -> Self {
        match error {
            ArchiveError::Damaged { key, reason } => Self::new(key, reason),
            other => Self::new("", other),
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.key.is_empty() { f.write_str(&self.what) } else { write!(f, "{}: {}", self.key, self.what) }
    }
}
