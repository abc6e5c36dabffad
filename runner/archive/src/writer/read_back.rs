//! Reading back what the log names so far, before it is sealed.

use std::sync::Arc;

use super::SetWriter;
use crate::index::Index;
use crate::wanted::Wanted;
use crate::{ArchiveError, BatchStream};

impl SetWriter {
    /// Streams the committed batches of `wanted` that entries up to the newest one name, as a reader of a recovery point
    /// sealed now would get them.
    ///
    /// # Errors
    /// When an entry or a roll-up is missing or damaged.
    pub fn read_back(&self, wanted: Wanted) -> impl Future<Output = Result<BatchStream, ArchiveError>> + Send + use<> {
        let (store, layout, newest) = (self.store.clone(), self.options.layout.clone(), self.newest());
        async move {
            let (index, ..) = Index::load(&store, &layout, newest).await?;
            let wanted = Arc::new(wanted);
            let segments = index.plan(&wanted).await?.segments;
            Ok(BatchStream::of((&store, &layout), segments, wanted, index.pruned.clone()))
        }
    }
}
