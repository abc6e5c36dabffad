//! Answers over a small HTTP server in this process.

use std::time::Duration;

use contract::{CircuitBreakerSpec, Code};

use super::*;

/// A way to a store whose name DNS learns after a while, and forgets again.
#[derive(Debug)]
struct Dns {
    known: std::ops::Range<u64>,
    begun: Instant,
}

#[async_trait]
impl HttpService for Dns {
    async fn call(&self, _: HttpRequest) -> Result<HttpResponse, HttpError> {
        if self.known.contains(&self.begun.elapsed().as_secs()) {
            return Ok(HttpResponse::new(HttpResponseBody::from(String::new())));
        }
        let words = "failed to lookup address information: Name or service not known";
        Err(HttpError::new(HttpErrorKind::Connect, std::io::Error::other(words)))
    }
}

/// Asks each second until it is answered or told not to ask again; what came of it, and after how many seconds.
async fn ask(guarded: &Guarded, seconds: u64) -> (u64, Option<HttpError>) {
    let begun = Instant::now();
    loop {
        let mut request = HttpRequest::new(object_store::client::HttpRequestBody::empty());
        *request.uri_mut() = "https://b.s3.eu-wset-1.example/x".parse().unwrap();
        let answer = guarded.call(request).await;
        let elapsed = begun.elapsed().as_secs();
        match answer {
            Ok(_) => return (elapsed, None),
            Err(error) if error.kind() == HttpErrorKind::Unknown || elapsed >= seconds => {
                return (elapsed, Some(error));
            }
            Err(error) => assert_eq!(error.kind(), HttpErrorKind::Connect, "{error}"),
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn guarded(known: std::ops::Range<u64>) -> Guarded {
    let dns = Dns { known, begun: Instant::now() };
    Guarded { breaker: Breaker::new(CircuitBreakerSpec::default()), way: Way::default(), inner: HttpClient::new(dns) }
}

#[tokio::test(start_paused = true)]
async fn a_store_whose_name_nobody_knows_for_a_minute_ends_the_run() {
    let (after, error) = ask(&guarded(0..0), 300).await;
    assert_eq!(after, 60);
    let answer = Answer::find(&innermost(&error.unwrap())).unwrap();
    assert_eq!(answer.class(), Code::StoreNameUnknown);
    assert!(answer.line().starts_with("DNS knows no host b.s3.eu-wset-1.example, for 60 s; "), "{}", answer.line());
    assert!(ask(&guarded(50..100), 300).await.1.is_none(), "a name may be given late");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_known_once_may_be_forgotten_for_longer() {
    let guarded = guarded(0..10);
    assert!(ask(&guarded, 300).await.1.is_none());
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (after, error) = ask(&guarded, 200).await;
    assert_eq!(after, 200);
    let answer = Answer::find(&innermost(&error.unwrap())).unwrap();
    assert_eq!(
        (answer.class(), answer.line().as_str()),
        (
            Code::StoreUnreachable,
            "DNS knows no host b.s3.eu-wset-1.example; correct storage.endpoint, storage.region or the name of the bucket or account"
        )
    );
}
