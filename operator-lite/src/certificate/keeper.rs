//! Keeping the certificate: read the Secret, make what is missing, let the API server trust it, serve it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::material::{Lifetimes, Material, Step, step};
use crate::error::Error;
use crate::metrics::Metrics;
use crate::webhook::Certificate;

/// Key of the Secret that holds all of it.
const MATERIAL: &str = "material.json";
/// How often it is looked at; short lifetimes are looked at more often.
const LOOK: Duration = Duration::from_secs(60);

/// What the keeper works on.
#[derive(Debug, Clone)]
pub struct Keeper {
    /// Namespace of the Secret.
    pub namespace: String,
    /// The Secret, which the manifests ship empty.
    pub secret: String,
    /// The webhook configuration whose authorities are kept.
    pub configuration: String,
    /// Names and addresses that the certificate is for.
    pub names: Vec<String>,
    /// How long certificates hold.
    pub lifetimes: Lifetimes,
}

/// Keeps the certificate until `stop`.
pub async fn keep(
    keeper: Keeper,
    client: Client,
    certificate: Arc<Certificate>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) {
    let settle = Duration::try_from(keeper.lifetimes.settle / 4).unwrap_or(LOOK);
    let look = LOOK.min(settle).max(Duration::from_millis(500));
    let mut served = None;
    loop {
        let wait = match keeper.look(&client, &certificate, &metrics, &mut served).await {
            Ok(Step::Keep) => look,
            // Several steps may be due.
            Ok(_) => Duration::from_millis(100),
            Err(error) => {
                if !error.is_conflict() {
                    tracing::warn!(%error, "the webhook's certificate could not be kept");
                }
                Duration::from_secs(1)
            }
        };
        if stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

impl Keeper {
    async fn look(
        &self,
        client: &Client,
        certificate: &Certificate,
        metrics: &Metrics,
        served: &mut Option<Timestamp>,
    ) -> Result<Step, Error> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let secret = api.get(&self.secret).await?;
        let mut material = read(&secret);
        let now = Timestamp::now();
        let step = step(&material, now, self.lifetimes);
        if step != Step::Keep {
            material = material.after(step, &self.names, now, self.lifetimes)?;
            let data = BTreeMap::from([(MATERIAL.to_owned(), ByteString(serde_json::to_vec(&material)?))]);
            // With the version that was read: of several replicas, one writes.
            api.replace(&self.secret, &PostParams::default(), &Secret { data: Some(data), ..secret }).await?;
        }
        self.trust(client, &material).await?;
        if let Some(leaf) = material.leaf.as_ref().filter(|leaf| *served != Some(leaf.made)) {
            certificate.replace(leaf.certificate.as_bytes(), leaf.key.as_bytes())?;
            metrics.certificate_ends(leaf.ends);
            *served = Some(leaf.made);
        }
        Ok(step)
    }

    /// Lets the API server trust all authorities.
    async fn trust(&self, client: &Client, material: &Material) -> Result<(), Error> {
        let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
        let found = api.get(&self.configuration).await?;
        let bundle = ByteString(material.bundle().into_bytes());
        let webhooks = found.webhooks.as_deref().unwrap_or_default();
        if webhooks.iter().all(|webhook| webhook.client_config.ca_bundle.as_ref() == Some(&bundle)) {
            return Ok(());
        }
        let patches: Vec<_> = webhooks
            .iter()
            .map(|webhook| json!({"name": webhook.name, "clientConfig": {"caBundle": bundle}}))
            .collect();
        let patch = json!({"metadata": {"resourceVersion": found.metadata.resource_version}, "webhooks": patches});
        api.patch(&self.configuration, &PatchParams::default(), &Patch::Strategic(patch)).await?;
        Ok(())
    }
}

/// What a Secret holds; nothing when it is empty or does not read.
fn read(secret: &Secret) -> Material {
    let bytes = secret.data.as_ref().and_then(|data| data.get(MATERIAL));
    bytes.and_then(|bytes| serde_json::from_slice(&bytes.0).ok()).unwrap_or_default()
}
