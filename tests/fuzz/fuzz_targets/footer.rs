//! Footers of segments never panic the reader.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    drop(archive::segment::Footer::decode("fuzz", data));
});
