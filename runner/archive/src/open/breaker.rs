//! The circuit breaker before an object store: it holds single HTTP requests back while the store rests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use contract::{CircuitBreakerSpec, Waits};
use object_store::client::HttpConnector;
use object_store::{ClientOptions, RetryConfig};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::guard::{Connector, Patience};
use super::trouble::Trouble;
use super::way::{CONNECT, Way};

/// The library gives a request up after this long, or after two rests and a little more.
const GIVE_UP: Duration = Duration::from_secs(180);
const AFTER_RESTS: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Requests pass; so many failed in a row.
    Closed { failures: u32 },
    /// The store rests.
    Open { until: Instant },
    /// One request at a time passes; so many succeeded.
    HalfOpen { successes: u32, busy: bool },
}

/// A breaker that all requests to one store share.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    spec: CircuitBreakerSpec,
    state: Arc<Mutex<State>>,
    changed: Arc<Notify>,
    patience: Arc<Patience>,
    trouble: Arc<Trouble>,
    /// How long the library sends one request again.
    give_up: Duration,
}

/// A request that passed; says how it ended, or nothing when it was given up.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    good: Option<bool>,
}

impl Breaker {
    pub(super) fn new(spec: CircuitBreakerSpec) -> Self {
        let rests = Duration::from_secs(spec.reset_timeout_secs) * 2 + AFTER_RESTS;
        Self {
            spec,
            state: Arc::new(Mutex::new(State::Closed { failures: 0 })),
            changed: Arc::default(),
            trouble: Arc::default(),
            patience: Arc::new(Patience::new(Duration::from_millis(spec.operation_timeout_ms))),
            give_up: if spec.enabled { rests.max(GIVE_UP) } else { GIVE_UP },
        }
    }

    /// The same, which tells in `waits` what the store is waited for.
    pub(super) fn telling(self, waits: &Waits) -> Self {
        Self { trouble: Arc::new(Trouble::new(waits.clone())), ..self }
    }

    /// What the store is waited for.
    pub(super) fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// The same, for somebody who waits for an answer: requests are not sent again for long.
    pub(super) fn brief(self, give_up: Duration) -> Self {
        Self { give_up, ..self }
    }

    /// How long requests may go without an answer.
    pub(super) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Options of HTTP clients behind this breaker.
    pub(super) fn client_options(allow_http: bool) -> ClientOptions {
        // The guard counts silence; the library would count the whole request.
        ClientOptions::new().with_timeout_disabled().with_connect_timeout(CONNECT).with_allow_http(allow_http)
    }

    /// How long the library tries a request again.
    pub(super) fn retries(&self) -> RetryConfig {
        RetryConfig { retry_timeout: self.give_up, max_retries: 50, ..RetryConfig::default() }
    }

    /// Makes clients whose requests pass this breaker.
    pub(super) fn connector(&self, way: &Way) -> impl HttpConnector + use<> {
        Connector(self.clone(), way.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn enter(&self) -> Pass<'_> {
        loop {
            let changed = self.changed.notified();
            let now = Instant::now();
            let wait = self.with(|state| match *state {
                _ if !self.spec.enabled => None,
                State::Closed { .. } => None,
                State::Open { until } if now < until => Some(until),
                State::Open { .. } => {
                    *state = State::HalfOpen { successes: 0, busy: true };
                    None
                }
                State::HalfOpen { successes, busy: false } => {
                    *state = State::HalfOpen { successes, busy: true };
                    None
                }
                State::HalfOpen { busy: true, .. } => Some(now + Duration::from_secs(60)),
            });
            let Some(until) = wait else { return Pass { breaker: self, good: None } };
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = changed => {}
            }
        }
    }

    fn leave(&self, good: Option<bool>) {
        let rest = Duration::from_secs(self.spec.reset_timeout_secs);
        let open = || {
            tracing::warn!(seconds = rest.as_secs(), "the object store keeps failing: no requests for a while");
            State::Open { until: Instant::now() + rest }
        };
        self.with(|state| {
            *state = match (*state, good) {
                (State::Closed { .. }, Some(true)) => State::Closed { failures: 0 },
                (State::Closed { failures }, Some(false)) if failures + 1 >= self.spec.failure_threshold => open(),
                (State::Closed { failures }, Some(false)) => State::Closed { failures: failures + 1 },
                (State::HalfOpen { successes, .. }, Some(true)) if successes + 1 >= self.spec.success_threshold => {
                    State::Closed { failures: 0 }
                }
                (State::HalfOpen { successes, .. }, Some(true)) => {
                    State::HalfOpen { successes: successes + 1, busy: false }
                }
                (State::HalfOpen { .. }, Some(false)) => open(),
                (State::HalfOpen { successes, .. }, None) => State::HalfOpen { successes, busy: false },
                // A late answer to a request from before.
                (state, _) => state,
            };
        });
        self.changed.notify_waiters();
    }
}

impl Pass<'_> {
    /// How the request ended; `None` says nothing about the store.
    pub(super) fn end(mut self, good: Option<bool>) {
        self.good = good;
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.breaker.spec.enabled {
            self.breaker.leave(self.good);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn request(breaker: &Breaker, good: bool) {
        breaker.enter().await.end(Some(good));
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_rests_and_closes_again() {
        let spec = CircuitBreakerSpec {
            failure_threshold: 3,
            reset_timeout_secs: 60,
            success_threshold: 2,
            ..CircuitBreakerSpec::default()
        };
        let breaker = Breaker::new(spec);
        let started = Instant::now();
        for good in [false, false, true, false, false] {
            request(&breaker, good).await;
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        request(&breaker, false).await;
        // The third failure in a row: the next request waits for the rest, fails, and the one after waits again.
        request(&breaker, false).await;
        assert_eq!(started.elapsed().as_secs(), 60);
        let (first, second) = (breaker.clone(), breaker.clone());
        tokio::join!(
            async {
                let pass = first.enter().await;
                tokio::time::sleep(Duration::from_secs(5)).await;
                pass.end(Some(true));
            },
            async {
                tokio::time::sleep(Duration::from_secs(61)).await;
                // Only one at a time passes while it is half open.
                request(&second, true).await;
                assert_eq!(started.elapsed().as_secs(), 125);
            }
        );
        assert!(matches!(*breaker.state.lock().unwrap(), State::Closed { failures: 0 }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_given_up_lets_the_next_one_pass() {
        let spec = CircuitBreakerSpec { failure_threshold: 1, reset_timeout_secs: 1, ..CircuitBreakerSpec::default() };
        let breaker = Breaker::new(spec);
        request(&breaker, false).await;
        drop(breaker.enter().await);
        request(&breaker, true).await;
        let off = Breaker::new(CircuitBreakerSpec { enabled: false, ..spec });
        let started = Instant::now();
        for _ in 0..20 {
            request(&off, false).await;
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
