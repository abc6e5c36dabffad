//! The sets of a store and their recovery points.

use archive::{ArchiveError, Catalog, Layout, Problem, Store, check_set_owner};
use contract::stamp::{split_point, stamp};
use contract::{Code, Failure, SetOwner};
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
    let found = sets.iter().any(|set| named(set));
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
    match name {
        Some(name) if !found => Err(missing(store.place(), name, &sets, owner)),
        _ => Ok(()),
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
