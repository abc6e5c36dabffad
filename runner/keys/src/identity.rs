//! A certificate chain and its private key, which prove who a client or a server is. Pure.

use std::sync::Arc;

use p12_keystore::Pkcs12Archive;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use crate::kind::{Kind, kind};
use crate::trust::certificates;
use crate::{p521, pem};

/// Keys that are taken, and how to make one.
const TAKEN: &str = "taken are RSA of 2048 to 4096 bits, the curves P-256, P-384 and P-521, and Ed25519: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out new.key, and have a certificate issued for it";
const DECRYPT: &str = "openssl pkey -in FILE -out decrypted.key";

/// The files of an identity. One keystore may stand for chain and key.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// Certificates, or a PKCS#12 keystore.
    pub chain: &'a [u8],
    /// The private key; `None` where the chain's file holds it, too.
    pub key: Option<&'a [u8]>,
    /// The password of the key, or of the keystore.
    pub password: Option<&'a str>,
}

/// The file that a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The certificates.
    Chain,
    /// The private key.
    Key,
    /// The password.
    Password,
}

/// Why an identity cannot be used: the file, and fixed words that show nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// The file.
    pub part: Part,
    /// What is wrong, with the fix.
    pub reason: String,
}

fn refused<T>(part: Part, reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { part, reason: reason.into() })
}

/// Reads an identity: the chain begins with the certificate of the key, and each issuer follows what it signed.
///
/// # Errors
/// The file that cannot be used, and why.
pub fn identity(files: Identity<'_>) -> Result<Arc<CertifiedKey>, Refused> {
    let store = match (kind(files.chain), files.key.map(kind)) {
        (Kind::Pkcs12, _) => Some((Part::Chain, files.chain)),
        (_, Some(Kind::Pkcs12)) => files.key.map(|key| (Part::Key, key)),
        // No keystore: both are read as they are.
        _ => None,
    };
    let (chain, key) = if let Some((part, bytes)) = store {
        keystore(part, bytes, files.password)?
    } else {
        let chain = certificates(files.chain).map_err(|reason| Refused { part: Part::Chain, reason })?;
        (chain, key(files.key.unwrap_or(files.chain), files.password)?)
    };
    let key = signing(&key)?;
    Ok(Arc::new(CertifiedKey::new(in_order(chain, &*key)?, key)))
}

