//! What is shown, as values: made from answers, drawn by `show`, printed as JSON. Pure.

pub mod coverage;
pub mod difference;
pub mod evidence;
pub mod groups;
pub mod health;
pub mod listing;
pub mod live;
pub mod others;
pub mod recent;
pub mod status;
pub mod ticks;
pub mod validations;
