//! `validate -k`: what `kubectl kustomize` makes of a folder is judged, and what it refuses is told. A script stands for kubectl
//! here; the suite `screens` has the real one.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// Calls the plugin where a kubectl does this; without one where it does nothing.
fn validate(kubectl: Option<&str>, folder: &str) -> Output {
    let bin = tempfile::tempdir().unwrap();
    if let Some(does) = kubectl {
        let script = bin.path().join("kubectl");
        std::fs::write(&script, format!("#!/bin/sh\n{does}\n")).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-kafka_backup"));
    command.args(["validate", "-k", folder]).env_clear().env("PATH", bin.path()).output().unwrap()
}

/// A script that prints a document, if it is asked for this folder.
fn prints(document: &str, folder: &str) -> String {
    format!(
        "[ \"$1\" = kustomize ] && [ \"$2\" = {folder} ] && [ $# = 2 ] || exit 9\n/bin/cat <<'END'\n{document}\nEND"
    )
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output.status.code(), text.concat())
}

#[test]
fn what_a_kustomization_makes_is_judged() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/samples");
    let good = std::fs::read_to_string(samples.join("backup-s3-nightly.yaml")).unwrap();
    let (code, text) = said(&validate(Some(&prints(&good, "overlay")), "overlay"));
    assert!(code == Some(0) && text.contains("1 resource: 0 errors"), "{code:?} {text}");
    let bad = good.replace("topics: [\"orders\", \"payments-*\"]", "topics: []");
    assert_ne!(good, bad);
    let (code, text) = said(&validate(Some(&prints(&bad, "overlay")), "overlay"));
    assert!(code == Some(1) && text.contains("overlay:") && text.contains("spec.topics"), "{code:?} {text}");
}

#[test]
fn what_kustomize_refuses_is_told_with_the_folder() {
    let refuses = "echo 'error: unable to find one of kustomization.yaml' >&2; exit 1";
    let (code, text) = said(&validate(Some(refuses), "overlay"));
    assert!(code == Some(2) && text.contains("overlay: unable to find one of kustomization.yaml"), "{code:?} {text}");
    let (code, text) = said(&validate(None, "overlay"));
    assert!(code == Some(2) && text.contains("kubectl must be on the PATH"), "{code:?} {text}");
}
