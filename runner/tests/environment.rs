//! What the environment of a pod says about stores is judged as what the specification says, and never counts more.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

/// A store that has no bucket, and how often it was asked.
fn store() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::SeqCst);
            drop(stream.read(&mut [0; 8 << 10]));
            let body = "<Error><Code>NoSuchBucket</Code></Error>";
            let head = format!("HTTP/1.1 404 no\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            drop(stream.write_all((head + body).as_bytes()));
        }
    });
    (endpoint, asked)
}

/// `store-check` of a run specification, in an environment that has only these variables.
fn check(spec: &Value, environment: &[(&str, &str)]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("run.json");
    std::fs::write(&file, spec.to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kafka-backup-runner"));
    command.arg("store-check").arg(&file).env_clear().envs(environment.iter().copied());
    command.output().unwrap()
}

fn spec(storage: &Value, allowed: &[&str]) -> Value {
    json!({
        "formatVersion": 1, "name": "orders", "kafka": {"bootstrapServers": ["127.0.0.1:9092"]},
        "storage": storage, "allowedEndpoints": allowed, "backup": {"topics": ["orders"]},
    })
}

const S3: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "canary")];

/// Followed before: only what stands in the specification was compared with the list.
#[test]
fn the_environment_leads_to_no_endpoint_that_is_not_allowed() {
    let (endpoint, asked) = store();
    let s3 = json!({"type": "s3", "bucket": "b", "region": "us-east-1", "allowHttp": true});
    let azure = json!({"type": "azure", "account": "a", "container": "c", "allowHttp": true});
    let gcs = json!({"type": "gcs", "bucket": "b", "allowHttp": true});
    let own = ["127.0.0.1:9092", "s3.us-east-1.amazonaws.com", "a.blob.core.windows.net", "storage.googleapis.com"];
    for (variable, storage) in [
        ("AWS_ENDPOINT_URL", &s3),
        ("AWS_ENDPOINT", &s3),
        ("AWS_ENDPOINT_URL_S3", &s3),
        ("AZURE_STORAGE_ENDPOINT", &azure),
        ("AZURE_ENDPOINT", &azure),
        ("GOOGLE_BASE_URL", &gcs),
    ] {
        let mut environment = S3.to_vec();
        environment.push((variable, &endpoint));
        let output = check(&spec(storage, &own), &environment);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains("KB1002") && said.contains(variable), "{variable}: {said}");
        assert!(!said.contains("canary"), "{said}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "somebody was asked");
    // Where it is allowed, it counts.
    let output =
        check(&spec(&s3, &[&own[..], &["127.0.0.0/8"]].concat()), &[&S3[..], &[("AWS_ENDPOINT", &endpoint)]].concat());
    assert!(asked.load(Ordering::SeqCst) > 0, "{}", String::from_utf8_lossy(&output.stderr));
}

/// The library prefers this variable to an endpoint that it is given.
#[test]
fn the_endpoint_of_the_specification_counts_more_than_the_environments() {
    let ((named, asked), (other, strays)) = (store(), store());
    let s3 = json!({"type": "s3", "bucket": "b", "region": "us-east-1", "allowHttp": true, "endpoint": named});
    for variable in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
        let before = asked.load(Ordering::SeqCst);
        let output = check(&spec(&s3, &[]), &[&S3[..], &[(variable, &other)]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(asked.load(Ordering::SeqCst) > before, "{variable}: {said}");
        assert_eq!(strays.load(Ordering::SeqCst), 0, "{variable} counted more");
    }
}
