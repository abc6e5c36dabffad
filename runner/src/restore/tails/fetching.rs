//! How the ends of target partitions are fetched: everything that stands there, from the leader, at once.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use wire::{FetchOptions, FetchSpot, Isolation};

/// What is asked of the leader: all that was written, committed or not, up to so many bytes, without a wait.
pub(super) fn options(max_bytes: i32) -> FetchOptions {
    FetchOptions { isolation: Isolation::Uncommitted, max_bytes, max_wait: Duration::ZERO, rack: Arc::from("") }
}

/// A place in a partition, with at most so many bytes from there on.
pub(super) fn spot((topic, topic_id): (&str, Uuid), partition: i32, offset: i64, max_bytes: i32) -> FetchSpot {
    FetchSpot { topic: Arc::from(topic), topic_id, partition, offset, leader_epoch: -1, last_epoch: -1, max_bytes }
}
