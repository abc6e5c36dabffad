//! Where the archive is, and how to log in there. Secrets appear as paths only, relative to the runner's secrets
//! folder; a relative directory is taken below its volumes folder.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::paths;
use crate::store_address::{
    Bearer, authority, broken_rule, bucket_address, check_bucket, check_prefix, check_region, foreign_to_identity,
    shown, takes_bucket_in_host,
};

/// Where the archive is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum StoreSpec {
    /// A directory, for example of a mounted volume. It must exist.
    Filesystem {
        /// The directory.
        path: String,
        /// Folder below it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
    },
    /// Amazon S3 and compatible stores.
    S3 {
        /// The bucket. It must exist.
        bucket: String,
        /// Region, also part of the signature.
        region: String,
        /// Key prefix.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
        /// Another endpoint than Amazon's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Whether the bucket stands in the path instead of the host name. When absent: with an endpoint, unless that is a
        /// known provider's name behind the bucket (bucket.s3.eu-central-1.amazonaws.com). When false: before the host
        /// name, unless that begins with the bucket.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path_style: Option<bool>,
        /// Accept an `http://` endpoint; data travels unencrypted.
        #[serde(default)]
        allow_http: bool,
        /// Whose certificates are trusted; the system's authorities when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls: Option<StoreTls>,
        /// How to log in; the environment's identity (web identity, container or instance role) when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<S3Credentials>,
    },
    /// Azure Blob Storage.
    Azure {
        /// The storage account.
        account: String,
        /// The container. It must exist.
        container: String,
        /// Key prefix.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
        /// Another endpoint than `https://<account>.blob.core.windows.net`: of a sovereign cloud, a private link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Accept an `http://` endpoint; data travels unencrypted.
        #[serde(default)]
        allow_http: bool,
        /// Whose certificates are trusted; the system's authorities when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls: Option<StoreTls>,
        /// How to log in; when absent the environment's identity: workload identity, service principal, managed
        /// identity.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<AzureCredentials>,
    },
    /// Google Cloud Storage.
    Gcs {
        /// The bucket. It must exist.
        bucket: String,
        /// Key prefix.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        prefix: String,
        /// Another endpoint than `https://storage.googleapis.com`, for private access.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        endpoint: Option<String>,
        /// Accept an `http://` endpoint; data travels unencrypted.
        #[serde(default)]
        allow_http: bool,
        /// Whose certificates are trusted; the system's authorities when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tls: Option<StoreTls>,
        /// How to log in; Application Default Credentials (a file that the environment names, else the metadata
        /// server) when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credentials: Option<GcsCredentials>,
    },
}

/// Whose certificates are trusted at a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StoreTls {
    /// File with the authority that signed the store's certificate, or with that certificate where it is its own; PEM or DER.
    pub ca_file: String,
    /// More files of the same form, each with one authority or several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_ca_files: Vec<String>,
    /// Whether the system's authorities are trusted, too.
    #[serde(default = "yes")]
    pub system_roots: bool,
}

impl StoreTls {
    /// The certificates of one file, beside the system's authorities.
    #[must_use]
    pub fn of(ca_file: String) -> Self {
        Self { ca_file, more_ca_files: Vec::new(), system_roots: true }
    }

    /// All its files.
    pub fn ca_files(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.ca_file).chain(&self.more_ca_files).map(String::as_str)
    }
}

fn yes() -> bool {
    true
}

/// Credentials for S3, as files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum S3Credentials {
    /// Two files with one value each.
    Keys {
        /// File with the access key id.
        access_key_id_file: String,
        /// File with the secret access key.
        secret_access_key_file: String,
    },
    /// One file in the form of `~/.aws/credentials`.
    SharedFile {
        /// The file.
        file: String,
        /// Profile to take.
        #[serde(default = "default_profile")]
        profile: String,
    },
}

fn default_profile() -> String {
    "default".into()
}

/// Credentials for Azure, one kind at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum AzureCredentials {
    /// A file with an account key, or with a connection string: the text tells which.
    AccountKey {
        /// The file.
        file: String,
    },
    /// A file with a shared access signature.
    SasToken {
        /// The file.
        file: String,
    },
    /// An application with a secret.
    ServicePrincipal {
        /// File with the client id.
        client_id_file: String,
        /// File with the tenant id.
        tenant_id_file: String,
        /// File with the client secret.
        client_secret_file: String,
    },
    /// The same, whose ids are no secret.
    Application {
        /// The client id.
        client_id: String,
        /// The tenant id.
        tenant_id: String,
        /// File with the client secret.
        client_secret_file: String,
    },
    /// The pod's own identity: `AZURE_CLIENT_ID`, `AZURE_TENANT_ID` and `AZURE_FEDERATED_TOKEN_FILE`, which Azure's
    /// admission webhook sets.
    WorkloadIdentity {},
}

