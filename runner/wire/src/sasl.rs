//! The SASL login: handshake, then the mechanism's messages inside `SaslAuthenticate` (KIP-152, KIP-84).

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use contract::{SaslMechanism, odd, words};
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;

use crate::WireError;
use crate::codes::{self, code};
use crate::connection::Connection;
use crate::exchange::{Credentials, Exchange};
use crate::listener::{self, Misfit};

/// Where the login's user name and password are.
#[derive(Debug, Clone)]
pub struct SaslConfig {
    /// The mechanism.
    pub mechanism: SaslMechanism,
    /// The user name, or where it is.
    pub username: UserName,
    /// File with the password.
    pub password: PathBuf,
}

/// A user name.
#[derive(Debug, Clone)]
pub enum UserName {
    /// In this file, which is read at each login.
    File(PathBuf),
    /// This one.
    Text(String),
}

impl UserName {
    fn read(&self) -> Result<String, WireError> {
        match self {
            Self::File(file) => read(file),
            Self::Text(text) => Ok(text.clone()),
        }
    }
}

fn read(file: &PathBuf) -> Result<String, WireError> {
    let fail = |reason: String| WireError::Credentials { file: file.display().to_string(), reason, rotating: false };
    let text = std::fs::read_to_string(file).map_err(|error| fail(file_words(&error)))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err(fail("is empty".into()));
    }
    match odd::control_character(text) {
        Some(what) => Err(fail(format!("has {what}; it must be the bare value on one line"))),
        None => Ok(text.to_owned()),
    }
}

/// Why a file cannot be read, in words with a fix.
pub(crate) fn file_words(error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "does not exist; create the secret and its key".to_owned(),
        ErrorKind::IsADirectory => "is a folder; name a key of the secret, too".to_owned(),
        // Everything else is no mistake in the specification.
        _ => words::of_system(error),
    }
}

/// A login that failed, and how far it came.
pub(crate) struct Failed {
    pub(crate) error: WireError,
    /// What the listener is, where its hanging up shows that.
    pub(crate) misfit: Option<Misfit>,
}

impl From<WireError> for Failed {
    fn from(error: WireError) -> Self {
        Self { error, misfit: None }
    }
}

/// A hanging up that shows what the listener is.
fn shows(error: WireError, misfit: Misfit) -> Failed {
    let is_hang_up = matches!(&error, WireError::Io { cause, .. } if cause.is_hang_up());
    Failed { error, misfit: is_hang_up.then_some(misfit) }
}

/// Logs in on a fresh connection; returns how long the broker keeps the session, when it says so.
pub(crate) async fn login(connection: &Connection, config: &SaslConfig) -> Result<Option<Duration>, Failed> {
    let mechanism = config.mechanism.name();
    let refused =
        |reason: String| WireError::Authentication { broker: connection.broker().to_owned(), reason, rotating: false };
    match shake_hands(connection, mechanism).await.map_err(|error| shows(error, Misfit::EndsAtMechanism))? {
        Shaken::Good(_) => {}
        Shaken::NoLogin => return Err(connection.misfit(Misfit::HasNoLogin).into()),
        Shaken::Others(offered) => return Err(refused(listener::no_such_mechanism(mechanism, &offered)).into()),
    }
    let credentials = Credentials { username: config.username.read()?, password: read(&config.password)?.into() };
    let mut exchange = Exchange::start(credentials, config.mechanism).map_err(&refused)?;
    let mut input: Option<Bytes> = None;
    let mut lifetime = 0;
    loop {
        let step = exchange.step(input).await.map_err(&refused)?;
        if step.is_last && step.output.is_empty() {
            return Ok(session(lifetime));
        }
        let request = SaslAuthenticateRequest::default().with_auth_bytes(step.output.into());
        let answer = connection.call(&request, Duration::ZERO).await;
        // Brokers that predate errors of `SaslAuthenticate` just hang up on a wrong password.
        let answer = answer.map_err(|error| shows(error, Misfit::EndsAtPassword(mechanism)))?;
        if answer.error_code != 0 {
            return Err(refused(refusal(answer.error_code, mechanism)).into());
        }
        lifetime = answer.session_lifetime_ms;
        if step.is_last {
            return Ok(session(lifetime));
        }
        (exchange, input) = (step.exchange, Some(answer.auth_bytes));
    }
}

fn session(lifetime: i64) -> Option<Duration> {
    u64::try_from(lifetime).ok().filter(|ms| *ms > 0).map(Duration::from_millis)
}

/// How a broker answers to the name of a mechanism, with those that it offers.
pub(crate) enum Shaken {
    Good(Vec<String>),
    Others(Vec<String>),
    /// This listener has no login.
    NoLogin,
}

/// Names a mechanism to a broker.
pub(crate) async fn shake_hands(connection: &Connection, mechanism: &'static str) -> Result<Shaken, WireError> {
    let handshake = SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(mechanism));
    let answer = connection.call(&handshake, Duration::ZERO).await?;
    let offered = answer.mechanisms.iter().map(ToString::to_string).collect();
    match answer.error_code {
        0 => Ok(Shaken::Good(offered)),
        code::ILLEGAL_SASL_STATE => Ok(Shaken::NoLogin),
        code::UNSUPPORTED_SASL_MECHANISM => Ok(Shaken::Others(offered)),
        error => Err(WireError::broker(crate::Request::SaslHandshake, connection.broker(), error)),
    }
}

/// Why a broker did not let us in, for its error code. Its own words may show what it knows of users.
fn refusal(error: i16, mechanism: &str) -> String {
    if error == code::SASL_AUTHENTICATION_FAILED {
        return format!(
            "user name or password is wrong, or this user has no credentials for {mechanism}; correct the files that sasl names, or sasl.mechanism"
        );
    }
    format!("it answers {} ({error}) to the login with {mechanism}", codes::name(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Retry;
    use contract::Code;

    #[test]
    fn a_file_that_cannot_be_used_is_no_matter_of_tls() {
        for (file, reason) in [("/dev/null", "is empty"), ("/nowhere/password", "does not exist"), ("/", "is a folder")]
        {
            let error = read(&PathBuf::from(file)).unwrap_err();
            assert_eq!(error.code(), Code::SecretUnusable);
            assert!(error.to_string().contains(file) && error.to_string().contains(reason), "{error}");
            assert_eq!(error.retry(), Retry::Never);
            assert_eq!(error.after_success(false, true).retry(), Retry::Refresh, "a secret that is being replaced");
        }
    }

    #[test]
    fn a_pasted_file_is_no_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "username=canary\npassword=canary\n").unwrap();
        let error = read(&file).unwrap_err();
        assert_eq!(error.code(), Code::SecretUnusable);
        assert!(error.to_string().contains("a line feed at character 16"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
        std::fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("is no text"));
        std::fs::write(&file, "pass wörd\r\n").unwrap();
        assert_eq!(read(&file).unwrap(), "pass wörd");
    }

    proptest::proptest! {
        #[test]
        fn no_user_name_and_no_password_ends_the_process(username: String, password: String, answer: Vec<u8>) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            for mechanism in [SaslMechanism::Plain, SaslMechanism::ScramSha256, SaslMechanism::ScramSha512] {
                let credentials = Credentials { username: username.clone(), password: password.clone().into() };
                let exchange = Exchange::start(credentials, mechanism).unwrap();
                if let Ok(step) = runtime.block_on(exchange.step(None)) && !step.is_last {
                    drop(runtime.block_on(step.exchange.step(Some(answer.clone().into()))));
                }
            }
        }
    }
}
