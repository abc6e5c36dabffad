//! A real S3 server (versitygw) on loopback over a temporary folder.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::kafka::{fetch, free_port};

/// Access key of the server.
pub const ACCESS_KEY: &str = "canary-access-key";
/// Secret key of the server.
pub const SECRET_KEY: &str = "canary-secret-key";

/// A running S3 server.
#[derive(Debug)]
pub struct S3 {
    dir: TempDir,
    port: u16,
    process: Child,
}

impl S3 {
    /// Starts a server with one bucket `archive`.
    pub fn start() -> Self {
        let binary = fetch(&["versitygw"]);
        let dir = tempfile::Builder::new().prefix("kafka-backup-s3-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("archive")).unwrap();
        let port = free_port();
        let process = Command::new("sh")
            // The server ends when this test process does: its shell holds the other end of a pipe.
            .args(["-c", "\"$@\" < /dev/null > /dev/null 2>&1 & cat > /dev/null; kill -9 $!", "sh"])
            .arg(binary)
            .env("ROOT_ACCESS_KEY", ACCESS_KEY)
            .env("ROOT_SECRET_KEY", SECRET_KEY)
            .args(["--port", &format!("127.0.0.1:{port}"), "posix"])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let server = Self { dir, port, process };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "versitygw did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// The `storage` block of a run specification, with credentials in `secrets`.
    pub fn storage(&self, secrets: &std::path::Path, bucket: &str) -> serde_json::Value {
        std::fs::write(secrets.join("s3-id"), ACCESS_KEY).unwrap();
        std::fs::write(secrets.join("s3-secret"), SECRET_KEY).unwrap();
        serde_json::json!({
            "type": "s3", "bucket": bucket, "region": "us-east-1", "prefix": "team/backups",
            "endpoint": format!("http://127.0.0.1:{}", self.port), "pathStyle": true, "allowHttp": true,
            "credentials": {"keys": {"accessKeyIdFile": "s3-id", "secretAccessKeyFile": "s3-secret"}},
        })
    }

    /// The folder behind the server.
    pub fn folder(&self) -> &std::path::Path {
        self.dir.path()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        drop(self.process.wait());
    }
}
