//! What is shown, as values: made from answers, drawn by `show`, printed as JSON. Pure.

pub mod coverage;
pub mod groups;
pub mod listing;
pub mod recent;
pub mod status;
pub mod ticks;
