//! The recovery points that anybody is offered now.

use std::collections::BTreeSet;

use archive::Catalog;

use crate::attempt::Ground;

/// A recovery point: its stamp, its set, and the number of its seal.
pub(crate) type Shown = (String, String, u64);

/// The points that anybody is offered, oldest first.
pub(crate) async fn shown(ground: &Ground) -> BTreeSet<Shown> {
    let catalog = Catalog::new(ground.plain_store());
    let mut out = BTreeSet::new();
    for set in catalog.sets().await.unwrap_or_default() {
        // One that goes away meanwhile shows nothing.
        let Ok((_, points)) = catalog.set_and_points(&set).await else { continue };
        out.extend(points.into_iter().map(|point| (point.stamp, set.clone(), point.entry)));
    }
    out
}
