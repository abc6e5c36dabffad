use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::varint::put_varint;
use crate::{BatchMeta, Compressor, encode_batch};

const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// Time and offset deltas, key, value, headers.
type Made = (i64, i32, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn made() -> impl Strategy<Value = Made> {
    let bytes = || vec(any::<u8>(), 0..40);
    (any::<i64>(), 0..20_i32, option::of(bytes()), option::of(bytes()), vec((bytes(), option::of(bytes())), 0..4))
}

fn plain(records: &[Made]) -> Vec<u8> {
    let mut out = Vec::new();
    for (time, delta, key, value, headers) in records {
        let mut body = vec![0];
        put_varint(&mut body, *time);
        put_varint(&mut body, i64::from(*delta));
        put_bytes(&mut body, key.as_deref());
        put_bytes(&mut body, value.as_deref());
        put_varint(&mut body, headers.len() as i64);
        for (key, value) in headers {
            put_bytes(&mut body, Some(key));
            put_bytes(&mut body, value.as_deref());
        }
        put_bytes(&mut out, Some(&body));
    }
    out
}

fn batch(plain: &[u8], records: i32, codec: Codec) -> RawBatch {
    let meta = BatchMeta { base_offset: 100, base_timestamp: 5, max_timestamp: 5, producer: (-1, -1, -1), records };
    RawBatch::parse(encode_batch(&meta, plain, &mut Compressor::new(codec, None)).unwrap().into()).unwrap()
}

/// Places and deltas as they are found in the whole payload, and in its stream.
fn both(batch: &RawBatch) -> [Result<(Vec<RecordPlace>, Deltas), BatchError>; 2] {
    let mut whole = Vec::new();
    let first = places(batch, &mut Decompressor::default(), |place| whole.push(place)).map(|deltas| (whole, deltas));
    let streamed = || {
        let (mut found, mut stream) = (Vec::new(), RecordStream::new(batch)?);
        while let Some(place) = stream.advance()? {
            found.push(place);
        }
        Ok((found, stream.deltas()))
    };
    [first, streamed()]
}

proptest! {
    #[test]
    fn a_stream_finds_what_the_whole_payload_has(records in vec(made(), 2..12), odd in -1..2_i32) {
        let count = records.len() as i32 + odd;
        for codec in CODECS {
            let batch = batch(&plain(&records), count, codec);
            let [whole, streamed] = both(&batch);
            prop_assert_eq!(whole.is_ok(), odd == 0);
            prop_assert_eq!(whole.is_ok(), streamed.is_ok(), "{:?}", streamed);
            if let (Ok(whole), Ok(streamed)) = (whole, streamed) {
                prop_assert_eq!(whole, streamed);
            }
        }
    }

    #[test]
    fn damage_is_damage_either_way(records in vec(made(), 1..6), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = plain(&records);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let [whole, streamed] = both(&batch(&bytes, records.len() as i32, Codec::None));
        prop_assert_eq!(whole.is_ok(), streamed.is_ok(), "{:?} {:?}", whole, streamed);
    }

    #[test]
    fn a_record_is_read_whole_or_passed_over(records in vec(made(), 1..8), most in 0..120_usize) {
        let batch = batch(&plain(&records), records.len() as i32, Codec::Lz4);
        let (mut stream, mut room) = (RecordStream::new(&batch).unwrap(), Vec::new());
        for (time, delta, key, value, headers) in &records {
            let place = stream.advance().unwrap().unwrap();
            prop_assert_eq!(place, RecordPlace { offset: 100 + i64::from(*delta), timestamp: time.wrapping_add(5) });
            let record = match stream.record(most, &mut room) {
                Ok(record) => record,
                Err(error) => {
                    prop_assert_eq!(error, BatchError::TooLarge { limit: most });
                    continue;
                }
            };
            prop_assert_eq!((record.key, record.value), (key.as_deref(), value.as_deref()));
            prop_assert_eq!(record.headers().count(), headers.len());
        }
        prop_assert_eq!(stream.advance().unwrap(), None);
    }
}

/// 64 MiB of records in a few kilobytes: each is found, and no more than a buffer is held.
#[test]
fn a_small_batch_that_stands_for_much_is_read() {
    let value = vec![0; 1 << 20];
    let records: Vec<Made> = (0..64).map(|n| (0, n % 20, None, Some(value.clone()), Vec::new())).collect();
    for codec in [Codec::Zstd, Codec::Gzip, Codec::Snappy, Codec::Lz4] {
        let batch = batch(&plain(&records), 64, codec);
        let mut found = 0;
        places(&batch, &mut Decompressor::default(), |_| found += 1).unwrap();
        assert_eq!(found, 64, "{codec:?}");
    }
}

#[test]
fn what_is_cut_off_is_damage() {
    let records = [(0, 0, None, Some(vec![7; 5_000]), Vec::new())];
    for codec in CODECS {
        let whole = batch(&plain(&records), 1, codec);
        // More than the mark at the end of an LZ4 frame, which need not be there.
        let bytes = whole.bytes.slice(..whole.bytes.len() - 12);
        let cut = RawBatch { bytes, ..whole };
        let [whole, streamed] = both(&cut);
        assert!(whole.is_err() && streamed.is_err(), "{codec:?}: {whole:?} {streamed:?}");
    }
}
