//! What stands for an answer in the library's errors, where the answer was found on this side.

use contract::Code;

use crate::answer::Answer;

/// What stands for an answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unanswered(pub(super) String);

impl Unanswered {
    /// The library's error for what was found on this side.
    pub(super) fn found(code: Code, words: String) -> object_store::Error {
        let source = Box::new(Self(Answer::found(code, words).mark()));
        object_store::Error::Generic { store: "identity", source }
    }
}
