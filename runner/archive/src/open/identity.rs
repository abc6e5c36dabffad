//! Which identity of the environment a store is used with, where its specification gives no credentials: in words, without
//! any secret. It reads what the library reads, in the library's order, and asks nobody.

use contract::StoreSpec;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey as S3};
use object_store::azure::{AzureConfigKey as Azure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey as Gcs};

/// The identity; `None` where the specification gives credentials, or the store takes none.
#[must_use]
pub fn ambient_identity(spec: &StoreSpec) -> Option<String> {
    match spec {
        StoreSpec::S3 { credentials: None, .. } => {
            let environment = AmazonS3Builder::from_env();
            Some(of_s3(|key| environment.get_config_value(&key)))
        }
        StoreSpec::Azure { credentials: None, .. } => {
            let environment = MicrosoftAzureBuilder::from_env();
            Some(of_azure(|key| environment.get_config_value(&key)))
        }
        StoreSpec::Gcs { credentials: None, .. } => {
            let environment = GoogleCloudStorageBuilder::from_env();
            Some(of_gcs(|key| environment.get_config_value(&key)))
        }
        StoreSpec::S3 { .. } | StoreSpec::Azure { .. } | StoreSpec::Gcs { .. } | StoreSpec::Filesystem { .. } => None,
    }
}

fn of_s3(get: impl Fn(S3) -> Option<String>) -> String {
    if get(S3::AccessKeyId).is_some() {
        return "the access keys of the environment (AWS_ACCESS_KEY_ID)".to_owned();
    }
    if let (Some(_), Some(role)) = (get(S3::WebIdentityTokenFile), get(S3::RoleArn)) {
        return format!("the web identity of the service account, role {role} (AWS_ROLE_ARN)");
    }
    let of_pod = get(S3::ContainerCredentialsFullUri).and(get(S3::ContainerAuthorizationTokenFile));
    if get(S3::ContainerCredentialsRelativeUri).or(of_pod).is_some() {
        return "the role of the pod or container (AWS_CONTAINER_CREDENTIALS_FULL_URI or _RELATIVE_URI)".to_owned();
    }
    "the role of the machine, from its metadata service (169.254.169.254)".to_owned()
}

fn of_azure(get: impl Fn(Azure) -> Option<String>) -> String {
    if get(Azure::AccessKey).is_some() {
        return "the account key of the environment (AZURE_STORAGE_ACCOUNT_KEY)".to_owned();
    }
    let client = get(Azure::ClientId);
    let shown = client.as_deref().map_or_else(String::new, |id| format!(", client id {id}"));
    if get(Azure::FederatedTokenFile).is_some() {
        return format!("the workload identity of the service account{shown} (AZURE_CLIENT_ID)");
    }
    if get(Azure::ClientSecret).is_some() {
        return format!("a service principal of the environment{shown} (AZURE_CLIENT_ID, AZURE_CLIENT_SECRET)");
    }
    if get(Azure::SasKey).is_some() {
        return "a shared access signature of the environment (AZURE_STORAGE_SAS_KEY)".to_owned();
    }
    format!("the managed identity of the machine{shown}, from its metadata service (169.254.169.254)")
}

fn of_gcs(get: impl Fn(Gcs) -> Option<String>) -> String {
    if let Some(file) = get(Gcs::ServiceAccount) {
        return format!("the service account of {file} (GOOGLE_SERVICE_ACCOUNT)");
    }
    if get(Gcs::ServiceAccountKey).is_some() {
        return "the service account of GOOGLE_SERVICE_ACCOUNT_KEY".to_owned();
    }
    if let Some(file) = get(Gcs::ApplicationCredentials) {
        return format!("Application Default Credentials of {file} (GOOGLE_APPLICATION_CREDENTIALS)");
    }
    "Application Default Credentials of this user, or the service account of the machine, from its metadata service"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_that_counts_is_named_and_no_secret() {
        let canary = || Some("canary".to_owned());
        let s3 = |set: &[(S3, &str)]| {
            of_s3(|key| set.iter().find(|(known, _)| *known == key).map(|(_, value)| (*value).to_owned()))
        };
        assert!(s3(&[]).contains("role of the machine"));
        let web = [(S3::WebIdentityTokenFile, "/token"), (S3::RoleArn, "arn:aws:iam::1:role/backup")];
        assert!(s3(&web).contains("role arn:aws:iam::1:role/backup"), "{}", s3(&web));
        assert!(s3(&web[..1]).contains("role of the machine"), "a token without a role is none");
        let pod = [(S3::ContainerCredentialsFullUri, "http://x"), (S3::ContainerAuthorizationTokenFile, "/token")];
        assert!(s3(&pod).contains("of the pod or container") && s3(&pod[..1]).contains("role of the machine"));
        assert!(s3(&[(S3::ContainerCredentialsRelativeUri, "/x")]).contains("of the pod or container"));
        let keys = [(S3::AccessKeyId, "AKID"), (S3::SecretAccessKey, "canary"), web[0], web[1]];
        assert!(
            s3(&keys).contains("AWS_ACCESS_KEY_ID") && !s3(&keys).contains("canary") && !s3(&keys).contains("AKID")
        );
        let azure = |wanted: &[Azure]| of_azure(|key| wanted.contains(&key).then(canary).flatten());
        assert!(azure(&[]).contains("managed identity of the machine, from"));
        assert!(azure(&[Azure::ClientId, Azure::FederatedTokenFile]).contains("workload identity"));
        assert!(
            azure(&[Azure::ClientSecret]).contains("service principal")
                && !azure(&[Azure::ClientSecret]).contains("canary")
        );
        let gcs = |wanted: &[Gcs]| of_gcs(|key| wanted.contains(&key).then(canary).flatten());
        assert!(gcs(&[]).contains("metadata service") && !gcs(&[Gcs::ServiceAccountKey]).contains("canary"));
        assert!(gcs(&[Gcs::ApplicationCredentials]).contains("GOOGLE_APPLICATION_CREDENTIALS"));
    }
}
