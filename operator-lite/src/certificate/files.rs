//! A certificate that somebody else keeps in files: it is read again when they change.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::metrics::Metrics;
use crate::webhook::Certificate;

const LOOK: Duration = Duration::from_secs(5);

/// Reads the files now and whenever they change, until `stop`.
///
/// # Errors
/// When they do not read at the start.
pub async fn follow_files(
    certificate: Arc<Certificate>,
    chain: PathBuf,
    key: PathBuf,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let mut last = read(&chain, &key).await?;
    certificate.replace(&last.0, &last.1)?;
    tell(&metrics, &last.0);
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        match read(&chain, &key).await {
            Ok(now) if now != last => match certificate.replace(&now.0, &now.1) {
                Ok(()) => {
                    tell(&metrics, &now.0);
                    last = now;
                }
                // Half written: the next look finds both.
                Err(error) => tracing::warn!(%error, "the new certificate is not used yet"),
            },
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "the certificate could not be read again"),
        }
    }
    Ok(())
}

/// Notes when the certificate ends that is served; it comes first in its chain.
fn tell(metrics: &Metrics, chain: &[u8]) {
    if let Some(at) = api::certificate::ends(chain).first() {
        metrics.certificate_ends(*at);
    }
}

async fn read(chain: &Path, key: &Path) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let one = |path: PathBuf| async move {
        tokio::fs::read(&path).await.map_err(|source| Error::Io { what: format!("reading {}", path.display()), source })
    };
    Ok((one(chain.to_owned()).await?, one(key.to_owned()).await?))
}
