//! `storage` blocks as the runner reads them.

use contract::{AzureCredentials, GcsCredentials, S3Credentials, StoreSpec, StoreTls};

use super::unknown;
use crate::finding::{Finding, Level};
use crate::oso::{AzureStorage, GcsStorage, PvcStorage, S3Storage, Storage, StoreCaSecret};

/// The folder of a claim below the runner's volumes folder.
#[must_use]
pub fn folder(claim: &str, sub_path: Option<&str>) -> String {
    match sub_path.map(|path| path.trim_matches('/')).filter(|path| !path.is_empty()) {
        Some(path) => format!("{claim}/{path}"),
        None => claim.to_owned(),
    }
}

/// The block that `storageType` of the storage at the path `at` names.
pub(super) fn storage(at: &str, storage: &Storage) -> Result<StoreSpec, Finding> {
    let name = storage.storage_type.as_str();
    let made = match name {
        "s3" => storage.s3.as_ref().map(s3),
        "azure" => storage.azure.as_ref().map(azure),
        "gcs" => storage.gcs.as_ref().map(gcs),
        "pvc" => storage.pvc.as_ref().map(pvc),
        _ => return Err(unknown(&format!("{at}.storageType"), name, "pvc, s3, azure, gcs")),
    };
    made.ok_or_else(|| Finding {
        level: Level::Error,
        field: format!("{at}.{name}"),
        value: None,
        rule: format!("is required for storageType {name}"),
        fix: "add it".to_owned(),
    })
}

/// The claim must be there, the folder in it is made.
fn pvc(block: &PvcStorage) -> StoreSpec {
    in_volume(&block.claim_name, block.sub_path.as_deref())
}

/// A folder of a claim as a store.
pub(super) fn in_volume(claim: &str, sub_path: Option<&str>) -> StoreSpec {
    let prefix = sub_path.unwrap_or_default().trim_matches('/').to_owned();
    StoreSpec::Filesystem { path: claim.to_owned(), prefix }
}

fn s3(block: &S3Storage) -> StoreSpec {
    let secret = &block.credentials_secret;
    StoreSpec::S3 {
        bucket: block.bucket.clone(),
        region: block.region.clone(),
        prefix: block.prefix.clone().unwrap_or_default(),
        endpoint: block.endpoint.clone(),
        path_style: block.path_style,
        allow_http: block.allow_http.unwrap_or(false),
        tls: block.ca_secret.as_ref().map(tls),
        credentials: Some(S3Credentials::Keys {
            access_key_id_file: format!("{}/{}", secret.name, secret.access_key_id_key),
            secret_access_key_file: format!("{}/{}", secret.name, secret.secret_access_key_key),
        }),
    }
}

fn tls(secret: &StoreCaSecret) -> StoreTls {
    let ca_file = format!("{}/{}", secret.name, secret.ca_key);
    StoreTls { system_roots: secret.system_roots, ..StoreTls::of(ca_file) }
}

fn azure(block: &AzureStorage) -> StoreSpec {
    let file = |secret: &str, key: &str| format!("{secret}/{key}");
    let credentials = if block.use_workload_identity {
        Some(AzureCredentials::WorkloadIdentity {})
    } else if let Some(secret) = &block.service_principal_secret {
        Some(AzureCredentials::ServicePrincipal {
            client_id_file: file(&secret.name, &secret.client_id_key),
            tenant_id_file: file(&secret.name, &secret.tenant_id_key),
            client_secret_file: file(&secret.name, &secret.client_secret_key),
        })
    } else if let Some(secret) = &block.sas_token_secret {
        Some(AzureCredentials::SasToken { file: file(&secret.name, &secret.sas_token_key) })
    } else {
        let secret = block.credentials_secret.as_ref();
        secret.map(|secret| AzureCredentials::AccountKey { file: file(&secret.name, &secret.account_key_key) })
    };
    StoreSpec::Azure {
        account: block.account_name.clone(),
        container: block.container.clone(),
        prefix: block.prefix.clone().unwrap_or_default(),
        endpoint: block.endpoint.clone(),
        allow_http: false,
        tls: block.ca_secret.as_ref().map(tls),
        credentials,
    }
}

fn gcs(block: &GcsStorage) -> StoreSpec {
    let secret = &block.credentials_secret;
    StoreSpec::Gcs {
        bucket: block.bucket.clone(),
        prefix: block.prefix.clone().unwrap_or_default(),
        endpoint: None,
        allow_http: false,
        tls: block.ca_secret.as_ref().map(tls),
        credentials: Some(GcsCredentials::ServiceAccount {
            file: format!("{}/{}", secret.name, secret.service_account_json_key),
        }),
    }
}
