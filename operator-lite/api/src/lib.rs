//! The custom resources: their types and schemas, and the rules that hold for them.
//!
//! What it does: says what a resource may look like (schemas for the cluster), what is wrong with one (all findings at
//! once, with field, value, rule and fix), and when its schedule is due.
//! What it never does: I/O. The time comes in as a value.
//!
//! Data flows: document -> schema -> typed resource -> findings.
//!
//! Modules use only modules listed above them.

// Descriptions of fields are shown by kubectl as they stand here; printer columns of one kind share a type; flags are
// fields that others documented.
#![allow(clippy::doc_markdown, clippy::duplicated_attributes, clippy::struct_excessive_bools)]

mod visit;

pub mod secrets;

pub mod certificate;
pub mod finding;
pub mod refusal;

pub mod ambient;
pub mod endpoints;
pub mod inspection;

pub mod oso;

pub mod strimzi;

pub mod checked;

pub mod access;

pub mod lower;
pub mod outdated;
pub mod schedule;
mod schema;
pub mod ticks;

pub mod promise;
pub mod trigger;
pub mod update;
pub mod validate;

pub mod consent;
mod metadata;

pub mod document;
pub mod fields;
