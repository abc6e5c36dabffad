//! `check` on a real API server: who may check what, and which pod is made for it. No pod runs here; what one answers, the
//! suite `secure` asks of a real runner.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use harness::cluster::{Cluster, PATIENCE, wait_for};
use harness::plugin::{Said, binary, said};
use harness::process::signal;
use serde_json::{Value, json};

const SPACE: &str = "checks";
const INSPECTIONS: &str = "kafkabackupinspections.kafka-backup.dev";

fn plugin(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).env("KUBECONFIG", kubeconfig).env_remove("CLICOLOR_FORCE");
    command
}

/// Somebody with these ClusterRoles in the namespace.
fn account(cluster: &Cluster, name: &str, roles: &[&str]) -> std::path::PathBuf {
    cluster.ok(&["create", "serviceaccount", "-n", SPACE, name]);
    for role in roles {
        bind(cluster, name, &format!("--clusterrole={role}"));
    }
    cluster.account(SPACE, name)
}

fn bind(cluster: &Cluster, name: &str, role: &str) {
    let binding = format!("{name}-{}", role.rsplit('=').next().unwrap());
    let who = format!("--serviceaccount={SPACE}:{name}");
    cluster.ok(&["create", "rolebinding", "-n", SPACE, &binding, role, &who]);
}

fn backup() -> Value {
    let mut backup = super::backup(
        "nightly",
        json!({"storage": {"storageType": "s3", "s3": {
            "bucket": "b", "region": "eu-west-1",
            "credentialsSecret": {"name": "store", "accessKeyIdKey": "id", "secretAccessKeyKey": "key"},
        }}}),
    );
    backup["metadata"]["namespace"] = SPACE.into();
    backup
}

/// Starts a check, gives the Job that is made for it, and stops it: nothing of it stays.
fn job_of(cluster: &Cluster, command: &mut Command) -> Value {
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let job = wait_for(PATIENCE, || cluster.list("jobs", SPACE).pop().ok_or_else(|| "no Job yet".to_owned()));
    signal(child.id(), "INT");
    let code = child.wait().unwrap().code();
    assert_eq!(code, Some(130));
    wait_for(PATIENCE, || {
        let left = cluster.list(INSPECTIONS, SPACE).len() + cluster.list("jobs", SPACE).len();
        if left == 0 { Ok(()) } else { Err(format!("{left} are left")) }
    });
    job
}

#[test]
fn a_check_takes_a_right_of_its_own_and_has_the_pod_of_the_run() {
    let (cluster, ..) = super::cluster();
    cluster.ok(&["create", "namespace", SPACE]);
    cluster.apply(&backup()).unwrap();
    let looker = account(cluster, "looker", &["kafka-backup-inspect"]);
    let checker = account(cluster, "checker", &["kafka-backup-check"]);
    let check = |kubeconfig: &Path, what: &[&str]| plugin(kubeconfig, &[&["check", "-n", SPACE], what].concat());
    let refused = |said: Said, words: &[&str]| {
        assert_eq!(said.code, 5, "{}", said.stderr);
        for word in words {
            assert!(said.stderr.contains(word), "{word:?} is not in: {}", said.stderr);
        }
    };
    let words = ["may not check kafkabackups.kafka.oso.sh \"nightly\"", "bind the ClusterRole kafka-backup-check"];
    refused(said(&mut check(&looker, &["backup/nightly"])), &words);
    // Whoever checks sees nothing of the archive.
    let looks = said(&mut plugin(&checker, &["browse", "nightly", "-n", SPACE, "--fresh"]));
    refused(looks, &["may not inspect kafkabackups.kafka.oso.sh \"nightly\""]);

    let job = job_of(cluster, &mut check(&checker, &["nightly"]));
    let pod = &job["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].to_string();
    assert!(arguments.contains("\"inspect\"") && !arguments.contains("\"run\""), "{arguments}");
    let secrets: Vec<_> =
        pod["volumes"].as_array().unwrap().iter().filter_map(|one| one["secret"].as_object()).collect();
    assert_eq!(secrets.len(), 1, "{pod}");
    assert_eq!(secrets[0]["secretName"], "store", "what the run mounts");
    let told = &job["spec"]["template"]["metadata"]["annotations"][api::lower::job::SPEC_ANNOTATION];
    let told: Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
    let run = &told["check"];
    assert_eq!(
        (&run["kafka"]["bootstrapServers"], &told["records"]),
        (&json!(["kafka:9092"]), &json!(false)),
        "{told}"
    );

    // Every kind that runs, with the right on that kind.
    let validation = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation",
        "metadata": {"name": "weekly", "namespace": SPACE},
        "spec": {"backupRef": {"name": "nightly"}, "checks": {"structure": {}}, "schedule": "0 0 0 1 1 *"},
    });
    cluster.apply(&validation).unwrap();
    let job = job_of(cluster, &mut check(&checker, &["validation/weekly"]));
    let told = &job["spec"]["template"]["metadata"]["annotations"][api::lower::job::SPEC_ANNOTATION];
    let told: Value = serde_json::from_str(told.as_str().unwrap()).unwrap();
    assert!(told["check"]["validation"].is_object(), "{told}");

    // A file takes what making its resource takes.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("backup.json");
    let mut other = backup();
    other["metadata"]["name"] = "other".into();
    std::fs::write(&file, other.to_string()).unwrap();
    let from_file = ["-f", file.to_str().unwrap()];
    refused(said(&mut check(&checker, &from_file)), &["spec.resource: ", "may not create kafkabackups.kafka.oso.sh"]);
    bind(cluster, "checker", "--clusterrole=kafka-backup-edit");
    refused(said(&mut check(&checker, &from_file)), &["may not get secrets \"store\""]);
    cluster.ok(&["create", "role", "-n", SPACE, "reader", "--verb=get", "--resource=secrets"]);
    bind(cluster, "checker", "--role=reader");
    let job = job_of(cluster, &mut check(&checker, &from_file));
    assert!(job["metadata"]["name"].as_str().unwrap().starts_with("check-other"), "{}", job["metadata"]["name"]);
    // It is judged as if it were made, and not made.
    other["spec"]["topics"] = json!([]);
    std::fs::write(&file, other.to_string()).unwrap();
    let bad = said(&mut check(&checker, &from_file));
    assert!(bad.code != 0 && bad.stderr.contains("spec.resource.spec.topics"), "{} {}", bad.code, bad.stderr);
    assert!(cluster.get("kafkabackups.kafka.oso.sh", SPACE, "other").is_null());
}
