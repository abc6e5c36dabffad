//! One line of what a check found, for people and programs.

use serde::{Deserialize, Serialize};

use crate::code::{Code, Failure};

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// A run can use it.
    Ok,
    /// A run can use it, and somebody should know something.
    Note,
    /// A run cannot use it.
    Fail,
}

impl Verdict {
    /// The mark before a line.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Fail => "FAIL",
        }
    }
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckLine {
    /// `kafka`, `storage`, `stateStorage`, `savedOffsets`, `mapping` or `checkpoint`: what of the specification it is about.
    pub part: String,
    /// What was tried.
    pub check: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen; of a failure, with what to change.
    pub detail: String,
    /// The error code that a run would end with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

impl CheckLine {
    /// A line without an error code.
    pub fn new(part: &str, check: &str, verdict: Verdict, detail: impl Into<String>) -> Self {
        Self { part: part.to_owned(), check: check.to_owned(), verdict, detail: detail.into(), code: None }
    }

    /// What would end a run.
    #[must_use]
    pub fn failed(part: &str, check: &str, failure: Failure) -> Self {
        Self { code: Some(failure.code), ..Self::new(part, check, Verdict::Fail, failure.message) }
    }

    /// The failure that a run would end with.
    #[must_use]
    pub fn failure(&self) -> Option<Failure> {
        self.code.map(|code| Failure::new(code, self.detail.clone()))
    }
}
