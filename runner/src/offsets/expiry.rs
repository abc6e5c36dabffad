//! For how long saved offsets are kept: so many hours after the end of the run that saved them. A run that goes on for longer
//! than that keeps its own.
//!
//! Their name says the hours. A mark beside them says until when they are kept: an attempt that ends sets it, one that
//! begins takes it away. What has no mark is deleted by nobody.

use archive::SavedOffsets;
use contract::{Failure, OffsetsBefore, Report, stamp};
use jiff::{SignedDuration, Timestamp};

use crate::emit::Emitter;

/// `before-<stamp>-<hours>h-<nonce>`, without the hours where it is kept for ever.
pub(super) fn id_of(at: Timestamp, hours: Option<u32>, nonce: &str) -> String {
    let hours = hours.map(|hours| format!("{hours}h-")).unwrap_or_default();
    format!("before-{}-{hours}{nonce}", stamp::stamp(at))
}

/// For how many hours saved offsets of this name are kept after the end of their run.
fn hours_of(id: &str) -> Option<u32> {
    let rest = id.strip_prefix("before-")?;
    let (_, rest) = rest.split_at_checked("YYYYMMDD-HHMMSS".len())?;
    let (hours, _nonce) = rest.strip_prefix('-')?.split_once('-')?;
    hours.strip_suffix('h')?.parse::<u32>().ok()
}

/// The mark of a run that ends now; `None` where they are kept for ever.
fn mark_at(id: &str, now: Timestamp) -> Option<String> {
    let at = now.checked_add(SignedDuration::from_hours(i64::from(hours_of(id)?))).ok()?;
    Some(stamp::stamp(at))
}

/// Keeps saved offsets while their run goes on, however long that takes.
pub(crate) async fn hold(emitter: &Emitter, place: &SavedOffsets, before: &mut OffsetsBefore) {
    before.expires_at = None;
    if hours_of(&before.id).is_none() {
        return;
    }
    let taken = async {
        let marks = place.names().await?.remove(&before.id).unwrap_or_default().marks;
        for mark in marks {
            place.unmark(&before.id, &mark).await?;
        }
        Ok::<(), Failure>(())
    };
    if let Err(error) = taken.await {
        emitter.warn(format!("the saved offsets {} may be deleted before this run is over: {error}", before.id));
    }
}

/// From the end of an attempt on, the hours count for which saved offsets are kept. Whoever calls saves `before` with the state
/// of the run when this returns `true`, and tells the report by it.
pub(crate) async fn count_hours(
    emitter: &Emitter,
    place: &SavedOffsets,
    before: Option<&mut OffsetsBefore>,
    now: Timestamp,
    report: &mut Report,
) -> bool {
    let Some(before) = before else { return false };
    count(emitter, place, before, now).await;
    if before.expires_at.is_none() {
        return false;
    }
    report.offsets_before = Some(before.clone());
    true
}

/// Says that the hours stand beside the saved offsets alone: the state of the run could not be saved with them.
pub(crate) fn warn_not_noted(emitter: &Emitter, error: &dyn std::fmt::Display) {
    emitter.warn(format!("until when the saved offsets are kept is not in the state of this run: {error}"));
}

/// Counts the hours from now on: the run is over.
pub(super) async fn count(emitter: &Emitter, place: &SavedOffsets, before: &mut OffsetsBefore, now: Timestamp) {
    let Some(mark) = mark_at(&before.id, now) else { return };
    match place.mark(&before.id, &mark).await {
        Ok(()) => before.expires_at = Some(stamp::stamp_time(&mark)),
        Err(error) => emitter.warn(format!(
            "until when the saved offsets {} are kept could not be written down, so they are kept: {error}",
            before.id
        )),
    }
}

/// Deletes what is kept for longer than was asked for; says how many.
///
/// # Errors
/// When the store fails.
pub(super) async fn delete_expired(place: &SavedOffsets, now: Timestamp) -> Result<u64, Failure> {
    let (now, mut deleted) = (stamp::stamp(now), 0);
    for (id, found) in place.names().await? {
        if found.is_there && found.marks.last().is_none_or(|last| *last >= now) {
            continue;
        }
        if found.is_there {
            place.delete(&id).await?;
            deleted += 1;
        }
        // Last: without its mark nothing is ever deleted.
        for mark in found.marks {
            place.unmark(&id, &mark).await?;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use archive::{Paths, Store};
    use object_store::memory::InMemory;

    use super::*;
    use crate::context::Context;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_says_for_how_long_what_is_saved_is_kept() {
        let id = id_of(at("2026-11-29T15:45:00Z"), Some(24), "0123abcd");
        assert_eq!(id, "before-20261129-154500-24h-0123abcd");
        assert!(contract::names::check_name(&id).is_ok());
        assert_eq!(hours_of(&id), Some(24));
        assert_eq!(mark_at(&id, at("2026-12-05T01:00:00Z")).as_deref(), Some("20261206-010000"));
        let ever = id_of(at("2026-11-29T15:45:00Z"), None, "0123abcd");
        for id in [ever.as_str(), "before-", "mine", "before-20261129-154500", "before-20261129-154500-xh-0"] {
            assert_eq!(hours_of(id), None, "{id}");
        }
    }

    /// A restore that takes longer than its own retention: what it saved is there until so many hours after its end.
    #[tokio::test]
    async fn the_hours_count_from_the_end_of_the_run() {
        let store = Store::new(Arc::new(InMemory::new()), "", "memory");
        let place = SavedOffsets::new(&store, "c");
        let paths = Paths { secrets: ".".into(), volumes: ".".into() };
        let emitter = Emitter::new(&Context::system(paths), false);
        let saved = at("2026-11-29T00:00:00Z");
        let id = id_of(saved, Some(24), "0");
        let path = place.save(&id, b"{}".to_vec()).await.unwrap();
        let mut before = OffsetsBefore { id: id.clone(), at: saved.to_string(), path, expires_at: None };
        // Days later the run still works.
        assert_eq!(delete_expired(&place, at("2026-12-03T00:00:00Z")).await.unwrap(), 0);
        count(&emitter, &place, &mut before, at("2026-12-03T00:00:00Z")).await;
        assert_eq!(before.expires_at.as_deref(), Some("2026-12-04T00:00:00Z"));
        // Another attempt begins before that, and works for longer.
        hold(&emitter, &place, &mut before).await;
        assert_eq!(
            (before.expires_at.as_deref(), delete_expired(&place, at("2026-12-09T00:00:00Z")).await.unwrap()),
            (None, 0)
        );
        count(&emitter, &place, &mut before, at("2026-12-09T00:00:00Z")).await;
        assert_eq!(delete_expired(&place, at("2026-12-10T00:00:00Z")).await.unwrap(), 0, "until then it is kept");
        assert_eq!(delete_expired(&place, at("2026-12-10T00:00:01Z")).await.unwrap(), 1);
        assert!(place.names().await.unwrap().is_empty(), "with its marks");
        // What is kept for ever has no mark.
        let ever = id_of(saved, None, "0");
        place.save(&ever, b"{}".to_vec()).await.unwrap();
        let mut before = OffsetsBefore { id: ever, ..before };
        count(&emitter, &place, &mut before, saved).await;
        assert_eq!(delete_expired(&place, at("2036-12-10T00:00:01Z")).await.unwrap(), 0);
    }
}
