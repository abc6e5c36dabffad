//! Whether a file is what the holder of a key signed: a document or pages with a detached signature, or an envelope. Pure.

use std::collections::BTreeSet;

use contract::{CheckVerdict, ValidationCheck, ValidationReport};
use serde::Deserialize;
use serde_json::Value;

use crate::canonical::{canonical, sha256};
use crate::document::{SCHEMA, Statement};
use crate::dsse::{Envelope, STATEMENT};
use crate::names::DOCUMENT;

/// What a file turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    /// What was checked.
    pub claim: Claim,
    /// The document; `None` for pages, which show it.
    pub document: Option<Box<Statement>>,
    /// SHA-256 of the file.
    pub sha256: String,
    /// The key: SHA-256 of its DER.
    pub key_id: String,
}

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The document.
    Document,
    /// The pages.
    Pages,
    /// The envelope.
    Envelope,
}

/// Why nothing is proven.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The file needs a signature beside it.
    #[error("it has a signature of its own, which is needed, too")]
    NoSignature,
    /// The signature is not of these bytes by this key.
    #[error("the signature is not of these bytes by this key: the file, the signature or the key is another one")]
    Forged,
    /// It is signed, and no evidence of this form.
    #[error("{0}")]
    Other(String),
}

/// The part of an in-toto statement that is read.
#[derive(Deserialize)]
struct InToto {
    #[serde(rename = "_type")]
    kind: String,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Value,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    name: String,
    digest: std::collections::BTreeMap<String, String>,
}

/// Checks a file against a public key. An envelope has its signature inside; everything else needs one.
///
/// # Errors
/// Why nothing is proven.
pub fn verify(bytes: &[u8], signature: Option<&[u8]>, key: &keys::PublicKey) -> Result<Verified, Unproven> {
    let other = |text: &str| Unproven::Other(text.to_owned());
    let verified = |claim, document: Option<Statement>| Verified {
        claim,
        document: document.map(Box::new),
        sha256: sha256(bytes),
        key_id: key.id(),
    };
    if let Ok(envelope) = serde_json::from_slice::<Envelope>(bytes) {
        let payload = envelope.open(key).map_err(|why| match why.as_str() {
            "none of its signatures is by this key" => Unproven::Forged,
            _ => Unproven::Other(why),
        })?;
        let inside: InToto =
            serde_json::from_slice(&payload).map_err(|_| other("it is signed, and holds no in-toto statement"))?;
        if inside.kind != STATEMENT || inside.predicate_type != SCHEMA {
            return Err(other("it is signed, and holds another statement than evidence of a validation"));
        }
        let text = canonical(&inside.predicate).map_err(|error| Unproven::Other(error.to_string()))?;
        let named = inside.subject.iter().find(|subject| subject.name == DOCUMENT);
        if named.and_then(|subject| subject.digest.get("sha256")) != Some(&sha256(&text)) {
            return Err(other("it is signed, and the document in it is not the one that it is about"));
        }
        return Ok(verified(Claim::Envelope, Some(document(&text)?)));
    }
    let signature = signature.ok_or(Unproven::NoSignature)?;
    if !key.has_signed(bytes, signature) {
        return Err(Unproven::Forged);
    }
    if bytes.starts_with(b"%PDF-") {
        return Ok(verified(Claim::Pages, None));
    }
    Ok(verified(Claim::Document, Some(document(bytes)?)))
}

fn document(text: &[u8]) -> Result<Statement, Unproven> {
    let other = |text: &str| Unproven::Other(text.to_owned());
    let value: Value = serde_json::from_slice(text).map_err(|_| other("it is signed, and is no document in JSON"))?;
    match value.get("schema").and_then(Value::as_str) {
        Some(SCHEMA) => {}
        Some(_) => return Err(other("it is signed, and of a form that this release does not know; use a newer one")),
        None => return Err(other("it is signed, and is no evidence of a validation")),
    }
    let is_canonical = canonical(&value).is_ok_and(|bytes| bytes == text);
    if !is_canonical {
        return Err(other(
            "it is signed, and is not in the form that evidence has: sorted names, no spaces, whole numbers",
        ));
    }
    let document: Statement =
        serde_json::from_value(value).map_err(|_| other("it is signed, and lacks fields that evidence has"))?;
    match contradiction(&document) {
        None => Ok(document),
        Some(what) => Err(Unproven::Other(format!("it is signed, and contradicts itself: {what}"))),
    }
}

/// What a document says of itself that cannot be.
fn contradiction(document: &Statement) -> Option<&'static str> {
    let is_over = |check: &ValidationCheck| check.findings_total < check.findings.len() as u64;
    let is_silent = |check: &ValidationCheck| {
        check.verdict == CheckVerdict::Pass && check.findings.iter().any(|finding| finding.is_wrong)
    };
    let names: BTreeSet<&str> = document.checks.iter().map(|check| check.name.as_str()).collect();
    let asked: BTreeSet<&str> = document.asked.checks.iter().map(String::as_str).collect();
    let sample = document.sample.as_ref();
    if ValidationReport::judge(&document.checks) != Some(document.verdict) {
        return Some("its verdict is not that of its checks");
    }
    if names.len() != document.checks.len() || names != asked {
        return Some("its checks are not those that were asked for");
    }
    if document.checks.iter().any(is_over) {
        return Some("a check has more findings than it counts");
    }
    if document.checks.iter().any(is_silent) {
        return Some("a check that passed found something wrong");
    }
    if sample.is_some_and(|sample| sample.segments > sample.of_segments || sample.bytes > sample.of_bytes) {
        return Some("its sample is larger than what it was drawn from");
    }
    let millis = |text: &str| contract::stamp::parse_millis(text).ok();
    match (millis(&document.started_at), millis(&document.finished_at)) {
        (Some(start), Some(end)) if start <= end => {}
        _ => return Some("it ends before it begins"),
    }
    if !document.id.starts_with(&document.subject.run) {
        return Some("its name is not that of its run");
    }
    None
}
