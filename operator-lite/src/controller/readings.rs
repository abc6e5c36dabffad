//! How far runs are, read apart from what is decided: a node that gives no log holds up nothing but the news of its own runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::lower::job::CONTAINER;
use contract::words::cut;
use contract::{Before, CHECK_NAMES, MOST_WEBHOOKS, PointLine};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};

use crate::progress::{self, Checked, Progress};

/// Lines of a log that are looked at.
const TAIL: i64 = 60;
/// Most bytes of them: many logs are read at once. A line of a run has some hundred bytes; where there is more, the newest lines
/// are missing, and a later look tells what they say.
const LONGEST: i64 = 256 << 10;
/// Most characters of a text that goes from a log into a status.
const TEXT: usize = 1_000;
/// Most characters of a name or a time.
const NAME: usize = 300;
/// Most recovery points that a look takes from a log.
const POINTS: usize = 64;
/// Most checks of a validation: all that one may have.
const CHECKS: usize = CHECK_NAMES.len() + MOST_WEBHOOKS;
/// How long a log is read.
const LOG_PATIENCE: Duration = Duration::from_secs(3);
/// How long a look waits for it. Whatever comes later is told at the next look.
const LOOK_PATIENCE: Duration = Duration::from_millis(300);
/// Most logs that are read at once.
const AT_ONCE: usize = 64;

/// What was read, by uid of the Job.
#[derive(Debug, Clone, Default)]
pub struct Readings(Arc<Mutex<HashMap<String, Reading>>>);

#[derive(Debug, Default)]
struct Reading {
    under_way: bool,
    /// The newest that was read and not told yet.
    progress: Option<Progress>,
}

impl Readings {
    /// How far the run of a Job is, if that is known by now.
    pub(super) async fn of(&self, job: &str, pods: Api<Pod>, pod: String) -> Option<Progress> {
        if self.begin(job) {
            let (all, job) = (self.clone(), job.to_owned());
            let reading = tokio::spawn(async move { all.end(&job, read(&pods, &pod).await) });
            // It goes on without this look.
            let _ = tokio::time::timeout(LOOK_PATIENCE, reading).await;
        }
        self.take(job)
    }

    /// Whether the log shall be read now.
    fn begin(&self, job: &str) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = all.values().filter(|reading| reading.under_way).count();
        let reading = all.entry(job.to_owned()).or_default();
        let begins = !reading.under_way && busy < AT_ONCE;
        reading.under_way |= begins;
        begins
    }

    fn end(&self, job: &str, progress: Option<Progress>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(job.to_owned(), Reading { under_way: false, progress });
    }

    fn take(&self, job: &str) -> Option<Progress> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let progress = all.get_mut(job)?.progress.take();
        // What nobody asks for again is not kept.
        all.retain(|_, reading| reading.under_way || reading.progress.is_some());
        progress
    }
}

/// The last lines of a pod. One that has not started has no log, and a node that hangs gives none.
async fn read(pods: &Api<Pod>, pod: &str) -> Option<Progress> {
    let parameters = LogParams {
        container: Some(CONTAINER.to_owned()),
        tail_lines: Some(TAIL),
        limit_bytes: Some(LONGEST),
        ..LogParams::default()
    };
    // The next look tries again; no decision needs a log.
    let log = tokio::time::timeout(LOG_PATIENCE, pods.logs(pod, &parameters)).await.ok()?.ok()?;
    progress::read(&log).map(bounded)
}

/// What goes into a status: whatever a log says, it stays small.
fn bounded(read: Progress) -> Progress {
    let text = |text: Option<String>| text.map(|text| cut(text, TEXT));
    let name = |name: Option<String>| name.map(|name| cut(name, NAME));
    let mut made: Vec<PointLine> = read.made.into_iter().filter(is_short).collect();
    made.drain(..made.len().saturating_sub(POINTS));
    Progress {
        topic: name(read.topic),
        committed_at: name(read.committed_at),
        // One that is cut would be that of another point.
        point: read.point.filter(|point| point.len() <= NAME),
        point_at: name(read.point_at),
        made,
        whole_at: name(read.whole_at),
        overdue: text(read.overdue),
        said_at: name(read.said_at),
        waiting: text(read.waiting),
        warning: text(read.warning),
        checked: read.checked.into_iter().filter(|check| check.name.len() <= NAME).take(CHECKS).map(short).collect(),
        ..read
    }
}

fn short(check: Checked) -> Checked {
    Checked { message: cut(check.message, TEXT), ..check }
}

/// Whether a line tells of a recovery point in short words.
fn is_short(line: &PointLine) -> bool {
    let before = match &line.before {
        Some(Before::Point(second)) => second.len(),
        Some(Before::Nothing) | None => 0,
    };
    let cluster = line.cluster_id.as_ref().map_or(0, String::len);
    [line.name.len(), line.at.len(), before, cluster].iter().all(|length| *length <= NAME)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_log_says_stays_small_in_a_status() {
        let words = "\u{e9}".repeat(100_000);
        let line = |event: serde_json::Value| {
            let mut line = json!({"source": "kafka-backup", "seq": 1, "at": "2026-11-21T10:00:00.000Z"});
            line.as_object_mut().unwrap().extend(event.as_object().unwrap().clone());
            line.to_string()
        };
        let made = |name: &str| json!({"name": name, "at": "2026-11-21T10:00:00Z", "topics": 1, "partitions": 1, "records": 1, "bytes": 1, "heldBack": 0});
        let committed = |name: &str| {
            line(json!({"event": "committed", "entry": 1, "sealed": true, "point": name, "made": made(name)}))
        };
        let mut log = vec![line(json!({"event": "warning", "message": words})), committed(&words)];
        log.extend((0..100).map(|number| committed(&format!("a-{number}"))));
        log.push(line(json!({"event": "waiting", "what": words, "seconds": 1})));
        let read = bounded(progress::read(&log.join("\n")).unwrap());
        let length = |text: &Option<String>| text.as_ref().map(|text| text.chars().count());
        assert_eq!((length(&read.warning), length(&read.waiting)), (Some(TEXT + 3), Some(TEXT + 3)));
        assert_eq!((read.made.len(), read.point.as_deref()), (POINTS, Some("a-99")));
        assert_eq!(read.made.first().map(|line| line.name.as_str()), Some("a-36"));
        let only = Progress { point: Some(words.clone()), topic: Some(words), ..Progress::default() };
        let only = bounded(only);
        assert_eq!((only.point.as_ref(), length(&only.topic)), (None, Some(NAME + 3)));
    }
}
