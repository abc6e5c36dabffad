//! `consumerGroupOffsets`: where consumer groups stand in the cluster against where they shall stand. Pure.

use std::collections::HashMap;

use contract::words::plural;
use contract::{CheckFinding, CheckVerdict, PatternSyntax, Selection, ValidationCheck};
use wire::TopicPartition;

use crate::logs::Span;

pub(super) const NAME: &str = "consumerGroupOffsets";

/// A group that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its id in the recovery point.
    pub(super) source: String,
    /// Its id in the cluster.
    pub(super) target: String,
    /// `classic`, `consumer`, `share` or `streams`.
    pub(super) kind: String,
    /// Partitions of the cluster in which it stands, each with the offset that a restore committed, where that is known.
    pub(super) stands: Vec<(TopicPartition, Option<i64>)>,
}

/// What the groups of a cluster have committed, by group.
pub(super) type Committed = HashMap<String, HashMap<TopicPartition, i64>>;

/// The groups of these that a check is about, and findings on names that it has in vain.
///
/// # Errors
/// A pattern that does not compile.
pub(super) fn select(patterns: &[String], all: Vec<Wanted>) -> Result<(Vec<Wanted>, Vec<CheckFinding>), String> {
    let selection = Selection::new(patterns, &[], PatternSyntax::Glob)?;
    let lacks = |name: &&String| !all.iter().any(|group| group.source == **name);
    let unknown = selection.literals().iter().filter(lacks).map(|name| CheckFinding {
        subject: format!("group {name}"),
        what: "the check names this group, and nothing of it is compared: the recovery point has no offsets of it, or they \
               were not restored"
            .to_owned(),
        is_wrong: true,
    });
    let unknown = unknown.collect();
    Ok((all.into_iter().filter(|group| selection.matches(&group.source)).collect(), unknown))
}

/// What comes of the check; `nothing` says why there is no group, where there is none.
pub(super) fn check(
    wanted: &[Wanted],
    committed: &Committed,
    logs: &HashMap<TopicPartition, Span>,
    mut findings: Vec<CheckFinding>,
    nothing: &str,
) -> ValidationCheck {
    let (mut offsets, mut later) = (0u64, 0u64);
    for group in wanted {
        let has = committed.get(&group.target);
        for (place, shall) in &group.stands {
            offsets += 1;
            let is = has.and_then(|has| has.get(place)).copied();
            later += u64::from(is.zip(*shall).is_some_and(|(is, shall)| is > shall));
            findings.extend(compare(group, place, *shall, is, logs.get(place).copied()));
        }
    }
    let of = format!("{} of {}", plural(offsets, "offset"), plural(wanted.len() as u64, "consumer group"));
    let (verdict, message) = if !findings.is_empty() {
        (CheckVerdict::Fail, format!("{of}: {} found", plural(findings.len() as u64, "difference")))
    } else if wanted.is_empty() {
        (CheckVerdict::Skipped, nothing.to_owned())
    } else if later > 0 {
        (CheckVerdict::Pass, format!("{of}: none stands before its place; {later} went on since"))
    } else {
        (CheckVerdict::Pass, format!("{of}: all stand at their places"))
    };
    let mut check = ValidationCheck::new(NAME, verdict, message).with_findings(findings);
    for (name, number) in [("groups", wanted.len() as u64), ("offsets", offsets), ("wentOn", later)] {
        check.counts.insert(name.into(), number);
    }
    check
}

fn compare(
    group: &Wanted,
    (topic, partition): &TopicPartition,
    shall: Option<i64>,
    is: Option<i64>,
    log: Option<Span>,
) -> Option<CheckFinding> {
    let expected = shall.map_or_else(String::new, |shall| format!("; the restore committed {shall}"));
    let what = match (is, log) {
        (_, None) => format!("the cluster has no such partition{expected}"),
        (None, _) => format!("the group has no committed offset{expected}"),
        (Some(is), _) if shall.is_some_and(|shall| is < shall) => {
            format!("the group stands at {is}{expected}: it would read records again")
        }
        (Some(is), Some(log)) if is > log.end => {
            format!("the group stands at {is}, behind the end of the log at {}{expected}", log.end)
        }
        (Some(is), Some(log)) if is < log.start => {
            format!(
                "the group stands at {is}, before the first record at {}{expected}: what is between is lost",
                log.start
            )
        }
        (Some(_), Some(_)) => return None,
    };
    Some(CheckFinding { subject: format!("group {}, {topic}/{partition}", group.target), what, is_wrong: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> TopicPartition {
        ("t".to_owned(), 0)
    }

    fn wanted(shall: Option<i64>) -> Wanted {
        let (source, target, kind) = ("g".to_owned(), "h".to_owned(), "classic".to_owned());
        Wanted { source, target, kind, stands: vec![(place(), shall)] }
    }

    fn verdict(shall: Option<i64>, is: Option<i64>, log: Option<(i64, i64)>) -> CheckVerdict {
        let committed = [("h".to_owned(), is.map(|is| (place(), is)).into_iter().collect())].into();
        let logs = log.map(|(start, end)| (place(), Span { start, end })).into_iter().collect();
        check(&[wanted(shall)], &committed, &logs, Vec::new(), "none").verdict
    }

    #[test]
    fn a_group_stands_where_the_restore_put_it_or_later() {
        let log = Some((5, 20));
        assert_eq!(verdict(Some(10), Some(10), log), CheckVerdict::Pass);
        assert_eq!(verdict(Some(10), Some(20), log), CheckVerdict::Pass, "its consumers went on");
        for (shall, is, log) in [
            (Some(10), Some(9), log),
            (Some(10), None, log),
            (Some(10), Some(21), log),
            (Some(10), Some(10), None),
            (Some(3), Some(4), log),
            (None, None, log),
            (None, Some(4), log),
            (None, Some(21), log),
        ] {
            assert_eq!(verdict(shall, is, log), CheckVerdict::Fail, "{shall:?} {is:?} {log:?}");
        }
        assert_eq!(verdict(None, Some(5), log), CheckVerdict::Pass);
    }

    #[test]
    fn no_group_is_no_pass_and_a_named_one_must_be_there() {
        let skipped = check(&[], &HashMap::new(), &HashMap::new(), Vec::new(), "none was saved");
        assert_eq!((skipped.verdict, skipped.message.as_str()), (CheckVerdict::Skipped, "none was saved"));
        let (mine, unknown) = select(&["g".into(), "x".into()], vec![wanted(None)]).unwrap();
        assert_eq!((mine.len(), unknown.len()), (1, 1));
        assert_eq!(check(&mine, &HashMap::new(), &HashMap::new(), unknown, "").verdict, CheckVerdict::Fail);
        assert_eq!(select(&["h*".into()], vec![wanted(None)]).unwrap(), (Vec::new(), Vec::new()));
        assert!(select(&["~(".into()], Vec::new()).is_err());
    }
}
