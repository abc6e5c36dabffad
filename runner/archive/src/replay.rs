//! What a set's log says before a writer claims it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use contract::{Before, Moved, PointLine};
use object_store::path::Path;

use crate::again::reread;
use crate::converted::Converted;
use crate::documents::SetDocument;
use crate::entry::{FORMAT, add_all, decode_small, encode_document};
use crate::holdings::Holdings;
use crate::lost::remove_all;
use crate::pruned::Pruned;
use crate::settle::{self, Settled};
use crate::state::{SetState, TopicIdPartition, UNKNOWN_TARGET};
use crate::store::Store;
use crate::writer_options::{Finished, Named, WriterOptions};
use crate::{ArchiveError, Chain, Digest, Entry, EntryKind, Head, Layout, Owner, RollupRef, SealedPoint};

/// After so long a document that is missing or another one is looked at once more.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// Creates `set.json` of a new set; returns the first owner and the document's digest. Another run may be faster: then
/// its document counts.
pub(crate) async fn create_set(store: &Store, options: &WriterOptions) -> Result<(Owner, Digest), ArchiveError> {
    let key = options.layout.set_document();
    if let Some((document, digest)) = read_set(store, &options.layout).await? {
        return Ok((document.owner, digest));
    }
    let document = SetDocument {
        format: FORMAT,
        requires: Vec::new(),
        optional: Vec::new(),
        uuid: options.uuid.to_string(),
        owner: options.owner.clone(),
        incremental: options.incremental,
        replaces: None,
    };
    create_document(store, &key, encode_document(&document)?).await?;
    match read_set(store, &options.layout).await? {
        Some((document, digest)) => Ok((document.owner, digest)),
        None => Err(ArchiveError::contradiction(store.show(&key))),
    }
}

/// What a set knows, and who owns it, up to its newest entry: for whoever must decide something before it claims the set.
/// Of a set without a recovery point the owner is not known.
///
/// # Errors
/// When the log cannot be read.
pub async fn known_state(
    store: &Store,
    layout: &Layout,
    head: Head,
) -> Result<(SetState, Option<Owner>), ArchiveError> {
    let nobody = Owner { namespace: String::new(), name: String::new(), cluster_id: String::new() };
    let chain = Chain::new(store.clone(), layout.clone());
    let replay = Replay::read(&chain, Some(head), nobody.clone()).await?;
    Ok((replay.state, Some(replay.owner).filter(|owner| *owner != nobody)))
}

/// Creates a document unless it is there, and waits until the store shows it.
pub(crate) async fn create_document(store: &Store, key: &Path, bytes: Bytes) -> Result<(), ArchiveError> {
    match settle::create(store, key, &bytes).await? {
        Settled::Ours => store.shows(key, bytes.len() as u64).await,
        Settled::Other(_) => Ok(()),
    }
}

/// `set.json` and its digest; `None` when it is not there.
pub(crate) async fn read_set(store: &Store, layout: &Layout) -> Result<Option<(SetDocument, Digest)>, ArchiveError> {
    let key = layout.set_document();
    reread(async || {
        let Some(bytes) = store.get(&key).await? else { return Ok(None) };
        let document: SetDocument = decode_small(&store.show(&key), &bytes)?;
        Ok(Some((document, Digest::of(&bytes))))
    })
    .await
}

/// `set.json` of a set that has a log: it must be there, and be the one that the log names.
pub(crate) async fn known_set(
    store: &Store,
    chain: &Chain,
    head: &Head,
    layout: &Layout,
) -> Result<(Owner, Digest), ArchiveError> {
    let by_log = named_set(chain, head).await?;
    let lost = |what: &str| {
        let set = layout.set();
        ArchiveError::SetLost(format!(
            "{} {what}, and the log of set {set} has entries. Bring it back from a copy, or make it again from what the log knows: `kafka-backup-runner repair SPEC {set}`. Nothing was written",
            store.show(&layout.set_document())
        ))
    };
    for patience in [true, false] {
        match read_set(store, layout).await? {
            Some((document, digest)) if document.is_named(&digest, &by_log) => return Ok((document.owner, digest)),
            // Stores may show an object late, and bytes may come wrong once.
            Some(_) | None if patience => tokio::time::sleep(SECOND_LOOK).await,
            Some(_) => return Err(lost("is not the one that the log names")),
            None => return Err(lost("is missing")),
        }
    }
    Err(lost("is missing"))
}

