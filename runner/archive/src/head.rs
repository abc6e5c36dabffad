//! A copy of the newest entry's number and digest outside the store. When the store comes back older than the copy
//! says (a bucket that was rolled back, another archive under the same name), a writer stops.

use std::path::{Path, PathBuf};

use contract::{Code, words};
use serde::{Deserialize, Serialize};

use crate::{ArchiveError, Chain, Digest};

/// The file that holds the copy.
#[derive(Debug, Clone)]
pub struct HeadCopy {
    file: PathBuf,
}

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    entry: u64,
    digest: Digest,
}

impl HeadCopy {
    /// The copy of a set's head in a folder that must exist.
    ///
    /// # Errors
    /// When the folder does not exist.
    pub fn new(folder: &Path, set: &str) -> Result<Self, ArchiveError> {
        if !folder.is_dir() {
            let reason =
                format!("backup.checkpointFolder {} is not a folder; create it, or mount its volume", folder.display());
            return Err(ArchiveError::Config { reason, code: Code::StoreMissing });
        }
        Ok(Self { file: folder.join(format!("{set}.head.json")) })
    }

    fn fail(&self, words: &str) -> ArchiveError {
        let reason = format!("backup.checkpointFolder: the copy {} {words}", self.file.display());
        ArchiveError::Config { reason, code: Code::StoreDenied }
    }

    fn failed(&self, error: &std::io::Error) -> ArchiveError {
        self.fail(&format!("cannot be used: {}; correct the folder or its rights", words::of_system(error)))
    }

    /// Compares the copy with the log, whose newest entry is `newest`. No copy yet: nothing to compare.
    pub(crate) async fn check(&self, chain: &Chain, newest: Option<u64>) -> Result<(), ArchiveError> {
        let text = match std::fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(self.failed(&error)),
        };
        let head: Head = serde_json::from_slice(&text).map_err(|_| {
            self.fail("holds something else than a head of a set; find out what wrote it, then remove it")
        })?;
        let found = match newest {
            Some(newest) if newest >= head.entry => Some(chain.entry(head.entry).await?.1),
            _ => None,
        };
        if found.as_ref() == Some(&head.digest) {
            return Ok(());
        }
        let copy = self.file.display().to_string();
        Err(ArchiveError::RolledBack { copy, entry: head.entry, newest })
    }

    /// Replaces the copy. The log is ahead of it for a moment, never behind.
    pub(crate) async fn write(&self, entry: u64, digest: &Digest) -> Result<(), ArchiveError> {
        let head = Head { entry, digest: digest.clone() };
        let bytes = serde_json::to_vec(&head).map_err(ArchiveError::unencodable)?;
        let (file, fresh) = (self.file.clone(), self.file.with_extension("new"));
        let work = move || {
            use std::io::Write;
            let mut out = std::fs::File::create(&fresh)?;
            out.write_all(&bytes)?;
            out.sync_all()?;
            std::fs::rename(&fresh, &file)
        };
        let done = tokio::task::spawn_blocking(work).await.map_err(ArchiveError::task)?;
        done.map_err(|error| self.failed(&error))
    }
}
