//! Batches as producers make them: every codec, keys, values and headers that are null or empty, times out of order.
//! Written from the protocol guide; the same batch step gives the same bytes but for the producer's id and epoch.

use batch::{Codec, Compressor};
use bytes::Bytes;

use crate::step::{Batch, Flaw};

/// Bytes before what the checksum covers.
const COVERED_AT: usize = 21;

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => varint(out, -1),
        Some(value) => {
            varint(out, value.len() as i64);
            out.extend_from_slice(value);
        }
    }
}

/// The bytes of a batch whose first record has about this time.
pub fn batch(plan: &Batch, producer: (i64, i16), time: i64) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(plan.seed);
    let (mut records, mut newest) = (Vec::new(), time);
    for delta in 0..plan.records {
        // Times go up and down; the newest is not the last.
        let late = rng.i64(0..2000) - 500;
        newest = newest.max(time + late);
        let mut body = vec![0];
        varint(&mut body, late);
        varint(&mut body, i64::from(delta));
        let key = format!("key {}", rng.u8(0..8));
        let null = plan.null_keys && rng.bool();
        bytes(&mut body, (!null).then_some(key.as_bytes()));
        let value: Vec<u8> = (0..rng.usize(0..=plan.size)).map(|_| rng.u8(b'a'..b'f')).collect();
        bytes(&mut body, (rng.u8(0..6) > 0).then_some(&value[..]));
        let headers = rng.u8(0..3);
        varint(&mut body, i64::from(headers));
        for header in 0..headers {
            bytes(&mut body, Some(format!("h{header}").as_bytes()));
            let content = [None, Some(&b""[..]), Some(&b"x"[..])];
            bytes(&mut body, content[usize::from(rng.u8(0..3))]);
        }
        varint(&mut records, body.len() as i64);
        records.extend(body);
    }
    let codec = Codec::from_id(plan.codec).expect("a codec of Kafka");
    let mut packed = Vec::new();
    Compressor::new(codec, None).compress(&records, &mut packed).expect("it can be compressed");
    let transactional = plan.producer.is_some_and(|(_, transactional)| transactional);
    let mut attributes = i16::from(plan.codec) | if transactional { 0x10 } else { 0 };
    let mut count = plan.records;
    match plan.flaw {
        Flaw::Control => attributes |= 0x20,
        Flaw::Count => count += 1,
        Flaw::None | Flaw::Checksum | Flaw::Base => {}
    }
    let mut covered = attributes.to_be_bytes().to_vec();
    covered.extend((plan.records - 1).to_be_bytes());
    covered.extend(time.to_be_bytes());
    covered.extend(newest.to_be_bytes());
    covered.extend(producer.0.to_be_bytes());
    covered.extend(producer.1.to_be_bytes());
    covered.extend(if producer.0 < 0 { -1 } else { plan.sequence }.to_be_bytes());
    covered.extend(count.to_be_bytes());
    covered.extend(packed);
    let base = i64::from(plan.flaw == Flaw::Base);
    let crc = crc32c::crc32c(&covered) ^ u32::from(plan.flaw == Flaw::Checksum);
    let mut out = Vec::with_capacity(COVERED_AT + covered.len());
    out.extend(base.to_be_bytes());
    out.extend((covered.len() as i32 + 9).to_be_bytes());
    out.extend((-1i32).to_be_bytes());
    out.push(2);
    out.extend(crc.to_be_bytes());
    out.extend(covered);
    out.into()
}
