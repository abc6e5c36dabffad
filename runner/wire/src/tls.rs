//! TLS by rustls with the ring provider: own CA or the system's roots, and a client certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::tls_words;
use keys::{About, Identity, Part, Trust};
use rustls::client::ResolvesClientCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use rustls_pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::WireError;
use crate::broke::Broke;
use crate::dial::Stream;
use crate::sasl::file_words;

/// Files of a TLS configuration.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Trusted certificates; the system's roots when absent.
    pub ca: Option<PathBuf>,
    /// Trusted certificates as they are, PEM; they count where `ca` is absent. The specification of the run has them.
    pub given: Option<String>,
    /// Who we are.
    pub identity: Option<IdentityFiles>,
}

/// Our certificate chain and its key.
#[derive(Debug, Clone)]
pub struct IdentityFiles {
    /// The chain, or a PKCS#12 keystore.
    pub chain: PathBuf,
    /// The key; `None` where the file of the chain has it.
    pub key: Option<PathBuf>,
    /// The password of the key or the keystore.
    pub password: Option<PathBuf>,
}

/// What we answer where a broker asks for a client certificate, and whether it did.
#[derive(Debug)]
struct Ours {
    identity: Option<SingleCertAndKey>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Ours {
    fn resolve(&self, issuers: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.identity.as_ref()?.resolve(issuers, schemes)
    }

    fn has_certs(&self) -> bool {
        self.identity.is_some()
    }
}

/// Reads the files and makes a connector. Read at each connection, so rotated files count from the next one on.
fn connector(files: &TlsFiles) -> Result<(TlsConnector, Arc<Ours>), WireError> {
    let provider = Arc::new(keys::provider());
    let (name, trust) = trusted(files)?;
    let verifier = keys::verifier(trust, Arc::clone(&provider))
        .map_err(|reason| bad(&name, format!("{reason}; set tls.caFile to the CA of the cluster")))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| bad("TLS", "the library offers no version of it"))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let identity = files.identity.as_ref().map(ours).transpose()?;
    let ours = Arc::new(Ours { identity, asked: AtomicBool::new(false) });
    let config = config.with_client_cert_resolver(Arc::<Ours>::clone(&ours));
    Ok((TlsConnector::from(Arc::new(config)), ours))
}

fn trusted(files: &TlsFiles) -> Result<(String, Trust), WireError> {
    let Some(file) = &files.ca else {
        if let Some(given) = &files.given {
            let name = "tls.caCertificates".to_owned();
            let own = keys::certificates(given.as_bytes()).map_err(|reason| bad(&name, reason))?;
            return Ok((name, Trust { own, ..Trust::default() }));
        }
        let system = rustls_native_certs::load_native_certs().certs;
        return Ok(("system trust store".into(), Trust { system, ..Trust::default() }));
    };
    let name = file.display().to_string();
    let own = keys::authorities(&read(file)?, beside(file)?.as_deref()).map_err(|reason| bad(&name, reason))?;
    Ok((name, Trust { own, ..Trust::default() }))
}

fn ours(files: &IdentityFiles) -> Result<SingleCertAndKey, WireError> {
    let key = files.key.as_deref().map(read).transpose()?;
    let password = files.password.as_deref().map(read).transpose()?;
    let password = match (password.map(String::from_utf8), &files.password) {
        (Some(Err(_)), Some(file)) => return Err(bad(&file.display().to_string(), "is no text")),
        (password, _) => password.and_then(Result::ok),
    };
    let password = password.as_deref().map(|text| text.trim_end_matches(['\n', '\r']));
    let chain = read(&files.chain)?;
    let made = keys::identity(Identity { chain: &chain, key: key.as_deref(), password });
    let made = made.map_err(|refused| {
        let file = match refused.part {
            Part::Chain => &files.chain,
            Part::Key => files.key.as_ref().unwrap_or(&files.chain),
            Part::Password => files.password.as_ref().unwrap_or(&files.chain),
        };
        bad(&file.display().to_string(), refused.reason)
    })?;
    Ok(SingleCertAndKey::from(made))
}

/// The password that stands beside a keystore, where there is one.
fn beside(file: &Path) -> Result<Option<String>, WireError> {
    let Some(password) = file.to_str().and_then(contract::endpoint::password_beside).map(PathBuf::from) else {
        return Ok(None);
    };
    if !password.exists() {
        return Ok(None);
    }
    let name = password.display().to_string();
    String::from_utf8(read(&password)?).map(Some).map_err(|_| bad(&name, "is no text"))
}

