//! A real S3 server (versitygw) on loopback over a temporary folder.

use std::process::Command;

use crate::process::{Guarded, Scratch, fetch, free_port};

/// Access key of the server.
pub const ACCESS_KEY: &str = "canary-access-key";
/// Secret key of the server.
pub const SECRET_KEY: &str = "canary-secret-key";

/// A running S3 server.
#[derive(Debug)]
pub struct S3 {
    dir: Scratch,
    host: &'static str,
    port: u16,
    /// Its certificate and key, where it speaks TLS.
    identity: Option<Identity>,
    /// Below this domain, names of hosts begin with the bucket.
    domain: Option<&'static str>,
    process: Option<Guarded>,
}

/// Certificate and key.
type Identity = (std::path::PathBuf, std::path::PathBuf);

fn identity(folder: &std::path::Path, name: &str) -> Identity {
    (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")))
}

impl S3 {
    /// Starts a server with one bucket `archive`.
    pub fn start() -> Self {
        Self::start_at("127.0.0.1")
    }

    /// The same at another address of this machine.
    pub fn start_at(host: &'static str) -> Self {
        Self::begin(host, None, None)
    }

    /// The same with TLS: `<name>.pem` and `<name>.key` of a folder say who it is.
    pub fn start_with_tls(folder: &std::path::Path, name: &str) -> Self {
        Self::begin("127.0.0.1", Some(identity(folder, name)), None)
    }

    /// The same with buckets in the host name, below this domain.
    pub fn start_below(domain: &'static str, folder: &std::path::Path, name: &str) -> Self {
        Self::begin("127.0.0.1", Some(identity(folder, name)), Some(domain))
    }

    fn begin(host: &'static str, identity: Option<Identity>, domain: Option<&'static str>) -> Self {
        let dir = Scratch::new("kafka-backup-s3-");
        std::fs::create_dir_all(dir.path().join("buckets/archive")).unwrap();
        let mut server = Self { dir, host, port: free_port(), identity, domain, process: None };
        server.resume();
        server
    }

    /// Starts the server again after [`Self::kill`], on the same port and folder.
    pub fn resume(&mut self) {
        let log = self.dir.path().join("log");
        let mut command = Command::new(fetch(&["versitygw"]));
        command.env("ROOT_ACCESS_KEY", ACCESS_KEY).env("ROOT_SECRET_KEY", SECRET_KEY);
        command.args(["--port", &format!("{}:{}", self.host, self.port)]);
        if let Some((certificate, key)) = &self.identity {
            command.arg("--cert").arg(certificate).arg("--key").arg(key);
        }
        command.envs(self.domain.map(|domain| ("VGW_VIRTUAL_DOMAIN", domain)));
        command.arg("posix").arg(self.dir.path().join("buckets"));
        self.process = Some(Guarded::spawn(&command, &log).listens_at(self.host, self.port, &log));
    }

    /// Ends the server; its buckets stay.
    pub fn kill(&mut self) {
        if let Some(process) = self.process.take() {
            process.end("KILL");
        }
    }

    /// Port of the server.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The `storage` block of a run specification, with credentials in `secrets`.
    pub fn storage(&self, secrets: &std::path::Path, bucket: &str) -> serde_json::Value {
        std::fs::write(secrets.join("s3-id"), ACCESS_KEY).unwrap();
        std::fs::write(secrets.join("s3-secret"), SECRET_KEY).unwrap();
        serde_json::json!({
            "type": "s3", "bucket": bucket, "region": "us-east-1", "prefix": "team/backups",
            "endpoint": format!("http://{}:{}", self.host, self.port), "pathStyle": true, "allowHttp": true,
            "credentials": {"keys": {"accessKeyIdFile": "s3-id", "secretAccessKeyFile": "s3-secret"}},
        })
    }

    /// The folder with the buckets.
    pub fn folder(&self) -> std::path::PathBuf {
        self.dir.path().join("buckets")
    }
}
