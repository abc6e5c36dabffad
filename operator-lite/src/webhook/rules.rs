//! What an installation asks of resources, beside what is right for all.

use api::finding::Level;
use contract::AllowedEndpoints;

/// What happens to a resource whose author lacks a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Rights {
    /// It is refused.
    Refuse,
    /// It is kept, with a warning: while authors of older resources get their rights.
    Warn,
}

/// What happens to a resource whose store would be reached with the identity of the pod, which nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ambient {
    /// It is kept.
    Allow,
    /// It is kept, with a warning.
    Warn,
    /// It is refused.
    Refuse,
}

impl Ambient {
    /// How much a store without credentials weighs.
    pub(super) fn level(self) -> Option<Level> {
        match self {
            Self::Allow => None,
            Self::Warn => Some(Level::Warning),
            Self::Refuse => Some(Level::Error),
        }
    }
}

/// What an installation asks of resources, beside what is right for all.
#[derive(Debug, Clone)]
pub struct Rules {
    /// What happens where an author lacks a right.
    pub rights: Rights,
    /// What happens where a store has no credentials.
    pub ambient: Ambient,
    /// Where resources may point to.
    pub allowed: AllowedEndpoints,
}
