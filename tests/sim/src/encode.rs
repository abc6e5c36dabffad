//! Record batches as producers and brokers write them (magic 2). Independent of the product's encoder.

use bytes::Bytes;

/// A record of the model: what stands in it says where it came from.
pub const VALUE_HEAD: usize = 8;

/// What a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Records of a producer without transaction.
    Plain,
    /// Records of a transaction.
    Transactional,
    /// The marker that ends a transaction: committed or not.
    Marker(bool),
}

/// One record on its way into a batch: offset delta, a number that names it for ever, and the size of its value.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord {
    /// Offset minus the batch's base offset.
    pub delta: i32,
    /// Number that names the record; the first bytes of its value.
    pub id: u64,
    /// Bytes of the value.
    pub size: usize,
}

/// Header fields that differ from batch to batch.
#[derive(Debug, Clone, Copy)]
pub struct Head {
    /// Offset of the first record.
    pub base: i64,
    /// Last offset minus base offset.
    pub last_delta: i32,
    /// Leader epoch.
    pub epoch: i32,
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// Producer id, -1 for none.
    pub producer: i64,
    /// Its epoch, -1 for none.
    pub producer_epoch: i16,
    /// First sequence, -1 for none.
    pub sequence: i32,
    /// What it is.
    pub kind: Kind,
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest as u8) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn record(out: &mut Vec<u8>, delta: i32, key: &[u8], value: &[u8]) {
    let mut body = vec![0];
    varint(&mut body, 0);
    varint(&mut body, i64::from(delta));
    varint(&mut body, key.len() as i64);
    body.extend_from_slice(key);
    varint(&mut body, value.len() as i64);
    body.extend_from_slice(value);
    varint(&mut body, 0);
    varint(out, body.len() as i64);
    out.extend_from_slice(&body);
}

/// The bytes of a batch.
pub fn batch(head: &Head, records: &[NewRecord]) -> Bytes {
    let mut body = Vec::new();
    for new in records {
        let mut value = new.id.to_be_bytes().to_vec();
        // Noise of a few kinds: packing must not fold a segment into nothing.
        let mut noise = new.id;
        value.extend(
            std::iter::repeat_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (noise >> 56) as u8
            })
            .take(new.size.saturating_sub(VALUE_HEAD)),
        );
        record(&mut body, new.delta, &new.id.to_be_bytes(), &value);
    }
    let mut count = records.len() as i32;
    if let Kind::Marker(committed) = head.kind {
        record(&mut body, 0, &[0, 0, 0, u8::from(committed)], &[0, 0, 0, 0, 0, 0]);
        count = 1;
    }
    let attributes: i16 = match head.kind {
        Kind::Plain => 0,
        Kind::Transactional => 0x10,
        Kind::Marker(_) => 0x30,
    };
    let mut covered = Vec::with_capacity(body.len() + 40);
    covered.extend_from_slice(&attributes.to_be_bytes());
    covered.extend_from_slice(&head.last_delta.to_be_bytes());
    covered.extend_from_slice(&head.time_ms.to_be_bytes());
    covered.extend_from_slice(&head.time_ms.to_be_bytes());
    covered.extend_from_slice(&head.producer.to_be_bytes());
    covered.extend_from_slice(&head.producer_epoch.to_be_bytes());
    covered.extend_from_slice(&head.sequence.to_be_bytes());
    covered.extend_from_slice(&count.to_be_bytes());
    covered.extend_from_slice(&body);
    let mut out = Vec::with_capacity(covered.len() + 21);
    out.extend_from_slice(&head.base.to_be_bytes());
    out.extend_from_slice(&((covered.len() + 9) as i32).to_be_bytes());
    out.extend_from_slice(&head.epoch.to_be_bytes());
    out.push(2);
    out.extend_from_slice(&crc32c::crc32c(&covered).to_be_bytes());
    out.extend_from_slice(&covered);
    out.into()
}

/// The bit of the attributes that says that the broker stamped the batch.
const APPEND_TIME: i16 = 0x08;
const CRC_AT: usize = 17;
const ATTRIBUTES_AT: usize = 21;
const MAX_TIMESTAMP_AT: usize = 35;

/// The batch with another newest time, of the broker's own where it says so.
pub(crate) fn stamped(bytes: &[u8], newest_ms: i64, append_time: bool) -> Bytes {
    let mut out = bytes.to_vec();
    let attributes = i16::from_be_bytes([out[ATTRIBUTES_AT], out[ATTRIBUTES_AT + 1]]);
    let attributes = if append_time { attributes | APPEND_TIME } else { attributes };
    out[ATTRIBUTES_AT..ATTRIBUTES_AT + 2].copy_from_slice(&attributes.to_be_bytes());
    out[MAX_TIMESTAMP_AT..MAX_TIMESTAMP_AT + 8].copy_from_slice(&newest_ms.to_be_bytes());
    let crc = crc32c::crc32c(&out[ATTRIBUTES_AT..]);
    out[CRC_AT..ATTRIBUTES_AT].copy_from_slice(&crc.to_be_bytes());
    out.into()
}
