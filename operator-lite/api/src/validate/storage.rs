//! Rules of `storage` blocks.

use contract::store_address::{
    self, Bearer, begins_with_bucket, broken_rule, check_bucket, check_prefix, check_region, takes_bucket_in_host,
};

use super::names::{id_key, is_quantity, object_name, sub_path};
use crate::finding::Findings;
use crate::oso::{AzureStorage, PvcStorage, S3Storage, Storage, StoreCaSecret};

const TYPES: [&str; 4] = ["pvc", "s3", "azure", "gcs"];
const ACCESS_MODES: [&str; 4] = ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

pub(crate) fn storage(out: &mut Findings, at: &str, storage: &Storage) {
    let wanted = storage.storage_type.as_str();
    if !out.one_of(&format!("{at}.storageType"), wanted, &TYPES) {
        return;
    }
    let blocks = [
        ("pvc", storage.pvc.is_some()),
        ("s3", storage.s3.is_some()),
        ("azure", storage.azure.is_some()),
        ("gcs", storage.gcs.is_some()),
    ];
    for (name, there) in blocks {
        let field = format!("{at}.{name}");
        if name == wanted && !there {
            out.missing(&field, &format!("is required with storageType {wanted}"), "add the block");
        } else if name != wanted && there {
            let fix = format!("remove it, or set storageType to {name}");
            out.warn(&field, None, &format!("has no effect with storageType {wanted}"), &fix);
        }
    }
    if let Some(pvc) = &storage.pvc {
        volume(out, &format!("{at}.pvc"), pvc);
    }
    if let Some(s3) = &storage.s3 {
        bucket(out, &format!("{at}.s3"), s3);
    }
    if let Some(azure) = &storage.azure {
        container(out, &format!("{at}.azure"), azure);
    }
    if let Some(gcs) = &storage.gcs {
        authority(out, &format!("{at}.gcs.caSecret"), gcs.ca_secret.as_ref());
        object_name(out, &format!("{at}.gcs.credentialsSecret.name"), &gcs.credentials_secret.name);
        bucket_name(out, &format!("{at}.gcs.bucket"), &gcs.bucket);
        prefix(out, &format!("{at}.gcs.prefix"), gcs.prefix.as_deref());
    }
}

pub(super) fn not_empty(out: &mut Findings, field: &str, value: &str) {
    if value.is_empty() {
        out.wrong(field, "\"\"", "must not be empty", "write its name");
    }
}

/// The Secret with a store's authority.
fn authority(out: &mut Findings, field: &str, secret: Option<&StoreCaSecret>) {
    if let Some(secret) = secret {
        object_name(out, &format!("{field}.name"), &secret.name);
        not_empty(out, &format!("{field}.caKey"), &secret.ca_key);
    }
}

/// The name of a bucket or container.
pub(super) fn bucket_name(out: &mut Findings, field: &str, name: &str) {
    if let Err(rule) = check_bucket(name) {
        out.wrong(field, format!("{name:?}"), &rule, "write its name");
    }
}

/// The region of a bucket.
pub(super) fn region(out: &mut Findings, field: &str, region: &str) {
    if let Err(rule) = check_region(region) {
        out.wrong(field, format!("{region:?}"), &rule, "write the region of the bucket");
    }
}

/// The folder of an archive in its bucket.
pub(super) fn prefix(out: &mut Findings, field: &str, prefix: Option<&str>) {
    if let Some(Err(rule)) = prefix.map(check_prefix) {
        out.wrong(field, format!("{:?}", prefix.unwrap_or_default()), &rule, "write a folder like team/backups");
    }
}

fn volume(out: &mut Findings, at: &str, pvc: &PvcStorage) {
    object_name(out, &format!("{at}.claimName"), &pvc.claim_name);
    sub_path(out, &format!("{at}.subPath"), pvc.sub_path.as_deref());
    let Some(create) = &pvc.create else { return };
    if !is_quantity(&create.size) {
        let fix = "write a size like 100Gi";
        out.wrong(&format!("{at}.create.size"), format!("{:?}", create.size), "must be a quantity", fix);
    }
    for (number, mode) in create.access_modes.iter().enumerate() {
        out.one_of(&format!("{at}.create.accessModes[{number}]"), mode, &ACCESS_MODES);
    }
}

