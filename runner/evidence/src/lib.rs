//! Evidence of validations: a document that says what was asked, what was read and what came of it, its signature, and pages
//! for people that show it.
//!
//! What it never does: I/O, clocks, and saying that a requirement is met. It says what was tested.
//! Data comes from the report of a run; files go to the runner, which stores them. Whoever checks a file gives its bytes,
//! the signature and a public key. `docs/verify-evidence.py` does the same without any of this code.
//!
//! Modules use only modules listed above them.

mod canonical;
mod controls;
mod names;

mod document;

mod pdf;

mod dsse;

mod bundle;

mod verify;

pub use bundle::{File, files};
pub use canonical::{NotCanonical, canonical, sha256};
pub use controls::{Control, When, all as controls};
pub use document::{Asked, Measured, Read, Retention, SCHEMA, Statement, Subject, Tool, schema};
pub use dsse::{Envelope, NotMade, PAYLOAD_TYPE, authenticated};
pub use names::{DOCUMENT, ENVELOPE, FILES, PAGES, SIGNATURE};
pub use pdf::{NoPages, pages};
pub use verify::{Claim, Unproven, Verified, verify};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests;
