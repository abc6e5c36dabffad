//! Whole archives of somebody who may write to the bucket.

use std::cell::RefCell;

use archive::{Catalog, Layout, Level, find, verify_log};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::documents::HONEST;
use crate::forge::{Change, Harm, Objects, harmed};
use crate::made::SET;
use crate::ways::{read, runtime, stored, write};

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(runtime());
}

/// Does something that waits for an archive in memory.
pub(crate) fn wait(work: impl Future<Output = ()>) {
    RUNTIME.with_borrow(|runtime| runtime.block_on(work));
}

/// The newest entry, `set.json` and the newest hint of an honest set, one after the other.
pub(crate) fn documents() -> Vec<Vec<u8>> {
    let newest = |part: &str| HONEST.iter().rfind(|(key, _)| key.contains(part)).map(|(_, bytes)| bytes.clone());
    vec![["/log/main/", "set.json", "/points/"].into_iter().filter_map(newest).collect::<Vec<_>>().concat()]
}

/// A set whose first entry, `set.json` and hint are any bytes.
pub(crate) fn log(data: &[u8]) {
    let (first, rest) = data.split_at(data.len() / 3);
    let (second, third) = rest.split_at(rest.len() / 2);
    let layout = Layout::new(SET);
    let keys = [layout.entry(0).to_string(), format!("{SET}/set.json"), format!("{SET}/points/20260101-000000")];
    let objects: Objects = keys.into_iter().zip([first, second, third].map(<[u8]>::to_vec)).collect();
    wait(async {
        let made = stored(&objects).await;
        drop(Catalog::new(made.store.clone()).summaries().await);
        drop(find(&made.store, &format!("{SET}-20260101-000000")).await);
        drop(verify_log(&made.store, &layout, 0, Level::Decode).await);
    });
}

/// Bytes that stand for harms of each kind.
pub(crate) fn harms() -> Vec<Vec<u8>> {
    (0..40u8)
        .map(|kind| (0..20).map(|place: u8| kind.wrapping_mul(37).wrapping_add(place.wrapping_mul(11))).collect())
        .collect()
}

/// An honest archive with a harm that the bytes stand for: everything that reads it comes back, and whoever goes on with it.
pub(crate) fn whole(data: &[u8]) {
    let Some(harm) = harm(data) else { return };
    let objects = harmed(&HONEST, &harm);
    wait(async {
        let made = stored(&objects).await;
        Box::pin(read(&made)).await;
        write(&made).await;
    });
}

fn harm(data: &[u8]) -> Option<Harm> {
    let (kind, rest) = data.split_first()?;
    let number = |at: usize| {
        let bytes = rest.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let (one, two) = (number(0)?, number(4)?);
    let (change, mends) = (rest.get(8)?, *rest.get(9)? % 10 != 0);
    Some(match kind % 20 {
        0 => Harm::Remove(one),
        1 | 2 => Harm::Cut(one, two),
        3 | 4 => Harm::Flip(one, two, change | 1),
        5 => Harm::Swap(one, two),
        _ => Harm::Document(one, two, changed(*change, number(10).unwrap_or(two)), mends),
    })
}

fn changed(kind: u8, number: usize) -> Change {
    let number = number as u64;
    Change::To(match kind % 24 {
        0 => return Change::Drop,
        1 => return Change::Half,
        2 | 3 => return Change::Repeat(2 + usize::try_from(number % 2_000).unwrap_or(2)),
        4 => json!(null),
        5 => json!([]),
        6 => json!({}),
        7 => json!("../../../etc"),
        8 => json!(true),
        9 => json!([[[[]]]]),
        10 => json!(1e300),
        11 => json!(u64::MAX),
        12 => json!(i64::MAX),
        13 => json!(i64::MIN),
        14 => json!(u32::MAX),
        15 => json!(-1),
        16 => json!(number),
        17 => json!(number << 32),
        _ => json!(number % 130),
    })
}
