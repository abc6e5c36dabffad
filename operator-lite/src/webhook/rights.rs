//! Asking the cluster what the author of a resource may do, and the owner of another namespace what they allow.

use api::access::Question;
use api::consent::Consent;
use api::oso::KafkaBackup;
use api::refusal::{Refusal, Why};
use futures::future::join_all;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::api::{Api, PostParams};
use kube::core::Request;
use kube::{Client, Resource, ResourceExt};
use serde::Serialize;

use super::words::shorten;
use crate::error::Error;

/// Questions of a review that are on their way at once.
const AT_ONCE: usize = 4;

/// Why the author must not do what a question asks about.
pub(super) struct Lacking {
    /// As it is answered.
    pub(super) refusal: Refusal,
    /// Whether releases before did not ask it.
    pub(super) is_recent: bool,
}

/// What of this the author may not do.
pub(super) async fn refused(client: &Client, user: &UserInfo, questions: &[Question]) -> Vec<Lacking> {
    let name = name_of(user);
    let mut out = Vec::new();
    for some in questions.chunks(AT_ONCE) {
        let answers = join_all(some.iter().map(|question| may(client, user, question))).await;
        for (question, answer) in some.iter().zip(answers) {
            let (text, why) = match answer {
                Ok(true) => continue,
                Ok(false) => (question.refusal(&name), Why::Right { verb: question.verb.to_owned() }),
                Err(error) => {
                    let text = format!("{}: the rights of {name} could not be asked: {error}", question.field);
                    (text, Why::NotAsked)
                }
            };
            let refusal = Refusal { text, field: question.field.clone(), why };
            out.push(Lacking { refusal, is_recent: question.is_recent });
        }
    }
    out
}

/// What a user is called in messages.
pub(super) fn name_of(user: &UserInfo) -> String {
    shorten(user.username.as_deref().unwrap_or_default())
}

/// Why a KafkaBackup of another namespace may not be read; `None` when its owner allows it.
pub(super) async fn refused_there(client: &Client, consent: &Consent) -> Option<Refusal> {
    let text = withheld(client, consent).await?;
    Some(Refusal { text, field: "spec.backupRef.namespace".to_owned(), why: Why::Consent })
}

/// The same in words.
async fn withheld(client: &Client, consent: &Consent) -> Option<String> {
    let backups = Api::<KafkaBackup>::namespaced(client.clone(), &consent.namespace);
    match backups.get_metadata_opt(&consent.name).await {
        Ok(Some(backup)) if backup.metadata.deletion_timestamp.is_some() => {
            Some(consent.unknown("it is being deleted; name another one"))
        }
        Ok(Some(backup)) => (!consent.is_given(backup.annotations())).then(|| consent.refusal()),
        Ok(None) => Some(consent.unknown("it is not there; create it first")),
        Err(kube::Error::Api(status)) if status.code == 403 => {
            Some(consent.unknown("the operator may not read it; add its namespace to watchNamespaces"))
        }
        Err(error) => Some(consent.unknown(&Error::from(error).to_string())),
    }
}

/// A question as the API server takes it (`SubjectAccessReview`). What it says of the user stands where the review has it: groups
/// may be many.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Asked<'a> {
    api_version: &'static str,
    kind: &'static str,
    spec: Spec<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spec<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<&'a std::collections::BTreeMap<String, Vec<String>>>,
    resource_attributes: Attributes<'a>,
}

/// An empty text stands for every group, namespace or name, as an absent one.
#[derive(Serialize)]
struct Attributes<'a> {
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    namespace: &'a str,
    name: &'a str,
}

impl<'a> Asked<'a> {
    fn new(user: &'a UserInfo, question: &'a Question) -> Self {
        Self {
            api_version: "authorization.k8s.io/v1",
            kind: "SubjectAccessReview",
            spec: Spec {
                user: user.username.as_ref(),
                uid: user.uid.as_ref(),
                groups: user.groups.as_ref(),
                extra: user.extra.as_ref(),
                resource_attributes: Attributes {
                    verb: question.verb,
                    group: &question.group,
                    resource: question.resource,
                    namespace: &question.namespace,
                    name: &question.name,
                },
            },
        }
    }
}

async fn may(client: &Client, user: &UserInfo, question: &Question) -> Result<bool, Error> {
    let body = serde_json::to_vec(&Asked::new(user, question))?;
    let request = Request::new(SubjectAccessReview::url_path(&(), None));
    let request = request.create(&PostParams::default(), body).map_err(kube::Error::BuildRequest)?;
    let answer: SubjectAccessReview = client.request(request).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_has_all_that_is_known_of_the_user() {
        let info = json!({"username": "ann", "uid": "7", "groups": ["devs"], "extra": {"scopes": ["a", "b"]}});
        let user: UserInfo = serde_json::from_value(info).unwrap();
        let question = Question {
            verb: "get",
            group: String::new(),
            resource: "secrets",
            namespace: "dev".into(),
            name: "kafka".into(),
            field: "spec.a".into(),
            is_recent: true,
            why: "",
        };
        let asked = serde_json::to_value(Asked::new(&user, &question)).unwrap();
        let attributes =
            json!({"verb": "get", "group": "", "resource": "secrets", "namespace": "dev", "name": "kafka"});
        let wanted = json!({
            "user": "ann", "uid": "7", "groups": ["devs"], "extra": {"scopes": ["a", "b"]}, "resourceAttributes": attributes,
        });
        assert_eq!(asked["spec"], wanted);
        // It is the document that the library knows.
        serde_json::from_value::<SubjectAccessReview>(asked).unwrap();
    }
}
