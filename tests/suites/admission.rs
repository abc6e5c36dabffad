//! Admission on a real API server: every document of the corpus gets the verdict that it gets offline, what must always
//! pass passes, the certificate changes under load, and the operator has no right that it does not need.

mod addresses;
mod checked;
mod forged_jobs;
mod other_storages;
mod rolling;
mod taken_over;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use api::document::check;
use api::finding::Level;
use harness::cluster::{Cluster, NAMESPACE, Operator, PATIENCE, wait_for};
use harness::process::free_port;
use serde_json::{Value, json};

/// One cluster for all tests of this suite; its operator's certificate lives for two minutes.
fn cluster() -> &'static (Cluster, u16, Operator) {
    static SHARED: OnceLock<(Cluster, u16, Operator)> = OnceLock::new();
    SHARED.get_or_init(|| {
        let cluster = Cluster::start();
        let port = free_port();
        cluster.install(port);
        let operator = cluster.operator("op-1", port, &[]);
        wait_for(PATIENCE, || cluster.apply(&backup("first", json!({"suspend": true}))).map(drop));
        (cluster, port, operator)
    })
}

fn backup(name: &str, more: Value) -> Value {
    let mut spec = json!({
        "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": ["orders"], "suspend": true,
        "storage": {"storageType": "pvc", "pvc": {"claimName": "backups"}},
    });
    for (name, value) in more.as_object().unwrap() {
        spec[name] = value.clone();
    }
    json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
        "metadata": {"name": name, "namespace": "default"}, "spec": spec,
    })
}

fn documents(dir: &Path) -> Vec<(PathBuf, Value)> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let value = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, value)
    };
    paths.into_iter().map(read).collect()
}

/// The verdict of the server is the verdict without one, and both name the same fields.
#[test]
fn the_server_judges_as_without_a_server() {
    let (cluster, ..) = cluster();
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("operator-lite/api/tests/corpus");
    let mut all = documents(&own);
    all.extend(documents(&own.join("../../../../manifests/samples")));
    if let Ok(extra) = std::env::var("EXTRA_CORPUS") {
        for folder in ["accept", "reject"] {
            all.extend(documents(&Path::new(&extra).join(folder)));
        }
    }
    let (mut accepted, mut refused) = (0, 0);
    for (path, mut document) in all {
        document["metadata"]["namespace"] = "default".into();
        let findings = check(&document, jiff::Timestamp::now());
        let wanted: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Error).collect();
        let text = document.to_string();
        let arguments = ["create", "--dry-run=server", "--validate=strict", "-f", "-"];
        let output = cluster.kubectl_with(&cluster.kubeconfig(), &arguments, &text);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.success(), wanted.is_empty(), "{}: {said} but {wanted:#?}", path.display());
        if wanted.is_empty() {
            accepted += 1;
        } else {
            refused += 1;
            let named = |finding: &&&api::finding::Finding| {
                // The server's own schema names a field in its own way, and stops before ours.
                let bare = |text: &str| text.replace(['[', ']', '"', '\''], ".").replace("..", ".");
                let last = finding.field.rsplit('.').next().unwrap_or_default();
                bare(&said).contains(&bare(&finding.field)) || said.contains(last.split('[').next().unwrap_or_default())
            };
            let unknown_kind = findings.iter().any(|finding| finding.field == "kind");
            assert!(
                unknown_kind || wanted.iter().filter(named).count() > 0,
                "{}: {said} but {wanted:#?}",
                path.display()
            );
        }
    }
    println!("{accepted} accepted, {refused} refused, as without a server");
    assert!(accepted >= 40 && refused >= 60, "{accepted} {refused}");
}

