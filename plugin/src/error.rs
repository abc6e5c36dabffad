//! What goes wrong: what failed, about which object, why, and one next step.

use contract::{Code, Failure};

use crate::exit::Exit;

/// Why a command ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line is wrong, or names something that is not there.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// The next step.
        hint: String,
    },
    /// An archive cannot answer.
    #[error("{}", .0.message)]
    Archive(Failure),
    /// The cluster cannot be asked.
    #[error("{what}")]
    Cluster {
        /// What failed, and why.
        what: String,
        /// The next step.
        hint: String,
    },
    /// Somebody refused.
    #[error("{what}")]
    Refused {
        /// What was refused, and by which rule.
        what: String,
        /// The next step.
        hint: String,
    },
    /// It takes longer than was allowed.
    #[error("{what}")]
    TimeOut {
        /// What is waited for.
        what: String,
        /// The next step.
        hint: String,
    },
    /// Whoever reads our output has gone.
    #[error("the output was closed")]
    Closed,
    /// The output cannot be written.
    #[error("the output cannot be written: {}", contract::words::of_system(.0))]
    Output(std::io::Error),
    /// A document cannot be made of what was found.
    #[error("a document cannot be made: {0}")]
    Document(String),
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// A mistake on the command line.
    pub(crate) fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage { what: what.into(), hint: hint.into() }
    }

    /// What came is no answer to what was asked: whoever answers is of another version, or has a fault.
    pub(crate) fn unexpected(asked: &str) -> Self {
        Self::Archive(Failure::new(Code::Internal, format!("the answer is not about {asked}")))
    }

    /// What the process exits with.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Usage { .. } => Exit::Usage,
            Self::Archive(failure) => match failure.code {
                Code::NoSuchPoint
                | Code::UnknownTopic
                | Code::UnknownGroup
                | Code::SpecInvalid
                | Code::OwnerUnclear
                | Code::StoreMissing => Exit::Usage,
                Code::ArchiveDamaged => Exit::No,
                // What cannot be told from here; each code has its own words.
                _ => Exit::Unknown,
            },
            Self::Cluster { .. } | Self::Output(_) | Self::Document(_) => Exit::Unknown,
            Self::Refused { .. } => Exit::Refused,
            Self::TimeOut { .. } => Exit::TimeOut,
            Self::Closed => Exit::Done,
            Self::Interrupted => Exit::Interrupted,
        }
    }

    /// The next step.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Usage { hint, .. }
            | Self::Cluster { hint, .. }
            | Self::Refused { hint, .. }
            | Self::TimeOut { hint, .. } => (!hint.is_empty()).then(|| hint.clone()),
            Self::Archive(failure) => Some(match failure.code {
                Code::NoSuchPoint => "`kubectl kafka-backup browse` lists what there is".to_owned(),
                code => format!("`kubectl kafka-backup explain {code}` says more"),
            }),
            Self::Closed | Self::Output(_) | Self::Document(_) | Self::Interrupted => None,
        }
    }

    /// The code of the page that says more.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Archive(failure) => Some(failure.code),
            // Only what an archive or a run says has a page.
            _ => None,
        }
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::Closed } else { Self::Output(error) }
    }
}
