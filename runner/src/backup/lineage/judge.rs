//! Whether a topic of the source is the one that was archived, by records at the same offsets. Pure.

/// A record, as far as it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) offset: i64,
    /// `None` where the broker stamped it: an archive of another tool has the producer's time there.
    pub(super) timestamp: Option<i64>,
    /// Of key and value. Headers are left out: archives of old releases have them otherwise.
    pub(super) digest: [u8; 32],
}

/// What came of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The source has the same records.
    Same,
    /// It has others, or ends before.
    Differs(String),
    /// There is nothing to compare.
    Nothing(String),
    /// The source does not tell now.
    Silent(String),
}

/// What follows for a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is the one that was archived.
    Same,
    /// It is another one, or nobody can tell.
    Another(String),
    /// It is to be asked again.
    Later(String),
}

/// Decides: one partition that differs is enough to say no, and without a partition that agrees nothing says yes.
pub(super) fn decide(verdicts: &[(i32, Verdict)]) -> Decision {
    let find = |pick: fn(&Verdict) -> Option<&String>| {
        verdicts.iter().find_map(|(partition, verdict)| Some(format!("partition {partition}: {}", pick(verdict)?)))
    };
    if let Some(why) = find(|verdict| if let Verdict::Differs(why) = verdict { Some(why) } else { None }) {
        return Decision::Another(why);
    }
    if verdicts.iter().any(|(_, verdict)| *verdict == Verdict::Same) {
        return Decision::Same;
    }
    if let Some(why) = find(|verdict| if let Verdict::Silent(why) = verdict { Some(why) } else { None }) {
        return Decision::Later(why);
    }
    let nothing = find(|verdict| if let Verdict::Nothing(why) = verdict { Some(why) } else { None });
    let why = nothing.unwrap_or_else(|| "the archive has no record of it".to_owned());
    Decision::Another(format!("nothing shows that it is the one that was archived ({why})"))
}

/// Compares records of the archive with those of the source between the same offsets.
pub(super) fn compare(archived: &[Seen], source: &[Seen]) -> Verdict {
    let mut same = 0u64;
    for record in archived {
        let Ok(place) = source.binary_search_by_key(&record.offset, |seen| seen.offset) else { continue };
        let Some(seen) = source.get(place) else { continue };
        let at_once = seen.timestamp.is_none_or(|time| record.timestamp == Some(time));
        if seen.digest != record.digest || !at_once {
            return Verdict::Differs(format!("the source has another record at offset {}", record.offset));
        }
        same += 1;
    }
    if same > 0 {
        return Verdict::Same;
    }
    let span = archived.first().zip(archived.last());
    let (first, last) = span.map_or((0, 0), |(first, last)| (first.offset, last.offset));
    Verdict::Nothing(format!("the source has none of the records of offsets {first} to {last} any more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(offset: i64, time: Option<i64>, content: u8) -> Seen {
        Seen { offset, timestamp: time, digest: [content; 32] }
    }

    #[test]
    fn records_are_the_same_where_all_that_can_be_compared_is() {
        let ours = [seen(5, Some(50), 1), seen(6, Some(60), 2), seen(9, Some(90), 3)];
        assert_eq!(compare(&ours, &ours), Verdict::Same);
        // Compaction took one, and the source has more between.
        assert_eq!(compare(&ours, &[seen(6, Some(60), 2), seen(7, Some(7), 7)]), Verdict::Same);
        // The broker's own times say nothing.
        assert_eq!(compare(&ours, &[seen(5, None, 1)]), Verdict::Same);
        assert!(matches!(compare(&ours, &[seen(5, Some(50), 1), seen(9, Some(90), 4)]), Verdict::Differs(_)));
        assert!(matches!(compare(&ours, &[seen(5, Some(51), 1)]), Verdict::Differs(_)), "written again");
        assert!(matches!(compare(&ours, &[seen(7, Some(70), 1)]), Verdict::Nothing(_)));
        assert!(matches!(compare(&ours, &[]), Verdict::Nothing(_)));
    }

    #[test]
    fn a_lineage_is_never_taken_for_another() {
        let differs = || Verdict::Differs("d".into());
        let (nothing, silent) = (|| Verdict::Nothing("n".into()), || Verdict::Silent("s".into()));
        let decide = |verdicts: &[Verdict]| decide(&(0..).zip(verdicts.iter().cloned()).collect::<Vec<_>>());
        assert_eq!(decide(&[Verdict::Same, nothing(), silent()]), Decision::Same);
        assert_eq!(decide(&[Verdict::Same, differs()]), Decision::Another("partition 1: d".into()));
        assert_eq!(decide(&[silent(), differs()]), Decision::Another("partition 1: d".into()));
        assert_eq!(decide(&[nothing(), silent()]), Decision::Later("partition 1: s".into()));
        assert!(matches!(decide(&[nothing()]), Decision::Another(why) if why.contains("partition 0: n")));
        assert!(matches!(decide(&[]), Decision::Another(why) if why.contains("no record")));
    }
}
