use std::collections::HashMap;

use super::*;
use crate::restore::route::Route;
use batch::{BatchMeta, Compressor, Decompressor, Producer, Selected, encode_batch, payload, select_records};
use proptest::prelude::*;

/// A batch of records without key and headers; values are the record's number in the partition.
fn raw(offset: i64, times: &[i64], codec: Codec, padding: usize) -> RawBatch {
    let records: Vec<_> = (0i32..).zip(times).map(|(delta, time)| (delta, *time)).collect();
    with_deltas(offset, &records, codec, &vec![0x55; padding])
}

/// A batch whose records have these offset deltas and times; the header counts offsets as brokers want it.
fn with_deltas(offset: i64, records: &[(i32, i64)], codec: Codec, padding: &[u8]) -> RawBatch {
    let mut out = Vec::new();
    for (number, (delta, time)) in (0i64..).zip(records) {
        let value = [&(offset + number).to_be_bytes(), padding].concat();
        let mut body = vec![0];
        varint(&mut body, time - records[0].1);
        varint(&mut body, i64::from(*delta));
        varint(&mut body, -1);
        varint(&mut body, i64::try_from(value.len()).unwrap());
        body.extend(value);
        varint(&mut body, 0);
        varint(&mut out, i64::try_from(body.len()).unwrap());
        out.extend(body);
    }
    packed(offset, records, &out, codec)
}

fn packed(offset: i64, records: &[(i32, i64)], plain: &[u8], codec: Codec) -> RawBatch {
    let meta = BatchMeta {
        base_offset: offset,
        base_timestamp: records[0].1,
        max_timestamp: records.iter().map(|(_, time)| *time).max().unwrap(),
        producer: (-1, -1, -1),
        records: i32::try_from(records.len()).unwrap(),
    };
    RawBatch::parse(encode_batch(&meta, plain, &mut Compressor::new(codec, None)).unwrap().into()).unwrap()
}

/// Bytes that no codec makes smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
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
    let (made, skipped) = transform(&share(batches, from), rules, skip).unwrap();
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
    Rules {
        topic: "t".into(),
        windows: window.into(),
        headers,
        strip: false,
        source_cluster: headers.then(|| "c".into()),
        limit,
        max_records,
        on_unreadable: OnUnreadable::Fail,
        notes: Arc::default(),
        space: Arc::default(),
    }
}

fn share(batches: &[RawBatch], from: i64) -> ReadBatch {
    let bytes = batches.iter().map(|batch| batch.bytes.len()).sum();
    ReadBatch { topic: uuid::Uuid::nil(), partition: 0, batches: batches.to_vec(), from, until: i64::MAX, bytes }
}