#[test]
fn all_findings_come_at_once_and_warnings_are_shown() {
    let (cluster, ..) = cluster();
    let wrong = backup("wrong", json!({"compression": "gzip", "segmentMaxBytes": 0, "schedule": "0 0 2 30 2 *"}));
    let said = cluster.apply(&wrong).unwrap_err();
    for words in [
        "spec.compression (\"gzip\"): must be one of none, lz4, zstd; write one of them",
        "spec.segmentMaxBytes (0): must be more than 0",
        "spec.schedule (\"0 0 2 30 2 *\"): the schedule never comes to pass",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = cluster.apply(&backup("warned", json!({"schedule": "0 0 2 * * 1"}))).unwrap();
    assert!(said.contains("Warning: spec.schedule") && said.contains("MON"), "{said}");
}

#[test]
fn a_restore_that_has_run_is_frozen() {
    let (cluster, ..) = cluster();
    let restore = |topic: &str| {
        json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaRestore",
            "metadata": {"name": "frozen", "namespace": "default"},
            "spec": {
                "backupRef": {"name": "not-there"}, "kafkaCluster": {"bootstrapServers": ["kafka:9092"]}, "topics": [topic],
            },
        })
    };
    cluster.apply(&restore("a")).unwrap();
    cluster.apply(&restore("b")).unwrap();
    let patch = json!({"status": {"phase": "Completed", "run": {"id": "x", "at": "2026-11-21T00:00:00Z", "trigger": "once",
        "generation": 1, "digest": "d", "attempt": 1, "failures": 0, "finishedAt": "2026-11-21T00:00:00Z", "outcome": "Completed"}}});
    cluster.ok(&[
        "patch",
        "kafkarestores.kafka.oso.sh",
        "frozen",
        "--subresource=status",
        "--type=merge",
        "-p",
        &patch.to_string(),
    ]);
    let said = cluster.apply(&restore("c")).unwrap_err();
    assert!(said.contains("spec: must stay as it is") && said.contains("new name"), "{said}");
    cluster.ok(&["annotate", "kafkarestores.kafka.oso.sh", "frozen", "note=metadata-is-free"]);
    cluster.ok(&["delete", "kafkarestores.kafka.oso.sh", "frozen", "--timeout=20s"]);
}

