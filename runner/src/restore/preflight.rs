//! Every record of a plan is read once before anything is written (`headerPreflight: full`): what cannot be read shows while the
//! target is as it was, and records that an earlier restore marked are counted. It reads the archive as the restore itself
//! will, and never writes.

use std::collections::{BTreeMap, HashMap};

use archive::Point;
use batch::{BatchError, Decompressor, is_tracking};
use contract::{Code, Failure, OnUnreadable};

use super::each_record::each_record;
use super::plan::RestorePlan;
use crate::context::Context;

/// Most topics that the warning names.
const NAMED: usize = 5;

/// Records of a topic, and those among them that have offset headers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Count {
    records: u64,
    marked: u64,
}

/// Reads everything. Returns a warning where records have offset headers of an earlier restore that stay.
///
/// # Errors
/// A batch that cannot be read where the restore must not leave it out; a wish to stop.
pub(super) async fn read_all(context: &Context, point: &Point, plan: &RestorePlan) -> Result<Option<String>, Failure> {
    let _wait =
        context.waits.begin("every record is read before anything is written (restore.headerPreflight is full)");
    tokio::select! {
        biased;
        counted = count(point, plan) => Ok(warning(&counted?, plan.strip_offset_headers)),
        () = context.cancel.cancelled() => {
            Err(Failure::new(Code::Interrupted, "stopped on request while the archive was read; nothing was written"))
        }
    }
}

async fn count(point: &Point, plan: &RestorePlan) -> Result<BTreeMap<String, Count>, Failure> {
    let names: HashMap<_, _> = plan.topics.iter().map(|topic| (topic.source_id, topic.source.as_str())).collect();
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    let (windows, mut decompressor) = (plan.windows(), Decompressor::default());
    let mut stream = point.stream(plan.wanted()).await?;
    while let Some(share) = stream.next().await? {
        let Some(topic) = names.get(&share.topic) else { continue };
        let count = counts.entry((*topic).to_owned()).or_default();
        let (window, offsets) = (windows.of((share.topic, share.partition)), share.from..share.until);
        for batch in share.batches.iter().filter(|batch| !window.misses(&batch.header)) {
            let mut found = Count::default();
            let read = each_record(batch, window, &mut decompressor, &mut |record| {
                if batch.header.takes(record.offset, &offsets) {
                    found.records += 1;
                    found.marked += u64::from(record.record.headers().any(|header| is_tracking(&header)));
                }
            });
            match read {
                Ok(()) => {
                    count.records += found.records;
                    count.marked += found.marked;
                }
                Err(_) if plan.on_unreadable == OnUnreadable::Skip => {}
                // It may go out as it came: whoever produces it says what becomes of it.
                Err(BatchError::TooLarge { .. }) => {}
                Err(error) => {
                    let text = format!(
                        "{topic}/{}: the batch at source offset {} cannot be read: {error}; nothing was written. To restore \
                         everything else, set restore.onUnreadable: skip",
                        share.partition, batch.header.base_offset
                    );
                    return Err(Failure::new(Code::ArchiveDamaged, text));
                }
            }
        }
    }
    Ok(counts)
}

/// What is to know of records that were restored before.
fn warning(counts: &BTreeMap<String, Count>, are_stripped: bool) -> Option<String> {
    let marked: Vec<_> = counts.iter().filter(|(_, count)| count.marked > 0).collect();
    if marked.is_empty() || are_stripped {
        return None;
    }
    let mut list: Vec<String> = marked
        .iter()
        .take(NAMED)
        .map(|(topic, count)| format!("{topic} ({} of {})", count.marked, count.records))
        .collect();
    if marked.len() > NAMED {
        list.push(format!("{} more topics", marked.len() - NAMED));
    }
    Some(format!(
        "records have offset headers of an earlier restore, and keep them: {}; set stripOffsetHeaders to leave them out",
        list.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_records_are_told_by_topic_unless_their_headers_go() {
        let count = |marked| Count { records: 9, marked };
        let counts = BTreeMap::from([("a".to_owned(), count(0)), ("b".to_owned(), count(4))]);
        let said = warning(&counts, false).unwrap();
        assert!(said.contains("b (4 of 9)") && !said.contains("a ("), "{said}");
        assert_eq!(warning(&counts, true), None);
        assert_eq!(warning(&BTreeMap::from([("a".to_owned(), count(0))]), false), None);
        let many: BTreeMap<_, _> = (0..9).map(|number| (number.to_string(), count(1))).collect();
        assert!(warning(&many, false).unwrap().contains("4 more topics"));
    }
}
