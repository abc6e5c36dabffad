use bytes::Bytes;

use super::*;
use crate::header::seal_crc;
use crate::{Codec, Decompressor, Producer, payload, split};
use proptest::prelude::*;

/// A record as a test writes it: key, value, headers, timestamp.
type Plain = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>, i64);

fn plain() -> impl Strategy<Value = Plain> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..20);
    let headers = proptest::collection::vec((bytes(), proptest::option::of(bytes())), 0..4);
    (proptest::option::of(bytes()), proptest::option::of(bytes()), headers, -1i64..2_000_000_000_000)
}

fn encode(records: &[Plain], codec: Codec) -> RawBatch {
    let mut sink = RecordSink::with_capacity(0);
    let base = records[0].3;
    for (delta, (key, value, headers, timestamp)) in (0i32..).zip(records) {
        let empty = Record {
            attributes: 0,
            timestamp_delta: 0,
            offset_delta: 0,
            key: None,
            value: None,
            key_value: &key_value(key.as_deref(), value.as_deref()),
            header_count: 0,
            headers: &[],
        };
        let headers: Vec<_> = headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        sink.push(&empty, timestamp - base, delta, &headers);
    }
    let meta = BatchMeta {
        base_offset: 1000,
        base_timestamp: base,
        max_timestamp: records.iter().map(|r| r.3).max().unwrap(),
        producer: (7, 1, 5),
        records: i32::try_from(records.len()).unwrap(),
    };
    RawBatch::parse(sink.finish(&meta, &mut Compressor::new(codec, None)).unwrap().into()).unwrap()
}

fn key_value(key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    for part in [key, value] {
        match part {
            None => crate::varint::put_varint(&mut out, -1),
            Some(part) => {
                crate::varint::put_varint(&mut out, i64::try_from(part.len()).unwrap());
                out.extend_from_slice(part);
            }
        }
    }
    out
}

fn copied(batch: &RawBatch, producer: Producer) -> RawBatch {
    signed(Outgoing::new(batch), producer)
}

/// What the broker gets, CRC checked.
fn signed(batch: Outgoing, producer: Producer) -> RawBatch {
    let (records, size) = (batch.records(), batch.size());
    let parsed = RawBatch::parse(batch.sign(producer).concat().into()).unwrap();
    assert_eq!((parsed.header.record_count, parsed.bytes.len()), (records, size));
    parsed
}

fn decode(batch: &RawBatch) -> Vec<Plain> {
    let bytes = payload(batch, &mut Decompressor::default(), 1 << 24).unwrap();
    let mut selected = Vec::new();
    select_records(&batch.header, &bytes, Window::ALL, &mut selected).unwrap();
    let owned = |s: &Selected<'_>| {
        let headers = s.record.headers().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect();
        (s.record.key.map(<[u8]>::to_vec), s.record.value.map(<[u8]>::to_vec), headers, s.timestamp)
    };
    selected.iter().map(owned).collect()
}