#[test]
fn what_a_resource_does_for_its_author_the_author_must_be_allowed() {
    let (cluster, ..) = cluster();
    for namespace in ["prod", "dev"] {
        cluster.ok(&["create", "namespace", namespace]);
    }
    cluster.ok(&["create", "serviceaccount", "-n", "dev", "ann"]);
    cluster.ok(&["create", "rolebinding", "-n", "dev", "ann", "--clusterrole=edit", "--serviceaccount=dev:ann"]);
    let ann = cluster.account("dev", "ann");
    let create = |document: &Value| {
        let output = cluster.kubectl_with(&ann, &["create", "-f", "-"], &document.to_string());
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let restore = |name: &str| {
        json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaRestore", "metadata": {"name": name, "namespace": "dev"},
            "spec": {
                "backupRef": {"name": "orders", "namespace": "prod"},
                "kafkaCluster": {"bootstrapServers": ["kafka:9092"]},
            },
        })
    };
    let said = create(&restore("foreign")).unwrap_err();
    assert!(
        said.contains("spec.backupRef.namespace") && said.contains("may not get kafkabackups.kafka.oso.sh"),
        "{said}"
    );
    assert!(said.contains("spec.backupRef: ") && said.contains("may not restore kafkabackups.kafka.oso.sh"), "{said}");
    cluster.ok(&[
        "create",
        "role",
        "-n",
        "prod",
        "reader",
        "--verb=get,restore",
        "--resource=kafkabackups.kafka.oso.sh",
    ]);
    cluster.ok(&["create", "rolebinding", "-n", "prod", "ann", "--role=reader", "--serviceaccount=dev:ann"]);
    // The right alone is not enough: the owner of the backup must have said yes.
    wait_for(PATIENCE, || match create(&restore("foreign")) {
        Err(said) if said.contains("create it first") && !said.contains("may not") => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let mut orders = backup("orders", json!({}));
    orders["metadata"]["namespace"] = "prod".into();
    cluster.apply(&orders).unwrap();
    let no_word = create(&restore("foreign")).unwrap_err();
    assert!(no_word.contains("kafka.oso.sh/restore-namespaces"), "{no_word}");
    let annotate = |list: &str| {
        let word = format!("kafka.oso.sh/restore-namespaces={list}");
        cluster.ok(&["annotate", "--overwrite", "-n", "prod", "kafkabackups.kafka.oso.sh", "orders", &word]);
    };
    annotate("staging");
    assert!(create(&restore("foreign")).unwrap_err().contains("does not let restores of namespace \"dev\""));
    annotate("staging,dev");
    create(&restore("foreign")).unwrap();
    // Which Secrets of its own namespace it uses, and where, the owner of that backup decides, now or later.
    cluster.ok(&["create", "serviceaccount", "-n", "dev", "eve"]);
    let verbs = "--verb=create,get";
    cluster.ok(&["create", "role", "-n", "dev", "restores", verbs, "--resource=kafkarestores.kafka.oso.sh"]);
    cluster.ok(&["create", "rolebinding", "-n", "dev", "eve", "--role=restores", "--serviceaccount=dev:eve"]);
    cluster.ok(&["create", "rolebinding", "-n", "prod", "eve", "--role=reader", "--serviceaccount=dev:eve"]);
    let eve = cluster.account("dev", "eve");
    let by_eve = |document: &Value| {
        let output = cluster.kubectl_with(&eve, &["create", "-f", "-"], &document.to_string());
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let said = wait_for(PATIENCE, || match by_eve(&restore("by-eve")) {
        Err(said) if said.contains("spec.backupRef.namespace") && !said.contains("may not restore") => Ok(said),
        other => Err(format!("{other:?}")),
    });
    assert!(
        said.contains("may not get secrets in namespace \"dev\"") && said.contains("into backupRef.storage"),
        "{said}"
    );
    let mut own = restore("by-eve");
    own["spec"]["backupRef"]["storage"] = json!({"storageType": "pvc", "pvc": {"claimName": "b"}});
    by_eve(&own).unwrap();
    // The role for editing lets make pods: who has only the right to these kinds must not make them through us.
    cluster.ok(&["create", "serviceaccount", "-n", "dev", "bob"]);
    cluster.ok(&[
        "create",
        "role",
        "-n",
        "dev",
        "backups",
        "--verb=create,get",
        "--resource=kafkabackups.backup.strimzi.io",
    ]);
    cluster.ok(&["create", "rolebinding", "-n", "dev", "bob", "--role=backups", "--serviceaccount=dev:bob"]);
    let bob = cluster.account("dev", "bob");
    let document = json!({
        "apiVersion": "backup.strimzi.io/v1alpha1", "kind": "KafkaBackup", "metadata": {"name": "own", "namespace": "dev"},
        "spec": {
            "strimziClusterRef": {"name": "events"}, "storage": {"type": "s3", "s3": {"bucket": "b"}}, "image": "mine:1",
        },
    });
    let said = wait_for(PATIENCE, || {
        let output = cluster.kubectl_with(&bob, &["create", "-f", "-"], &document.to_string());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("spec.image") { Ok(said) } else { Err(said) }
    });
    assert!(said.contains("may not create pods"), "{said}");
}

/// Behind a finalizer, an object that was deleted is there for as long as its author likes; runs of others may read it.
#[test]
fn what_is_going_is_judged_when_it_changes_and_can_always_go() {
    let (cluster, ..) = cluster();
    let mut held = backup("held", json!({}));
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    cluster.apply(&held).unwrap();
    let kind = "kafkabackups.kafka.oso.sh";
    cluster.ok(&["delete", kind, "held", "--wait=false"]);
    let patch = |document: Value| {
        let text = document.to_string();
        let arguments = ["patch", kind, "held", "-n", "default", "--type=merge", "-p", &text];
        let output = cluster.kubectl_with(&cluster.kubeconfig(), &arguments, "");
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let said = patch(json!({"spec": {"compression": "gzip"}})).unwrap_err();
    assert!(said.contains("spec.compression (\"gzip\"): must be one of none, lz4, zstd"), "{said}");
    patch(json!({"spec": {"compression": "lz4"}})).unwrap();
    patch(json!({"metadata": {"finalizers": []}})).unwrap();
    wait_for(PATIENCE, || {
        if cluster.get(kind, "default", "held").is_null() { Ok(()) } else { Err("it is there".to_owned()) }
    });
}

#[test]
fn connections_that_say_nothing_keep_nobody_out() {
    let (cluster, port, _) = cluster();
    let silent: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", *port)).unwrap();
            if number % 2 == 0 {
                // The beginning of a handshake.
                std::io::Write::write_all(&mut stream, &[22, 3, 1]).unwrap();
            }
            stream
        })
        .collect();
    let began = Instant::now();
    cluster.apply(&backup("beside", json!({}))).unwrap();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    drop(silent);
}

/// Whoever may write these kinds only must not take a Secret to a host of their own, nor read a backup through a restore.
#[test]
fn secrets_and_records_take_rights_of_their_own() {
    let (cluster, ..) = cluster();
    let namespace = "tenants";
    cluster.ok(&["create", "namespace", namespace]);
    let everything = "--resource=kafkabackups.kafka.oso.sh,kafkarestores.kafka.oso.sh";
    cluster.ok(&["create", "role", "-n", namespace, "writer", "--verb=create,get,update,patch", everything]);
    let grant = |role: &str, user: &str| {
        let account = format!("--serviceaccount={namespace}:{user}");
        let binding = format!("{user}-{role}");
        cluster.ok(&["create", "rolebinding", "-n", namespace, &binding, &format!("--role={role}"), &account]);
    };
    let account = |user: &str| {
        cluster.ok(&["create", "serviceaccount", "-n", namespace, user]);
        grant("writer", user);
        cluster.account(namespace, user)
    };
    let (owner, thief) = (account("owner"), account("thief"));
    let key = ["create", "role", "-n", namespace, "key", "--verb=get", "--resource=secrets", "--resource-name=kafka"];
    cluster.ok(&key);
    grant("key", "owner");
    let apply = |user: &Path, document: &Value| {
        let output = cluster.kubectl_with(user, &["apply", "-f", "-"], &document.to_string());
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let backup = |host: &str| {
        json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackup",
            "metadata": {"name": "orders", "namespace": namespace},
            "spec": {
                "kafkaCluster": {"bootstrapServers": [host], "securityProtocol": "SASL_SSL",
                                 "saslSecret": {"name": "kafka", "mechanism": "PLAIN"}},
                "topics": ["orders"], "stopAtCurrentOffsets": true, "suspend": true, "storage": {"pvc": {"claimName": "b"}},
            },
        })
    };
    let refused = |user: &Path, document: &Value, words: &str| {
        wait_for(PATIENCE, || match apply(user, document) {
            Ok(()) => Err("it was kept".to_owned()),
            Err(said) if said.contains(words) => Ok(()),
            Err(said) => Err(said),
        });
    };
    let secret = "spec.kafkaCluster.saslSecret: system:serviceaccount:tenants:thief may not get secrets \"kafka\"";
    refused(&thief, &backup("evil.example:9093"), secret);
    wait_for(PATIENCE, || apply(&owner, &backup("kafka:9093")));
    // Nor by a change of the host that an honest resource names.
    refused(&thief, &backup("evil.example:9093"), secret);
    let restore = json!({
        "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaRestore", "metadata": {"name": "copy", "namespace": namespace},
        "spec": {"backupRef": {"name": "orders"}, "kafkaCluster": {"bootstrapServers": ["evil.example:9092"]}},
    });
    refused(&thief, &restore, "may not restore kafkabackups.kafka.oso.sh");
    // Another backup's point under this backup's name.
    let mut other = restore.clone();
    other["spec"]["backupRef"]["backupId"] = "payroll-20260101-000000".into();
    refused(&owner, &other, "spec.backupRef.backupId");
    cluster.ok(&[
        "create",
        "role",
        "-n",
        namespace,
        "restorer",
        "--verb=restore",
        "--resource=kafkabackups.kafka.oso.sh",
    ]);
    grant("restorer", "owner");
    wait_for(PATIENCE, || apply(&owner, &restore));
}

