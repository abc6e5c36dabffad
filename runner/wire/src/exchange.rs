//! Our side of a login: what a mechanism says next, given what the server said. It hashes on threads of its own, a few at
//! a time, and never lets the library read what was not looked at before. It sends nothing.

use std::sync::Arc;

use bytes::Bytes;
use contract::SaslMechanism;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechname::Mechname;
use rsasl::prelude::{SASLClient, SASLConfig, Session, SessionError};
use rsasl::property::{AuthId, Password};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::scram;

/// Logins that hash at once. One that nobody waits for any more goes on to its end, and counts.
static HASHING: Semaphore = Semaphore::const_new(2);

/// A user name and a password.
pub(crate) struct Credentials {
    pub(crate) username: String,
    pub(crate) password: SecretString,
}

impl SessionCallback for Credentials {
    fn callback(&self, _: &SessionData, _: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(&self.username)?;
        request.satisfy::<Password>(self.password.expose_secret().as_bytes())?;
        Ok(())
    }
}

/// A login that goes on.
pub(crate) struct Exchange {
    session: Session,
    mechanism: SaslMechanism,
    /// What the server said so often.
    heard: u8,
}

/// What follows from what the server said.
pub(crate) struct Answered {
    pub(crate) exchange: Exchange,
    /// What to send.
    pub(crate) output: Vec<u8>,
    /// The mechanism has nothing more to say after that.
    pub(crate) is_last: bool,
}

impl Exchange {
    /// # Errors
    /// Why the library cannot begin.
    pub(crate) fn start(credentials: Credentials, mechanism: SaslMechanism) -> Result<Self, String> {
        let config: Arc<SASLConfig> =
            SASLConfig::builder().with_defaults().with_callback(credentials).map_err(|error| error.to_string())?;
        let name = Mechname::parse(mechanism.name().as_bytes()).map_err(|error| error.to_string())?;
        let session = SASLClient::new(config).start_suggested(&[name]).map_err(|error| error.to_string())?;
        Ok(Self { session, mechanism, heard: 0 })
    }

    /// Goes on with what the server said, if it was its turn.
    ///
    /// # Errors
    /// Why the login cannot go on, in words.
    pub(crate) async fn step(mut self, input: Option<Bytes>) -> Result<Answered, String> {
        if let Some(input) = &input {
            self.check(input)?;
        }
        let mechanism = self.mechanism.name();
        let broken = || format!("the login with {mechanism} broke off; use another sasl.mechanism");
        let permit = HASHING.acquire().await.map_err(|_| broken())?;
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            self.advance(input.as_deref())
        });
        work.await.map_err(|_| broken())?
    }

    /// Looks at what the server said before the library does.
    fn check(&mut self, input: &[u8]) -> Result<(), String> {
        self.heard = self.heard.saturating_add(1);
        match (self.mechanism, self.heard) {
            (SaslMechanism::Plain, _) => Ok(()),
            (SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512, 1) => scram::check_first(input),
            (SaslMechanism::ScramSha256 | SaslMechanism::ScramSha512, _) => scram::check_last(input),
        }
    }

    fn advance(mut self, input: Option<&[u8]>) -> Result<Answered, String> {
        let mut output = Vec::new();
        let state = self.session.step(input, &mut output).map_err(|error| {
            tracing::debug!(%error, "the login broke off");
            format!("its answers to {} do not fit user name and password; correct them", self.mechanism.name())
        })?;
        let is_last = !state.is_running();
        Ok(Answered { exchange: self, output, is_last })
    }
}

#[cfg(test)]
mod tests;
