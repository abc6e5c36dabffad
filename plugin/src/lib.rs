//! `kubectl kafka-backup`: look at backups, make them, restore them.
//!
//! What it does: reads custom resources through the API server and archives through a store, and shows both; creates and
//! changes custom resources.
//! What it never does: talk to Kafka, or write to an archive.
//! Data comes from the API server and from stores; text goes to standard output, messages to standard error.
//!
//! Modules use only modules listed above them.

// Descriptions of flags are shown as they stand here.
#![allow(clippy::doc_markdown)]

pub mod exit;

pub mod error;

pub mod located;
pub mod near;
pub mod words;

pub mod screen;
pub mod view;

pub mod show;

mod answered;
mod files;
pub mod overrides;

mod kubeconfig;
mod pairs;
mod patterns;
mod told;

mod changes;
pub mod cluster;
mod operator;
mod stops;
mod waiting;

pub mod source;

pub mod forms;

pub mod steps;

pub mod command;

pub mod cli;

pub mod dispatch;
