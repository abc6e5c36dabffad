//! Credentials that are read from their files for each request, so that a rotated secret counts at once.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use contract::Code;
use object_store::CredentialProvider;

use super::Paths;
use crate::ArchiveError;

/// The text of a secret's file, without surrounding white space.
pub(super) fn read_secret(paths: &Paths, path: &str) -> Result<String, ArchiveError> {
    let file = paths.secret(path);
    std::fs::read_to_string(&file).map(|text| text.trim().to_owned()).map_err(|error| ArchiveError::Config {
        reason: format!("storage.credentials: {}: {error}", file.display()),
        code: Code::SecretMissing,
    })
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
