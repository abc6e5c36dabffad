//! Where an archive lies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretKey;

/// A place for archives. `type` says which of the blocks counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Kind of the store.
    #[serde(rename = "type")]
    pub kind: StorageType,
    /// A bucket of Amazon S3 or a compatible store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Storage>,
    /// A container of Azure Blob Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure: Option<AzureStorage>,
    /// A bucket of Google Cloud Storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gcs: Option<GcsStorage>,
    /// A folder of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filesystem: Option<FilesystemStorage>,
    /// Whose certificates are trusted at a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<StorageTls>,
}

/// Whose certificates are trusted at a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageTls {
    /// Certificates that are trusted beside the system's authorities, and beside `caSecret` of the store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_certificates: Vec<TrustedCertificate>,
}

/// A key of a Secret with certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrustedCertificate {
    /// Name of the Secret, in the namespace of this resource.
    pub secret_name: String,
    /// Key in it: one certificate in PEM, or several one after the other.
    pub certificate: String,
}

/// Kinds of stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StorageType {
    /// Amazon S3 and compatible.
    S3,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Gcs,
    /// A folder.
    Filesystem,
}

/// A bucket of Amazon S3 or a compatible store. Without credentials, those of the pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct S3Storage {
    /// Name of the bucket.
    pub bucket: String,
    /// Region; compatible stores take any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
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
    pub force_path_style: Option<bool>,
    /// Whether plain HTTP is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_http: Option<bool>,
    /// The authority that signed the store's certificate, or that certificate where it is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<StoreAuthority>,
    /// A shared credentials file, as the AWS tools read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<SecretKey>,
    /// An access key id; goes with `secretKeySecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_secret: Option<SecretKey>,
    /// A secret access key; goes with `accessKeySecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_secret: Option<SecretKey>,
}

/// A container of Azure Blob Storage. At most one kind of credentials; without any, the default chain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureStorage {
    /// Name of the storage account.
    pub storage_account: String,
    /// Name of the container.
    pub container: String,
    /// Folder inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// URL of a sovereign cloud or a private endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The authority that signed the store's certificate, or that certificate where it is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<StoreAuthority>,
    /// A connection string, or an account key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<SecretKey>,
    /// An account key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_key_secret: Option<SecretKey>,
    /// A shared access signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sas_token_secret: Option<SecretKey>,
    /// The secret of a service principal; goes with `clientId` and `tenantId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_secret: Option<SecretKey>,
    /// The client id of a service principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The tenant of a service principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// Whether the pod's workload identity is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_workload_identity: Option<bool>,
}

/// A bucket of Google Cloud Storage. Without credentials, those of the pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GcsStorage {
    /// Name of the bucket.
    pub bucket: String,
    /// Folder inside the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The authority that signed the store's certificate, or that certificate where it is its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<StoreAuthority>,
    /// The JSON key of a service account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret: Option<SecretKey>,
    /// Path of a service account's JSON key in the pod, from `/` on: a file of the image. `credentialsSecret` wins over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_path: Option<String>,
}

/// A key of a Secret with the authority that signed a store's certificate, or with that certificate where it is its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoreAuthority {
    /// Name of the Secret.
    pub name: String,
    /// Key in it, in PEM or DER; or of a PKCS#12 keystore with its password beside it (`ca.password` beside `ca.p12`).
    pub key: String,
    /// Whether the system's authorities are trusted, too.
    #[serde(default = "yes")]
    pub system_roots: bool,
}

fn yes() -> bool {
    true
}

/// A folder of the pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilesystemStorage {
    /// Its path: `<claim>/<folder>` of a PersistentVolumeClaim in this resource's namespace.
    pub path: String,
}
