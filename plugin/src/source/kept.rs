//! Evidence in a store, read from here with the credentials of this machine.

use std::path::Path;

use archive::KeptEvidence;
use jiff::Timestamp;

use super::direct;
use crate::error::Error;
use crate::screen::Screen;
use crate::waiting::Telling;

/// The evidence of one validation in a store.
#[derive(Debug)]
pub struct Evidence {
    kept: KeptEvidence,
    _telling: Telling,
}

/// One piece of evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub id: String,
    /// When it was written, by the store's clock.
    pub at: Option<Timestamp>,
    /// Names of its files.
    pub files: Vec<String>,
}

impl Evidence {
    /// That of a validation in the store of a URL or a directory.
    ///
    /// # Errors
    /// A name that no validation has; what [`super::Direct::open`] says.
    pub async fn open(
        url: &str,
        ca_file: Option<&Path>,
        (namespace, name): (&str, &str),
        screen: &Screen,
    ) -> Result<Self, Error> {
        let named = [("the namespace", namespace), ("the validation", name)];
        // Outside Kubernetes there is no namespace.
        for (what, text) in named.into_iter().filter(|(what, text)| *what != "the namespace" || !text.is_empty()) {
            contract::names::check_name(text)
                .map_err(|rule| Error::usage(format!("{what} {text:?}: {rule}"), "correct the name"))?;
        }
        let (store, telling) = direct::store(url, ca_file, screen).await?;
        Ok(Self { kept: KeptEvidence::new(&store, namespace, name), _telling: telling })
    }

    /// All of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(&self) -> Result<Vec<Kept>, Error> {
        let all = self.kept.list().await.map_err(|error| Error::Archive(error.into()))?;
        let kept = |(id, files): (String, Vec<archive::KeptFile>)| Kept {
            id,
            at: files.iter().filter_map(|file| file.at).max(),
            files: files
                .into_iter()
                .map(|file| file.name)
                .filter(|name| evidence::FILES.contains(&name.as_str()))
                .collect(),
        };
        // A name that leads elsewhere is none of ours.
        let known = all.into_iter().filter(|(id, _)| contract::names::check_name(id).is_ok());
        Ok(known.map(kept).filter(|kept| kept.files.iter().any(|name| name == evidence::DOCUMENT)).collect())
    }

    /// A file.
    ///
    /// # Errors
    /// When the store fails, and a file of more than `most` bytes.
    pub async fn read(&self, id: &str, file: &str, most: u64) -> Result<Option<Vec<u8>>, Error> {
        let read = self.kept.read(id, file, most).await;
        Ok(read.map_err(|error| Error::Archive(error.into()))?.map(Vec::from))
    }
}
