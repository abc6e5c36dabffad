//! Batches of records as a broker sends them.

use batch::{BatchHeader, Codec, Decompressor, RawBatch, RecordIter, RecordStream};
use bytes::Bytes;

/// Most bytes that a batch may unpack to here.
const UNPACKED: usize = 1 << 20;
/// Most bytes of a record here.
const RECORD: usize = 1 << 16;

/// What Java's and librdkafka's producers wrote, as brokers kept it.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../runner/batch/tests/golden");
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// The same, one by one.
fn each() -> impl Iterator<Item = RawBatch> {
    seeds().into_iter().flat_map(|seed| batch::split(&Bytes::from(seed)).unwrap().batches)
}

/// The bytes of each.
pub(crate) fn single() -> Vec<Vec<u8>> {
    each().map(|batch| batch.bytes.to_vec()).collect()
}

/// What each holds, behind the number of its codec.
pub(crate) fn packed() -> Vec<Vec<u8>> {
    let content = |batch: RawBatch| {
        let codec = batch.header.attributes.codec().map_or(0, |codec| codec as u8);
        [&[codec][..], batch.bytes.get(batch::HEADER_LEN..).unwrap_or_default()].concat()
    };
    each().map(content).collect()
}

/// What is cut adds up.
pub(crate) fn split(data: &[u8]) {
    if let Ok(found) = batch::split(&Bytes::copy_from_slice(data)) {
        let whole: usize = found.batches.iter().map(|batch| batch.bytes.len()).sum();
        assert_eq!(whole + found.tail, data.len());
    }
}

/// What is unpacked stays within its limit.
pub(crate) fn records(data: &[u8]) {
    let Some((codec, data)) = data.split_first() else { return };
    let Some(codec) = Codec::from_id(codec % 5) else { return };
    let mut plain = Vec::new();
    if Decompressor::default().decompress(codec, data, UNPACKED, &mut plain).is_ok() {
        assert!(plain.len() <= UNPACKED);
    }
    if let Ok(header) = BatchHeader::parse(data) {
        for record in RecordIter::new(&header, &plain).flatten() {
            assert!(record.headers().count() <= plain.len());
        }
    }
}

/// A batch that is read record by record takes no more memory than a record may.
pub(crate) fn stream(data: &[u8]) {
    let Ok(batch) = RawBatch::parse(Bytes::copy_from_slice(data)) else { return };
    let (Ok(mut records), mut room) = (RecordStream::new(&batch), Vec::new()) else { return };
    while let Ok(Some(_)) = records.advance() {
        drop(records.record(RECORD, &mut room));
        assert!(room.capacity() <= 4 * RECORD);
    }
}

/// Places and records of a batch, as a restore reads them.
pub(crate) fn restored(data: &[u8]) {
    let Ok(batch) = RawBatch::parse(Bytes::copy_from_slice(data)) else { return };
    drop(batch::places(&batch, &mut Decompressor::default(), |_| ()));
    if let Ok(plain) = batch::payload(&batch, &mut Decompressor::default(), UNPACKED) {
        for record in RecordIter::new(&batch.header, &plain) {
            let Ok(record) = record else { return };
            assert!(record.headers().count() <= plain.len());
        }
    }
}
