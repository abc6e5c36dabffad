//! The splitter of fetch answers never panics, and what it cuts adds up.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(found) = batch::split(&bytes::Bytes::copy_from_slice(data)) {
        let whole: usize = found.batches.iter().map(|batch| batch.bytes.len()).sum();
        assert_eq!(whole + found.tail, data.len());
    }
});
