//! Failures of the operator itself. Those of runs stand in statuses.

use api::finding::Finding;

/// What the operator cannot do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The API server refused or did not answer.
    #[error("the API server: {0}")]
    Api(#[from] kube::Error),
    /// A document could not be written as JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// A certificate could not be made or read.
    #[error("certificate: {0}")]
    Certificate(String),
    /// A port could not be opened, or a file not read.
    #[error("{what}: {}", contract::words::of_system(source))]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A resource has a value without a meaning, although it was judged before.
    #[error("{0}")]
    Unlowered(String),
    /// What a resource waits for did not come in time: it waits no more.
    #[error("{0}")]
    TooLate(Finding),
    /// Others made far more objects of a resource than a run has.
    #[error(
        "there are more than {0} Jobs, pods or Events with the label or the uid of the resource; remove those that are not its own"
    )]
    TooMany(usize),
    /// A look at a resource took longer than one may, and is made again.
    #[error("a look at a resource took more than {} s; it is made again", .0.as_secs())]
    TooSlow(std::time::Duration),
    /// A setting makes no sense.
    #[error("{0}")]
    Setting(String),
}

impl From<Finding> for Error {
    fn from(finding: Finding) -> Self {
        Self::Unlowered(finding.to_string())
    }
}

impl Error {
    /// Whether somebody else changed the resource meanwhile.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.code == 409)
    }

    /// Whether the object is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.code == 404)
    }

    /// What the API server refuses for a reason that somebody must change: rights, quotas, policies.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match self {
            Self::Api(kube::Error::Api(status)) if matches!(status.code, 403 | 422) => Some(&status.message),
            // Everything else may pass by itself.
            _ => None,
        }
    }
}
