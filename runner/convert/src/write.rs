//! From the archive into the set: batches as they come, and progress each time that a segment is full.

use archive::{ArchiveError, Arena, PendingBatch, Point, SetWriter, Timelines, Wanted};
use batch::Window;

use crate::positions::Positions;
use crate::request::{Progress, Tell};

/// Most bytes that are packed at once.
const ARENA: u64 = 24 << 20;

/// Writes what the set does not have yet.
///
/// # Errors
/// What cannot be read or stored, or another run that took over.
pub(crate) async fn write(
    writer: &mut SetWriter,
    point: &Point,
    positions: &mut Positions,
    segment_max_bytes: u64,
    tell: Tell<'_>,
) -> Result<(), ArchiveError> {
    let wanted = Wanted::new(positions.starts(), Timelines::default(), Window::ALL);
    let mut stream = point.stream(wanted).await?;
    let (mut arena, mut since) = (Arena::default(), 0u64);
    let most = ARENA.min(segment_max_bytes);
    while let Some(read) = stream.next().await? {
        let (topic, partition) = (read.topic, read.partition);
        for raw in read.batches {
            positions.take((topic, partition), &raw.header)?;
            since = since.saturating_add(raw.bytes.len() as u64);
            let (from, committed) = (raw.header.base_offset, raw.header.records());
            arena.push(PendingBatch { topic, partition, timeline: 0, from, committed, aborted: false, raw });
        }
        if arena.bytes() as u64 >= most {
            writer.push(std::mem::take(&mut arena)).await?;
        }
        if since >= segment_max_bytes {
            save(writer, &mut arena, positions, tell).await?;
            since = 0;
        }
    }
    save(writer, &mut arena, positions, tell).await
}

/// Makes durable what was taken so far.
async fn save(
    writer: &mut SetWriter,
    arena: &mut Arena,
    positions: &mut Positions,
    tell: Tell<'_>,
) -> Result<(), ArchiveError> {
    if !arena.is_empty() {
        writer.push(std::mem::take(arena)).await?;
    }
    writer.commit(positions.take_moved()).await?;
    tell(Progress::Stored { records: positions.records(), of: positions.of() });
    Ok(())
}
