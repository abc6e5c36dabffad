//! Log entries never panic the reader, and what is read is written back the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(entry) = archive::Entry::decode("fuzz", 0, data) {
        assert_eq!(archive::Entry::decode("fuzz", 0, &entry.encode().unwrap()).ok(), Some(entry));
    }
});
