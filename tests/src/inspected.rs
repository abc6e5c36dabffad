//! Asking the pod of an inspection without a cluster: the runner's `inspect` on this machine. It always listens on one port, so
//! only suites of one lane may ask.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cluster::wait_for;
use crate::plugin::post_to;
use crate::runner::Bench;

static PORT: Mutex<()> = Mutex::new(());

/// How the source of the backup of `run` differs from a recovery point now: the head, then a line for each topic.
///
/// # Panics
/// When the question is refused.
#[must_use]
pub fn live(bench: &Bench, run: &Value, point: &str, topics: &[&str]) -> Vec<Value> {
    let _port = PORT.lock().unwrap_or_else(PoisonError::into_inner);
    let token = "0123456789abcdef";
    let told = json!({
        "formatVersion": 1, "name": run["name"], "storage": run["storage"], "source": run, "readsSource": true,
        "tokenDigest": blake3::hash(token.as_bytes()).to_hex().to_string(), "records": false, "idleSecs": 30,
    });
    let mut pod = bench.command("inspect", &told, &[]).spawn().unwrap();
    let question = json!({"question": "live", "name": point, "include": topics}).to_string();
    let (status, body) = wait_for(Duration::from_secs(60), || {
        post_to("/ask", contract::INSPECT_PORT, token, &question).ok_or_else(|| "no answer".to_owned())
    });
    pod.kill().unwrap();
    pod.wait().unwrap();
    assert_eq!(status, 200, "{body}");
    body.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}
