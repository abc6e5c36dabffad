//! The recovery point of a restore: found by its name once, then by what the state says of it. One of another tool is read once
//! before its plan is made, so that all counts are exact and what it lost is known.

use archive::{Point, Store};
use contract::{Code, Failure, ForeignRecords, RestoreSpec};
use foreign::{Named, Set};

use super::state::RestoreState;
use super::trust::set_of;

/// The recovery point that a saved state names.
pub(crate) async fn saved_point(
    store: &Store,
    state: &RestoreState,
    records: ForeignRecords,
) -> Result<Point, Failure> {
    let layout = set_of(state)?;
    // What a state says of an archive of another tool is that it is entry 0 of it, which is no seal of ours.
    if state.entry == 0
        && let Some(set) = Set::find(store, layout.set()).await?
    {
        return Ok(set.surveyed(records).await?);
    }
    Ok(Point::load_as_of(store, &layout, state.entry, state.pruned).await?)
}

/// The recovery point is resolved once; later attempts use the saved one.
pub(crate) async fn load_point(
    store: &Store,
    part: &RestoreSpec,
    saved: Option<&RestoreState>,
) -> Result<Point, Failure> {
    let point = match saved {
        Some(state) => Box::pin(saved_point(store, state, part.foreign_records)).await?,
        None => match foreign::find(store, &part.from).await? {
            Named::Ours(found) => Box::pin(Point::open(store, &found)).await?,
            Named::Theirs(set) => Box::pin(set.surveyed(part.foreign_records)).await?,
        },
    };
    if let Some(expected) = part.expected_owner() {
        point.check_owner(expected).await?;
    }
    point.check_sums().await?;
    if saved.is_some_and(|state| state.digest != point.digest) {
        let text = format!("recovery point {} is not the one that this restore began with", point.seal.point);
        return Err(Failure::new(Code::StateMismatch, text));
    }
    Ok(point)
}
