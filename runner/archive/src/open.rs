//! Opening the store that a specification names, and checking that it is there.

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use contract::store_address::bucket_address;
use contract::{CircuitBreakerSpec, Code, StoreSpec, Waits, words};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::{ArchiveError, Store};

mod azure;
mod breaker;
mod environment;
mod gcs;
mod guard;
mod hosts;
mod identity;
mod lanes;
mod patience;
mod s3;
mod s3_uploads;
mod secret;
mod trouble;
mod unanswered;
mod way;

pub use environment::led_by_environment;
pub use identity::ambient_identity;
pub use way::proxy_of;

use breaker::Breaker;
use way::Way;

/// What gives credentials, for messages.
const GIVERS_S3: &str = "credentialsSecret of the storage (storage.credentials in a run specification; AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment beside --store)";
const GIVERS_AZURE: &str = "credentialsSecret, sasTokenSecret, servicePrincipalSecret or useWorkloadIdentity of the storage (storage.credentials in a run specification; AZURE_STORAGE_ACCOUNT_KEY in the environment beside --store)";
const GIVERS_GCS: &str = "credentialsSecret of the storage (storage.credentials in a run specification; GOOGLE_APPLICATION_CREDENTIALS in the environment beside --store)";

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

/// Opens a store; what it is waited for is told in `waits`.
///
/// # Errors
/// When a credential file cannot be read, the bucket or directory does not exist, or access is refused.
pub async fn open_store(
    spec: &StoreSpec,
    paths: &Paths,
    breaker: &CircuitBreakerSpec,
    waits: &Waits,
) -> Result<Store, ArchiveError> {
    let store = open_unasked(spec, paths, breaker, waits)?;
    check_bucket(&store).await?;
    Ok(store)
}

/// Opens a store without asking it anything.
///
/// # Errors
/// When a credential file cannot be read, or a directory does not exist.
pub fn open_unasked(
    spec: &StoreSpec,
    paths: &Paths,
    breaker: &CircuitBreakerSpec,
    waits: &Waits,
) -> Result<Store, ArchiveError> {
    open(spec, paths, &Breaker::new(*breaker).telling(waits))
}

/// Opens a store for somebody who waits for the answer: a failing request is not sent again for longer than `budget`.
///
/// # Errors
/// As [`open_store`].
pub async fn open_briefly(
    spec: &StoreSpec,
    paths: &Paths,
    budget: Duration,
    waits: &Waits,
) -> Result<Store, ArchiveError> {
    let silence = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX);
    let breaker = CircuitBreakerSpec { enabled: false, operation_timeout_ms: silence, ..CircuitBreakerSpec::default() };
    let store = open(spec, paths, &Breaker::new(breaker).telling(waits).brief(budget))?.with_budget(budget);
    check_bucket(&store).await?;
    Ok(store)
}

fn open(spec: &StoreSpec, paths: &Paths, breaker: &Breaker) -> Result<Store, ArchiveError> {
    let led = led_by_environment(spec)?;
    let spec = led.as_ref().map_or(spec, |(led, _)| led);
    let prefix = spec.prefix();
    let mut uploads = None;
    let (inner, root): (Arc<dyn ObjectStore>, _) = match spec {
        StoreSpec::Filesystem { path, .. } => return open_directory(&paths.volumes.join(path), prefix),
        StoreSpec::S3 { bucket, region, endpoint, path_style, allow_http, tls, credentials, .. } => {
            let way = Way::new(GIVERS_S3, tls.as_ref(), paths)?;
            let address = bucket_address(bucket, endpoint.as_deref(), *path_style);
            let place = s3::S3Bucket { bucket, region, address, allow_http: *allow_http };
            let store = s3::open(&place, credentials.as_ref(), paths, breaker, &way)?;
            uploads = Some(s3_uploads::open(&store, *allow_http, breaker, &way)?);
            (store, format!("s3://{bucket}"))
        }
        StoreSpec::Azure { account, container, endpoint, allow_http, tls, credentials, .. } => {
            let way = Way::new(GIVERS_AZURE, tls.as_ref(), paths)?;
            let place =
                azure::AzureStore { account, container, endpoint: endpoint.as_deref(), allow_http: *allow_http };
            let root = format!("azure://{account}/{container}");
            (azure::open(&place, credentials.as_ref(), paths, breaker, &way)?, root)
        }
        StoreSpec::Gcs { bucket, endpoint, allow_http, tls, credentials, .. } => {
            let way = Way::new(GIVERS_GCS, tls.as_ref(), paths)?;
            let place = gcs::GcsBucket { bucket, endpoint: endpoint.as_deref(), allow_http: *allow_http };
            let inner = gcs::open(&place, credentials.as_ref(), paths, breaker, &way)?;
            (inner, format!("gs://{bucket}"))
        }
    };
    let slow = breaker.patience().slow();
    let store = Store::new(inner, prefix, format!("{root}{}{prefix}", if prefix.is_empty() { "" } else { "/" }));
    let store = store.with_line(slow);
    Ok(match uploads {
        Some(uploads) => store.with_uploads(uploads),
        None => store,
    })
}

/// The HTTP client takes its TLS provider from the process; a caller may have installed one already.
pub fn install_tls() {
    drop(keys::provider().install_default());
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
        Err(error) => {
            return Err(config(Code::StoreDenied, format!("storage.path {shown}: {}", words::of_system(&error))));
        }
    }
    let inner = LocalFileSystem::new_with_prefix(path)
        .map_err(|error| ArchiveError::store("open", path.display(), &error))?
        .with_fsync(true)
        // A folder without objects would look like a set.
        .with_automatic_cleanup(true);
    let place = if prefix.is_empty() { shown.to_string() } else { format!("{shown}/{prefix}") };
    Ok(Store::new(Arc::new(inner), prefix, place))
}

/// Listing tells a missing bucket and refused access apart before anything is written.
async fn check_bucket(store: &Store) -> Result<(), ArchiveError> {
    store.folders(&object_store::path::Path::default()).await.map(drop)
}
