//! Rules of the `storage` block.

use contract::store_address::Bearer;

use super::cluster::secret;
use super::without_effect;
use crate::finding::Findings;
use crate::strimzi::{AzureStorage, GcsStorage, S3Storage, SecretKey, Storage, StorageType, StoreAuthority};
use crate::validate::names::{id_key, object_name, sub_path};
use crate::validate::storage::{bucket_in_host, bucket_name, endpoint, identity, not_empty, prefix, region};

const AT: &str = "spec.storage";

pub(super) fn storage(out: &mut Findings, storage: &Storage) {
    let blocks = [
        (StorageType::S3, "s3", storage.s3.is_some()),
        (StorageType::Azure, "azure", storage.azure.is_some()),
        (StorageType::Gcs, "gcs", storage.gcs.is_some()),
        (StorageType::Filesystem, "filesystem", storage.filesystem.is_some()),
    ];
    for (kind, name, there) in blocks {
        let field = format!("{AT}.{name}");
        if kind == storage.kind && !there {
            out.missing(&field, &format!("is required with type {name}"), "add the block");
        } else if kind != storage.kind {
            without_effect(out, &field, there, "it is not the block of the type");
        }
    }
    if let Some(block) = &storage.s3 {
        s3(out, block);
    }
    if let Some(block) = &storage.azure {
        azure(out, block);
    }
    if let Some(block) = &storage.gcs {
        gcs(out, block);
    }
    trusted_certificates(out, storage);
    if let Some(block) = &storage.filesystem {
        let field = format!("{AT}.filesystem.path");
        not_empty(out, &field, &block.path);
        sub_path(out, &field, Some(&block.path));
    }
}

fn trusted_certificates(out: &mut Findings, storage: &Storage) {
    let field = format!("{AT}.tls.trustedCertificates");
    let all = storage.tls.as_ref().map_or(&[][..], |tls| &tls.trusted_certificates);
    for (number, one) in all.iter().enumerate() {
        object_name(out, &format!("{field}[{number}].secretName"), &one.secret_name);
        if one.certificate.is_empty() {
            let field = format!("{field}[{number}].certificate");
            out.wrong(&field, "\"\"", "must not be empty", "write a key of the Secret, like ca.crt");
        }
    }
    let endpoint = match storage.kind {
        StorageType::S3 => storage.s3.as_ref().and_then(|s3| s3.endpoint.as_deref()),
        StorageType::Azure => storage.azure.as_ref().and_then(|azure| azure.endpoint.as_deref()),
        StorageType::Gcs | StorageType::Filesystem => None,
    };
    let is_plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    without_effect(out, &field, !all.is_empty() && is_plain, "the endpoint begins with http://, which has no TLS");
    let is_folder = storage.kind == StorageType::Filesystem;
    without_effect(out, &field, !all.is_empty() && is_folder, "a folder has no certificate");
}

fn s3(out: &mut Findings, s3: &S3Storage) {
    bucket_name(out, &format!("{AT}.s3.bucket"), &s3.bucket);
    region(out, &format!("{AT}.s3.region"), s3.region.as_deref().unwrap_or("us-east-1"));
    prefix(out, &format!("{AT}.s3.prefix"), s3.prefix.as_deref());
    endpoint(out, &format!("{AT}.s3.endpoint"), s3.endpoint.as_deref(), s3.allow_http == Some(true), false);
    bucket_in_host(out, &format!("{AT}.s3.forcePathStyle"), &s3.bucket, s3.endpoint.as_deref(), s3.force_path_style);
    if let Some(secret) = &s3.access_key_secret {
        id_key(out, &format!("{AT}.s3.accessKeySecret.key"), &secret.key, "the store");
    }
    let pair = [("accessKeySecret", &s3.access_key_secret), ("secretKeySecret", &s3.secret_key_secret)];
    for (name, key) in pair {
        secret(out, &format!("{AT}.s3.{name}"), key.as_ref());
        if key.is_none() && pair.iter().any(|(_, other)| other.is_some()) {
            let rule = "is required: accessKeySecret and secretKeySecret go together";
            out.missing(&format!("{AT}.s3.{name}"), rule, "add it");
        }
    }
    authority(out, &format!("{AT}.s3.caSecret"), s3.ca_secret.as_ref());
    secret(out, &format!("{AT}.s3.credentialsSecret"), s3.credentials_secret.as_ref());
    let both = s3.credentials_secret.is_some() && pair.iter().any(|(_, key)| key.is_some());
    without_effect(out, &format!("{AT}.s3.credentialsSecret"), both, "accessKeySecret and secretKeySecret win");
}

