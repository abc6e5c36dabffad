//! Google Cloud Storage.

use std::sync::Arc;

use contract::{Code, GcsCredentials};
use object_store::ObjectStore;
use object_store::gcp::GoogleCloudStorageBuilder;

use super::breaker::Breaker;
use super::guard::Connector;
use super::secret::{Looked, read_secret, unusable};
use super::way::Way;
use super::{Paths, install_tls};
use crate::ArchiveError;

/// What names a store.
pub(super) struct GcsBucket<'a> {
    pub(super) bucket: &'a str,
    pub(super) endpoint: Option<&'a str>,
    pub(super) allow_http: bool,
}

pub(super) fn open(
    place: &GcsBucket<'_>,
    credentials: Option<&GcsCredentials>,
    paths: &Paths,
    breaker: &Breaker,
    way: &Way,
) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    let GcsBucket { bucket, endpoint, allow_http } = *place;
    install_tls();
    let builder =
        if credentials.is_some() { GoogleCloudStorageBuilder::new() } else { GoogleCloudStorageBuilder::from_env() };
    let mut builder = builder.with_bucket_name(bucket).with_client_options(Breaker::client_options(allow_http));
    builder = builder.with_retry(breaker.retries()).with_http_connector(Connector::new(breaker, way));
    if let Some(endpoint) = endpoint {
        builder = builder.with_base_url(endpoint.trim_end_matches('/'));
    }
    if let Some(GcsCredentials::ServiceAccount { file }) = credentials {
        // The library's own message may quote the text around a mistake: the file holds a private key.
        let text = read_secret(paths, file)?;
        check_key(&text).map_err(|rule| ArchiveError::Config {
            reason: format!("storage.credentials.file {file}: {rule}"),
            code: Code::StoreDenied,
        })?;
        builder = builder.with_service_account_key(text);
    }
    let refused = |error: object_store::Error| ArchiveError::store("open", bucket, &error);
    let identity = builder.clone().build().map_err(|error| match credentials {
        // The library's own message may quote the key.
        Some(GcsCredentials::ServiceAccount { file }) => {
            unusable(paths, file, "has a private_key that is no RSA key in PEM (PKCS#8); download the key again")
        }
        None => refused(error),
    })?;
    let looked = Looked(Arc::clone(identity.credentials()));
    Ok(Arc::new(builder.with_credentials(Arc::new(looked)).build().map_err(refused)?))
}

/// Fields that the library takes from a key file, and that decide where requests go and whether they are signed. A
/// specification says that, and admission and the list of allowed endpoints look at it; no key of Google's has them.
const STEERING: [&str; 2] = ["gcs_base_url", "disable_oauth"];

/// The fields of a service account's key file that are needed, and none that leads elsewhere.
fn check_key(text: &str) -> Result<(), String> {
    let json: serde_json::Value = serde_json::from_str(text).map_err(|_| "is not JSON".to_owned())?;
    let text_of = |field: &str| json.get(field).and_then(serde_json::Value::as_str);
    let kind = text_of("type").unwrap_or("service_account");
    if kind != "service_account" {
        return Err(format!("is a key of type {kind:?}; service_account is needed"));
    }
    if let Some(field) = STEERING.iter().find(|field| json.get(field).is_some()) {
        return Err(format!(
            "has {field}, which is no field of Google's; remove it, and set endpoint of the storage instead"
        ));
    }
    match ["client_email", "private_key", "private_key_id"].iter().find(|field| text_of(field).is_none()) {
        Some(field) => Err(format!("has no {field}; it must be the JSON key of a service account")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_file_is_named_without_its_text() {
        assert!(check_key("canary").unwrap_err().contains("JSON"));
        assert!(check_key(r#"{"type": "external_account"}"#).unwrap_err().contains("external_account"));
        assert!(check_key(r#"{"client_email": "a", "private_key_id": "b"}"#).unwrap_err().contains("private_key"));
        check_key(r#"{"client_email": "a", "private_key": "k", "private_key_id": "b"}"#).unwrap();
    }

    #[test]
    fn a_key_does_not_say_where_requests_go() {
        for (field, value) in [
            ("gcs_base_url", r#""https://canary.example.com""#),
            ("gcs_base_url", "null"),
            ("disable_oauth", "true"),
            ("disable_oauth", "false"),
        ] {
            let text =
                format!(r#"{{"client_email": "a", "private_key": "k", "private_key_id": "b", "{field}": {value}}}"#);
            let rule = check_key(&text).unwrap_err();
            assert!(rule.contains(field) && rule.contains("endpoint of the storage"), "{rule}");
            assert!(!rule.contains("canary"), "{rule}");
        }
    }
}
