//! Sealing a recovery point: its side documents, its seal, and the hint to it.

use std::collections::BTreeSet;

use contract::{CrashPoint, crash};
use object_store::path::Path;
use serde::Serialize;
use uuid::Uuid;

use super::SetWriter;
use crate::documents::{Hint, SideDocument};
use crate::entry::{FORMAT, add_all, encode_document};
use crate::holdings::Holdings;
use crate::sums::Waiting;
use crate::writer_options::{Moves, SealFacts};
use crate::{ArchiveError, Digest, Entry, EntryKind, Seal, SideRef, Store};

impl SetWriter {
    /// Makes a recovery point visible. `live` are the topics that the source has now. The counts of the seal that comes back are
    /// those that readers see.
    ///
    /// # Errors
    /// [`ArchiveError::Fenced`] when another writer took over; the store's failures.
    pub async fn seal(
        &mut self,
        moves: Moves,
        live: &BTreeSet<Uuid>,
        facts: SealFacts,
    ) -> Result<(Entry, Digest), ArchiveError> {
        self.refuse_returned(live)?;
        let finished = self.durable_segments().await?;
        let mut entry = self.entry(EntryKind::Seal);
        entry.point.clone_from(&facts.stamp);
        let positions = moves.positions.clone();
        self.fill(&mut entry, finished, moves)?;
        for (id, position) in positions {
            self.state.partitions.insert((id, position.partition), position);
        }
        let (topics, partitions) = (&self.state.topics, &self.state.partitions);
        let name_of = |id| topics.get(&id).map_or_else(|| Uuid::to_string(&id), |topic| topic.name.clone());
        if let Some(what) = self.ledger.close(name_of, |key| partitions.get(&key).cloned()) {
            return Err(wrong(&facts, &what));
        }
        for topic in self.state.topics.values_mut() {
            let is_live = live.contains(&topic.id);
            topic.until = match (topic.live, is_live) {
                (_, true) => None,
                (true, false) => self.last_seal,
                (false, false) => topic.until,
            };
            topic.live = is_live;
        }
        if let Some(what) = self.lacks(&facts) {
            return Err(wrong(&facts, &what));
        }
        let configs_key = self.options.layout.side(entry.n, "configs.json");
        let configs = side(&self.store, configs_key, &facts.configs).await?;
        let groups_key = self.options.layout.side(entry.n, "groups.json");
        let groups = match &facts.groups {
            Some(groups) => Some(side(&self.store, groups_key, groups).await?),
            None => None,
        };
        crash::at(CrashPoint::SideWritten);
        let (topics, partitions) = self.state.to_document()?;
        let mut named = self.holdings.named;
        add_all(&mut named, &entry.segments);
        entry.set = Some(self.set.clone());
        entry.seal = Some(Box::new(Seal {
            point: facts.point,
            at: facts.at,
            topics,
            partitions,
            owner: self.options.owner.clone(),
            source_cluster_id: facts.source_cluster_id,
            include_offset_headers: facts.include_offset_headers,
            held_back: facts.held_back,
            configs,
            groups,
            holdings: Some(Holdings { named, ..self.holdings }),
            converted: facts.converted.or_else(|| self.converted.clone()),
            writer: facts.writer,
        }));
        let (number, digest) = self.append(entry.clone()).await?;
        self.last_seal = Some(number);
        self.last_state = Some(number);
        self.last_stamp = Some(entry.point.clone());
        if let (Some(pruned), Some(seal)) = (&self.pruned, &mut entry.seal) {
            pruned.take_out(number, seal);
        }
        Ok((entry, digest))
    }

    /// A topic that was gone, of which retention hides every row, and that the source has again under its id: what it still has of
    /// those rows would be missing without a word.
    fn refuse_returned(&self, live: &BTreeSet<Uuid>) -> Result<(), ArchiveError> {
        let hidden = |id: &&Uuid| self.pruned.as_ref().is_some_and(|pruned| pruned.hides_all_of(**id));
        let Some(id) = live.iter().find(hidden) else { return Ok(()) };
        let name = self.state.topics.get(id).map_or_else(String::new, |topic| topic.name.clone());
        let reason = format!(
            "the source has topic {name} with id {id} again, and retention removed what set {} had of it; begin a new set under \
             another name",
            self.options.layout.set()
        );
        Err(ArchiveError::Config { reason, code: contract::Code::ArchiveDamaged })
    }

    /// The first partition that the point would lack something of without a word.
    fn lacks(&self, facts: &SealFacts) -> Option<String> {
        let waiting = Waiting::new(&facts.held_back);
        let mut rows = self.state.partitions.iter();
        rows.find_map(|((id, _), row)| waiting.lacks(self.state.topics.get(id)?, row))
    }

    /// Writes the hint from the point's stamp to its seal. Readers check it against the log.
    ///
    /// # Errors
    /// The store's failures; the recovery point is complete without it.
    pub async fn write_hint(&mut self, entry: &Entry, digest: &Digest) -> Result<(), ArchiveError> {
        let hint = Hint { format: FORMAT, entry: entry.n, digest: digest.clone() };
        self.store.put(&self.options.layout.point(&entry.point), encode_document(&hint)?.into()).await
    }
}

fn wrong(facts: &SealFacts, what: &str) -> ArchiveError {
    let reason = format!("the recovery point {} does not add up and was not sealed: {what}", facts.point);
    ArchiveError::Config { reason, code: contract::Code::Internal }
}

async fn side<T: Serialize>(store: &Store, key: Path, content: &T) -> Result<SideRef, ArchiveError> {
    let bytes = encode_document(&SideDocument::new(content))?;
    let reference = SideRef { size: bytes.len() as u64, digest: Digest::of(&bytes) };
    store.put(&key, bytes.into()).await?;
    Ok(reference)
}
