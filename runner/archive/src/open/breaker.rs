//! The circuit breaker before an object store: it stands where single HTTP requests go out, below the library's own
//! retries, and holds them back while the store rests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use contract::CircuitBreakerSpec;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::{ClientOptions, RetryConfig};
use tokio::sync::Notify;
use tokio::time::Instant;

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
}

/// A request that passed; says how it ended, or nothing when it was given up.
struct Pass<'a> {
    breaker: &'a Breaker,
    good: Option<bool>,
}

impl Breaker {
    pub(super) fn new(spec: CircuitBreakerSpec) -> Self {
        Self { spec, state: Arc::new(Mutex::new(State::Closed { failures: 0 })), changed: Arc::default() }
    }

    /// Options of HTTP clients behind this breaker.
    pub(super) fn client_options(&self, allow_http: bool) -> ClientOptions {
        let timeout = Duration::from_millis(self.spec.operation_timeout_ms);
        ClientOptions::new().with_timeout(timeout).with_allow_http(allow_http)
    }

    /// How long the library tries a request again.
    pub(super) fn retries(&self) -> RetryConfig {
        let rests = Duration::from_secs(self.spec.reset_timeout_secs) * 2 + AFTER_RESTS;
        let retry_timeout = if self.spec.enabled { rests.max(GIVE_UP) } else { GIVE_UP };
        RetryConfig { retry_timeout, max_retries: 50, ..RetryConfig::default() }
    }

    /// Makes clients whose requests pass this breaker.
    pub(super) fn connector(&self) -> impl HttpConnector {
        Connector(self.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn enter(&self) -> Pass<'_> {
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

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.breaker.spec.enabled {
            self.breaker.leave(self.good);
        }
    }
}

#[derive(Debug)]
struct Connector(Breaker);

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Guarded { breaker: self.0.clone(), inner }))
    }
}

#[derive(Debug)]
struct Guarded {
    breaker: Breaker,
    inner: HttpClient,
}

#[async_trait]
impl HttpService for Guarded {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut pass = self.breaker.enter().await;
        let answer = self.inner.execute(request).await;
        pass.good = Some(answer.as_ref().is_ok_and(|answer| !answer.status().is_server_error()));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn request(breaker: &Breaker, good: bool) {
        let mut pass = breaker.enter().await;
        pass.good = Some(good);
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
                let mut pass = first.enter().await;
                tokio::time::sleep(Duration::from_secs(5)).await;
                pass.good = Some(true);
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
