//! `inspect`: answering questions about one backup, or checking the connections of one run, for whoever holds the token, on
//! the pod's own loopback. Brokers are asked only in the pod of somebody who may compare.
//!
//! What records hold goes to the one who asks and nowhere else: neither questions nor answers are logged.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use archive::{Point, Store};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use contract::{CircuitBreakerSpec, Code, ExitCode, Failure, INSPECT_PORT, InspectSpec};
use futures::future::BoxFuture;
use futures::stream::unfold;
use inspect::{Answer, Question, Replies};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use visits::{Bounded, CLOSE, PROBE, Stay};

use super::now;
use crate::context::Context;
use crate::diff::{Asked, live};
use crate::{checks, connect, spec_file};

/// Most bytes of a question.
const LARGEST: usize = 64 << 10;
/// Connections at once. Whoever has not shown the token has no more time than a scrape for all of a question; whoever has is
/// answered for as long as it takes.
const VISITORS: usize = 16;
/// Answers that are on their way.
const ON_THE_WAY: usize = 64;
/// Silence after which an empty line is sent: whatever forwards the answers, and whoever waits for them, knows that they go on.
const SILENCE: Duration = Duration::from_secs(15);

#[derive(Clone)]
struct Desk {
    /// `None` where connections are checked: a store that does not open is something to tell.
    store: Option<Store>,
    context: Context,
    spec: Arc<InspectSpec>,
    /// When somebody last asked, or was answered.
    busy: watch::Sender<Instant>,
}

/// Answers until nobody has asked for a while, or the run is told to stop.
pub(crate) async fn serve(context: &Context, file: &std::path::Path) -> Result<ExitCode, Failure> {
    let spec = read(file)?;
    let store = match &spec.check {
        Some(_) => None,
        None => Some(opened(context, &spec).await?),
    };
    let idle = Duration::from_secs(spec.idle_secs);
    let (busy, watched) = watch::channel(Instant::now());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, INSPECT_PORT)).await;
    let listener = listener.map_err(|error| {
        Failure::new(Code::Internal, format!("port {INSPECT_PORT}: {}", contract::words::of_system(&error)))
    })?;
    tracing::warn!(backup = spec.name, records = spec.records, "answering questions");
    let desk = Desk { store, context: context.clone(), spec: Arc::new(spec), busy };
    let routes = Router::new()
        .route("/ask", post(ask))
        .route("/check", post(check))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(desk)
        .into_make_service_with_connect_info::<Stay>();
    let listener = Bounded::new(listener, VISITORS, PROBE);
    let cancel = context.cancel.clone();
    tokio::select! {
        result = axum::serve(listener, routes).into_future() => {
            result.map_err(|error| Failure::new(Code::Internal, format!("questions are no longer taken: {error}")))?;
        }
        () = silence(watched, idle) => tracing::warn!("nobody asks any more"),
        () = cancel.cancelled() => {}
    }
    Ok(ExitCode::Done)
}

/// The store, unless the run is told to stop before it answers.
async fn opened(context: &Context, spec: &InspectSpec) -> Result<Store, Failure> {
    let breaker = CircuitBreakerSpec::default();
    tokio::select! {
        biased;
        () = context.cancel.cancelled() => {
            Err(Failure::new(Code::Interrupted, "stopped on request before the store answered"))
        }
        store = connect::open(context, &spec.storage, &breaker) => store,
    }
}

