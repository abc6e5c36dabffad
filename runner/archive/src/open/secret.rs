//! Credentials: read from their files for each request, so that a rotated secret counts at once, and looked at before they
//! become headers. The library ends the process over a line feed in one.

use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use contract::words::of_system;
use contract::{Code, odd};
use object_store::CredentialProvider;
use object_store::aws::AwsCredential;
use object_store::azure::AzureCredential;
use object_store::gcp::GcpCredential;

use super::Paths;
use super::unanswered::Unanswered;
use crate::ArchiveError;

/// The text of a secret's file, without surrounding white space.
pub(super) fn read_secret(paths: &Paths, path: &str) -> Result<String, ArchiveError> {
    match String::from_utf8(read_bytes(paths, path)?) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(_) => Err(unusable(paths, path, "is no text")),
    }
}

/// The bytes of a secret's file.
pub(super) fn read_bytes(paths: &Paths, path: &str) -> Result<Vec<u8>, ArchiveError> {
    let file = paths.secret(path);
    std::fs::read(&file).map_err(|error| {
        let (code, words) = match error.kind() {
            ErrorKind::NotFound => (Code::SecretMissing, "is missing; create the secret and its key".to_owned()),
            ErrorKind::IsADirectory => (Code::SecretUnusable, "is a folder; name a key of the secret, too".to_owned()),
            ErrorKind::PermissionDenied => (Code::SecretUnusable, format!("cannot be read: {}", of_system(&error))),
            // A volume that is not there yet may come.
            _ => (Code::SecretMissing, format!("cannot be read: {}", of_system(&error))),
        };
        ArchiveError::Config { reason: format!("storage.credentials: {} {words}", file.display()), code }
    })
}

/// A secret's file that holds one value, which breaks no rule of `check`.
pub(super) fn read_value(
    paths: &Paths,
    path: &str,
    check: impl Fn(&str) -> Option<String>,
) -> Result<String, ArchiveError> {
    let text = read_secret(paths, path)?;
    match check(&text) {
        None => Ok(text),
        Some(rule) => Err(unusable(paths, path, &rule)),
    }
}

/// What is wrong with a file of a secret, in words that show nothing of it.
pub(super) fn unusable(paths: &Paths, path: &str, rule: &str) -> ArchiveError {
    let reason = format!("storage.credentials: {} {rule}", paths.secret(path).display());
    ArchiveError::Config { reason, code: Code::SecretUnusable }
}

type Read<T> = Box<dyn Fn() -> Result<T, ArchiveError> + Send + Sync>;

/// A provider that reads files. While they cannot be read (a mount is being replaced), the last good value counts.
pub(super) struct FromFiles<T> {
    read: Read<T>,
    last: Mutex<Arc<T>>,
}

impl<T> FromFiles<T> {
    /// Reads for the first time.
    pub(super) fn new(
        read: impl Fn() -> Result<T, ArchiveError> + Send + Sync + 'static,
    ) -> Result<Self, ArchiveError> {
        let last = Mutex::new(Arc::new(read()?));
        Ok(Self { read: Box::new(read), last })
    }
}

impl<T> std::fmt::Debug for FromFiles<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FromFiles")
    }
}

#[async_trait]
impl<T: Send + Sync> CredentialProvider for FromFiles<T> {
    type Credential = T;

    async fn get_credential(&self) -> object_store::Result<Arc<T>> {
        let fresh = (self.read)();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match fresh {
            Ok(value) => *last = Arc::new(value),
            Err(error) => tracing::debug!(%error, "credentials could not be read again"),
        }
        Ok(Arc::clone(&last))
    }
}

/// Credentials that become headers or parts of addresses.
pub(super) trait Sent {
    /// What cannot be sent of it.
    fn odd(&self) -> Option<String>;
}

/// A value that goes into a header, named.
fn named(what: &str, value: &str) -> Option<String> {
    odd::header_value(value).map(|rule| format!("the {what} {rule}"))
}

impl Sent for AwsCredential {
    fn odd(&self) -> Option<String> {
        let secret = || odd::one_line(&self.secret_key).map(|rule| format!("the secret access key {rule}"));
        let token = || self.token.as_ref().and_then(|token| named("session token", token));
        named("access key id", &self.key_id).or_else(secret).or_else(token)
    }
}

impl Sent for AzureCredential {
    fn odd(&self) -> Option<String> {
        match self {
            Self::AccessKey(_) => None,
            Self::SASToken(pairs) => {
                let mut values = pairs.iter().flat_map(|(name, value)| [name, value]);
                values.find_map(|value| named("shared access signature", value))
            }
            Self::BearerToken(token) => named("token of the identity", token),
        }
    }
}

impl Sent for GcpCredential {
    fn odd(&self) -> Option<String> {
        named("token of the identity", &self.bearer)
    }
}

/// A provider whose credentials are looked at, wherever they come from: a file, the environment, an identity's service.
#[derive(Debug)]
pub(super) struct Looked<T>(pub(super) Arc<dyn CredentialProvider<Credential = T>>);

#[async_trait]
impl<T: Sent + Send + Sync + std::fmt::Debug + 'static> CredentialProvider for Looked<T> {
    type Credential = T;

    async fn get_credential(&self) -> object_store::Result<Arc<T>> {
        let credential = self.0.get_credential().await?;
        match credential.odd() {
            None => Ok(credential),
            Some(rule) => Err(Unanswered::found(Code::SecretUnusable, rule)),
        }
    }
}
