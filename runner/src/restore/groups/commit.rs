//! Commits the offsets of groups in the target, and reads them back.

use std::collections::HashMap;
use std::time::Duration;

use contract::{Code, CrashPoint, ExitCode, Failure, GroupOutcome, crash};
use futures::StreamExt;
use wire::{Cluster, CoordinatorPatience, Group, GroupOffset, OffsetCommit, WireError, code};

use super::locate::Located;

/// Groups that are worked on at once.
pub(super) const AT_ONCE: usize = 8;
/// How long a coordinator that does not answer is waited for when groups are looked at.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Members that a message names.
const NAMED: usize = 5;

/// The groups that the target has, by id.
///
/// # Errors
/// When a broker does not list its groups: who has members is not known then.
pub(crate) async fn listed(cluster: &Cluster) -> Result<HashMap<String, Group>, Failure> {
    let found = cluster.groups(PATIENCE).await?;
    if let Some((broker, error)) = found.unanswered.first() {
        let text = format!(
            "broker {broker} does not list its consumer groups, so it is not known which have members: {error}"
        );
        return Err(Failure::new(error.code(), text));
    }
    Ok(found.groups.into_iter().map(|group| (group.id.clone(), group)).collect())
}

/// Why the offsets of a group cannot be changed now: its members, by name.
///
/// # Errors
/// When the coordinator refuses to say.
pub(crate) async fn members(cluster: &Cluster, group: &Group) -> Result<Option<String>, Failure> {
    if group.is_empty() {
        return Ok(None);
    }
    let members = cluster.group_members(group).await?;
    let named: Vec<_> = members.iter().take(NAMED).map(ToString::to_string).collect();
    let more = members.len().saturating_sub(NAMED);
    let who = match (named.is_empty(), more) {
        (true, _) => format!("it is {}", group.state),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {more} more", named.join(", ")),
    };
    Ok(Some(format!("consumer group {:?} has members ({who}); stop its consumers", group.id)))
}

/// Commits the offsets of each group and reads them back; each line says what became of it.
///
/// # Errors
/// When the target cannot be asked at all.
pub(crate) async fn commit(cluster: &Cluster, groups: Vec<Located>) -> Result<Vec<Located>, Failure> {
    let there = listed(cluster).await?;
    let patience = CoordinatorPatience::new(PATIENCE);
    let work = futures::stream::iter(groups).map(|group| one(cluster, &there, &patience, group)).buffered(AT_ONCE);
    Ok(work.collect().await)
}

async fn one(
    cluster: &Cluster,
    there: &HashMap<String, Group>,
    patience: &CoordinatorPatience,
    mut located: Located,
) -> Located {
    match try_one(cluster, there, patience, &mut located).await {
        Ok(()) => located.line.outcome = GroupOutcome::Committed,
        Err(trouble) => {
            located.line.outcome = GroupOutcome::Failed;
            located.line.reason = Some(trouble.text);
            located.may_pass = trouble.may_pass;
        }
    }
    located
}

/// Why a group is not as it should be.
struct Trouble {
    text: String,
    may_pass: bool,
}

impl Trouble {
    fn stays(text: impl Into<String>) -> Self {
        Self { text: text.into(), may_pass: false }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self { may_pass: failure.code.exit() == ExitCode::Resumable, text: failure.message }
    }
}

