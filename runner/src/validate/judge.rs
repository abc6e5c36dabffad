//! What a pass over the archive says of each check: a problem counts for the shallowest check that sees it. Pure.

use archive::{Level, Problem, Verification};
use contract::words::{count, plural, size};
use contract::{CheckFinding, CheckVerdict, ValidationCheck};

/// The point's own words on what it lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lacks {
    /// Ranges of offsets that are missing for good, each with its place.
    pub(super) gaps: Vec<(String, String)>,
    /// Partitions that end before the source's end, each with its place.
    pub(super) held_back: Vec<(String, String)>,
}

/// A check of the archive with its depth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Depth {
    pub(super) name: &'static str,
    pub(super) level: Level,
}

/// All of them, the shallowest first.
pub(super) const DEPTHS: [Depth; 3] = [
    Depth { name: "structure", level: Level::Structure },
    Depth { name: "checksum", level: Level::Checksum },
    Depth { name: "decode", level: Level::Decode },
];

/// What came of these checks (the shallowest first), which were made in one pass.
pub(super) fn judge(asked: &[Depth], found: &Verification, lacks: &Lacks, millis: u64) -> Vec<ValidationCheck> {
    let mut out = Vec::new();
    let mut left: Vec<_> = findings(found).collect();
    for (place, depth) in asked.iter().enumerate() {
        let (mine, deeper): (Vec<_>, Vec<_>) = left.into_iter().partition(|(level, _)| *level <= depth.level);
        left = deeper;
        let mut mine: Vec<_> = mine.into_iter().map(|(_, finding)| finding).collect();
        if place == 0 {
            mine.extend(lacking(lacks));
        }
        // What a shallower check could not read, this one did not look at.
        let is_blind = out.iter().any(|check: &ValidationCheck| check.verdict == CheckVerdict::Fail);
        out.push(one(*depth, found, mine, is_blind, millis));
    }
    out
}

fn findings(found: &Verification) -> impl Iterator<Item = (Level, CheckFinding)> {
    let of = |is_wrong: bool| {
        move |problem: &Problem| {
            let (subject, what) = (problem.key.clone(), problem.what.clone());
            (found.level_of(problem), CheckFinding { subject, what, is_wrong })
        }
    };
    found.problems.iter().map(of(true)).chain(found.notes.iter().map(of(false)))
}

fn lacking(lacks: &Lacks) -> impl Iterator<Item = CheckFinding> {
    let finding = |(subject, what): &(String, String)| CheckFinding {
        subject: subject.clone(),
        what: what.clone(),
        is_wrong: false,
    };
    lacks.gaps.iter().chain(&lacks.held_back).map(finding)
}

fn one(depth: Depth, found: &Verification, mine: Vec<CheckFinding>, is_blind: bool, millis: u64) -> ValidationCheck {
    let wrong = mine.iter().filter(|finding| finding.is_wrong).count() as u64;
    let notes = mine.len() as u64 - wrong;
    let looked = looked_at(depth.level, found);
    let (verdict, message) = if wrong > 0 {
        (CheckVerdict::Fail, format!("{} in {looked}", plural(wrong, "problem")))
    } else if is_blind {
        (CheckVerdict::Warn, format!("nothing wrong in {looked}; what a check before found damaged was not read"))
    } else if notes > 0 {
        (CheckVerdict::Warn, format!("nothing wrong in {looked}; {} to know", plural(notes, "thing")))
    } else {
        (CheckVerdict::Pass, format!("nothing wrong in {looked}"))
    };
    let mut check = ValidationCheck::new(depth.name, verdict, message).with_findings(mine);
    check.millis = millis;
    check.counts.insert("segments".into(), found.segments);
    if depth.level >= Level::Checksum {
        check.counts.insert("segmentsRead".into(), found.segments_read);
        check.counts.insert("bytes".into(), found.bytes);
    }
    if depth.level >= Level::Decode {
        check.counts.insert("batches".into(), found.batches);
        check.counts.insert("records".into(), found.records);
    }
    check
}

fn looked_at(level: Level, found: &Verification) -> String {
    let segments = plural(found.segments, "segment");
    match level {
        Level::Structure => format!("the log and {segments}"),
        Level::Checksum => format!("{}, {} of {segments}", size(found.bytes), count(found.segments_read)),
        Level::Decode => format!(
            "{} in {} record batches, {} of {segments}",
            plural(found.records, "record"),
            count(found.batches),
            count(found.segments_read)
        ),
    }
}

#[cfg(test)]
mod tests;
