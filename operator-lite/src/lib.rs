//! The operator: admission, schedules, one pod per run, and what became of it.
//!
//! What it does: judges resources before they are kept, decides when a run is due, claims it in the resource's status,
//! makes a Job for it, and tells what came of it.
//! What it never does: open a connection to Kafka or to a store, or read a Secret but that of its own certificate.
//!
//! Data flows: resource -> findings -> decision (pure) -> claim -> run specification -> Job -> report -> status.
//!
//! Modules use only modules listed above them.

// Names of kinds stand in the documentation as they are written in resources.
#![allow(clippy::doc_markdown)]

pub mod error;

pub mod capacity;
pub mod decide;
pub mod lease;
pub mod metrics;
pub mod progress;
pub mod seen;
pub mod status;
pub mod view;

pub mod definitions;
pub mod namespaces;
pub mod webhook;

pub mod certificate;

pub mod controller;
pub mod http;
pub mod settings;

mod fit;
pub mod serve;
