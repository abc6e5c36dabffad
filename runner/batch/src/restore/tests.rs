use bytes::Bytes;

use super::*;
use crate::header::seal_crc;
use crate::{Codec, Decompressor, HEADER_LEN, Producer, payload, split};
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
        let out = encode_selected(&selected, HeaderChanges { strip: false, append: Some(headers) }, limit, most, &mut compressor).unwrap();
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

    /// Only headers of exactly these names go, each time they are there; all others keep their order.
    #[test]
    fn what_restores_appended_is_left_out_and_nothing_else(
        records in proptest::collection::vec(plain(), 1..20), append in any::<bool>(),
    ) {
        let ours = [&b"x-original-offset"[..], b"x-original-timestamp", b"x-source-cluster", b"x-source-partition"];
        let near = [&b"X-Original-Offset"[..], b"x-original-offset-", b"x-source", b""];
        let mut with = records.clone();
        let mut wanted = records;
        for (record, wanted) in with.iter_mut().zip(&mut wanted) {
            let all: Vec<_> = record.2.drain(..).collect();
            for (place, header) in all.into_iter().enumerate() {
                record.2.push((ours[place % 4].to_vec(), header.1.clone()));
                record.2.push((near[place % 4].to_vec(), header.1.clone()));
                record.2.push(header);
                record.2.push((ours[(place + 1) % 4].to_vec(), None));
            }
            wanted.2 = record.2.iter().filter(|header| !ours.contains(&header.0.as_slice())).cloned().collect();
        }
        let batch = encode(&with, Codec::Lz4);
        let bytes = payload(&batch, &mut Decompressor::default(), 1 << 24).unwrap();
        let mut selected = Vec::new();
        select_records(&batch.header, &bytes, Window::ALL, &mut selected).unwrap();
        let append = append.then_some(OffsetHeaders { source_cluster: None });
        let changes = HeaderChanges { strip: true, append };
        let out = encode_selected(&selected, changes, 1 << 20, 100, &mut Compressor::new(Codec::None, None)).unwrap();
        let parsed = signed(out[0].clone(), Producer { id: 1, epoch: 0, sequence: 0 });
        for (mut got, want) in decode(&parsed).into_iter().zip(&wanted) {
            if append.is_some() {
                let added = got.2.split_off(got.2.len() - 2);
                prop_assert_eq!((&added[0].0[..], &added[1].0[..]), (ours[0], ours[1]));
            }
            prop_assert_eq!(&got, want);
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
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    let noise: Vec<u8> = (0..5_000).map(|_| next()).collect();
    for (value, fits) in [(noise, false), (vec![7; 5_000], true)] {
        let batch = encode(&[(None, Some(value), vec![], 5)], Codec::None);
        let bytes = payload(&batch, &mut Decompressor::default(), 1 << 20).unwrap();
        let mut selected = Vec::new();
        select_records(&batch.header, &bytes, Window::ALL, &mut selected).unwrap();
        let result =
            encode_selected(&selected, HeaderChanges::default(), 1_000, 100, &mut Compressor::new(Codec::None, None));
        match result {
            Ok(made) => assert!(fits && made.len() == 1 && made[0].size() <= 1_000),
            Err(error) => {
                assert!(!fits && matches!(error, BatchError::RecordTooLarge { size, limit: 1_000 } if size > 4_900));
            }
        }
    }
}

#[test]
fn halves_hold_the_records_of_the_whole_in_order() {
    let record = |n: u8| (Some(vec![n]), Some(vec![n; 100]), Vec::new(), 1_000 + i64::from(n));
    for count in 2..8u8 {
        let records: Vec<_> = (0..count).map(record).collect();
        let whole = copied(&encode(&records, Codec::Zstd), Producer { id: 1, epoch: 0, sequence: 0 });
        let halves = halve(&whole).unwrap();
        assert_eq!(halves.len(), 2);
        let mut found = Vec::new();
        for half in halves {
            found.extend(decode(&signed(half, Producer { id: 1, epoch: 0, sequence: 0 })));
        }
        assert_eq!(found, records);
    }
}

/// Offsets of a batch with these deltas in its records, whose header counts them as brokers want it.
fn with_deltas(deltas: &[u8], codec: Codec) -> RawBatch {
    // Length, attributes, time, delta, null key, null value, no headers.
    let plain: Vec<u8> = deltas.iter().flat_map(|delta| [12, 0, 0, *delta, 1, 1, 0]).collect();
    let meta = BatchMeta {
        base_offset: 100,
        base_timestamp: 5,
        max_timestamp: 5,
        producer: (-1, -1, -1),
        records: i32::try_from(deltas.len()).unwrap(),
    };
    RawBatch::parse(encode_batch(&meta, &plain, &mut Compressor::new(codec, None)).unwrap().into()).unwrap()
}

#[test]
fn odd_deltas_are_told_from_damage() {
    // Zigzag: 0, 1, 2 are 0, 2, 4; -3 is 5; 50 is 100.
    for (deltas, expected, offsets) in [
        (&[0, 2, 4][..], Deltas::Ascending, &[100, 101, 102][..]),
        (&[4, 0, 2], Deltas::Odd, &[102, 100, 101]),
        (&[0, 0, 2], Deltas::Odd, &[100, 100, 101]),
        (&[0, 2, 100], Deltas::Odd, &[100, 101, 150]),
        (&[0, 5, 4], Deltas::Odd, &[100, 97, 102]),
        (&[2, 4, 6], Deltas::Odd, &[101, 102, 103]),
    ] {
        let batch = with_deltas(deltas, Codec::None);
        assert_eq!(crate::deltas(&batch).unwrap(), expected, "{deltas:?}");
        let bytes = payload(&batch, &mut Decompressor::default(), 1 << 20).unwrap();
        let mut selected = Vec::new();
        assert_eq!(select_records(&batch.header, &bytes, Window::ALL, &mut selected).unwrap(), expected);
        assert_eq!(selected.iter().map(|s| s.offset).collect::<Vec<_>>(), offsets);
        let inside = |range: std::ops::Range<i64>| offsets.iter().filter(|o| batch.header.takes(**o, &range)).count();
        assert_eq!(inside(0..1000), 3, "the batch lies inside, so all its records do");
        assert_eq!(inside(100..103), 3);
        assert_eq!(inside(101..103), offsets.iter().filter(|offset| **offset >= 101).count());
    }
    let mut cut = with_deltas(&[0, 2, 4], Codec::None).bytes.to_vec();
    cut[HEADER_LEN] = 120;
    seal_crc(&mut cut);
    assert!(crate::deltas(&RawBatch::parse(cut.into()).unwrap()).is_err());
}

#[test]
fn a_batch_that_packs_to_little_takes_little_memory() {
    let meta = BatchMeta { base_offset: 0, base_timestamp: 5, max_timestamp: 5, producer: (-1, -1, -1), records: 1 };
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bytes = encode_batch(&meta, &vec![7; 1 << 20], &mut Compressor::new(codec, None)).unwrap();
        assert!(bytes.capacity() <= 2 * bytes.len() + 1, "{codec:?}: {} for {}", bytes.capacity(), bytes.len());
    }
}
