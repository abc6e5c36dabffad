//! Where single HTTP requests to a store go out and their answers come in, below the library's own retries: requests
//! wait for the breaker, silence ends them, and refusals are read into one line ([`Answer`]).
//!
//! Time-outs count silence, not size: an answer that keeps coming may take as long as it takes, and a request that
//! carries a body has time for it ([`super::patience::Patience`]). A line that is too slow carries fewer bodies at once ([`super::lanes::Lanes`]).
//! How many bytes an answer may have is known from what was asked: whatever the store says of its length, no more are read.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use contract::Code;
use contract::names::says_unknown_host;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};
use tokio::time::{Instant, Sleep};

use super::breaker::{Breaker, Pass};
use super::unanswered::{for_now, innermost, nowhere, over, silent, so_far, too_long, unreached};
use super::way::{self, Target, Way};
use crate::answer::{Answer, Asked, RANGE_IGNORED};
use crate::listing;

/// How long a service that hands out identities may take: it is on the machine, or it is not.
const IDENTITY: Duration = Duration::from_secs(2);
/// How long a port may take to show that it speaks TLS.
const GREETING: Duration = Duration::from_secs(5);
/// Most of a refusal that is read.
const REFUSAL: usize = 64 << 10;
/// Most bytes of a page of a list: five thousand names of a thousand characters, with what is said of each, have less.
const PAGE: u64 = 32 << 20;
/// Most bytes of another answer that is no object: what became of parts and removals, identities.
const ANSWER: u64 = 4 << 20;
/// What the query of a request for a list has, by store.
const LISTS: [&str; 3] = ["list-type=", "comp=list", "uploads"];

/// Makes clients whose requests are guarded.
#[derive(Debug)]
pub(super) struct Connector(Breaker, Way);

impl Connector {
    /// Clients of this store whose requests pass this breaker.
    pub(super) fn new(breaker: &Breaker, way: &Way) -> Self {
        Self(breaker.clone(), way.clone())
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let inner = self.1.client(options)?;
        Ok(HttpClient::new(Guarded { breaker: self.0.clone(), way: self.1.clone(), inner }))
    }
}

#[derive(Debug)]
struct Guarded {
    breaker: Breaker,
    way: Way,
    inner: HttpClient,
}

#[async_trait]
impl HttpService for Guarded {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if reqwest::Url::parse(&request.uri().to_string()).is_err() {
            // The library takes for granted that it is one.
            let words = "the address of the request is no URL; correct storage.endpoint".to_owned();
            return Err(over(Code::SpecInvalid, words));
        }
        let patience = self.breaker.patience();
        let carried = request.body().content_length() as u64;
        // Before the breaker: a request that waits for its lane says nothing about the store.
        let _lane = patience.lane(carried).await;
        let pass = self.breaker.enter().await;
        let asked = Request::of(&request);
        let _wait = self.breaker.trouble().request(&asked.to.host);
        let answer = self.send(request, &asked, carried, pass).await;
        let trouble = match &answer {
            Err(error) => Answer::find(&innermost(error)),
            Ok(Err(refusal)) => Some(refusal.clone()).filter(Answer::is_for_now),
            Ok(Ok(_)) => None,
        };
        match trouble {
            Some(why) => self.breaker.trouble().is(&asked.to.host, &why.line()),
            None => self.breaker.trouble().is_over(),
        }
        Ok(answer?.unwrap_or_else(marked))
    }
}

