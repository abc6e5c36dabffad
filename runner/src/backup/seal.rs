//! Making a recovery point: seal, read back, summaries.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use archive::{
    ArchiveError, GroupSnapshot, HeldBack, Layout, Moves, SealFacts, SealedPoint, SetWriter, Store, TopicConfigs,
};
use contract::{BackupSpec, Before, CrashPoint, EventKind, PointLine, crash, stamp};
use tokio::time::Instant;
use uuid::Uuid;

use crate::VERSION;
use crate::context::Context;
use crate::emit::Emitter;

/// After so long between a seal and its summaries somebody else may have gone on.
const STOPPED: Duration = Duration::from_millis(250);

/// What the recovery points of a run have in common.
#[derive(Debug, Clone)]
pub(crate) struct Sealer {
    pub(crate) context: Context,
    pub(crate) emitter: Emitter,
    pub(crate) store: Store,
    pub(crate) layout: Layout,
    /// Name of the backup: points are `<name>-<stamp>`.
    pub(crate) name: String,
    pub(crate) backup: Arc<BackupSpec>,
    /// Stamp of the one point that the run makes; each point takes its own second when absent.
    pub(crate) stamp: Option<String>,
    /// What lies before the point of a full run; `None` where that is not known.
    pub(crate) before: Option<Before>,
}

/// What a recovery point says of its moment.
#[derive(Debug, Clone)]
pub(crate) struct Sealing {
    pub(crate) moves: Moves,
    pub(crate) live: BTreeSet<Uuid>,
    pub(crate) held_back: Vec<HeldBack>,
    pub(crate) configs: TopicConfigs,
    pub(crate) groups: Option<Vec<GroupSnapshot>>,
}

impl Sealer {
    /// Makes a recovery point visible and confirms it; returns what it holds.
    ///
    /// # Errors
    /// When another run took over, or the store does not return what it confirmed.
    pub(crate) async fn seal(&self, writer: &mut SetWriter, moment: Sealing) -> Result<PointLine, ArchiveError> {
        let own = || stamp::stamp_after(self.context.clock.now(), writer.last_stamp());
        let stamp = self.stamp.clone().unwrap_or_else(own);
        let facts = SealFacts {
            point: format!("{}-{stamp}", self.name),
            at: stamp::stamp_time(&stamp),
            stamp,
            source_cluster_id: self.backup.source_cluster_id.clone(),
            include_offset_headers: self.backup.include_offset_headers,
            held_back: moment.held_back,
            configs: moment.configs,
            groups: moment.groups.clone(),
            converted: None,
            writer: format!("kafka-backup-runner {VERSION}"),
        };
        let before =
            if self.backup.extends_set() { Some(Before::stamp(writer.last_stamp())) } else { self.before.clone() };
        let (entry, digest) = writer.seal(moment.moves, &moment.live, facts).await?;
        let sealed_at = Instant::now();
        crash::at(CrashPoint::Sealed);
        writer.confirm().await?;
        let sealed = SealedPoint::of(&entry, &digest);
        let sealed = sealed.ok_or_else(|| ArchiveError::unencodable("a seal that seals nothing"))?;
        let cluster_id = entry.seal.as_ref().map(|seal| seal.owner.cluster_id.clone());
        let line = PointLine { cluster_id, ..sealed.line(before) };
        let (point, made) = (Some(line.name.clone()), Some(Box::new(line.clone())));
        self.emitter.emit(EventKind::Committed { entry: entry.n, sealed: true, point, made });
        let hint = writer.write_hint(&entry, &digest).await;
        if let Err(error) = &hint {
            self.emitter.warn(format!("the hint of the recovery point could not be written: {error}"));
        }
        crash::at(CrashPoint::HintWritten);
        let summed = self.sum_up(writer, sealed_at.elapsed(), (&entry, hint.is_ok()), moment.groups.as_deref()).await;
        if let Err(error) = summed {
            self.emitter.warn(format!("the summaries could not be written: {error}"));
        }
        crash::at(CrashPoint::SummariesWritten);
        Ok(line)
    }

    /// Writes the summaries, unless another run went on meanwhile: they are its to write.
    async fn sum_up(
        &self,
        writer: &mut SetWriter,
        since: Duration,
        entry: (&archive::Entry, bool),
        groups: Option<&[GroupSnapshot]>,
    ) -> Result<(), ArchiveError> {
        if since >= STOPPED && !writer.is_newest().await? {
            tracing::warn!("another run went on with the set; the summaries are left to it");
            return Ok(());
        }
        let written = self.context.now_text();
        archive::write_summaries(&self.store, &self.layout, entry, groups, &written).await
    }
}
