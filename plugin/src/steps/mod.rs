//! Steps that several commands are made of: reading from a source, asking a person, writing a resource, waiting for it, printing
//! documents.

pub(crate) mod confirm;
pub mod kafka;
pub(crate) mod made;
pub(crate) mod points;
pub mod print;
pub(crate) mod probe;
pub mod wait;
pub mod watch;
pub mod write;

pub(crate) mod trigger;

use std::sync::Arc;

use api::inspection::InspectionLevel;

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::forms::ReadFrom;
use crate::screen::Screen;
use crate::source::{Direct, Source, Through};
pub(crate) use crate::stops::{or_interrupt, tidied};

/// Works with what a command reads, and lets go of it however that ends. `name` is the backup or point that is meant, if one
/// is named; `records` tells whether what records hold will be shown.
pub(crate) async fn with_source<T>(
    from: &ReadFrom,
    connection: &Connection,
    name: &str,
    records: bool,
    screen: &mut Screen,
    work: impl AsyncFnOnce(&Source, &mut Screen) -> Result<T, Error>,
) -> Result<T, Error> {
    let level = if records { InspectionLevel::Peek } else { InspectionLevel::Inspect };
    with_level(from, connection, name, level, screen, work).await
}

/// The same with a pod that may tell so much.
pub(crate) async fn with_level<T>(
    from: &ReadFrom,
    connection: &Connection,
    name: &str,
    level: InspectionLevel,
    screen: &mut Screen,
    work: impl AsyncFnOnce(&Source, &mut Screen) -> Result<T, Error>,
) -> Result<T, Error> {
    let source = if let Some(url) = &from.store {
        Source::Direct(or_interrupt(Direct::open(url, from.ca_file.as_deref(), screen)).await?)
    } else {
        let cluster = or_interrupt(Cluster::connect(connection)).await?;
        Source::Through(Arc::new(Through::open(cluster, name, level, screen).await?))
    };
    let result = or_interrupt(work(&source, screen)).await;
    let closed = tidied(matches!(result, Err(Error::Interrupted)), source.close()).await;
    let result = result?;
    closed?;
    Ok(result)
}

/// `latest` is the newest point of all that is asked about.
pub(crate) fn newest(name: &str) -> &str {
    if name == "latest" { "" } else { name }
}
