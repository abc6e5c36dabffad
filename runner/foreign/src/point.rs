//! The archive as a recovery point: what a log of ours would say of it, and the reading of its batches.

use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

use archive::segment::{BlockRow, Footer, ShareRow, TopicRow};
use archive::{
    ArchiveError, Digest, Entry, Gap, GapReason, GroupSnapshot, Guest, Owner, PartitionState, Point, Problem,
    ReadBatch, Seal, SegmentRef, SegmentRow, Served, SideRef, TopicConfigs, TopicState, UNKNOWN_TARGET, Wanted,
};
use async_trait::async_trait;
use batch::RawBatch;
use contract::ForeignRecords;
use jiff::Timestamp;
use tokio::sync::mpsc;
use uuid::Uuid;

use crate::batcher::{Batcher, Out};
use crate::losses::{self, Losses, reach};
use crate::manifest::{Partition, Segment, Topic};
use crate::object;
use crate::pieces::Piece;
use crate::set::{Look, Place, Set};
use crate::survey::{Examined, Survey, Taken};

/// Pieces that are read ahead of the reader.
const AHEAD: usize = 2;
/// Batches that wait for the reader.
const WAITING: usize = 2;

/// A piece of a partition, and what was counted of it where somebody read it.
#[derive(Debug, Clone)]
struct Part {
    place: Place,
    piece: Piece,
    shares: Option<Vec<ShareRow>>,
    size: u64,
}

/// The reader of an archive.
#[derive(Debug, Clone)]
struct Reader {
    set: Set,
    records: ForeignRecords,
    /// By the number of their segment in the index.
    parts: Arc<Vec<Part>>,
}

