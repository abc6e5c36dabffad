//! How far runs are, read apart from what is decided: a node that gives no log holds up nothing but the news of its own runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::lower::job::CONTAINER;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};

use crate::progress::{self, Progress};

/// Lines of a log that are looked at.
const TAIL: i64 = 60;
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
    let parameters =
        LogParams { container: Some(CONTAINER.to_owned()), tail_lines: Some(TAIL), ..LogParams::default() };
    let log = tokio::time::timeout(LOG_PATIENCE, pods.logs(pod, &parameters)).await.ok()?.ok()?;
    progress::read(&log)
}
