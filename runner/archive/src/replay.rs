//! What a set's log says before a writer claims it.

use crate::documents::SetDocument;
use crate::entry::{FORMAT, decode_document, encode_document};
use crate::state::SetState;
use crate::store::{Created, Store};
use crate::writer_options::{AlreadySealed, WriterOptions};
use crate::{ArchiveError, Chain, Digest, Entry, EntryKind, Owner, RollupRef};

/// Creates `set.json` when it is not there; returns the first owner and the document's digest.
pub(crate) async fn ensure_set(store: &Store, options: &WriterOptions) -> Result<(Owner, Digest), ArchiveError> {
    let key = options.layout.set_document();
    let shown = store.show(&key);
    let read = |bytes: &[u8]| Ok((decode_document::<SetDocument>(&shown, bytes)?.owner, Digest::of(bytes)));
    if let Some(bytes) = store.get(&key).await? {
        return read(&bytes);
    }
    let document = SetDocument {
        format: FORMAT,
        requires: Vec::new(),
        optional: Vec::new(),
        uuid: options.uuid.to_string(),
        owner: options.owner.clone(),
        incremental: options.incremental,
    };
    let bytes = encode_document(&document)?;
    match store.create(&key, bytes.clone()).await {
        Created::Done => read(&bytes),
        Created::Unknown(error) if error.code() != contract::Code::StoreUnreachable => Err(error),
        Created::Exists | Created::Unknown(_) => match store.get(&key).await? {
            Some(bytes) => read(&bytes),
            None => Err(ArchiveError::damaged(shown, "it was created and is not there")),
        },
    }
}

/// What the log says before we claim.
pub(crate) struct Replay {
    pub(crate) state: SetState,
    /// Who owns the set now.
    pub(crate) owner: Owner,
    /// Number and digest of the newest entry.
    pub(crate) last: Option<(u64, Digest)>,
    newest: Option<Entry>,
    pub(crate) last_seal: Option<u64>,
    pub(crate) last_state: Option<u64>,
    pub(crate) last_rollup: Option<RollupRef>,
    /// Stamp of the newest recovery point.
    pub(crate) last_stamp: Option<String>,
    seals: Vec<(String, AlreadySealed)>,
}

impl Replay {
    /// Reads from the last full state on.
    pub(crate) async fn read(chain: &Chain, newest: Option<u64>, owner: Owner) -> Result<Self, ArchiveError> {
        let mut replay = Self {
            state: SetState::default(),
            owner,
            last: None,
            newest: None,
            last_seal: None,
            last_state: None,
            last_rollup: None,
            last_stamp: None,
            seals: Vec::new(),
        };
        let Some(newest) = newest else { return Ok(replay) };
        let (entry, digest) = chain.entry(newest).await?;
        let from = if entry.seal.is_some() { newest } else { entry.last_state.unwrap_or(0) };
        let entries = if from == newest { vec![(entry, digest)] } else { chain.read(from, newest).await? };
        for (entry, digest) in entries {
            replay.state.apply(&entry);
            replay.last_seal = entry.last_seal;
            replay.last_state = entry.last_state;
            replay.last_rollup.clone_from(&entry.last_rollup);
            if let Some(seal) = &entry.seal {
                (replay.last_seal, replay.last_state) = (Some(entry.n), Some(entry.n));
                replay.owner = seal.owner.clone();
                replay.last_stamp = Some(entry.point.clone());
                replay.seals.push((entry.run.clone(), AlreadySealed { entry: entry.n, point: seal.point.clone() }));
            }
            if let Some(owner) = &entry.owner {
                replay.owner = owner.clone();
            }
            replay.last = Some((entry.n, digest));
            replay.newest = Some(entry);
        }
        Ok(replay)
    }

    /// The seal that finished a run already.
    pub(crate) fn seal_of(&self, run: &str) -> Option<AlreadySealed> {
        self.seals.iter().find(|(sealed_run, _)| sealed_run == run).map(|(_, sealed)| sealed.clone())
    }

    /// Whether the run of these options is the one that wrote last and is not over.
    pub(crate) fn goes_on(&self, options: &WriterOptions) -> bool {
        let open = |entry: &&Entry| options.continuous || entry.kind != EntryKind::Seal;
        self.newest.as_ref().filter(open).is_some_and(|entry| entry.run == options.run)
    }
}
