//! Model brokers: a cluster in memory that speaks Kafka's protocol over streams in memory.

pub mod state;

mod answers;
mod faults;
mod fetch;
mod groups;
mod inject;

mod dial;
mod serve;

pub use dial::ModelDialer;
pub use faults::{Broken, Faults};
pub use serve::Kafka;
pub use state::{Group, Partition, Power, State, Topic};
