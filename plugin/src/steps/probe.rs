//! Whether admission judges: a resource that breaks a rule is shown to the API server, which must refuse it and keeps nothing.

use api::oso::KafkaBackup;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::answered::{breaks_rule, is_internal};
use crate::cluster::Cluster;
use crate::operator::Operator;

/// How admission is.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It refuses what breaks a rule.
    Judges,
    /// The API server cannot reach it.
    Away(String),
    /// Nobody asks it.
    NotAsked,
    /// The caller may not create a KafkaBackup, so it is not asked.
    Forbidden(kube::Error),
    /// The API server refuses for another reason.
    Refused(kube::Error),
}

/// Whether the caller may do this in the namespace that is meant.
///
/// # Errors
/// When that cannot be asked.
pub(crate) async fn may(cluster: &Cluster, group: &str, resource: &str, verb: &str) -> Result<bool, kube::Error> {
    let (resource, sub) = resource.split_once('/').map_or((resource, None), |(all, sub)| (all, Some(sub)));
    let attributes = ResourceAttributes {
        namespace: Some(cluster.namespace.clone()),
        group: Some(group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource: sub.map(str::to_owned),
        verb: Some(verb.to_owned()),
        ..ResourceAttributes::default()
    };
    let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
    let review = SelfSubjectAccessReview { spec, ..Default::default() };
    let api: Api<SelfSubjectAccessReview> = Api::all(cluster.client.clone());
    let answer = api.create(&PostParams::default(), &review).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// Asks.
pub(crate) async fn admission(cluster: &Cluster) -> Admission {
    // No topics: the schema takes that, the rules do not.
    let document = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": "probe"},
        "spec": {"kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": [], "stopAtCurrentOffsets": true,
                 "storage": {"storageType": "pvc", "pvc": {"claimName": "probe"}}},
    });
    let probe = match serde_json::from_value::<KafkaBackup>(document) {
        Ok(probe) => probe,
        Err(error) => return Admission::Refused(kube::Error::SerdeError(error)),
    };
    let parameters = PostParams { dry_run: true, field_manager: None };
    match cluster.api::<KafkaBackup>().create(&parameters, &probe).await {
        Ok(_) => Admission::NotAsked,
        Err(kube::Error::Api(status)) if breaks_rule(&status, "spec.topics") => Admission::Judges,
        Err(kube::Error::Api(status)) if is_internal(&status) => Admission::Away(status.message.clone()),
        // Others that judge refuse with this code, too.
        Err(kube::Error::Api(status)) if status.code == 403 => {
            let error = kube::Error::Api(status);
            match may(cluster, api::oso::GROUP, "kafkabackups", "create").await {
                Ok(true) => Admission::Refused(error),
                Ok(false) | Err(_) => Admission::Forbidden(error),
            }
        }
        Err(error) => Admission::Refused(error),
    }
}

/// What the API server's words about a webhook that it could not ask mean, and what helps. It has no other form for why; nothing
/// is decided by this, and words that are not known are shown as they are.
pub(crate) fn cause(text: &str, place: &Operator) -> (String, String) {
    let says = |part: &str| text.contains(part);
    let logs = place.logs();
    if says("no endpoints available") || says("connection refused") {
        return ("no replica of the operator is ready".to_owned(), place.pods());
    }
    if says("not found") && says("service") {
        return ("its Service is gone".to_owned(), "kubectl kafka-backup install --apply".to_owned());
    }
    if says("x509: certificate signed by unknown authority") || says("x509: certificate has expired") {
        return ("the API server does not trust its certificate (any more)".to_owned(), logs);
    }
    if says("x509: ") {
        return ("its certificate is for other names: was the Service renamed?".to_owned(), logs);
    }
    if says("deadline exceeded") || says("i/o timeout") || says("Client.Timeout") {
        let fix = "is a network policy or firewall between API server and pods? Where it cannot reach pods at all, install with hostNetwork: true";
        return ("the API server's packets are not answered".to_owned(), fix.to_owned());
    }
    (text.to_owned(), logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_that_is_away_has_a_cause() {
        let called = |why: &str| {
            let post = "Post \"https://kafka-backup-operator.kafka-backup.svc:443/validate?timeout=5s\"";
            format!("failed calling webhook \"validate.kafka-backup.dev\": failed to call webhook: {post}: {why}")
        };
        for (why, found) in [
            ("no endpoints available for service \"kafka-backup-operator\"", "no replica of the operator is ready"),
            ("dial tcp 10.0.0.1:443: connect: connection refused", "no replica of the operator is ready"),
            ("service \"kafka-backup-operator\" not found", "its Service is gone"),
            ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "does not trust"),
            ("x509: certificate is valid for a.b.svc, not c.d.svc", "other names"),
            ("context deadline exceeded", "not answered"),
        ] {
            assert!(
                cause(&called(why), &Operator::usual()).0.contains(found),
                "{why}: {}",
                cause(&called(why), &Operator::usual()).0
            );
        }
        assert_eq!(cause("something new", &Operator::usual()).0, "something new");
    }
}
