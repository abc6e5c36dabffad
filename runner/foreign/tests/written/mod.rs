//! Writes archives as the OSO tool does, after the description of its format: for tests, since nothing of that tool is here.

#![allow(
    dead_code,
    missing_docs,
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate
)]

use std::io::Write;

use serde_json::{Value, json};

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Made {
    /// A record with a key and a value that say its offset.
    pub(crate) fn plain(offset: i64) -> Self {
        let (key, value) = (format!("k{offset}").into_bytes(), format!("value {offset}").into_bytes());
        Self { offset, timestamp: 1_700_000_000_000 + offset, key: Some(key), value: Some(value), headers: Vec::new() }
    }

    /// A marker as it was archived.
    pub(crate) fn marker(offset: i64, commits: bool) -> Self {
        let (key, value) = (vec![0, 0, 0, u8::from(commits)], vec![0, 0, 0, 0, 0, 3]);
        Self { key: Some(key), value: Some(value), ..Self::plain(offset) }
    }

    /// The same with the headers that a backup adds.
    pub(crate) fn with_added_headers(mut self) -> Self {
        let (offset, timestamp) = (self.offset.to_le_bytes().to_vec(), self.timestamp.to_le_bytes().to_vec());
        self.headers.push((b"x-original-offset".to_vec(), Some(offset)));
        self.headers.push((b"x-original-timestamp".to_vec(), Some(timestamp)));
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pack {
    None,
    Zstd,
    Lz4,
}

impl Pack {
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::Zstd, Self::Lz4];

    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => ".zst",
            Self::Lz4 => ".lz4",
        }
    }

    pub(crate) fn pack(self, plain: &[u8]) -> Vec<u8> {
        match self {
            Self::None => plain.to_vec(),
            Self::Lz4 => lz4_flex::block::compress_prepend_size(plain),
            Self::Zstd => {
                let mut out = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
                out.write_all(plain).unwrap();
                out.finish().unwrap()
            }
        }
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&Vec<u8>>) {
    match bytes {
        None => out.extend_from_slice(&(-1i32).to_le_bytes()),
        Some(bytes) => {
            out.extend_from_slice(&i32::try_from(bytes.len()).unwrap().to_le_bytes());
            out.extend_from_slice(bytes);
        }
    }
}

/// The plain body of a segment.
pub(crate) fn body(records: &[Made]) -> Vec<u8> {
    let mut out = Vec::new();
    for record in records {
        let mut one = Vec::new();
        one.extend_from_slice(&record.timestamp.to_le_bytes());
        one.extend_from_slice(&record.offset.to_le_bytes());
        put_bytes(&mut one, record.key.as_ref());
        put_bytes(&mut one, record.value.as_ref());
        one.extend_from_slice(&u16::try_from(record.headers.len()).unwrap().to_le_bytes());
        for (key, value) in &record.headers {
            one.extend_from_slice(&u16::try_from(key.len()).unwrap().to_le_bytes());
            one.extend_from_slice(key);
            put_bytes(&mut one, value.as_ref());
        }
        out.extend_from_slice(&u32::try_from(one.len()).unwrap().to_le_bytes());
        out.extend_from_slice(&one);
    }
    out
}

/// The CRC-32 of gzip and of these segments.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// A segment with this body and header, and the right checksum.
pub(crate) fn sealed((count, start, end): (u64, i64, i64), codec: u8, packed: &[u8]) -> Vec<u8> {
    let mut out = b"KBAK".to_vec();
    out.extend_from_slice(&[1, codec, 0, 0]);
    out.extend_from_slice(&count.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&end.to_le_bytes());
    out.extend_from_slice(packed);
    let crc = crc32(&out);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(b"BKAE");
    out
}

/// A segment of these records.
pub(crate) fn segment(records: &[Made], pack: Pack) -> Vec<u8> {
    let span = (records.first().map_or(0, |first| first.offset), records.last().map_or(-1, |last| last.offset));
    sealed((records.len() as u64, span.0, span.1), pack as u8, &pack.pack(&body(records)))
}

/// A list of records in JSON.
pub(crate) fn legacy(records: &[Made], pack: Pack) -> Vec<u8> {
    use base64::Engine;
    let text = |bytes: &Vec<u8>| base64::engine::general_purpose::STANDARD.encode(bytes);
    let one = |record: &Made| {
        let headers: Vec<Value> = record
            .headers
            .iter()
            .map(|(key, value)| json!({"key": String::from_utf8(key.clone()).unwrap(), "value": value.as_ref().map(text)}))
            .collect();
        json!({
            "key": record.key.as_ref().map(text), "value": record.value.as_ref().map(text), "headers": headers,
            "timestamp": record.timestamp, "offset": record.offset,
        })
    };
    pack.pack(&serde_json::to_vec(&records.iter().map(one).collect::<Vec<_>>()).unwrap())
}

pub(crate) fn key(set: &str, topic: &str, partition: i32, start: i64, pack: Pack) -> String {
    format!("{set}/topics/{topic}/partition={partition}/segment-{start:020}.bin{}", pack.ending())
}

/// What a manifest of 0.17 says of a segment.
pub(crate) fn listed(key: &str, records: &[Made], object: &[u8]) -> Value {
    let (first, last) = (records.first().unwrap(), records.last().unwrap());
    json!({
        "key": key, "start_offset": first.offset, "end_offset": last.offset, "start_timestamp": first.timestamp,
        "end_timestamp": last.timestamp, "record_count": records.len(), "uncompressed_size": body(records).len(),
        "compressed_size": object.len(),
    })
}

/// The same of 0.25: it answers for these offsets, and its object has this digest.
pub(crate) fn covering(mut listed: Value, sha256: &str, (from, to): (i64, i64), left_out: u64) -> Value {
    listed["sha256"] = json!(sha256);
    listed["uploaded_at"] = json!(1_795_738_716_327i64);
    listed["covered_start_offset"] = json!(from);
    listed["covered_end_offset"] = json!(to);
    if left_out > 0 {
        listed["control_records_skipped"] = json!(left_out);
    }
    listed
}

pub(crate) fn manifest(set: &str, topics: Value) -> Value {
    json!({
        "backup_id": set, "created_at": 1_795_210_585_600i64, "source_cluster_id": null, "source_brokers": [],
        "compression": "zstd", "topics": topics,
    })
}

pub(crate) fn topic(name: &str, partitions: Value) -> Value {
    json!({"name": name, "original_partition_count": partitions.as_array().unwrap().len(), "partitions": partitions})
}
