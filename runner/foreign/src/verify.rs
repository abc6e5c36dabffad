//! Whether everything of an archive is there and as its manifest says.

use archive::{ArchiveError, Level, Verification};
use contract::ForeignRecords;

use crate::losses::{self, Losses};
use crate::object;
use crate::set::{Look, Set};
use crate::survey::{Examined, Survey};

impl Set {
    /// Looks at everything, this deep, and says all that is wrong, and what the archive never had.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn verify(&self, level: Level) -> Result<Verification, ArchiveError> {
        let mut out = Verification::default();
        let mut losses = losses::of_manifest(&self.manifest);
        for place in self.places() {
            match level {
                Level::Decode => {
                    for found in self.examine(&[place], Survey::counts(ForeignRecords::Cleaned)).await? {
                        count(&found, &mut out);
                        losses::of_look(self, &found, &mut losses);
                        losses::of_records(self, &found, &mut losses);
                    }
                }
                Level::Structure | Level::Checksum => {
                    for (segment, look) in self.looks(place).await?.iter().enumerate() {
                        let found = Examined { place, segment, look: look.clone(), facts: None, pieces: Vec::new() };
                        losses::of_look(self, &found, &mut losses);
                        out.segments += u64::from(*look != Look::Missing);
                        if level == Level::Checksum {
                            self.checksum(&found, &mut out, &mut losses).await?;
                        }
                    }
                }
            }
        }
        let Losses { problems, notes } = losses;
        (out.problems, out.notes) = (problems, notes);
        Ok(out)
    }

    async fn checksum(
        &self,
        found: &Examined,
        out: &mut Verification,
        losses: &mut Losses,
    ) -> Result<(), ArchiveError> {
        let segment = self.at(found.place).and_then(|(_, partition)| partition.segments.get(found.segment));
        let (Some(segment), Look::There { size, head }) = (segment, &found.look) else { return Ok(()) };
        let digest = object::checksum(&self.store, &segment.key, *size, head.is_some()).await?;
        out.segments_read += 1;
        out.bytes += size;
        losses::of_digest(segment, &digest, losses);
        Ok(())
    }
}

fn count(found: &Examined, out: &mut Verification) {
    out.segments += u64::from(found.look != Look::Missing);
    if let Some(Ok(_)) = found.facts {
        out.segments_read += 1;
        out.bytes += found.look.size();
    }
    for taken in &found.pieces {
        out.batches += taken.shares.len() as u64;
        out.records += taken.met.taken;
    }
}
