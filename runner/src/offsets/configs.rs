//! Configs that are set on consumer groups themselves (KIP-848): what is there, what a run changes, and what is refused.
//!
//! A config that the cluster refuses is named; the offsets of its group do not wait for it.

use std::collections::BTreeMap;

use contract::{ConfigLine, Failure, GroupLine};
use wire::{Cluster, GroupConfigs, WireError};

use super::work::{GroupWork, PATIENCE, Trouble};

/// Why nothing is set on groups where brokers know no configs of them.
pub(crate) const UNKNOWN: &str = "its brokers know no configs of consumer groups (Kafka 3.9 or newer does)";
/// Configs that are set on a group, by name; `None` for one that is not set.
pub(super) type Set = BTreeMap<String, Option<String>>;

/// What is set on groups, of these configs; groups of which that is not known are left out: nothing is set on them either.
///
/// # Errors
/// When no broker answers.
pub(super) async fn now(cluster: &Cluster, wanted: &[(&str, Vec<&str>)]) -> Result<BTreeMap<String, Set>, Failure> {
    let ids: Vec<_> = wanted.iter().filter(|(_, names)| !names.is_empty()).map(|(id, _)| (*id).to_owned()).collect();
    let Some(told) = asked(cluster, &ids).await? else { return Ok(BTreeMap::new()) };
    let of = |(id, names): &(&str, Vec<&str>)| {
        let set = told.configs.get(*id).filter(|_| !names.is_empty())?;
        let values = names.iter().map(|name| ((*name).to_owned(), set.get(*name).cloned()));
        Some(((*id).to_owned(), values.collect()))
    };
    Ok(wanted.iter().filter_map(of).collect())
}

/// What is set on groups; `None` where brokers know no configs of groups. Nobody is asked about no group.
///
/// # Errors
/// When no broker answers.
pub(crate) async fn asked(cluster: &Cluster, ids: &[String]) -> Result<Option<GroupConfigs>, Failure> {
    if ids.is_empty() {
        return Ok(Some(GroupConfigs::default()));
    }
    Ok(cluster.group_configs(ids, PATIENCE).await?)
}

/// Sets the configs of a group that are not as they shall be. What is refused stands in the line.
///
/// # Errors
/// What may pass by itself.
pub(super) async fn set_configs(cluster: &Cluster, line: &mut GroupLine) -> Result<(), Trouble> {
    if line.configs.is_empty() {
        return Ok(());
    }
    let id = line.target.clone();
    let refuse = |line: &mut GroupLine, why: &str| {
        line.configs.iter_mut().for_each(|config| config.reason = Some(words(config, &id, why)));
    };
    let Some(told) = asked(cluster, std::slice::from_ref(&id)).await? else {
        refuse(line, UNKNOWN);
        return Ok(());
    };
    let Some(set) = told.configs.get(&id) else {
        let why = told.refused.get(&id).map_or_else(|| "it is not known what is set".to_owned(), ToString::to_string);
        refuse(line, &format!("{why}; grant DescribeConfigs and AlterConfigs on the group"));
        return Ok(());
    };
    let mut open = Set::new();
    for config in &mut line.configs {
        config.before = set.get(&config.name).cloned();
        if config.before != config.value {
            open.insert(config.name.clone(), config.value.clone());
        }
    }
    let refused = if open.is_empty() { BTreeMap::new() } else { altered(cluster, &id, open).await? };
    for config in &mut line.configs {
        config.reason = refused.get(&config.name).map(|why| words(config, &id, why));
    }
    Ok(())
}

fn words(config: &ConfigLine, group: &str, why: &str) -> String {
    let what = match &config.value {
        Some(value) => format!("the target did not take the config {}={value}", config.name),
        None => format!("the target did not remove the config {}", config.name),
    };
    format!("consumer group {group:?}: {what}: {why}")
}

/// Sets them all at once, as one may be valid beside another only; where that is refused one by one, as often as another one is
/// taken. Says which are refused, and why.
async fn altered(cluster: &Cluster, id: &str, mut open: Set) -> Result<BTreeMap<String, String>, Trouble> {
    if judged(cluster.alter_group(id, &open).await)?.is_ok() {
        return Ok(BTreeMap::new());
    }
    loop {
        let mut refused = BTreeMap::new();
        for (name, value) in &open {
            let one = Set::from([(name.clone(), value.clone())]);
            if let Err(why) = judged(cluster.alter_group(id, &one).await)? {
                refused.insert(name.clone(), why);
            }
        }
        let before = open.len();
        open.retain(|name, _| refused.contains_key(name));
        if open.is_empty() || open.len() == before {
            return Ok(refused);
        }
    }
}

/// A refusal for good, in words.
fn judged(answer: Result<(), WireError>) -> Result<Result<(), String>, Failure> {
    match answer {
        Ok(()) => Ok(Ok(())),
        Err(error) if error.is_final() && error.broker_code().is_some() => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

/// What a person has to know of configs that were refused.
pub(crate) fn refusals(groups: &[GroupWork]) -> Vec<String> {
    let all = groups.iter().flat_map(|group| &group.line.configs).filter_map(|config| config.reason.as_ref());
    all.map(|why| format!("{why}; set it in the target where it is wanted")).collect()
}

#[cfg(test)]
mod tests {
    use wire::Request;

    use super::*;

    #[test]
    fn a_refusal_names_the_config_and_what_passes_is_tried_again() {
        let answer = |code| Err(WireError::broker(Request::IncrementalAlterConfigs, "configs of group \"g\"", code));
        assert!(judged(answer(40)).unwrap().is_err_and(|why| why.contains("INVALID_CONFIG")));
        assert!(judged(answer(30)).unwrap().is_err(), "no right to");
        assert!(judged(answer(41)).is_err(), "the controller has moved");
        let mut config = ConfigLine::planned("consumer.session.timeout.ms".into(), Some("1".into()));
        assert_eq!(
            words(&config, "g", "too low"),
            "consumer group \"g\": the target did not take the config consumer.session.timeout.ms=1: too low"
        );
        config.value = None;
        assert!(words(&config, "g", "x").contains("did not remove the config"));
        let mut work = crate::offsets::reset::empty("g", "consumer");
        assert!(refusals(std::slice::from_ref(&work)).is_empty());
        config.reason = Some("why".into());
        work.line.configs.push(config);
        assert_eq!(refusals(&[work]).len(), 1);
    }
}
