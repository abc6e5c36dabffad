//! Where an archive lies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::limits::yes;

/// A place for archives. `storageType` says which of the blocks counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// pvc, s3, azure or gcs.
    #[serde(default = "pvc")]
    pub storage_type: String,
    /// A volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pvc: Option<PvcStorage>,
    /// A bucket of Amazon S3 or a compatible store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Storage>,
    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureStorage>,
    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsStorage>,
}

fn pvc() -> String {
    "pvc".to_owned()
}

impl Storage {
    /// The same place with the credentials of another Secret, under the same keys; `None` where its credentials are in no Secret.
    #[must_use]
    pub fn with_credentials(&self, secret: &str) -> Option<Self> {
        let mut new = self.clone();
        let name = match new.storage_type.as_str() {
            "s3" => new.s3.as_mut().map(|block| &mut block.credentials_secret.name),
            "gcs" => new.gcs.as_mut().map(|block| &mut block.credentials_secret.name),
            "azure" => new.azure.as_mut().and_then(AzureStorage::secret),
            // Volumes have none; other words are refused where they stand.
            _ => None,
        };
        secret.clone_into(name?);
        Some(new)
    }
}

/// A PersistentVolumeClaim of the resource's namespace.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PvcStorage {
    /// Name of the claim.
    pub claim_name: String,
    /// Folder inside the volume; relative, without `..`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// Makes the claim if it does not exist. It outlives the resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<PvcCreate>,
}

/// The claim to make.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PvcCreate {
    /// Whether to make it.
    #[serde(default)]
    pub enabled: bool,
    /// Requested size, a Kubernetes quantity.
    #[serde(default = "hundred_gi")]
    pub size: String,
    /// Storage class; the cluster's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_name: Option<String>,
    /// ReadWriteOnce, ReadOnlyMany, ReadWriteMany or ReadWriteOncePod.
    #[serde(default = "read_write_once")]
    pub access_modes: Vec<String>,
}

fn hundred_gi() -> String {
    "100Gi".to_owned()
}

fn read_write_once() -> Vec<String> {
    vec!["ReadWriteOnce".to_owned()]
}

/// A bucket of Amazon S3 or a compatible store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Storage {
    /// Name of the bucket.
    pub bucket: String,
    /// Region; compatible stores take any.
    pub region: String,
    /// Folder inside the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// URL of a compatible store or a private endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether the bucket stands in the path instead of the host name. When absent: with an endpoint, unless that is a known
    /// provider's name behind the bucket (bucket.s3.eu-central-1.amazonaws.com). When false: before the host name, unless
    /// that begins with the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_style: Option<bool>,
    /// Whether plain HTTP is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_http: Option<bool>,
    /// The authority that signed the store's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<StoreCaSecret>,
    /// Access keys.
    pub credentials_secret: S3Credentials,
}

/// A Secret with access keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Credentials {
    /// Name of the Secret.
    pub name: String,
    /// Key of the access key id.
    #[serde(default = "access_key_id")]
    pub access_key_id_key: String,
    /// Key of the secret access key.
    #[serde(default = "secret_access_key")]
    pub secret_access_key_key: String,
}

fn access_key_id() -> String {
    "AWS_ACCESS_KEY_ID".to_owned()
}

fn secret_access_key() -> String {
    "AWS_SECRET_ACCESS_KEY".to_owned()
}

/// A container of Azure Blob Storage. At most one kind of credentials; without any, the default chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureStorage {
    /// Name of the storage account.
    pub account_name: String,
    /// Name of the container.
    pub container: String,
    /// Folder inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// URL of a sovereign cloud or a private endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The authority that signed the store's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<StoreCaSecret>,
    /// Whether the pod's workload identity is used.
    #[serde(default)]
    pub use_workload_identity: bool,
    /// The account key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<AzureAccountKey>,
    /// A shared access signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sas_token_secret: Option<AzureSasToken>,
    /// A service principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_principal_secret: Option<AzureServicePrincipal>,
}

impl AzureStorage {
    /// The name of the Secret whose credentials count.
    fn secret(&mut self) -> Option<&mut String> {
        if self.use_workload_identity {
            return None;
        }
        let principal = self.service_principal_secret.as_mut().map(|secret| &mut secret.name);
        let signature = self.sas_token_secret.as_mut().map(|secret| &mut secret.name);
        principal.or(signature).or(self.credentials_secret.as_mut().map(|secret| &mut secret.name))
    }
}

/// A Secret with an account key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureAccountKey {
    /// Name of the Secret.
    pub name: String,
    /// Key of the account key.
    #[serde(default = "azure_storage_key")]
    pub account_key_key: String,
}

fn azure_storage_key() -> String {
    "AZURE_STORAGE_KEY".to_owned()
}

/// A Secret with a shared access signature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureSasToken {
    /// Name of the Secret.
    pub name: String,
    /// Key of the signature.
    #[serde(default = "azure_sas_token")]
    pub sas_token_key: String,
}

fn azure_sas_token() -> String {
    "AZURE_SAS_TOKEN".to_owned()
}

/// A Secret with a service principal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureServicePrincipal {
    /// Name of the Secret.
    pub name: String,
    /// Key of the client id.
    #[serde(default = "azure_client_id")]
    pub client_id_key: String,
    /// Key of the tenant id.
    #[serde(default = "azure_tenant_id")]
    pub tenant_id_key: String,
    /// Key of the client secret.
    #[serde(default = "azure_client_secret")]
    pub client_secret_key: String,
}

fn azure_client_id() -> String {
    "AZURE_CLIENT_ID".to_owned()
}

fn azure_tenant_id() -> String {
    "AZURE_TENANT_ID".to_owned()
}

fn azure_client_secret() -> String {
    "AZURE_CLIENT_SECRET".to_owned()
}

/// A bucket of Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcsStorage {
    /// Name of the bucket.
    pub bucket: String,
    /// Folder inside the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The authority that signed the store's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<StoreCaSecret>,
    /// A service account.
    pub credentials_secret: GcsCredentials,
}

/// A Secret with the JSON key of a service account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcsCredentials {
    /// Name of the Secret.
    pub name: String,
    /// Key of the JSON text.
    #[serde(default = "service_account_json")]
    pub service_account_json_key: String,
}

fn service_account_json() -> String {
    "SERVICE_ACCOUNT_JSON".to_owned()
}

/// A Secret with the authority that signed a store's certificate, or with that certificate where it is its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreCaSecret {
    /// Name of the Secret.
    pub name: String,
    /// Key of the certificate, in PEM or DER; or of a PKCS#12 keystore with its password beside it (`ca.password` beside `ca.p12`).
    #[serde(default = "ca_crt")]
    pub ca_key: String,
    /// Whether the system's authorities are trusted, too.
    #[serde(default = "yes")]
    pub system_roots: bool,
}

fn ca_crt() -> String {
    "ca.crt".to_owned()
}
