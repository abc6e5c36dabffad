//! Packing on threads of its own, or on none: arenas go in, blocks come out in order. Threads go on while blocks are stored, and from
//! one arena to the next; a group's batches are dropped once it is packed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use batch::{BatchError, Codec};
use tokio::sync::oneshot;

use super::arena::AbortedRange;
use super::block::{PackedBlock, Packer};
use super::{Arena, PendingBatch};
use crate::ArchiveError;

type Answer = Result<PackedBlock, BatchError>;

/// What comes out.
#[derive(Debug)]
pub(crate) enum Packed {
    /// A block.
    Block(PackedBlock),
    /// All blocks of an arena came; these are its transactions that were rolled back.
    End(Vec<AbortedRange>),
}

#[derive(Debug)]
enum InOrder {
    Block(oneshot::Receiver<Answer>),
    End(Vec<AbortedRange>),
}

struct Unpacked {
    batches: Vec<PendingBatch>,
    done: oneshot::Sender<Answer>,
}

/// Threads that pack, started with the first arena; they end when this is dropped.
#[derive(Debug)]
pub(crate) struct Packing {
    codec: Codec,
    level: i32,
    /// 0: there are none, and blocks are packed where they are added.
    workers: usize,
    work: Option<mpsc::Sender<Unpacked>>,
    steps: VecDeque<InOrder>,
}

impl Packing {
    pub(crate) fn new(codec: Codec, level: i32, workers: usize) -> Self {
        Self { codec, level, workers, work: None, steps: VecDeque::new() }
    }

    /// Blocks that are packed at once.
    pub(crate) fn workers(&self) -> usize {
        self.workers.max(1)
    }

    /// How much was not taken yet, packed or not: blocks, and an end for each arena.
    pub(crate) fn waiting(&self) -> usize {
        self.steps.len()
    }

    /// Has an arena packed after those before it.
    pub(crate) fn add(&mut self, arena: Arena) -> Result<(), ArchiveError> {
        if self.workers == 0 {
            self.pack_here(arena);
            return Ok(());
        }
        let work = match &self.work {
            Some(work) => work,
            None => self.work.insert(
                start(self.codec, self.level, self.workers)
                    .map_err(|error| ArchiveError::thread("could not be started", error))?,
            ),
        };
        let (groups, aborted) = arena.into_groups();
        for batches in groups {
            let (done, answer) = oneshot::channel();
            self.steps.push_back(InOrder::Block(answer));
            // Where no thread is left to take it, its answer never comes, which `next` says.
            drop(work.send(Unpacked { batches, done }));
        }
        self.steps.push_back(InOrder::End(aborted));
        Ok(())
    }

    fn pack_here(&mut self, arena: Arena) {
        let (groups, aborted) = arena.into_groups();
        let mut packer = Packer::new(self.codec, self.level);
        for batches in groups {
            let (done, answer) = oneshot::channel();
            drop(done.send(packer.pack(&batches)));
            self.steps.push_back(InOrder::Block(answer));
        }
        self.steps.push_back(InOrder::End(aborted));
    }

    /// The next block or end; `None` when nothing was added that was not taken.
    pub(crate) async fn next(&mut self) -> Result<Option<Packed>, ArchiveError> {
        let packed = match self.steps.front_mut() {
            None => return Ok(None),
            Some(InOrder::End(aborted)) => Packed::End(std::mem::take(aborted)),
            Some(InOrder::Block(answer)) => {
                let answer = answer.await.map_err(|error| ArchiveError::thread("ended", error))?;
                Packed::Block(answer.map_err(|source| ArchiveError::Batch { key: "block".into(), source })?)
            }
        };
        self.steps.pop_front();
        Ok(Some(packed))
    }
}

/// Starts threads that end when the sender is dropped.
fn start(codec: Codec, level: i32, workers: usize) -> std::io::Result<mpsc::Sender<Unpacked>> {
    let (work, queue) = mpsc::channel();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..workers {
        let (packer, queue) = (Packer::new(codec, level), Arc::clone(&queue));
        thread::Builder::new().name("pack".into()).spawn(move || pack(packer, &queue))?;
    }
    Ok(work)
}

/// Packs what comes, until nothing can come any more.
fn pack(mut packer: Packer, queue: &Mutex<mpsc::Receiver<Unpacked>>) {
    // Both end the thread: the writer is gone.
    let next = || queue.lock().ok()?.recv().ok();
    while let Some(Unpacked { batches, done }) = next() {
        let answer = packer.pack(&batches);
        drop(batches);
        // A writer that ended takes no answers.
        drop(done.send(answer));
    }
}
