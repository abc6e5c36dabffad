//! Deterministic simulation: the real engine (`runner`, `wire`, `archive`) between model brokers and a model store.
//!
//! What it does: runs a script of things that happen (producers, transactions, retention, compaction, elections, brokers
//! that stop, faults of network and store, kills, rivals) on one thread with virtual time, all from one seed; and judges
//! what the archive holds against the truth that the model kept.
//! What it never does: real I/O, threads, or the product's own reasoning about which records count.
//! Data comes from a seed or a script, and goes to a list of violations.
//!
//! Modules use only modules listed above them.

pub mod encode;
mod panics;
pub mod rng;
pub mod trace;

pub mod gate;
mod producers;

pub mod log;

mod intake;
mod times;

pub mod broker;
pub mod store;

pub mod script;

mod attempt;
mod shown;

mod apply;
mod oracle;
mod pruner;
mod restored;

pub mod world;

mod restore;

pub mod matrix;

pub mod draw;
pub mod found;
pub mod shrink;
