//! The engine: one run from its specification to its report.
//!
//! What it does: joins the Kafka client and the archive into backups and restores, and the commands around them.
//! What it never does: know of Kubernetes, keep state on a local disk, or take time, randomness, the store or
//! connections from anywhere but the [`context::Context`] that it is given.
//! Data comes from a cluster or an archive and goes to the other; events go to standard output, logs to
//! standard error.
//!
//! Modules use only modules listed above them.

pub mod context;
pub mod spec_file;
mod waiting;

pub mod connect;
pub mod metrics;
pub mod outlet;

pub mod emit;
mod limiter;
mod pace;

mod logs;

pub mod backup;

mod offsets;

pub mod restore;

mod diff;

mod validate;

mod prune;

pub mod documents;

mod checks;

pub mod run;

pub mod commands;

/// The release that writes archives and answers `--version`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
