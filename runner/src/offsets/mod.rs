//! Changing committed offsets of consumer groups: saved before, committed from outside of the group, read back.
//!
//! It never changes the offsets of a group that has members, and nothing before what was there is saved. Restores use it for
//! the groups that they take along; resets and rollbacks are runs of their own.

mod archived;
mod work;

pub(crate) mod inexact;

pub(crate) mod configs;

pub(crate) mod commit;
pub(crate) mod expiry;
pub(crate) mod mapping;
pub(crate) mod metadata;
pub(crate) mod snapshot;

mod mapped;
mod mapping_file;
pub(crate) mod reset;
pub(crate) mod rollback;

mod state;
mod text;

pub(crate) mod run;
