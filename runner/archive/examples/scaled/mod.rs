//! What the examples on large sets share: a writer, a batch, and the memory that was taken.

use archive::{Digest, Layout, Opened, Owner, SetWriter, Source, Store, WriterOptions};
use batch::{BatchMeta, Codec, Compressor, RawBatch, encode_batch};
use uuid::Uuid;

pub(crate) const SET: &str = "scale";
pub(crate) const TOPIC: Uuid = Uuid::from_u128(1);

/// Most memory that was taken, in MiB.
pub(crate) fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) / 1024
}

/// What a run of this name writes with.
pub(crate) fn options(run: String, stamp: &str, nonce: String, continuous: bool) -> WriterOptions {
    WriterOptions {
        layout: Layout::new(SET),
        owner: Owner { namespace: String::new(), name: SET.into(), cluster_id: "c".into() },
        incremental: true,
        continuous,
        head: None,
        adopt: false,
        run,
        spec: Digest::of(b"spec"),
        stamp: stamp.to_owned(),
        nonce,
        uuid: Uuid::nil(),
        codec: Codec::None,
        level: 1,
        workers: 1,
        segment_max_bytes: 1 << 30,
        source: Source::default(),
    }
}

pub(crate) async fn open_writer(store: &Store, options: WriterOptions) -> SetWriter {
    match SetWriter::open(store.clone(), options).await.unwrap() {
        Opened::Writer(writer) => *writer,
        Opened::Sealed(sealed) => panic!("{sealed:?}"),
    }
}

pub(crate) fn one_record(offset: i64) -> RawBatch {
    let meta = BatchMeta {
        base_offset: offset,
        base_timestamp: offset,
        max_timestamp: offset,
        producer: (-1, -1, -1),
        records: 1,
    };
    let record = [12, 0, 0, 0, 1, 1, 0];
    RawBatch::parse(encode_batch(&meta, &record, &mut Compressor::new(Codec::None, None)).unwrap().into()).unwrap()
}
