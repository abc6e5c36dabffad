use super::*;
use crate::{Decompressor, PAYLOAD_LIMIT, RecordIter, payload, split};
use proptest::prelude::*;

type Field = Option<Vec<u8>>;

/// A message as the old formats write it.
fn message(magic: u8, attributes: u8, offset: i64, timestamp: i64, key: &Field, value: &Field) -> Vec<u8> {
    let mut body = vec![magic, attributes];
    if magic > 0 {
        body.extend_from_slice(&timestamp.to_be_bytes());
    }
    for field in [key, value] {
        body.extend_from_slice(&field.as_ref().map_or(-1, |f| f.len() as i32).to_be_bytes());
        body.extend_from_slice(field.as_deref().unwrap_or_default());
    }
    let mut crc = flate2::Crc::new();
    crc.update(&body);
    let mut out = offset.to_be_bytes().to_vec();
    out.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
    out.extend_from_slice(&crc.sum().to_be_bytes());
    out.extend_from_slice(&body);
    out
}

fn read_back(bytes: Vec<u8>) -> Vec<(i64, i64, Field, Field)> {
    let mut out = Vec::new();
    for batch in split(&bytes.into()).unwrap().batches {
        let plain = payload(&batch, &mut Decompressor::default(), PAYLOAD_LIMIT).unwrap();
        for record in RecordIter::new(&batch.header, &plain) {
            let record = record.unwrap();
            let appended = batch.header.attributes.log_append_time();
            let client = batch.header.base_timestamp + record.timestamp_delta;
            let time = if appended { batch.header.max_timestamp } else { client };
            let owned = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
            let offset = batch.header.base_offset + i64::from(record.offset_delta);
            out.push((offset, time, owned(record.key), owned(record.value)));
        }
    }
    out
}

fn records() -> impl Strategy<Value = Vec<(i64, i64, Field, Field)>> {
    let field = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..20));
    let record = (1i64..5, 0i64..1_000, field(), field());
    proptest::collection::vec(record, 1..40).prop_map(|rows| {
        let mut offset = 0;
        let with_offsets = rows.into_iter().map(|(step, time, key, value)| {
            offset += step;
            (offset, time, key, value)
        });
        with_offsets.collect()
    })
}

proptest! {
    #[test]
    fn plain_messages_keep_offsets_times_and_contents(rows in records(), magic in 0u8..2) {
        let bytes = rows.iter().flat_map(|(o, t, k, v)| message(magic, 0, *o, *t, k, v)).collect();
        let expected: Vec<_> = rows.into_iter().map(|(o, t, k, v)| (o, if magic == 0 { -1 } else { t }, k, v)).collect();
        prop_assert_eq!(read_back(bytes), expected);
    }

    #[test]
    fn compressed_messages_keep_them_too(rows in records(), codec in 1u8..4, magic in 0u8..2) {
        let last = rows.last().unwrap().0;
        let first = rows[0].0;
        let shift = if magic == 0 { 0 } else { first };
        let inner: Vec<u8> = rows.iter().flat_map(|(o, t, k, v)| message(magic, 0, *o - shift, *t, k, v)).collect();
        let mut packed = Vec::new();
        Compressor::new(Codec::from_id(codec).unwrap(), None).compress(&inner, &mut packed).unwrap();
        if codec == Codec::Lz4.id() && magic == 0 {
            // The mistake of old writers: the checksum covers the frame's magic as well.
            packed[6] = twox_hash::XxHash32::oneshot(0, &packed[..6]).to_be_bytes()[2];
        }
        let bytes = message(magic, codec, last, 7, &None, &Some(packed));
        let expected: Vec<_> = rows.into_iter().map(|(o, t, k, v)| (o, if magic == 0 { -1 } else { t }, k, v)).collect();
        prop_assert_eq!(read_back(bytes), expected);
    }

    #[test]
    fn damaged_messages_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), magic in 0u8..2) {
        if bytes.len() > 16 {
            bytes[16] = magic;
        }
        drop(split(&bytes.into()));
    }
}

/// A message of some kilobytes may hold millions of others: none of what is held grows with them.
#[test]
fn a_dense_message_becomes_batches_of_bounded_size() {
    const COUNT: i64 = 600_000;
    let value = Some(vec![0; 30]);
    let inner: Vec<u8> = (0..COUNT).flat_map(|o| message(1, 0, o, 5, &None, &value)).collect();
    let mut packed = Vec::new();
    Compressor::new(Codec::Gzip, None).compress(&inner, &mut packed).unwrap();
    let bytes = message(1, 1, 7 + COUNT - 1, 5, &None, &Some(packed));
    let batches = split(&bytes.into()).unwrap().batches;
    assert!(batches.len() > 2, "{}", batches.len());
    let (mut next, mut records) = (7, 0);
    for batch in &batches {
        let plain = payload(batch, &mut Decompressor::default(), 5 << 20).unwrap();
        assert_eq!(batch.header.base_offset, next);
        next = batch.header.next_offset();
        records += RecordIter::new(&batch.header, &plain).map(Result::unwrap).count();
    }
    assert_eq!((next, records as i64), (7 + COUNT, COUNT));
}

#[test]
fn append_time_comes_from_the_outer_message() {
    let inner: Vec<u8> = [0, 1].iter().flat_map(|o| message(1, 0, *o, 5, &None, &Some(vec![1]))).collect();
    let mut packed = Vec::new();
    Compressor::new(Codec::Gzip, None).compress(&inner, &mut packed).unwrap();
    let bytes = message(1, 0x08 | 1, 11, 999, &None, &Some(packed));
    let found: Vec<_> = read_back(bytes).into_iter().map(|(offset, time, ..)| (offset, time)).collect();
    assert_eq!(found, [(10, 999), (11, 999)]);
    let plain: Vec<u8> =
        [(3, 50), (4, 50), (5, 60)].iter().flat_map(|(o, t)| message(1, 8, *o, *t, &None, &None)).collect();
    let found: Vec<_> = read_back(plain).into_iter().map(|(offset, time, ..)| (offset, time)).collect();
    assert_eq!(found, [(3, 50), (4, 50), (5, 60)]);
}

#[test]
fn a_flipped_byte_is_noticed_and_a_cut_tail_is_left_out() {
    let one = message(1, 0, 4, 5, &Some(vec![1]), &Some(vec![2]));
    let mut flipped = one.clone();
    *flipped.last_mut().unwrap() ^= 1;
    assert!(matches!(split(&flipped.into()), Err(BatchError::Checksum { .. })));
    let mut two = [one.clone(), message(1, 0, 5, 5, &None, &None)].concat();
    two.truncate(two.len() - 1);
    let found = split(&two.into()).unwrap();
    assert_eq!((found.batches.len(), found.tail > 0, found.converted), (1, true, true));
}
