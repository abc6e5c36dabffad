//! Keeping the certificate: read the Secret, make what is missing, let the API server trust it, serve it. A Secret that
//! is gone, or does not read, is made again: with what this replica serves, so that nothing changes, or anew where it
//! serves nothing yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::material::{Lifetimes, Material, Renewal, step};
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
    let mut held = Material::default();
    loop {
        let wait = match keeper.look(&client, &certificate, &metrics, &mut held).await {
            Ok(Renewal::Keep) => look,
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
    /// Does the next step. `held` is what this replica serves.
    async fn look(
        &self,
        client: &Client,
        certificate: &Certificate,
        metrics: &Metrics,
        held: &mut Material,
    ) -> Result<Renewal, Error> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let secret = api.get_opt(&self.secret).await?;
        let kept = secret.as_ref().and_then(|secret| read(secret, &self.secret));
        let is_lost = kept.is_none();
        let mut material = kept.unwrap_or_else(|| held.clone());
        let now = Timestamp::now();
        let step = step(&material, now, self.lifetimes);
        if step != Renewal::Keep {
            material = material.after(step, &self.names, now, self.lifetimes)?;
        }
        if is_lost || step != Renewal::Keep {
            let data = BTreeMap::from([(MATERIAL.to_owned(), ByteString(serde_json::to_vec(&material)?))]);
            self.write(&api, secret, data).await?;
        }
        self.trust(client, &material).await?;
        if let Some(leaf) = material.leaf.as_ref().filter(|leaf| held.leaf.as_ref() != Some(leaf)) {
            certificate.replace(leaf.certificate.as_bytes(), leaf.key.as_bytes())?;
            metrics.certificate_ends(leaf.ends);
        }
        *held = material;
        Ok(step)
    }

    /// Writes the Secret under the version that was read, or makes it: of several replicas, one does.
    async fn write(
        &self,
        api: &Api<Secret>,
        old: Option<Secret>,
        data: BTreeMap<String, ByteString>,
    ) -> Result<(), Error> {
        let parameters = PostParams::default();
        if let Some(old) = old {
            api.replace(&self.secret, &parameters, &Secret { data: Some(data), ..old }).await?;
            return Ok(());
        }
        tracing::warn!(name = self.secret, "the Secret of the webhook's certificate is gone: it is made again");
        let metadata = ObjectMeta { name: Some(self.secret.clone()), ..ObjectMeta::default() };
        let new = Secret { metadata, type_: Some("Opaque".to_owned()), data: Some(data), ..Secret::default() };
        api.create(&parameters, &new).await?;
        Ok(())
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

/// What a Secret holds; `None` when that is nothing, or does not read.
fn read(secret: &Secret, name: &str) -> Option<Material> {
    let bytes = secret.data.as_ref()?.get(MATERIAL)?;
    match serde_json::from_slice(&bytes.0) {
        Ok(material) => Some(material),
        Err(error) => {
            tracing::warn!(name, %error, "the Secret of the webhook's certificate does not read: it is written anew");
            None
        }
    }
}

#[cfg(test)]
mod tests;
