//! Markers of transactions among the records of a partition. A coordinator that lost the answer to its request writes a marker
//! once more, maybe long after the fence whose marker it is: it takes an offset, and is nobody's record.

use std::ops::Range;

use batch::{BatchHeader, split_sound};
use bytes::Bytes;
use wire::{Cluster, FetchSpot, Request, Topic, WireError};

use super::fetching::{options, spot};
use crate::logs::leaders;

const ANSWER: i32 = 4 << 20;

/// What was seen of a range so far.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    range: Range<i64>,
    /// Offsets of markers.
    markers: u64,
    /// Nothing more has to be read.
    is_over: bool,
}

impl Seen {
    /// Takes in a batch; `writer` may have records there. Markers are looked for until there are `wanted`.
    fn take(&mut self, header: &BatchHeader, writer: Option<(i64, i16)>, wanted: u64) {
        if header.base_offset >= self.range.end {
            self.is_over = true;
        } else if header.attributes.control() {
            self.markers += header.next_offset().abs_diff(header.base_offset);
            self.is_over = self.markers >= wanted;
        } else {
            self.is_over = Some((header.producer_id, header.producer_epoch)) != writer;
        }
        self.range.start = self.range.start.max(header.next_offset());
    }
}

/// Offsets of markers in a range of offsets of a partition, up to `wanted` of them, and up to the first record that is not of
/// `writer` (producer id and epoch).
///
/// # Errors
/// What cannot be read now.
pub(crate) async fn markers_in(
    cluster: &Cluster,
    topics: &[Topic],
    (name, partition): (&str, i32),
    (range, wanted): (Range<i64>, u64),
    writer: Option<(i64, i16)>,
) -> Result<u64, WireError> {
    let subject = || format!("{name}/{partition}");
    let leader = leaders(topics).get(&(name, partition)).copied().filter(|leader| *leader >= 0);
    let leader = leader.ok_or_else(|| WireError::no_leader(subject()))?;
    let id = topics.iter().find(|topic| topic.name == name).map_or(uuid::Uuid::nil(), |topic| topic.wire_id);
    let mut seen = Seen { range, markers: 0, is_over: wanted == 0 };
    while !seen.is_over && !seen.range.is_empty() {
        let spot = spot((name, id), partition, seen.range.start, ANSWER);
        let records = fetch(cluster, leader, spot, &subject()).await?;
        let before = seen.range.start;
        for batch in split_sound(&records).0.batches {
            if !seen.is_over {
                seen.take(&batch.header, writer, wanted);
            }
        }
        if !seen.is_over && seen.range.start == before {
            return Err(WireError::no_progress(subject(), "a fetch brought nothing"));
        }
    }
    Ok(seen.markers)
}

async fn fetch(cluster: &Cluster, leader: i32, spot: FetchSpot, subject: &str) -> Result<Bytes, WireError> {
    let connection = cluster.broker(leader, 0, None).await?;
    let answer = connection.fetch(&[spot], &options(ANSWER)).await?;
    let part = answer.partitions.into_iter().next();
    let part = part.ok_or_else(|| WireError::no_progress(subject, "the answer does not name the partition"))?;
    if part.error == 0 { Ok(part.records) } else { Err(WireError::broker(Request::Fetch, subject, part.error)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use batch::{BatchMeta, Codec, Compressor, encode_batch};

    fn batch(producer: (i64, i16), base_offset: i64, records: i32, control: bool) -> BatchHeader {
        let producer = (producer.0, producer.1, 0);
        let meta = BatchMeta { base_offset, base_timestamp: 1, max_timestamp: 1, producer, records };
        let bytes = encode_batch(&meta, &[0; 50], &mut Compressor::new(Codec::None, None)).unwrap();
        let mut header = BatchHeader::parse(&bytes).unwrap();
        if control {
            header.attributes.0 |= 0x20;
        }
        header
    }

    fn seen(batches: &[BatchHeader], wanted: u64) -> (u64, bool) {
        let mut seen = Seen { range: 100..120, markers: 0, is_over: false };
        for batch in batches {
            if !seen.is_over {
                seen.take(batch, Some((7, 0)), wanted);
            }
        }
        (seen.markers, seen.is_over)
    }

    #[test]
    fn markers_are_counted_up_to_the_first_foreign_record() {
        let own = |at| batch((7, 0), at, 5, false);
        let marker = |at| batch((3, 1), at, 1, true);
        assert_eq!(seen(&[own(100), marker(105), own(106)], 1), (1, true), "all that was looked for");
        assert_eq!(seen(&[own(100), marker(105), own(106)], 2), (1, false));
        assert_eq!(seen(&[batch((9, 0), 100, 1, false), marker(101)], 1), (0, true), "somebody else's record");
        assert_eq!(seen(&[own(100), own(105), marker(120)], 1), (0, true), "behind the range");
    }
}