/// Credentials for Google Cloud, as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum GcsCredentials {
    /// The JSON key of a service account.
    ServiceAccount {
        /// The file; a whole path (`/etc/keys/backup.json`) where it is no Secret's.
        file: String,
    },
}

/// The rule that an endpoint without TLS breaks.
pub const UNENCRYPTED: &str = "is unencrypted; use https://, or say allowHttp: true";

impl StoreSpec {
    /// Key prefix of the archive.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match self {
            Self::Filesystem { prefix, .. }
            | Self::S3 { prefix, .. }
            | Self::Azure { prefix, .. }
            | Self::Gcs { prefix, .. } => prefix,
        }
    }

    /// The same store, whose certificate the authority in this file signed, beside the system's authorities.
    ///
    /// # Errors
    /// A directory has no certificate.
    pub fn with_ca_file(mut self, file: String) -> Result<Self, &'static str> {
        match &mut self {
            Self::Filesystem { .. } => Err("has no effect on a directory; remove it"),
            Self::S3 { tls, .. } | Self::Azure { tls, .. } | Self::Gcs { tls, .. } => {
                *tls = Some(StoreTls::of(file));
                Ok(self)
            }
        }
    }

    /// Paths of all files with secrets.
    #[must_use]
    pub fn secret_files(&self) -> Vec<&str> {
        self.files().into_iter().map(|(_, file)| file).collect()
    }

    /// The same with their fields.
    fn files(&self) -> Vec<(&'static str, &str)> {
        let authority = self.tls().map(|tls| ("tls.caFile", tls.ca_file.as_str()));
        let more =
            self.tls().into_iter().flat_map(|tls| &tls.more_ca_files).map(|file| ("tls.moreCaFiles", file.as_str()));
        self.credential_files().into_iter().chain(authority).chain(more).collect()
    }

    /// Whose certificates are trusted.
    #[must_use]
    pub fn tls(&self) -> Option<&StoreTls> {
        match self {
            Self::Filesystem { .. } => None,
            Self::S3 { tls, .. } | Self::Azure { tls, .. } | Self::Gcs { tls, .. } => tls.as_ref(),
        }
    }

    fn credential_files(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::S3 {
                credentials: Some(S3Credentials::Keys { access_key_id_file, secret_access_key_file }), ..
            } => vec![
                ("credentials.keys.accessKeyIdFile", access_key_id_file.as_str()),
                ("credentials.keys.secretAccessKeyFile", secret_access_key_file.as_str()),
            ],
            Self::S3 { credentials: Some(S3Credentials::SharedFile { file, .. }), .. } => {
                vec![("credentials.shared-file.file", file.as_str())]
            }
            Self::Azure { credentials: Some(credentials), .. } => match credentials {
                AzureCredentials::ServicePrincipal { client_id_file, tenant_id_file, client_secret_file } => vec![
                    ("credentials.service-principal.clientIdFile", client_id_file.as_str()),
                    ("credentials.service-principal.tenantIdFile", tenant_id_file.as_str()),
                    ("credentials.service-principal.clientSecretFile", client_secret_file.as_str()),
                ],
                AzureCredentials::Application { client_secret_file, .. } => {
                    vec![("credentials.application.clientSecretFile", client_secret_file.as_str())]
                }
                AzureCredentials::AccountKey { file } => vec![("credentials.account-key.file", file.as_str())],
                AzureCredentials::SasToken { file } => vec![("credentials.sas-token.file", file.as_str())],
                AzureCredentials::WorkloadIdentity {} => Vec::new(),
            },
            Self::Gcs { credentials: Some(GcsCredentials::ServiceAccount { file }), .. } => {
                vec![("credentials.service-account.file", file.as_str())]
            }
            Self::Filesystem { .. }
            | Self::S3 { credentials: None, .. }
            | Self::Azure { credentials: None, .. }
            | Self::Gcs { credentials: None, .. } => Vec::new(),
        }
    }

    /// The endpoint that the pod's own identity is sent to, as a bearer token.
    fn identity_goes_to(&self) -> Option<(&str, Bearer)> {
        match self {
            Self::Azure {
                endpoint: Some(endpoint),
                credentials: None | Some(AzureCredentials::WorkloadIdentity {}),
                ..
            } => Some((endpoint, Bearer::Azure)),
            Self::Gcs { endpoint: Some(endpoint), credentials: None, .. } => Some((endpoint, Bearer::Google)),
            _ => None, // requests are signed, or a Secret's own token is sent
        }
    }

    /// Host and port that requests go to; `None` for a directory, and for an endpoint that is no address.
    #[must_use]
    pub fn authority(&self) -> Option<(String, u16)> {
        match self {
            Self::Filesystem { .. } => None,
            Self::S3 { bucket, region, endpoint, path_style, .. } => {
                match bucket_address(bucket, endpoint.as_deref(), *path_style).endpoint {
                    Some(endpoint) => authority(&endpoint),
                    None => Some((format!("s3.{region}.amazonaws.com"), 443)),
                }
            }
            Self::Azure { account, endpoint, .. } => match endpoint {
                Some(endpoint) => authority(endpoint),
                None => Some((format!("{account}.blob.core.windows.net"), 443)),
            },
            Self::Gcs { endpoint, .. } => match endpoint {
                Some(endpoint) => authority(endpoint),
                None => Some(("storage.googleapis.com".to_owned(), 443)),
            },
        }
    }

    /// Whether requests go over TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        match self {
            Self::Filesystem { .. } => false,
            Self::S3 { endpoint, .. } | Self::Azure { endpoint, .. } | Self::Gcs { endpoint, .. } => {
                !endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"))
            }
        }
    }

    /// Broken rules: field below `storage`, and the rule.
    #[must_use]
    pub fn findings(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        let mut say = |field: &str, rule: String| out.push((field.to_owned(), rule));
        let (endpoint, allow_http) = match self {
            Self::Filesystem { path, .. } => {
                if path.is_empty() {
                    say("path", "must not be empty".into());
                }
                if path.split('/').any(|part| part == "..") {
                    let rule = "must not have '..' as a folder, which leads out of its volume; write where it leads to";
                    say("path", format!("is {path:?}; {rule}"));
                }
                (None, true)
            }
            Self::S3 { bucket, region, endpoint, path_style, allow_http, .. } => {
                let in_host = *path_style == Some(false);
                if in_host && endpoint.as_deref().is_some_and(|endpoint| !takes_bucket_in_host(endpoint)) {
                    say(
                        "pathStyle",
                        "is false, and the host of endpoint takes no bucket before it; leave it out".into(),
                    );
                }
                if let Err(rule) = check_bucket(bucket) {
                    say("bucket", format!("is {bucket:?}; {rule}"));
                }
                if let Err(rule) = check_region(region) {
                    say("region", format!("is {region:?}; {rule}"));
                }
                (endpoint.as_ref(), *allow_http)
            }
            Self::Azure { account, container, endpoint, allow_http, .. } => {
                if !(1..=63).contains(&account.len())
                    || !account.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
                {
                    say("account", format!("is {account:?}; must be lower-case letters and digits"));
                }
                if let Err(rule) = check_bucket(container) {
                    say("container", format!("is {container:?}; {rule}"));
                }
                (endpoint.as_ref(), *allow_http)
            }
            Self::Gcs { bucket, endpoint, allow_http, .. } => {
                if let Err(rule) = check_bucket(bucket) {
                    say("bucket", format!("is {bucket:?}; {rule}"));
                }
                (endpoint.as_ref(), *allow_http)
            }
        };
        match endpoint {
            Some(endpoint) if endpoint.starts_with("http://") && !allow_http => {
                say("endpoint", UNENCRYPTED.into());
            }
            Some(endpoint) if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") => {
                say("endpoint", format!("is {endpoint:?}; must begin with https:// (or http:// with allowHttp)"));
            }
            Some(endpoint) => {
                let path_allowed = matches!(self, Self::Azure { .. });
                if let Some((rule, fix)) = broken_rule(endpoint, path_allowed) {
                    say("endpoint", format!("is {:?}; it {rule}: {fix}", shown(endpoint)));
                }
            }
            None => {}
        }
        if let Some((endpoint, provider)) = self.identity_goes_to()
            && let Some((rule, fix)) = foreign_to_identity(endpoint, provider)
        {
            say("endpoint", format!("is {:?}; it {rule}: {fix}", shown(endpoint)));
        }
        if let Err(rule) = check_prefix(self.prefix()) {
            say("prefix", format!("is {:?}; {rule}", self.prefix()));
        }
        for (field, file) in self.files() {
            if let Err(rule) = paths::check_file(file) {
                say(field, format!("is {file:?}; it {rule}"));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_never_leads_out_of_its_volume() {
        let found = |path: &str| StoreSpec::Filesystem { path: path.into(), prefix: String::new() }.findings();
        for bad in ["..", "../other", "claim/../../etc", "/run/volumes/a/..", "claim/.."] {
            let found = found(bad);
            assert!(found.len() == 1 && found[0].0 == "path" && found[0].1.contains("'..'"), "{bad}: {found:?}");
        }
        for good in ["claim", "/var/backups", "./x", "a..b/..c/d..", "claim/folder/"] {
            assert_eq!(found(good), [], "{good}");
        }
    }
}