/// One record of a few kilobytes that stands for more than is held: it goes out as it came where it may, and is not unpacked.
/// Where it must be encoded anew, what is wrong is said.
#[test]
fn a_record_that_unpacks_to_more_than_is_held_goes_out_as_it_came() {
    let batch = with_deltas(0, &[(0, 5)], Codec::Zstd, &vec![0; 200 << 20]);
    assert!(batch.bytes.len() < 1 << 20);
    let rules = rules(Window::ALL, true, 1 << 20, 100);
    let (made, _) = transform(&share(std::slice::from_ref(&batch), 0), &rules, 0).unwrap();
    assert_eq!((made.len(), rules.notes.warnings().len()), (1, 1));
    assert_eq!(made[0].clone().sign(Producer { id: 1, epoch: 0, sequence: 0 }).concat().len(), batch.bytes.len());
    let refused = deal(&share(&[batch], 0), &rules, &Route::Offset(2), &HashMap::new()).unwrap_err();
    assert!(
        refused.message.contains("exceeds the limit of 134217728 bytes") && refused.message.contains("onUnreadable"),
        "{refused:?}"
    );
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

/// Batches that unpack to more than is held at once come out as small ones do.
#[test]
fn huge_batches_come_out_once_in_order_piece_by_piece() {
    let batches = [
        raw(0, &[3; 20], Codec::Zstd, 10),
        raw(20, &[5, 1, 9, 5, 5, 5, 7, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5], Codec::Zstd, 500_000),
        raw(40, &[3; 20], Codec::Lz4, 500_000),
        raw(60, &[3; 20], Codec::Gzip, 10),
    ];
    let times: Vec<i64> = [vec![3; 20], vec![5, 1, 9, 5, 5, 5, 7], vec![5; 13], vec![3; 40]].concat();
    for (from, window) in [(0, Window::ALL), (25, Window::ALL), (0, Window { start: 3, end: 6 })] {
        let wanted: Vec<_> = (0i64..)
            .zip(&times)
            .filter(|(n, time)| *n >= from && window.contains(**time))
            .map(|(n, t)| (n, *t))
            .collect();
        for (headers, skip) in [(true, 0), (false, 0), (true, 30), (false, 30), (true, 500)] {
            let rules = rules(window, headers, 1 << 20, 7);
            let (records, sizes, skipped) = out(&batches, from, &rules, skip);
            let left_out = usize::try_from(skip).unwrap().min(wanted.len());
            assert_eq!((skipped, &records[..]), (left_out as u64, &wanted[left_out..]), "{from} {window:?} {skip}");
            assert!(sizes.iter().all(|size| *size <= 1 << 20));
            let skips = HashMap::from([(1, skip)]);
            for dealt in deal(&share(&batches, from), &rules, &Route::Offset(3), &skips).unwrap() {
                let of_target = wanted.iter().filter(|(n, _)| n % 3 == i64::from(dealt.partition)).count();
                let skip = if dealt.partition == 1 { skip.min(of_target as u64) } else { 0 };
                let made: i32 = dealt.batches.iter().map(Outgoing::records).sum();
                assert_eq!((u64::try_from(made).unwrap() + skip, dealt.skipped), (of_target as u64, skip));
            }
        }
    }
}

/// What is broken near the end of a huge batch takes nothing of it along.
#[test]
fn of_a_huge_batch_that_cannot_be_read_nothing_comes_out() {
    let mut bytes = raw(20, &[5; 20], Codec::Lz4, 500_000).bytes.to_vec();
    let end = bytes.len() - 20;
    bytes[end] ^= 0xff;
    let all = [raw(0, &[1; 20], Codec::None, 10), resealed(bytes), raw(40, &[9; 20], Codec::None, 10)];
    for headers in [false, true] {
        let mut rules = rules(Window { start: 1, end: 8 + i64::from(headers) }, true, 1 << 20, 1000);
        let failure = transform(&share(&all, 0), &rules, 0).unwrap_err();
        assert!(failure.message.contains("t/0: the batch at source offset 20"), "{failure}");
        rules.on_unreadable = OnUnreadable::Skip;
        let (records, _, skipped) = out(&all, 0, &rules, 10);
        let expected: Vec<_> = (10..20).chain(if headers { 40..60 } else { 0..0 }).collect();
        assert_eq!((records.iter().map(|(n, _)| *n).collect::<Vec<_>>(), skipped), (expected, 10));
        let dealt = deal(&share(&all, 0), &rules, &Route::Offset(2), &HashMap::new()).unwrap();
        let made: i32 = dealt.iter().flat_map(|dealt| &dealt.batches).map(Outgoing::records).sum();
        assert_eq!(made, if headers { 40 } else { 20 });
        assert_eq!(rules.notes.left_out(), 20);
    }
}

/// A few kilobytes that stand for many megabytes go out as they came, unless only a part of them is wanted.
#[test]
fn a_batch_that_unpacks_to_too_much_goes_out_as_it_came() {
    let bomb = raw(20, &[5, 5, 5, 5, 5, 5, 5, 6], Codec::Zstd, 9 << 20);
    assert!(bomb.bytes.len() < 20_000);
    let with_headers = rules(Window::ALL, true, 1 << 20, 1000);
    let (made, _) = transform(&share(std::slice::from_ref(&bomb), 0), &with_headers, 0).unwrap();
    let [_, payload] = made[0].clone().sign(Producer { id: 1, epoch: 0, sequence: 0 });
    assert_eq!((made.len(), &payload[..]), (1, &bomb.bytes[61..]));
    let [warning] = with_headers.notes.warnings().try_into().unwrap();
    assert!(warning.contains("64 MiB") && warning.contains("without offset headers"), "{warning}");
    let part = rules(Window { start: 0, end: 5 }, true, 1 << 20, 1000);
    let (made, _) = transform(&share(&[bomb], 0), &part, 0).unwrap();
    assert_eq!(made.iter().map(Outgoing::records).sum::<i32>(), 7);
    assert!(part.notes.warnings().is_empty());
}

#[test]
fn small_neighbours_are_merged_and_large_batches_are_copied() {
    let small: Vec<_> = (0..10).map(|n| raw(n, &[n], Codec::Lz4, 10)).collect();
    let rules = rules(Window::ALL, false, 1 << 20, 1000);
    let (made, _) = transform(&share(&small, 0), &rules, 0).unwrap();
    assert_eq!(made.iter().map(Outgoing::records).collect::<Vec<_>>(), [10]);
    let large = [raw(0, &[1; 20], Codec::None, 10_000)];
    let (made, _) = transform(&share(&large, 0), &rules, 0).unwrap();
    let [_, payload] = made[0].clone().sign(Producer { id: 1, epoch: 0, sequence: 0 });
    assert_eq!(payload, large[0].bytes[61..]);
}

/// What any producer can write and brokers take: offsets that go backwards, repeat, or lie outside of the batch.
#[test]
fn odd_batches_come_out_in_the_order_in_which_their_records_stand() {
    for deltas in [&[3, 1, 2, 0][..], &[0, 0, 1], &[0, 1, 50], &[0, -3, 2], &[5, 6, 7]] {
        for (headers, padding) in [(false, 10), (true, 10), (false, 40_000)] {
            let records: Vec<_> = deltas.iter().map(|delta| (*delta, 5)).collect();
            let count = i64::try_from(deltas.len()).unwrap();
            let odd = with_deltas(20, &records, Codec::None, &vec![0; padding]);
            let all = [raw(0, &[1; 20], Codec::None, 10), odd, raw(20 + count, &[9; 20], Codec::None, 10)];
            let rules = rules(Window::ALL, headers, 1 << 20, 1000);
            let (records, _, _) = out(&all, 0, &rules, 0);
            let numbers: Vec<_> = records.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, (0..40 + count).collect::<Vec<_>>(), "{deltas:?}, headers {headers}");
            let [warning] = rules.notes.warnings().try_into().unwrap();
            assert!(warning.contains("t/0: the batch at source offset 20"), "{warning}");
            // A second attempt finds the same records behind those that are there.
            let (rest, _, skipped) = out(&all, 0, &rules, 22);
            assert_eq!((rest.len() as i64, skipped), (18 + count, 22));
        }
    }
}

