//! The record of the source that a restored record names in its headers: so the target says by itself how far it is. A batch may go
//! into the target as it came, with the headers of an earlier restore, so the record that is named is compared, too. Pure.

use archive::Digest;
use batch::{
    BatchHeader, Decompressor, Header, ORIGINAL_OFFSET, ORIGINAL_TIMESTAMP, RawBatch, RecordIter, Selected, payload,
};
use bytes::Bytes;

/// Most plain bytes of a batch that is looked into.
const PLAIN: usize = 4 << 20;

/// A record of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// Its offset.
    pub(crate) offset: i64,
    content: Digest,
}

impl Named {
    /// What the last record of the first of these batches names; `None` where it names nothing, or the batch did not come whole.
    pub(crate) fn of_last(records: &Bytes) -> Option<Self> {
        let header = BatchHeader::parse(records).ok()?;
        let whole = (!header.attributes.control() && header.size() <= records.len()).then_some(header.size())?;
        let batch = RawBatch::parse(records.slice(..whole)).ok()?;
        // A batch of somebody else names nothing.
        let plain = payload(&batch, &mut Decompressor::default(), PLAIN).ok()?;
        // The same.
        let last = RecordIter::new(&batch.header, &plain).last()?.ok()?;
        let headers: Vec<Header<'_>> = last.headers().collect();
        let place = headers.iter().rposition(|header| header.key == ORIGINAL_OFFSET)?;
        let number = |place: usize, key: &[u8]| {
            let header = headers.get(place).filter(|header| header.key == key)?;
            Some(i64::from_le_bytes(header.value?.try_into().ok()?))
        };
        let (offset, timestamp) = (number(place, ORIGINAL_OFFSET)?, number(place + 1, ORIGINAL_TIMESTAMP)?);
        Some(Self { offset, content: content(timestamp, last.key, last.value) })
    }

    /// Whether this record of the source is the one.
    pub(crate) fn is(&self, record: &Selected<'_>) -> bool {
        record.offset == self.offset
            && content(record.timestamp, record.record.key, record.record.value) == self.content
    }
}

/// What makes a record out, but for its headers.
fn content(timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Digest {
    let mut bytes = timestamp.to_le_bytes().to_vec();
    for part in [key, value] {
        let length = part.map_or(-1, |part| i64::try_from(part.len()).unwrap_or(i64::MAX));
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(part.unwrap_or_default());
    }
    Digest::of(&bytes)
}

#[cfg(test)]
mod tests {
    use batch::{
        BatchMeta, Codec, Compressor, HeaderChanges, OffsetHeaders, Producer, Window, encode_batch, encode_selected,
        select_records,
    };

    use super::*;

    /// Two records without a key, one millisecond apart.
    fn batch(base_offset: i64, values: [u8; 2]) -> RawBatch {
        let meta =
            BatchMeta { base_offset, base_timestamp: 1000, max_timestamp: 1001, producer: (-1, -1, -1), records: 2 };
        let records = [14, 0, 0, 0, 1, 2, values[0], 0, 14, 0, 2, 2, 1, 2, values[1], 0];
        let bytes = encode_batch(&meta, &records, &mut Compressor::new(Codec::None, None)).unwrap();
        RawBatch::parse(bytes.into()).unwrap()
    }

    fn selected<'p>(batch: &RawBatch, plain: &'p Bytes) -> Vec<Selected<'p>> {
        let mut out = Vec::new();
        select_records(&batch.header, plain, Window::ALL, &mut out).unwrap();
        out
    }

    fn restored(batch: &RawBatch, headers: bool) -> Bytes {
        let plain = payload(batch, &mut Decompressor::default(), PLAIN).unwrap();
        let append = headers.then_some(OffsetHeaders { source_cluster: Some("c") });
        let headers = HeaderChanges { strip: false, append };
        let mut compressor = Compressor::new(Codec::Gzip, None);
        let out = encode_selected(&selected(batch, &plain), headers, 1 << 20, 100, &mut compressor).unwrap();
        let [head, payload] = out.into_iter().next().unwrap().sign(Producer { id: 7, epoch: 0, sequence: 0 });
        [head, payload].concat().into()
    }

    #[test]
    fn a_restored_record_names_the_one_that_it_was_made_of() {
        let source = batch(41, *b"ab");
        let plain = payload(&source, &mut Decompressor::default(), PLAIN).unwrap();
        let named = Named::of_last(&restored(&source, true)).unwrap();
        let is: Vec<_> = selected(&source, &plain).iter().map(|record| named.is(record)).collect();
        assert_eq!((named.offset, is), (42, vec![false, true]));
        // A record of another content under that offset is not the one.
        let other = batch(41, *b"ax");
        let plain = payload(&other, &mut Decompressor::default(), PLAIN).unwrap();
        assert!(!named.is(&selected(&other, &plain)[1]));
    }

    #[test]
    fn what_names_nothing_or_did_not_come_whole_proves_nothing() {
        let source = batch(41, *b"ab");
        assert_eq!(Named::of_last(&restored(&source, false)), None);
        let whole = restored(&source, true);
        assert_eq!(Named::of_last(&whole.slice(..whole.len() - 1)), None);
        assert_eq!(Named::of_last(&Bytes::new()), None);
    }
}
