//! Writing to a set: claim it, add segments, commit progress, seal recovery points.
//!
//! Order (FORMAT.md, "Write order"): claim; segments; `progress` once they are durable; side documents; `seal`;
//! hints and summaries.

mod open;
mod read_back;
mod seal;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{CrashPoint, crash};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;

pub use self::open::Opened;
use crate::base::GivenUp;
use crate::converted::Converted;
use crate::entry::add_all;
use crate::holdings::Holdings;
use crate::lost::{LostSegment, required_for};
use crate::prune_entry;
use crate::pruned::Pruned;
use crate::rollup::FANOUT;
use crate::segment::{Arena, Packed, Packing, TopicRow};
use crate::state::{PartitionState, SetState};
use crate::sums::Ledger;
use crate::time_spent::TimeSpent;
use crate::upload::{FinishedSegment, SegmentUpload};
use crate::writer_options::{Claim, Moves, WriterOptions, Written};
use crate::{ArchiveError, Chain, Digest, Entry, EntryKind, Leftovers, RollupRef, Store};

/// Blocks that wait for the next arena, per thread that packs: one at work and one to go on with.
const LEFT_PER_WORKER: usize = 2;
/// How long a store that just failed is asked why.
const CAUSE: Duration = Duration::from_secs(10);

/// A claimed set.
#[derive(Debug)]
pub struct SetWriter {
    store: Store,
    chain: Chain,
    options: WriterOptions,
    claim: Claim,
    /// Number and digest of the newest entry.
    last: Option<(u64, Digest)>,
    last_seal: Option<u64>,
    last_state: Option<u64>,
    last_rollup: Option<RollupRef>,
    /// What retention took away of the set.
    pruned: Option<Arc<Pruned>>,
    /// Stamp of the newest recovery point.
    last_stamp: Option<String>,
    /// Newest entry that was read back.
    confirmed: Option<u64>,
    /// Digest of `set.json`.
    set: Digest,
    /// Segments that the log names, added up.
    holdings: Holdings,
    state: SetState,
    /// What the set was converted from.
    converted: Option<Converted>,
    /// What changed since the last seal.
    ledger: Ledger,
    /// Whether runs before may have left parts of segments.
    may_be_left: bool,
    /// Lost segments that the claim gives up.
    gives_up: Option<GivenUp>,
    /// Whether the set has another owner, whom this run succeeds.
    adopts: bool,
    next_segment: u64,
    packing: Packing,
    current: Option<SegmentUpload>,
    finishing: Vec<JoinHandle<Result<FinishedSegment, ArchiveError>>>,
    written: Written,
    time: TimeSpent,
}

impl SetWriter {
    /// The claim.
    #[must_use]
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The state of the set as of the last commit.
    #[must_use]
    pub fn state(&self) -> &SetState {
        &self.state
    }

    /// Number of the newest entry.
    #[must_use]
    pub fn newest(&self) -> u64 {
        self.last.as_ref().map_or(0, |(number, _)| *number)
    }

    /// What this writer spends its time on, readable while it works.
    #[must_use]
    pub fn time_spent(&self) -> TimeSpent {
        self.time.clone()
    }

    /// Stamp of the newest recovery point of the set.
    #[must_use]
    pub fn last_stamp(&self) -> Option<&str> {
        self.last_stamp.as_deref()
    }

    /// Stamp of the point that the run makes.
    #[must_use]
    pub fn stamp(&self) -> &str {
        &self.options.stamp
    }