#[test]
fn a_batch_that_cannot_be_read_ends_the_restore_or_is_left_out_by_name() {
    let broken = |codec: Codec| {
        let mut bytes = raw(20, &[5; 4], Codec::None, 10).bytes.to_vec();
        bytes[22] = codec.id();
        resealed(bytes)
    };
    let mut unknown = raw(20, &[5; 4], Codec::None, 100_000).bytes.to_vec();
    unknown[22] = 5;
    let mut cut = raw(20, &[5; 4], Codec::None, 10).bytes.to_vec();
    cut[61] = 0x7e;
    for bad in [broken(Codec::Zstd), broken(Codec::Lz4), broken(Codec::Snappy), resealed(unknown), resealed(cut)] {
        let all = [raw(0, &[1; 20], Codec::None, 10), bad, raw(24, &[9; 20], Codec::None, 10)];
        for headers in [false, true] {
            let mut rules = rules(Window::ALL, headers, 1 << 20, 1000);
            let failure = transform(&share(&all, 0), &rules, 0).unwrap_err();
            assert_eq!(failure.code, Code::ArchiveDamaged);
            assert!(failure.message.contains("t/0: the batch at source offset 20"), "{failure}");
            rules.on_unreadable = OnUnreadable::Skip;
            let (records, _, _) = out(&all, 0, &rules, 0);
            let numbers: Vec<_> = records.iter().map(|(number, _)| *number).collect();
            assert_eq!(numbers, (0..20).chain(24..44).collect::<Vec<_>>());
            assert_eq!(rules.notes.left_out(), 4);
        }
    }
}

