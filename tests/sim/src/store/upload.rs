//! Uploads in parts.

use std::sync::Arc;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::FutureExt;
use object_store::{Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::faults::{Fault, Op};
use super::view::StoreView;

/// An upload in parts, as one attempt sees it.
pub(super) struct Upload {
    view: StoreView,
    key: String,
    inner: Arc<Mutex<Box<dyn MultipartUpload>>>,
    done: Option<PutResult>,
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Upload {
    pub(super) fn new(view: StoreView, key: String, inner: Box<dyn MultipartUpload>) -> Self {
        Self { view, key, inner: Arc::new(Mutex::new(inner)), done: None }
    }

    /// Completes in the store itself, which takes no time there.
    fn complete_now(&mut self) -> Result<PutResult> {
        if let Some(done) = &self.done {
            return Ok(done.clone());
        }
        let result = self.inner.lock().unwrap().complete().now_or_never().expect("memory answers at once")?;
        self.view.store.note_written(&self.key);
        self.done = Some(result.clone());
        Ok(result)
    }
}

/// What S3 says of an upload that is over, one way or the other.
fn no_such_upload(key: &str) -> Error {
    Error::NotFound { path: key.to_owned(), source: "NoSuchUpload: it may have been aborted or completed".into() }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        // Parts are numbered in the order in which they are begun.
        let part = self.inner.lock().unwrap().put_part(data);
        let (view, key) = (self.view.clone(), self.key.clone());
        async move {
            match view.arrive(Op::Part, &key).await {
                Some(Fault::Failed | Fault::Late(_) | Fault::DoneButFailed) => Err(view.give_up("a part").await),
                Some(Fault::NotFound) => Err(no_such_upload(&key)),
                _ => {
                    part.await?;
                    view.back().await;
                    Ok(())
                }
            }
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let fault = self.view.arrive(Op::Complete, &self.key).await;
        match fault {
            Some(Fault::Failed) => return Err(self.view.give_up("the end of an upload").await),
            Some(Fault::DoneButFailed | Fault::Late(_)) => {
                drop(self.complete_now());
                return Err(self.view.give_up("the end of an upload").await);
            }
            Some(Fault::LostAnswer) => {
                drop(self.complete_now());
                self.view.back().await;
                return Err(no_such_upload(&self.key));
            }
            _ => {}
        }
        self.view.hide(&self.key, fault);
        let result = self.complete_now();
        self.view.back().await;
        result
    }

    async fn abort(&mut self) -> Result<()> {
        self.view.gate.pass().await;
        let _open = self.inner.lock().unwrap().abort().now_or_never();
        Ok(())
    }
}
