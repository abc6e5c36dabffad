//! The certificate that is shown at an address, for people who look at it. Nobody is trusted for it, and nothing is said there
//! but the greeting: the handshake ends once the certificate is there.

use std::sync::{Arc, Mutex, PoisonError};

use keys::{About, about};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;

use crate::Stream;
use crate::tls::certified_name;

/// Looks at a certificate, and refuses it.
#[derive(Debug)]
struct Looker {
    seen: Mutex<Option<About>>,
    schemes: Vec<SignatureScheme>,
}

/// The end of a handshake of which enough is known.
fn enough() -> Error {
    CertificateError::ApplicationVerificationFailure.into()
}

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = about(end_entity);
        Err(enough())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(enough())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(enough())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// What the certificate says of itself that is shown over `stream` to whoever asks for `host`; `None` where none is.
pub async fn shown(host: &str, stream: Box<dyn Stream>) -> Option<About> {
    let provider = Arc::new(keys::provider());
    let schemes = provider.signature_verification_algorithms.supported_schemes();
    let looker = Arc::new(Looker { seen: Mutex::new(None), schemes });
    // A look: what keeps it from coming about is said by whoever connects.
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let verifier = Arc::<Looker>::clone(&looker);
    let config = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    let name = certified_name(host.trim_start_matches('[').trim_end_matches(']'))?;
    drop(TlsConnector::from(Arc::new(config)).connect(name, stream).await);
    looker.seen.lock().unwrap_or_else(PoisonError::into_inner).take()
}
