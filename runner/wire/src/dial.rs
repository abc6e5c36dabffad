//! How connections come into being. A value, so that tests can put a simulated network in its place.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use contract::ConnectionSpec;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to a broker.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens byte streams to brokers.
#[async_trait]
pub trait Dialer: Send + Sync + std::fmt::Debug {
    /// Connects to `host:port`.
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>>;

    /// Whether DNS answers that there is no such name. A DNS that does not answer says nothing.
    async fn is_unknown(&self, _host: &str) -> bool {
        false
    }
}

/// TCP with the options of the specification.
#[derive(Debug, Clone)]
pub struct TcpDialer {
    options: ConnectionSpec,
}

impl TcpDialer {
    /// A dialer with these options.
    #[must_use]
    pub fn new(options: ConnectionSpec) -> Self {
        Self { options }
    }
}

#[async_trait]
impl Dialer for TcpDialer {
    async fn dial(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let stream = tokio::net::TcpStream::connect((host, port)).await?;
        stream.set_nodelay(self.options.tcp_nodelay)?;
        if self.options.tcp_keepalive {
            let keepalive = socket2::TcpKeepalive::new()
                .with_time(Duration::from_secs(self.options.keepalive_time_secs))
                .with_interval(Duration::from_secs(self.options.keepalive_interval_secs));
            socket2::SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
        }
        Ok(Box::new(stream))
    }

    async fn is_unknown(&self, host: &str) -> bool {
        let found = tokio::net::lookup_host((host, 0)).await.map(drop);
        found.is_err_and(|error| contract::names::says_unknown_host(&error.to_string()))
    }
}
