//! Rewrites an archive that the OSO tool wrote as a backup set of ours.
//!
//! What it does: reads the archive once to know what it holds, writes that with the writer that backups use, reads back what
//! was stored, and seals a recovery point when counts and digests agree. Whoever was killed goes on where it stopped.
//! What it never does: write into the archive, talk to Kafka, or seal what differs from what was read.
//! Data comes from a [`foreign::Set`] and goes into an [`archive::Store`].
//!
//! Modules use only modules listed above them.

mod place;
mod request;

mod positions;

mod compare;
mod write;

mod seal;

mod engine;

pub use engine::convert;
pub use place::Place;
pub use request::{Progress, Request, Tell};
