//! Group positions beside a seal never panic their reader, and what is read is written back the same.
#![no_main]

type Groups = archive::SideDocument<Vec<archive::GroupSnapshot>>;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(groups) = archive::from_json::<Groups>(data) {
        let again = archive::from_json::<Groups>(&serde_json::to_vec(&groups).unwrap()).unwrap();
        assert_eq!(again.content, groups.content);
    }
});
