//! `messageCount`: the records of each partition against those that shall be there. Pure.
//!
//! Of a restore, records are counted where its epochs put them: markers between them count for nothing, and what others wrote
//! behind them neither. What compaction of the cluster removed within these offsets is not seen: only reading shows it.

use contract::words::{count, plural};
use contract::{CheckFinding, CheckVerdict, MessageCountSpec, PatternSyntax, Selection, ValidationCheck};

use super::sides::{Is, Shall, Side};

/// What a restore says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Topics of the archive with the records that the plan has, and whether it is that number exactly.
    pub(super) planned: Vec<(String, u64, bool)>,
    /// Records that it left out, because they cannot be read.
    pub(super) left_out: u64,
}

const NAME: &str = "messageCount";

/// What comes of the check; `account` of a restore.
///
/// # Errors
/// A pattern that does not compile.
pub(super) fn check(
    spec: &MessageCountSpec,
    sides: &[Side],
    account: Option<&Account>,
) -> Result<ValidationCheck, String> {
    let topics = Selection::new(&spec.topics, &[], PatternSyntax::Glob)?;
    let mine: Vec<_> = sides.iter().filter(|side| side.is_of(&topics)).collect();
    let mut findings: Vec<_> = unknown(&topics, sides).collect();
    findings.extend(mine.iter().filter_map(|side| compare(side, spec.fail_threshold)));
    if let Some(account) = account {
        findings.extend(of_account(account, &mine, &topics));
    }
    let (shall, is) = mine.iter().fold((0u64, 0u64), |(shall, is), side| {
        (shall.saturating_add(side.shall.records()), is.saturating_add(present(side).unwrap_or(0)))
    });
    let mut check = verdict(mine.len() as u64, shall, &findings).with_findings(findings);
    for (name, number) in [("partitions", mine.len() as u64), ("expectedRecords", shall), ("records", is)] {
        check.counts.insert(name.into(), number);
    }
    Ok(check)
}

fn verdict(partitions: u64, shall: u64, findings: &[CheckFinding]) -> ValidationCheck {
    let wrong = findings.iter().filter(|finding| finding.is_wrong).count() as u64;
    let of = format!("{} with {}", plural(partitions, "partition"), plural(shall, "record"));
    let (verdict, message) = match (wrong, findings.len()) {
        (0, _) if partitions == 0 => (CheckVerdict::Skipped, "there is no partition to count".to_owned()),
        (0, 0) => (CheckVerdict::Pass, format!("{of}: all are there")),
        (0, notes) => (CheckVerdict::Warn, format!("{of}: nothing lacks; {} to know", plural(notes as u64, "thing"))),
        (wrong, _) => (CheckVerdict::Fail, format!("{of}: {} found", plural(wrong, "difference"))),
    };
    ValidationCheck::new(NAME, verdict, message)
}

/// Topics that were named and are not there.
fn unknown<'a>(topics: &'a Selection, sides: &'a [Side]) -> impl Iterator<Item = CheckFinding> + 'a {
    let lacks = |name: &&String| !sides.iter().any(|side| side.source == **name);
    topics.literals().iter().filter(lacks).map(|name| CheckFinding {
        subject: name.clone(),
        what: "the check names this topic, and nothing of it is compared: it was not restored, or is not archived"
            .to_owned(),
        is_wrong: true,
    })
}

/// Records that are there of those that shall be; offsets where only the archive is known.
fn present(side: &Side) -> Option<u64> {
    let Is::Log(log) = side.is else { return None };
    Some(match &side.shall {
        Shall::Restored(placed) => placed.within(log.start, log.end),
        Shall::Archived { .. } => u64::try_from(log.end.saturating_sub(log.start)).unwrap_or(0),
    })
}

fn compare(side: &Side, threshold: u64) -> Option<CheckFinding> {
    let shall = side.shall.records();
    let wrong = |what: String| CheckFinding { subject: side.place(), what, is_wrong: true };
    if let Some(missing) = side.is.missing() {
        return (shall > threshold).then(|| wrong(format!("{missing}; {} shall be in it", plural(shall, "record"))));
    }
    let is = present(side)?;
    let differ = shall.abs_diff(is);
    if differ <= threshold {
        return None;
    }
    let (shall, is) = (count(shall), count(is));
    Some(match &side.shall {
        Shall::Restored(placed) => {
            let Is::Log(log) = side.is else { return None };
            let cause = if log.start > placed.start { "its first ones were deleted" } else { "its last ones are gone" };
            wrong(format!("{is} of {shall} restored records are there: {cause}"))
        }
        Shall::Archived { records, .. } if *records > present(side)? => {
            wrong(format!("it has {is} offsets, and the recovery point has {shall} records"))
        }
        Shall::Archived { .. } => CheckFinding {
            is_wrong: false,
            ..wrong(format!(
                "it has {is} offsets, more than the {shall} records of the recovery point: markers of transactions and \
                 records that were compacted or written later take offsets, too; name the restore to count exactly"
            ))
        },
    })
}

/// What the restore put there against what its plan has.
fn of_account(account: &Account, mine: &[&Side], topics: &Selection) -> Vec<CheckFinding> {
    let mut out = Vec::new();
    for (topic, planned, exact) in account.planned.iter().filter(|(topic, ..)| topics.matches(topic)) {
        let of_topic = mine.iter().filter(|side| side.source == *topic);
        let put = of_topic.map(|side| side.shall.records()).fold(0, u64::saturating_add);
        let least = if *exact { planned.saturating_sub(account.left_out) } else { 0 };
        if !(least..=*planned).contains(&put) {
            let what = format!("the restore put {} records there, its plan has {}", count(put), count(*planned));
            out.push(CheckFinding { subject: topic.clone(), what, is_wrong: true });
        }
    }
    if account.left_out > 0 {
        let what = format!("the restore left out {} that cannot be read", plural(account.left_out, "record"));
        out.push(CheckFinding { subject: String::new(), what, is_wrong: false });
    }
    out
}

#[cfg(test)]
mod tests;
