//! Who is trusted: authorities, and a server's own certificate where it is its own authority. Pure.

use std::sync::{Arc, Mutex, PoisonError};

use p12_keystore::Pkcs12Archive;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::kind::{Kind, kind};
use crate::pem;

/// The certificates of a file, all of them, in its order.
///
/// # Errors
/// Why there is none, or not every one can be read, in fixed words.
pub fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = match kind(bytes) {
        Kind::Pem(text) => text,
        Kind::Certificate => return Ok(vec![CertificateDer::from(bytes.to_vec())]),
        other => return Err(other.refusal().to_owned()),
    };
    let mut out = Vec::new();
    for block in pem::blocks(text)? {
        match (block.label.as_str(), block.der) {
            ("CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE", Some(der)) => {
                match X509Certificate::from_der(&der) {
                    // What OpenSSL writes behind a trusted certificate is no part of it.
                    Ok((rest, _)) => {
                        let own = der.len() - rest.len();
                        out.push(CertificateDer::from(der.iter().take(own).copied().collect::<Vec<_>>()));
                    }
                    Err(_) => {
                        return Err(format!(
                            "holds a certificate that cannot be read, number {}; copy the whole file",
                            out.len() + 1
                        ));
                    }
                }
            }
            ("PKCS7", _) => {
                let fix = "openssl pkcs7 -in FILE -print_certs -out certificates.pem";
                return Err(format!("is a PKCS#7 file; take its certificates out: {fix}"));
            }
            ("CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST", _) => {
                return Err("holds a request for a certificate; have it signed, and name what comes back".to_owned());
            }
            _ => {}
        }
    }
    if out.is_empty() {
        return Err("holds no certificate in PEM or DER".to_owned());
    }
    Ok(out)
}

/// The certificates of authorities in a file, which may be a PKCS#12 keystore with this password.
///
/// # Errors
/// As [`certificates`]; that the keystore does not open, or has none.
pub fn authorities(bytes: &[u8], password: Option<&str>) -> Result<Vec<CertificateDer<'static>>, String> {
    if kind(bytes) != Kind::Pkcs12 {
        return certificates(bytes);
    }
    let Some(password) = password else { return Err(Kind::Pkcs12.refusal().to_owned()) };
    let password = password.trim_end_matches(['\n', '\r']);
    let Ok(archive) = Pkcs12Archive::from_pkcs12(bytes, password) else {
        let reason = "is a PKCS#12 keystore that the password beside it does not open, or it is broken; correct the password, or name the file with the certificates in PEM: openssl pkcs12 -in FILE -nokeys -out certificates.pem";
        return Err(reason.to_owned());
    };
    let all: Vec<_> = archive.certs.iter().map(|bag| CertificateDer::from(bag.cert.as_der().to_vec())).collect();
    if all.is_empty() {
        return Err("is a PKCS#12 keystore without a certificate; name one with the authority".to_owned());
    }
    Ok(all)
}

/// Who is trusted.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Certificates that somebody gave: authorities, or those of servers that are their own.
    pub own: Vec<CertificateDer<'static>>,
    /// The system's authorities.
    pub system: Vec<CertificateDer<'static>>,
}

/// What judges a server's certificate.
///
/// # Errors
/// When there is nobody to trust.
pub fn verifier(trust: Trust, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for (place, own) in trust.own.iter().enumerate() {
        // One that is no authority may be a server's own, which is compared as it is.
        if roots.add(own.clone()).is_err() && ParsedCertificate::try_from(own).is_err() {
            return Err(format!(
                "holds a certificate that TLS cannot use, number {}: it is larger than 64 KiB, or it breaks X.509; have it made anew, or take it out",
                place + 1
            ));
        }
    }
    // Of the system's, nobody chose each one.
    roots.add_parsable_certificates(trust.system.iter().cloned());
    let none = "holds no certificate that can be trusted";
    let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    Ok(Arc::new(Judge { inner: inner.map_err(|_| none.to_owned())?, own: trust.own }))
}

/// The same, with what `read` says at each handshake: files of authorities are replaced. While they cannot be read, what
/// they said last counts.
///
/// # Errors
/// What `read` says the first time, or that there is nobody to trust.
pub fn following(
    read: impl Fn() -> Result<Trust, String> + Send + Sync + 'static,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, String> {
    let first = verifier(read()?, Arc::clone(&provider))?;
    Ok(Arc::new(Follower { read: Box::new(read), provider, last: Mutex::new(first) }))
}

struct Follower {
    read: Box<dyn Fn() -> Result<Trust, String> + Send + Sync>,
    provider: Arc<CryptoProvider>,
    last: Mutex<Arc<dyn ServerCertVerifier>>,
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Follower")
    }
}

impl Follower {
    fn last(&self) -> Arc<dyn ServerCertVerifier> {
        Arc::clone(&self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ServerCertVerifier for Follower {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(fresh) = (self.read)().and_then(|trust| verifier(trust, Arc::clone(&self.provider))) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        self.last().verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.last().verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.last().verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.last().supported_verify_schemes()
    }
}

/// Judges as rustls does, and takes a server's certificate that was given as it is: Java and Go do so.
#[derive(Debug)]
struct Judge {
    inner: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl Judge {
    /// Whether a certificate that was given is one for this server, now.
    fn is_for(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
        verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
        let time = |seconds: i64| {
            UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
        };
        let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        if now < time(from) {
            return Err(CertificateError::NotValidYetContext { time: now, not_before: time(from) }.into());
        }
        if now > time(until) {
            return Err(CertificateError::ExpiredContext { time: now, not_after: time(until) }.into());
        }
        Ok(())
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.own.iter().any(|own| own == end_entity) {
            Self::is_for(end_entity, server_name, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
