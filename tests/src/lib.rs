//! The test harness: real brokers, real stores, the runner as a process, and librdkafka as an oracle.
//!
//! What it does: starts servers in folders and on ports of their own and ends them by pid, runs the runner,
//! makes loads, and dumps topics as an independent client sees them.
//! What it never does: use the product's code to judge the product.
//! Tests may panic with a message: that is how they fail.

pub mod certificates;
pub mod figures;
pub mod process;
pub mod skip;

pub mod azure;
pub mod gcs;
mod zookeeper;

pub mod cluster;
pub mod consumers;
pub mod kafka;
pub mod s3;
pub mod store_faults;
pub mod streams;

pub mod bench;
pub mod desk;
pub mod life;
pub mod live;
pub mod load;
pub mod mount;
pub mod oracle;
pub mod pair;
pub mod plugin;
pub mod proxy;
pub mod raw;
pub mod reliability;
pub mod runner;

pub mod inspected;
