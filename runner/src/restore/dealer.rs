//! Between the archive's stream and the lanes: transforms shares, and sends what comes out to the lane of its partition.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use archive::ReadBatch;
use batch::Outgoing;
use contract::{Code, Failure};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::lane::Input;
use super::route::Route;
use super::transform::{Dealt, Rules, deal, transform};
use crate::limiter::Limiter;

/// Where records would be lost without a word if it were passed over.
fn lost(what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Internal, format!("no way into the target for {what}"))
}

/// Shares that are dealt out to several partitions at once.
const LOOKAHEAD: usize = 3;

/// Where the records of one source partition go.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    /// To one place of the state.
    One(usize),
    /// To several: places by target partition.
    Many(Route, Arc<HashMap<i32, usize>>),
}

/// A share that is being dealt out, with the places of its targets, and its memory.
struct Dealing {
    work: JoinHandle<Result<Vec<Dealt>, Failure>>,
    done: Option<Result<Vec<Dealt>, Failure>>,
    /// Whether its records were counted for the rate limit.
    counted: bool,
    places: Arc<HashMap<i32, usize>>,
    permit: Arc<OwnedSemaphorePermit>,
}

/// Deals shares out.
pub(crate) struct Dealer {
    pub(crate) ways: HashMap<(Uuid, i32), Way>,
    /// By place.
    pub(crate) rules: Vec<Arc<Rules>>,
    /// Records that are in the target already, by place.
    pub(crate) skip: HashMap<usize, u64>,
    pub(crate) senders: Vec<mpsc::Sender<Input>>,
    /// What goes out counts. What is in the target already and is only skipped does not: every epoch may read it again, and
    /// a restore that paid for it each time would never end.
    limiter: Limiter,
    dealing: VecDeque<Dealing>,
}

impl Dealer {
    pub(crate) fn new(
        ways: HashMap<(Uuid, i32), Way>,
        rules: Vec<Arc<Rules>>,
        skip: HashMap<usize, u64>,
        senders: Vec<mpsc::Sender<Input>>,
        limiter: Limiter,
    ) -> Self {
        Self { ways, rules, skip, senders, limiter, dealing: VecDeque::new() }
    }

    /// Counts a share whose records all go out.
    fn count(&self, share: &ReadBatch) {
        self.limiter.moved(share.batches.iter().map(|batch| batch.header.records()).sum(), share.bytes as u64);
    }

    /// Counts what goes out of a share of which some records are skipped.
    fn count_batches(&self, batches: &[Outgoing]) {
        let records = batches.iter().map(|batch| u64::try_from(batch.records()).unwrap_or(0)).sum();
        self.limiter.moved(records, batches.iter().map(|batch| batch.size() as u64).sum());
    }

    /// Takes one share; `false` when a lane ended early and will say why when it is joined.
    pub(crate) async fn take(&mut self, share: ReadBatch, permit: OwnedSemaphorePermit) -> Result<bool, Failure> {
        let permit = Arc::new(permit);
        match self.ways.get(&(share.topic, share.partition)).cloned() {
            None => Err(lost(format_args!("source partition {} of topic {}", share.partition, share.topic))),
            Some(Way::One(place)) => self.one(place, share, permit).await,
            Some(Way::Many(route, places)) => self.many(route, places, share, permit).await,
        }
    }

    /// Sends what is still being dealt out.
    pub(crate) async fn finish(&mut self) -> Result<bool, Failure> {
        while !self.dealing.is_empty() {
            if !self.send_dealt().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Only while records are skipped the end of a transformation is waited for, because it says how many are left.
    async fn one(
        &mut self,
        place: usize,
        share: ReadBatch,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Result<bool, Failure> {
        let rules = self.rules.get(place).cloned().ok_or_else(|| lost(format_args!("place {place}")))?;
        let left = self.skip.get(&place).copied().unwrap_or(0);
        if left == 0 {
            self.count(&share);
        }
        let work = work(rules, move |rules| transform(&share, rules, left));
        if left == 0 {
            let work = tokio::spawn(async move { Ok(work.await?.0) });
            return self.send(Input { place, work, permit }).await;
        }
        let (batches, skipped) = work.await?;
        self.count_batches(&batches);
        self.skip.insert(place, left - skipped);
        self.send(Input { place, work: tokio::spawn(async move { Ok(batches) }), permit }).await
    }

    async fn many(
        &mut self,
        route: Route,
        places: Arc<HashMap<i32, usize>>,
        share: ReadBatch,
        permit: Arc<OwnedSemaphorePermit>,
    ) -> Result<bool, Failure> {
        let left = |place: &usize| self.skip.get(place).copied().unwrap_or(0);
        let skip: HashMap<_, _> = places.iter().map(|(partition, place)| (*partition, left(place))).collect();
        let skipping = skip.values().any(|left| *left > 0);
        let rules = places.values().next().and_then(|place| self.rules.get(*place)).cloned();
        let rules = rules.ok_or_else(|| lost(format_args!("source partition {}", share.partition)))?;
        if !skipping {
            self.count(&share);
        }
        let work = tokio::spawn(work(rules, move |rules| deal(&share, rules, &route, &skip)));
        self.dealing.push_back(Dealing { work, done: None, counted: !skipping, places, permit });
        // How many are left to skip is only known when this share is done.
        let most = if skipping { 0 } else { LOOKAHEAD };
        while self.dealing.len() > most {
            if !self.send_dealt().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Waits until the oldest share is dealt out; for ever when there is none. Dropping the future loses nothing.
    pub(crate) async fn dealt(&mut self) {
        let Some(front) = self.dealing.front_mut() else { return std::future::pending().await };
        if front.done.is_none() {
            let done = (&mut front.work).await;
            front.done = Some(done.unwrap_or_else(|error| Err(Failure::new(Code::Internal, error.to_string()))));
        }
    }

    /// Sends the oldest share that is being dealt out.
    pub(crate) async fn send_dealt(&mut self) -> Result<bool, Failure> {
        if self.dealing.is_empty() {
            return Ok(true);
        }
        self.dealt().await;
        let Some(Dealing { done: Some(dealt), counted, places, permit, .. }) = self.dealing.pop_front() else {
            return Err(lost("a share that was dealt out"));
        };
        for Dealt { partition, batches, skipped } in dealt? {
            let place = places.get(&partition).copied();
            let place = place.ok_or_else(|| lost(format_args!("target partition {partition}")))?;
            if let Some(left) = self.skip.get_mut(&place) {
                *left -= skipped;
            }
            if !counted {
                self.count_batches(&batches);
            }
            if batches.is_empty() {
                continue;
            }
            let work = tokio::spawn(async move { Ok(batches) });
            if !self.send(Input { place, work, permit: Arc::clone(&permit) }).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `false` when the lane ended early.
    async fn send(&self, input: Input) -> Result<bool, Failure> {
        let lane = input.place % self.senders.len().max(1);
        let sender =
            self.senders.get(lane).ok_or_else(|| lost(format_args!("place {}: no lane {lane}", input.place)))?;
        Ok(sender.send(input).await.is_ok())
    }
}

/// One transformation by these rules, when there is space for it.
async fn work<T: Send + 'static>(
    rules: Arc<Rules>,
    work: impl FnOnce(&Rules) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let space = Arc::clone(&rules.space);
    space.run(move || work(&rules)).await
}
