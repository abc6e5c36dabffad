//! The definitions: what the cluster is told of each kind.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use api::document::KINDS;

#[test]
fn names_columns_and_nullable_fields_are_as_documented() {
    let short: Vec<_> = KINDS.iter().map(|kind| kind.definition().spec.names.short_names.unwrap()[0].clone()).collect();
    assert_eq!(short, ["kb", "kr", "kor", "korb", "kbv", "kb", "kr", "kb", "kr", "kbi"]);
    for kind in &KINDS {
        let definition = kind.definition();
        assert_eq!(definition.spec.names.categories.as_deref(), Some(&["kafka-backup".to_owned()][..]));
        let version = &definition.spec.versions[0];
        assert!(version.subresources.as_ref().unwrap().status.is_some(), "{kind:?}");
        assert!(version.additional_printer_columns.as_ref().unwrap().len() >= 3, "{kind:?}");
    }
    let backup = serde_json::to_value(KINDS[0].definition()).unwrap();
    let spec = &backup["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    assert_eq!(spec["properties"]["schedule"]["nullable"], true);
    assert_eq!(spec["properties"]["compression"]["default"], "zstd");
    assert_eq!(spec["properties"]["segmentMaxBytes"]["default"], 134_217_728);
    assert_eq!(spec["required"], serde_json::json!(["kafkaCluster", "storage", "topics"]));
}

#[test]
fn columns_of_others_stay_where_they_are_and_ours_come_after_them() {
    let columns = |group: &str, kind: &str| {
        let found = KINDS.iter().find(|known| known.group == group && known.kind == kind).unwrap();
        let version = found.definition().spec.versions[0].clone();
        let name = |wide: bool| {
            let all = version.additional_printer_columns.clone().unwrap();
            let of = all.into_iter().filter(move |column| (column.priority == Some(1)) == wide);
            of.map(|column| column.name).collect::<Vec<_>>().join(" | ")
        };
        (name(false), name(true))
    };
    for (group, kind, shown, wide) in [
        (
            "kafka.oso.sh",
            "KafkaBackup",
            "Phase | Last Backup | Records | Resumable | Age | Suspended | Next | Ready | Schedule",
            "Message",
        ),
        ("kafka.oso.sh", "KafkaRestore", "Phase | Progress | Records | Age | Ready", "Message"),
        (
            "backup.strimzi.io",
            "KafkaBackup",
            "Cluster | Schedule | Last Backup | Ready | Age | Suspended | Next",
            "Message",
        ),
        ("kafkabackup.com", "KafkaRestore", "Cluster | Backup | Status | Age", "Message"),
        ("kafka-backup.dev", "KafkaBackupInspection", "Backup | Level | Phase | Age", "Message"),
    ] {
        assert_eq!(columns(group, kind), (shown.to_owned(), wide.to_owned()), "{group} {kind}");
    }
}

/// Those who stored `v1` keep it, and both versions are one.
#[test]
fn the_released_group_has_two_versions_of_one_schema() {
    for kind in &KINDS {
        let versions = kind.definition().spec.versions;
        let names: Vec<_> = versions.iter().map(|version| version.name.as_str()).collect();
        let stored: Vec<_> =
            versions.iter().filter(|version| version.storage).map(|version| version.name.as_str()).collect();
        if kind.group != "kafkabackup.com" {
            assert_eq!((names, stored), (vec!["v1alpha1"], vec!["v1alpha1"]), "{kind:?}");
            continue;
        }
        assert_eq!((names, stored), (vec!["v1", "v1alpha1"], vec!["v1"]), "{kind:?}");
        assert!(versions.iter().all(|version| version.served && kind.serves(&version.name)));
        assert_eq!(versions[0].schema, versions[1].schema);
        assert_eq!((versions[0].deprecated, versions[1].deprecated), (None, Some(true)));
    }
}

/// `just gen` writes them; a cluster gets what stands in the files.
#[test]
fn the_files_are_up_to_date() {
    for kind in &KINDS {
        let definition = kind.definition();
        let name = format!("../../manifests/crds/{}/{}.yaml", kind.group, definition.spec.names.plural);
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let fresh = serde_saphyr::to_string(&definition).unwrap();
        assert!(text == fresh, "{} is stale: run `just gen`", path.display());
    }
}

#[test]
fn the_list_of_fields_is_up_to_date() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/fields.md");
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text == api::fields::markdown(), "docs/fields.md is stale: run `just gen`");
}

#[test]
fn every_field_is_described() {
    fn walk(at: &str, schema: &serde_json::Value) {
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{at}.{name}");
            assert!(field["description"].is_string(), "{path} has no description");
            walk(&path, field);
            walk(&path, &field["items"]);
        }
    }
    for kind in &KINDS {
        let definition = serde_json::to_value(kind.definition()).unwrap();
        let whole = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        for part in ["spec", "status"] {
            walk(&format!("{}.{part}", kind.kind), &whole[part]);
        }
    }
}
