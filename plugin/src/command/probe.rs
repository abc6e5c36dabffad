//! Whether admission judges: a resource that breaks a rule is shown to the API server, which must refuse it and keeps nothing.

use api::oso::KafkaBackup;
use kube::api::PostParams;
use serde_json::json;

use crate::cluster::Cluster;

/// How admission is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It refuses what breaks a rule.
    Judges,
    /// The API server cannot reach it.
    Away(String),
    /// Nobody asks it.
    NotAsked,
    /// The API server refuses for another reason.
    Refused(String),
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
        Err(error) => return Admission::Refused(error.to_string()),
    };
    let parameters = PostParams { dry_run: true, field_manager: None };
    match cluster.api::<KafkaBackup>().create(&parameters, &probe).await {
        Ok(_) => Admission::NotAsked,
        Err(kube::Error::Api(status)) if status.message.contains("spec.topics") => Admission::Judges,
        Err(kube::Error::Api(status)) if status.message.contains("failed calling webhook") => {
            Admission::Away(status.message.clone())
        }
        Err(error) => Admission::Refused(error.to_string()),
    }
}
