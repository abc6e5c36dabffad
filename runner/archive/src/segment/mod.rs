//! Segments: immutable objects that hold blocks of raw batches and an index.
//!
//! ```text
//! header (32 bytes) | blocks, side by side | footer (zstd JSON) | trailer (48 bytes)
//! ```

mod arena;
mod block;
mod footer;
mod frame;
mod packing;

pub(crate) use arena::AbortedRange;
pub use arena::{Arena, PendingBatch};
pub(crate) use block::PackedBlock;
pub use footer::{AbortedRow, BlockRow, Footer, ShareRow, TopicRow};
pub(crate) use frame::{HEADER_LEN, TRAILER_LEN, Trailer, header};
pub(crate) use packing::{Packed, Packing};
