//! Opening a set for a run: what is there is replayed, and the set is claimed.

use std::collections::BTreeMap;

use contract::{CrashPoint, Moved, crash};

use super::SetWriter;
use crate::base::{Base, GivenUp, prove};
use crate::leftovers::may_be_left;
use crate::replay::{Replay, create_set, known_set};
use crate::segment::Packing;
use crate::sums::Ledger;
use crate::time_spent::TimeSpent;
use crate::writer_options::{Claim, Finished, Moves, Named, WriterOptions, Written};
use crate::{ArchiveError, Chain, Entry, EntryKind, Head, Owner, SealedPoint, Store};

/// What opening a set for a run finds.
#[derive(Debug)]
pub enum Opened {
    /// The set is claimed.
    Writer(Box<SetWriter>),
    /// The run was finished before; nothing was written.
    Sealed(Box<Finished>),
}

/// A set that was looked at.
enum Prepared {
    /// It can be claimed.
    Writer(Box<SetWriter>),
    /// The run was finished before.
    Sealed(Box<Finished>),
}

impl SetWriter {
    /// Claims a set, creating it when it does not exist.
    ///
    /// # Errors
    /// When the set has another owner, or a log without its document; when segments are missing that the log names; when
    /// the store is not safe for several runs, the archive is older than the copy of its newest digest says, or another
    /// writer is faster.
    pub async fn open(store: Store, options: WriterOptions) -> Result<Opened, ArchiveError> {
        let head = Chain::new(store.clone(), options.layout.clone()).head().await?;
        let set = options.layout.set().to_owned();
        let number = head.as_ref().map_or(0, |head| head.entry.n + 1);
        let moved = || ArchiveError::Fenced { set, entry: number, by: "a run that began at the same time".to_owned() };
        Self::open_behind(store, options, head).await?.ok_or_else(moved)
    }

    /// The same, behind the newest entry as the caller read it just before. `None` when another run wrote behind it
    /// meanwhile: nothing was written.
    ///
    /// # Errors
    /// As [`SetWriter::open`].
    pub async fn open_behind(
        store: Store,
        options: WriterOptions,
        head: Option<Head>,
    ) -> Result<Option<Opened>, ArchiveError> {
        let end = head.as_ref().map(|head| head.entry.n);
        let chain = Chain::new(store.clone(), options.layout.clone());
        let (error, may_be_old) = match Box::pin(Self::prepare(store, options, head)).await {
            Ok(Prepared::Sealed(sealed)) => return Ok(Some(Opened::Sealed(sealed))),
            Ok(Prepared::Writer(mut writer)) => match writer.take().await {
                Ok(()) => return Ok(Some(Opened::Writer(writer))),
                // Somebody has the very entry that would have been ours.
                Err(error) => {
                    let taken = match &error {
                        ArchiveError::Fenced { entry, .. } | ArchiveError::PrunedMeanwhile { entry, .. } => {
                            end.map(|n| n + 1) == Some(*entry)
                        }
                        _ => false, // Whatever else failed, nobody has this entry.
                    };
                    (error, taken)
                }
            },
            // What an older end of the log says may be wrong by now.
            Err(error) => (error, true),
        };
        match end {
            Some(number) if may_be_old && !chain.ends_with(number).await? => Ok(None),
            Some(_) | None => Err(error),
        }
    }

    /// What is known before anything of the log is written.
    async fn prepare(store: Store, mut options: WriterOptions, head: Option<Head>) -> Result<Prepared, ArchiveError> {
        let chain = Chain::new(store.clone(), options.layout.clone());
        if let Some(head) = head.as_ref().filter(|head| head.entry.takes_all()) {
            return taken_away(&chain, &options, head).await;
        }
        let newest = head.as_ref().map(|head| head.entry.n);
        let hinted = head.as_ref().is_some_and(|head| head.hinted);
        let may_be_left = head.as_ref().is_some_and(|head| may_be_left(&head.entry, options.continuous));
        if let Some(copy) = &options.head {
            copy.check(&chain, newest).await?;
        }
        let (owner, set) = match &head {
            Some(head) => known_set(&store, &chain, head, &options.layout).await?,
            None => create_set(&store, &options).await?,
        };
        crash::at(CrashPoint::SetCreated);
        let mut replay = Replay::read(&chain, head, owner).await?;
        if !options.continuous
            && let Some(finished) = replay.finished(&options.run, &chain).await?
        {
            return Ok(Prepared::Sealed(Box::new(finished)));
        }
        if !(replay.owner == options.owner || options.adopt || options.owner.may_be(&replay.owner)) {
            return Err(foreign(&options, &replay.owner));
        }
        let Base { holdings, given_up } = match newest {
            Some(newest) => {
                let starts = options.source.starts.as_ref();
                prove(&store, &options.layout, newest, replay.holdings, &replay.state, starts).await?
            }
            None => Base::default(),
        };
        if let Some(point) = replay.point_of(&options) {
            options.stamp = point;
        }
        let resumed = replay.goes_on(&options);
        let targets = if resumed { replay.targets_of(&options.run) } else { BTreeMap::new() };
        let before = if resumed { replay.named_by(&options.run) } else { Named::default() };
        // What a run without end stored before its newest point is not counted again.
        let moved = if resumed && !options.continuous { replay.moved_by(&options.run) } else { Moved::default() };
        let lost = Named::default();
        let mut writer = Self {
            chain,
            claim: Claim { number: 0, exclusive: true, resumed, targets, given_up: 0, lost, before, moved },
            last: replay.last,
            last_seal: replay.last_seal,
            last_state: replay.last_state,
            last_rollup: replay.last_rollup,
            pruned: replay.pruned,
            last_stamp: replay.last_stamp,
            confirmed: None,
            state: replay.state,
            converted: replay.converted,
            ledger: Ledger::default(),
            set,
            holdings,
            may_be_left,
            gives_up: given_up,
            adopts: false,
            next_segment: 0,
            packing: Packing::new(options.codec, options.level, options.workers),
            current: None,
            finishing: Vec::new(),
            written: Written::default(),
            time: TimeSpent::default(),
            store,
            options,
        };
        // The writer before may have ended just before its roll-up or its hint.
        writer.roll_up().await;
        writer.mend(hinted).await;
        writer.adopts = replay.owner != writer.options.owner;
        Ok(Prepared::Writer(Box::new(writer)))
    }

