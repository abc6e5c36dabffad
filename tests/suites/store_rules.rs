//! The rules that every store must keep, written once and run against each.

use archive::{Created, Store};
use bytes::Bytes;
use object_store::path::Path;

/// Panics at the first rule that `store` breaks.
pub async fn keeps_the_rules(store: &Store) {
    let key = |name: &str| Path::from(format!("rules/{name}"));
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    // An object that is not there is no error.
    assert!(store.get(&key("absent")).await.unwrap().is_none());
    assert!(store.size(&key("absent")).await.unwrap().is_none());
    // Of two creates one wins, and the loser's bytes are nowhere.
    assert!(matches!(store.create(&key("once"), text("first")).await, Created::Done));
    assert!(matches!(store.create(&key("once"), text("second")).await, Created::Exists));
    assert_eq!(store.get(&key("once")).await.unwrap().unwrap(), text("first"));
    // Also when they come at the same time.
    for round in 0..20 {
        let name = format!("race-{round}");
        let create = |who: u32| {
            let (store, key) = (store.clone(), key(&name));
            async move { matches!(store.create(&key, Bytes::from(format!("writer {who}"))).await, Created::Done) }
        };
        let wins = tokio::join!(create(1), create(2), create(3));
        assert_eq!(u8::from(wins.0) + u8::from(wins.1) + u8::from(wins.2), 1, "round {round}: {wins:?}");
    }
    // Summaries are overwritten.
    store.put(&key("summary"), text("old").into()).await.unwrap();
    store.put(&key("summary"), text("newer").into()).await.unwrap();
    assert_eq!(store.get(&key("summary")).await.unwrap().unwrap(), text("newer"));
    // Ranges, and objects larger than one part.
    let large: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    store.put(&key("large"), Bytes::from(large.clone()).into()).await.unwrap();
    assert_eq!(store.size(&key("large")).await.unwrap(), Some(20_000_000));
    assert_eq!(store.get_range(&key("large"), 12_345_678..12_345_700).await.unwrap(), large[12_345_678..12_345_700]);
    assert!(store.get_range(&key("large"), 19_999_999..20_000_005).await.is_err());
    // Lists, also longer than one page.
    for number in 0..1_100 {
        store.put(&key(&format!("many/{number:05}")), text("x").into()).await.unwrap();
    }
    let listed = store.objects(&key("many")).await.unwrap();
    assert_eq!((listed.len(), listed[0].as_str(), listed[1_099].as_str()), (1_100, "00000", "01099"));
    let folders = store.folders(&Path::from("rules")).await.unwrap();
    assert_eq!(folders, ["many"]);
    assert_eq!(store.walk(&key("many")).await.unwrap().len(), 1_100);
}
