//! Whether the source still is what was archived, by leader epochs (KIP-101, KIP-320). Pure.

/// What the source says of the end of the archived history.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    /// Archived position, and the leader epoch of the batch before it (-1 for none).
    pub(crate) next: i64,
    pub(crate) epoch: i32,
    /// The source's high watermark.
    pub(crate) end: i64,
    /// The largest epoch of the source that is not newer than ours, and its end; `None` when it knows none.
    pub(crate) known: Option<(i32, i64)>,
}

/// Where the histories part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The archived end is part of the source's history, as far as the source can tell.
    Same,
    /// From this offset on the source has other records; the last common epoch.
    PartedAt { offset: i64, epoch: i32 },
    /// From this offset on at the latest, but what was archived under an epoch above this one is not the source's.
    PartedAbove { offset: i64, epoch: i32 },
}

/// Compares.
pub(crate) fn compare(seen: &Evidence) -> Parting {
    let parted = |offset: i64, epoch: i32| Parting::PartedAt { offset: offset.min(seen.next), epoch };
    match seen.known {
        _ if seen.epoch < 0 && seen.end < seen.next => parted(seen.end, -1),
        _ if seen.epoch < 0 => Parting::Same,
        Some((epoch, end)) if epoch == seen.epoch && end < seen.next => parted(end, epoch),
        Some((epoch, _)) if epoch == seen.epoch => Parting::Same,
        Some((epoch, end)) if epoch < seen.epoch => Parting::PartedAbove { offset: end.min(seen.next), epoch },
        // Retention took the epochs that could be compared; only the end can tell.
        _ if seen.end < seen.next => parted(seen.end, -1),
        _ => Parting::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parting(next: i64, epoch: i32, end: i64, known: Option<(i32, i64)>) -> Parting {
        compare(&Evidence { next, epoch, end, known })
    }

    #[test]
    fn a_truncated_source_is_noticed_and_placed() {
        assert_eq!(parting(10, 3, 10, Some((3, 10))), Parting::Same);
        assert_eq!(parting(10, 3, 50, Some((3, 12))), Parting::Same);
        assert_eq!(parting(10, 3, 9, Some((3, 9))), Parting::PartedAt { offset: 9, epoch: 3 });
        assert_eq!(parting(10, 3, 50, Some((3, 8))), Parting::PartedAt { offset: 8, epoch: 3 });
        assert_eq!(parting(10, 3, 50, Some((2, 5))), Parting::PartedAbove { offset: 5, epoch: 2 });
        // The source's epoch 2 went on past what we read under epoch 3: only our own epochs tell where we part.
        assert_eq!(parting(10, 3, 50, Some((2, 40))), Parting::PartedAbove { offset: 10, epoch: 2 });
        // Retention removed the epoch's records: nothing can be compared, but an end below ours is a cut.
        assert_eq!(parting(10, 3, 50, None), Parting::Same);
        assert_eq!(parting(10, 3, 7, None), Parting::PartedAt { offset: 7, epoch: -1 });
        // Nothing was read yet, or messages of old formats without epochs.
        assert_eq!(parting(10, -1, 50, None), Parting::Same);
        assert_eq!(parting(10, -1, 4, None), Parting::PartedAt { offset: 4, epoch: -1 });
    }
}