proptest! {
    #[test]
    fn records_survive_encode_and_copy(records in proptest::collection::vec(plain(), 1..30), codec in 0u8..5) {
        let batch = encode(&records, Codec::from_id(codec).unwrap());
        prop_assert_eq!(&decode(&batch), &records);
        let copy = copied(&batch, Producer { id: 9, epoch: 2, sequence: 77 });
        prop_assert_eq!(copy.header.base_offset, 0);
        prop_assert_eq!((copy.header.producer_id, copy.header.producer_epoch, copy.header.base_sequence), (9, 2, 77));
        prop_assert_eq!(&decode(&copy), &records);
    }

    #[test]
    fn headers_are_appended_last_and_batches_respect_the_limits(
        records in proptest::collection::vec(plain(), 1..40), limit in 400usize..2_000, most in 1usize..20,
    ) {
        let batch = encode(&records, Codec::Zstd);
        let bytes = payload(&batch, &mut Decompressor::default(), 1 << 24).unwrap();
        let mut selected = Vec::new();
        select_records(&batch.header, &bytes, Window::ALL, &mut selected).unwrap();
        let headers = OffsetHeaders { source_cluster: Some("lab") };
        let mut compressor = Compressor::new(Codec::None, None);
        let out = encode_selected(&selected, Some(headers), limit, most, &mut compressor).unwrap();
        let mut all = Vec::new();
        for encoded in &out {
            prop_assert!(encoded.size() <= limit && encoded.records().unsigned_abs() as usize <= most);
            let parsed = signed(encoded.clone(), Producer { id: 1, epoch: 0, sequence: 0 });
            prop_assert!(parsed.header.is_dense());
            all.extend(decode(&parsed));
        }
        prop_assert_eq!(all.len(), records.len());
        for (position, (got, want)) in all.iter().zip(&records).enumerate() {
            let own = want.2.len();
            prop_assert_eq!((&got.0, &got.1, &got.2[..own], got.3), (&want.0, &want.1, &want.2[..], want.3));
            let offset = 1000 + i64::try_from(position).unwrap();
            prop_assert_eq!(&got.2[own], &(b"x-original-offset".to_vec(), Some(offset.to_le_bytes().to_vec())));
            prop_assert_eq!(&got.2[own + 1], &(b"x-original-timestamp".to_vec(), Some(want.3.to_le_bytes().to_vec())));
            prop_assert_eq!(&got.2[own + 2], &(b"x-source-cluster".to_vec(), Some(b"lab".to_vec())));
        }
    }

    #[test]
    fn split_finds_every_batch_and_the_cut_off_tail(
        groups in proptest::collection::vec(proptest::collection::vec(plain(), 1..5), 1..6), cut in 0usize..200,
    ) {
        let mut answer = Vec::new();
        let mut sizes = Vec::new();
        for (position, records) in groups.iter().enumerate() {
            let mut bytes = encode(records, Codec::Lz4).bytes.to_vec();
            bytes[..8].copy_from_slice(&(1000 * i64::try_from(position).unwrap()).to_be_bytes());
            sizes.push(bytes.len());
            answer.extend_from_slice(&bytes);
        }
        let keep = answer.len() - cut.min(answer.len());
        let whole = sizes.iter().scan(0, |sum, size| { *sum += size; Some(*sum) }).filter(|end| *end <= keep).count();
        let out = split(&Bytes::copy_from_slice(&answer[..keep])).unwrap();
        prop_assert_eq!(out.batches.len(), whole);
        let used: usize = sizes[..whole].iter().sum();
        prop_assert_eq!(out.tail, keep - used);
    }

    #[test]
    fn any_changed_byte_behind_the_length_is_found(records in proptest::collection::vec(plain(), 1..5), at: prop::sample::Index) {
        let mut bytes = encode(&records, Codec::None).bytes.to_vec();
        let position = 16 + at.index(bytes.len() - 16);
        bytes[position] ^= 0x41;
        prop_assert!(split(&Bytes::from(bytes)).is_err());
    }

    #[test]
    fn garbage_never_panics(data in proptest::collection::vec(any::<u8>(), 0..400)) {
        drop(split(&Bytes::from(data)));
    }
}

#[test]
fn append_time_gives_every_record_the_maximum() {
    let mut bytes = encode(&[(None, None, vec![], 5), (None, None, vec![], 9)], Codec::None).bytes.to_vec();
    bytes[22] |= 0x08;
    bytes[35..43].copy_from_slice(&77i64.to_be_bytes());
    seal_crc(&mut bytes);
    let batch = RawBatch::parse(bytes.into()).unwrap();
    assert!(!can_copy(&batch.header));
    assert_eq!(decode(&batch).iter().map(|r| r.3).collect::<Vec<_>>(), [77, 77]);
}

#[test]
fn a_delete_horizon_keeps_record_times() {
    let mut bytes = encode(&[(None, None, vec![], 500)], Codec::None).bytes.to_vec();
    // The cleaner writes the horizon as base time and makes the deltas relative to it.
    let horizon = 500i64 - 3;
    bytes[27..35].copy_from_slice(&horizon.to_be_bytes());
    bytes[22] |= 0x40;
    bytes[61 + 2] = 6;
    seal_crc(&mut bytes);
    let batch = RawBatch::parse(bytes.into()).unwrap();
    assert_eq!(decode(&batch)[0].3, 500);
    let copy = copied(&batch, Producer { id: 1, epoch: 0, sequence: 0 });
    assert!(!copy.header.attributes.delete_horizon());
    assert_eq!(decode(&copy)[0].3, 500);
}

#[test]
fn a_record_over_the_limit_is_named() {
    let batch = encode(&[(None, Some(vec![7; 5_000]), vec![], 5)], Codec::None);
    let bytes = payload(&batch, &mut Decompressor::default(), 1 << 20).unwrap();
    let mut selected = Vec::new();
    select_records(&batch.header, &bytes, Window::ALL, &mut selected).unwrap();
    let result = encode_selected(&selected, None, 1_000, 100, &mut Compressor::new(Codec::None, None));
    assert!(matches!(result, Err(BatchError::RecordTooLarge { size, limit: 1_000 }) if size > 5_000));
}
