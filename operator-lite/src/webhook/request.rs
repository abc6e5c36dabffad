//! Reviews as the API server writes them (`admission.k8s.io/v1`), and the answers. Pure.

use api::finding;
use api::refusal::{self, Refusal};
use k8s_openapi::api::authentication::v1::UserInfo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::words::shorten;

/// Most bytes of what a review says of a user: it goes along with each question about their rights.
const LARGEST_USER: usize = 256 << 10;

#[derive(Deserialize)]
struct Review {
    request: Option<Request>,
}

/// What a review asks. Of an object it takes one copy: reading it must not take many times what it takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    /// Of the review.
    pub(super) uid: String,
    kind: Kind,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: Option<String>,
    /// Who wrote the object.
    pub(super) user_info: UserInfo,
    /// The object as it will be; absent when it is deleted.
    #[serde(default)]
    pub(super) object: Option<Value>,
    /// The object before.
    #[serde(default)]
    pub(super) old_object: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    kind: String,
}

impl Request {
    /// Reads a review.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let review: Review = serde_json::from_slice(body).map_err(|error| shorten(&error.to_string()))?;
        let mut request = review.request.ok_or("the review has no request")?;
        let bytes = serde_json::to_string(&request.user_info).map_err(|error| error.to_string())?.len();
        if bytes > LARGEST_USER {
            return Err(format!("the review's userInfo has {bytes} bytes; it must have at most {LARGEST_USER}"));
        }
        for document in [&mut request.object, &mut request.old_object] {
            place(document.as_mut(), request.namespace.as_deref());
        }
        Ok(request)
    }

    /// What it is about, as a log has it.
    pub(super) fn about(&self) -> About {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        About { kind: shorten(&self.kind.kind), name: shorten(&self.name), namespace: shorten(namespace) }
    }
}

/// What a review is about, in its own words: any, but not at any length.
#[derive(Debug)]
pub(super) struct About {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) namespace: String,
}

/// The request names the namespace even where the object does not.
fn place(document: Option<&mut Value>, namespace: Option<&str>) {
    let metadata = document.and_then(|document| document.get_mut("metadata")).and_then(Value::as_object_mut);
    if let (Some(metadata), Some(namespace)) = (metadata, namespace)
        && metadata.get("namespace").is_none_or(Value::is_null)
    {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
}

/// The answer to a review.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    uid: String,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Status {
    message: String,
    details: Details,
}

/// For programs: the API server passes it on as it is.
#[derive(Debug, Serialize)]
struct Details {
    causes: Vec<Cause>,
}

#[derive(Debug, Serialize)]
struct Cause {
    reason: String,
    field: String,
}

impl Answer {
    /// The object is kept, unless there are reasons against it.
    pub(super) fn new(uid: String, refusals: &[Refusal], warnings: Vec<String>) -> Self {
        let status = (!refusals.is_empty()).then(|| {
            let words: Vec<String> = refusals.iter().map(|refusal| refusal.text.clone()).collect();
            let causes = refusal::causes(refusals).into_iter().map(|(reason, field)| Cause { reason, field });
            Status { message: finding::text(&words), details: Details { causes: causes.collect() } }
        });
        Self { uid, allowed: status.is_none(), status, warnings }
    }

    /// Whether the object is kept.
    pub(super) fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// As the API server reads it.
    pub(super) fn document(&self) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": self})
    }
}

#[cfg(test)]
mod tests {
    use api::refusal::Why;

    use super::*;

    fn review(more: Value) -> Vec<u8> {
        let mut request = json!({
            "uid": "u-1", "kind": {"group": "g", "version": "v", "kind": "KafkaBackup"}, "operation": "CREATE",
            "resource": {"group": "g", "version": "v", "resource": "kafkabackups"}, "name": "a", "namespace": "team",
            "userInfo": {"username": "ann", "groups": ["devs"]}, "object": {"metadata": {"name": "a"}}, "oldObject": null,
        });
        for (name, value) in more.as_object().unwrap() {
            request[name] = value.clone();
        }
        let whole = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        whole.to_string().into_bytes()
    }

    #[test]
    fn a_review_is_read_and_its_objects_have_their_namespace() {
        let request = Request::read(&review(json!({"oldObject": {"metadata": {"namespace": "own"}}}))).unwrap();
        let namespace = |document: &Option<Value>| document.as_ref().unwrap()["metadata"]["namespace"].clone();
        assert_eq!((namespace(&request.object), namespace(&request.old_object)), (json!("team"), json!("own")));
        assert_eq!(request.user_info.username.as_deref(), Some("ann"));
        let about = request.about();
        assert_eq!((about.kind.as_str(), about.name.as_str(), about.namespace.as_str()), ("KafkaBackup", "a", "team"));
        let gone = Request::read(&review(json!({"object": null}))).unwrap();
        assert!(gone.object.is_none() && gone.old_object.is_none());
    }

    #[test]
    fn what_is_no_review_is_told_in_few_words() {
        let long = "x".repeat(1 << 20);
        for (body, words) in [
            (b"{".to_vec(), "EOF"),
            (b"{}".to_vec(), "has no request"),
            (review(json!({"kind": long})), "invalid type"),
            (review(json!({"userInfo": {"groups": vec![long.as_str()]}})), "userInfo has 1048"),
        ] {
            let said = Request::read(&body).unwrap_err();
            assert!(said.contains(words) && said.len() < 300, "{words}: {said}");
        }
        let named = Request::read(&review(json!({"name": long}))).unwrap();
        assert!(named.about().name.len() < 300);
    }

    #[test]
    fn an_answer_is_what_the_api_server_reads() {
        let kept = Answer::new("u".into(), &[], vec!["look".into()]);
        assert_eq!(kept.document()["response"], json!({"uid": "u", "allowed": true, "warnings": ["look"]}));
        let why = Why::Right { verb: "peek".into() };
        let no = Refusal { text: "no".into(), field: "spec.level".into(), why };
        let refused = Answer::new("u".into(), &[no], Vec::new());
        let causes = json!([{"reason": "kafka-backup.dev/Right.peek", "field": "spec.level"}]);
        let status = json!({"message": "no", "details": {"causes": causes}});
        assert_eq!(refused.document()["response"], json!({"uid": "u", "allowed": false, "status": status}));
        assert!(kept.is_allowed() && !refused.is_allowed());
    }
}