/// What our own certificate says of itself; `None` where we have none, or it cannot be used.
pub(crate) fn own(files: &TlsFiles) -> Option<About> {
    // Whoever connects says what is wrong with it.
    let made = ours(files.identity.as_ref()?).ok()?;
    keys::about(made.resolve(&[], &[SignatureScheme::RSA_PSS_SHA256])?.cert.first()?)
}

fn read(file: &Path) -> Result<Vec<u8>, WireError> {
    std::fs::read(file).map_err(|error| bad(&file.display().to_string(), file_words(&error)))
}

fn bad(file: &str, reason: impl Into<String>) -> WireError {
    WireError::Certificate { file: file.to_owned(), reason: reason.into(), rotating: false }
}

/// Why there is no TLS.
pub(crate) struct Failed {
    pub(crate) error: WireError,
    /// The peer may speak something else: it answered with what is no TLS, or hung up.
    pub(crate) may_be_plain: bool,
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self { error, may_be_plain: false }
    }
}

/// Speaks TLS over `stream`; tells what the peer's certificate says of itself.
pub(crate) async fn handshake(
    files: &TlsFiles,
    host: &str,
    broker: &str,
    stream: Box<dyn Stream>,
) -> Result<(Box<dyn Stream>, Option<About>), Failed> {
    let (connector, ours) = connector(files)?;
    match connector.connect(server_name(host, broker)?, stream).await {
        Ok(stream) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| keys::about(chain.first()?));
            Ok((Box::new(stream), shown))
        }
        Err(error) => Err(match Broke::of(&error) {
            Broke::Tls(words) => {
                let may_be_plain = tls_words::says_no_tls(&words);
                let asked = Some(ours.asked.load(Ordering::Relaxed));
                Failed { error: refused(files, host, broker, &words, asked), may_be_plain }
            }
            cause => {
                let (broker, cause) = (broker.to_owned(), Broke::NoTls(Box::new(cause)));
                Failed { error: WireError::Io { broker, cause, note: String::new() }, may_be_plain: true }
            }
        }),
    }
}

/// Whether somebody speaks TLS over `stream`. Nobody is trusted here, and nothing is said but the greeting.
pub(crate) async fn is_spoken(host: &str, broker: &str, stream: Box<dyn Stream>) -> bool {
    let provider = Arc::new(keys::provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let (Ok(builder), Ok(name)) = (builder, server_name(host, broker)) else { return false };
    let config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    match TlsConnector::from(Arc::new(config)).connect(name, stream).await {
        Ok(_) => true,
        Err(error) => matches!(Broke::of(&error), Broke::Tls(words) if !tls_words::says_no_tls(&words)),
    }
}

/// The failure of TLS that ends all tries, in words.
/// `asked` says whether it asked for a client certificate, where that is known.
pub(crate) fn refused(files: &TlsFiles, host: &str, broker: &str, words: &str, asked: Option<bool>) -> WireError {
    let peer = tls_words::Peer {
        host,
        trust: if files.ca.is_some() {
            "put the CA that signed it into tls.caFile"
        } else if files.given.is_some() {
            "put the CA that signed it into tls.caCertificates"
        } else {
            "set tls.caFile to the CA that signed it"
        },
        identity: files.identity.as_ref().map(|_| "correct tls.certificateFile and tls.keyFile"),
        wanted: "set tls.certificateFile and tls.keyFile",
        asked,
    };
    tracing::debug!(broker, words, "TLS failed");
    let reason = tls_words::reason(words, peer)
        .unwrap_or_else(|| "the handshake ended; look at the broker's log for the reason".to_owned());
    WireError::Tls { broker: broker.to_owned(), reason, note: String::new(), rotating: false }
}

/// The name that a certificate has for a host; `None` for one that no certificate can have. A final dot says that the name is
/// a full one; certificates are without it.
pub(crate) fn certified_name(host: &str) -> Option<ServerName<'static>> {
    ServerName::try_from(host.strip_suffix('.').unwrap_or(host).to_owned()).ok()
}

fn server_name(host: &str, broker: &str) -> Result<ServerName<'static>, WireError> {
    certified_name(host).ok_or_else(|| WireError::Tls {
        broker: broker.to_owned(),
        reason: format!("{host:?} is no name that a certificate can have; correct bootstrapServers"),
        note: String::new(),
        rotating: false,
    })
}

#[cfg(test)]
mod tests;
