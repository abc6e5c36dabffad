//! A model object store: memory behind faults, seen by one attempt through its gate.

mod faults;
mod upload;
mod view;

pub use faults::{Fault, Op, Rule, StoreFaults};
pub use view::{Created, ModelStore, StoreView};
