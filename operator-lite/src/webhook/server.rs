//! Serving admission reviews.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::admission::{AdmissionRequest, AdmissionResponse, AdmissionReview};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::TlsListener;
use super::review::{judge, shorten};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::settings::Rights;

/// Most bytes of a review: two objects of the largest size that etcd keeps.
const LARGEST: usize = 8 << 20;

#[derive(Clone)]
struct Judge {
    client: Client,
    metrics: Arc<Metrics>,
    rights: Rights,
}

/// Serves reviews until `drained`.
///
/// # Errors
/// When the listener fails.
pub async fn serve(
    listener: TlsListener,
    client: Client,
    metrics: Arc<Metrics>,
    rights: Rights,
    drained: CancellationToken,
) -> Result<(), Error> {
    let routes = Router::new()
        .route("/validate", post(validate))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Judge { client, metrics, rights });
    let done = axum::serve(listener, routes).with_graceful_shutdown(drained.cancelled_owned()).await;
    done.map_err(|source| Error::Io { what: "serving admission".to_owned(), source })
}

async fn validate(State(judge): State<Judge>, body: Bytes) -> Response {
    let mut answer = review(&judge, &body).await;
    // No connection is kept: the request that comes on one while it is closed at the end of a replica would be lost, as
    // clients send reviews (POST) once only. Resources are written seldom enough for a handshake each.
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    answer
}

async fn review(judge: &Judge, body: &Bytes) -> Response {
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
    let judged = judge(&new, old.as_ref(), Timestamp::now());
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
        if question.is_recent && served.rights == Rights::Warn {
            warnings.push(shorten(&format!("{refusal} (refused once the operator has ADMISSION_RIGHTS=refuse)")));
        } else {
            errors.push(refusal);
        }
    }
    let mut response = if errors.is_empty() { response } else { response.deny(errors.join("\n")) };
    if !warnings.is_empty() {
        response.warnings = Some(warnings);
    }
    response
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
