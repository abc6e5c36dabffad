//! A stub of Google Cloud Storage's XML API on loopback.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificates::{self, openssl};
use crate::process::{Guarded, Scratch, free_port};
use serde_json::{Value, json};

const EMAIL: &str = "backup@project.iam.gserviceaccount.com";

/// A running stub with one bucket `archive`.
#[derive(Debug)]
pub struct Gcs {
    dir: Scratch,
    port: u16,
    encrypted: bool,
    _process: Guarded,
}

impl Gcs {
    /// Starts a stub that trusts one service account.
    pub fn start() -> Self {
        Self::begin(false)
    }

    /// The same with TLS, by a certificate of [`Self::ca`].
    pub fn start_with_tls() -> Self {
        Self::begin(true)
    }

    fn begin(encrypted: bool) -> Self {
        let dir = Scratch::new("kafka-backup-gcs-");
        openssl(dir.path(), "genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out account.key");
        openssl(dir.path(), "rsa -in account.key -noout -modulus -out modulus");
        let modulus = std::fs::read_to_string(dir.path().join("modulus")).unwrap();
        let port = free_port();
        let mut stub = Command::new("python3");
        stub.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/gcs.py"));
        stub.args([&port.to_string(), "archive", EMAIL, modulus.trim().trim_start_matches("Modulus=")]);
        if encrypted {
            certificates::make(dir.path());
            stub.args([dir.path().join("broker.pem"), dir.path().join("broker.key")]);
        }
        let log = dir.path().join("log");
        let process = Guarded::spawn(&stub, &log).listens(port, &log);
        Self { dir, port, encrypted, _process: process }
    }

    /// The certificate that clients must trust.
    pub fn ca(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// The account's key file as Google's console hands it out.
    pub fn key_file(&self) -> String {
        let key = std::fs::read_to_string(self.dir.path().join("account.key")).unwrap();
        json!({
            "type": "service_account", "project_id": "project", "private_key_id": "1", "private_key": key,
            "client_email": EMAIL, "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token",
        })
        .to_string()
    }

    /// A `storage` block; without credentials the default chain counts.
    pub fn storage(&self, bucket: &str, credentials: Option<&str>) -> Value {
        let credentials = credentials.map(|file| json!({"service-account": {"file": file}}));
        let scheme = if self.encrypted { "https" } else { "http" };
        json!({
            "type": "gcs", "bucket": bucket, "prefix": "team/backups", "allowHttp": !self.encrypted,
            "endpoint": format!("{scheme}://127.0.0.1:{}", self.port), "credentials": credentials,
        })
    }
}
