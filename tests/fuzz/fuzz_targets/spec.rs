//! Specifications never panic their checks.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(spec) = contract_spec(text)
    {
        drop(spec.findings());
    }
});

fn contract_spec(text: &str) -> Result<contract::RunSpec, serde_json::Error> {
    serde_json::from_str(text)
}
