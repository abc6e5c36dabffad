//! `groups`: where a run puts the committed offsets of consumer groups. Nothing is written.

use contract::words::plural;
use contract::{Action, Code, ExitCode, Failure, GroupLine, GroupOutcome, OffsetLine, RunSpec};

use super::{Output, print};
use crate::context::Context;
use crate::emit::Emitter;
use crate::{connect, offsets, restore};

/// Titles of the table.
const TITLES: [&str; 7] = ["GROUP", "KIND", "TOPIC", "PARTITION", "STOOD AT", "GOES TO", "FOUND"];

/// A plan, whatever run makes it.
struct Plan {
    /// The recovery point of a restore.
    point: Option<String>,
    /// The recovery point whose committed offsets it takes.
    positions_point: Option<String>,
    groups: Vec<GroupLine>,
    refusals: Vec<Failure>,
    warnings: Vec<String>,
}

/// Prints where each group goes, and what stands in the way.
pub(crate) async fn groups(context: &Context, spec: &RunSpec, output: Output) -> Result<ExitCode, Failure> {
    let Plan { point, positions_point, groups, refusals, warnings } = Box::pin(plan(context, spec)).await?;
    if output == Output::Json {
        print::json(&serde_json::json!({
            "point": point, "positionsPoint": positions_point, "groups": groups, "refusals": refusals,
            "warnings": warnings,
        }))?;
    } else {
        if let Some(point) = positions_point.or(point) {
            print::line(&format!("{} of recovery point {point}", plural(groups.len() as u64, "consumer group")));
        }
        if !groups.is_empty() {
            print::table(&TITLES, &groups.iter().flat_map(rows).collect::<Vec<_>>());
        }
        for warning in &warnings {
            print::warning(warning);
        }
        for refusal in &refusals {
            print::line(&format!("blocked ({}): {}", refusal.code, refusal.message));
        }
    }
    Ok(if refusals.is_empty() { ExitCode::Done } else { ExitCode::No })
}

async fn plan(context: &Context, spec: &RunSpec) -> Result<Plan, Failure> {
    match spec.action() {
        Ok(Action::Restore(part)) => {
            let found = restore::positions(context, &Emitter::new(context, false), spec, part).await?;
            let restore::Positions { point, taken_from, groups, refusals, warnings } = found;
            Ok(Plan { point: Some(point), positions_point: taken_from, groups, refusals, warnings })
        }
        Ok(action @ (Action::OffsetReset(_) | Action::OffsetRollback(_))) => {
            let cluster = connect::cluster(context, spec, &connect::needs(action)).await?;
            let found = offsets::run::preview(context, &cluster, spec).await?;
            let (refusals, warnings) = (found.refusals, found.warnings);
            Ok(Plan { point: None, positions_point: None, groups: found.lines, refusals, warnings })
        }
        Ok(action @ (Action::Backup(_) | Action::Validation(_) | Action::Prune(_))) => {
            let text = format!(
                "{0}: a {0} moves no consumer groups; give the specification of a restore or an offset reset",
                action.field()
            );
            Err(Failure::new(Code::SpecInvalid, text))
        }
        Err(finding) => Err(Failure::new(Code::SpecInvalid, finding.to_string())),
    }
}

/// The rows of a group: one for each partition, and one for what is left alone.
fn rows(group: &GroupLine) -> Vec<Vec<String>> {
    let name = if group.group == group.target || group.group.is_empty() {
        group.target.clone()
    } else {
        format!("{} -> {}", group.group, group.target)
    };
    let row = |topic: &str, partition: String, stood: String, goes: String, found: String| {
        vec![name.clone(), group.kind.clone(), topic.to_owned(), partition, stood, goes, found]
    };
    let mut out = Vec::new();
    if let Some(reason) = &group.reason {
        out.push(row("-", "-".into(), "-".into(), "-".into(), reason.clone()));
    }
    for at in &group.offsets {
        let done = if group.outcome == GroupOutcome::Committed { ", committed by this restore" } else { "" };
        let found = format!("{}{done}", at.found.words());
        out.push(row(&at.topic, at.partition.to_string(), stood(at), at.offset.to_string(), found));
    }
    for at in &group.deleted {
        let (partition, before) = (at.partition.to_string(), at.before.to_string());
        out.push(row(&at.topic, partition, before, "no offset".into(), "none was saved".into()));
    }
    for at in &group.inexact {
        let goes = at.got.map_or_else(|| "no offset".to_owned(), |offset| offset.to_string());
        let found = format!("not exact: {}", at.reason);
        out.push(row(&at.topic, at.partition.to_string(), at.wanted.to_string(), goes, found));
    }
    for config in &group.configs {
        let told = |value: &Option<String>| value.clone().unwrap_or_else(|| "not set".to_owned());
        out.push(row("-", "-".into(), told(&config.before), told(&config.value), format!("config {}", config.name)));
    }
    if group.elsewhere > 0 {
        let text = format!("left alone: {} of other topics or partitions", plural(group.elsewhere, "offset"));
        out.push(row("-", "-".into(), "-".into(), "-".into(), text));
    }
    if out.is_empty() {
        out.push(row("-", "-".into(), "-".into(), "-".into(), "it has no offsets here".into()));
    }
    out
}

/// Where the group stood: in the source of a restore, or in the same partition before.
fn stood(at: &OffsetLine) -> String {
    if at.sources.is_empty() {
        return at.before.map_or_else(|| "no offset".to_owned(), |offset| offset.to_string());
    }
    let place = |source: &contract::SourceOffset| format!("{}/{} {}", source.topic, source.partition, source.offset);
    at.sources.iter().map(place).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use contract::{OffsetFound, SourceOffset};

    use super::*;

    fn group(offsets: Vec<OffsetLine>) -> GroupLine {
        GroupLine { group: "shop".into(), offsets, ..crate::offsets::reset::empty("shop-2", "classic").line }
    }

    #[test]
    fn each_partition_says_where_it_comes_from_and_how_its_place_was_found() {
        let source = |partition, offset| SourceOffset { topic: "orders".into(), partition, offset };
        let at = OffsetLine {
            sources: vec![source(0, 5), source(1, 7)],
            ..OffsetLine::planned("restored".into(), 0, 12, OffsetFound::LowestUnread)
        };
        let expected = ["shop -> shop-2", "classic", "restored", "0", "orders/0 5, orders/1 7", "12", at.found.words()];
        assert_eq!(rows(&group(vec![at.clone()])), [expected.map(str::to_owned).to_vec()]);
        let before = OffsetLine { sources: Vec::new(), before: Some(3), ..at.clone() };
        assert_eq!(stood(&before), "3");
        assert_eq!(stood(&OffsetLine { before: None, ..before }), "no offset");
    }

    #[test]
    fn what_has_no_row_of_its_own_is_told_all_the_same() {
        let told =
            |group: GroupLine| rows(&group).into_iter().filter_map(|row| row.last().cloned()).collect::<Vec<_>>();
        assert_eq!(told(group(Vec::new())), ["it has no offsets here"]);
        let failed = GroupLine { reason: Some("it has members".into()), elsewhere: 2, ..group(Vec::new()) };
        assert_eq!(told(failed), ["it has members", "left alone: 2 offsets of other topics or partitions"]);
    }
}
