//! Connections to an HTTP listener: few at once, and none for long. Whoever connects and says nothing costs a program neither
//! memory nor file handles, and does not keep others out for longer than a visit may take.
//!
//! What it never does: reading requests. It gives `axum` its connections, of TCP or of TLS, and takes them back when their
//! time is over. Who may stay longer, whoever reads the request says ([`Stay`]).

use std::io::{Error, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::http::{HeaderName, header};
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Connections of scrapes and probes that are served at once; others wait in the system's queue.
pub const PROBES: usize = 32;
/// How long such a connection is served at most. Answers ask to [`CLOSE`] it, so that a scrape has one of its own.
pub const PROBE: Duration = Duration::from_secs(10);
/// The header of an answer that asks for a connection of its own each time.
pub const CLOSE: (HeaderName, &str) = (header::CONNECTION, "close");

/// Most bytes of the head of a connection's first request: an HTTP library keeps ten times as much of one that does not end.
const LARGEST_HEAD: usize = 32 << 10;
/// The end of a head (RFC 9112, section 2.1).
const END: &[u8; 4] = b"\r\n\r\n";

/// A listener with room for so many connections.
#[derive(Debug)]
pub struct Bounded<L> {
    listener: L,
    room: Arc<Semaphore>,
    visit: Duration,
}

impl<L> Bounded<L> {
    /// Serves at most so many connections of a listener at once, and each at most so long.
    #[must_use]
    pub fn new(listener: L, visitors: usize, visit: Duration) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(visitors)), visit }
    }
}