/// The certificates and the key of a PKCS#12 keystore.
fn keystore(
    part: Part,
    bytes: &[u8],
    password: Option<&str>,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Refused> {
    let Ok(archive) = Pkcs12Archive::from_pkcs12(bytes, password.unwrap_or_default()) else {
        return match password {
            None => {
                refused(part, "is a PKCS#12 keystore, and no password is given; name the key of the Secret with it")
            }
            Some(_) => refused(
                Part::Password,
                "does not open the PKCS#12 keystore, or the keystore is broken; correct it, or make the keystore anew: openssl pkcs12 -export -in user.crt -inkey user.key -out user.p12",
            ),
        };
    };
    let chain = archive.certs.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect();
    match archive.keys.as_slice() {
        [bag] => Ok((chain, PrivatePkcs8KeyDer::from(bag.key.as_der().to_vec()).into())),
        [] => refused(part, "is a PKCS#12 keystore without a private key (a trust store); name the one of the user"),
        many => refused(part, format!("is a PKCS#12 keystore with {} private keys; make one with one key", many.len())),
    }
}

/// The private key of a file.
pub(crate) fn key(bytes: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, Refused> {
    let part = Part::Key;
    let text = match kind(bytes) {
        Kind::Pem(text) => text,
        Kind::Der => return of_der(bytes, password),
        Kind::Certificate => return refused(part, "holds a certificate and no private key"),
        Kind::Other => return refused(part, "holds no private key in PEM, DER or PKCS#12"),
        other => {
            return refused(part, other.refusal().replace("certificates", "key").replace("-nokeys", "-nocerts -nodes"));
        }
    };
    let blocks = pem::blocks(text).map_err(|reason| Refused { part, reason })?;
    let mut keys = blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY"));
    let Some(block) = keys.next() else {
        let what =
            if blocks.iter().any(|block| block.label == "EC PARAMETERS") { " but parameters of a curve" } else { "" };
        return refused(part, format!("holds no private key{what}"));
    };
    if keys.next().is_some() {
        return refused(part, "holds more than one private key; leave the one of the certificate");
    }
    match (block.label.as_str(), &block.der) {
        (_, None) => refused(
            part,
            format!(
                "is encrypted in the older form (Proc-Type: 4,ENCRYPTED), which is not taken; decrypt it: {DECRYPT}"
            ),
        ),
        ("ENCRYPTED PRIVATE KEY", Some(der)) => decrypted(der, password),
        (_, Some(der)) => of_der(der, password),
    }
}

/// A private key in DER: PKCS#8, encrypted or not, PKCS#1 or SEC1.
fn of_der(der: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, Refused> {
    if pkcs8::EncryptedPrivateKeyInfoRef::try_from(der).is_ok() {
        return decrypted(der, password);
    }
    match PrivateKeyDer::try_from(der) {
        Ok(key) => Ok(key.clone_key()),
        Err(_) => refused(Part::Key, "holds no private key (PKCS#8, PKCS#1 or SEC1), or one that was cut"),
    }
}

fn decrypted(der: &[u8], password: Option<&str>) -> Result<PrivateKeyDer<'static>, Refused> {
    let Ok(encrypted) = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der) else {
        return refused(Part::Key, format!("is encrypted in a way that is not taken; decrypt it: {DECRYPT}"));
    };
    let Some(password) = password else {
        let reason = "is encrypted, and no password is given; name the key of the Secret with it, or decrypt it";
        return refused(Part::Key, format!("{reason}: {DECRYPT}"));
    };
    match encrypted.decrypt(password) {
        Ok(document) => Ok(PrivatePkcs8KeyDer::from(document.as_bytes().to_vec()).into()),
        Err(_) => refused(
            Part::Password,
            format!(
                "does not decrypt the private key, or it is encrypted in an old way (PBES1); correct it, or decrypt the key: {DECRYPT}"
            ),
        ),
    }
}

/// The key as TLS signs with it.
fn signing(der: &PrivateKeyDer<'_>) -> Result<Arc<dyn SigningKey>, Refused> {
    // What neither takes is named below.
    if let Some(key) = any_supported_type(der).ok().or_else(|| p521::read(der)) {
        return Ok(key);
    }
    let info = match der {
        PrivateKeyDer::Pkcs8(der) => pkcs8::PrivateKeyInfoRef::try_from(der.secret_pkcs8_der()).ok(),
        // The other forms name their kind themselves.
        _ => None,
    };
    let kind = match (info.map(|info| info.algorithm.oid.to_string()).as_deref(), der) {
        (Some("1.2.840.113549.1.1.1"), _) | (_, PrivateKeyDer::Pkcs1(_)) => "RSA of another size",
        (Some("1.2.840.113549.1.1.10"), _) => "RSA for PSS alone",
        (Some("1.2.840.10045.2.1"), _) | (_, PrivateKeyDer::Sec1(_)) => "another curve",
        (Some("1.2.840.10040.4.1"), _) => "DSA",
        (Some("1.3.101.113"), _) => "Ed448",
        (Some("1.3.101.110" | "1.3.101.111"), _) => "X25519 or X448, which cannot sign",
        // Every other algorithm, and what has none.
        _ => "a kind that is not known, or broken",
    };
    refused(Part::Key, format!("holds a private key of {kind}; {TAKEN}"))
}

/// The certificate of the key, what signed it, and what signed that; the rest stays behind them.
fn in_order(
    mut rest: Vec<CertificateDer<'static>>,
    key: &dyn SigningKey,
) -> Result<Vec<CertificateDer<'static>>, Refused> {
    let wanted = key.public_key();
    let is_leaf = |der: &CertificateDer<'_>| {
        let spki = wanted.as_ref().and_then(|der| SubjectPublicKeyInfo::from_der(der).ok()).map(|(_, spki)| spki);
        let certificate = X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate);
        spki.zip(certificate).is_some_and(|(spki, certificate)| {
            certificate.public_key().subject_public_key.data == spki.subject_public_key.data
        })
    };
    let Some(place) = rest.iter().position(is_leaf) else {
        return refused(
            Part::Key,
            "does not belong to the certificate: their public keys differ; take both from one pair",
        );
    };
    let mut chain = vec![rest.remove(place)];
    while let Some(place) = chain.last().and_then(|last| rest.iter().position(|other| is_issuer(other, last))) {
        chain.push(rest.remove(place));
    }
    chain.append(&mut rest);
    Ok(chain)
}

fn is_issuer(issuer: &CertificateDer<'_>, of: &CertificateDer<'_>) -> bool {
    match (X509Certificate::from_der(issuer), X509Certificate::from_der(of)) {
        (Ok((_, issuer)), Ok((_, of))) => issuer.subject() == of.issuer(),
        _ => false,
    }
}
