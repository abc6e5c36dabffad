//! `storage` blocks of the Strimzi groups as the runner reads them.

use contract::{AzureCredentials, GcsCredentials, S3Credentials, StoreSpec, StoreTls};

use crate::finding::{Finding, Level};
use crate::lower::storage::in_volume;
use crate::strimzi::{
    AzureStorage, GcsStorage, S3Storage, SecretKey, Storage, StorageType, StoreAuthority, TrustedCertificate,
};

/// The region of requests where none is named: compatible stores take any.
const REGION: &str = "us-east-1";
/// The profile of a shared credentials file.
const PROFILE: &str = "default";

/// The block that `type` names.
pub(in crate::lower) fn storage(storage: &Storage) -> Result<StoreSpec, Finding> {
    let trusted = storage.tls.as_ref().map_or(&[][..], |tls| &tls.trusted_certificates);
    let (name, made) = match storage.kind {
        StorageType::S3 => ("s3", storage.s3.as_ref().map(|block| s3(block, trusted))),
        StorageType::Azure => ("azure", storage.azure.as_ref().map(|block| azure(block, trusted))),
        StorageType::Gcs => ("gcs", storage.gcs.as_ref().map(|block| gcs(block, trusted))),
        StorageType::Filesystem => ("filesystem", storage.filesystem.as_ref().map(|block| folder(&block.path))),
    };
    made.ok_or_else(|| Finding {
        level: Level::Error,
        field: format!("spec.storage.{name}"),
        value: None,
        rule: format!("is required with type {name}"),
        fix: "add the block".to_owned(),
    })
}

fn file(secret: &SecretKey) -> String {
    format!("{}/{}", secret.name, secret.key)
}

/// Whose certificates are trusted: the store's own authority, then those for every store.
fn tls(own: Option<&StoreAuthority>, trusted: &[TrustedCertificate]) -> Option<StoreTls> {
    let more = trusted.iter().map(|one| format!("{}/{}", one.secret_name, one.certificate));
    let mut files = own.map(|own| format!("{}/{}", own.name, own.key)).into_iter().chain(more);
    let ca_file = files.next()?;
    let system_roots = own.is_none_or(|own| own.system_roots);
    Some(StoreTls { more_ca_files: files.collect(), system_roots, ..StoreTls::of(ca_file) })
}

/// `<claim>/<folder>`.
fn folder(path: &str) -> StoreSpec {
    match path.split_once('/') {
        Some((claim, folder)) => in_volume(claim, Some(folder)),
        None => in_volume(path, None),
    }
}

fn s3(block: &S3Storage, trusted: &[TrustedCertificate]) -> StoreSpec {
    let pair = block.access_key_secret.as_ref().zip(block.secret_key_secret.as_ref());
    let keys =
        pair.map(|(id, key)| S3Credentials::Keys { access_key_id_file: file(id), secret_access_key_file: file(key) });
    let shared = block.credentials_secret.as_ref();
    let shared = shared.map(|secret| S3Credentials::SharedFile { file: file(secret), profile: PROFILE.to_owned() });
    StoreSpec::S3 {
        bucket: block.bucket.clone(),
        region: block.region.clone().unwrap_or_else(|| REGION.to_owned()),
        prefix: block.prefix.clone().unwrap_or_default(),
        endpoint: block.endpoint.clone(),
        path_style: block.force_path_style,
        allow_http: block.allow_http.unwrap_or(false),
        tls: tls(block.ca_secret.as_ref(), trusted),
        credentials: keys.or(shared),
    }
}

fn azure(block: &AzureStorage, trusted: &[TrustedCertificate]) -> StoreSpec {
    let ids = block.client_id.as_ref().zip(block.tenant_id.as_ref());
    let application = block.client_secret_secret.as_ref().zip(ids);
    let application = application.map(|(secret, (client, tenant))| AzureCredentials::Application {
        client_id: client.clone(),
        tenant_id: tenant.clone(),
        client_secret_file: file(secret),
    });
    let identity = (block.use_workload_identity == Some(true)).then_some(AzureCredentials::WorkloadIdentity {});
    let sas = block.sas_token_secret.as_ref().map(|secret| AzureCredentials::SasToken { file: file(secret) });
    let key = block.account_key_secret.as_ref().or(block.credentials_secret.as_ref());
    let key = key.map(|secret| AzureCredentials::AccountKey { file: file(secret) });
    StoreSpec::Azure {
        account: block.storage_account.clone(),
        container: block.container.clone(),
        prefix: block.prefix.clone().unwrap_or_default(),
        endpoint: block.endpoint.clone(),
        allow_http: false,
        tls: tls(block.ca_secret.as_ref(), trusted),
        credentials: identity.or(application).or(sas).or(key),
    }
}

fn gcs(block: &GcsStorage, trusted: &[TrustedCertificate]) -> StoreSpec {
    // A whole path: the file is the image's.
    let key = block.credentials_secret.as_ref().map(file).or_else(|| block.service_account_path.clone());
    StoreSpec::Gcs {
        bucket: block.bucket.clone(),
        prefix: block.prefix.clone().unwrap_or_default(),
        endpoint: None,
        allow_http: false,
        tls: tls(block.ca_secret.as_ref(), trusted),
        credentials: key.map(|file| GcsCredentials::ServiceAccount { file }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_roots_can_be_switched_off() {
        let block = |more: &str| -> S3Storage {
            serde_json::from_str(&format!(r#"{{"bucket": "b", "caSecret": {{"name": "c", "key": "ca.p12"{more}}}}}"#))
                .unwrap()
        };
        for (more, system_roots) in [("", true), (r#", "systemRoots": false"#, false)] {
            let StoreSpec::S3 { tls, .. } = s3(&block(more), &[]) else { panic!() };
            assert_eq!(tls, Some(StoreTls { system_roots, ..StoreTls::of("c/ca.p12".to_owned()) }));
        }
    }
}
