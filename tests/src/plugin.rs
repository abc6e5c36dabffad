//! The plugin as users start it.

use std::path::PathBuf;
use std::process::Command;

/// Where it was built: beside the runner, unless `KAFKA_BACKUP_PLUGIN` names another.
pub fn binary() -> PathBuf {
    if let Ok(path) = std::env::var("KAFKA_BACKUP_PLUGIN") {
        return path.into();
    }
    crate::runner::binary().with_file_name("kubectl-kafka_backup")
}

/// What it said.
#[derive(Debug)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// Whether it had no cluster to tell of: what succeeds then says nothing beside its result.
    pub alone: bool,
}

impl Said {
    /// Standard output of a call that must succeed, and complain of nothing.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.stdout, self.stderr);
        let complains = |line: &str| line.starts_with("warning:") || line.starts_with("error:");
        // What was left out on purpose is told.
        let says = |line: &str| self.alone && !line.starts_with("there are more: ");
        assert!(!self.stderr.lines().any(|line| complains(line) || says(line)), "{}", self.stderr);
        self.stdout
    }
}

/// Calls it, without a cluster and without colours of the environment.
pub fn call(arguments: &[&str]) -> Said {
    let mut command = Command::new(binary());
    command.args(arguments).env_remove("CLICOLOR_FORCE").env("KUBECONFIG", "/no/such/kubeconfig");
    Said { alone: true, ..said(&mut command) }
}

/// Runs a prepared call.
pub fn said(command: &mut Command) -> Said {
    let output = command.output().unwrap();
    let said = Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        alone: false,
    };
    crate::runner::no_words_of_the_system(&said.stderr);
    said
}

/// Posts a question to a port of this machine; status and body, or nothing when nobody answers.
pub fn post(port: u16, token: &str, question: &serde_json::Value) -> Option<(u16, String)> {
    post_to("/ask", port, token, &question.to_string())
}

/// The same with another path.
pub fn post_to(path: &str, port: u16, token: &str, body: &str) -> Option<(u16, String)> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).ok()?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
}
