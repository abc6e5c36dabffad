//! One POST to a service that somebody else runs: where it may go, how long it may take, and what is said of it. Of an address,
//! only host and port are ever told: the rest may be a password. Redirections are not followed.

use std::time::Duration;

use contract::allowed::{AllowedEndpoints, outside};
use contract::store_address::authority;
use contract::{Code, Failure, http_target};
use futures::StreamExt;
use serde_json::Value;

/// Most of an answer that is read.
const ANSWER: usize = 64 << 10;
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// What a service answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) status: u16,
    /// As much of the body as is read.
    pub(super) body: Vec<u8>,
    /// Seconds that the service wants to be left alone.
    pub(super) retry_after: Option<u64>,
}

/// Sends requests.
#[derive(Debug)]
pub(super) struct Poster {
    client: reqwest::Client,
    allowed: AllowedEndpoints,
}

impl Poster {
    /// For endpoints of this list.
    ///
    /// # Errors
    /// A list that is none, or a client that cannot be made.
    pub(super) fn new(allowed: &[String]) -> Result<Self, Failure> {
        archive::install_tls();
        let allowed = AllowedEndpoints::parse(allowed)
            .map_err(|(place, rule)| Failure::new(Code::SpecInvalid, format!("allowedEndpoints[{place}]: {rule}")))?;
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("kafka-backup/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .build()
            .map_err(|error| Failure::new(Code::Internal, format!("no HTTP client: {}", error.without_url())))?;
        Ok(Self { client, allowed })
    }

    /// Posts a document. What keeps the answer away is told in words.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn post(&self, url: &str, document: &Value, limit: Duration) -> Result<Answered, String> {
        self.may_go(url)?;
        let to = http_target::shown(url);
        let exchange = async {
            let answer = self.client.post(url).json(document).send().await.map_err(|error| why(&error))?;
            let (status, retry_after) = (answer.status().as_u16(), retry_after(&answer));
            let (mut body, mut pieces) = (Vec::new(), answer.bytes_stream());
            while let Some(piece) = pieces.next().await {
                let piece = piece.map_err(|error| why(&error))?;
                body.extend(piece.iter().take(ANSWER - body.len()));
                if body.len() == ANSWER {
                    break;
                }
            }
            Ok(Answered { status, body, retry_after })
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(answered) => answered.map_err(|why: &str| format!("{to} {why}")),
            Err(_) => Err(format!("{to} did not answer within {} s", limit.as_secs())),
        }
    }

    /// Whether the installation allows that a request goes there.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub(super) fn may_go(&self, url: &str) -> Result<(), String> {
        if let Some(rule) = http_target::broken_rule(url) {
            return Err(format!("the address {rule}"));
        }
        match authority(url) {
            Some((host, port)) if self.allowed.allows(&host, port) => Ok(()),
            _ => Err(outside(&http_target::shown(url))),
        }
    }
}

fn retry_after(answer: &reqwest::Response) -> Option<u64> {
    answer.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// What happened, in fixed words: the library's may name the whole address.
fn why(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "could not be reached in time"
    } else if error.is_connect() {
        "could not be reached: nobody listens there, its name is unknown, or its certificate is not trusted"
    } else if error.is_body() || error.is_decode() {
        "broke off its answer"
    } else {
        "did not answer as an HTTP server does"
    }
}
