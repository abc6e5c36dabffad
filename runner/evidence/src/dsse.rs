//! The document as an in-toto statement in a DSSE envelope (`https://github.com/secure-systems-lab/dsse`), as the tools of that
//! world verify it. Pure.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use keys::{PublicKey, Signer};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::canonical::{NotCanonical, canonical, sha256};
use crate::document::{SCHEMA, Statement};
use crate::pdf::NoPages;

/// What an envelope holds.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";
/// What an in-toto statement calls itself.
pub(crate) const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// An envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// What the payload is.
    pub payload_type: String,
    /// The payload, base64.
    pub payload: String,
    /// Signatures of it.
    pub signatures: Vec<Signature>,
}

/// A signature in an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Name of the key: SHA-256 of the public key in DER.
    pub keyid: String,
    /// The signature in DER, base64.
    pub sig: String,
}

/// The bytes that the signature of an envelope is over (DSSE v1, PAE).
#[must_use]
pub fn authenticated(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Envelope {
    /// Signs a document. The statement is about its files, and about the seal of the recovery point.
    ///
    /// # Errors
    /// What has no form, or cannot be signed.
    pub(crate) fn seal(document: &Statement, files: &[(&str, &[u8])], signer: &Signer) -> Result<Self, NotMade> {
        let mut subject: Vec<Value> =
            files.iter().map(|(name, bytes)| json!({"name": name, "digest": {"sha256": sha256(bytes)}})).collect();
        if let Some(point) = &document.point {
            subject.push(json!({"name": point.id, "digest": {"blake3": point.digest}}));
        }
        let statement = json!({"_type": STATEMENT, "subject": subject, "predicateType": SCHEMA, "predicate": document});
        let payload = canonical(&statement)?;
        let sig = signer.sign(&authenticated(PAYLOAD_TYPE, &payload)).map_err(NotMade::Signature)?;
        Ok(Self {
            payload_type: PAYLOAD_TYPE.to_owned(),
            payload: BASE64_STANDARD.encode(&payload),
            signatures: vec![Signature { keyid: signer.public().id(), sig: BASE64_STANDARD.encode(sig) }],
        })
    }

    /// The payload, when the key signed it.
    ///
    /// # Errors
    /// Why it is not proven, in words.
    pub(crate) fn open(&self, key: &PublicKey) -> Result<Vec<u8>, String> {
        if self.payload_type != PAYLOAD_TYPE {
            return Err(format!("its payload is no in-toto statement ({PAYLOAD_TYPE})"));
        }
        let payload = BASE64_STANDARD.decode(&self.payload).map_err(|_| "its payload is no base64".to_owned())?;
        let message = authenticated(PAYLOAD_TYPE, &payload);
        let is_signed = |one: &Signature| {
            BASE64_STANDARD.decode(&one.sig).is_ok_and(|signature| key.has_signed(&message, &signature))
        };
        if self.signatures.iter().any(is_signed) {
            Ok(payload)
        } else {
            Err("none of its signatures is by this key".to_owned())
        }
    }
}

/// Why a file could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// It has no form.
    #[error(transparent)]
    Form(#[from] NotCanonical),
    /// There are no pages.
    #[error(transparent)]
    Pages(#[from] NoPages),
    /// The signature failed.
    #[error("{0}")]
    Signature(String),
}
