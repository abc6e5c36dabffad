//! Committed offsets that were saved never panic their reader.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = runner::documents::are_saved_offsets(data);
});
