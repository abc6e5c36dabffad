//! Model brokers: a cluster in memory that speaks Kafka's protocol over streams in memory.

mod inject;

mod faults;

pub mod state;

mod strangers;
mod transactions;

mod asleep;

mod admin;
mod answers;
mod fetch;
mod groups;
mod write;

mod dial;
mod serve;

pub(crate) use dial::BOOTSTRAP;
pub use dial::ModelDialer;
pub use faults::{Broken, Faults};
pub use serve::Kafka;
pub use state::{Expiration, Group, Partition, Power, State, Topic};
