//! Archives that the OSO backup tool wrote, read as recovery points of this one.
//!
//! What it does: recognises such an archive, reads manifests of all its versions, segments (binary and JSON lists), group
//! snapshots; leaves out or repairs what can be recognised as its known faults, and names what it lost.
//! What it never does: write, talk to Kafka, or take an archive of our own for one of these.
//! Data comes from an [`archive::Store`], and leaves as an [`archive::Point`] that the rest of the engine takes like ours.
//!
//! Modules use only modules listed above them.

mod fault;

mod lz4;
mod record;

mod legacy;

mod segment;

mod object;

mod batcher;
mod manifest;
mod pieces;

mod set;

mod survey;

mod losses;

mod point;
mod verify;

mod content;

mod find;

pub use content::{Content, Surveyed};
pub use fault::Fault;
pub use find::{Named, find, open, ours};
pub use losses::Losses;
pub use manifest::{Manifest, Partition, Range, Segment, Topic};
pub use record::Record;
pub use segment::{Facts, Head};
pub use set::Set;
