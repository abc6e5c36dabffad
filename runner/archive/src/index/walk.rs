//! From an entry back to the beginning of its log: over roll-ups where they can be used, over entries for the rest.
//!
//! Roll-ups are copies. One that is missing, damaged, or another's is noted, and what it covers is read from the
//! entries. Every piece is linked to the piece after it: by the digest of its last entry, or, where release 0.1 wrote
//! two roll-ups side by side, by the digest of its directory.

use std::collections::{HashMap, HashSet};

use futures::StreamExt;

use crate::limit::total;
use crate::memory;
use crate::problem::Problem;
use crate::rollup::{Directory, FANOUT, Run, SealedPoint, run_of_entry};
use crate::rollup_ref::RollupRef;
use crate::{ArchiveError, Chain, Digest, Entry, Layout, Store};

/// Directories that are read at once.
const AT_ONCE: usize = 16;

/// What the log says of some entries.
pub(super) enum What {
    Rollup(RollupRef, Box<Directory>),
    /// Oldest first.
    Entries(Vec<(Run, Option<SealedPoint>)>),
}

/// A piece of the log, and the digest that its last entry must have, where that is known from what follows.
struct Piece {
    end: u64,
    link: Option<Digest>,
    what: What,
}

/// On the way from an entry to the beginning.
pub(super) struct Walk<'a> {
    store: &'a Store,
    layout: &'a Layout,
    chain: Chain,
    /// Whether every seal must be known; roll-ups of release 0.1 do not name them.
    seals: bool,
    /// Everything from here on is read.
    below: u64,
    /// Digest of the entry before `below`.
    link: Option<Digest>,
    /// The newest roll-up before `below`, as far as it is known.
    newest: Option<RollupRef>,
    unusable: HashSet<RollupRef>,
    /// Directories that were asked for ahead.
    ahead: HashMap<RollupRef, Result<Directory, ArchiveError>>,
    asked: bool,
    /// Bytes that what was taken in so far takes.
    kept: u64,
    pieces: Vec<Piece>,
    out: Walked,
}

/// What the way back found.
#[derive(Default)]
pub(super) struct Walked {
    /// What the log says, oldest first.
    pub(super) pieces: Vec<What>,
    /// What is wrong with roll-ups.
    pub(super) problems: Vec<Problem>,
    /// Those roll-ups.
    pub(super) lost: Vec<RollupRef>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(store: &'a Store, layout: &'a Layout, seals: bool, (last, digest): (&Entry, &Digest)) -> Self {
        let what = What::Entries(vec![(run_of_entry(last, digest), SealedPoint::of(last, digest))]);
        Self {
            store,
            layout,
            chain: Chain::new(store.clone(), layout.clone()),
            seals,
            below: last.n,
            link: last.previous.clone(),
            newest: last.last_rollup.clone(),
            unusable: HashSet::new(),
            ahead: HashMap::new(),
            asked: false,
            kept: 0,
            pieces: vec![Piece { end: last.n + 1, link: None, what }],
            out: Walked::default(),
        }
    }

    /// Walks to the beginning.
    pub(super) async fn back(mut self) -> Result<Walked, ArchiveError> {
        while self.below > 0 {
            match self.newest.take() {
                Some(rollup) if rollup.to.checked_add(1) == Some(self.below) && rollup.from <= rollup.to => {
                    self.take_rollup(rollup).await?;
                }
                Some(rollup) if rollup.to < self.below => {
                    self.take_entries(rollup.to + 1).await?;
                    self.newest.get_or_insert(rollup);
                }
                // No roll-up that can be used is known: the oldest entry of the block before knows the next one.
                _ => self.take_entries((self.below - 1) / FANOUT * FANOUT).await?,
            }
        }
        self.out.pieces = self.pieces.into_iter().rev().map(|piece| piece.what).collect();
        Ok(self.out)
    }

    async fn take_rollup(&mut self, rollup: RollupRef) -> Result<(), ArchiveError> {
        if self.unusable.contains(&rollup) {
            return Ok(());
        }
        let directory = match self.directory(&rollup).await {
            Ok(directory) => directory,
            Err(error @ (ArchiveError::Store { .. } | ArchiveError::Newer { .. })) => return Err(error),
            Err(error) => {
                self.lose(rollup, Problem::of(&error));
                return Ok(());
            }
        };
        if self.link.as_ref().is_some_and(|link| *link != directory.last) {
            let key = self.store.show(&self.layout.rollup(rollup.level, rollup.from, rollup.to));
            self.lose(rollup, Problem::new(key, "its last entry is not the one that the log has"));
            return Ok(());
        }
        let side_by_side =
            directory.previous.as_ref().is_some_and(|before| before.to.checked_add(1) == Some(rollup.from));
        let linked = rollup.from == 0 || directory.before.is_some() || side_by_side;
        if !linked || (self.seals && directory.seals.is_none()) {
            self.unusable.insert(rollup);
            return Ok(());
        }
        self.keep(directory.weight())?;
        self.below = rollup.from;
        self.newest.clone_from(&directory.previous);
        let link = std::mem::replace(&mut self.link, directory.before.clone());
        self.pieces.push(Piece { end: rollup.to + 1, link, what: What::Rollup(rollup, Box::new(directory)) });
        Ok(())
    }

