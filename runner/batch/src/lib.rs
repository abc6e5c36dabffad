//! Kafka record batches (magic 2) as bytes; older messages are turned into them.
//!
//! What it does: walks batch headers, checks CRC32C, splits a fetch answer into whole batches, reads
//! records, compresses and decompresses payloads, and rewrites batches for a restore.
//! What it never does: I/O, async, clocks; and it never decodes a batch that only has to be stored.
//! Data comes from the wire client or from the archive as byte slices, and leaves as bytes.
//!
//! The format is that of the Kafka protocol guide, section "Record Batch" (KIP-98, KIP-534).
//! Modules use only modules listed above them.

mod crc;
mod error;
mod varint;

mod codec;
mod header;

mod raw;

mod record;
mod stream;

mod legacy;

mod split;

mod control;
mod encode;
mod murmur2;
mod outgoing;

mod restore;

mod pieces;

pub use codec::{Codec, Compressor, Decompressor};
pub use control::{ControlType, control_type};
pub use encode::{BatchMeta, RecordParts, RecordSink, encode_batch};
pub use error::BatchError;
pub use header::{Attributes, BatchHeader, HEADER_LEN, LOG_OVERHEAD};
pub use murmur2::{murmur2, partition_of_key};
pub use outgoing::{Outgoing, Producer};
pub use pieces::{LARGEST_RECORD, Pieces};
pub use raw::RawBatch;
pub use record::{Deltas, Header, HeaderIter, PAYLOAD_LIMIT, Record, RecordIter, deltas, payload};
pub use restore::{
    HeaderChanges, ORIGINAL_OFFSET, ORIGINAL_TIMESTAMP, OffsetHeaders, Selected, Window, can_copy, encode_selected,
    halve, is_tracking, select_records,
};
pub use split::{Damage, ORDER, Split, split, split_sound};
pub use stream::{RecordPlace, RecordStream, places};
