//! Batches that Java's and librdkafka's producers wrote, as a broker kept them (made by `tests/src/bin/golden.rs`).

use batch::{Decompressor, RecordIter, payload, split};
use bytes::Bytes;

/// Record `n` as both clients wrote it: key, value, header values in order.
type Written = (Option<String>, Option<String>, Vec<Option<Vec<u8>>>);

fn written(n: usize, client: &str) -> Written {
    let key = (!n.is_multiple_of(5)).then(|| format!("key-{n}"));
    let value = (!n.is_multiple_of(7)).then(|| format!("value-{n}-{}", "abc".repeat(20)));
    let content = || if client == "java" { n.to_string().into_bytes() } else { vec![n.to_le_bytes()[0]] };
    (key, value, (0..n % 3).map(|h| (h != 1).then(content)).collect())
}

#[test]
fn batches_of_other_clients_are_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for client in ["java", "librdkafka"] {
        for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
            let name = format!("{client}-{codec}");
            let bytes = Bytes::from(std::fs::read(folder.join(format!("{name}.batches"))).unwrap());
            let found = split(&bytes).unwrap();
            assert_eq!(found.tail, 0, "{name}");
            let mut next = 0;
            for batch in &found.batches {
                assert_eq!(batch.header.attributes.codec().map(batch::Codec::name), Some(codec), "{name}");
                let plain = payload(batch, &mut Decompressor::default(), 1 << 20).unwrap();
                for record in RecordIter::new(&batch.header, &plain) {
                    let record = record.unwrap();
                    let (key, value, headers) = written(next, client);
                    assert_eq!(record.key, key.as_ref().map(String::as_bytes), "{name} {next}");
                    assert_eq!(record.value, value.as_ref().map(String::as_bytes), "{name} {next}");
                    let found: Vec<_> = record.headers().map(|h| h.value.map(<[u8]>::to_vec)).collect();
                    assert_eq!(found, headers, "{name} {next}");
                    next += 1;
                }
            }
            assert_eq!(next, 30, "{name}");
        }
    }
}
