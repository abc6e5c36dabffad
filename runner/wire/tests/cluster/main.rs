//! The client against a scripted cluster, in memory and under a paused clock.
#![allow(clippy::unwrap_used, clippy::large_enum_variant)] // tests

mod script;

mod connections;
mod lies;
mod logins;
mod looks;
mod many;
mod turns;