impl<L: Listener> Listener for Bounded<L>
where
    L::Io: Unpin,
{
    type Io = Visit<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Nobody closes the semaphore.
        let place = Arc::clone(&self.room).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        let head = Head { left: LARGEST_HEAD, seen: 0 };
        (Visit { stream, end: Box::pin(sleep(self.visit)), stay: Stay::default(), head, _place: place }, address)
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// One connection, which breaks when its time is over.
#[derive(Debug)]
pub struct Visit<S> {
    stream: S,
    end: Pin<Box<Sleep>>,
    stay: Stay,
    head: Head,
    _place: Option<OwnedSemaphorePermit>,
}

/// Whether a visit may take as long as it takes: for whoever has shown who they are, and is answered for longer than a scrape.
/// Requests get it as `ConnectInfo<Stay>`.
#[derive(Debug, Clone, Default)]
pub struct Stay(Arc<AtomicBool>);

impl Stay {
    /// Lets the visit go on for as long as it takes.
    pub fn longer(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn is_given(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<L: Listener> Connected<IncomingStream<'_, Bounded<L>>> for Stay
where
    L::Io: Unpin,
{
    fn connect_info(stream: IncomingStream<'_, Bounded<L>>) -> Self {
        stream.io().stay.clone()
    }
}

/// The head of the first request, as it comes.
#[derive(Debug)]
struct Head {
    /// Bytes that may still come.
    left: usize,
    /// Bytes of its end that came.
    seen: usize,
}

impl Head {
    /// Takes what came; whether the head is not too long.
    fn take(&mut self, bytes: &[u8]) -> bool {
        for byte in bytes {
            let Some(next) = END.get(self.seen) else { return true };
            if self.left == 0 {
                return false;
            }
            self.left -= 1;
            self.seen = if byte == next { self.seen + 1 } else { usize::from(*byte == b'\r') };
        }
        true
    }
}

impl<S: Unpin> Visit<S> {
    fn unless_over<T>(
        &mut self,
        cx: &mut Context<'_>,
        work: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<std::io::Result<T>>,
    ) -> Poll<std::io::Result<T>> {
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) if self.stay.is_given() => work(Pin::new(&mut self.stream), cx),
            Poll::Ready(()) => Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "the visit took too long"))),
            Poll::Pending => work(Pin::new(&mut self.stream), cx),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Visit<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = into.filled().len();
        let read = self.unless_over(cx, |stream, cx| stream.poll_read(cx, into));
        if self.head.take(into.filled().get(before..).unwrap_or_default()) {
            return read;
        }
        Poll::Ready(Err(Error::new(ErrorKind::InvalidData, "the head of the request is too long")))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Visit<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        self.unless_over(cx, |stream, cx| stream.poll_write(cx, data))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.unless_over(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use axum::Router;
    use axum::extract::ConnectInfo;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn who_says_nothing_keeps_nobody_out_for_long() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bounded = Bounded::new(listener, 2, Duration::from_millis(300));
        let room = Arc::clone(&bounded.room);
        let routes = Router::new().route("/healthz", get(|| std::future::ready("alive\n")));
        tokio::spawn(async move { axum::serve(bounded, routes).await });
        let mut silent = Vec::new();
        for _ in 0..5 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let mut probe = TcpStream::connect(address).await.unwrap();
        probe.write_all(b"GET /healthz HTTP/1.1\r\nHost: run\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(Duration::from_secs(20), probe.read_to_string(&mut answer));
        read.await.unwrap().unwrap();
        assert!(answer.ends_with("alive\n"), "{answer}");
        assert!(room.available_permits() <= 2);
        // Each of the silent ones was let go.
        for stream in &mut silent {
            let mut byte = [0];
            let end = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut byte)).await.unwrap();
            assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
        }
    }

    #[tokio::test]
    async fn who_may_stay_is_answered_for_longer_than_a_visit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bounded = Bounded::new(listener, 2, Duration::from_millis(300));
        let slowly = |stays: bool| {
            move |ConnectInfo(stay): ConnectInfo<Stay>| async move {
                if stays {
                    stay.longer();
                }
                sleep(Duration::from_millis(900)).await;
                "late\n"
            }
        };
        let routes = Router::new().route("/stay", get(slowly(true))).route("/leave", get(slowly(false)));
        tokio::spawn(async move { axum::serve(bounded, routes.into_make_service_with_connect_info::<Stay>()).await });
        for (path, is_answered) in [("stay", true), ("leave", false)] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let head = format!("GET /{path} HTTP/1.1\r\nHost: run\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            drop(tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap());
            assert_eq!(answer.ends_with(b"late\n"), is_answered, "{path}");
        }
    }

    #[test]
    fn a_head_ends_where_it_ends() {
        let takes = |left, parts: &[&str]| {
            let mut head = Head { left, seen: 0 };
            parts.iter().all(|part| head.take(part.as_bytes()))
        };
        assert!(takes(10, &["GET\r", "\n\r\n", "a body of any length"]));
        assert!(takes(7, &["GET", "\r\n\r\n"]) && !takes(6, &["GET", "\r\n\r\n"]));
        assert!(takes(9, &["a\r\r\n\r\n", "more than nine"]), "its end begins again");
        assert!(!takes(9, &["a\r\n\r", "b", "cdefg"]));
    }

    #[tokio::test]
    async fn a_head_that_does_not_end_is_not_kept() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bounded = Bounded::new(listener, 2, Duration::from_secs(60));
        let routes = Router::new().route("/healthz", get(|| std::future::ready("alive\n")));
        tokio::spawn(async move { axum::serve(bounded, routes).await });
        for (length, is_answered) in [(LARGEST_HEAD / 2, true), (LARGEST_HEAD * 2, false)] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let long = "x".repeat(length);
            let head = format!("GET /healthz HTTP/1.1\r\nHost: run\r\nConnection: close\r\nX: {long}\r\n\r\n");
            // The other end may be closed before all is sent.
            drop(stream.write_all(head.as_bytes()).await);
            let mut answer = Vec::new();
            let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.unwrap();
            drop(read);
            assert_eq!(answer.ends_with(b"alive\n"), is_answered, "{length}: {}", String::from_utf8_lossy(&answer));
        }
    }
}
