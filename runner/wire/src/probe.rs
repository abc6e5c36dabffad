//! Questions that show what a listener is, asked over connections of their own once a dial failed. No user name and no
//! password ever goes this way.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::brokers::Address;
use crate::cluster::{Cluster, parse};
use crate::connection::Connection;
use crate::listener::Misfit;
use crate::sasl::{self, Shaken};
use crate::{Stream, WireError, tls};

/// A listener that says nothing for so long may wait for the line of a request of HTTP.
const SILENT: Duration = Duration::from_secs(2);
/// The shortest question that a web server answers.
const HTTP: &[u8] = b"HEAD / HTTP/1.0\r\n\r\n";

/// The mechanism that is named to learn which ones there are.
const ANY: &str = "PLAIN";

impl Cluster {
    /// What a listener is that did not speak TLS to us.
    pub(crate) async fn plain_misfit(&self, address: &Address) -> Option<Misfit> {
        // A look at what a failure was: another failure says nothing more.
        let stream = self.dialer.dial(&address.host, address.port).await.ok()?;
        let started = tokio::select! {
            biased;
            started = Connection::start(address.to_string(), stream, self.manner.clone(), None) => started,
            misfit = self.silent_misfit(address) => Err(misfit),
        };
        match started {
            Ok(connection) => Some(Misfit::SpeaksPlain(mechanisms(&connection).await)),
            // It does speak TLS, and has another reason.
            Err(WireError::Listener { misfit: Misfit::SpeaksTls, .. }) => None,
            Err(WireError::Listener { misfit, .. }) => Some(misfit),
            Err(_) => None,
        }
    }

    /// What a listener is that says nothing; ends only when that is known.
    pub(crate) async fn silent_misfit(&self, address: &Address) -> WireError {
        tokio::time::sleep(SILENT).await;
        if !self.answers_http(address).await {
            std::future::pending::<()>().await;
        }
        let (broker, protocol) = (address.to_string(), self.config.protocol);
        WireError::Listener { broker, misfit: Misfit::Http, protocol, settled: false }
    }

    async fn answers_http(&self, address: &Address) -> bool {
        let Ok(mut stream) = self.dialer.dial(&address.host, address.port).await else { return false };
        let mut first = [0; 4];
        stream.write_all(HTTP).await.is_ok() && stream.read_exact(&mut first).await.is_ok() && first == *b"HTTP"
    }

    /// What a listener is that hung up on a question without TLS.
    pub(crate) async fn tls_misfit(&self, address: &Address) -> Option<Misfit> {
        // The same.
        let stream = self.dialer.dial(&address.host, address.port).await.ok()?;
        let spoken = tls::is_spoken(&address.host, &address.to_string(), stream).await;
        spoken.then_some(Misfit::SpeaksTls)
    }

    /// The first question of a connection without login ended it: a listener that wants one does so.
    pub(crate) async fn explain_hang_up(&self, connection: &Connection, error: WireError) -> WireError {
        let Some(address) = parse(connection.broker()) else { return error };
        let may_want_login = matches!(&error, WireError::Io { cause, .. } if cause.is_hang_up())
            && !self.config.protocol.uses_sasl()
            && !connection.is_proven();
        if !may_want_login {
            return error;
        }
        match self.wants_login(&address).await {
            Some(mechanisms) => {
                let error = connection.misfit(Misfit::WantsLogin(mechanisms));
                self.config.waits.tell(error.to_string());
                error
            }
            None => error,
        }
    }

    async fn wants_login(&self, address: &Address) -> Option<Vec<String>> {
        let asked = async {
            // The same.
            let mut stream: Box<dyn Stream> = self.dialer.dial(&address.host, address.port).await.ok()?;
            if self.config.protocol.uses_tls() {
                let broker = address.to_string();
                // The same.
                stream = tls::handshake(&self.config.tls, &address.host, &broker, stream).await.ok()?.0;
            }
            // The same.
            let connection = Connection::start(address.to_string(), stream, self.manner.clone(), None).await.ok()?;
            mechanisms(&connection).await
        };
        let limit = Duration::from_millis(self.config.options.connect_timeout_ms);
        // The same.
        tokio::time::timeout(limit, asked).await.ok().flatten()
    }
}

/// The mechanisms that a listener offers, where it has a login.
async fn mechanisms(connection: &Connection) -> Option<Vec<String>> {
    match sasl::shake_hands(connection, ANY).await {
        Ok(Shaken::Good(offered) | Shaken::Others(offered)) => Some(offered),
        Ok(Shaken::NoLogin) | Err(_) => None,
    }
}
