//! Reading a store from here, with the credentials of this machine and no cluster.

use std::path::Path;

use archive::{Paths, Store, open_store};
use contract::{CircuitBreakerSpec, StoreSpec, Waits};
use inspect::{Answer, Question, Replies};
use tokio::sync::mpsc::Sender;

use crate::error::Error;
use crate::screen::Screen;
use crate::waiting::Telling;

/// A store.
#[derive(Debug)]
pub struct Direct {
    store: Store,
    _telling: Telling,
}

impl Direct {
    /// Opens the store of a URL or a directory; its certificate may be signed by the authority in `ca_file`.
    ///
    /// # Errors
    /// When the URL does not read, or the store cannot be reached.
    pub async fn open(url: &str, ca_file: Option<&Path>, screen: &Screen) -> Result<Self, Error> {
        let (store, telling) = store(url, ca_file, screen).await?;
        Ok(Self { store, _telling: telling })
    }

    pub(super) fn ask(&self, question: Question, sender: Sender<Answer>) {
        let store = self.store.clone();
        tokio::spawn(async move { inspect::ask(&store, &question, None, Replies::new(sender)).await });
    }
}

/// The store of a URL or a directory, and what tells how long it lets us wait.
pub(super) async fn store(url: &str, ca_file: Option<&Path>, screen: &Screen) -> Result<(Store, Telling), Error> {
    let is_folder = !url.contains("://") && Path::new(url).is_dir();
    let text = if is_folder && !url.contains('/') { format!("./{url}") } else { url.to_owned() };
    let spec = contract::store_url::parse(&text)
        .map_err(|rule| Error::usage(format!("--store {rule}"), "credentials come from the environment"))?;
    store_of(&spec, ca_file, screen).await
}

/// The store of a specification, and what tells how long it lets us wait.
pub(crate) async fn store_of(
    spec: &StoreSpec,
    ca_file: Option<&Path>,
    screen: &Screen,
) -> Result<(Store, Telling), Error> {
    let spec = spec.clone();
    let spec = match ca_file {
        None => spec,
        Some(file) => spec
            .with_ca_file(file.display().to_string())
            .map_err(|rule| Error::usage(format!("--ca-file {rule}"), "it goes with s3://, azure:// and gs://"))?,
    };
    let here = Paths { secrets: ".".into(), volumes: ".".into() };
    let waits = Waits::default();
    let telling = Telling::of(&waits, screen);
    let store = open_store(&spec, &here, &CircuitBreakerSpec::default(), &waits).await;
    Ok((store.map_err(|error| Error::Archive(error.into()))?, telling))
}
