//! What the set holds, read back from the store, beside what was read from the archive.

use std::collections::{BTreeMap, HashMap};

use archive::{
    ArchiveError, BatchStream, Digest, ReadBatch, SetState, Timelines, TopicIdPartition, TopicState, Wanted,
};
use batch::Window;
use foreign::Content;

/// What came back of one partition.
#[derive(Debug)]
struct Side<'c> {
    /// What is expected, by offset; those before `at` are done.
    contents: Vec<&'c Content>,
    at: usize,
    digest: Digest,
    records: u64,
    bytes: u64,
}

/// Everything that a set holds.
pub(crate) fn all(state: &SetState) -> Wanted {
    let from: HashMap<TopicIdPartition, i64> = state.partitions.keys().map(|key| (*key, 0)).collect();
    Wanted::new(from, Timelines::default(), Window::ALL)
}

/// Compares everything that the set holds, as it is read back, with what the archive held.
///
/// # Errors
/// The first range of offsets that differs; what cannot be read.
pub(crate) async fn compare(
    mut stream: BatchStream,
    (set, topics): (&str, &[TopicState]),
    contents: &[Content],
) -> Result<(), ArchiveError> {
    let mut sides: BTreeMap<TopicIdPartition, Side<'_>> = BTreeMap::new();
    for content in contents {
        let side = sides.entry((content.topic, content.partition)).or_insert_with(|| Side {
            contents: Vec::new(),
            at: 0,
            digest: Digest::default(),
            records: 0,
            bytes: 0,
        });
        side.contents.push(content);
    }
    let differs = |(id, partition): TopicIdPartition, what: String| {
        let topic = topics.iter().find(|topic| topic.id == id).map_or("a topic without a name", |topic| &topic.name);
        let reason = format!("{topic}/{partition}: {what}; nothing was sealed");
        ArchiveError::Damaged { key: format!("the set {set} that was written"), reason }
    };
    while let Some(read) = stream.next().await? {
        let key = (read.topic, read.partition);
        let Some(side) = sides.get_mut(&key) else {
            return Err(differs(key, "it has records, and the archive has none of it".to_owned()));
        };
        side.take(&read).map_err(|what| differs(key, what))?;
    }
    sides.into_iter().try_for_each(|(key, mut side)| side.close(i64::MAX).map_err(|what| differs(key, what)))
}

impl Side<'_> {
    fn take(&mut self, read: &ReadBatch) -> Result<(), String> {
        for batch in &read.batches {
            let base = batch.header.base_offset;
            self.close(base)?;
            if !self.contents.get(self.at).is_some_and(|content| (content.from..=content.to).contains(&base)) {
                return Err(format!("it has a batch at offset {base} that the archive does not have"));
            }
            self.digest = self.digest.before(&batch.bytes);
            self.records = self.records.saturating_add(batch.header.records());
            self.bytes = self.bytes.saturating_add(batch.bytes.len() as u64);
        }
        Ok(())
    }

    /// Ends what lies below an offset.
    fn close(&mut self, below: i64) -> Result<(), String> {
        while let Some(content) = self.contents.get(self.at).filter(|content| content.to < below) {
            let (records, bytes) = (std::mem::take(&mut self.records), std::mem::take(&mut self.bytes));
            let digest = std::mem::take(&mut self.digest);
            if (records, bytes, &digest) != (content.records, content.bytes, &content.digest) {
                return Err(format!(
                    "offsets {} to {} hold {records} records in {bytes} bytes (digest {digest}), and the archive {} in {} (digest {})",
                    content.from, content.to, content.records, content.bytes, content.digest
                ));
            }
            self.at += 1;
        }
        Ok(())
    }
}