/// One group.
async fn try_one(
    cluster: &Cluster,
    there: &HashMap<String, Group>,
    patience: &CoordinatorPatience,
    located: &mut Located,
) -> Result<(), Trouble> {
    let line = &mut located.line;
    if line.offsets.is_empty() {
        return Ok(());
    }
    if let Some(group) = there.get(&line.target)
        && let Some(reason) = members(cluster, group).await?
    {
        return Err(Trouble::stays(reason));
    }
    let new = || Group { id: line.target.clone(), kind: line.kind.clone(), state: "Empty".to_owned() };
    let group = there.get(&line.target).cloned().unwrap_or_else(new);
    let before = held(cluster, &group, patience).await?;
    let mut wanted = Vec::new();
    for (offset, metadata) in line.offsets.iter_mut().zip(&located.metadata) {
        offset.before = before.get(&(offset.topic.clone(), offset.partition)).copied();
        wanted.push(OffsetCommit {
            topic: offset.topic.clone(),
            partition: offset.partition,
            offset: offset.offset,
            metadata: metadata.clone(),
        });
    }
    crash::at(CrashPoint::CommittingOffsets);
    let refused = cluster.commit_offsets(&group.id, &line.kind, &wanted).await;
    let refused = match refused {
        Ok(refused) => refused,
        Err(error) if is_live(&error) => return Err(Trouble::stays(has_members(&group.id))),
        Err(error) => return Err(Failure::from(error).into()),
    };
    crash::at(CrashPoint::OffsetsCommitted);
    for (place, error) in &refused {
        if let Some(offset) = line.offsets.get_mut(*place) {
            offset.reason = Some(if is_live(error) { has_members(&group.id) } else { error.to_string() });
        }
    }
    let after = held(cluster, &group, patience).await?;
    for offset in &mut line.offsets {
        offset.read_back = after.get(&(offset.topic.clone(), offset.partition)).copied();
        if offset.reason.is_none() && offset.read_back != Some(offset.offset) {
            let found = offset.read_back.map_or("no offset".to_owned(), |found| format!("offset {found}"));
            offset.reason = Some(format!(
                "{}/{}: offset {} was committed, and {found} is there now: somebody else commits for group {:?}; stop its consumers",
                offset.topic, offset.partition, offset.offset, group.id
            ));
        }
    }
    let mut wrong = line.offsets.iter().filter_map(|offset| offset.reason.as_deref());
    match (wrong.next(), wrong.count()) {
        (None, _) => Ok(()),
        (Some(first), 0) => Err(Trouble::stays(first)),
        (Some(first), more) => Err(Trouble::stays(format!("{first} (and {more} more partitions)"))),
    }
}

/// What a group has committed in the target; nothing where there is no such group.
///
/// # Errors
/// What its coordinator says.
pub(super) async fn offsets_of(
    cluster: &Cluster,
    group: &Group,
    patience: &CoordinatorPatience,
) -> Result<Vec<GroupOffset>, Failure> {
    match cluster.group_offsets(group, patience).await {
        Ok(found) => Ok(found),
        Err(error) if error.broker_code() == Some(code::GROUP_ID_NOT_FOUND) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// The same by topic and partition.
async fn held(
    cluster: &Cluster,
    group: &Group,
    patience: &CoordinatorPatience,
) -> Result<HashMap<(String, i32), i64>, Failure> {
    let found = offsets_of(cluster, group, patience).await?;
    Ok(found.into_iter().map(|at| ((at.topic, at.partition), at.offset)).collect())
}

/// Whether a coordinator refuses a commit because the group has members.
fn is_live(error: &WireError) -> bool {
    let codes = [code::UNKNOWN_MEMBER_ID, code::ILLEGAL_GENERATION, code::NON_EMPTY_GROUP];
    error.broker_code().is_some_and(|code| codes.contains(&code))
}

fn has_members(group: &str) -> String {
    format!("consumer group {group:?} has members now; stop its consumers")
}

/// The failure of a restore whose records are there and whose groups are not all as they should be.
pub(crate) fn failed(groups: &[Located]) -> Option<Failure> {
    let reasons: Vec<_> = groups.iter().filter_map(|group| group.line.reason.as_deref()).collect();
    let first = reasons.first()?;
    let more = match reasons.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more groups)"),
    };
    let text = format!(
        "all records are restored; the committed offsets of {} of {} consumer groups are not: {first}{more}. Run the \
         restore again: it only does what is left",
        reasons.len(),
        groups.len()
    );
    // What passes by itself needs nobody: the run is tried again.
    let may_pass = groups.iter().any(|group| group.may_pass);
    Some(Failure::new(if may_pass { Code::BrokerFailed } else { Code::OffsetsNotCommitted }, text))
}