impl Set {
    /// The point as far as its manifest tells it: counts and times are what that says. Records are read only when they are
    /// asked for.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn listed(&self, records: ForeignRecords) -> Result<Point, ArchiveError> {
        let mut parts = Vec::new();
        let mut unsized_ = false;
        for place in self.places() {
            let segments: &[Segment] = self.at(place).map_or(&[], |(_, partition)| &partition.segments);
            for piece in self.listed_pieces(place) {
                let size = segments.get(piece.segment).and_then(|segment| segment.size);
                unsized_ |= size.is_none();
                parts.push(Part { place, piece, shares: None, size: size.unwrap_or(0) });
            }
        }
        if unsized_ {
            for part in &mut parts {
                let looks = self.looks(part.place).await?;
                part.size = looks.get(part.piece.segment).map_or(0, Look::size);
            }
        }
        let mut losses = losses::of_manifest(&self.manifest);
        let what = "counts and times are those of the manifest; `verify` reads the records";
        losses.notes.insert(0, Problem { key: String::new(), what: what.to_owned() });
        self.point(parts, records, losses)
    }

    /// The point once all of it was read: counts are exact, and what the archive lost is known.
    ///
    /// # Errors
    /// When the store fails, or something of the archive is missing or cannot be read.
    pub async fn surveyed(&self, records: ForeignRecords) -> Result<Point, ArchiveError> {
        let found = self.examined(Survey::counts(records)).await?;
        self.point_of(found, records)
    }

    /// Reads all of it once.
    ///
    /// # Errors
    /// When the store fails, or something of the archive is missing or cannot be read.
    pub(crate) async fn examined(&self, survey: Survey) -> Result<Vec<Examined>, ArchiveError> {
        let found = self.examine(&self.places(), survey).await?;
        self.unreadable(&found).map_or(Ok(found), Err)
    }

    /// The point of what was read.
    pub(crate) fn point_of(&self, found: Vec<Examined>, records: ForeignRecords) -> Result<Point, ArchiveError> {
        let mut losses = losses::of_manifest(&self.manifest);
        for one in &found {
            losses::of_look(self, one, &mut losses);
            losses::of_records(self, one, &mut losses);
        }
        let mut parts = Vec::new();
        for Examined { place, look, pieces, .. } in found {
            let own =
                |Taken { piece, shares, .. }: Taken| Part { place, piece, shares: Some(shares), size: look.size() };
            parts.extend(pieces.into_iter().map(own));
        }
        parts.sort_by_key(|part| (part.place, part.piece));
        // What is wrong and can be read all the same is told with the rest.
        let Losses { problems, notes } = losses;
        self.point(parts, records, Losses { problems: Vec::new(), notes: [problems, notes].concat() })
    }

    /// The first segment of which something is asked for and that cannot be read.
    fn unreadable(&self, found: &[Examined]) -> Option<ArchiveError> {
        let bad = found.iter().filter(|one| !matches!(&one.facts, Some(Ok(_))));
        let mut damaged = bad.filter_map(|one| {
            let (_, partition) = self.at(one.place)?;
            let segment = partition.segments.get(one.segment)?;
            let reason = match (&one.look, &one.facts) {
                (Look::Missing, _) => "the object is missing".to_owned(),
                (Look::Bad { fault, .. }, _) | (_, Some(Err(fault))) => fault.to_string(),
                // It is good, or was not looked at.
                _ => return None,
            };
            Some((segment.key.clone(), reason))
        });
        let (key, mut reason) = damaged.next()?;
        let more = damaged.count();
        if more > 0 {
            reason = format!("{reason} (and {more} more segments cannot be read; `verify` names them)");
        }
        Some(ArchiveError::Damaged { key: format!("{}: {key}", self.store.place()), reason })
    }

    fn point(&self, mut parts: Vec<Part>, records: ForeignRecords, losses: Losses) -> Result<Point, ArchiveError> {
        // Partitions side by side, so that all of them are restored at once.
        let mut number: BTreeMap<Place, usize> = BTreeMap::new();
        let mut order: Vec<(usize, Part)> = Vec::new();
        for part in parts.drain(..) {
            let next = number.entry(part.place).or_default();
            order.push((*next, part));
            *next += 1;
        }
        order.sort_by_key(|(next, part)| (*next, part.place));
        let parts: Vec<Part> = order.into_iter().map(|(_, part)| part).collect();
        let at = self.moment();
        let rows: Vec<SegmentRow> = (0u32..).zip(&parts).filter_map(|(number, part)| self.row(number, part)).collect();
        let seal = self.seal(&rows, &parts, at);
        let topics =
            self.manifest.topics.iter().map(|topic| TopicRow { id: self.id_of(&topic.name), name: topic.name.clone() });
        let segments = (0u64..).zip(&parts).map(|(seq, part)| SegmentRef {
            claim: 0,
            nonce: String::new(),
            seq,
            size: part.size,
            footer_at: part.size,
            footer_length: 0,
            digest: Digest::default(),
        });
        let parts_of_entry = (topics.collect(), segments.collect(), rows);
        let entry = Entry::sealing(contract::stamp::stamp(at), parts_of_entry, self.gaps(), seal);
        let guest = Reader { set: self.clone(), records, parts: Arc::new(parts) };
        Point::of_guest(&self.store, entry, self.digest.clone(), (Arc::new(guest), losses.notes))
    }

    fn row(&self, number: u32, part: &Part) -> Option<SegmentRow> {
        let (_, partition) = self.at(part.place)?;
        let segment = partition.segments.get(part.piece.segment)?;
        let sum = |of: fn(&ShareRow) -> u64, shares: &[ShareRow]| shares.iter().map(of).fold(0, u64::saturating_add);
        let (records, bytes, newest, oldest, exact) = if let Some(shares) = &part.shares {
            (
                sum(|share| share.committed, shares),
                sum(|share| share.length, shares),
                shares.iter().map(|share| share.max_timestamp).max().unwrap_or(0),
                shares.iter().map(|share| share.min_timestamp).min().unwrap_or(0),
                true,
            )
        } else {
            let offsets = part.piece.to.saturating_sub(part.piece.from).saturating_add(1);
            let (first, last) = segment.timestamps;
            let bytes = segment.plain.or(segment.size).unwrap_or(part.size);
            (segment.records.min(offsets.unsigned_abs()), bytes, first.max(last), first.min(last), false)
        };
        Some(SegmentRow {
            segment: number,
            topic: u32::try_from(part.place.0).ok()?,
            partition: partition.id,
            timeline: 0,
            first: part.piece.from,
            next: part.piece.to + 1,
            bytes,
            records,
            committed: records,
            max_timestamp: newest,
            min_timestamp: oldest,
            min_exact: exact,
        })
    }

    fn seal(&self, rows: &[SegmentRow], parts: &[Part], at: Timestamp) -> Seal {
        let topic = |topic: &Topic| {
            let named = topic.partitions.last().map_or(0, |partition| partition.id + 1);
            let count = topic.count.unwrap_or(0).max(named);
            TopicState::new(self.id_of(&topic.name), &topic.name, count, topic.replication.unwrap_or(-1))
        };
        let mut sums: BTreeMap<(u32, i32), PartitionState> = BTreeMap::new();
        for (number, topic) in (0u32..).zip(&self.manifest.topics) {
            for partition in &topic.partitions {
                sums.insert((number, partition.id), position(number, partition));
            }
        }
        for row in rows {
            let Some(state) = sums.get_mut(&(row.topic, row.partition)) else { continue };
            let first = state.committed == 0;
            state.committed = state.committed.saturating_add(row.committed);
            state.bytes = state.bytes.saturating_add(row.bytes);
            if row.committed > 0 {
                state.max_timestamp =
                    if first { row.max_timestamp } else { state.max_timestamp.max(row.max_timestamp) };
            }
            state.next = state.next.max(row.next);
            state.first = state.first.min(row.first);
            let largest = parts.get(row.segment as usize).and_then(|part| part.shares.as_ref());
            let largest = largest.and_then(|shares| shares.iter().map(|share| share.length).max()).unwrap_or(0);
            state.largest_batch = state.largest_batch.max(largest);
        }
        Seal {
            point: self.manifest.id.clone(),
            at: at.to_string(),
            topics: self.manifest.topics.iter().map(topic).collect(),
            partitions: sums.into_values().collect(),
            owner: Owner {
                namespace: String::new(),
                name: self.manifest.id.clone(),
                cluster_id: self.manifest.cluster.clone().unwrap_or_default(),
            },
            source_cluster_id: self.manifest.cluster.clone(),
            include_offset_headers: false,
            held_back: Vec::new(),
            configs: SideRef { size: 0, digest: Digest::default() },
            groups: None,
            holdings: None,
            converted: None,
            writer: "another tool".to_owned(),
        }
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut out = Vec::new();
        for topic in &self.manifest.topics {
            for partition in &topic.partitions {
                for gap in partition.gaps.iter().filter(|gap| gap.start <= gap.end) {
                    out.push(Gap {
                        topic: self.id_of(&topic.name),
                        name: topic.name.clone(),
                        partition: partition.id,
                        from: gap.start,
                        to: gap.end + 1,
                        reason: GapReason::LogStartMoved,
                        timeline: None,
                    });
                }
            }
        }
        out
    }
}

