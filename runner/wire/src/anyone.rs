//! Questions that every broker answers: whoever is asked first and is silent for a while gets company, so that one frozen
//! broker never holds them up.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::time::Instant;

use crate::api::Api;
use crate::brokers::{Address, BOOTSTRAP, BrokerId, CONTROL};
use crate::cluster::{Cluster, parse};
use crate::connection::{Connection, STUCK as SILENCE};
use crate::{Retry, WireError};

/// Brokers that are asked the same at once.
const MOST: usize = 3;
/// How long another broker is dialled while one that was asked before lives.
const DETOUR: Duration = Duration::from_secs(1);

impl Cluster {
    /// A control connection to any broker.
    pub(crate) async fn control(&self) -> Result<Arc<Connection>, WireError> {
        Ok(self.control_of_another(&HashSet::new()).await?.1)
    }

    /// A control connection, to a broker that is neither in `avoid` nor doubted where there is one: a living one, else a new one to
    /// whichever answers first. While another one lives and answers, nobody is dialled for long.
    pub(crate) async fn control_of_another(
        &self,
        avoid: &HashSet<BrokerId>,
    ) -> Result<(BrokerId, Arc<Connection>), WireError> {
        let good = |found: &(BrokerId, Arc<Connection>)| !found.1.is_stuck();
        let avoid = self.brokers().last_choice(avoid);
        let avoid = &avoid;
        if let Some(found) = self.brokers().control(avoid).filter(good) {
            return Ok(found);
        }
        let place = self.brokers().place(BOOTSTRAP, CONTROL);
        let work = async {
            let _one_at_a_time = place.lock().await;
            if let Some(found) = self.brokers().control(avoid).filter(good) {
                return Ok(found);
            }
            let race = self.race(self.candidates(avoid), CONTROL, None);
            let living = self.brokers().control(&HashSet::new()).filter(good);
            let dialled = match living {
                Some(living) => tokio::time::timeout(DETOUR, race).await.unwrap_or(Ok(living)),
                None => race.await,
            };
            // Nobody else answers: better one that was asked before, or is slow, than none.
            dialled.or_else(|error| self.brokers().control(&HashSet::new()).ok_or(error))
        };
        self.unless_stopped(work).await
    }

    /// Where a control connection may go: known brokers without one, then the bootstrap addresses.
    fn candidates(&self, avoid: &HashSet<BrokerId>) -> Vec<(BrokerId, Address)> {
        let mut brokers = self.brokers();
        let mut known = brokers.all();
        known.retain(|(id, _)| !avoid.contains(id) && brokers.connection(*id, CONTROL).is_none());
        if !known.is_empty() && brokers.control(&HashSet::new()).is_some() {
            return known;
        }
        known.extend(self.config.bootstrap.iter().filter_map(|server| parse(server)).map(|at| (BOOTSTRAP, at)));
        known
    }

    /// Asks any broker that is not in `asked`, where there is one. When it has not answered after a while, another one is
    /// asked the same, and the first answer counts. Whoever was asked is added to `asked`; once nobody else is left, the
    /// turn begins again. Only for requests that change nothing.
    ///
    /// # Errors
    /// What the last of them said.
    pub(crate) async fn ask_anyone<T, F>(
        &self,
        asked: &mut HashSet<BrokerId>,
        ask: impl Fn(Arc<Connection>) -> F,
    ) -> Result<(Arc<Connection>, T), WireError>
    where
        F: Future<Output = Result<T, WireError>>,
    {
        let asked = Mutex::new(asked);
        // `None`: nobody is left who was not asked.
        let attempt = async |is_first: bool| {
            let avoid = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (broker, connection) = self.control_of_another(&avoid).await?;
            {
                let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
                if !asked.insert(broker) {
                    if !is_first {
                        return Ok(None);
                    }
                    asked.clear();
                    asked.insert(broker);
                }
            }
            let answer = ask(Arc::clone(&connection)).await?;
            self.brokers().answered(broker);
            Ok(Some((connection, answer)))
        };
        let (mut running, mut started, mut last) = (FuturesUnordered::new(), 0, None);
        let mut next = Instant::now();
        loop {
            tokio::select! {
                biased;
                Some(done) = running.next() => {
                    match done {
                        Ok(Some(answered)) => return Ok(answered),
                        Ok(None) => {}
                        Err(error) if WireError::retry(&error) == Retry::Never => return Err(error),
                        Err(error) => last = Some(error),
                    }
                    if running.is_empty() && let Some(error) = last.take() {
                        return Err(error);
                    }
                }
                () = tokio::time::sleep_until(next), if started < MOST => {
                    running.push(attempt(started == 0));
                    started += 1;
                    next = Instant::now() + SILENCE;
                }
            }
        }
    }

    /// Sends a request that changes nothing to any broker, without retry.
    pub(crate) async fn any<R: Api>(&self, request: &R) -> Result<R::Response, WireError> {
        let ask = |connection: Arc<Connection>| async move { connection.call(request, Duration::ZERO).await };
        Ok(self.ask_anyone(&mut HashSet::new(), ask).await?.1)
    }
}
