//! The commands: each asks a source or the API server, makes a view, and shows it.

pub mod backup;
pub mod browse;
pub mod check;
pub mod complete;
pub mod completion;
pub mod convert;
pub mod diff;
pub mod doctor;
pub mod evidence;
pub mod explain;
pub mod groups;
pub mod install;
pub mod logs;
pub mod offsets;
pub mod peek;
pub mod prune;
pub mod restore;
pub mod schedule;
pub mod status;
pub mod timeline;
pub mod uninstall;
pub mod validate;
pub mod validation;
pub mod verify;
pub mod version;
