//! A TLS listener whose certificate changes while it listens: connections that stand keep theirs.
//!
//! It is written by hand on purpose. Handshakes have a bound and a time limit of their own, and each connection goes through
//! [`visits::Bounded`], which axum's `Listener` takes as it takes any other. Libraries that serve axum over TLS accept without
//! such bounds and take the place of `axum::serve`: an acceptor with both would be as long as this one, beside the library.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::serve::Listener;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::error::Error;

/// Handshakes that may be open at once; a client that never finishes one holds up nobody.
const HANDSHAKES: usize = 512;
/// Longest handshake.
const PATIENCE: Duration = Duration::from_secs(4);

/// The certificate in use.
#[derive(Debug, Default)]
pub struct Certificate {
    current: RwLock<Option<Arc<CertifiedKey>>>,
}

impl Certificate {
    /// Uses another certificate from now on.
    ///
    /// # Errors
    /// When it does not read, or does not fit its key.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), Error> {
        let made = keys::identity(keys::Identity { chain, key: Some(key), password: None }).map_err(|refused| {
            let part = if refused.part == keys::Part::Chain { "tls.crt" } else { "tls.key" };
            Error::Certificate(format!("{part} of the webhook's certificate {}", refused.reason))
        })?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(made);
        Ok(())
    }

    /// Whether there is one.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.current.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Accepts TLS connections.
pub struct TlsListener {
    address: SocketAddr,
    accepted: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl TlsListener {
    /// Listens.
    ///
    /// # Errors
    /// When the address is taken.
    pub async fn bind(address: SocketAddr, certificate: Arc<Certificate>) -> Result<Self, Error> {
        let io = |source| Error::Io { what: format!("listening on {address}"), source };
        let tcp = TcpListener::bind(address).await.map_err(io)?;
        let address = tcp.local_addr().map_err(io)?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Certificate(error.to_string()))?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        let (sender, accepted) = mpsc::channel(HANDSHAKES);
        tokio::spawn(accept(tcp, TlsAcceptor::from(Arc::new(config)), sender));
        Ok(Self { address, accepted })
    }
}

async fn accept(tcp: TcpListener, tls: TlsAcceptor, sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let open = Arc::new(tokio::sync::Semaphore::new(HANDSHAKES));
    loop {
        let Ok(permit) = Arc::clone(&open).acquire_owned().await else { return };
        let Ok((stream, peer)) = tcp.accept().await else {
            // Out of file descriptors, most likely: they come back.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (tls, sender) = (tls.clone(), sender.clone());
        tokio::spawn(async move {
            let _permit = permit;
            match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
                Ok(Ok(stream)) => drop(sender.send((stream, peer)).await),
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
                Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
            }
        });
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.accepted.recv().await {
            Some(accepted) => accepted,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However a key was pasted, what is told of it shows nothing of it.
    #[test]
    fn a_key_that_was_pasted_wrongly_is_told_in_fixed_words() {
        let key = rcgen::KeyPair::generate().unwrap();
        let made = rcgen::CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
        let (chain, whole) = (made.pem(), key.serialize_pem());
        let body: String = whole.lines().nth(1).unwrap_or_default().chars().skip(8).take(16).collect();
        let bytes = body.bytes().take(4).map(|byte| byte.to_string()).collect::<Vec<_>>().join(", ");
        let flat = whole.replace(['\n', '\r'], "");
        let certificate = Certificate::default();
        for pasted in [flat.replace("-----END", "-END"), whole.replace('\n', "\\n"), flat.split_at(90).0.to_owned()] {
            let words = certificate.replace(chain.as_bytes(), pasted.as_bytes()).unwrap_err().to_string();
            assert!(!words.contains(&body) && !words.contains(&bytes) && words.contains("tls.key"), "{words}");
        }
        assert!(!certificate.is_there());
        certificate.replace(chain.as_bytes(), flat.as_bytes()).unwrap();
        assert!(certificate.is_there());
    }
}