/// Where a partition begins and ends, without records.
fn position(topic: u32, partition: &Partition) -> PartitionState {
    let next = reach(partition).map_or(0, |reach| reach + 1);
    let starts = partition.segments.iter().map(|segment| segment.span().0);
    let ranges = partition.gaps.iter().chain(&partition.pruned).map(|range| range.start);
    let first = starts.chain(ranges).min().unwrap_or(next);
    PartitionState {
        topic,
        next,
        high_watermark: partition.high_watermark.unwrap_or(UNKNOWN_TARGET),
        last_stable: partition.snapshot_end.unwrap_or(UNKNOWN_TARGET),
        ..PartitionState::new(partition.id, first)
    }
}

/// Sends what is wanted.
struct Send {
    topic: Uuid,
    partition: i32,
    wanted: Arc<Wanted>,
    to: mpsc::Sender<Result<ReadBatch, ArchiveError>>,
}

impl Out for Send {
    fn wants(&mut self, share: &ShareRow) -> bool {
        self.wanted.wants_share(self.topic, share)
    }

    fn send(&mut self, batch: RawBatch) -> ControlFlow<()> {
        let (from, bytes) = (batch.header.base_offset, batch.bytes.len());
        let until = self.wanted.timelines.end_of(self.topic, self.partition, 0);
        let read = ReadBatch { topic: self.topic, partition: self.partition, batches: vec![batch], from, until, bytes };
        if self.to.blocking_send(Ok(read)).is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Reader {
    fn part(&self, segment: &SegmentRef) -> Result<&Part, ArchiveError> {
        let place = usize::try_from(segment.seq).unwrap_or(usize::MAX);
        self.parts.get(place).ok_or_else(|| self.damaged("the archive", "a segment is asked for that it does not have"))
    }

    fn damaged(&self, key: &str, reason: impl ToString) -> ArchiveError {
        ArchiveError::Damaged { key: format!("{}: {key}", self.set.store.place()), reason: reason.to_string() }
    }

    /// The pieces of the partitions that are wanted, in the order of reading.
    async fn wanted(&self, wanted: &Wanted) -> Result<VecDeque<(Place, Piece)>, ArchiveError> {
        let mut out = Vec::new();
        for place in self.set.places() {
            let Some((topic, partition)) = self.set.at(place) else { continue };
            let key = (self.set.id_of(&topic.name), partition.id);
            let Some(from) = wanted.from.get(&key) else { continue };
            let until = wanted.until.get(&key).copied().unwrap_or(i64::MAX);
            let pieces = self.set.pieces(place).await?;
            let asked = pieces.into_iter().filter(|piece| piece.to >= *from && piece.from < until);
            out.extend(asked.enumerate().map(|(number, piece)| (number, place, piece)));
        }
        out.sort_unstable();
        Ok(out.into_iter().map(|(_, place, piece)| (place, piece)).collect())
    }

    /// Reads one piece to its end, or until nobody takes it.
    async fn serve(
        &self,
        (place, piece): (Place, Piece),
        wanted: Arc<Wanted>,
        to: mpsc::Sender<Result<ReadBatch, ArchiveError>>,
    ) -> Result<(), ArchiveError> {
        let Some((topic, partition)) = self.set.at(place) else { return Ok(()) };
        let looks = self.set.looks(place).await?;
        let (Some(segment), Some(look)) = (partition.segments.get(piece.segment), looks.get(piece.segment)) else {
            return Ok(());
        };
        let size = match look {
            Look::There { size, .. } => *size,
            Look::Missing => return Err(self.damaged(&segment.key, "the object is missing")),
            Look::Bad { fault, .. } => return Err(self.damaged(&segment.key, fault)),
        };
        let rule = self.set.rule(segment, look, piece, self.records);
        let out = Send { topic: self.set.id_of(&topic.name), partition: partition.id, wanted, to };
        let batcher = Batcher::new(rule, partition.id, out);
        let (mut batcher, read) = object::read(&self.set.store, &segment.key, size, batcher).await?;
        if let Some(error) = batcher.failed.take() {
            return Err(error);
        }
        read.map_err(|fault| self.damaged(&segment.key, fault))?;
        // The last batch is sent from a thread that may block, as the others are.
        let rest = tokio::task::spawn_blocking(move || {
            let _ = batcher.finish();
            batcher.failed.take()
        });
        rest.await.map_err(ArchiveError::task)?.map_or(Ok(()), Err)
    }

    /// Begins to read a piece.
    fn begin(&self, piece: (Place, Piece), wanted: &Arc<Wanted>) -> Served {
        let (sender, receiver) = mpsc::channel(WAITING);
        let (reader, wanted) = (self.clone(), Arc::clone(wanted));
        tokio::spawn(async move {
            if let Err(error) = reader.serve(piece, wanted, sender.clone()).await {
                drop(sender.send(Err(error)).await);
            }
        });
        receiver
    }
}

#[async_trait]
impl Guest for Reader {
    fn name(&self) -> &str {
        &self.set.manifest.id
    }

    fn key(&self, segment: &SegmentRef) -> String {
        // A key for messages: one that is not known has none.
        let part = self.part(segment).ok();
        let found = part.and_then(|part| Some((self.set.at(part.place)?.1, part.piece.segment)));
        found
            .and_then(|(partition, number)| partition.segments.get(number))
            .map_or_else(String::new, |found| found.key.clone())
    }

    fn configs(&self) -> TopicConfigs {
        self.set.manifest.topics.iter().map(|topic| (topic.name.clone(), topic.configs.clone())).collect()
    }

    async fn groups(&self) -> Result<Option<Vec<GroupSnapshot>>, ArchiveError> {
        self.set.groups().await
    }

    async fn footer(&self, segment: &SegmentRef) -> Result<Footer, ArchiveError> {
        let part = self.part(segment)?;
        let Some((topic, _)) = self.set.at(part.place) else {
            return Err(self.damaged("the archive", "a partition is not there"));
        };
        let shares = if let Some(shares) = &part.shares {
            shares.clone()
        } else {
            let found = self.set.examine(&[part.place], Survey::counts(self.records)).await?;
            let mut own = found.into_iter().flat_map(|one| one.pieces);
            own.find(|taken| taken.piece == part.piece).map(|taken| taken.shares).unwrap_or_default()
        };
        let mut footer = Footer::new(0, "", segment.seq);
        footer.topics = vec![TopicRow { id: self.set.id_of(&topic.name), name: topic.name.clone() }];
        let mut at = 0u64;
        for share in &shares {
            let digest = Digest::default();
            footer.blocks.push(BlockRow { at, length: share.length, codec: 0, size: share.length, digest });
            at = at.saturating_add(share.length);
        }
        footer.shares = shares;
        Ok(footer)
    }

    async fn check(&self, segment: &SegmentRef) -> Result<(), ArchiveError> {
        let part = self.part(segment)?;
        let looks = self.set.looks(part.place).await?;
        match looks.get(part.piece.segment) {
            Some(Look::There { .. }) => Ok(()),
            Some(Look::Bad { fault, .. }) => Err(self.damaged(&self.key(segment), fault)),
            Some(Look::Missing) | None => Err(self.damaged(&self.key(segment), "the object is missing")),
        }
    }

    async fn read(&self, wanted: Arc<Wanted>) -> Result<Served, ArchiveError> {
        let mut pieces = self.wanted(&wanted).await?;
        let (sender, receiver) = mpsc::channel(1);
        let reader = self.clone();
        tokio::spawn(async move {
            let mut open: VecDeque<Served> = VecDeque::new();
            loop {
                while open.len() < AHEAD
                    && let Some(piece) = pieces.pop_front()
                {
                    open.push_back(reader.begin(piece, &wanted));
                }
                let Some(first) = open.front_mut() else { return };
                let Some(next) = first.recv().await else {
                    open.pop_front();
                    continue;
                };
                let failed = next.is_err();
                if sender.send(next).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(receiver)
    }
}
