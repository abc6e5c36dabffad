//! TLS by rustls with the ring provider: own CA or the system's roots, and a client certificate.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::TlsConnector;

use crate::WireError;
use crate::dial::Stream;

/// PEM files of a TLS configuration.
#[derive(Debug, Clone, Default)]
pub struct TlsFiles {
    /// Trusted certificates; the system's roots when absent.
    pub ca: Option<PathBuf>,
    /// Our certificate chain and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Reads the files and makes a connector. Read at each connection, so rotated files count from the next one on.
pub(crate) fn connector(files: &TlsFiles) -> Result<TlsConnector, WireError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| bad("TLS", &error))?
        .with_root_certificates(roots(files)?);
    let config = match &files.identity {
        None => config.with_no_client_auth(),
        Some((chain_file, key_file)) => {
            let chain = certificates(chain_file)?;
            let key_name = key_file.display().to_string();
            let key = PrivateKeyDer::from_pem_slice(&read(key_file)?).map_err(|error| bad(&key_name, &error))?;
            config.with_client_auth_cert(chain, key).map_err(|error| bad(&key_name, &error))?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(files: &TlsFiles) -> Result<RootCertStore, WireError> {
    let mut store = RootCertStore::empty();
    let (name, list) = match &files.ca {
        Some(file) => (file.display().to_string(), certificates(file)?),
        None => ("system trust store".into(), rustls_native_certs::load_native_certs().certs),
    };
    store.add_parsable_certificates(list);
    if store.is_empty() {
        return Err(bad(&name, &"holds no usable CA certificate; set tls.caFile to the CA of the cluster"));
    }
    Ok(store)
}

fn certificates(file: &PathBuf) -> Result<Vec<CertificateDer<'static>>, WireError> {
    let name = file.display().to_string();
    let list: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(file)?).collect();
    let list = list.map_err(|error| bad(&name, &error))?;
    if list.is_empty() {
        return Err(bad(&name, &"holds no PEM certificate"));
    }
    Ok(list)
}

fn read(file: &PathBuf) -> Result<Vec<u8>, WireError> {
    std::fs::read(file).map_err(|error| bad(&file.display().to_string(), &error))
}

fn bad(file: &str, reason: &dyn std::fmt::Display) -> WireError {
    WireError::Certificate { file: file.to_owned(), reason: reason.to_string(), rotating: false }
}

/// Speaks TLS over `stream`.
pub(crate) async fn handshake(
    files: &TlsFiles,
    host: &str,
    broker: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, WireError> {
    let connector = connector(files)?;
    let fail = |reason: String| WireError::Tls { broker: broker.to_owned(), reason, rotating: false };
    let name = ServerName::try_from(host.to_owned()).map_err(|error| fail(error.to_string()))?;
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>) => {
            Err(fail(error.to_string()))
        }
        Err(error) => Err(WireError::Io {
            broker: broker.to_owned(),
            reason: format!("TLS handshake: {error} (does this listener speak TLS?)"),
        }),
    }
}
