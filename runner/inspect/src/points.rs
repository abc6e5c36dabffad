//! The sets of a store and their recovery points.

use archive::{ArchiveError, Catalog, Layout, Problem, Store, check_set_owner};
use contract::stamp::{split_point, stamp};
use contract::{Code, Failure, ForeignRecords, SetOwner};
use foreign::Set;
use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::replies::Replies;
use crate::{Answer, SetLine};

/// Sets that are looked at at once.
const AT_ONCE: usize = 16;

/// Lists the sets that `name` names, or all, and their points from `since` on.
pub(crate) async fn points(
    store: &Store,
    name: Option<&str>,
    since: Option<&str>,
    owner: Option<&SetOwner>,
    replies: &mut Replies,
) -> Result<(), Failure> {
    let since = since.map(str::parse::<Timestamp>).transpose();
    let since = since.map_err(|_| Failure::new(Code::SpecInvalid, "since: not an RFC 3339 time"))?.map(stamp);
    let catalog = Catalog::new(store.clone());
    let sets = catalog.sets().await?;
    let named = |set: &str| {
        let is_it = |name: &str| set == name || split_point(set).is_some_and(|(base, _)| base == name);
        name.is_none_or(is_it)
    };
    let early =
        |set: &str| split_point(set).is_some_and(|(_, stamp)| since.as_deref().is_some_and(|since| stamp < since));
    // Who owns one that another tool wrote, nobody knows.
    let theirs = if owner.is_none() { Set::names(store).await? } else { Vec::new() };
    let found = sets.iter().chain(&theirs).any(|set| named(set));
    let wanted: Vec<String> = sets.iter().filter(|set| named(set) && !early(set)).cloned().collect();
    let look = |set: String| {
        let catalog = catalog.clone();
        async move { catalog.set_and_points(&set).await }
    };
    let mut looks = stream::iter(wanted).map(look).buffered(AT_ONCE);
    while let Some(looked) = looks.next().await {
        let (mut summary, mut points) = looked?;
        if let Some(expected) = owner {
            match check_set_owner(store, &Layout::new(&summary.name), expected).await {
                Ok(()) => {}
                Err(error @ ArchiveError::NotOwned { .. }) => {
                    summary.problems = vec![Problem { key: String::new(), what: error.to_string() }];
                    points.clear();
                }
                Err(error) => return Err(error.into()),
            }
        }
        let line = SetLine {
            name: summary.name,
            namespace: summary.namespace,
            resource: summary.resource,
            cluster_id: summary.cluster_id,
            incremental: summary.incremental,
            unfinished: summary.unfinished,
            problems: summary.problems,
        };
        replies.send(Answer::Set(line)).await?;
        for point in points.iter().filter(|point| since.as_deref().is_none_or(|since| point.stamp.as_str() >= since)) {
            // Whoever asks gets all of them: nobody has to know from one which others there are.
            replies.send(Answer::Point(point.line(None))).await?;
        }
    }
    for name in theirs.iter().filter(|set| named(set)) {
        Box::pin(other(store, name, since.as_deref(), replies)).await?;
    }
    match name {
        Some(name) if !found => Err(missing(store.place(), name, &sets, owner)),
        _ => Ok(()),
    }
}

/// An archive of another tool: a set with one recovery point.
async fn other(store: &Store, name: &str, since: Option<&str>, replies: &mut Replies) -> Result<(), Failure> {
    let read = match Set::find(store, name).await {
        Ok(Some(set)) => set.listed(ForeignRecords::Cleaned).await,
        Ok(None) => return Ok(()),
        Err(error) => Err(error),
    };
    let mut line = SetLine {
        name: name.to_owned(),
        namespace: String::new(),
        resource: String::new(),
        cluster_id: String::new(),
        incremental: true,
        unfinished: false,
        problems: Vec::new(),
    };
    match read {
        Ok(point) => {
            line.cluster_id.clone_from(&point.seal.owner.cluster_id);
            replies.send(Answer::Set(line)).await?;
            let summary = point.summary();
            if since.is_none_or(|since| summary.stamp.as_str() >= since) {
                replies.send(Answer::Point(summary.line(None))).await?;
            }
            Ok(())
        }
        Err(error) if error.is_damage() => {
            line.problems = vec![Problem { key: String::new(), what: error.to_string() }];
            replies.send(Answer::Set(line)).await
        }
        Err(error) => Err(error.into()),
    }
}

/// There is no set of that name. Which others there are is told to whoever may ask about all of them.
fn missing(place: &str, name: &str, sets: &[String], owner: Option<&SetOwner>) -> Failure {
    let mut text = format!("{place} has no backup {name:?}");
    if owner.is_none() {
        let mut known: Vec<&str> =
            sets.iter().map(|set| split_point(set).map_or(set.as_str(), |(base, _)| base)).collect();
        known.dedup();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        text = format!("{text}; it has: {known}");
    }
    Failure::new(Code::NoSuchPoint, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of other backups are for those who may ask about all of them.
    #[test]
    fn whoever_may_ask_about_one_backup_learns_no_name_of_another() {
        let sets = ["payroll-20260101-000000", "payroll-20260102-000000", "salaries"].map(str::to_owned);
        let owner = SetOwner { name: "orders".into(), namespace: Some("shop".into()), cluster_id: None };
        let said = |owner: Option<&SetOwner>| missing("s3://b", "orders", &sets, owner).message;
        assert_eq!(said(Some(&owner)), "s3://b has no backup \"orders\"");
        assert_eq!(said(None), "s3://b has no backup \"orders\"; it has: payroll, salaries");
    }
}
