//! Opening the store that a specification names, and checking that it is there.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use contract::{Code, S3Credentials, StoreSpec};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;

use crate::{ArchiveError, Store};

/// Where relative paths of a specification are.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Folder of secrets: `<secrets>/<secret>/<key>`.
    pub secrets: PathBuf,
    /// Folder of volumes: `<volumes>/<claim>/`.
    pub volumes: PathBuf,
}

impl Paths {
    /// The file of a secret.
    #[must_use]
    pub fn secret(&self, path: &str) -> PathBuf {
        self.secrets.join(path)
    }
}

/// Opens a store.
///
/// # Errors
/// When a credential file cannot be read, the bucket or directory does not exist, or access is refused.
pub async fn open_store(spec: &StoreSpec, paths: &Paths) -> Result<Store, ArchiveError> {
    match spec {
        StoreSpec::Filesystem { path, prefix } => open_directory(&paths.volumes.join(path), prefix),
        StoreSpec::S3 { bucket, prefix, .. } => {
            let inner: Arc<dyn ObjectStore> = Arc::new(s3(spec, paths)?);
            let place = format!("s3://{bucket}{}{prefix}", if prefix.is_empty() { "" } else { "/" });
            let store = Store::new(inner, prefix, place);
            check_bucket(&store, bucket).await?;
            Ok(store)
        }
    }
}

/// Opens a directory, which must exist.
///
/// # Errors
/// When it does not exist or is not a directory.
fn open_directory(path: &FilePath, prefix: &str) -> Result<Store, ArchiveError> {
    let shown = path.display();
    let config = |code, reason| ArchiveError::Config { reason, code };
    match std::fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(config(Code::StoreMissing, format!("storage.path {shown} is not a directory"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let reason = format!("storage.path {shown} does not exist; create it, or correct the name");
            return Err(config(Code::StoreMissing, reason));
        }
        Err(error) => return Err(config(Code::StoreDenied, format!("storage.path {shown}: {error}"))),
    }
    let inner = LocalFileSystem::new_with_prefix(path)
        .map_err(|error| ArchiveError::store("open", path.display(), &error))?
        .with_fsync(true);
    let place = if prefix.is_empty() { shown.to_string() } else { format!("{shown}/{prefix}") };
    Ok(Store::new(Arc::new(inner), prefix, place))
}

fn s3(spec: &StoreSpec, paths: &Paths) -> Result<impl ObjectStore, ArchiveError> {
    let StoreSpec::S3 { bucket, region, endpoint, path_style, allow_http, credentials, .. } = spec else {
        return Err(ArchiveError::Config { reason: "not an S3 store".into(), code: Code::Internal });
    };
    // The HTTP client takes its TLS provider from the process; a caller may have installed one already.
    drop(rustls::crypto::ring::default_provider().install_default());
    let encrypted = !endpoint.as_ref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    // Without credentials of our own the environment's identity counts: web identity, container or instance role.
    let builder = if credentials.is_some() { AmazonS3Builder::new() } else { AmazonS3Builder::from_env() };
    let mut builder = builder
        .with_bucket_name(bucket)
        .with_region(region)
        .with_virtual_hosted_style_request(!path_style)
        .with_allow_http(*allow_http)
        // TLS already covers the payload, and blocks have digests of their own: hash bytes once.
        .with_unsigned_payload(encrypted);
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.trim_end_matches('/'));
    }
    if let Some(credentials) = credentials {
        let keys = read_credentials(credentials, paths)?;
        builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
        if let Some(token) = keys.token {
            builder = builder.with_token(token);
        }
    }
    builder.build().map_err(|error| ArchiveError::store("open", bucket, &error))
}

/// Listing tells a missing bucket and refused access apart before anything is written.
async fn check_bucket(store: &Store, bucket: &str) -> Result<(), ArchiveError> {
    match store.folders(&object_store::path::Path::default()).await {
        Err(ArchiveError::Store { code: Code::StoreMissing, .. }) => Err(ArchiveError::Config {
            reason: format!("bucket {bucket:?} does not exist; create it, or correct storage.bucket"),
            code: Code::StoreMissing,
        }),
        other => other.map(drop),
    }
}

struct Keys {
    id: String,
    secret: String,
    token: Option<String>,
}

fn read_credentials(credentials: &S3Credentials, paths: &Paths) -> Result<Keys, ArchiveError> {
    let read = |path: &str| {
        let file = paths.secret(path);
        std::fs::read_to_string(&file).map(|text| text.trim().to_owned()).map_err(|error| ArchiveError::Config {
            reason: format!("storage.credentials: {}: {error}", file.display()),
            code: Code::SecretMissing,
        })
    };
    match credentials {
        S3Credentials::Keys { access_key_id_file, secret_access_key_file } => {
            Ok(Keys { id: read(access_key_id_file)?, secret: read(secret_access_key_file)?, token: None })
        }
        S3Credentials::SharedFile { file, profile } => parse_shared(&read(file)?, profile).map_err(|rule| {
            ArchiveError::Config { reason: format!("storage.credentials.file {file}: {rule}"), code: Code::StoreDenied }
        }),
    }
}

/// Reads one profile of an AWS shared-credentials file.
fn parse_shared(text: &str, profile: &str) -> Result<Keys, String> {
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
        (Some(id), Some(secret)) => Ok(Keys { id, secret, token }),
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
        assert_eq!((keys.id.as_str(), keys.secret.as_str(), keys.token.as_deref()), ("AK", "a=b/c+d", Some("T")));
        assert!(parse_shared(text, "missing").is_err());
        assert_eq!(parse_shared("access_key=x\nsecret_key=y", "default").ok().map(|k| k.id), Some("x".into()));
    }
}
