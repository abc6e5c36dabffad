//! A backup run: discover, claim, read, seal; and when the source changes while it is read, plan again.
//!
//! ```text
//! readers (one per broker connection) -> collector -> writer task -> segments, log entries
//! ```
//! Frames are accounted from before they are read until their bytes are handed to the store, so memory does
//! not depend on topics, partitions or sizes.

mod history;
mod identity;
mod odd;
mod positions;
mod select;
mod transactions;

mod groups;
mod reader;
mod source;

mod moment;
mod seal;

mod follow;
mod writer_task;

mod collector;
mod session;

pub(crate) use select::discover;

use std::sync::Arc;

use archive::{HeadCopy, Opened, Owner, SetWriter, WriterOptions};
use contract::{BackupSpec, Code, Compression, EventKind, Failure, Report, RunSpec};
use wire::Cluster;

use crate::context::Context;
use crate::emit::Emitter;
use crate::spec_file::work_digest;
use seal::Sealer;
use session::Session;

/// Bytes of frames between the broker and the store: arenas that fill and drain, and answers on their way.
pub(crate) const FRAME_BUDGET: usize = 80 << 20;

/// Runs a backup and fills `report`.
///
/// # Errors
/// The failure that ended it; progress made is in the archive.
pub async fn run(
    context: &Context,
    emitter: &Emitter,
    spec: &RunSpec,
    backup: &BackupSpec,
    report: &mut Report,
) -> Result<(), Failure> {
    let cluster = crate::connect::cluster(context, &spec.kafka).await?;
    let store = crate::connect::store(context, spec).await?;
    let topics = select::discover(&cluster, backup).await?;
    let identity = identity::resolve(context, &store, spec, backup).await?;
    report.run.clone_from(&identity.run);
    report.set = Some(identity.layout.set().to_owned());
    report.point = Some(identity.point.clone());
    let groups = if backup.consumer_group_snapshot && !backup.continuous {
        Some(groups::snapshot(&cluster, emitter).await?)
    } else {
        None
    };
    let options = writer_options(context, &cluster, spec, backup, &identity)?;
    let writer = match SetWriter::open(store.clone(), options).await? {
        Opened::Writer(writer) => *writer,
        Opened::Sealed(sealed) => {
            report.outcome = "AlreadyDone".into();
            report.point = Some(sealed.point);
            return Ok(());
        }
    };
    report.changed = true;
    let (run, name, resumed) = (identity.run.clone(), identity.point.clone(), writer.claim().resumed);
    emitter.emit(EventKind::Started { run, name, resumed });
    if !writer.claim().exclusive {
        emitter.warn(format!(
            "{} does not refuse to create an object twice: two runs at once would not notice each other",
            store.place()
        ));
    }
    let sealer = Sealer {
        context: context.clone(),
        emitter: emitter.clone(),
        store,
        layout: identity.layout.clone(),
        name: spec.name.clone(),
        backup: Arc::new(backup.clone()),
        stamp: (!backup.continuous).then(|| identity.stamp.clone()),
    };
    Session::new(sealer, cluster, topics, groups, report).run(writer).await
}

fn writer_options(
    context: &Context,
    cluster: &Cluster,
    spec: &RunSpec,
    backup: &BackupSpec,
    identity: &identity::Identity,
) -> Result<WriterOptions, Failure> {
    let cluster_id = cluster.cluster_id().ok_or_else(|| {
        Failure::new(Code::BrokerUnsupported, "the cluster does not tell its id; Apache Kafka 2.8 or newer is needed")
    })?;
    let head = backup.checkpoint_folder.as_ref();
    let head = head.map(|folder| HeadCopy::new(&context.paths.volumes.join(folder), identity.layout.set()));
    Ok(WriterOptions {
        layout: identity.layout.clone(),
        owner: Owner { namespace: spec.namespace.clone(), name: spec.name.clone(), cluster_id },
        incremental: backup.extends_set(),
        continuous: backup.continuous,
        head: head.transpose()?,
        adopt: backup.adopt,
        run: identity.run.clone(),
        spec: work_digest(spec),
        stamp: identity.stamp.clone(),
        nonce: context.nonce(),
        uuid: context.uuid(),
        codec: codec(backup.compression),
        level: backup.compression_level,
        workers: context.workers,
        segment_max_bytes: backup.segment_max_bytes,
    })
}

fn codec(compression: Compression) -> batch::Codec {
    match compression {
        Compression::None => batch::Codec::None,
        Compression::Gzip => batch::Codec::Gzip,
        Compression::Snappy => batch::Codec::Snappy,
        Compression::Lz4 => batch::Codec::Lz4,
        Compression::Zstd => batch::Codec::Zstd,
    }
}