/// Digest of `set.json` as the log names it.
pub(crate) async fn named_set(chain: &Chain, head: &Head) -> Result<Digest, ArchiveError> {
    if let Some(named) = &head.entry.set {
        return Ok(named.clone());
    }
    let (first, _) = chain.entry(0).await?;
    first.set.ok_or_else(|| ArchiveError::damaged("entry 0", "it does not name the digest of set.json"))
}

/// A recovery point, and the run that made it.
struct SealOf {
    run: String,
    /// Number of its entry.
    entry: u64,
    line: PointLine,
    /// Number of the seal before it in the set.
    before: Option<u64>,
}

/// What the log says before we claim.
pub(crate) struct Replay {
    pub(crate) state: SetState,
    /// Who owns the set now.
    pub(crate) owner: Owner,
    /// Number and digest of the newest entry.
    pub(crate) last: Option<(u64, Digest)>,
    /// The newest entry of a run.
    newest: Option<Entry>,
    pub(crate) last_seal: Option<u64>,
    pub(crate) last_state: Option<u64>,
    pub(crate) last_rollup: Option<RollupRef>,
    /// What retention took away of the set.
    pub(crate) pruned: Option<Arc<Pruned>>,
    /// Stamp of the newest recovery point.
    pub(crate) last_stamp: Option<String>,
    /// What the set holds, when its newest seal says so.
    pub(crate) holdings: Option<Holdings>,
    /// What the set was converted from, as its newest seal says it.
    pub(crate) converted: Option<Converted>,
    seals: Vec<SealOf>,
    /// Where runs said, since the last full state, that they read partitions to. A row of before is no word of theirs.
    targets: BTreeMap<String, BTreeMap<TopicIdPartition, i64>>,
    /// What runs named since then.
    named: BTreeMap<String, Named>,
    /// What they stored since then.
    moved: BTreeMap<String, Moved>,
}

impl Named {
    /// Takes in what an entry names.
    fn add(&mut self, entry: &Entry) {
        self.gaps.extend(entry.gaps.iter().filter(|gap| gap.timeline.is_none()).cloned());
        self.forks.extend_from_slice(&entry.forks);
    }
}

/// Adds what an entry stores.
fn add_moved(moved: &mut Moved, entry: &Entry) {
    for row in &entry.rows {
        moved.records = moved.records.saturating_add(row.committed);
        moved.bytes = moved.bytes.saturating_add(row.bytes);
    }
    for segment in &entry.segments {
        moved.segments = moved.segments.saturating_add(1);
        moved.stored_bytes = moved.stored_bytes.saturating_add(segment.size);
    }
}

impl Replay {
    /// Reads from the last full state on.
    pub(crate) async fn read(chain: &Chain, head: Option<Head>, owner: Owner) -> Result<Self, ArchiveError> {
        let mut replay = Self {
            state: SetState::default(),
            owner,
            last: None,
            newest: None,
            last_seal: None,
            last_state: None,
            last_rollup: None,
            pruned: None,
            last_stamp: None,
            holdings: None,
            converted: None,
            seals: Vec::new(),
            targets: BTreeMap::new(),
            named: BTreeMap::new(),
            moved: BTreeMap::new(),
        };
        let Some(Head { entry, digest, .. }) = head else { return Ok(replay) };
        replay.pruned = Pruned::as_of(chain, &entry).await?;
        let newest = entry.n;
        let from = if entry.seal.is_some() { newest } else { entry.last_state.unwrap_or(0) };
        if from == 0 {
            replay.holdings = Some(Holdings::default());
        }
        let entries = if from == newest { vec![(entry, digest)] } else { chain.read(from, newest).await? };
        for (entry, digest) in entries {
            replay.state.apply(&entry)?;
            replay.last_seal = entry.last_seal;
            replay.last_state = entry.last_state;
            replay.last_rollup.clone_from(&entry.last_rollup);
            if let Some(holdings) = &mut replay.holdings {
                add_all(&mut holdings.named, &entry.segments);
                remove_all(&mut holdings.named, &entry.lost);
            }
            // What a seal names belongs to its point.
            if entry.seal.is_none() {
                replay.named.entry(entry.run.clone()).or_default().add(&entry);
                add_moved(replay.moved.entry(entry.run.clone()).or_default(), &entry);
            }
            if let Some(seal) = &entry.seal {
                replay.holdings = seal.holdings;
                replay.converted.clone_from(&seal.converted);
                (replay.last_seal, replay.last_state) = (Some(entry.n), Some(entry.n));
                replay.owner = seal.owner.clone();
                // What the log was not read for is asked for when somebody wants to know.
                let stamp = replay.last_stamp.as_deref();
                let before = (stamp.is_some() || entry.last_seal.is_none()).then(|| Before::stamp(stamp));
                let line = SealedPoint::of(&entry, &digest).map(|mut sealed| {
                    if let Some(pruned) = &replay.pruned {
                        pruned.take_out_of_line(&mut sealed);
                    }
                    sealed.line(before)
                });
                let seal_of = |line| SealOf { run: entry.run.clone(), entry: entry.n, line, before: entry.last_seal };
                replay.seals.extend(line.map(seal_of));
                replay.last_stamp = Some(entry.point.clone());
            }
            if entry.kind == EntryKind::Progress {
                let targets = replay.targets.entry(entry.run.clone()).or_default();
                for (key, target) in targets_of(&entry) {
                    targets.insert(key, target);
                }
            }
            if let Some(owner) = &entry.owner {
                replay.owner = owner.clone();
            }
            replay.last = Some((entry.n, digest));
            if let Some(pruned) = Pruned::of(&entry) {
                // It is no entry of a run that writes, and what is stored beside what counts is not known behind it.
                pruned.move_starts(&mut replay.state);
                replay.holdings = None;
                continue;
            }
            replay.newest = Some(entry);
        }
        Ok(replay)
    }

