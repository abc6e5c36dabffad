//! How far a run is that changes committed offsets only: saved between groups, so that none is changed twice. Consumers may
//! have gone on from where a group was put.

use std::collections::{BTreeMap, BTreeSet};

use archive::{Digest, RestoreJournal, Store};
use contract::{Code, Failure, OffsetsBefore, RunSpec, stamp};
use serde::{Deserialize, Serialize};

use super::commit::GroupWork;
use super::inexact::Inexact;
use crate::context::Context;

/// The state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OffsetRun {
    pub(crate) run: String,
    /// Digest of what the run does.
    of: Digest,
    /// Where the offsets are that the groups had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<OffsetsBefore>,
    /// Groups that are done, each with how many offsets were changed.
    pub(crate) done: BTreeMap<String, u64>,
    /// Offsets of these groups that could not be put where they belong.
    #[serde(default, skip_serializing_if = "Inexact::is_empty")]
    pub(crate) inexact: Inexact,
    /// Groups to which something may have been sent: what they have now may be ours.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) touched: BTreeSet<String>,
    /// Nothing is left to do.
    pub(crate) is_complete: bool,
}

impl OffsetRun {
    /// Notes a group that is done, with what could not be put where it belongs.
    pub(crate) fn note_done(&mut self, group: &GroupWork) {
        let line = &group.line;
        self.done.insert(line.target.clone(), line.done);
        if !line.inexact.is_empty() {
            self.inexact.insert(line.target.clone(), line.inexact.clone());
        }
    }

    /// Groups whose offsets may not be those any more that they had before the run.
    pub(crate) fn may_be_ours(&self) -> BTreeSet<String> {
        self.done.keys().chain(&self.touched).cloned().collect()
    }
}

/// The state of a run, and what follows from it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) journal: RestoreJournal,
    pub(crate) state: OffsetRun,
    /// An earlier attempt began it.
    pub(crate) resumed: bool,
}

/// Opens the state of a run: the same id means the same run. Without an id the newest run of the same specification goes on
/// that is not complete, else another one begins.
///
/// # Errors
/// When the store fails, or the id stands for a run that does something else.
pub(crate) async fn open(context: &Context, spec: &RunSpec, cluster: &str, store: &Store) -> Result<Opened, Failure> {
    let of = digest(spec)?;
    let id = spec.run.as_ref().map(|run| run.id.as_str());
    // A reset and a rollback may have one name.
    let kind = if spec.offset_reset.is_some() { "reset" } else { "rollback" };
    let parts = [kind, &spec.namespace, &spec.name, id.unwrap_or_default()];
    let identity = Digest::half_of(parts.map(|text| format!("{text}\0")).concat().as_bytes());
    let identity = identity.to_string();
    let opened = RestoreJournal::open_offset_run(store, cluster, &identity, context.nonce());
    let (journal, saved): (_, Option<OffsetRun>) = opened.await?;
    let new = |run: String| OffsetRun {
        run,
        of: of.clone(),
        before: None,
        done: BTreeMap::new(),
        inexact: Inexact::new(),
        touched: BTreeSet::new(),
        is_complete: false,
    };
    let (state, resumed) = match (saved, id) {
        (Some(saved), Some(id)) if saved.of != of => {
            let text = format!("run {id} began with another specification; give another specification another run id");
            return Err(Failure::new(Code::StateMismatch, text));
        }
        (Some(saved), Some(_)) => (saved, true),
        (Some(saved), None) if saved.of == of && !saved.is_complete => (saved, true),
        (_, Some(id)) => (new(id.to_owned()), false),
        (_, None) => (new(format!("{}-{}", spec.name, stamp::stamp(context.clock.now()))), false),
    };
    Ok(Opened { journal, state, resumed })
}

/// What a run does, told apart from what another one does.
fn digest(spec: &RunSpec) -> Result<Digest, Failure> {
    let text = serde_json::to_vec(&(&spec.offset_reset, &spec.offset_rollback));
    let text = text.map_err(|error| Failure::new(Code::Internal, format!("the specification as JSON: {error}")))?;
    Ok(Digest::of(&text))
}
