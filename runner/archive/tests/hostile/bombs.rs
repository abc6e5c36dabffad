//! Small objects that unpack to much.

use archive::{ArchiveError, Layout, Level, verify_named};

use crate::forge::{Objects, with_block, with_pages};
use crate::made::{SET, read_all};
use crate::{DEADLINE, LAST, MIB, POINTS, honest, read, runtime, stored, within};

/// Zeros, packed.
fn zeros(mib: usize) -> Vec<u8> {
    let mut packer = zstd::Encoder::new(Vec::new(), 1).unwrap();
    for _ in 0..mib {
        std::io::Write::write_all(&mut packer, &vec![0; 1 << 20]).unwrap();
    }
    packer.finish().unwrap()
}

/// Reads it in every way, and then all of it once more: what that says.
fn end_of(objects: &Objects) -> ArchiveError {
    runtime().block_on(async {
        let made = stored(objects).await;
        Box::pin(read(&made)).await;
        read_all(&made.store, &Layout::new(SET), LAST).await.unwrap_err()
    })
}

fn is_damage(error: &ArchiveError) -> bool {
    error.code() == contract::Code::ArchiveDamaged
}

#[test]
fn bombs_take_bounded_memory() {
    for test in ["bombs::blocks", "bombs::pages", "bombs::documents"] {
        within(test, MIB, DEADLINE);
    }
}

#[test]
#[ignore = "runs in a process of its own"]
fn blocks() {
    let good = runtime().block_on(honest());
    // More than any writer packs: refused by what the footer says, whatever is in it.
    for (mib, says) in [(2_000, 2_000), (2_000, 1), (1, 1_000_000)] {
        let packed = zeros(mib);
        assert!(packed.len() < 1 << 20);
        let error = end_of(&with_block(&good, &packed, 4, says << 20));
        assert!(is_damage(&error), "{error}");
    }
    // The most that is unpacked, and it holds no batches.
    let bomb = with_block(&good, &zeros(128), 4, 128 << 20);
    let error = end_of(&bomb);
    assert!(is_damage(&error) && !error.to_string().contains("larger than any writer"), "{error}");
    runtime().block_on(async {
        let made = stored(&bomb).await;
        let (_, _, found) = verify_named(&made.store, SET, Level::Decode).await.unwrap();
        assert!(!found.problems.is_empty());
    });
}

#[test]
#[ignore = "runs in a process of its own"]
fn pages() {
    let good = runtime().block_on(honest());
    let error = end_of(&with_pages(&good, &zeros(16), 16 << 20, 100));
    assert!(is_damage(&error), "{error}");
    // A roll-up that cannot be is not needed.
    runtime().block_on(async {
        let made = stored(&with_pages(&good, &zeros(15), u64::MAX, 1)).await;
        assert_eq!(read_all(&made.store, &Layout::new(SET), LAST).await.unwrap(), POINTS);
    });
}

#[test]
#[ignore = "runs in a process of its own"]
fn documents() {
    let good = runtime().block_on(honest());
    for part in ["/log/main/", "/set.json", "/points/", "/side/"] {
        let mut bad = good.clone();
        let key = good.keys().rfind(|key| key.contains(part)).unwrap();
        bad.insert(key.clone(), zeros(100));
        runtime().block_on(async {
            let made = stored(&bad).await;
            Box::pin(read(&made)).await;
        });
    }
}
