//! Serving admission reviews.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::Client;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use visits::Bounded;

use super::TlsListener;
use super::body::{room, whole};
use super::request::{About, Answer, Request};
use super::review::{Judgement, judge};
use super::rights::{name_of, refused, refused_there};
use super::rules::{Rights, Rules};
use super::words::shorten;
use crate::error::Error;
use crate::metrics::Metrics;

/// Reviews that are on their way at once.
const VISITORS: usize = 512;
/// How long a review may take: longer than the API server waits.
const VISIT: Duration = Duration::from_secs(12);
/// Reviews that are read and judged at once, apart from all else that the operator does: what one of them takes, the next does not
/// take beside it.
const JUDGES: usize = 2;

#[derive(Clone)]
struct Judge {
    client: Client,
    metrics: Arc<Metrics>,
    rules: Arc<Rules>,
    /// Room for bodies.
    bodies: Arc<Semaphore>,
    /// Turns to read and judge one.
    turns: Arc<Semaphore>,
}

/// Serves reviews until `drained`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TlsListener,
    client: Client,
    metrics: Arc<Metrics>,
    rules: Rules,
    drained: CancellationToken,
) -> Result<(), Error> {
    let routes = Router::new().route("/validate", post(validate)).with_state(Judge {
        client,
        metrics,
        rules: Arc::new(rules),
        bodies: room(),
        turns: Arc::new(Semaphore::new(JUDGES)),
    });
    let listener = Bounded::new(listener, VISITORS, VISIT);
    let done = axum::serve(listener, routes).with_graceful_shutdown(drained.cancelled_owned()).await;
    done.map_err(|source| Error::Io { what: "serving admission".to_owned(), source })
}

