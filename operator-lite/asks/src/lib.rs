//! A client of the Kubernetes API whose plain requests have a limit of time. What streams has none: it may be silent for as
//! long as it likes.

use std::time::Duration;

use http::{Request, Response, header};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;

/// A client that gives each plain request `most` time, its answer included. `by` says who set it.
#[must_use]
pub fn limited(client: Client, most: Duration, by: &'static str) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            if streams(&request) {
                return client.send(request).await;
            }
            tokio::time::timeout(most, whole(&client, request)).await.unwrap_or_else(|_| Err(late(most, by)))
        }
    });
    Client::new(service, namespace)
}

/// Sends, and reads all of the answer.
async fn whole(client: &Client, request: Request<Body>) -> kube::Result<Response<Body>> {
    let (head, body) = client.send(request).await?.into_parts();
    Ok(Response::from_parts(head, Body::from(body.collect().await?.to_bytes().to_vec())))
}

/// Whether the answer may take for ever: logs, watches, and connections that become something else.
fn streams<T>(request: &Request<T>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.headers().contains_key(header::UPGRADE)
        || request.uri().path().ends_with("/log")
        || query.split('&').any(|part| matches!(part, "watch=true" | "watch=1" | "follow=true"))
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
}
