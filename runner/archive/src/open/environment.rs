//! Where the environment leads a store whose specification names neither an endpoint nor credentials. It reads what the
//! library reads, in the library's order, and asks nobody. What the specification names counts more.

use contract::{Code, StoreSpec};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3};
use object_store::azure::{AzureConfigKey as Azure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Gcs};

use crate::ArchiveError;

/// Variables that name an endpoint.
const OF_S3: &str = "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or AWS_ENDPOINT";
const OF_AZURE: &str = "AZURE_STORAGE_ENDPOINT or AZURE_ENDPOINT";
const OF_GCS: &str = "GOOGLE_BASE_URL";

/// The specification with the endpoint that the environment names, and the variables that may name it; `None` where the
/// specification counts as it is.
///
/// # Errors
/// What the same endpoint would be refused for in the specification.
pub fn led_by_environment(spec: &StoreSpec) -> Result<Option<(StoreSpec, &'static str)>, ArchiveError> {
    let (named, variables) = match spec {
        StoreSpec::S3 { endpoint: None, credentials: None, .. } => {
            let environment = AmazonS3Builder::from_env();
            let special = environment.get_config_value(&S3::S3Endpoint);
            (special.or_else(|| environment.get_config_value(&S3::Endpoint)), OF_S3)
        }
        StoreSpec::Azure { endpoint: None, credentials: None, .. } => {
            (MicrosoftAzureBuilder::from_env().get_config_value(&Azure::Endpoint), OF_AZURE)
        }
        StoreSpec::Gcs { endpoint: None, credentials: None, .. } => {
            (GoogleCloudStorageBuilder::from_env().get_config_value(&Gcs::BaseUrl), OF_GCS)
        }
        StoreSpec::S3 { .. } | StoreSpec::Azure { .. } | StoreSpec::Gcs { .. } | StoreSpec::Filesystem { .. } => {
            return Ok(None);
        }
    };
    named.map(|endpoint| led(spec, endpoint, variables)).transpose()
}

fn led(spec: &StoreSpec, named: String, variables: &'static str) -> Result<(StoreSpec, &'static str), ArchiveError> {
    let mut led = spec.clone();
    match &mut led {
        StoreSpec::S3 { endpoint, .. } | StoreSpec::Azure { endpoint, .. } | StoreSpec::Gcs { endpoint, .. } => {
            *endpoint = Some(named);
        }
        StoreSpec::Filesystem { .. } => {}
    }
    match led.findings().into_iter().find(|(field, _)| field == "endpoint") {
        None => Ok((led, variables)),
        Some((_, rule)) => {
            let reason = format!("the endpoint of the environment ({variables}) {rule}");
            Err(ArchiveError::Config { reason, code: Code::SpecInvalid })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> StoreSpec {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn an_endpoint_of_the_environment_is_judged_as_one_of_the_specification() {
        let s3 = of(r#"{"type": "s3", "bucket": "b", "region": "r"}"#);
        let good = led(&s3, "https://store.example.com".into(), OF_S3).unwrap().0;
        assert_eq!(good.authority(), Some(("store.example.com".to_owned(), 443)));
        for bad in ["http://store.example.com", "store.example.com", "https://a@b", "https://a/b", ""] {
            let error = led(&s3, bad.into(), OF_S3).unwrap_err();
            assert!(
                error.to_string().contains("the endpoint of the environment (AWS_ENDPOINT_URL_S3"),
                "{bad}: {error}"
            );
        }
        // A token of the pod's identity would go there.
        let azure = of(r#"{"type": "azure", "account": "a", "container": "c"}"#);
        let gcs = of(r#"{"type": "gcs", "bucket": "b"}"#);
        for spec in [azure, gcs] {
            assert!(led(&spec, "https://evil.example.com".into(), OF_GCS).is_err(), "{spec:?}");
        }
    }
}
