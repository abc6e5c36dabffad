//! Certificates and private keys as people have them, as TLS takes them: PEM however it was pasted, DER, keys with a
//! password, PKCS#12. And keys that sign documents.
//!
//! What it never does: I/O, and repeating a library's words, which may hold bytes of a key. Every refusal is made of fixed
//! words, and names the command that makes a good file where there is one.
//!
//! Modules use only modules listed above them.

mod about;
mod pem;

mod kind;
mod p521;

mod trust;

mod identity;

mod signing;

pub use about::{About, about};
pub use identity::{Identity, Part, Refused, identity};
pub use p521::provider;
pub use signing::{PublicKey, Signer};
pub use trust::{Trust, authorities, certificates, following, verifier};

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, clippy::format_collect)]
mod tests;
