use super::*;
use batch::{BatchMeta, Producer, encode_batch};
use proptest::prelude::*;

/// A batch of records without key and headers; values are the record's number in the partition.
fn raw(offset: i64, times: &[i64], codec: Codec, padding: usize) -> RawBatch {
    let mut records = Vec::new();
    for (delta, time) in (0u8..).zip(times) {
        let mut value = (offset + i64::from(delta)).to_be_bytes().to_vec();
        value.resize(8 + padding, 0x55);
        let mut body = vec![0];
        varint(&mut body, time - times[0]);
        varint(&mut body, i64::from(delta));
        varint(&mut body, -1);
        varint(&mut body, i64::try_from(value.len()).unwrap());
        body.extend(value);
        varint(&mut body, 0);
        varint(&mut records, i64::try_from(body.len()).unwrap());
        records.extend(body);
    }
    let meta = BatchMeta {
        base_offset: offset,
        base_timestamp: times[0],
        max_timestamp: *times.iter().max().unwrap(),
        producer: (-1, -1, -1),
        records: i32::try_from(times.len()).unwrap(),
    };
    RawBatch::parse(encode_batch(&meta, &records, &mut Compressor::new(codec, None)).unwrap().into()).unwrap()
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The record numbers and times that come out, and the sizes of the batches.
fn out(batches: &[RawBatch], from: i64, rules: &Rules, skip: u64) -> (Vec<(i64, i64)>, Vec<usize>, u64) {
    let (made, skipped) = transform(batches, from..i64::MAX, rules, skip).unwrap();
    let (mut records, mut sizes) = (Vec::new(), Vec::new());
    for batch in made {
        let count = batch.records();
        let bytes = batch.sign(Producer { id: 1, epoch: 0, sequence: 0 }).concat();
        let parsed = RawBatch::parse(bytes.into()).unwrap();
        assert!(parsed.header.is_dense() && parsed.header.base_offset == 0 && parsed.header.record_count == count);
        let plain = payload(&parsed, &mut Decompressor::default(), 1 << 24).unwrap();
        let mut selected = Vec::new();
        select_records(&parsed.header, &plain, Window::ALL, &mut selected).unwrap();
        let number = |s: &Selected<'_>| i64::from_be_bytes(s.record.value.unwrap()[..8].try_into().unwrap());
        records.extend(selected.iter().map(|s| (number(s), s.timestamp)));
        sizes.push(parsed.bytes.len());
    }
    (records, sizes, skipped)
}

fn rules(window: Window, headers: bool, limit: usize, max_records: usize) -> Rules {
    Rules { window, headers, source_cluster: headers.then(|| "c".into()), limit, max_records }
}

proptest! {
    #[test]
    fn whatever_the_way_the_wanted_records_come_out_once_in_order(
        shapes in proptest::collection::vec((proptest::collection::vec(0i64..1000, 1..20), 0u8..5, 0usize..40_000), 1..8),
        headers: bool, start in 0i64..1000, width in 0i64..1000, open: bool, skip in 0u64..60, from in 0i64..40,
        most in 1usize..50,
    ) {
        let mut offset = 0;
        let mut batches = Vec::new();
        let mut expected = Vec::new();
        let window = if open { Window::ALL } else { Window { start, end: start + width } };
        for (times, codec, padding) in &shapes {
            batches.push(raw(offset, times, Codec::from_id(*codec).unwrap(), *padding));
            for (number, time) in (offset..).zip(times) {
                if number >= from && window.contains(*time) {
                    expected.push((number, *time));
                }
            }
            offset += i64::try_from(times.len()).unwrap();
        }
        let limit = 1 << 20;
        let rules = rules(window, headers, limit, most);
        let (records, sizes, skipped) = out(&batches, from, &rules, skip);
        let left_out = usize::try_from(skip).unwrap().min(expected.len());
        prop_assert_eq!(skipped, left_out as u64);
        prop_assert_eq!(&records[..], &expected[left_out..]);
        prop_assert!(sizes.iter().all(|size| *size <= limit));
    }
}

#[test]
fn small_neighbours_are_merged_and_large_batches_are_copied() {
    let small: Vec<_> = (0..10).map(|n| raw(n, &[n], Codec::Lz4, 10)).collect();
    let rules = rules(Window::ALL, false, 1 << 20, 1000);
    let (made, _) = transform(&small, 0..i64::MAX, &rules, 0).unwrap();
    assert_eq!(made.iter().map(Outgoing::records).collect::<Vec<_>>(), [10]);
    let large = [raw(0, &[1; 20], Codec::None, 10_000)];
    let (made, _) = transform(&large, 0..i64::MAX, &rules, 0).unwrap();
    let [_, payload] = made[0].clone().sign(Producer { id: 1, epoch: 0, sequence: 0 });
    assert_eq!(payload, large[0].bytes[61..]);
}
