//! Saved plan and state of a restore: whatever they are, an attempt refuses them or goes on, and never panics.
#![no_main]

use std::sync::LazyLock;

/// The restore of a whole set, which takes most plans.
static SPEC: LazyLock<contract::RunSpec> = LazyLock::new(|| {
    let text = r#"{"formatVersion": 1, "name": "r", "kafka": {"bootstrapServers": ["h:1"]},
        "storage": {"type": "filesystem", "path": "x"}, "restore": {"existingTopics": "purge"}}"#;
    serde_json::from_str(text).unwrap()
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let half = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (plan, state) = data.split_at(half);
    let _ = runner::documents::may_go_on(&SPEC, plan, state.get(1..).unwrap_or_default());
});
