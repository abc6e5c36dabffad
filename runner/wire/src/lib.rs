//! A small Kafka client on the messages of `kafka-protocol`.
//!
//! What it does: connects (PLAINTEXT, TLS, SASL), negotiates versions, routes requests to leaders, controllers
//! and coordinators, and retries by the class of the error with back-off, jitter and a deadline.
//! What it never does: look into record batches, or decide what to read and write.
//! Data comes from brokers as frames whose memory is accounted in a [`Budget`], and goes to the runner as typed
//! answers that share that memory.
//!
//! Modules use only modules listed above them.

mod error;

mod api;
mod budget;
mod dial;
mod versions;

mod tls;

mod connection;

mod sasl;

mod cluster;
mod retry;

mod fetch;
mod frame;
mod groups;
mod offsets;
mod produce;
mod topics;
mod transactions;

mod rehearsal;
mod verdict;

pub use budget::Budget;
pub use cluster::{BrokerId, Cluster, ClusterConfig, Partition, Topic};
pub use connection::Connection;
pub use dial::{Dialer, Stream, TcpDialer};
pub use error::{Retry, WireError, code};
pub use fetch::{FetchAnswer, FetchOptions, FetchSpot, FetchedPartition};
pub use groups::{Group, GroupOffset};
pub use offsets::{Isolation, OffsetAt, OpenTransaction};
pub use produce::{ProduceAnswer, ProduceAnswers, ProduceSpot};
pub use retry::Backoff;
pub use sasl::SaslConfig;
pub use tls::TlsFiles;
pub use topics::{ConfigEntry, NewTopic};
pub use transactions::{ProducerIdentity, TRANSACTION_TIMEOUT_MS};
pub use verdict::Verdict;
