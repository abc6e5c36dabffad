//! Whether a run may read or set the configs of consumer groups themselves (KIP-848). A backup and a restore go on without them,
//! a rollback does not. Judging is pure.

use std::collections::BTreeMap;

use contract::{CheckLine, Code, Failure, Verdict};
use futures::{StreamExt, TryStreamExt};
use wire::{Cluster, GroupConfigs, Right, Rights};

use super::KAFKA;
use super::rights::{AT_ONCE, PATIENCE, several};
use crate::offsets::configs::{UNKNOWN, asked};

/// The step of the lines.
const CHECK: &str = "rights";

/// Whether a backup may read the configs of all groups.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn of_backup(cluster: &Cluster) -> Result<Vec<CheckLine>, Failure> {
    let groups = cluster.groups(PATIENCE).await?.groups;
    let ids: Vec<_> = groups.into_iter().map(|group| group.id).filter(|id| !id.is_empty()).collect();
    // Where brokers know no configs of groups, there are none to read.
    Ok(asked(cluster, &ids).await?.map(|told| judge_reading(&told)).unwrap_or_default())
}

/// Whether a run may set the configs of these groups; `is_needed` where it fails without.
///
/// # Errors
/// When the cluster does not answer.
pub(crate) async fn of_changes(cluster: &Cluster, ids: &[String], is_needed: bool) -> Result<Vec<CheckLine>, Failure> {
    let Some(told) = asked(cluster, ids).await? else {
        let text = format!("the configs of {} cannot be set: {UNKNOWN}", several("group", &names(ids)));
        return Ok(vec![line(is_needed, Code::BrokerUnsupported, text)]);
    };
    let ask = |id: &String| {
        let id = id.clone();
        async move { Ok::<_, Failure>((cluster.group_rights(&id).await?, id)) }
    };
    let readable = ids.iter().filter(|id| told.configs.contains_key(*id));
    let rights: Vec<_> = futures::stream::iter(readable.map(ask)).buffered(AT_ONCE).try_collect().await?;
    let rights = rights.into_iter().filter_map(|(rights, id)| Some((id, rights?))).collect();
    Ok(judge_changes(&told, &rights, is_needed))
}

fn judge_reading(told: &GroupConfigs) -> Vec<CheckLine> {
    let mut out = Vec::new();
    if let Some(error) = told.refused.values().next() {
        let refused: Vec<_> = told.refused.keys().map(String::as_str).collect();
        let text = format!(
            "the configs of {} cannot be read, so that they are not in the backup: {error}; grant DescribeConfigs on the groups",
            several("group", &refused)
        );
        out.push(line(false, Code::NotAuthorized, text));
    }
    if !told.configs.is_empty() {
        let good: Vec<_> = told.configs.keys().map(String::as_str).collect();
        let text = format!("this user may read the configs of {}", several("group", &good));
        out.push(CheckLine::new(KAFKA, CHECK, Verdict::Ok, text));
    }
    out
}

fn judge_changes(told: &GroupConfigs, rights: &BTreeMap<String, Rights>, is_needed: bool) -> Vec<CheckLine> {
    let (mut out, mut good, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    let without = if is_needed { "" } else { ", so that a run goes on without its configs" };
    for (id, error) in &told.refused {
        let text = format!(
            "group {id:?}: its configs cannot be read{without}: {error}; grant DescribeConfigs and AlterConfigs on it"
        );
        out.push(line(is_needed, Code::NotAuthorized, text));
    }
    for id in told.configs.keys() {
        match rights.get(id) {
            Some(rights) if rights.may(Right::AlterConfigs) => good.push(id.as_str()),
            // Who may read them, and is told otherwise, asked a broker that does not tell of configs.
            Some(rights) if rights.may(Right::DescribeConfigs) => {
                let text =
                    format!("group {id:?}: this user may not AlterConfigs{without}; grant AlterConfigs on the group");
                out.push(line(is_needed, Code::NotAuthorized, text));
            }
            Some(_) | None => untold.push(id.as_str()),
        }
    }
    if !good.is_empty() {
        let text = format!("this user may set the configs of {}", several("group", &good));
        out.push(CheckLine::new(KAFKA, CHECK, Verdict::Ok, text));
    }
    if !untold.is_empty() {
        let text =
            format!("brokers do not tell whether this user may set the configs of {}", several("group", &untold));
        out.push(CheckLine::new(KAFKA, CHECK, Verdict::Note, text));
    }
    out
}

fn line(is_failure: bool, code: Code, text: String) -> CheckLine {
    if is_failure {
        CheckLine::failed(KAFKA, CHECK, Failure::new(code, text))
    } else {
        CheckLine::new(KAFKA, CHECK, Verdict::Note, text)
    }
}

fn names(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use wire::{Request, WireError};

    use super::*;

    fn told() -> GroupConfigs {
        let refused = WireError::broker(Request::DescribeConfigs, "configs of group \"hidden\"", 30);
        GroupConfigs {
            configs: ["all", "read", "untold"].map(|id| (id.to_owned(), BTreeMap::new())).into(),
            refused: [("hidden".to_owned(), refused)].into(),
        }
    }

    #[test]
    fn a_backup_goes_on_without_what_it_may_not_read() {
        let lines = judge_reading(&told());
        assert!(lines[0].verdict == Verdict::Note && lines[0].detail.contains("1 group: hidden"), "{lines:?}");
        assert!(lines[0].detail.contains("grant DescribeConfigs"), "{lines:?}");
        assert_eq!(lines[1].detail, "this user may read the configs of 3 groups: all, read, untold");
    }

    #[test]
    fn the_right_to_set_configs_is_told_group_by_group() {
        let rights = |rights: &[Right]| rights.iter().copied().collect::<Rights>();
        let read = [Right::Describe, Right::DescribeConfigs];
        let rights = [
            ("all".to_owned(), rights(&[&read[..], &[Right::AlterConfigs]].concat())),
            ("read".to_owned(), rights(&read)),
            ("untold".to_owned(), rights(&[Right::Describe])),
        ]
        .into();
        let lines = judge_changes(&told(), &rights, false);
        let said: Vec<_> = lines.iter().map(|line| (line.verdict, line.detail.as_str())).collect();
        assert!(
            said[0].0 == Verdict::Note && said[0].1.starts_with("group \"hidden\": its configs cannot be read, so")
        );
        let text = "group \"read\": this user may not AlterConfigs, so that a run goes on without its configs; grant \
                    AlterConfigs on the group";
        assert_eq!(said[1], (Verdict::Note, text));
        assert_eq!(said[2], (Verdict::Ok, "this user may set the configs of 1 group: all"));
        assert!(said[3].1.ends_with("1 group: untold"), "{said:?}");
        // A rollback is not done without them.
        let lines = judge_changes(&told(), &rights, true);
        assert!(lines[..2].iter().all(|line| line.verdict == Verdict::Fail && line.code == Some(Code::NotAuthorized)));
    }
}
