//! The store rules against stores that need no server.

mod store_rules;

use std::sync::Arc;

use archive::{Paths, Store, open_store};

#[tokio::test(flavor = "multi_thread")]
async fn a_local_directory_keeps_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    let spec = contract::StoreSpec::Filesystem { path: dir.path().display().to_string(), prefix: "a/b".into() };
    let paths = Paths { secrets: ".".into(), volumes: ".".into() };
    store_rules::keeps_the_rules(
        &open_store(&spec, &paths, &contract::CircuitBreakerSpec::default(), &contract::Waits::default())
            .await
            .unwrap(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_memory_keeps_the_rules() {
    let inner = Arc::new(object_store::memory::InMemory::new());
    store_rules::keeps_the_rules(&Store::new(inner, "prefix", "memory")).await;
}