    /// Whether nobody wrote behind this writer's newest entry.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_newest(&mut self) -> Result<bool, ArchiveError> {
        self.chain.ends_with(self.newest()).await
    }

    /// What killed runs before may have left in the store; nothing where none can have.
    #[must_use]
    pub fn leftovers(&self) -> Option<Leftovers> {
        // A claim that another writer can make as well tells nothing about who is alive.
        let wanted = self.may_be_left && self.claim.exclusive;
        wanted.then(|| Leftovers::new(self.store.clone(), self.options.layout.clone(), self.claim.number))
    }

    /// What this writer stored so far.
    #[must_use]
    pub fn written(&self) -> Written {
        self.written
    }

    fn entry(&self, kind: EntryKind) -> Entry {
        let number = self.last.as_ref().map_or(0, |(number, _)| number + 1);
        Entry {
            requires: self.requires(&[]),
            previous: self.last.as_ref().map(|(_, digest)| digest.clone()),
            claim: self.claim.number,
            nonce: self.options.nonce.clone(),
            run: self.options.run.clone(),
            spec: self.options.spec.clone(),
            point: self.options.stamp.clone(),
            last_seal: self.last_seal,
            last_state: self.last_state,
            last_rollup: self.last_rollup.clone(),
            last_prune: self.pruned.as_ref().map(|pruned| pruned.entry),
            set: self.last.is_none().then(|| self.set.clone()),
            ..Entry::empty(kind, number)
        }
    }

    /// What a reader of an entry with these lost segments must know.
    fn requires(&self, lost: &[LostSegment]) -> Vec<String> {
        let pruned = self.pruned.iter().map(|_| prune_entry::FEATURE.to_owned());
        required_for(lost).into_iter().chain(pruned).collect()
    }

    async fn append(&mut self, entry: Entry) -> Result<(u64, Digest), ArchiveError> {
        let number = entry.n;
        let digest = self.chain.append(&entry).await?;
        if let Some(head) = &self.options.head {
            head.write(number, &digest).await?;
        }
        self.last = Some((number, digest.clone()));
        add_all(&mut self.holdings.named, &entry.segments);
        self.state.apply(&entry)?;
        if (number + 1).is_multiple_of(FANOUT) {
            self.roll_up().await;
        }
        Ok((number, digest))
    }

    /// Sums up entries where a roll-up is due. Without it readers read the entries: a failure is no failure of the run.
    async fn roll_up(&mut self) {
        let Some((number, digest)) = &self.last else { return };
        if (number + 1) % FANOUT == 0 {
            crash::at(CrashPoint::RollupDue);
        }
        let (layout, newest) = (&self.options.layout, &mut self.last_rollup);
        if let Err(error) = crate::index::roll_up(&self.store, layout, newest, (*number, digest)).await {
            tracing::warn!(%error, "a roll-up could not be written; plans read the entries instead");
        }
    }

    /// Has an arena packed, and stores what is packed but for the last few blocks: threads go on with those while the
    /// next arena comes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn push(&mut self, arena: Arena) -> Result<(), ArchiveError> {
        self.packing.add(arena)?;
        while self.packing.waiting() > LEFT_PER_WORKER * self.packing.workers() {
            self.store_next().await?;
        }
        Ok(())
    }

    /// Stores the next block of what was pushed, and closes the segment when it is full at the end of an arena. Returns
    /// whether there was anything left to store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn store_next(&mut self) -> Result<bool, ArchiveError> {
        let Some(packed) = self.time.packing.measure(self.packing.next()).await? else { return Ok(false) };
        let upload = self.current.get_or_insert_with(|| {
            let (claim, nonce, seq) = (self.claim.number, &self.options.nonce, self.next_segment);
            self.next_segment += 1;
            SegmentUpload::new(self.store.clone(), self.options.layout.segment(claim, nonce, seq), claim, nonce, seq)
        });
        let topics = &self.state.topics;
        let name_of = |id| topics.get(&id).map(|topic| topic.name.clone());
        match packed {
            Packed::Block(block) => {
                if let Err(error) = self.time.storing.measure(upload.push(block, name_of)).await {
                    return Err(self.cause(error).await);
                }
            }
            Packed::End(aborted) => {
                upload.note_aborted(aborted, name_of)?;
                crash::at(CrashPoint::Packed);
                if upload.bytes() >= self.options.segment_max_bytes {
                    self.end_segment();
                }
            }
        }
        Ok(true)
    }

    /// Lets go of memory that pushed batches came in, as far as they are packed.
    pub fn let_go(&mut self) {
        if let Some(upload) = &mut self.current {
            upload.let_go();
        }
    }

    /// Tells the writer of a topic before its batches come.
    pub fn know_topic(&mut self, topic: crate::TopicState) {
        let next = self.last.as_ref().map_or(0, |(number, _)| number + 1);
        self.state.know(topic, next);
    }

    /// Ends the current segment with all that was pushed; it becomes durable in the background.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close_segment(&mut self) -> Result<(), ArchiveError> {
        while self.store_next().await? {}
        self.end_segment();
        Ok(())
    }

    fn end_segment(&mut self) {
        if let Some(upload) = self.current.take() {
            self.finishing.push(tokio::spawn(upload.finish()));
        }
    }

    async fn durable_segments(&mut self) -> Result<Vec<FinishedSegment>, ArchiveError> {
        self.close_segment().await?;
        let mut out = Vec::new();
        for task in std::mem::take(&mut self.finishing) {
            let finished = match self.time.storing.measure(task).await.map_err(ArchiveError::task)? {
                Ok(finished) => finished,
                Err(error) => return Err(self.cause(error).await),
            };
            self.written.segments += 1;
            self.written.bytes += finished.reference.size;
            out.push(finished);
        }
        Ok(out)
    }

    /// Why a segment could not be written: a run that takes over ends the uploads of this one.
    async fn cause(&mut self, error: ArchiveError) -> ArchiveError {
        match timeout(CAUSE, self.chain.overtaken(self.newest())).await {
            Ok(Ok(Some(fenced))) => fenced,
            // Whether there is another run cannot be told now: what failed first counts.
            Ok(Ok(None) | Err(_)) | Err(_) => error,
        }
    }

    /// Makes everything pushed so far durable and records the positions reached. Nothing new: no entry.
    ///
    /// # Errors
    /// [`ArchiveError::Fenced`] when another writer took over; the store's failures.
    pub async fn commit(&mut self, moves: Moves) -> Result<Option<u64>, ArchiveError> {
        let finished = self.durable_segments().await?;
        if finished.is_empty() && moves.gaps.is_empty() && moves.forks.is_empty() && moves.positions.is_empty() {
            return Ok(None);
        }
        let mut entry = self.entry(EntryKind::Progress);
        self.fill(&mut entry, finished, moves)?;
        self.append(entry).await.map(|(number, _)| Some(number))
    }

    fn fill(&mut self, entry: &mut Entry, finished: Vec<FinishedSegment>, moves: Moves) -> Result<(), ArchiveError> {
        let mut topics = TopicTable::default();
        for (segment, number) in finished.into_iter().zip(0u32..) {
            for mut row in segment.rows {
                let topic = segment.topics.get(row.topic as usize);
                let topic = topic.ok_or_else(|| ArchiveError::unencodable("a row names no topic of its segment"))?;
                let key = (topic.id, row.partition);
                self.ledger.touch(key, self.state.partitions.get(&key));
                self.ledger.add(key, &row);
                row.topic = topics.place(topic.id, &topic.name);
                row.segment = number;
                entry.rows.push(row);
            }
            entry.segments.push(segment.reference);
        }
        for (id, position) in moves.positions {
            let key = (id, position.partition);
            self.ledger.touch(key, self.state.partitions.get(&key));
            let topic = self.state.topics.get(&id).ok_or_else(|| ArchiveError::unknown_topic(id))?;
            entry.positions.push(PartitionState { topic: topics.place(id, &topic.name), ..position });
        }
        entry.topics = topics.rows;
        entry.gaps = moves.gaps;
        entry.forks = moves.forks;
        Ok(())
    }

    /// Reads back the entries of this claim that were not read back yet, and compares the end with what was written.
    ///
    /// # Errors
    /// When the store does not return what it confirmed.
    pub async fn confirm(&mut self) -> Result<(), ArchiveError> {
        let newest = self.newest();
        // The claim was read when its second create was refused; every entry is linked to it.
        let from = self.confirmed.unwrap_or(self.claim.number) + 1;
        if from > newest {
            return Ok(());
        }
        let entries = self.chain.written(from, newest).await?;
        let read = entries.last().map(|(entry, digest)| (entry.n, digest.clone()));
        if read == self.last {
            self.confirmed = Some(newest);
            return Ok(());
        }
        Err(ArchiveError::damaged(self.options.layout.set(), "the log read back is not the log written"))
    }
}

/// Topics of an entry, in the order in which they are first named.
#[derive(Default)]
struct TopicTable {
    rows: Vec<TopicRow>,
    places: HashMap<Uuid, u32>,
}

impl TopicTable {
    fn place(&mut self, id: Uuid, name: &str) -> u32 {
        let rows = &mut self.rows;
        *self.places.entry(id).or_insert_with(|| {
            rows.push(TopicRow { id, name: name.to_owned() });
            u32::try_from(rows.len() - 1).unwrap_or(u32::MAX)
        })
    }
}
