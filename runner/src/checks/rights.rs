//! Whether we may do to topics and groups what a run will do: told beforehand, topic by topic. Judging is pure.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::{CheckLine, Code, Failure, RestoreSpec, Verdict};
use futures::{StreamExt, TryStreamExt};
use wire::{Cluster, CoordinatorPatience, Groups, ProducerIdentity, Right, Rights, code};

use super::KAFKA;
use crate::restore::{RestorePlan, TargetAction};

/// How long lists and positions of groups may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Groups that are asked about at once.
pub(super) const AT_ONCE: usize = 16;
/// Names that stand in one line.
const SHOWN: usize = 10;

/// What the transactional ids of restores begin with.
const TRANSACTIONS: &str = "kafka-backup-restore-";

/// What a run does to a topic or a group: what it cannot do without, and what it does without.
struct Wanted<'a> {
    name: &'a str,
    needed: Vec<Right>,
    liked: &'static [Right],
}

/// Rights on the topics of a backup.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn of_backup(cluster: &Cluster, topics: &[String]) -> Result<Vec<CheckLine>, Failure> {
    Ok(judge_backup(topics, &cluster.rights(topics).await?))
}

fn judge_backup(topics: &[String], told: &BTreeMap<String, Rights>) -> Vec<CheckLine> {
    let wanted = |name| Wanted { name, needed: vec![Right::Describe, Right::Read], liked: &[Right::DescribeConfigs] };
    judge("topic", &topics.iter().map(|topic| wanted(topic.as_str())).collect::<Vec<_>>(), told)
}

/// Rights on the target topics that a restore finds.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn of_restore(cluster: &Cluster, plan: &RestorePlan) -> Result<Vec<CheckLine>, Failure> {
    let there = plan.topics.iter().filter(|topic| topic.action != TargetAction::Create);
    let wanted: Vec<_> = there
        .map(|topic| {
            let mut needed = vec![Right::Describe, Right::Read, Right::Write];
            needed.extend((topic.action == TargetAction::Purge).then_some(Right::Delete));
            needed.extend((!topic.held.is_empty()).then_some(Right::AlterConfigs));
            Wanted { name: &topic.target, needed, liked: &[Right::DescribeConfigs] }
        })
        .collect();
    let names: Vec<_> = wanted.iter().map(|wanted| wanted.name.to_owned()).collect();
    Ok(judge("topic", &wanted, &cluster.rights(&names).await?))
}

/// Rights on the groups whose offsets a restore commits, whether or not they are there.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn of_targets(
    cluster: &Cluster,
    part: &RestoreSpec,
    targets: &[String],
) -> Result<Vec<CheckLine>, Failure> {
    let Some(groups) = part.groups.as_ref().filter(|groups| groups.commit) else { return Ok(Vec::new()) };
    let ask = |id: &String| {
        let id = id.clone();
        async move { Ok::<_, Failure>((cluster.group_rights(&id).await?, id)) }
    };
    let told: Vec<_> = futures::stream::iter(targets.iter().map(ask)).buffered(AT_ONCE).try_collect().await?;
    let told = told.into_iter().filter_map(|(rights, id)| Some((id, rights?))).collect();
    // Offsets that are put back may have to be deleted.
    let delete = groups.roll_back_on_failure.then_some(Right::Delete);
    let wanted =
        |name| Wanted { name, needed: [Right::Describe, Right::Read].into_iter().chain(delete).collect(), liked: &[] };
    Ok(judge("group", &targets.iter().map(|name| wanted(name.as_str())).collect::<Vec<_>>(), &told))
}

/// Whether a restore may fence what its attempts sent. To end a transaction of an id that nobody has takes that right, and
/// changes nothing.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn of_transactions(cluster: &Cluster, nonce: &str) -> Result<CheckLine, Failure> {
    let asked = cluster.standing(&format!("{TRANSACTIONS}check-{nonce}"), ProducerIdentity { id: 0, epoch: 0 }).await;
    match asked {
        Ok(_) => {
            let text = format!("this user may write with transactional ids that begin with {TRANSACTIONS}");
            Ok(CheckLine::new(KAFKA, "rights", Verdict::Ok, text))
        }
        Err(error) if error.broker_code() == Some(code::TRANSACTIONAL_ID_AUTHORIZATION_FAILED) => {
            let text = format!(
                "this user may not write with transactional ids that begin with {TRANSACTIONS}: duplicates after a crash are \
                 detected, not prevented, and nothing keeps restores of other state stores off the same topics; grant Write and \
                 Describe on transactional ids with that prefix"
            );
            Ok(CheckLine::new(KAFKA, "rights", Verdict::Note, text))
        }
        Err(error) => Err(error.into()),
    }
}

