//! Packaging: the archive that krew/package.sh makes is installed by the real Krew, from local files, and kubectl finds the
//! plugin and its completions.

use std::process::Command;

use harness::cluster::programs;
use harness::plugin::{binary, said};
use harness::process::{Scratch, fetch};

#[test]
fn krew_installs_what_is_packed() {
    let scratch = Scratch::new("kafka-backup-krew-");
    let out = scratch.path().join("out");
    let script = format!("{}/../krew/package.sh", env!("CARGO_MANIFEST_DIR"));
    let slim = scratch.path().join("kubectl-kafka_backup");
    // What a release strips: archives of test builds would be large.
    assert!(Command::new("strip").arg("-o").arg(&slim).arg(binary()).status().unwrap().success());
    let pack = |out: &std::path::Path| {
        let pair = format!("linux-amd64={}", slim.display());
        let output = Command::new(&script)
            .args([concat!("https://example.com/releases/v", env!("CARGO_PKG_VERSION")), &pair])
            .env("KREW_OUT", out)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(out.join("SHA256SUMS")).unwrap()
    };
    let sums = pack(&out);
    assert_eq!(sums, pack(&scratch.path().join("again")), "the same binary gives the same archive");
    let archive = out.join(concat!("kafka-backup-v", env!("CARGO_PKG_VERSION"), "-linux-amd64.tar.gz"));
    let listed = Command::new("tar").arg("-tzf").arg(&archive).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    for name in ["./LICENSE", "./kubectl-kafka_backup", "./kubectl_complete-kafka_backup"] {
        assert!(listed.lines().any(|line| line == name), "{name} is not in {listed}");
    }
    let manifest = out.join("index/plugins/kafka-backup.yaml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    assert!(
        text.contains(concat!("version: v", env!("CARGO_PKG_VERSION")))
            && text.contains(sums.split(' ').next().unwrap()),
        "{text}"
    );

    // The index that is written is one: a repository with a folder of manifests.
    let index = out.join("index");
    for arguments in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-q", "-m", "index"],
    ] {
        assert!(Command::new("git").current_dir(&index).args(arguments).status().unwrap().success());
    }
    let (root, bin) = (scratch.path().join("krew"), scratch.path().join("krew/bin"));
    let path = format!("{}:{}:{}", bin.display(), programs().display(), std::env::var("PATH").unwrap());
    let command = |program: &std::path::Path| {
        let mut command = Command::new(program);
        command.env("KREW_ROOT", &root).env("KREW_NO_UPGRADE_CHECK", "1").env("PATH", &path);
        command.env("KREW_DEFAULT_INDEX_URI", format!("file://{}", index.display()));
        command.env("HOME", scratch.path()).env("KUBECONFIG", "/no/such/file");
        command
    };
    let krew = fetch(&["krew"]);
    let updated = said(command(&krew).arg("update"));
    assert_eq!(updated.code, 0, "{}", updated.stderr);
    assert!(said(command(&krew).args(["search", "kafka"])).ok().contains("Back up and restore Apache Kafka topics"));
    let (manifest, archive) =
        (format!("--manifest={}", manifest.display()), format!("--archive={}", archive.display()));
    let installed = said(command(&krew).args(["install", &manifest, &archive]));
    assert_eq!(installed.code, 0, "{}{}", installed.stdout, installed.stderr);
    assert!(installed.stderr.contains("kubectl kafka-backup install"), "the caveat is told: {}", installed.stderr);
    let kubectl = programs().join("kubectl");
    let version = said(command(&kubectl).args(["kafka-backup", "version", "--client"]));
    assert!(version.ok().starts_with(concat!("client    ", env!("CARGO_PKG_VERSION"))));
    let help = said(command(&kubectl).args(["kafka-backup", "--help"])).ok();
    assert!(help.contains("Usage: kubectl kafka-backup"), "{help}");
    // As the caveat says: the completion program beside the plugin, on the PATH.
    let store = root.join(concat!("store/kafka-backup/v", env!("CARGO_PKG_VERSION")));
    let with = format!("{}:{path}", store.display());
    let complete = said(command(&kubectl).args(["__complete", "kafka-backup", "sched"]).env("PATH", &with));
    assert!(complete.stdout.starts_with("schedule\n:4"), "{}{}", complete.stdout, complete.stderr);
    let removed = said(command(&krew).args(["uninstall", "kafka-backup"]));
    assert_eq!(removed.code, 0, "{}", removed.stderr);
}