fn resealed(mut bytes: Vec<u8>) -> RawBatch {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    RawBatch::parse(bytes.into()).unwrap()
}

/// Batches that pack to little are not unpacked together: their plain size is what memory has to hold.
#[test]
fn neighbours_are_merged_by_their_plain_size() {
    let huge: Vec<_> = (0..5).map(|n| raw(n, &[n], Codec::Zstd, 3 << 20)).collect();
    assert!(huge.iter().all(|batch| batch.bytes.len() < 1000));
    let plain = rules(Window::ALL, false, 1 << 20, 1000);
    let (made, _) = transform(&share(&huge, 0), &plain, 0).unwrap();
    for (made, came) in made.iter().zip(&huge) {
        let [_, payload] = made.clone().sign(Producer { id: 1, epoch: 0, sequence: 0 });
        assert_eq!(payload, came.bytes[61..], "copied");
    }
    let medium: Vec<_> = (0..8).map(|n| raw(n, &[n], Codec::Zstd, 300 << 10)).collect();
    let (made, _) = transform(&share(&medium, 0), &plain, 0).unwrap();
    assert_eq!(made.iter().map(Outgoing::records).collect::<Vec<_>>(), [3, 3, 2]);
    let headers = rules(Window::ALL, true, 1 << 20, 1000);
    let (made, _) = transform(&share(&huge, 0), &headers, 0).unwrap();
    assert_eq!(made.iter().map(Outgoing::records).collect::<Vec<_>>(), [1; 5]);
}

/// A source took the record, so the target does: packed harder, or without what a restore adds.
#[test]
fn a_record_that_was_packed_better_still_fits() {
    // Repeats that lie far apart: only codecs with a large window find them.
    let far = [noise(300_000), noise(300_000)].concat();
    let best = with_deltas(0, &[(0, 1)], Codec::Zstd, &far);
    for codec in [Codec::Snappy, Codec::Lz4, Codec::Gzip, Codec::Zstd, Codec::None] {
        let batch = with_deltas(0, &[(0, 1)], codec, &far);
        let limit = best.bytes.len() + 500;
        let tight = rules(Window::ALL, true, limit, 1000);
        let (made, _) = transform(&share(&[batch], 0), &tight, 0).unwrap();
        assert!(made.len() == 1 && made[0].size() <= limit, "{codec:?}");
        assert!(tight.notes.warnings().is_empty());
    }
    let batch = with_deltas(0, &[(0, 1)], Codec::None, &noise(100_000));
    let exact = rules(Window::ALL, true, batch.bytes.len(), 1000);
    let (made, _) = transform(&share(std::slice::from_ref(&batch), 0), &exact, 0).unwrap();
    assert_eq!((made.len(), made[0].size()), (1, batch.bytes.len()));
    assert!(exact.notes.warnings()[0].contains("without them"));
    let smaller = rules(Window::ALL, true, batch.bytes.len() - 1, 1000);
    let failure = transform(&share(&[batch], 0), &smaller, 0).unwrap_err();
    assert_eq!(failure.code, Code::BatchTooLarge);
    assert!(failure.message.contains("t/0") && failure.message.contains("max.message.bytes"), "{failure}");
}

