//! A set whose newest entry, `set.json` and hint are any bytes: readers end and never panic.
#![no_main]

use std::sync::Arc;

use archive::{Catalog, Layout, Level, Store, find, verify_log};
use object_store::memory::InMemory;
use object_store::path::Path;

const SET: &str = "set";

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let (first, rest) = data.split_at(data.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    runtime.block_on(async {
        let store = Store::new(Arc::new(InMemory::new()), "", "memory");
        let layout = Layout::new(SET);
        let keys = [layout.entry(0), Path::from("set/set.json"), Path::from("set/points/20260101-000000")];
        for (key, bytes) in keys.iter().zip([first, second, third]) {
            store.put(key, bytes.to_vec().into()).await.unwrap();
        }
        drop(Catalog::new(store.clone()).summaries().await);
        drop(find(&store, "set-20260101-000000").await);
        drop(verify_log(&store, &layout, 0, Level::Decode).await);
    });
});