fn bucket(out: &mut Findings, at: &str, s3: &S3Storage) {
    bucket_name(out, &format!("{at}.bucket"), &s3.bucket);
    authority(out, &format!("{at}.caSecret"), s3.ca_secret.as_ref());
    region(out, &format!("{at}.region"), &s3.region);
    prefix(out, &format!("{at}.prefix"), s3.prefix.as_deref());
    object_name(out, &format!("{at}.credentialsSecret.name"), &s3.credentials_secret.name);
    id_key(
        out,
        &format!("{at}.credentialsSecret.accessKeyIdKey"),
        &s3.credentials_secret.access_key_id_key,
        "the store",
    );
    endpoint(out, &format!("{at}.endpoint"), s3.endpoint.as_deref(), s3.allow_http == Some(true), false);
    bucket_in_host(out, &format!("{at}.pathStyle"), &s3.bucket, s3.endpoint.as_deref(), s3.path_style);
}

/// The bucket stands in the host name only where there is one.
pub(super) fn bucket_in_host(
    out: &mut Findings,
    field: &str,
    bucket: &str,
    endpoint: Option<&str>,
    path_style: Option<bool>,
) {
    if path_style.is_none() && endpoint.is_some_and(|endpoint| begins_with_bucket(bucket, endpoint)) {
        let rule =
            "is not set, and the endpoint begins with the bucket's name: the bucket stands in the path all the same";
        out.warn(
            field,
            None,
            rule,
            "set it to false where the server takes the bucket from the host name, else to true",
        );
    }
    if path_style == Some(false) && endpoint.is_some_and(|endpoint| !takes_bucket_in_host(endpoint)) {
        out.wrong(field, "false", "the host of endpoint takes no bucket before it", "leave it out");
    }
}

/// The identity of the pod goes to its provider only.
pub(super) fn identity(out: &mut Findings, field: &str, endpoint: Option<&str>, provider: Bearer) {
    if let Some(endpoint) = endpoint
        && let Some((rule, fix)) = store_address::foreign_to_identity(endpoint, provider)
    {
        out.wrong(field, format!("{:?}", store_address::shown(endpoint)), rule, fix);
    }
}

/// The URL of a store.
pub(super) fn endpoint(
    out: &mut Findings,
    field: &str,
    endpoint: Option<&str>,
    http_allowed: bool,
    path_allowed: bool,
) {
    let Some(endpoint) = endpoint else { return };
    let shown = Some(store_address::shown(endpoint));
    if let Some((rule, fix)) = broken_rule(endpoint, path_allowed) {
        out.wrong(field, format!("{:?}", store_address::shown(endpoint)), rule, fix);
    }
    if endpoint.starts_with("http://") && http_allowed {
        let rule = "is plain HTTP: everybody on the way can read the archive";
        out.warn(field, shown, rule, "use https outside a network that you trust");
    } else if endpoint.starts_with("http://") {
        let rule = "is plain HTTP, which is refused without allowHttp";
        out.warn(field, shown, rule, "set allowHttp: true in a network that you trust, or use https");
    } else if !endpoint.starts_with("https://") {
        out.wrong(field, format!("{endpoint:?}"), "must be a URL", "write https://host:port");
    }
}

fn container(out: &mut Findings, at: &str, azure: &AzureStorage) {
    not_empty(out, &format!("{at}.accountName"), &azure.account_name);
    bucket_name(out, &format!("{at}.container"), &azure.container);
    authority(out, &format!("{at}.caSecret"), azure.ca_secret.as_ref());
    prefix(out, &format!("{at}.prefix"), azure.prefix.as_deref());
    endpoint(out, &format!("{at}.endpoint"), azure.endpoint.as_deref(), false, true);
    let secrets = [
        ("credentialsSecret", azure.credentials_secret.as_ref().map(|s| &s.name)),
        ("sasTokenSecret", azure.sas_token_secret.as_ref().map(|s| &s.name)),
        ("servicePrincipalSecret", azure.service_principal_secret.as_ref().map(|s| &s.name)),
    ];
    let mut set: Vec<&str> = secrets.iter().filter(|(_, name)| name.is_some()).map(|(field, _)| *field).collect();
    if azure.use_workload_identity {
        set.push("useWorkloadIdentity");
    }
    if set.len() > 1 {
        let rule = "takes one kind of credentials";
        out.wrong(at, set.join(", "), rule, "keep one of them, or none for the default chain");
    }
    if set.is_empty() || azure.use_workload_identity {
        identity(out, &format!("{at}.endpoint"), azure.endpoint.as_deref(), Bearer::Azure);
    }
    if let Some(principal) = &azure.service_principal_secret {
        id_key(out, &format!("{at}.servicePrincipalSecret.clientIdKey"), &principal.client_id_key, "the store");
        id_key(out, &format!("{at}.servicePrincipalSecret.tenantIdKey"), &principal.tenant_id_key, "the store");
    }
    for (field, name) in secrets {
        if let Some(name) = name {
            object_name(out, &format!("{at}.{field}.name"), name);
        }
    }
}
