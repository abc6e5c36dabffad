//! Names of the files of one piece of evidence. Pure.

/// The document.
pub const DOCUMENT: &str = "evidence.json";
/// The pages that show it.
pub const PAGES: &str = "evidence.pdf";
/// What is added to the name of a file for its signature: ECDSA in DER, as `openssl dgst -sha256 -signature` takes it.
pub const SIGNATURE: &str = ".sig";
/// The in-toto statement in its DSSE envelope.
pub const ENVELOPE: &str = "evidence.dsse.json";
/// Names of all files that there may be, the document last: what has no document is not evidence yet, or not any more.
pub const FILES: [&str; 5] = ["evidence.pdf", "evidence.pdf.sig", "evidence.dsse.json", "evidence.json.sig", DOCUMENT];
