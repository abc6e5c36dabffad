//! S3's requests about uploads in parts that the object store library does not offer: `ListMultipartUploads`, signed by
//! the library and sent through the guard as every other request.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::Error;
use object_store::aws::AmazonS3;
use object_store::client::{HttpClient, HttpConnector, HttpRequest, HttpRequestBody};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer};
use reqwest::Method;

use super::breaker::Breaker;
use super::guard::Connector;
use super::way::Way;
use crate::ArchiveError;
use crate::uploads::{Page, Upload, Uploads};

/// How long a signature holds; requests are sent at once.
const SIGNED_FOR: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct S3Uploads {
    store: Arc<AmazonS3>,
    client: HttpClient,
}

pub(super) fn open(
    store: &Arc<AmazonS3>,
    allow_http: bool,
    breaker: &Breaker,
    way: &Way,
) -> Result<Arc<dyn Uploads>, ArchiveError> {
    let client = Connector::new(breaker, way).connect(&Breaker::client_options(allow_http));
    let client = client.map_err(|error| ArchiveError::store("open", "the uploads of the bucket", &error))?;
    Ok(Arc::new(S3Uploads { store: Arc::clone(store), client }))
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Generic { store: "S3", source: source.into() }
}

#[async_trait]
impl Uploads for S3Uploads {
    async fn page(&self, prefix: &str, after: Option<&Upload>) -> Result<Page, Error> {
        let mut query = vec![("uploads", ""), ("prefix", prefix)];
        if let Some(after) = after {
            query.extend([("key-marker", after.key.as_str()), ("upload-id-marker", after.id.as_str())]);
        }
        let options = SignedUrlOptions::default().with_query(query);
        let url = self.store.signed_url_opts(Method::GET, &Path::default(), SIGNED_FOR, &options).await?;
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.as_str().parse().map_err(failed)?;
        let answer = self.client.execute(request).await.map_err(failed)?;
        let good = answer.status().is_success();
        let body = answer.into_body().bytes().await.map_err(failed)?;
        let text = String::from_utf8_lossy(&body);
        if !good {
            // The guard has read it: one line of ours.
            return Err(failed(text.into_owned()));
        }
        Page::read(&text).ok_or_else(|| failed("the answer is no list of uploads"))
    }

    async fn abort(&self, key: &Path, id: &str) -> Result<(), Error> {
        self.store.abort_multipart(key, &id.to_owned()).await
    }
}