/// A validation looks into an archive, and takes Secrets to brokers, to a restore's state and to whom it tells.
#[test]
fn a_validation_takes_the_right_to_look() {
    let (cluster, ..) = cluster();
    let namespace = "auditors";
    cluster.ok(&["create", "namespace", namespace]);
    cluster.ok(&["create", "serviceaccount", "-n", namespace, "eve"]);
    let grant = |role: &str, verbs: &str, resource: &str| {
        let (verbs, resource) = (format!("--verb={verbs}"), format!("--resource={resource}"));
        cluster.ok(&["create", "role", "-n", namespace, role, &verbs, &resource]);
        let account = format!("--serviceaccount={namespace}:eve");
        cluster.ok(&["create", "rolebinding", "-n", namespace, role, &format!("--role={role}"), &account]);
    };
    grant("writer", "create,get", "kafkabackupvalidations.kafka.oso.sh");
    let eve = cluster.account(namespace, "eve");
    let create = |more: Value| {
        let mut spec = json!({"backupRef": {"name": "orders"}, "checks": {"decode": {}}});
        for (name, value) in more.as_object().unwrap() {
            spec[name] = value.clone();
        }
        let document = json!({
            "apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaBackupValidation",
            "metadata": {"generateName": "look-", "namespace": namespace}, "spec": spec,
        });
        let output = cluster.kubectl_with(&eve, &["create", "-f", "-"], &document.to_string());
        if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    };
    let refused = |more: &Value, words: &str| {
        wait_for(PATIENCE, || match create(more.clone()) {
            Err(said) if said.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    };
    refused(&json!({}), "spec.backupRef: system:serviceaccount:auditors:eve may not inspect kafkabackups.kafka.oso.sh");
    grant("looker", "inspect", "kafkabackups.kafka.oso.sh");
    wait_for(PATIENCE, || create(json!({})));
    let compared = json!({
        "restoreRef": {"name": "back"}, "kafkaCluster": {"bootstrapServers": ["kafka:9092"]},
        "checks": {"messageCount": {}},
    });
    refused(&compared, "may not check kafkarestores.kafka.oso.sh \"back\"");
    grant("checker", "check", "kafkarestores.kafka.oso.sh");
    wait_for(PATIENCE, || create(compared.clone()));
    let told = json!({"notifications": {"slack": {"webhookSecret": {"name": "chat", "key": "url"}}}});
    refused(&told, "may not get secrets \"chat\"");
}

#[test]
fn the_operator_reads_no_secret_but_its_own() {
    let (cluster, ..) = cluster();
    cluster.ok(&["create", "secret", "generic", "canary", "--from-literal=key=0xCANARY"]);
    let account = cluster.account(NAMESPACE, "kafka-backup-operator");
    let can = |arguments: &[&str]| {
        let all: Vec<&str> = ["auth", "can-i"].into_iter().chain(arguments.iter().copied()).collect();
        let output = cluster.kubectl_with(&account, &all, "");
        String::from_utf8_lossy(&output.stdout).trim() == "yes"
    };
    for verb in ["get", "list", "watch", "update", "create", "delete"] {
        assert!(!can(&[verb, "secrets", "-A"]) && !can(&[verb, "secrets", "-n", "default"]), "{verb}");
        assert!(verb == "create" || !can(&[verb, "secrets", "-n", NAMESPACE]), "{verb}");
    }
    assert!(can(&["get", "secrets/kafka-backup-webhook", "-n", NAMESPACE]), "its own");
    assert!(!can(&["create", "pods", "-A"]) && !can(&["get", "configmaps", "-A"]));
    let output = cluster.kubectl_with(&account, &["get", "secret", "canary", "-o", "yaml"], "");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("forbidden") && !text.contains("0xCANARY"), "{text}");
    // It may make its own again, and no other.
    let token = json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "other", "namespace": NAMESPACE,
                     "annotations": {"kubernetes.io/service-account.name": "kafka-backup-operator"}},
    });
    let said = wait_for(PATIENCE, || {
        let output = cluster.kubectl_with(&account, &["create", "--dry-run=server", "-f", "-"], &token.to_string());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Err("the policy is not in force yet".to_owned()) } else { Ok(said) }
    });
    assert!(said.contains("is that of its webhook's certificate"), "{said}");
    // A Job of its making that would give it one is refused.
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "steal", "namespace": "default"},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    });
    let output = wait_for(PATIENCE, || {
        let output = cluster.kubectl_with(&account, &["create", "-f", "-"], &job.to_string());
        if output.status.success() {
            cluster.ok(&["delete", "job", "steal"]);
            return Err("the policy is not in force yet".to_owned());
        }
        Ok(output)
    });
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("ValidatingAdmissionPolicy") && said.contains("belongs to a resource"), "{said}");
}

