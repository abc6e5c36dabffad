//! `offsetRange`: the log of each partition has the offsets that shall be in it. Pure.

use contract::words::plural;
use contract::{CheckFinding, CheckVerdict, ValidationCheck};

use super::sides::{Is, Shall, Side};
use crate::logs::Span;

const NAME: &str = "offsetRange";

/// What comes of the check.
pub(super) fn check(sides: &[Side]) -> ValidationCheck {
    let findings: Vec<_> = sides.iter().filter_map(compare).collect();
    let partitions = plural(sides.len() as u64, "partition");
    let (verdict, message) = if sides.is_empty() {
        (CheckVerdict::Skipped, "there is no partition to compare".to_owned())
    } else if findings.is_empty() {
        (CheckVerdict::Pass, format!("{partitions}: each log has the offsets that shall be in it"))
    } else {
        (CheckVerdict::Fail, format!("{} of {partitions} lack offsets", findings.len()))
    };
    let mut check = ValidationCheck::new(NAME, verdict, message).with_findings(findings);
    check.counts.insert("partitions".into(), sides.len() as u64);
    check
}

fn compare(side: &Side) -> Option<CheckFinding> {
    let wrong = |what: String| CheckFinding { subject: side.place(), what, is_wrong: true };
    let Is::Log(log) = side.is else {
        return side.is.missing().filter(|_| side.shall.records() > 0).map(|missing| wrong(missing.to_owned()));
    };
    lacking(&side.shall, log).map(wrong)
}

/// What a log lacks, in words.
fn lacking(shall: &Shall, log: Span) -> Option<String> {
    match shall {
        Shall::Restored(placed) if placed.records() == 0 => None,
        Shall::Restored(placed) => {
            let (from, to) = (placed.start, placed.end);
            let has = log.start <= from && log.end >= to;
            let words = || format!("the restore put offsets {from} to {}, and the log has {}", to - 1, shown(log));
            (!has).then(words)
        }
        Shall::Archived { records: 0, .. } => None,
        Shall::Archived { first, next, records } => {
            // A restore begins at the start of an empty log: offsets are others then, and as many.
            let as_in_source = log.start <= *first && log.end >= *next;
            let length = u64::try_from(log.end.saturating_sub(log.start)).unwrap_or(0);
            let words = || {
                format!(
                    "the recovery point has {} at offsets {first} to {}, and the log has {}",
                    plural(*records, "record"),
                    next - 1,
                    shown(log)
                )
            };
            (!as_in_source && length < *records).then(words)
        }
    }
}

fn shown(log: Span) -> String {
    if log.end > log.start { format!("{} to {}", log.start, log.end - 1) } else { "no record".to_owned() }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::restore::finished::Placed;

    fn verdict(shall: Shall, is: Is) -> CheckVerdict {
        check(&[Side { source: "s".into(), topic: "t".into(), partition: 0, shall, is }]).verdict
    }

    fn log(start: i64, end: i64) -> Is {
        Is::Log(Span { start, end })
    }

    #[test]
    fn a_log_has_what_a_restore_put_into_it() {
        let placed = |runs: &[(i64, u64)], start, end| {
            let (source, topic, id) = ("s".to_owned(), "t".to_owned(), Uuid::nil());
            Shall::Restored(Placed { source, topic, id, partition: 0, start, end, runs: runs.to_vec() })
        };
        let shall = || placed(&[(10, 5)], 10, 15);
        assert_eq!(verdict(shall(), log(10, 15)), CheckVerdict::Pass);
        assert_eq!(verdict(shall(), log(0, 99)), CheckVerdict::Pass);
        for bad in [log(11, 15), log(10, 14), log(20, 20), Is::NoTopic, Is::OtherTopic, Is::NoPartition] {
            assert_eq!(verdict(shall(), bad), CheckVerdict::Fail, "{bad:?}");
        }
        assert_eq!(verdict(placed(&[], 10, 10), Is::NoTopic), CheckVerdict::Pass);
        assert_eq!(check(&[]).verdict, CheckVerdict::Skipped);
    }

    #[test]
    fn without_a_restore_the_offsets_are_those_of_the_source_or_as_many() {
        let shall = || Shall::Archived { first: 50, next: 80, records: 10 };
        for (start, end, expected) in [
            (50, 80, CheckVerdict::Pass),
            (0, 100, CheckVerdict::Pass),
            (0, 10, CheckVerdict::Pass),
            (0, 9, CheckVerdict::Fail),
            (75, 80, CheckVerdict::Fail),
        ] {
            assert_eq!(verdict(shall(), log(start, end)), expected, "{start} {end}");
        }
    }
}
