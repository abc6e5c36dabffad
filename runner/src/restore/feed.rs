//! The way of the archive's records to the lanes, from epoch to epoch: what left the stream is dealt out, held, or known to be
//! lost, so that an epoch may read on where the one before had to end.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use archive::{BatchStream, ReadBatch, Wanted};
use contract::{Code, Failure};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::dealer::Dealer;
use super::lane::{Input, LaneEnd};
use super::lease::Lease;
use super::left::what_is_left;
use super::passes::{passes, ways};
use super::plan::RestorePlan;
use super::tails::Tail;
use super::transform::Rules;
use super::{Restore, guard};

/// Archived bytes between the stream and the acknowledgement, in KiB.
pub(crate) const IN_FLIGHT_KIB: usize = 32 << 10;

/// What an epoch goes on with.
pub(crate) enum Next {
    /// A share that is dealt out.
    Dealt,
    /// The share that is held.
    Held,
    /// The stream has ended.
    End,
    /// The archive cannot be read.
    Failed(Failure),
}

/// A share of the archive and its memory.
pub(crate) type Share = (ReadBatch, OwnedSemaphorePermit);

/// What reads the archive and deals it out.
pub(crate) struct Feed {
    pub(crate) stream: Option<BatchStream>,
    /// What is streamed after that.
    passes: VecDeque<Wanted>,
    pub(crate) dealer: Dealer,
    /// A share that left the stream and is not dealt out yet.
    pub(crate) held: Option<Share>,
    /// A share is being dealt out: whoever drops that loses it.
    pub(crate) in_hand: Arc<AtomicBool>,
    /// Whether a share was taken in this epoch.
    began: bool,
}

impl Feed {
    /// Reads from where the target stands.
    ///
    /// # Errors
    /// When the archive cannot be read.
    pub(crate) async fn begin(
        restore: &Restore<'_>,
        plan: &RestorePlan,
        tails: &[Tail],
        rules: Vec<Arc<Rules>>,
        senders: Vec<mpsc::Sender<Input>>,
    ) -> Result<Self, Failure> {
        let ways = ways(restore, plan);
        let (left, skip) = what_is_left(&restore.point, plan, &ways, tails).await?;
        let dealer = Dealer::new(ways, rules, skip, senders, restore.limiter.clone());
        let passes = passes(plan, left).into();
        let mut feed = Self { stream: None, passes, dealer, held: None, in_hand: Arc::default(), began: false };
        feed.next_pass(restore).await?;
        Ok(feed)
    }

    /// Reads on, for the lanes of the next epoch.
    pub(crate) fn go_on(mut self, rules: Vec<Arc<Rules>>, senders: Vec<mpsc::Sender<Input>>) -> Self {
        (self.dealer.rules, self.dealer.senders, self.began) = (rules, senders, false);
        self
    }

    /// Begins the next pass; `false` where there is none.
    async fn next_pass(&mut self, restore: &Restore<'_>) -> Result<bool, Failure> {
        let Some(wanted) = self.passes.pop_front() else { return Ok(false) };
        self.stream = Some(restore.point.stream(wanted).await?);
        Ok(true)
    }

    /// Goes one step on; `false` when everything was taken, or a lane ended early and will say why. Dropping the future loses
    /// nothing while no share is in hand.
    ///
    /// # Errors
    /// When the archive cannot be read, a record cannot be restored, or another restore may have taken over.
    pub(crate) async fn take(&mut self, restore: &Restore<'_>, next: Next) -> Result<bool, LaneEnd> {
        match next {
            Next::Failed(failure) => return Err(failure.into()),
            Next::Dealt => return Ok(self.in_hand(async |dealer| dealer.send_dealt().await).await?),
            Next::End => {
                if self.next_pass(restore).await? {
                    return Ok(true);
                }
                self.in_hand(async |dealer| dealer.finish().await).await?;
                return Ok(false);
            }
            Next::Held => {}
        }
        if !self.began {
            // Directly before the first record, however long the archive took.
            guard::check(&restore.cluster, &restore.state.topics).await?;
            self.began = true;
        }
        restore.limiter.ready().await;
        let Some((share, permit)) = self.held.take() else { return Ok(true) };
        Ok(self.in_hand(async |dealer| dealer.take(share, permit).await).await?)
    }

    /// Does what must not be dropped in the middle.
    async fn in_hand(&mut self, work: impl AsyncFnOnce(&mut Dealer) -> Result<bool, Failure>) -> Result<bool, Failure> {
        self.in_hand.store(true, Ordering::Relaxed);
        let done = work(&mut self.dealer).await?;
        self.in_hand.store(false, Ordering::Relaxed);
        Ok(done)
    }

    /// Sends what is being dealt out; whether nothing that left the stream is lost then.
    pub(crate) async fn flush(&mut self, lease: &Lease) -> bool {
        if self.in_hand.load(Ordering::Relaxed) {
            return false;
        }
        matches!(tokio::time::timeout_at(lease.last_call(), self.dealer.finish()).await, Ok(Ok(true)))
    }
}

/// The next share, which is held then, and the memory for it. Dropping the future loses nothing: a share leaves the stream only
/// when nothing is waited for any more.
pub(crate) async fn next_share(
    (stream, held): (&mut Option<BatchStream>, &mut Option<Share>),
    memory: &Arc<Semaphore>,
    reading: &mut Duration,
) -> Next {
    match share(stream, memory, reading).await {
        Ok(Some(share)) => {
            *held = Some(share);
            Next::Held
        }
        Ok(None) => Next::End,
        Err(failure) => Next::Failed(failure),
    }
}

async fn share(
    stream: &mut Option<BatchStream>,
    memory: &Arc<Semaphore>,
    reading: &mut Duration,
) -> Result<Option<Share>, Failure> {
    let Some(stream) = stream else { return Ok(None) };
    let started = Instant::now();
    let found = stream.peek_bytes().await?;
    *reading += started.elapsed();
    let Some(bytes) = found else { return Ok(None) };
    let units = u32::try_from(bytes.div_ceil(1024).clamp(1, IN_FLIGHT_KIB)).unwrap_or(1);
    let closed = |_| Failure::new(Code::Internal, "the memory budget was closed");
    let permit = Arc::clone(memory).acquire_many_owned(units).await.map_err(closed)?;
    Ok(stream.take_ready().map(|share| (share, permit)))
}