/// Certificates that end within a minute are replaced, authorities too, and no request fails meanwhile.
#[test]
fn the_certificate_changes_under_load() {
    let cluster = Cluster::start();
    let port = free_port();
    cluster.install(port);
    let short = ["--webhook-certificate-secs=24"];
    let operator = cluster.operator("op-short", port, &short);
    wait_for(PATIENCE, || cluster.apply(&backup("first", json!({}))).map(drop));
    let bundle = || {
        cluster.ok(&[
            "get",
            "validatingwebhookconfiguration",
            "kafka-backup-operator",
            "-o",
            "jsonpath={.webhooks[0].clientConfig.caBundle}",
        ])
    };
    let (stop, asked) = (AtomicBool::new(false), AtomicU32::new(0));
    let begin = bundle();
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (cluster, stop, asked) = (&cluster, &stop, &asked);
            scope.spawn(move || {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let document = backup(&format!("load-{worker}"), json!({"topics": [format!("t{number}")]}));
                    cluster.apply(&document).unwrap();
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Long enough for leaves (24 s) to change several times, and for the authority (192 s) to come within its last third.
        let until = Instant::now() + Duration::from_secs(80);
        let mut changed = 0;
        let (_, mut last) = operator.http("/metrics");
        while Instant::now() < until {
            std::thread::sleep(Duration::from_secs(2));
            let expiry = |text: &str| {
                let line = text
                    .lines()
                    .find(|line| line.starts_with("kafka_backup_operator_certificate_expiry"))
                    .unwrap_or_default();
                line.to_owned()
            };
            let (_, now) = operator.http("/metrics");
            changed += u32::from(expiry(&now) != expiry(&last));
            last = now;
        }
        stop.store(true, Ordering::Relaxed);
        println!("{changed} changes of the certificate, {} requests, none failed", asked.load(Ordering::Relaxed));
        assert!(changed >= 3, "{changed}: {}", operator.log());
    });
    assert!(!begin.is_empty() && !bundle().is_empty());
    operator.end("TERM");
    // Without a webhook: reads, deletes and statuses work; new resources wait for it.
    assert!(cluster.apply(&backup("late", json!({}))).is_err());
    cluster.ok(&["get", "kafkabackups.kafka.oso.sh", "load-0"]);
    cluster.ok(&[
        "patch",
        "kafkabackups.kafka.oso.sh",
        "load-0",
        "--subresource=status",
        "--type=merge",
        "-p",
        r#"{"status":{"message":"x"}}"#,
    ]);
    cluster.ok(&["delete", "kafkabackups.kafka.oso.sh", "load-0", "--timeout=20s"]);
}

