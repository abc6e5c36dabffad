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
use crate::context::Context;

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
    places: Arc<HashMap<i32, usize>>,
    permit: Arc<OwnedSemaphorePermit>,
}

/// Deals shares out.
pub(crate) struct Dealer {
    context: Context,
    pub(crate) ways: HashMap<(Uuid, i32), Way>,
    /// By place.
    pub(crate) rules: Vec<Arc<Rules>>,
    /// Records that are in the target already, by place.
    pub(crate) skip: HashMap<usize, u64>,
    pub(crate) senders: Vec<mpsc::Sender<Input>>,
    dealing: VecDeque<Dealing>,
}

impl Dealer {
    pub(crate) fn new(
        context: &Context,
        ways: HashMap<(Uuid, i32), Way>,
        rules: Vec<Arc<Rules>>,
        skip: HashMap<usize, u64>,
        senders: Vec<mpsc::Sender<Input>>,
    ) -> Self {
        Self { context: context.clone(), ways, rules, skip, senders, dealing: VecDeque::new() }
    }

    /// Takes one share; `false` when a lane ended early and will say why when it is joined.
    pub(crate) async fn take(&mut self, share: ReadBatch, permit: OwnedSemaphorePermit) -> Result<bool, Failure> {
        let permit = Arc::new(permit);
        match self.ways.get(&(share.topic, share.partition)).cloned() {
            None => Ok(true),
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
        let Some(rules) = self.rules.get(place).cloned() else { return Ok(true) };
        let left = self.skip.get(&place).copied().unwrap_or(0);
        let work = spawn_transform(&self.context, share, rules, left);
        if left == 0 {
            let work = tokio::spawn(async move { Ok(finished(work).await?.0) });
            return Ok(self.send(Input { place, work, permit }).await);
        }
        let (batches, skipped) = finished(work).await?;
        self.skip.insert(place, left - skipped);
        Ok(self.send(Input { place, work: tokio::spawn(async move { Ok(batches) }), permit }).await)
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
        let Some(rules) = rules else { return Ok(true) };
        let work =
            self.context.burn(move || deal(&share, &rules, &route, &skip).map_err(|error| explain(&share, &error)));
        self.dealing.push_back(Dealing { work, done: None, places, permit });
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
        let Some(Dealing { done: Some(dealt), places, permit, .. }) = self.dealing.pop_front() else { return Ok(true) };
        for Dealt { partition, batches, skipped } in dealt? {
            let Some(place) = places.get(&partition).copied() else { continue };
            if let Some(left) = self.skip.get_mut(&place) {
                *left -= skipped;
            }
            if batches.is_empty() {
                continue;
            }
            let work = tokio::spawn(async move { Ok(batches) });
            if !self.send(Input { place, work, permit: Arc::clone(&permit) }).await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn send(&self, input: Input) -> bool {
        let lane = input.place % self.senders.len().max(1);
        match self.senders.get(lane) {
            Some(sender) => sender.send(input).await.is_ok(),
            None => true,
        }
    }
}

type Transformed = Result<(Vec<Outgoing>, u64), Failure>;

fn spawn_transform(context: &Context, share: ReadBatch, rules: Arc<Rules>, skip: u64) -> JoinHandle<Transformed> {
    context.burn(move || {
        let transformed = transform(&share.batches, share.from..share.until, &rules, skip);
        transformed.map_err(|error| explain(&share, &error))
    })
}

async fn finished(work: JoinHandle<Transformed>) -> Transformed {
    work.await.unwrap_or_else(|error| Err(Failure::new(Code::Internal, error.to_string())))
}

fn explain(share: &ReadBatch, error: &batch::BatchError) -> Failure {
    let first = share.batches.first().map_or(0, |batch| batch.header.base_offset);
    let too_large = matches!(error, batch::BatchError::RecordTooLarge { .. });
    let code = if too_large { Code::BatchTooLarge } else { Code::ArchiveDamaged };
    Failure::new(code, format!("source partition {} from offset {first}: {error}", share.partition))
}
