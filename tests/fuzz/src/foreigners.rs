//! Archives of another tool, whose bytes somebody else may have written: manifests, segments and group snapshots.

use std::sync::Arc;

use archive::{Level, Point, Store, Timelines, Wanted};
use batch::Window;
use bytes::Bytes;
use contract::ForeignRecords;
use foreign::Set;
use object_store::memory::InMemory;
use object_store::path::Path;
use serde_json::json;

use crate::archives::wait;

#[path = "../../../runner/foreign/tests/written/mod.rs"]
mod written;

use written::{Made, Pack, key, legacy, listed, manifest, segment, topic};

fn records() -> Vec<Made> {
    let plain = |offset| Made { headers: vec![(b"a".to_vec(), None)], ..Made::plain(offset) };
    [plain(0), plain(1).with_added_headers(), Made::marker(2, false), Made { key: None, value: None, ..plain(5) }]
        .into()
}

/// Segments of each packing and form.
pub(crate) fn segments() -> Vec<Vec<u8>> {
    let of = |pack| [segment(&records(), pack), legacy(&records(), pack)];
    Pack::ALL.into_iter().flat_map(of).collect()
}

fn document(segment: &serde_json::Value) -> Vec<u8> {
    let partition = json!([{
        "partition_id": 0, "segments": [segment], "covered_through": 9, "snapshot_end_offset": 12, "high_watermark_at_capture": 14,
        "gaps": [{"start_offset": 6, "end_offset": 8, "reason": "offset_out_of_range", "detected_at": 1}],
        "pruned": [{"start_offset": 8, "end_offset": 9, "segments": 1, "bytes": 1, "pruned_at": 1, "cutoff_timestamp": 0, "reason": "r"}],
    }]);
    serde_json::to_vec(&manifest("old", json!([topic("t", partition)]))).unwrap_or_default()
}

fn of_pack(pack: Pack) -> Vec<u8> {
    document(&listed(&key("old", "t", 0, 0, pack), &records(), &segment(&records(), pack)))
}

/// Manifests with all their fields.
pub(crate) fn manifests() -> Vec<Vec<u8>> {
    let covered = written::covering(listed(&key("old", "t", 0, 0, Pack::None), &records(), b""), "00", (0, 6), 2);
    vec![of_pack(Pack::None), of_pack(Pack::Zstd), document(&covered)]
}

/// Group snapshots.
pub(crate) fn snapshots() -> Vec<Vec<u8>> {
    vec![br#"{"snapshot_time": 1, "groups": [{"group_id": "g", "offsets": {"t": {"0": 4, "1": 7}}}]}"#.to_vec()]
}

async fn stored(objects: &[(&str, &[u8])]) -> Store {
    let store = Store::new(Arc::new(InMemory::new()), "", "memory");
    for (key, bytes) in objects {
        drop(store.put(&Path::from(*key), Bytes::copy_from_slice(bytes).into()).await);
    }
    store
}

/// Reads all of it in each way; whatever is wrong is an error.
async fn read(store: &Store) {
    let Ok(Some(set)) = Set::find(store, "old").await else { return };
    for level in [Level::Structure, Level::Checksum, Level::Decode] {
        drop(set.verify(level).await);
    }
    drop(set.groups().await);
    for records in [ForeignRecords::Cleaned, ForeignRecords::AsWritten] {
        if let Ok(point) = set.surveyed(records).await {
            stream(&point).await;
        }
        if let Ok(point) = set.listed(records).await {
            stream(&point).await;
            for segment in point.segments() {
                drop(point.footer(segment).await);
            }
        }
    }
}

async fn stream(point: &Point) {
    let topic = |row: &archive::PartitionState| point.seal.topics.get(row.topic as usize).map(|topic| topic.id);
    let from = point.seal.partitions.iter().filter_map(|row| Some(((topic(row)?, row.partition), 0)));
    let Ok(mut stream) = point.stream(Wanted::new(from.collect(), Timelines::default(), Window::ALL)).await else {
        return;
    };
    while let Ok(Some(share)) = stream.next().await {
        assert!(share.batches.iter().all(|batch| batch.header.record_count > 0), "an empty batch");
    }
}

/// Any bytes as the segment that a manifest names, in each packing.
pub(crate) fn any_segment(data: &[u8]) {
    wait(async {
        for pack in Pack::ALL {
            let (manifest, name) = (of_pack(pack), key("old", "t", 0, 0, pack));
            read(&stored(&[("old/manifest.json", &manifest), (&name, data)]).await).await;
        }
    });
}

/// Any bytes as a manifest, beside a sound segment.
pub(crate) fn any_manifest(data: &[u8]) {
    wait(async {
        let object = segment(&records(), Pack::None);
        let name = key("old", "t", 0, 0, Pack::None);
        read(&stored(&[("old/manifest.json", data), (&name, &object)]).await).await;
    });
}

/// Any bytes as positions of groups.
pub(crate) fn any_snapshot(data: &[u8]) {
    wait(async {
        let store =
            stored(&[("old/manifest.json", &of_pack(Pack::None)), ("old/consumer-groups-snapshot.json", data)]).await;
        if let Ok(Some(set)) = Set::find(&store, "old").await {
            drop(set.groups().await);
        }
    });
}