/// What the chart renders is what the API server takes, and in a release of another name too.
#[test]
fn the_chart_applies() {
    let (cluster, ..) = cluster();
    let all = "groups={kafka.oso.sh,backup.strimzi.io,kafkabackup.com}";
    let everywhere = r#"extraEnv=[{"name":"A","value":"b"}],runner.extraEnv=[{"name":"A","value":"b"}],topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"ScheduleAnyway"}],podSecurityContext={"runAsUser":null,"fsGroup":null},runner.podSecurityContext={}"#;
    for more in [
        "replicaCount=3",
        "watchNamespaces={default}",
        "fullnameOverride=backups,replicaCount=1",
        "hostNetwork=true,ports.webhook=19443,ports.metrics=18080,priorityClassName=system-cluster-critical",
        "global.imageRegistry=registry.example.com/team,image.tag=x",
    ] {
        let dashboard = ["--set", "metrics.dashboard.enabled=true", "--set-json", everywhere];
        let text = cluster.chart(&[&["--set", all, "--set", more][..], &dashboard].concat());
        let arguments = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"];
        let output = cluster.kubectl_with(&cluster.kubeconfig(), &arguments, &text);
        assert!(output.status.success(), "{more}: {}", String::from_utf8_lossy(&output.stderr));
    }
    // Who may reach the ports is said in the one policy that there is: another one would take nothing away.
    let from = r#"networkPolicy.webhookFrom=[{"ipBlock":{"cidr":"10.0.0.1/32"}}]"#;
    let text = cluster.chart(&["--set-json", from, "--show-only", "templates/network-policy.yaml"]);
    let policy: Value = serde_saphyr::from_str(&text).unwrap();
    let ingress = &policy["spec"]["ingress"];
    assert_eq!(ingress[0], json!({"ports": [{"port": "webhook"}], "from": [{"ipBlock": {"cidr": "10.0.0.1/32"}}]}));
    assert_eq!(ingress[1], json!({"ports": [{"port": "metrics"}]}));
}

