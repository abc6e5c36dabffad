//! Questions that people ask of an archive, and their answers.
//!
//! What it does: lists sets and recovery points, tells what one holds, finds records in it, verifies it, says what retention
//! would take away. Questions and
//! answers are plain values with a JSON form, so that they are the same whether the one who asks reads the store itself
//! or asks a pod that may. What a pod answers about brokers has its form here, too.
//! What it never does: write to the store, or talk to Kafka.
//! Data comes from an archive's store, and leaves as [`Answer`]s through a channel: whoever drops its receiver ends the
//! work.
//!
//! Modules use only modules listed above them.

mod live;
mod now;
mod payload;
mod retained;

mod answer;
mod question;

mod replies;

mod owned;

mod groups;

mod detail;
mod log;
mod peek;
mod points;
mod retention;
mod verify;

mod ask;

pub use archive::{Gap, Problem};

pub use answer::{
    Answer, Group, LARGEST_RECORD, Offset, PartitionDetail, PointDetail, PointGroups, Record, Scanned, SetLine,
    TopicDetail, Verified,
};
pub use ask::ask;
pub use groups::selection;
pub use live::{Batches, LiveHead, LivePartition, LiveState, LiveTopic, changed_configs};
pub use now::{GroupNow, OffsetNow, SourceNow};
pub use owned::owned;
pub use payload::Payload;
pub use question::{Depth, Peek, Question, RetentionQuestion};
pub use replies::Replies;
pub use retained::{Compacted, LeftAlone, RetainedPoint, RetainedSet, RetentionPlan, Unfinished, WholeRetentionPlan};
pub use retention::told;