impl Guarded {
    /// Sends a request: a good answer, a refusal that was read, or why there is none.
    async fn send(
        &self,
        request: HttpRequest,
        asked: &Request,
        carried: u64,
        pass: Pass<'_>,
    ) -> Result<Result<HttpResponse, Answer>, HttpError> {
        let patience = self.breaker.patience();
        let limit = if asked.to.is_for_identity { IDENTITY } else { patience.for_body(carried) };
        let started = Instant::now();
        let Ok(answer) = tokio::time::timeout(limit, self.inner.execute(request)).await else {
            if asked.to.is_for_identity {
                pass.end(None);
                return Err(self.no_identity(&asked.to.host));
            }
            let more_time = carried > 0 && patience.note(carried, started.elapsed(), false);
            // A slow line is no failing store.
            pass.end((!more_time).then_some(false));
            return Err(silent(limit, carried));
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let (says_nothing, error) = self.unanswered(asked, &error).await;
                // What says nothing about the store must not make it rest.
                pass.end((!says_nothing).then_some(false));
                return Err(error);
            }
        };
        patience.hosts.reached(&asked.to.host);
        asked.to.proxy.iter().for_each(|proxy| patience.hosts.reached(proxy));
        pass.end(Some(!answer.status().is_server_error()));
        if carried > 0 {
            patience.note(carried, started.elapsed(), true);
        }
        if answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED {
            return Ok(Ok(asked.accept(answer, patience.silence)));
        }
        Ok(Err(asked.refuse(answer, patience.silence, &self.way).await))
    }

    /// What it means that no answer came; and whether it says nothing about the store.
    async fn unanswered(&self, asked: &Request, error: &HttpError) -> (bool, HttpError) {
        let (words, hosts) = (innermost(error), &self.breaker.patience().hosts);
        if asked.to.is_for_identity {
            return (true, self.no_identity(&asked.to.host));
        }
        if let Some(proxy) = &asked.to.proxy
            && (error.kind() == HttpErrorKind::Connect || words.contains("proxy"))
            && way::tls(&asked.to.host, &words).is_none()
        {
            let text = way::at_proxy(proxy, &asked.to.host, &words);
            let is_believed = hosts.failed(proxy);
            let code = Code::StoreProxyFailed;
            return (true, if is_believed { over(code, text) } else { so_far(code, text) });
        }
        if error.kind() == HttpErrorKind::Connect && says_unknown_host(&words) {
            return (true, nowhere(&asked.to.host, hosts.unknown(&asked.to.host)));
        }
        let mut wrong = way::tls(&asked.to.host, &words);
        if wrong.is_none() && !asked.to.is_encrypted && (way::shows_tls(&words) || self.speaks_tls(asked, error).await)
        {
            wrong = Some(way::wants_tls(&asked.to.host));
        }
        match wrong {
            // It did fit before: what changed there may change back.
            Some(text) if hosts.was_reached(&asked.to.host) => (false, for_now(text)),
            Some(text) => (true, over(Code::StoreTlsFailed, text)),
            None => (false, unreached(error, &way::plain(&words), Some(&asked.to.authority))),
        }
    }

    /// Whether a port that hung up on a plain request speaks TLS. It is asked without credentials.
    async fn speaks_tls(&self, asked: &Request, error: &HttpError) -> bool {
        if error.kind() == HttpErrorKind::Connect || self.breaker.patience().hosts.was_reached(&asked.to.host) {
            return false;
        }
        let mut greeting = HttpRequest::new(HttpRequestBody::empty());
        let Ok(uri) = format!("https://{}/", asked.to.authority).parse() else { return false };
        *greeting.uri_mut() = uri;
        match tokio::time::timeout(GREETING, self.inner.execute(greeting)).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => way::shows_certificate(&innermost(&error)),
            Err(_) => false,
        }
    }

    /// Whoever hands out identities is not there.
    fn no_identity(&self, host: &str) -> HttpError {
        let text = self.way.no_credentials(host, "does not answer");
        if self.breaker.patience().hosts.failed(host) {
            over(Code::StoreDenied, text)
        } else {
            so_far(Code::StoreDenied, text)
        }
    }
}

/// What of a request bears on its answer.
#[allow(clippy::struct_excessive_bools)] // What is known of a request, each by itself.
struct Request {
    conditional: bool,
    ranged: bool,
    part: bool,
    date: Option<String>,
    /// Most bytes of a good answer.
    most: u64,
    /// Whether the answer is a page of a list.
    lists: bool,
    to: Target,
}

impl Request {
    fn of(request: &HttpRequest) -> Self {
        let headers = request.headers();
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let to = Target::of(request.uri());
        Self {
            most: most(request, &to),
            lists: is_list(request),
            conditional: request.method() == Method::PUT
                && (headers.contains_key("if-none-match") || headers.contains_key("x-goog-if-generation-match")),
            ranged: headers.contains_key("range") || headers.contains_key("x-ms-range"),
            part: request.uri().query().is_some_and(|query| query.contains("partNumber=")),
            to,
            date: text("x-amz-date").or_else(|| text("x-ms-date")).or_else(|| text("date")),
        }
    }

