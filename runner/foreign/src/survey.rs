//! Reading all of an archive once: exact counts, what each record needs, and what is wrong.

use std::ops::ControlFlow;

use archive::segment::ShareRow;
use archive::{ArchiveError, Digest};
use batch::RawBatch;
use contract::ForeignRecords;
use futures::{StreamExt, TryStreamExt};

use crate::batcher::{Batcher, Met, Out};
use crate::fault::Fault;
use crate::object::{self, Sink};
use crate::pieces::Piece;
use crate::record::Record;
use crate::segment::Facts;
use crate::set::{Look, Place, Set};

/// Segments that are read at once.
const AT_ONCE: usize = 2;

/// A segment, read.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) place: Place,
    /// Its place among the segments of its partition.
    pub(crate) segment: usize,
    pub(crate) look: Look,
    /// What it was; `None` when its object is missing or no segment.
    pub(crate) facts: Option<Result<Facts, Fault>>,
    pub(crate) pieces: Vec<Taken>,
}

/// A piece of it.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) piece: Piece,
    pub(crate) shares: Vec<ShareRow>,
    pub(crate) met: Met,
    /// Of its batches, where it was asked for.
    pub(crate) digest: Option<Digest>,
}

/// What is wanted of an archive that is read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// What is done with its records.
    pub(crate) records: ForeignRecords,
    /// Whether digests of batches are made.
    pub(crate) digests: bool,
}

impl Survey {
    /// Only counts.
    pub(crate) fn counts(records: ForeignRecords) -> Self {
        Self { records, digests: false }
    }
}

/// Counts, and makes a digest where it is asked for.
#[derive(Debug, Default)]
struct Count {
    shares: Vec<ShareRow>,
    digest: Option<Digest>,
}

impl Out for Count {
    fn wants(&mut self, share: &ShareRow) -> bool {
        self.shares.push(share.clone());
        self.digest.is_some()
    }

    fn send(&mut self, batch: RawBatch) -> ControlFlow<()> {
        self.digest = self.digest.take().map(|digest| digest.before(&batch.bytes));
        ControlFlow::Continue(())
    }
}

/// The pieces of one segment, side by side.
struct Several(Vec<Batcher<Count>>);

impl Sink for Several {
    fn take(&mut self, record: &Record<'_>) -> ControlFlow<()> {
        for batcher in &mut self.0 {
            if batcher.take(record).is_break() {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

impl Set {
    /// Reads every segment of these partitions, by partition and offset.
    ///
    /// # Errors
    /// When the store fails. What is wrong with a segment is part of what was found.
    pub(crate) async fn examine(&self, places: &[Place], survey: Survey) -> Result<Vec<Examined>, ArchiveError> {
        let mut work = Vec::new();
        for place in places {
            let (looks, pieces) = (self.looks(*place).await?, self.pieces(*place).await?);
            for (segment, look) in looks.iter().enumerate() {
                let own: Vec<Piece> = pieces.iter().filter(|piece| piece.segment == segment).copied().collect();
                work.push((*place, segment, look.clone(), own));
            }
        }
        let read = |(place, segment, look, own)| self.examine_one(place, segment, look, own, survey);
        futures::stream::iter(work).map(read).buffered(AT_ONCE).try_collect().await
    }

    async fn examine_one(
        &self,
        place: Place,
        number: usize,
        look: Look,
        own: Vec<Piece>,
        Survey { records, digests }: Survey,
    ) -> Result<Examined, ArchiveError> {
        let mut out = Examined { place, segment: number, look: look.clone(), facts: None, pieces: Vec::new() };
        let Some((_, partition)) = self.at(place) else { return Ok(out) };
        let (Some(segment), Look::There { size, .. }) = (partition.segments.get(number), &look) else { return Ok(out) };
        let count = || Count { digest: digests.then(Digest::default), ..Count::default() };
        let rule = |piece: &Piece| self.rule(segment, &look, *piece, records);
        let batchers = own.iter().map(|piece| Batcher::new(rule(piece), partition.id, count()));
        let read = object::read(&self.store, &segment.key, *size, Several(batchers.collect())).await;
        let (Several(batchers), facts) = match read {
            Ok(found) => found,
            Err(error) if error.is_damage() => {
                out.facts = Some(Err(Fault::Input));
                return Ok(out);
            }
            Err(error) => return Err(error),
        };
        for (piece, mut batcher) in own.into_iter().zip(batchers) {
            if batcher.finish().is_break()
                && let Some(error) = batcher.failed.take()
            {
                return Err(error);
            }
            let Count { shares, digest } = batcher.out;
            out.pieces.push(Taken { piece, shares, met: batcher.met, digest });
        }
        out.facts = Some(facts);
        Ok(out)
    }
}
