//! A small Kafka client on the messages of `kafka-protocol`.
//!
//! What it does: connects (PLAINTEXT, TLS, SASL), negotiates versions, routes requests to leaders, controllers
//! and coordinators, and retries by the class of the error with back-off, jitter and a deadline.
//! What it never does: look into record batches, or decide what to read and write.
//! Data comes from brokers as frames whose memory is accounted in a [`Budget`], and goes to the runner as typed
//! answers that share that memory.
//!
//! Modules use only modules listed above them.

mod broke;
mod request;

mod codes;
mod listener;

mod error;

mod api;
mod budget;
mod dial;
mod frame;
mod guard;
mod scram;
mod sizes;
mod throttle;
mod versions;

mod exchange;
mod line;

mod incoming;

mod connection;

mod brokers;
mod retry;
mod sasl;

mod tls;

mod shown;

mod cluster;

mod anyone;
mod dialling;
mod probe;

mod metadata;

mod leaders;

mod fetch;
mod groups;
mod offsets;
mod produce;
mod streams_groups;
mod topics;
mod transactions;

mod group_configs;
mod group_members;
mod many_groups;

mod commits;
mod rehearsal;
mod rights;
mod verdict;

pub use broke::Broke;
pub use brokers::BrokerId;
pub use budget::Budget;
pub use cluster::{Cluster, ClusterConfig};
pub use codes::{Retry, code};
pub use commits::{OffsetCommit, Refused};
pub use connection::Connection;
pub use dial::{Dialer, Stream, TcpDialer};
pub use error::WireError;
pub use fetch::{FetchAnswer, FetchOptions, FetchSpot, FetchedPartition};
pub use group_configs::GroupConfigs;
pub use group_members::GroupMember;
pub use groups::{CoordinatorPatience, Group, GroupOffset, Groups};
pub use keys::About;
pub use leaders::{Answers, TopicPartition};
pub use listener::Misfit;
pub use many_groups::Coordinators;
pub use metadata::{Partition, Topic, made_up_id};
pub use offsets::{EpochEnd, Isolation, OffsetAt, OpenTransaction};
pub use produce::{ProduceAnswer, ProduceAnswers, ProduceSpot};
pub use request::{BACKUP_NEEDS, GROUP_NEEDS, GROUP_RESTORE_NEEDS, OFFSET_NEEDS, RESTORE_NEEDS, Request};
pub use retry::Backoff;
pub use rights::{Right, Rights};
pub use sasl::{SaslConfig, UserName};
pub use shown::shown;
pub use throttle::Throttled;
pub use tls::{IdentityFiles, TlsFiles};
pub use topics::{ConfigEntry, Configs, Creation, NewTopic, ToldConfigs, own_configs};
pub use transactions::{ProducerIdentity, Standing, TRANSACTION_TIMEOUT_MS};
pub use verdict::Verdict;