/// The keys of the headers of all records that come out.
fn header_keys(made: &[Outgoing]) -> Vec<Vec<Vec<u8>>> {
    let mut out = Vec::new();
    for batch in made {
        let bytes = batch.clone().sign(Producer { id: 1, epoch: 0, sequence: 0 }).concat();
        let parsed = RawBatch::parse(bytes.into()).unwrap();
        let plain = payload(&parsed, &mut Decompressor::default(), 1 << 24).unwrap();
        let mut selected = Vec::new();
        select_records(&parsed.header, &plain, Window::ALL, &mut selected).unwrap();
        out.extend(selected.iter().map(|s| s.record.headers().map(|header| header.key.to_vec()).collect::<Vec<_>>()));
    }
    out
}

/// What an earlier restore put into records goes, on every way; what has nothing of it goes out as it came.
#[test]
fn headers_of_an_earlier_restore_are_left_out() {
    let adding = rules(Window::ALL, true, 1 << 20, 1000);
    let stripping = |headers| Rules { strip: true, headers, ..rules(Window::ALL, false, 1 << 20, 1000) };
    // Small batches that are merged, one that is copied by its size, and one that is too large to be merged.
    for padding in [10, 90_000, 2 << 20] {
        let plain: Vec<_> = (0..2).map(|n| raw(n, &[n], Codec::Zstd, padding)).collect();
        let (restored, _) = transform(&share(&plain, 0), &adding, 0).unwrap();
        let sign = |batch: Outgoing| batch.sign(Producer { id: 1, epoch: 0, sequence: 0 }).concat();
        let again: Vec<_> = restored.into_iter().map(|batch| RawBatch::parse(sign(batch).into()).unwrap()).collect();
        assert!(
            header_keys(&transform(&share(&again, 0), &rules(Window::ALL, false, 1 << 20, 9), 0).unwrap().0)[0].len()
                >= 2
        );
        let (made, _) = transform(&share(&again, 0), &stripping(false), 0).unwrap();
        assert_eq!(header_keys(&made), vec![Vec::<Vec<u8>>::new(); 2], "{padding}");
        let dealt = deal(&share(&again, 0), &stripping(false), &Route::Offset(2), &HashMap::new()).unwrap();
        let batches: Vec<_> = dealt.into_iter().flat_map(|dealt| dealt.batches).collect();
        assert_eq!(header_keys(&batches), vec![Vec::<Vec<u8>>::new(); 2], "{padding}");
        // Once each, though they were there before.
        let (made, _) = transform(&share(&again, 0), &stripping(true), 0).unwrap();
        let own = [&b"x-original-offset"[..], b"x-original-timestamp"];
        assert!(header_keys(&made).iter().all(|keys| keys == &own), "{padding}");
    }
    let came = raw(0, &[0], Codec::None, 100_000);
    let (made, _) = transform(&share(std::slice::from_ref(&came), 0), &stripping(false), 0).unwrap();
    let [_, payload] = made[0].clone().sign(Producer { id: 1, epoch: 0, sequence: 0 });
    assert_eq!(payload, came.bytes[61..], "copied");
}

#[test]
fn records_are_dealt_out_once_whatever_is_in_the_target_already() {
    let batches: Vec<_> = (0..6).map(|n| raw(n * 50, &[n; 50], Codec::Lz4, 40_000)).collect();
    let rules = rules(Window::ALL, false, 1 << 20, 1000);
    let route = Route::Offset(3);
    for skip in [0, 1, 49, 50, 99, 100, 101] {
        let skips = HashMap::from([(1, skip)]);
        let dealt = deal(&share(&batches, 0), &rules, &route, &skips).unwrap();
        let records = |dealt: &Dealt| dealt.batches.iter().map(Outgoing::records).sum::<i32>();
        let found: Vec<_> = dealt.iter().map(|dealt| (dealt.partition, records(dealt), dealt.skipped)).collect();
        let done = i32::try_from(skip.min(100)).unwrap();
        assert_eq!(found, [(0, 100, 0), (1, 100 - done, skip.min(100)), (2, 100, 0)]);
    }
}
