//! `show`: any document of the archive as readable JSON.

use archive::{Catalog, Chain, Point};
use clap::Subcommand;
use contract::{Code, ExitCode, Failure, ForeignRecords, RunSpec};
use foreign::{Named, Set};

use super::print;
use crate::connect;
use crate::context::Context;

/// Which document.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Document {
    /// The set and its recovery points
    Set,
    /// The newest entry of the log, or the one with this number
    Entry {
        /// Number of the entry
        number: Option<u64>,
    },
    /// Topic configs of the point
    Configs,
    /// Group positions of the point
    Groups,
    /// The footer of a segment: claim and number
    Segment {
        /// Claim that wrote it
        claim: u64,
        /// Number within the claim
        seq: u64,
    },
}

/// Prints a document.
pub(crate) async fn show(
    context: &Context,
    spec: &RunSpec,
    name: &str,
    document: Document,
) -> Result<ExitCode, Failure> {
    let store = connect::store(context, spec).await?;
    let (layout, seal) = match (foreign::find(&store, name).await, document) {
        (Ok(Named::Ours(found)), _) => (found.layout, found.seal),
        (Ok(Named::Theirs(set)), _) => return Box::pin(theirs(&set, document)).await,
        // A set without a finished run still has documents.
        (Err(_), Document::Set | Document::Entry { .. }) if Catalog::new(store.clone()).has_set(name).await? => {
            (archive::Layout::new(name), 0)
        }
        (Err(error), _) => return Err(error.into()),
    };
    match document {
        Document::Set => print::json(&Box::pin(Catalog::new(store).set(layout.set())).await?)?,
        Document::Entry { number } => {
            let chain = Chain::new(store, layout);
            let number = match number {
                Some(number) => number,
                None => chain.newest().await?.ok_or_else(|| {
                    Failure::new(Code::NoSuchPoint, format!("the log of set {name} has no entry yet"))
                })?,
            };
            let (entry, digest) = chain.entry(number).await?;
            print::json(&serde_json::json!({"digest": digest, "entry": entry}))?;
        }
        Document::Configs => print::json(&Point::load(&store, &layout, seal).await?.configs().await?)?,
        Document::Groups => {
            let groups = Point::load(&store, &layout, seal).await?.groups().await?;
            let text = format!("{name} has no group positions; back up with consumerGroupSnapshot: true");
            print::json(&groups.ok_or_else(|| Failure::new(Code::NoSuchPoint, text))?)?;
        }
        Document::Segment { claim, seq } => {
            let point = Point::load(&store, &layout, seal).await?;
            let found = point.segments().iter().find(|segment| (segment.claim, segment.seq) == (claim, seq));
            let segment = found.ok_or_else(|| {
                Failure::new(Code::NoSuchPoint, format!("{name} has no segment {seq} of claim {claim}"))
            })?;
            print::json(&point.footer(segment).await?)?;
        }
    }
    Ok(ExitCode::Done)
}

/// Prints a document of an archive that another tool wrote.
async fn theirs(set: &Set, document: Document) -> Result<ExitCode, Failure> {
    let none = |what: &str| Failure::new(Code::NoSuchPoint, format!("{} {what}", set.manifest().id));
    match document {
        Document::Set => print::json(&set.document().await?)?,
        Document::Entry { .. } => return Err(none("was written by the OSO tool: it has no log, and no entries")),
        Document::Configs => print::json(&set.listed(ForeignRecords::Cleaned).await?.configs().await?)?,
        Document::Groups => print::json(&set.groups().await?.ok_or_else(|| none("has no group positions"))?)?,
        Document::Segment { claim, seq } => {
            let point = set.listed(ForeignRecords::Cleaned).await?;
            let found = point.segments().iter().find(|segment| (segment.claim, segment.seq) == (claim, seq));
            let segment =
                found.ok_or_else(|| none(&format!("has no segment {seq} of claim {claim}; its claim is 0")))?;
            print::json(&point.footer(segment).await?)?;
        }
    }
    Ok(ExitCode::Done)
}
