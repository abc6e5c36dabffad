//! The groups of a plan in words: where each goes, how its places were found, and what is in its way. Pure.

use std::collections::BTreeMap;

use contract::words::plural;
use contract::{GroupLine, GroupRestore};

use super::chosen::Chosen;
use crate::restore::plan::Proposal;

/// The chosen groups, a line each after the first one.
pub(super) fn lines(chosen: &Chosen, spec: &GroupRestore) -> Vec<String> {
    let what =
        if spec.commit { "committed once all records are there" } else { "computed and reported, not committed" };
    let groups = plural(chosen.groups.len() as u64, "consumer group");
    let mut out = vec![format!("committed offsets of {groups} of {}: {what}", chosen.point)];
    for group in &chosen.groups {
        let name =
            if group.id == group.target { group.id.clone() } else { format!("{} -> {}", group.id, group.target) };
        let elsewhere = match group.elsewhere {
            0 => String::new(),
            count => format!(", {count} of topics or partitions that are not restored"),
        };
        let set: Vec<_> = group.configs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let set = if set.is_empty() { String::new() } else { format!(", set on it: {}", set.join(", ")) };
        out.push(format!("group {name}: {}{elsewhere}{set}", plural(group.offsets.len() as u64, "offset")));
    }
    out
}

/// Adds to the lines of a proposal where its groups go, topic by topic, and what keeps a group from being committed.
pub(crate) fn add_places(proposal: &mut Proposal) {
    let mut out = Vec::new();
    let mut lines = std::mem::take(&mut proposal.groups).into_iter();
    out.extend(lines.next());
    for (line, target) in lines.zip(&proposal.targets) {
        out.push(line);
        let of_target = proposal.positions.iter().filter(|line| line.target == *target);
        out.extend(of_target.flat_map(by_topic).map(|text| format!("  {text}")));
        out.extend(proposal.blocked.get(target).map(|why| format!("  blocked: {why}")));
    }
    proposal.groups = out;
}

/// Where a group goes, a line for each topic.
fn by_topic(line: &GroupLine) -> Vec<String> {
    let mut topics: BTreeMap<String, BTreeMap<&'static str, u64>> = BTreeMap::new();
    for at in &line.offsets {
        let source = at.sources.first().map_or(at.topic.as_str(), |source| source.topic.as_str());
        let name = if source == at.topic { source.to_owned() } else { format!("{source} -> {}", at.topic) };
        *topics.entry(name).or_default().entry(at.found.words()).or_default() += 1;
    }
    let words = |(name, found): (String, BTreeMap<&'static str, u64>)| {
        let partitions = plural(found.values().sum(), "partition");
        let found: Vec<_> = found.iter().map(|(words, count)| format!("{count} {words}")).collect();
        format!("{name}: {partitions} ({})", found.join(", "))
    };
    topics.into_iter().map(words).collect()
}

#[cfg(test)]
mod tests {
    use contract::{OffsetFound, OffsetLine, SourceOffset};

    use super::*;
    use crate::offsets::reset::empty;
    use crate::restore::plan::tests::plan;

    #[test]
    fn a_plan_tells_of_each_group_where_it_goes_and_what_is_in_its_way() {
        let at = |topic: &str, partition, found| OffsetLine {
            sources: vec![SourceOffset { topic: topic.into(), partition, offset: 5 }],
            ..OffsetLine::planned(format!("{topic}-2"), partition, 9, found)
        };
        let line = |target: &str, offsets| GroupLine { offsets, ..empty(target, "classic").line };
        let mut proposal = Proposal::new(plan(Vec::new()));
        proposal.groups = ["head", "group shop: 4 offsets", "group live: 1 offset"].map(str::to_owned).into();
        proposal.targets = ["shop", "live"].map(str::to_owned).into();
        proposal.positions = vec![
            line("live", vec![at("orders", 0, OffsetFound::End)]),
            line(
                "shop",
                vec![
                    at("orders", 0, OffsetFound::Record),
                    at("orders", 1, OffsetFound::End),
                    at("orders", 2, OffsetFound::Record),
                    at("bills", 0, OffsetFound::NextRecord),
                ],
            ),
        ];
        proposal.blocked.insert("live".into(), "it has members".into());
        add_places(&mut proposal);
        assert_eq!(
            proposal.groups,
            [
                "head",
                "group shop: 4 offsets",
                "  bills -> bills-2: 1 partition (1 next record after a hole)",
                "  orders -> orders-2: 3 partitions (1 end of the restored records, 2 same record)",
                "group live: 1 offset",
                "  orders -> orders-2: 1 partition (1 end of the restored records)",
                "  blocked: it has members",
            ]
        );
    }
}