fn read(file: &std::path::Path) -> Result<InspectSpec, Failure> {
    let unreadable =
        |error: &dyn std::fmt::Display| Failure::new(Code::SpecUnreadable, format!("{}: {error}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(&contract::words::of_system(&error)))?;
    let spec: InspectSpec = serde_json::from_str(&text).map_err(|error| unreadable(&error))?;
    match spec.finding() {
        Some(finding) => return Err(Failure::new(Code::SpecInvalid, finding)),
        None => spec_file::check_environment([("storage", &spec.storage)].into_iter(), &spec.allowed_endpoints)?,
    }
    if let Some(run) = &spec.check {
        spec_file::check_environment(run.stores(), &run.allowed_endpoints)?;
    }
    Ok(spec)
}

async fn silence(busy: watch::Receiver<Instant>, idle: Duration) {
    loop {
        let until = *busy.borrow() + idle;
        if Instant::now() >= until {
            return;
        }
        tokio::time::sleep_until(until).await;
    }
}

/// Whether the token is that of the one for whom this pod was made, who then may stay.
fn refused(desk: &Desk, stay: &Stay, headers: &HeaderMap) -> Option<Response> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    // Digests are compared in constant time.
    let known = blake3::Hash::from_hex(&desk.spec.token_digest).ok();
    if token.is_none_or(|token| Some(blake3::hash(token.as_bytes())) != known) {
        return Some((StatusCode::UNAUTHORIZED, [CLOSE], "this pod answers to another token").into_response());
    }
    stay.longer();
    desk.busy.send_replace(Instant::now());
    None
}

async fn check(State(desk): State<Desk>, ConnectInfo(stay): ConnectInfo<Stay>, headers: HeaderMap) -> Response {
    if let Some(refused) = refused(&desk, &stay, &headers) {
        return refused;
    }
    let Some(run) = desk.spec.check.clone() else {
        return (StatusCode::FORBIDDEN, "this inspection was made to look into an archive").into_response();
    };
    let (sender, lines) = mpsc::unbounded_channel();
    let context = desk.context.clone();
    let handle = tokio::runtime::Handle::current();
    // It has a thread of its own: its futures borrow from one another, and stay on it.
    tokio::task::spawn_blocking(move || handle.block_on(Box::pin(checks::all(&context, &run, &sender))));
    stream(lines, desk.busy, |lines| Box::pin(lines.recv()))
}

async fn ask(
    State(desk): State<Desk>,
    ConnectInfo(stay): ConnectInfo<Stay>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refused) = refused(&desk, &stay, &headers) {
        return refused;
    }
    let question: Question = match serde_json::from_slice(&body) {
        Ok(question) => question,
        Err(error) => return (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    let Some(store) = desk.store.clone() else {
        return (StatusCode::FORBIDDEN, "this inspection was made to check connections").into_response();
    };
    if question.shows_records() && !desk.spec.records {
        return (StatusCode::FORBIDDEN, "this inspection was made without the right to see records").into_response();
    }
    let Some(question) = question.confined_to(&desk.spec.name) else {
        let text = format!("this inspection is for backup {:?} only", desk.spec.name);
        return (StatusCode::FORBIDDEN, text).into_response();
    };
    match question {
        Question::GroupsNow { include, .. } => return compare(desk, include),
        Question::Live { name, include } => return differ(desk, store, name, include),
        // The others are answered from the store alone.
        _ => {}
    }
    let (sender, answers) = mpsc::channel(ON_THE_WAY);
    let spec = Arc::clone(&desk.spec);
    tokio::spawn(async move { inspect::ask(&store, &question, spec.owner.as_ref(), Replies::new(sender)).await });
    stream(answers, desk.busy, |answers| Box::pin(answers.recv()))
}

/// Where groups stand now, for whoever may know it.
fn compare(desk: Desk, include: Vec<String>) -> Response {
    let Some(run) = desk.spec.source.clone().filter(|_| !desk.spec.reads_source) else {
        return (StatusCode::FORBIDDEN, "this inspection was made without the right to compare").into_response();
    };
    by_itself(desk, async move |context, replies| now::groups(context, &run, &include, replies).await)
}

/// How the source differs from a recovery point now, for whoever may know it.
fn differ(desk: Desk, store: Store, name: String, include: Vec<String>) -> Response {
    let Some(run) = desk.spec.source.clone().filter(|_| desk.spec.reads_source) else {
        return (StatusCode::FORBIDDEN, "this inspection was made without the right to diff").into_response();
    };
    let owner = desk.spec.owner.clone();
    by_itself(desk, async move |context, replies| {
        let (layout, seal) = inspect::owned(&store, &name, owner.as_ref()).await?;
        let point = Point::load(&store, &layout, seal).await?;
        live(context, &Asked { point: &point, run: &run, include: &include }, replies).await
    })
}

/// Answers from work that asks brokers. As for a check: its futures stay on one thread.
fn by_itself(
    desk: Desk,
    work: impl AsyncFnOnce(&Context, &mut Replies) -> Result<(), Failure> + Send + 'static,
) -> Response {
    let (sender, answers) = mpsc::channel(ON_THE_WAY);
    let (context, handle) = (desk.context, tokio::runtime::Handle::current());
    tokio::task::spawn_blocking(move || {
        handle.block_on(Box::pin(async {
            let mut replies = Replies::new(sender);
            if let Err(failure) = work(&context, &mut replies).await {
                drop(replies.send(Answer::Failed(failure)).await);
            }
        }));
    });
    stream(answers, desk.busy, |answers| Box::pin(answers.recv()))
}

/// Answers as they come, a line each. One that cannot be written ends the connection: whoever asked sees that the rest is
/// missing.
fn stream<R: Send + 'static, T: serde::Serialize>(
    answers: R,
    busy: watch::Sender<Instant>,
    next: impl Fn(&mut R) -> BoxFuture<'_, Option<T>> + Copy + Send + 'static,
) -> Response {
    let lines = unfold((answers, busy), move |(mut answers, busy)| async move {
        let answer = tokio::time::timeout(SILENCE, next(&mut answers)).await;
        busy.send_replace(Instant::now());
        let line = match answer {
            Ok(answer) => line(&answer?),
            Err(_) => Ok(Bytes::from_static(b"\n")),
        };
        Some((line, (answers, busy)))
    });
    ([(header::CONTENT_TYPE, "application/jsonl")], Body::from_stream(lines)).into_response()
}

fn line<T: serde::Serialize>(answer: &T) -> Result<Bytes, serde_json::Error> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    Ok(text.into())
}
