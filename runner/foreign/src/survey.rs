//! Reading all of an archive once: exact counts, what each record needs, and what is wrong.

use std::ops::ControlFlow;

use archive::ArchiveError;
use archive::segment::ShareRow;
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
}

/// Only counts.
#[derive(Debug, Default)]
struct Count(Vec<ShareRow>);

impl Out for Count {
    fn wants(&mut self, share: &ShareRow) -> bool {
        self.0.push(share.clone());
        false
    }

    fn send(&mut self, _: RawBatch) -> ControlFlow<()> {
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
    pub(crate) async fn examine(
        &self,
        places: &[Place],
        records: ForeignRecords,
    ) -> Result<Vec<Examined>, ArchiveError> {
        let mut work = Vec::new();
        for place in places {
            let (looks, pieces) = (self.looks(*place).await?, self.pieces(*place).await?);
            for (segment, look) in looks.iter().enumerate() {
                let own: Vec<Piece> = pieces.iter().filter(|piece| piece.segment == segment).copied().collect();
                work.push((*place, segment, look.clone(), own));
            }
        }
        let read = |(place, segment, look, own)| self.examine_one(place, segment, look, own, records);
        futures::stream::iter(work).map(read).buffered(AT_ONCE).try_collect().await
    }

    async fn examine_one(
        &self,
        place: Place,
        number: usize,
        look: Look,
        own: Vec<Piece>,
        records: ForeignRecords,
    ) -> Result<Examined, ArchiveError> {
        let mut out = Examined { place, segment: number, look: look.clone(), facts: None, pieces: Vec::new() };
        let Some((_, partition)) = self.at(place) else { return Ok(out) };
        let (Some(segment), Look::There { size, .. }) = (partition.segments.get(number), &look) else { return Ok(out) };
        let rule = |piece: &Piece| self.rule(segment, &look, *piece, records);
        let batchers = own.iter().map(|piece| Batcher::new(rule(piece), partition.id, Count::default()));
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
            out.pieces.push(Taken { piece, shares: batcher.out.0, met: batcher.met });
        }
        out.facts = Some(facts);
        Ok(out)
    }
}
