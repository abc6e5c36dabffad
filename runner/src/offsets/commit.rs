//! Commits and deletes the offsets of groups, and reads them back.

use std::collections::{BTreeSet, HashMap};

use contract::{Code, CrashPoint, Failure, GroupLine, GroupOutcome, crash};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;
use wire::{
    Cluster, CoordinatorPatience, Coordinators, Group, GroupOffset, OffsetCommit, Refused, TopicPartition, WireError,
    code,
};

use super::configs::set_configs;
use super::work::Trouble;
pub(crate) use super::work::{GroupWork, PATIENCE};

/// Groups that are worked on at once.
pub(crate) const AT_ONCE: usize = 8;
/// Groups whose offsets are changed between two saves of the state.
const BETWEEN_SAVES: usize = 32;
/// Members that a message names.
const NAMED: usize = 5;

/// The groups that a cluster has, by id.
pub(crate) type There = HashMap<String, Group>;

/// How groups are worked on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    pub(crate) at_once: usize,
    /// Whether offsets are read back and compared.
    pub(crate) read_back: bool,
    /// Whether groups are worked on where another one fails.
    pub(crate) go_on: bool,
    /// Whether a config that is refused fails its group; its reason is told else.
    pub(crate) all_configs: bool,
}

impl Default for Manner {
    fn default() -> Self {
        Self { at_once: AT_ONCE, read_back: true, go_on: true, all_configs: false }
    }
}

/// What a run writes down of the groups that it works on.
pub(crate) trait Notes {
    /// Groups to which something may have been sent.
    fn touched(&mut self) -> &mut BTreeSet<String>;
    /// Notes a group that is done.
    fn done(&mut self, group: &GroupWork);
    /// Saves the notes; `is_step` where groups are done since.
    async fn write_down(&mut self, is_step: bool) -> Result<(), Failure>;
}

/// Works on one part of the groups after the other, and adds to `ended` what became of them. Before anything is sent for a part,
/// its groups are noted; after it, what is done.
///
/// # Errors
/// When the groups cannot be listed, the notes cannot be saved, or the run is asked to stop.
pub(crate) async fn commit_all(
    cluster: &Cluster,
    cancel: &CancellationToken,
    notes: &mut impl Notes,
    open: &[GroupWork],
    manner: Manner,
    ended: &mut Vec<GroupWork>,
) -> Result<(), Failure> {
    if open.is_empty() {
        return Ok(());
    }
    // Once, now: whoever joins later is refused by the coordinator itself.
    let there = listed(cluster).await?;
    for part in open.chunks(manner.at_once.max(BETWEEN_SAVES)) {
        if cancel.is_cancelled() {
            return Err(Failure::new(Code::Interrupted, "stopped on request; groups that are done stay so"));
        }
        let new = note_begin(notes.touched(), part);
        notes.write_down(false).await?;
        let worked = commit(cluster, &there, part.to_vec(), manner).await;
        note_sent(notes.touched(), &new, &worked);
        let mut is_step = false;
        for group in worked.iter().filter(|group| group.line.outcome == GroupOutcome::Committed) {
            notes.done(group);
            is_step = true;
        }
        // Only what goes on counts as a step: a coordinator that stays away is not waited for again and again.
        notes.write_down(is_step).await?;
        let is_failed = worked.iter().any(|group| group.line.outcome == GroupOutcome::Failed);
        ended.extend(worked);
        if is_failed && !manner.go_on {
            break;
        }
    }
    Ok(())
}

/// Notes groups before anything is sent for them; returns those that were not noted before.
fn note_begin(touched: &mut BTreeSet<String>, next: &[GroupWork]) -> BTreeSet<String> {
    let names = next.iter().map(|group| group.line.target.clone());
    names.filter(|name| touched.insert(name.clone())).collect()
}

/// Forgets those of `new` to which nothing was sent. What an earlier attempt may have sent stays noted.
fn note_sent(touched: &mut BTreeSet<String>, new: &BTreeSet<String>, worked: &[GroupWork]) {
    let is_sent = |name: &String| worked.iter().any(|group| group.sent && group.line.target == *name);
    touched.retain(|name| !new.contains(name) || is_sent(name));
}