    /// Where this run said, since the last recovery point, that it reads partitions to.
    pub(crate) fn targets_of(&mut self, run: &str) -> BTreeMap<TopicIdPartition, i64> {
        self.targets.remove(run).unwrap_or_default()
    }

    /// What this run named since the last recovery point.
    pub(crate) fn named_by(&mut self, run: &str) -> Named {
        self.named.remove(run).unwrap_or_default()
    }

    /// What this run stored since the last recovery point.
    pub(crate) fn moved_by(&mut self, run: &str) -> Moved {
        self.moved.remove(run).unwrap_or_default()
    }

    /// Name of the newest recovery point.
    pub(crate) fn newest_point(&self) -> Option<&str> {
        self.seals.last().map(|seal| seal.line.name.as_str())
    }

    /// What finished a run already: its recovery point, and what its entries since the point before say.
    pub(crate) async fn finished(&self, run: &str, chain: &Chain) -> Result<Option<Finished>, ArchiveError> {
        let Some(seal) = self.seals.iter().find(|seal| seal.run == run) else { return Ok(None) };
        let mut out = Finished {
            line: seal.line.clone(),
            moved: Moved::default(),
            named: Named::default(),
            held_back: Vec::new(),
        };
        for (entry, _) in chain.read(seal.before.unwrap_or(0), seal.entry).await? {
            if seal.before == Some(entry.n) {
                out.line.before.get_or_insert_with(|| Before::stamp(Some(&entry.point)));
            } else if entry.run == run {
                out.named.add(&entry);
                add_moved(&mut out.moved, &entry);
                if let Some(seal) = entry.seal {
                    out.line.cluster_id = Some(seal.owner.cluster_id);
                    out.held_back = seal.held_back;
                }
            }
        }
        Ok(Some(out))
    }

    /// The stamp that the run's point takes when it is not the one asked for: that of the run that goes on, or the second
    /// after the newest point, where the one asked for is not later. A clock that went back never reorders points.
    pub(crate) fn point_of(&self, options: &WriterOptions) -> Option<String> {
        if options.continuous {
            return None;
        }
        let newest = self.newest.as_ref().filter(|_| self.goes_on(options));
        let stamp = match newest {
            Some(entry) => entry.point.clone(),
            None => contract::stamp::moved_behind(&options.stamp, self.last_stamp.as_deref()),
        };
        (stamp != options.stamp).then_some(stamp)
    }

    /// Whether the run of these options is the one that wrote last and is not over.
    pub(crate) fn goes_on(&self, options: &WriterOptions) -> bool {
        let open = |entry: &&Entry| options.continuous || entry.kind != EntryKind::Seal;
        self.newest.as_ref().filter(open).is_some_and(|entry| entry.run == options.run)
    }
}

/// Where an entry says that partitions are read to. Whoever reads its rows looks at their topics, too.
fn targets_of(entry: &Entry) -> impl Iterator<Item = (TopicIdPartition, i64)> {
    entry.positions.iter().filter(|row| row.target != UNKNOWN_TARGET).filter_map(|row| {
        let topic = entry.topics.get(row.topic as usize)?;
        Some(((topic.id, row.partition), row.target))
    })
}
