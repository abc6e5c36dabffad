//! Waiting for what becomes of a resource.

use std::fmt::Debug;
use std::time::Duration;

use clap::Args;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::changes::Changes;
use crate::cluster::{Cluster, duration};
use crate::error::Error;
use crate::exit::Exit;
use crate::screen::{Screen, Tone};
use crate::view::health::never_runs;
use crate::words::safe_lines;

/// How often a resource is looked at while nothing says that it changed.
const LOOK: Duration = Duration::from_secs(10);
/// How long one look may take: an API server that says nothing for so long is asked again.
const SILENCE: Duration = Duration::from_secs(30);
/// How often a line tells how far it is, where nobody watches.
const TELL: Duration = Duration::from_secs(10);

/// Flags of commands that may wait.
#[derive(Debug, Clone, Args)]
pub struct Wait {
    /// Wait until the run has ended; the exit code tells how
    #[arg(long, help_heading = "Write")]
    pub wait: bool,
    /// How long to wait: 10m, 1h30m
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = duration, help_heading = "Write")]
    pub timeout: Duration,
}

/// How far something is that is waited for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Progress {
    /// It goes on; where it is.
    Going(String),
    /// It has ended, well or not.
    Over(bool, String),
}

/// How far a run is that was asked for and has not begun.
pub(crate) fn not_begun(conditions: &[Condition], generation: Option<i64>) -> Progress {
    match never_runs(conditions, generation) {
        Some(why) => Progress::Over(false, format!("the run did not begin: {why}")),
        None => Progress::Going("waiting for the run to begin".to_owned()),
    }
}

/// How to follow the run of a resource that was created, as a command.
pub(crate) fn next(name: &str, cluster: Option<&Cluster>) -> String {
    let place = cluster.map_or_else(String::new, |cluster| format!(" -n {}", cluster.namespace));
    format!("next: kubectl kafka-backup status {name}{place} -w")
}

/// Waits for the run of a resource, and says how it ended.
///
/// # Errors
/// When it takes too long, the resource is gone, or the API server refuses.
pub(crate) async fn wait<K>(
    cluster: &Cluster,
    name: &str,
    most: Duration,
    screen: &mut Screen,
    progress: impl Fn(&K) -> Progress,
) -> Result<Exit, Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    let mut changes = Changes::of::<K>(cluster.api(), Some(name));
    let woken = async |most| changes.next(most).await;
    let ended = until_over(async || cluster.get(name).await, woken, most, screen, progress).await?;
    let Some((good, words)) = ended.verdict else {
        let kind = K::kind(&()).to_ascii_lowercase();
        return Err(Error::TimeOut {
            what: format!("{kind} `{name}` had not ended after {}s{}", most.as_secs(), ended.because()),
            hint: format!("the run goes on; follow it: kubectl kafka-backup status {name} -n {} -w", cluster.namespace),
        });
    };
    let mark = if good { screen.style.paint(Tone::Good, "done:") } else { screen.style.paint(Tone::Bad, "failed:") };
    screen.say(&format!("{mark} {}", safe_lines(&words)));
    Ok(if good { Exit::Done } else { Exit::No })
}

/// How the waiting ended.
pub(crate) struct Ended {
    /// Whether it ended well, in words too; `None` when it took too long.
    pub(crate) verdict: Option<(bool, String)>,
    /// Why it could not be looked at the last time.
    trouble: Option<String>,
}

impl Ended {
    /// What kept us from looking, at the end of a sentence.
    pub(crate) fn because(&self) -> String {
        self.trouble.as_ref().map_or_else(String::new, |trouble| format!(": {trouble}"))
    }
}

/// Looks at a resource, each time after `woken`, until its run has ended or `most` has passed. An API server that cannot be
/// asked is asked again. Tells how far it is: on one line that changes where somebody watches, else each ten seconds.
///
/// # Errors
/// When the resource is gone, or the API server refuses.
pub(crate) async fn until_over<K>(
    mut look: impl AsyncFnMut() -> Result<K, Error>,
    mut woken: impl AsyncFnMut(Duration),
    most: Duration,
    screen: &mut Screen,
    progress: impl Fn(&K) -> Progress,
) -> Result<Ended, Error> {
    let end = Instant::now() + most;
    let (mut told, mut last): (Option<Instant>, String) = (None, String::new());
    loop {
        let trouble;
        let words = match tokio::time::timeout_at(end.min(Instant::now() + SILENCE), look()).await {
            Ok(Ok(object)) => {
                trouble = None;
                match progress(&object) {
                    Progress::Over(good, words) => {
                        screen.progress(None);
                        return Ok(Ended { verdict: Some((good, words)), trouble });
                    }
                    Progress::Going(words) => words,
                }
            }
            Ok(Err(error @ Error::Cluster { .. })) => {
                let words = error.to_string();
                trouble = Some(words.clone());
                format!("{words}; asked again")
            }
            Ok(Err(error)) => {
                screen.progress(None);
                return Err(error);
            }
            Err(_) => {
                let words = "the API server does not answer".to_owned();
                trouble = Some(words.clone());
                format!("{words}; asked again")
            }
        };
        if screen.watched {
            screen.progress(Some(&words));
        } else if words != last && told.is_none_or(|told| told.elapsed() >= TELL) {
            screen.say(&safe_lines(&words));
            (told, last) = (Some(Instant::now()), words);
        }
        woken(end.saturating_duration_since(Instant::now()).min(LOOK)).await;
        if Instant::now() >= end {
            screen.progress(None);
            return Ok(Ended { verdict: None, trouble });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::tests::style;

    fn away() -> Error {
        Error::Cluster { what: "cannot read it: connection refused".into(), hint: String::new() }
    }

    async fn waited(answers: Vec<Result<u32, Error>>) -> Result<Ended, Error> {
        let mut answers = answers.into_iter();
        let look = async || answers.next().unwrap_or_else(|| Err(away()));
        let progress = |number: &u32| match number {
            3 => Progress::Over(true, "three".to_owned()),
            other => Progress::Going(other.to_string()),
        };
        let second = async |most| tokio::time::sleep(Duration::from_secs(1).min(most)).await;
        until_over(look, second, Duration::from_secs(60), &mut Screen::silent(style(None)), progress).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_is_away_is_asked_again() {
        let ended = waited(vec![Ok(1), Err(away()), Err(away()), Ok(2), Ok(3)]).await.unwrap();
        assert_eq!(ended.verdict, Some((true, "three".to_owned())));
        let late = waited(vec![Ok(1)]).await.unwrap();
        assert_eq!((late.verdict.clone(), late.because()), (None, ": cannot read it: connection refused".to_owned()));
        let silent = async || std::future::pending::<Result<u32, Error>>().await;
        let (mut screen, begun) = (Screen::silent(style(None)), Instant::now());
        let going = |_: &u32| Progress::Going("on its way".to_owned());
        let long = until_over(silent, async |_| {}, Duration::from_secs(60), &mut screen, going).await.unwrap();
        assert_eq!((long.because(), begun.elapsed().as_secs()), (": the API server does not answer".to_owned(), 60));
        let rest = async |most| tokio::time::sleep(most).await;
        let long = until_over(async || Ok(1), rest, Duration::from_secs(60), &mut screen, going).await.unwrap();
        assert_eq!((long.verdict.clone(), long.because()), (None, String::new()), "it answered each time");
        let gone = waited(vec![Ok(1), Err(Error::usage("it is not there", ""))]).await;
        assert!(matches!(gone, Err(Error::Usage { .. })), "what is gone does not come back");
    }
}
