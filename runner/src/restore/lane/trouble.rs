//! Why a lane sends nothing more until all its answers are there, and what follows then. Pure.

use contract::{Code, Failure};
use wire::WireError;

/// Why a lane ended early.
#[derive(Debug)]
pub(crate) enum LaneEnd {
    /// The outcome of a request is not known, or the broker lost track: fence and read where the target is.
    Recover(WireError),
    /// Nothing helps.
    Fail(Failure),
}

impl From<Failure> for LaneEnd {
    fn from(failure: Failure) -> Self {
        Self::Fail(failure)
    }
}

/// One reason.
#[derive(Debug)]
pub(super) enum Trouble {
    /// A batch was too large: its halves go next.
    Halve,
    /// A batch was not appended: it goes again after a pause.
    Resend(WireError),
    /// The lane ends.
    End(LaneEnd),
}

impl Trouble {
    fn weight(&self) -> u8 {
        match self {
            Self::Halve => 0,
            Self::Resend(_) => 1,
            Self::End(LaneEnd::Recover(_)) => 2,
            Self::End(LaneEnd::Fail(failure)) if failure.code != Code::Fenced => 3,
            // Whoever was fenced knows nothing of what else happened.
            Self::End(LaneEnd::Fail(_)) => 4,
        }
    }
}

/// All that went wrong since the lane last sent something.
#[derive(Debug, Default)]
pub(super) struct Troubles(Option<Trouble>);

impl Troubles {
    pub(super) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// Keeps the worst; of equal ones the first.
    pub(super) fn add(&mut self, trouble: Trouble) {
        if self.0.as_ref().is_none_or(|known| known.weight() < trouble.weight()) {
            self.0 = Some(trouble);
        }
    }

    pub(super) fn worst(&mut self) -> Option<Trouble> {
        self.0.take()
    }
}

/// A place of the state that a lane does not have: a defect of ours, never a record that may be left out.
pub(super) fn lost(place: usize) -> Failure {
    Failure::new(Code::Internal, format!("the lane has no target partition number {place}"))
}