fn judge(noun: &str, wanted: &[Wanted<'_>], told: &BTreeMap<String, Rights>) -> Vec<CheckLine> {
    let (mut out, mut good, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    for Wanted { name, needed, liked } in wanted {
        let Some(rights) = told.get(*name) else {
            untold.push(*name);
            continue;
        };
        let (missing, without) = (rights.missing(needed), rights.missing(liked));
        if missing.is_empty() {
            good.push(*name);
        } else {
            let rights = missing.join(", ");
            let text = format!("{noun} {name}: this user may not {rights}; grant {rights} on the {noun}");
            out.push(CheckLine::failed(KAFKA, "rights", Failure::new(Code::NotAuthorized, text)));
        }
        if !without.is_empty() && missing.is_empty() {
            let rights = without.join(", ");
            let text = format!(
                "{noun} {name}: this user may not {rights}, so that a run goes on without its configs; grant {rights} on the {noun}"
            );
            out.push(CheckLine::new(KAFKA, "rights", Verdict::Note, text));
        }
    }
    if !good.is_empty() {
        let text = format!("this user may do all that is needed to {}", several(noun, &good));
        out.push(CheckLine::new(KAFKA, "rights", Verdict::Ok, text));
    }
    if !untold.is_empty() {
        let text = format!("brokers do not tell what this user may do to {}", several(noun, &untold));
        out.push(CheckLine::new(KAFKA, "rights", Verdict::Note, text));
    }
    out
}

/// Whether the positions of all groups can be read. They are asked for as a run asks.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn of_groups(cluster: &Cluster) -> Result<Vec<CheckLine>, Failure> {
    let Groups { groups, unanswered, sees_all } = cluster.groups(PATIENCE).await?;
    let mut out = Vec::new();
    for (broker, error) in unanswered {
        let text = format!("broker {broker} does not list its groups: {error}");
        out.push(CheckLine::failed(KAFKA, "groups", Failure::new(error.code(), text)));
    }
    if sees_all == Some(false) {
        let text = "groups that this user may not describe are left out without a word; grant Describe on the groups, or on the cluster";
        out.push(CheckLine::new(KAFKA, "groups", Verdict::Note, text));
    }
    let end = tokio::time::Instant::now() + PATIENCE;
    let patience = &CoordinatorPatience::new(PATIENCE);
    let ask = |group: &wire::Group| {
        let group = group.clone();
        async move {
            let asked = tokio::time::timeout_at(end, cluster.group_offsets(&group, patience)).await;
            (group.id, asked)
        }
    };
    let asked: Vec<_> = futures::stream::iter(groups.iter().map(ask)).buffered(AT_ONCE).collect().await;
    let (mut good, mut late) = (Vec::new(), Vec::new());
    for (id, result) in &asked {
        match result {
            Ok(Ok(_)) => good.push(id.as_str()),
            Ok(Err(error)) => {
                let text = format!("group {id:?}: its positions cannot be read: {error}; grant Describe on the group");
                out.push(CheckLine::new(KAFKA, "groups", Verdict::Note, text));
            }
            Err(_) => late.push(id.as_str()),
        }
    }
    if !good.is_empty() || asked.is_empty() {
        let text = format!("this user may read the positions of {}", several("group", &good));
        out.push(CheckLine::new(KAFKA, "groups", Verdict::Ok, text));
    }
    if !late.is_empty() {
        let text = format!("not asked within {} s: {}", PATIENCE.as_secs(), several("group", &late));
        out.push(CheckLine::new(KAFKA, "groups", Verdict::Note, text));
    }
    Ok(out)
}

/// How many there are, and the names of the first.
pub(super) fn several(noun: &str, names: &[&str]) -> String {
    let count = contract::words::plural(names.len() as u64, noun);
    if names.is_empty() {
        return count;
    }
    let shown: Vec<_> = names.iter().take(SHOWN).copied().collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    format!("{count}: {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: &[(&str, &[Right])]) -> BTreeMap<String, Rights> {
        rows.iter().map(|(name, rights)| ((*name).to_owned(), rights.iter().copied().collect())).collect()
    }

    #[test]
    fn each_right_that_is_missing_is_named_with_its_topic() {
        let all = [Right::Describe, Right::Read, Right::DescribeConfigs];
        let told = told(&[("a", &all), ("b", &[Right::Describe]), ("c", &[Right::Describe, Right::Read])]);
        let topics = ["a", "b", "c", "d"].map(str::to_owned);
        let lines = judge_backup(&topics, &told);
        let said: Vec<_> = lines.iter().map(|line| (line.verdict, line.code, line.detail.as_str())).collect();
        let text = "topic b: this user may not Read; grant Read on the topic";
        assert_eq!(said[0], (Verdict::Fail, Some(Code::NotAuthorized), text));
        assert!(said[1].0 == Verdict::Note && said[1].2.starts_with("topic c: this user may not DescribeConfigs"));
        assert_eq!(said[2], (Verdict::Ok, None, "this user may do all that is needed to 2 topics: a, c"));
        assert_eq!(said[3], (Verdict::Note, None, "brokers do not tell what this user may do to 1 topic: d"));
        assert_eq!(said.len(), 4);
    }

    #[test]
    fn rights_on_groups_are_told_as_those_on_topics() {
        let told = told(&[("a", &[Right::Describe, Right::Read]), ("b", &[])]);
        let wanted = |name| Wanted { name, needed: vec![Right::Describe, Right::Read], liked: &[] };
        let lines = judge("group", &[wanted("a"), wanted("b")], &told);
        assert_eq!(lines[0].detail, "group b: this user may not Describe, Read; grant Describe, Read on the group");
        assert_eq!(lines[1].detail, "this user may do all that is needed to 1 group: a");
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<_> = (0..12).map(|n| format!("t{n}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        assert_eq!(several("topic", &names), "12 topics: t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, ...");
        assert_eq!(several("group", &[]), "0 groups");
    }
}
