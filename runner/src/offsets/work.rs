//! A consumer group that a run works on, and what keeps it from being done.

use std::time::Duration;

use contract::{ExitCode, Failure, GroupLine, GroupOutcome};

/// How long brokers that do not answer are waited for when groups are looked at.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A group's line, with what is committed beside each offset.
#[derive(Debug, Clone)]
pub(crate) struct GroupWork {
    pub(crate) line: GroupLine,
    /// The metadata of each offset's commit.
    pub(crate) metadata: Vec<Option<String>>,
    /// Whether what kept it from being done may pass by itself.
    pub(crate) may_pass: bool,
    /// Whether something was sent that changes the group.
    pub(crate) sent: bool,
}

impl GroupWork {
    /// A group whose offsets cannot be changed.
    pub(crate) fn fail(&mut self, reason: String) {
        self.line.outcome = GroupOutcome::Failed;
        self.line.reason = Some(reason);
    }
}

/// Why a group is not as it should be.
pub(super) struct Trouble {
    pub(super) text: String,
    pub(super) may_pass: bool,
}

impl Trouble {
    pub(super) fn stays(text: impl Into<String>) -> Self {
        Self { text: text.into(), may_pass: false }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { may_pass: failure.code.exit() == ExitCode::Resumable, text: failure.message }
    }
}