fn azure(out: &mut Findings, azure: &AzureStorage) {
    let at = format!("{AT}.azure");
    not_empty(out, &format!("{at}.storageAccount"), &azure.storage_account);
    bucket_name(out, &format!("{at}.container"), &azure.container);
    prefix(out, &format!("{at}.prefix"), azure.prefix.as_deref());
    endpoint(out, &format!("{at}.endpoint"), azure.endpoint.as_deref(), false, true);
    authority(out, &format!("{at}.caSecret"), azure.ca_secret.as_ref());
    let secrets = [
        ("credentialsSecret", &azure.credentials_secret),
        ("accountKeySecret", &azure.account_key_secret),
        ("sasTokenSecret", &azure.sas_token_secret),
        ("clientSecretSecret", &azure.client_secret_secret),
    ];
    let mut set: Vec<&str> = secrets.iter().filter(|(_, key)| key.is_some()).map(|(name, _)| *name).collect();
    if azure.use_workload_identity == Some(true) {
        set.push("useWorkloadIdentity");
    }
    if set.len() > 1 {
        let rule = "takes one kind of credentials";
        out.wrong(&at, set.join(", "), rule, "keep one of them, or none for the default chain");
    }
    if set.is_empty() || azure.use_workload_identity == Some(true) {
        identity(out, &format!("{at}.endpoint"), azure.endpoint.as_deref(), Bearer::Azure);
    }
    for (name, key) in secrets {
        secret(out, &format!("{at}.{name}"), key.as_ref());
    }
    for (name, id) in [("clientId", &azure.client_id), ("tenantId", &azure.tenant_id)] {
        let field = format!("{at}.{name}");
        if azure.client_secret_secret.is_some() && id.is_none() {
            out.missing(&field, "is required with clientSecretSecret", "add it");
        }
        let used = azure.client_secret_secret.is_some() || azure.use_workload_identity == Some(true);
        without_effect(out, &field, id.is_some() && !used, "it goes with clientSecretSecret or useWorkloadIdentity");
    }
}

fn gcs(out: &mut Findings, gcs: &GcsStorage) {
    bucket_name(out, &format!("{AT}.gcs.bucket"), &gcs.bucket);
    prefix(out, &format!("{AT}.gcs.prefix"), gcs.prefix.as_deref());
    authority(out, &format!("{AT}.gcs.caSecret"), gcs.ca_secret.as_ref());
    secret(out, &format!("{AT}.gcs.credentialsSecret"), gcs.credentials_secret.as_ref());
    let field = format!("{AT}.gcs.serviceAccountPath");
    let both = gcs.credentials_secret.is_some() && gcs.service_account_path.is_some();
    without_effect(out, &field, both, "credentialsSecret wins");
    let Some(path) = gcs.service_account_path.as_ref().filter(|_| !both) else { return };
    let shown = format!("{path:?}");
    let parts = || path.split('/').skip(1);
    if !path.starts_with('/') || parts().any(|part| part.is_empty() || part == "..") {
        let rule = "must be the whole path of a file, from / on and without ..";
        out.wrong(&field, shown, rule, "write it like /etc/keys/backup.json, or use credentialsSecret");
    } else {
        let rule = "must be in the image of the run: pods mount nothing there";
        out.warn(&field, Some(shown), rule, "use credentialsSecret where the key is in a Secret");
    }
}

/// The Secret with the authority of a store.
fn authority(out: &mut Findings, at: &str, given: Option<&StoreAuthority>) {
    let given = given.map(|given| SecretKey { name: given.name.clone(), key: given.key.clone() });
    secret(out, at, given.as_ref());
}
