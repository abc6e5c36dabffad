//! A client of the Kubernetes API whose plain requests have a limit of time, and whose answers may have one of memory. What
//! streams has none: it may be silent for as long as it likes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of an answer that are always read: some hundred answers of this size take little.
const SMALL: usize = 64 << 10;
/// Answers that are larger and are held at once.
const LARGE_AT_ONCE: usize = 2;
/// Most bytes of an answer: a page of four of the largest objects has less.
const LARGEST: usize = 64 << 20;

/// A client that gives each plain request `most` time, its answer included. `by` says who set it.
#[must_use]
pub fn limited(client: Client, most: Duration, by: &'static str) -> Client {
    with(client, most, by, None)
}

/// The same for a program that asks much at once and has little memory: few large answers are held at once, and none above
/// 64 MiB is read. Others decide how large the objects are that it asks for.
#[must_use]
pub fn sparing(client: Client, most: Duration, by: &'static str) -> Client {
    with(client, most, by, Some(Arc::new(Semaphore::new(LARGE_AT_ONCE))))
}

fn with(client: Client, most: Duration, by: &'static str, room: Option<Arc<Semaphore>>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, room) = (client.clone(), room.clone());
        async move {
            if streams(&request) {
                return client.send(request).await;
            }
            let answer = whole(&client, request, room.as_ref());
            // It becomes an error that names the limit.
            tokio::time::timeout(most, answer).await.unwrap_or_else(|_| Err(late(most, by)))
        }
    });
    Client::new(service, namespace)
}

/// Sends, and reads all of the answer.
async fn whole(client: &Client, request: Request<Body>, room: Option<&Arc<Semaphore>>) -> kube::Result<Response<Body>> {
    let (head, mut body) = client.send(request).await?.into_parts();
    let Some(room) = room else {
        return Ok(Response::from_parts(head, Body::from(body.collect().await?.to_bytes())));
    };
    let (mut bytes, mut turn) = (Vec::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > LARGEST {
            return Err(too_large());
        }
        if length > SMALL && turn.is_none() {
            // Nobody closes the semaphore.
            turn = Arc::clone(room).acquire_owned().await.ok();
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Response::from_parts(head, Body::from(Bytes::from_owner(Held { bytes, _turn: turn }))))
}

/// An answer, and the room that it takes for as long as it is there.
struct Held {
    bytes: Vec<u8>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether the answer may take for ever: logs, watches, and connections that become something else.
fn streams<T>(request: &Request<T>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.headers().contains_key(header::UPGRADE)
        || request.uri().path().ends_with("/log")
        || query.split('&').any(|part| matches!(part, "watch=true" | "watch=1" | "follow=true"))
}

fn too_large() -> kube::Error {
    let text = format!("the API server's answer has more than {} MiB, which is the most that is read", LARGEST >> 20);
    kube::Error::Service(text.into())
}

fn late(most: Duration, by: &str) -> kube::Error {
    let text = format!("the API server has not answered within {}s ({by})", most.as_secs_f64());
    kube::Error::Service(text.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_streams_has_no_limit() {
        let request = |path: &str| Request::get(path).body(()).unwrap();
        for path in ["/api/v1/namespaces/a/pods/p/log?follow=true", "/apis/g/v1/things?limit=1&watch=true"] {
            assert!(streams(&request(path)), "{path}");
        }
        assert!(!streams(&request("/apis/g/v1/things?limit=500&labelSelector=watch")));
        let forward = Request::get("/api/v1/namespaces/a/pods/p/portforward").header(header::UPGRADE, "websocket");
        assert!(streams(&forward.body(()).unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_plain_request_ends_and_a_log_goes_on() {
        let silent = tower::service_fn(|_: Request<Body>| async {
            tokio::time::sleep(Duration::from_secs(100)).await;
            Ok::<_, std::io::Error>(Response::new(Body::from(b"late".to_vec())))
        });
        let client = limited(Client::new(silent, "shop"), Duration::from_secs(30), "--request-timeout");
        let ask = async |path: &str| client.send(Request::get(path).body(Body::empty()).unwrap()).await;
        let error = ask("/api/v1/pods").await.unwrap_err().to_string();
        assert!(error.contains("within 30s (--request-timeout)"), "{error}");
        assert!(ask("/api/v1/namespaces/a/pods/p/log").await.is_ok());
    }

    /// However many large answers come at once, few are held; small ones never wait for them.
    #[tokio::test(start_paused = true)]
    async fn few_large_answers_are_held_at_once() {
        let server = tower::service_fn(|request: Request<Body>| async move {
            let length = if request.uri().path().ends_with("large") { 1 << 20 } else { SMALL / 2 };
            Ok::<_, std::io::Error>(Response::new(Body::from(vec![b'x'; length])))
        });
        let client = sparing(Client::new(server, "shop"), Duration::from_secs(30), "a limit");
        let ask = async |path: &str| client.send(Request::get(path).body(Body::empty()).unwrap()).await;
        let (one, two) = (ask("/large").await.unwrap(), ask("/large").await.unwrap());
        for _ in 0..100 {
            assert!(ask("/small").await.is_ok());
        }
        let late = ask("/large").await.unwrap_err().to_string();
        assert!(late.contains("within 30s"), "{late}");
        drop(one);
        assert_eq!(ask("/large").await.unwrap().into_body().collect_bytes().await.unwrap().len(), 1 << 20);
        drop(two);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_end_is_not_read() {
        let server = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, std::io::Error>(Response::new(Body::from(vec![b'x'; LARGEST + 1])))
        });
        let client = sparing(Client::new(server, "shop"), Duration::from_secs(30), "a limit");
        let error = client.send(Request::get("/pods").body(Body::empty()).unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("more than 64 MiB"), "{error}");
    }
}
