//! One partition of the recovery point while it is compared with the source's.

use std::ops::ControlFlow;

use batch::BatchHeader;
use inspect::LivePartition;
use wire::{Cluster, WireError};

use super::ahead::Ahead;
use super::judge::{Facts, rest, take};

/// A partition.
#[derive(Debug)]
pub(super) struct Side {
    /// The source's partition; `None` when there is none to compare with, or no more.
    pub(super) source: Option<(Ahead, Facts)>,
    /// What was found.
    pub(super) out: LivePartition,
}

impl Side {
    /// A partition of which nothing was compared yet.
    pub(super) fn new(part: LivePartition, source: Option<(Ahead, Facts)>) -> Self {
        let span = source.as_ref().map(|(ahead, facts)| (facts.start, ahead.end()));
        let out = LivePartition { start: span.map(|(start, _)| start), end: span.map(|(_, end)| end), ..part };
        Self { source, out }
    }

    /// Takes the next archived batch.
    ///
    /// # Errors
    /// When the source does not answer until the deadline.
    pub(super) async fn take(&mut self, cluster: &Cluster, batch: &BatchHeader) -> Result<(), WireError> {
        if self.reach(cluster, batch.last_offset()).await?.is_break() {
            return Ok(());
        }
        if let Some((ahead, facts)) = &mut self.source {
            take(batch, &mut ahead.headers, facts, &mut self.out);
        }
        Ok(())
    }

    /// Takes what the source has behind the last archived batch.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub(super) async fn end(&mut self, cluster: &Cluster) -> Result<(), WireError> {
        if self.reach(cluster, self.out.next - 1).await?.is_break() {
            return Ok(());
        }
        if let Some((ahead, facts)) = &mut self.source {
            rest(&mut ahead.headers, facts, &mut self.out);
        }
        self.source = None;
        Ok(())
    }

    /// Reads the source up to this offset. What cannot be told ends the comparison of this partition, not of others.
    async fn reach(&mut self, cluster: &Cluster, offset: i64) -> Result<ControlFlow<()>, WireError> {
        let Some((ahead, _)) = &mut self.source else { return Ok(ControlFlow::Break(())) };
        ahead.reach(cluster, offset).await?;
        if ahead.has_reached(offset) {
            return Ok(ControlFlow::Continue(()));
        }
        self.out.unknown = ahead.stopped.take();
        self.source = None;
        Ok(ControlFlow::Break(()))
    }
}
