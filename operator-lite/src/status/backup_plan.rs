//! What of the specification of a backup its status depends on, whichever group it is of.

use api::lower::checkpoint_secs;
use api::oso::KafkaBackupSpec;

/// What of a specification its status depends on; each group has its own way to write it.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // each stands for a field
pub struct Plan {
    /// Whether it has a schedule.
    pub scheduled: bool,
    /// Whether its run goes on.
    pub continuous: bool,
    /// Whether no run is started.
    pub suspend: bool,
    /// Seconds between two saves of progress; `None` when it is not saved.
    pub checkpoint_secs: Option<u64>,
    /// Whether recovery points are to be removed.
    pub retention: bool,
}

impl From<&KafkaBackupSpec> for Plan {
    fn from(spec: &KafkaBackupSpec) -> Self {
        Self {
            scheduled: spec.schedule.is_some(),
            continuous: spec.continuous,
            suspend: spec.suspend,
            checkpoint_secs: checkpoint_secs(spec),
            retention: spec.retention.as_ref().is_some_and(|retention| retention.enabled),
        }
    }
}