    /// A good answer as the library takes it.
    fn accept(&self, answer: HttpResponse, silence: Duration) -> HttpResponse {
        let (mut parts, body) = answer.into_parts();
        if self.ranged && parts.status == StatusCode::OK {
            return marked(Answer { status: 200, code: RANGE_IGNORED.into(), ..Answer::default() });
        }
        // Some stores send none; only parts need theirs.
        if !self.part && !parts.headers.contains_key("etag") {
            parts.headers.insert("etag", HeaderValue::from_static("\"none\""));
        }
        HttpResponse::from_parts(
            parts,
            HttpResponseBody::new(Awake { lists: self.lists, ..Awake::new(body, silence, self.most) }),
        )
    }

    /// A refusal, read.
    async fn refuse(&self, answer: HttpResponse, silence: Duration, way: &Way) -> Answer {
        let (parts, body) = answer.into_parts();
        let length = |headers: &HeaderMap| headers.get("content-length")?.to_str().ok()?.parse::<usize>().ok();
        // Refusals are short; what came of one that was cut is enough.
        let text = match length(&parts.headers) {
            Some(length) if length > REFUSAL => Vec::new(),
            _ => beginning(Awake::new(body, silence, REFUSAL as u64)).await,
        };
        let status = parts.status.as_u16();
        if self.to.is_for_identity && parts.status.is_client_error() && status != 429 {
            let words = way.no_credentials(&self.to.host, &format!("answers {status}"));
            return Answer { status, ..Answer::found(Code::StoreDenied, words) };
        }
        if !self.to.is_encrypted && status == 400 && way::shows_tls(&String::from_utf8_lossy(&text)) {
            let words = way::wants_tls(&self.to.host);
            return Answer { status, ..Answer::found(Code::StoreTlsFailed, words) };
        }
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let asked = Asked { conditional: self.conditional, date: self.date.as_deref() };
        Answer::read(asked, status, header, &text)
    }
}

/// Most bytes of a good answer to a request. Whoever reads an object counts what comes of it: the library would ask again for what is
/// cut off here.
fn most(request: &HttpRequest, to: &Target) -> u64 {
    if is_list(request) {
        PAGE
    } else if request.method() == Method::GET && !to.is_for_identity {
        u64::MAX
    } else {
        ANSWER
    }
}

fn is_list(request: &HttpRequest) -> bool {
    let query = request.uri().query().unwrap_or_default();
    LISTS.iter().any(|list| query.contains(list))
}

/// What comes of a body before it ends or fails, or is longer than it may be.
async fn beginning(mut body: Awake) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        if let Some(data) = frame.data_ref() {
            out.extend_from_slice(data);
        }
    }
    out
}

fn marked(answer: Answer) -> HttpResponse {
    let status = answer.library_status();
    let mut response = HttpResponse::new(HttpResponseBody::from(answer.mark()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    response
}

/// A body that fails when nothing of it comes for a while, or more than it may have.
struct Awake {
    inner: HttpResponseBody,
    silence: Duration,
    timer: Pin<Box<Sleep>>,
    /// Bytes that it may have in all, and those that may still come.
    most: u64,
    left: u64,
    /// Whether it is a page of a list: all pages of one have a bound as well.
    lists: bool,
}

impl Awake {
    fn new(inner: HttpResponseBody, silence: Duration, most: u64) -> Self {
        Self { inner, silence, timer: Box::pin(tokio::time::sleep(silence)), most, left: most, lists: false }
    }

    /// Takes a piece, if it may still come.
    fn take(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, HttpError> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        if self.lists && !listing::take(length) {
            return Err(over(Code::StoreRefused, listing::no_room()));
        }
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Ok(frame)
            }
            None => Err(too_long(self.most)),
        }
    }
}

impl Body for Awake {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(frame) = polled {
            let next = Instant::now() + self.silence;
            self.timer.as_mut().reset(next);
            let taken = frame.map(|frame| match frame {
                Ok(frame) => self.take(frame),
                Err(error) => Err(unreached(&error, &way::plain(&innermost(&error)), None)),
            });
            return Poll::Ready(taken);
        }
        match self.timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(silent(self.silence, 0)))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
