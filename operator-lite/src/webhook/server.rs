//! Serving admission reviews.

use std::sync::Arc;
use std::time::Duration;

use api::consent::Consent;
use api::oso::KafkaBackup;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use visits::Bounded;

use super::TlsListener;
use super::review::{judge, shorten};
use super::rules::{Rights, Rules};
use crate::error::Error;
use crate::metrics::Metrics;

/// Most bytes of a review: two objects of the largest size that etcd keeps (1.5 MiB by default), written as JSON.
const LARGEST: usize = 4 << 20;
/// Reviews that are on their way at once.
const VISITORS: usize = 512;
/// How long a review may take: longer than the API server waits.
const VISIT: Duration = Duration::from_secs(12);
/// How long its body may take to come.
const BODY: Duration = Duration::from_secs(4);
/// Bytes of bodies that are held at once.
const BODIES: usize = 32 << 20;

#[derive(Clone)]
struct Judge {
    client: Client,
    metrics: Arc<Metrics>,
    rules: Arc<Rules>,
    /// Room for bodies.
    bodies: Arc<Semaphore>,
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
        bodies: Arc::new(Semaphore::new(BODIES)),
    });
    let listener = Bounded::new(listener, VISITORS, VISIT);
    let done = axum::serve(listener, routes).with_graceful_shutdown(drained.cancelled_owned()).await;
    done.map_err(|source| Error::Io { what: "serving admission".to_owned(), source })
}

async fn validate(State(judge): State<Judge>, body: Body) -> Response {
    let mut answer = match whole(&judge.bodies, body).await {
        Ok((body, _room)) => review(&judge, &body).await,
        Err(status) => status.into_response(),
    };
    // No connection is kept: the request that comes on one while it is closed at the end of a replica would be lost, as
    // clients send reviews (POST) once only. Resources are written seldom enough for a handshake each.
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

/// A body with the room that it takes. Bodies that come slowly, or never end, hold little and not for long.
async fn whole(room: &Arc<Semaphore>, body: Body) -> Result<(Vec<u8>, OwnedSemaphorePermit), StatusCode> {
    let take = async |bytes: usize| {
        let bytes = u32::try_from(bytes).map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
        Arc::clone(room).acquire_many_owned(bytes).await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
    };
    let read = async {
        let (mut pieces, mut out, mut held) = (body.into_data_stream(), Vec::new(), take(0).await?);
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
            if out.len() + piece.len() > LARGEST {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            held.merge(take(piece.len()).await?);
            out.extend_from_slice(&piece);
        }
        Ok((out, held))
    };
    tokio::time::timeout(BODY, read).await.unwrap_or(Err(StatusCode::REQUEST_TIMEOUT))
}

async fn review(judge: &Judge, body: &[u8]) -> Response {
    let review: Result<AdmissionReview<DynamicObject>, _> = serde_json::from_slice(body);
    let request: Result<AdmissionRequest<DynamicObject>, _> = match review {
        Ok(review) => review.try_into().map_err(|error| format!("{error}")),
        Err(error) => Err(error.to_string()),
    };
    let response = match request {
        Err(reason) => return (StatusCode::BAD_REQUEST, reason).into_response(),
        Ok(request) => answer(judge, &request).await,
    };
    judge.metrics.judged(response.allowed);
    match serde_json::to_vec(&response.into_review()) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn answer(served: &Judge, request: &AdmissionRequest<DynamicObject>) -> AdmissionResponse {
    let response = AdmissionResponse::from(request);
    let Some(object) = &request.object else { return response };
    let document = |object: &DynamicObject| {
        let mut document = serde_json::to_value(object)?;
        // The request names the namespace even where the object does not.
        if object.namespace().is_none()
            && let Some(metadata) = document.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.insert("namespace".to_owned(), request.namespace.clone().into());
        }
        Ok::<Value, serde_json::Error>(document)
    };
    let documents = document(object).and_then(|new| Ok((new, request.old_object.as_ref().map(document).transpose()?)));
    let (new, old) = match documents {
        Ok(documents) => documents,
        Err(error) => return response.deny(format!("the object cannot be judged: {error}")),
    };
    let judged = judge(&new, old.as_ref(), &served.rules, Timestamp::now());
    let (mut errors, mut warnings) = (judged.errors, judged.warnings);
    let user = request.user_info.username.clone().unwrap_or_default();
    let ask = |question| may(&served.client, &request.user_info, question);
    let answers = join_all(judged.questions.iter().map(ask)).await;
    for (question, answer) in judged.questions.iter().zip(answers) {
        let refusal = match answer {
            Ok(true) => continue,
            Ok(false) => question.refusal(&user),
            Err(error) => format!("{}: the rights of {user} could not be asked: {error}", question.field),
        };
        if question.is_recent && served.rules.rights == Rights::Warn {
            warnings.push(shorten(&format!("{refusal} (refused once the operator has ADMISSION_RIGHTS=refuse)")));
        } else {
            errors.push(refusal);
        }
    }
    if let Some(consent) = &judged.consent {
        errors.extend(refused_there(&served.client, consent).await);
    }
    if !judged.questions.is_empty() || judged.consent.is_some() {
        // Whoever reaches the port can ask for the rights of others: each time is seen afterwards. What a review says of
        // itself is shown escaped.
        let (kind, name, namespace) =
            (&request.kind.kind, &request.name, request.namespace.as_deref().unwrap_or_default());
        let (asked, refused) = (judged.questions.len(), errors.len());
        tracing::info!(?user, ?kind, ?name, ?namespace, asked, refused, "a review asked for rights");
    }
    let mut response = if errors.is_empty() { response } else { response.deny(errors.join("\n")) };
    if !warnings.is_empty() {
        response.warnings = Some(warnings);
    }
    response
}

/// Why a KafkaBackup of another namespace may not be read; `None` when its owner allows it.
async fn refused_there(client: &Client, consent: &Consent) -> Option<String> {
    let backups = Api::<KafkaBackup>::namespaced(client.clone(), &consent.namespace);
    match backups.get_metadata_opt(&consent.name).await {
        Ok(Some(backup)) => (!consent.is_given(backup.annotations())).then(|| consent.refusal()),
        Ok(None) => Some(consent.unknown("it is not there; create it first")),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Some(consent.unknown("the operator may not read it; add its namespace to watchNamespaces"))
        }
        Err(error) => Some(consent.unknown(&Error::from(error).to_string())),
    }
}