    fn lose(&mut self, rollup: RollupRef, problem: Problem) {
        self.unusable.insert(rollup.clone());
        self.out.lost.push(rollup);
        self.out.problems.push(problem);
    }

    /// The directory of a roll-up. The first that is read names all others: they are asked for at once.
    async fn directory(&mut self, rollup: &RollupRef) -> Result<Directory, ArchiveError> {
        if let Some(found) = self.ahead.remove(rollup) {
            return found;
        }
        let directory = Directory::load(self.store, self.layout, rollup).await?;
        if !self.asked {
            self.asked = true;
            let others = directory.previous.iter().chain(&directory.earlier).cloned().collect::<Vec<_>>();
            let (store, layout) = (self.store, self.layout);
            let load = |rollup: RollupRef| {
                let (store, layout) = (store.clone(), layout.clone());
                async move {
                    let found = Directory::load(&store, &layout, &rollup).await;
                    (rollup, found)
                }
            };
            let mut loaded = std::pin::pin!(futures::stream::iter(others).map(load).buffer_unordered(AT_ONCE));
            // No more of them than the log may take: what is not read ahead is read when it is its turn.
            let (mut ahead, most) = (self.kept, memory::of_log());
            while let Some((rollup, found)) = loaded.next().await {
                ahead = ahead.saturating_add(found.as_ref().map_or(0, Directory::weight));
                self.ahead.insert(rollup, found);
                if ahead > most {
                    break;
                }
            }
        }
        Ok(directory)
    }

    /// Counts what is kept of the log.
    fn keep(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.kept = self.kept.saturating_add(bytes);
        if self.kept <= memory::of_log() {
            return Ok(());
        }
        Err(ArchiveError::log_too_large(self.store.show(&self.layout.log()), memory::of_log()))
    }

    /// Takes in the entries from `from` on, or none where nothing says which entry must be the last of them: then the
    /// roll-up after them is given up, whose own entries say it.
    async fn take_entries(&mut self, from: u64) -> Result<(), ArchiveError> {
        while self.below > from {
            let Some(link) = self.link.clone() else {
                return self.give_up_newest_piece();
            };
            let first = ((self.below - 1) / FANOUT * FANOUT).max(from);
            let entries = self.chain.read(first, self.below - 1).await?;
            if entries.last().is_none_or(|(_, digest)| *digest != link) {
                let key = self.store.show(&self.layout.entry(self.below));
                let reason = "it does not follow the entry before it: one of them was replaced";
                return Err(ArchiveError::damaged(key, reason));
            }
            self.take_block(&entries)?;
        }
        Ok(())
    }

    fn take_block(&mut self, entries: &[(Entry, Digest)]) -> Result<(), ArchiveError> {
        let Some((oldest, _)) = entries.first() else { return Ok(()) };
        let runs = entries.iter().map(|(entry, digest)| (run_of_entry(entry, digest), SealedPoint::of(entry, digest)));
        let runs: Vec<_> = runs.collect();
        self.keep(total(runs.iter().map(|(run, _)| run.weight())))?;
        let what = What::Entries(runs);
        let link = std::mem::replace(&mut self.link, oldest.previous.clone());
        self.pieces.push(Piece { end: self.below, link, what });
        self.below = oldest.n;
        self.newest.clone_from(&oldest.last_rollup);
        Ok(())
    }

    /// Only a roll-up can be given up: every entry says what is before it.
    fn give_up_newest_piece(&mut self) -> Result<(), ArchiveError> {
        let Some(Piece { end, link, what: What::Rollup(rollup, _) }) = self.pieces.pop() else {
            let key = self.store.show(&self.layout.entry(self.below));
            return Err(ArchiveError::damaged(key, "it does not say which entry is before it"));
        };
        self.unusable.insert(rollup);
        (self.below, self.link, self.newest) = (end, link, None);
        Ok(())
    }
}
