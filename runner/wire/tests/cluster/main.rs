//! The client against a scripted cluster, in memory and under a paused clock.

mod script;

mod connections;
mod looks;
