//! Amazon S3 and compatible stores.

use std::sync::Arc;

use contract::store_address::BucketAddress;
use contract::{Code, S3Credentials, odd};
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};

use super::breaker::Breaker;
use super::guard::Connector;
use super::secret::{FromFiles, Looked, Sent as _, read_secret, read_value, unusable};
use super::way::Way;
use super::{Paths, install_tls};
use crate::ArchiveError;

/// What names an S3 store.
pub(super) struct S3Bucket<'a> {
    pub(super) bucket: &'a str,
    pub(super) region: &'a str,
    pub(super) address: BucketAddress,
    pub(super) allow_http: bool,
}

pub(super) fn open(
    place: &S3Bucket<'_>,
    credentials: Option<&S3Credentials>,
    paths: &Paths,
    breaker: &Breaker,
    way: &Way,
) -> Result<Arc<AmazonS3>, ArchiveError> {
    install_tls();
    let endpoint = place.address.endpoint.as_deref();
    let encrypted = !endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    // Without credentials of our own the environment's identity counts: web identity, container or instance role.
    let builder = if credentials.is_some() { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
    let mut builder = builder
        .with_bucket_name(place.bucket)
        .with_region(place.region)
        .with_virtual_hosted_style_request(!place.address.path_style)
        .with_client_options(Breaker::client_options(place.allow_http))
        .with_retry(breaker.retries())
        .with_http_connector(Connector::new(breaker, way))
        // TLS already covers the payload, and blocks have digests of their own: hash bytes once.
        .with_unsigned_payload(encrypted);
    if let Some(endpoint) = endpoint {
        // The library prefers the second, which the environment may have set.
        builder = builder.with_endpoint(endpoint).with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if let Some(credentials) = credentials {
        let (credentials, paths) = (credentials.clone(), paths.clone());
        let read = move || read_credentials(&credentials, &paths);
        builder = builder.with_credentials(Arc::new(FromFiles::new(read)?));
    }
    let refused = |error: object_store::Error| ArchiveError::store("open", place.bucket, &error);
    let identity = builder.clone().build().map_err(refused)?;
    let looked = Looked(Arc::clone(identity.credentials()));
    Ok(Arc::new(builder.with_credentials(Arc::new(looked)).build().map_err(refused)?))
}

fn read_credentials(credentials: &S3Credentials, paths: &Paths) -> Result<AwsCredential, ArchiveError> {
    match credentials {
        S3Credentials::Keys { access_key_id_file, secret_access_key_file } => Ok(AwsCredential {
            key_id: read_value(paths, access_key_id_file, odd::header_value)?,
            secret_key: read_value(paths, secret_access_key_file, odd::one_line)?,
            token: None,
        }),
        S3Credentials::SharedFile { file, profile } => {
            let keys = parse_shared(&read_secret(paths, file)?, profile).map_err(|rule| ArchiveError::Config {
                reason: format!("storage.credentials.file {file}: {rule}"),
                code: Code::StoreDenied,
            })?;
            match keys.odd() {
                None => Ok(keys),
                Some(rule) => Err(unusable(paths, file, &format!("in profile {profile:?}: {rule}"))),
            }
        }
    }
}

/// Reads one profile of an AWS shared-credentials file.
fn parse_shared(text: &str, profile: &str) -> Result<AwsCredential, String> {
    let (mut id, mut secret, mut token) = (None, None, None);
    // Lines before any section count for the wanted profile: some tools write just the keys.
    let mut inside = true;
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';'])) {
            let value = value.trim().to_owned();
            match key.trim().to_ascii_lowercase().as_str() {
                "aws_access_key_id" | "access_key_id" | "access_key" => id = Some(value),
                "aws_secret_access_key" | "secret_access_key" | "secret_key" => secret = Some(value),
                "aws_session_token" | "session_token" | "token" => token = Some(value),
                _ => {}
            }
        }
    }
    match (id, secret) {
        (Some(key_id), Some(secret_key)) => Ok(AwsCredential { key_id, secret_key, token }),
        _ => Err(format!("profile {profile:?} has no aws_access_key_id and aws_secret_access_key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_credentials_are_read_by_profile() {
        let text = "# comment\n[other]\naws_access_key_id = no\naws_secret_access_key=no\n[default]\naws_access_key_id = AK\naws_secret_access_key = a=b/c+d\naws_session_token=T\n";
        let keys = parse_shared(text, "default").unwrap();
        assert_eq!(
            (keys.key_id.as_str(), keys.secret_key.as_str(), keys.token.as_deref()),
            ("AK", "a=b/c+d", Some("T"))
        );
        assert!(parse_shared(text, "missing").is_err());
        assert_eq!(parse_shared("access_key=x\nsecret_key=y", "default").ok().map(|k| k.key_id), Some("x".into()));
    }
}