async fn validate(State(served): State<Judge>, body: Body) -> Response {
    let mut answer = match whole(&served.bodies, body).await {
        Ok((body, _room)) => review(&served, body).await.unwrap_or_else(IntoResponse::into_response),
        Err(refused) => refused.into_response(),
    };
    // No connection is kept: the request that comes on one while it is closed at the end of a replica would be lost, as
    // clients send reviews (POST) once only. Resources are written seldom enough for a handshake each.
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

async fn review(served: &Judge, body: Vec<u8>) -> Result<Response, (StatusCode, String)> {
    let case = judged(served, body).await?;
    let answer = answer(served, case).await;
    served.metrics.judged(answer.is_allowed());
    let body = serde_json::to_vec(&answer.document());
    let body = body.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// A review that was judged: what is left to ask, and to answer. The object is gone by then.
struct Case {
    uid: String,
    user: UserInfo,
    about: About,
    judged: Judgement,
}

/// Reads and judges a review in its turn, on a thread of its own: a large object holds up nothing else.
async fn judged(served: &Judge, body: Vec<u8>) -> Result<Case, (StatusCode, String)> {
    let ends = |_| (StatusCode::SERVICE_UNAVAILABLE, "the operator ends".to_owned());
    let turn = Arc::clone(&served.turns).acquire_owned().await.map_err(ends)?;
    let rules = Arc::clone(&served.rules);
    let work = move || {
        let _turn = turn;
        case(body, &rules, Timestamp::now())
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(case) => case.map_err(|reason| (StatusCode::BAD_REQUEST, reason)),
        Err(_) => Err((StatusCode::INTERNAL_SERVER_ERROR, "the review could not be judged".to_owned())),
    }
}

fn case(body: Vec<u8>, rules: &Rules, now: Timestamp) -> Result<Case, String> {
    let request = Request::read(&body)?;
    drop(body);
    let about = request.about();
    let judged = request.object.as_ref().map(|new| judge(new, request.old_object.as_ref(), rules, now));
    // Whatever is deleted may go.
    Ok(Case { uid: request.uid, user: request.user_info, about, judged: judged.unwrap_or_default() })
}

async fn answer(served: &Judge, case: Case) -> Answer {
    let Case { uid, user, about, judged } = case;
    let (mut errors, mut warnings) = (judged.errors, judged.warnings);
    for lacking in refused(&served.client, &user, &judged.questions).await {
        if lacking.is_recent && served.rules.rights == Rights::Warn {
            warnings.push(shorten(&format!(
                "{} (refused once the operator has ADMISSION_RIGHTS=refuse)",
                lacking.refusal.text
            )));
        } else {
            errors.push(lacking.refusal);
        }
    }
    // Whoever lacks a right does not learn here what there is in other namespaces.
    if let (true, Some(consent)) = (errors.is_empty(), &judged.consent) {
        errors.extend(refused_there(&served.client, consent).await);
    }
    if !judged.questions.is_empty() || judged.consent.is_some() {
        // Whoever reaches the port can ask for the rights of others: each time is seen afterwards. What a review says of
        // itself is shown escaped.
        let About { kind, name, namespace } = about;
        let (user, asked, refused) = (name_of(&user), judged.questions.len(), errors.len());
        tracing::info!(?user, ?kind, ?name, ?namespace, asked, refused, "a review asked for rights");
    }
    Answer::new(uid, &errors, warnings)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::body::to_bytes;
    use contract::AllowedEndpoints;
    use serde_json::{Value, json};

    use super::*;
    use crate::webhook::Ambient;

    /// An API server that says yes to every question after a while.
    #[derive(Default)]
    struct Asked {
        all: AtomicUsize,
        open: AtomicUsize,
        most_open: AtomicUsize,
    }

    async fn yes(State(asked): State<Arc<Asked>>) -> Response {
        asked.all.fetch_add(1, Ordering::Relaxed);
        let open = asked.open.fetch_add(1, Ordering::Relaxed) + 1;
        asked.most_open.fetch_max(open, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
        asked.open.fetch_sub(1, Ordering::Relaxed);
        let said = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {},
            "status": {"allowed": true},
        });
        said.to_string().into_response()
    }

    fn served(asked: &Arc<Asked>) -> Judge {
        Judge {
            client: Client::new(Router::new().fallback(yes).with_state(Arc::clone(asked)), "team"),
            metrics: Arc::new(Metrics::new()),
            rules: Arc::new(Rules {
                rights: Rights::Refuse,
                ambient: Ambient::Warn,
                allowed: AllowedEndpoints::default(),
            }),
            bodies: room(),
            turns: Arc::new(Semaphore::new(JUDGES)),
        }
    }

    fn backup(secrets: usize, codec: &str) -> Value {
        let variable = |number: usize| json!({"name": format!("V{number}"), "valueFrom": {"secretKeyRef": {"name": format!("s{number}"), "key": "k"}}});
        json!({
            "apiVersion": "backup.strimzi.io/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": "a"},
            "spec": {
                "strimziClusterRef": {"name": "events"}, "storage": {"type": "s3", "s3": {"bucket": "b"}},
                "backup": {"compression": codec}, "env": (0..secrets).map(variable).collect::<Vec<_>>(),
            },
        })
    }

    async fn asks(served: &Judge, object: Value) -> Value {
        let request = json!({
            "uid": "u", "kind": {"group": "g", "version": "v", "kind": "KafkaBackup"}, "namespace": "team",
            "userInfo": {"username": "ann"}, "object": object,
        });
        let response = validate(State(served.clone()), Body::from(json!({ "request": request }).to_string())).await;
        assert_eq!(response.status(), StatusCode::OK);
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["response"].clone()
    }

    /// The API server is not flooded by what one review asks.
    #[tokio::test]
    async fn few_questions_are_on_their_way_at_once_and_none_for_what_is_refused() {
        let asked = Arc::new(Asked::default());
        let served = served(&asked);
        let kept = asks(&served, backup(40, "zstd")).await;
        assert_eq!(kept["allowed"], true, "{kept}");
        assert_eq!(asked.all.load(Ordering::Relaxed), 41, "40 Secrets, and pods for their variables");
        assert!((2..=4).contains(&asked.most_open.load(Ordering::Relaxed)));
        let refused = asks(&served, backup(40, "none of these")).await;
        assert_eq!(refused["allowed"], false, "{refused}");
        let refused = asks(&served, backup(100, "zstd")).await;
        assert!(refused["status"]["message"].as_str().unwrap().contains("at most 64"), "{refused}");
        assert_eq!(asked.all.load(Ordering::Relaxed), 41, "nothing was asked about them");
    }

    /// What is refused is told in few words, however much is wrong.
    #[tokio::test]
    async fn an_answer_is_short() {
        let served = served(&Arc::new(Asked::default()));
        let mut wrong = backup(0, "zstd");
        wrong["spec"]["backup"] =
            json!({"internalTopics": vec!["x".repeat(50); 5_000], "compression": "y".repeat(10_000)});
        wrong["spec"]["topics"] = json!({"include": vec!["(".repeat(30); 900]});
        let refused = asks(&served, wrong).await;
        let text = refused["status"]["message"].as_str().unwrap();
        assert!(text.len() < 9_000 && text.ends_with(" more"), "{} {text}", text.len());
        assert!(refused.to_string().len() < 20_000);
    }
}