async fn may(client: &Client, user: &UserInfo, question: &api::access::Question) -> Result<bool, Error> {
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: user.username.clone(),
            groups: user.groups.clone(),
            uid: user.uid.clone(),
            extra: user.extra.clone(),
            resource_attributes: Some(ResourceAttributes {
                verb: text(question.verb),
                group: text(&question.group),
                resource: text(question.resource),
                namespace: text(&question.namespace),
                name: text(&question.name),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SubjectAccessReview::default()
    };
    let answer = Api::<SubjectAccessReview>::all(client.clone()).create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::stream;

    use super::*;

    fn pieces(count: usize, size: usize) -> Vec<Result<Bytes, std::io::Error>> {
        (0..count).map(|_| Ok(Bytes::from(vec![b' '; size]))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_that_do_not_end_hold_little_and_not_for_long() {
        let room = Arc::new(Semaphore::new(BODIES));
        let unfinished = || Body::from_stream(stream::iter(pieces(3, 1 << 20)).chain(stream::pending()));
        let slow: Vec<_> = (0..50)
            .map(|_| {
                let (room, body) = (Arc::clone(&room), unfinished());
                tokio::spawn(async move { whole(&room, body).await.map(drop) })
            })
            .collect();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(room.available_permits() < 3 << 20, "they fill the room");
        // An honest one waits for them at most as long as they may take.
        let honest = whole(&room, Body::from(vec![b' '; 2 << 20])).await;
        assert_eq!(honest.map(|(body, _)| body.len()), Ok(2 << 20));
        for task in slow {
            assert_eq!(task.await.unwrap(), Err(StatusCode::REQUEST_TIMEOUT));
        }
        assert_eq!(room.available_permits(), BODIES);
    }

    #[tokio::test]
    async fn a_body_of_any_size_is_not_read() {
        let room = Arc::new(Semaphore::new(BODIES));
        let refused = whole(&room, Body::from_stream(stream::iter(pieces(9, 1 << 20)))).await;
        assert_eq!(refused.map(drop), Err(StatusCode::PAYLOAD_TOO_LARGE));
    }
}