/// The groups that the target has, by id.
///
/// # Errors
/// When a broker does not list its groups: who has members is not known then.
pub(crate) async fn listed(cluster: &Cluster) -> Result<There, Failure> {
    let found = cluster.groups(PATIENCE).await?;
    if let Some((broker, error)) = found.unanswered.first() {
        let text = format!(
            "broker {broker} does not list its consumer groups, so it is not known which have members: {error}"
        );
        return Err(Failure::new(error.code(), text));
    }
    Ok(found.groups.into_iter().map(|group| (group.id.clone(), group)).collect())
}

/// A group that no broker lists. Lists may lack one whose coordinator moves: what it has, only its coordinator says.
pub(super) fn unlisted(id: &str, kind: &str) -> Group {
    Group { id: id.to_owned(), kind: kind.to_owned(), state: "Dead".to_owned() }
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

/// Commits and deletes the offsets of each group, then reads all of them back; each line says what became of it.
pub(crate) async fn commit(cluster: &Cluster, there: &There, groups: Vec<GroupWork>, manner: Manner) -> Vec<GroupWork> {
    let patience = CoordinatorPatience::new(PATIENCE);
    let ask = async |work: Vec<&GroupWork>| {
        let all: Vec<_> = work.into_iter().map(|work| as_group(there, &work.line)).collect();
        offsets_of_all(cluster, &all, &patience, manner.at_once).await
    };
    let ids: Vec<_> = groups.iter().filter(|work| !is_idle(&work.line)).map(|work| work.line.target.as_str()).collect();
    let coordinators = &cluster.coordinators_of(&ids).await;
    let mut before = ask(groups.iter().filter(|work| !is_idle(&work.line)).collect()).await;
    let work = futures::stream::iter(groups).map(|mut work| {
        let before = before.remove(&work.line.target);
        async move {
            let sent = match before {
                None if is_idle(&work.line) => Ok(()),
                None => Err(unasked(&work.line.target).into()),
                Some(before) => send((cluster, coordinators), there, before, &mut work).await,
            };
            (work, sent)
        }
    });
    let worked: Vec<_> = work.buffered(manner.at_once.max(1)).collect().await;
    let is_sent = |(work, sent): &&(GroupWork, Result<(), Trouble>)| sent.is_ok() && !is_idle(&work.line);
    let sent = worked.iter().filter(is_sent).filter(|_| manner.read_back);
    let mut after = ask(sent.map(|(work, _)| work).collect()).await;
    let ended = worked.into_iter().map(|(mut work, sent)| {
        let after = after.remove(&work.line.target);
        match sent.and_then(|()| judge(&mut work, after, manner)) {
            Ok(outcome) => work.line.outcome = outcome,
            Err(trouble) => {
                work.fail(trouble.text);
                work.may_pass = trouble.may_pass;
            }
        }
        work
    });
    ended.collect()
}

/// Whether nothing is to be changed of a group.
pub(super) fn is_idle(line: &GroupLine) -> bool {
    line.offsets.is_empty() && line.deleted.is_empty() && line.configs.is_empty()
}

/// The places at which a line changes offsets.
pub(super) fn places_of(line: &GroupLine) -> impl Iterator<Item = (&str, i32)> {
    let set = line.offsets.iter().map(|at| (at.topic.as_str(), at.partition));
    set.chain(line.deleted.iter().map(|at| (at.topic.as_str(), at.partition)))
}

/// The group of a line: as the cluster lists it, or as it comes into being.
fn as_group(there: &There, line: &GroupLine) -> Group {
    let new = || Group { id: line.target.clone(), kind: line.kind.clone(), state: "Empty".to_owned() };
    there.get(&line.target).cloned().unwrap_or_else(new)
}

/// The lines of a report, in the order of groups.
pub(crate) fn group_lines(work: impl IntoIterator<Item = GroupWork>) -> Vec<GroupLine> {
    let mut lines: Vec<_> = work.into_iter().map(|group| group.line).collect();
    lines.sort_by(|a, b| a.target.cmp(&b.target));
    lines
}

/// The failure of a run whose groups are not all as they should be: `words` are made of how many are not, and why.
pub(crate) fn failed(groups: &[GroupWork], words: impl FnOnce(usize, String) -> String) -> Option<Failure> {
    let not_done = groups.iter().filter(|group| group.line.outcome == GroupOutcome::Failed);
    let reasons: Vec<_> = not_done.filter_map(|group| group.line.reason.as_deref()).collect();
    let first = reasons.first()?;
    let why = match reasons.len() - 1 {
        0 => (*first).to_owned(),
        more => format!("{first} (and {more} more groups)"),
    };
    // What passes by itself needs nobody: the run is tried again.
    let may_pass = groups.iter().any(|group| group.may_pass);
    let code = if may_pass { Code::BrokerFailed } else { Code::OffsetsNotCommitted };
    Some(Failure::new(code, words(reasons.len(), why)))
}

/// Sends what changes one group. `before` is what it has.
async fn send(
    (cluster, coordinators): (&Cluster, &Coordinators),
    there: &There,
    before: Held,
    work: &mut GroupWork,
) -> Result<(), Trouble> {
    let line = &mut work.line;
    if let Some(group) = there.get(&line.target)
        && let Some(reason) = members(cluster, group).await?
    {
        return Err(Trouble::stays(reason));
    }
    let group = as_group(there, line);
    let before = by_place(before?);
    let mut wanted = Vec::new();
    for (offset, metadata) in line.offsets.iter_mut().zip(&work.metadata) {
        offset.before = before.get(&(offset.topic.clone(), offset.partition)).copied();
        wanted.push(OffsetCommit {
            topic: offset.topic.clone(),
            partition: offset.partition,
            offset: offset.offset,
            metadata: metadata.clone(),
        });
    }
    let places: Vec<TopicPartition> = line.deleted.iter().map(|gone| (gone.topic.clone(), gone.partition)).collect();
    work.sent = true;
    crash::at(CrashPoint::CommittingOffsets);
    // A share group forgets whole topics: what it keeps of them is set afterwards. Every other kind keeps its group through
    // the offsets that it has.
    let is_share = line.kind == "share";
    if is_share {
        delete((cluster, coordinators), line, &places).await?;
        crash::at(CrashPoint::ShareOffsetsDeleted);
    }
    let sent = cluster.commit_offsets(coordinators, (&group.id, &line.kind), &wanted).await;
    for (place, reason) in refused(&group.id, sent)? {
        if let Some(offset) = line.offsets.get_mut(place) {
            offset.reason = Some(reason);
        }
    }
    if !is_share {
        delete((cluster, coordinators), line, &places).await?;
    }
    // Not on a group that has members now.
    if line.offsets.iter().all(|offset| offset.reason.is_none()) {
        set_configs(cluster, line).await?;
    }
    crash::at(CrashPoint::OffsetsCommitted);
    Ok(())
}

/// What became of a group that was sent. `after` is what was read back.
fn judge(work: &mut GroupWork, after: Option<Held>, manner: Manner) -> Result<GroupOutcome, Trouble> {
    let line = &mut work.line;
    if is_idle(line) {
        return Ok(GroupOutcome::NoOffsets);
    }
    if manner.read_back {
        let group = line.target.clone();
        compare(line, &group, &by_place(after.ok_or_else(|| unasked(&group))??));
    }
    let reasons = || {
        let deleted = line.deleted.iter().map(|gone| &gone.reason);
        line.offsets.iter().map(|offset| &offset.reason).chain(deleted)
    };
    let done = reasons().filter(|reason| reason.is_none()).count() as u64;
    let configs = line.configs.iter().filter(|_| manner.all_configs).map(|config| &config.reason);
    let mut wrong = reasons().chain(configs).filter_map(Option::as_deref);
    let verdict = match (wrong.next(), wrong.count()) {
        (None, _) => Ok(GroupOutcome::Committed),
        (Some(first), 0) => Err(Trouble::stays(first)),
        (Some(first), more) => Err(Trouble::stays(format!("{first} (and {more} more partitions)"))),
    };
    line.done = done;
    verdict
}

/// Deletes offsets; what is refused stands in the line.
async fn delete(
    (cluster, coordinators): (&Cluster, &Coordinators),
    line: &mut GroupLine,
    places: &[TopicPartition],
) -> Result<(), Trouble> {
    let answer = cluster.delete_offsets(coordinators, (&line.target, &line.kind), places).await;
    for (place, reason) in refused(&line.target, answer)? {
        if let Some(gone) = line.deleted.get_mut(place) {
            gone.reason = Some(reason);
        }
    }
    Ok(())
}

/// What a coordinator refused, in words.
fn refused(group: &str, answer: Result<Refused, WireError>) -> Result<Vec<(usize, String)>, Trouble> {
    let words = |error: &WireError| if is_live(error) { has_members(group) } else { error.to_string() };
    match answer {
        Ok(refused) => Ok(refused.iter().map(|(place, error)| (*place, words(error))).collect()),
        Err(error) if is_live(&error) => Err(Trouble::stays(has_members(group))),
        Err(error) => Err(Failure::from(error).into()),
    }
}

/// Notes what was read back, and where that is not what was asked for.
fn compare(line: &mut GroupLine, group: &str, after: &HashMap<TopicPartition, i64>) {
    let somebody =
        |text: String| format!("{text} is there now: somebody else commits for group {group:?}; stop its consumers");
    for offset in &mut line.offsets {
        offset.read_back = after.get(&(offset.topic.clone(), offset.partition)).copied();
        if offset.reason.is_none() && offset.read_back != Some(offset.offset) {
            let found = offset.read_back.map_or("no offset".to_owned(), |found| format!("offset {found}"));
            let (topic, partition) = (&offset.topic, offset.partition);
            let text = format!("{topic}/{partition}: offset {} was committed, and {found}", offset.offset);
            offset.reason = Some(somebody(text));
        }
    }
    for gone in &mut line.deleted {
        if let Some(found) = after.get(&(gone.topic.clone(), gone.partition))
            && gone.reason.is_none()
        {
            let text = format!("{}/{}: the offset was deleted, and offset {found}", gone.topic, gone.partition);
            gone.reason = Some(somebody(text));
        }
    }
}

/// What a group has committed; nothing where there is no such group.
///
/// # Errors
/// What its coordinator says.
pub(crate) async fn offsets_of(
    cluster: &Cluster,
    group: &Group,
    patience: &CoordinatorPatience,
) -> Result<Vec<GroupOffset>, Failure> {
    none_where_gone(cluster.group_offsets(group, patience).await)
}

/// What a group has committed, or why that is not known.
pub(crate) type Held = Result<Vec<GroupOffset>, Failure>;

/// What each of these groups has committed, by its id; nothing where there is no such group.
pub(crate) async fn offsets_of_all(
    cluster: &Cluster,
    groups: &[Group],
    patience: &CoordinatorPatience,
    at_once: usize,
) -> HashMap<String, Held> {
    let found = cluster.offsets_of_groups(groups, patience, at_once).await;
    found.into_iter().map(|(id, offsets)| (id, none_where_gone(offsets))).collect()
}

fn none_where_gone(found: Result<Vec<GroupOffset>, WireError>) -> Held {
    match found {
        Ok(found) => Ok(found),
        Err(error) if error.broker_code() == Some(code::GROUP_ID_NOT_FOUND) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// That a group was not among those that were asked for.
pub(super) fn unasked(id: &str) -> Failure {
    Failure::new(Code::Internal, format!("the committed offsets of consumer group {id:?} were not asked for"))
}

/// The same by topic and partition.
fn by_place(found: Vec<GroupOffset>) -> HashMap<TopicPartition, i64> {
    found.into_iter().map(|at| ((at.topic, at.partition), at.offset)).collect()
}

/// Whether a coordinator refuses a commit because the group has members.
fn is_live(error: &WireError) -> bool {
    let codes =
        [code::UNKNOWN_MEMBER_ID, code::ILLEGAL_GENERATION, code::NON_EMPTY_GROUP, code::GROUP_SUBSCRIBED_TO_TOPIC];
    error.broker_code().is_some_and(|code| codes.contains(&code))
}

fn has_members(group: &str) -> String {
    format!("consumer group {group:?} has members now; stop its consumers")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::reset::empty;

    #[test]
    fn what_may_have_been_sent_stays_noted() {
        let work = |id: &str, sent| GroupWork { sent, ..empty(id, "classic") };
        let mut touched = BTreeSet::from(["in-doubt".to_owned()]);
        let new = note_begin(&mut touched, &[work("in-doubt", false), work("live", false), work("done", false)]);
        assert_eq!((new.len(), touched.len()), (2, 3));
        note_sent(&mut touched, &new, &[work("in-doubt", false), work("live", false), work("done", true)]);
        assert_eq!(touched.into_iter().collect::<Vec<_>>(), ["done", "in-doubt"]);
        // Nothing was sent at all: the cluster did not list its groups.
        let mut touched = BTreeSet::new();
        let new = note_begin(&mut touched, &[work("a", false)]);
        note_sent(&mut touched, &new, &[]);
        assert!(touched.is_empty());
    }
}
