//! A client that tells of each request on standard error, as kubectl does with `-v=6`: method, address, answer and time.
//! It never tells what a request or an answer holds.

use http::Request;
use kube::Client;
use kube::client::Body;
use tokio::time::Instant;

/// The level from which on requests are told.
pub(crate) const REQUESTS: u8 = 6;

/// A client that hands each line about a request to `tell`.
pub(crate) fn told(client: Client, tell: impl Fn(String) + Clone + Send + Sync + 'static) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (client, tell) = (client.clone(), tell.clone());
        async move {
            let (line, begun) = (format!("{} {}", request.method(), request.uri()), Instant::now());
            let answer = client.send(request).await;
            let end = match &answer {
                Ok(answer) => answer.status().to_string(),
                Err(error) => error.to_string(),
            };
            tell(format!("{line} {end} in {} ms", begun.elapsed().as_millis()));
            answer
        }
    });
    Client::new(service, namespace)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use http::Response;

    use super::*;

    #[tokio::test]
    async fn a_request_is_told_without_what_it_holds() {
        let server = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, std::io::Error>(Response::builder().status(404).body(Body::from(b"secret".to_vec())).unwrap())
        });
        let lines: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = Arc::clone(&lines);
        let client = told(Client::new(server, "shop"), move |line| kept.lock().unwrap().push(line));
        let asked = Request::get("/api/v1/pods?limit=500").header("authorization", "Bearer t").body(Body::empty());
        client.send(asked.unwrap()).await.unwrap();
        let lines = lines.lock().unwrap().clone();
        assert!(lines.len() == 1 && lines[0].starts_with("GET /api/v1/pods?limit=500 404 Not Found in "), "{lines:?}");
    }
}