/// A certificate that somebody else keeps in files, as cert-manager does: it is used, and read again when it changes.
#[test]
fn a_certificate_may_come_from_files() {
    let cluster = Cluster::start();
    let port = free_port();
    cluster.install(port);
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let openssl = |arguments: &[&str]| {
        let output = std::process::Command::new("openssl").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let (ca, ca_key) = (at("ca.crt"), at("ca.key"));
    let authority = ["req", "-x509", "-subj", "/CN=somebody", "-days", "2", "-out", &ca, "-keyout", &ca_key];
    openssl(&[&authority[..], &key[..]].concat());
    std::fs::write(at("ext"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n").unwrap();
    let leaf = |serial: &str| {
        let (request, new_key, made, extensions) = (at("leaf.csr"), at("new.key"), at("new.crt"), at("ext"));
        openssl(
            &[&["req", "-new", "-subj", "/CN=webhook", "-out", &request, "-keyout", &new_key][..], &key[..]].concat(),
        );
        openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-set_serial",
            serial,
            "-days",
            "2",
            "-extfile",
            &extensions,
            "-out",
            &made,
        ]);
        std::fs::rename(new_key, at("tls.key")).unwrap();
        std::fs::rename(made, at("tls.crt")).unwrap();
    };
    leaf("1001");
    let bundle = {
        let output = std::process::Command::new("base64").args(["-w0", &ca]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let patch = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": bundle}]).to_string();
    cluster.ok(&["patch", "validatingwebhookconfiguration", "kafka-backup-operator", "--type=json", "-p", &patch]);
    let flags =
        [format!("--webhook-certificate-file={}", at("tls.crt")), format!("--webhook-key-file={}", at("tls.key"))];
    let operator = cluster.operator("op-files", port, &[&flags[0], &flags[1]]);
    wait_for(PATIENCE, || cluster.apply(&backup("first", json!({}))).map(drop));
    let served = || {
        let script = format!(
            "openssl s_client -connect 127.0.0.1:{port} < /dev/null 2> /dev/null | openssl x509 -noout -serial"
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(served(), "serial=03E9");
    let ends = "kafka_backup_operator_certificate_expiry_timestamp_seconds 1";
    let told = operator.http("/metrics").1;
    assert!(told.contains(ends), "when it ends is told, for the alert: {told}");
    leaf("1002");
    wait_for(PATIENCE, || if served() == "serial=03EA" { Ok(()) } else { Err(served()) });
    cluster.apply(&backup("second", json!({}))).unwrap();
}
