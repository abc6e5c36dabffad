//! The benchmark's parts: topics, work that is measured, yardsticks of the same run, tables and pictures.
//!
//! Every figure is payload bytes per second. Work and its yardsticks take turns, round after round, so that a machine
//! that changes its pace changes both.

pub mod bare;
pub mod growth;
pub mod look;
pub mod measure;
pub mod plot;
pub mod rates;
pub mod rows;
pub mod topics;
pub mod wide;
pub mod yardsticks;