    /// Takes the set: from here on the log says so.
    async fn take(&mut self) -> Result<(), ArchiveError> {
        if self.adopts {
            self.adopt().await?;
        }
        self.make_claim().await?;
        crash::at(CrashPoint::Claimed);
        Ok(())
    }

    /// Writes copies again that are missing. Without them readers are only slower: a failure is no failure of the run.
    async fn mend(&self, hinted: bool) {
        let Some((end, _)) = &self.last else { return };
        let point = self.last_seal.zip(self.last_stamp.as_deref()).filter(|_| !hinted);
        match crate::mend::mend(&self.store, &self.options.layout, *end, point).await {
            Ok(written) => written.iter().for_each(|key| tracing::warn!(key, "it was missing and is written again")),
            Err(error) => tracing::warn!(%error, "missing hints and roll-ups could not be written again"),
        }
    }

    async fn adopt(&mut self) -> Result<(), ArchiveError> {
        let mut entry = self.entry(EntryKind::Adopt);
        entry.owner = Some(self.options.owner.clone());
        self.append(entry).await.map(drop)
    }

    async fn make_claim(&mut self) -> Result<(), ArchiveError> {
        let mut entry = self.entry(EntryKind::Claim);
        entry.claim = entry.n;
        entry.set = Some(self.set.clone());
        self.claim.number = entry.n;
        let source = std::mem::take(&mut self.options.source);
        // Where a set begins is decided once: by the first claim, or by the first after a release that did not record it.
        let is_first = self.state.topics.is_empty() && self.state.partitions.is_empty();
        entry.members = source.topics;
        let state = &self.state;
        entry.members.retain(|topic| match state.topics.get(&topic.id) {
            // What came with a converted archive, and is known to be a topic of the source now.
            Some(known) => topic.source_id.is_some() && topic.source_id != known.source_id,
            None => true,
        });
        for member in &entry.members {
            self.state.know(member.clone(), entry.n);
        }
        if let Some(given_up) = self.gives_up.take() {
            self.give_up(&mut entry, given_up)?;
        } else if is_first {
            self.fill(&mut entry, Vec::new(), Moves { positions: source.begin, ..Moves::default() })?;
        }
        let bytes = entry.encode()?;
        let (number, _) = self.append(entry).await?;
        crash::at(CrashPoint::ClaimCreated);
        self.claim.exclusive = self.chain.refuses_second_create(number, bytes).await?;
        if !self.claim.exclusive && self.options.incremental {
            return Err(ArchiveError::Unsafe { place: self.store.place().to_owned() });
        }
        Ok(())
    }
}

impl SetWriter {
    /// Says in the claim which segments count no more, and what follows for their partitions: in one entry, so that it is
    /// never half done.
    fn give_up(&mut self, entry: &mut Entry, given_up: GivenUp) -> Result<(), ArchiveError> {
        let GivenUp { lost, moves } = given_up;
        for (id, row) in &moves.positions {
            // What is left is what the next seal counts from.
            self.state.partitions.insert((*id, row.partition), row.clone());
        }
        self.claim.given_up = lost.len() as u64;
        let gaps = moves.gaps.iter().filter(|gap| gap.timeline.is_none()).cloned().collect();
        self.claim.lost = Named { gaps, forks: moves.forks.clone() };
        entry.requires = self.requires(&lost);
        entry.lost = lost;
        self.fill(entry, Vec::new(), moves)
    }
}

/// A set that retention took away: a run that made its point has made it, and no other writes there.
async fn taken_away(chain: &Chain, options: &WriterOptions, head: &Head) -> Result<Prepared, ArchiveError> {
    if let Some(number) = head.entry.last_seal {
        match chain.entry(number).await {
            Ok((entry, digest)) if entry.run == options.run => {
                let sealed = SealedPoint::of(&entry, &digest).map(|sealed| sealed.line(None));
                if let Some(line) = sealed {
                    // What its entries say besides may be deleted by now.
                    let (moved, named) = (contract::Moved::default(), Named::default());
                    return Ok(Prepared::Sealed(Box::new(Finished { line, moved, named, held_back: Vec::new() })));
                }
            }
            Ok(_) => {}
            // The log goes last, and then this may be gone already.
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error),
        }
    }
    Err(ArchiveError::Removed { point: options.layout.set().to_owned(), entry: head.entry.n })
}

fn foreign(options: &WriterOptions, owner: &Owner) -> ArchiveError {
    ArchiveError::ForeignOwner {
        set: options.layout.set().to_owned(),
        owner: owner.to_string(),
        runner: options.owner.to_string(),
    }
}
