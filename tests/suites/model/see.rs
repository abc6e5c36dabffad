//! What an answer means, as text: batches by their headers, producers by names, times of the broker hidden.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kafka_protocol::messages::fetch_response::PartitionData;

/// Bytes of a batch's header.
const HEADER: usize = 61;

/// Names of producer ids in the order in which they were given.
#[derive(Debug, Default)]
pub struct Names(BTreeMap<i64, String>);

impl Names {
    /// The name of an id.
    pub fn of(&mut self, id: i64) -> String {
        if id < 0 {
            return id.to_string();
        }
        let next = format!("P{}", self.0.len());
        self.0.entry(id).or_insert(next).clone()
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("so many bytes")
}

/// One batch, and the offset behind it.
fn batch(bytes: &[u8], names: &mut Names) -> (String, i64) {
    let base = i64::from_be_bytes(number(bytes, 0));
    let epoch = i32::from_be_bytes(number(bytes, 12));
    let crc = u32::from_be_bytes(number(bytes, 17));
    let attributes = i16::from_be_bytes(number(bytes, 21));
    let last = base + i64::from(i32::from_be_bytes(number(bytes, 23)));
    let (first, newest) = (i64::from_be_bytes(number(bytes, 27)), i64::from_be_bytes(number(bytes, 35)));
    let producer = names.of(i64::from_be_bytes(number(bytes, 43)));
    let producer_epoch = i16::from_be_bytes(number(bytes, 51));
    let sequence = i32::from_be_bytes(number(bytes, 53));
    let count = i32::from_be_bytes(number(bytes, 57));
    assert_eq!(crc, crc32c::crc32c(&bytes[21..]), "a batch with a wrong checksum at {base}");
    let control = attributes & 0x20 != 0;
    let mut out = format!("{base}..={last} e{epoch} a{attributes:#x} {producer}/{producer_epoch}/{sequence} n{count}");
    if control {
        // The record: length, attributes, two deltas, length of the key, the key: version and kind.
        let kind = i16::from_be_bytes(number(bytes, HEADER + 7));
        write!(out, " marker {kind}, {} bytes", bytes.len()).expect("text");
    } else {
        let newest = if attributes & 8 == 0 { newest.to_string() } else { "now".to_owned() };
        write!(out, " t{first}..{newest} #{:08x}", crc32c::crc32c(&bytes[HEADER..])).expect("text");
    }
    (out, last + 1)
}

/// What a fetch said of a partition.
pub fn fetched(data: &PartitionData, names: &mut Names) -> String {
    let mut out = format!(
        "code {} high {} stable {} start {}",
        data.error_code, data.high_watermark, data.last_stable_offset, data.log_start_offset
    );
    let parts = &data.diverging_epoch;
    if parts.end_offset >= 0 {
        write!(out, " parts at epoch {} offset {}", parts.epoch, parts.end_offset).expect("text");
    }
    let bytes = data.records.clone().unwrap_or_default();
    let (mut at, mut next) = (0, 0);
    while bytes.len() - at >= HEADER {
        let length = 12 + i32::from_be_bytes(number(&bytes, at + 8)) as usize;
        if at + length > bytes.len() {
            break;
        }
        let (text, behind) = batch(&bytes[at..at + length], names);
        write!(out, "\n      {text}").expect("text");
        (at, next) = (at + length, behind);
    }
    if at < bytes.len() {
        write!(out, "\n      {} bytes of the next", bytes.len() - at).expect("text");
    }
    // Brokers name what was rolled back up to some place behind the answer.
    let rolled_back = data.aborted_transactions.iter().flatten().filter(|one| one.first_offset < next);
    for one in rolled_back {
        write!(out, "\n      rolled back: {} from {}", names.of(one.producer_id.0), one.first_offset).expect("text");
    }
    out
}
