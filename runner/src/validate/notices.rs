//! Who is told of a result: Slack by an incoming webhook, `PagerDuty` by its Events API v2. A notice that cannot be sent is a
//! warning of the run; addresses and keys come from files and are never told.

mod payload;

use std::time::Duration;

use contract::pauses::Pauses;
use contract::{NoticeSpec, Report, ValidationReport, ValidationVerdict};
use serde_json::Value;

use self::payload::{Told, pagerduty, slack};
use super::Run;
use super::http::{Answered, Poster};

/// Tries of one notice.
const TRIES: u32 = 4;
/// How long one try may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The first pause; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that a service may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Tells of a result, where there is one.
pub(super) async fn send(run: &Run<'_>, notify: &NoticeSpec, report: &Report) {
    let Some((validation, verdict)) = report.validation.as_ref().and_then(|part| Some((part, part.verdict?))) else {
        return;
    };
    let poster = match Poster::new(&run.spec.allowed_endpoints) {
        Ok(poster) => poster,
        Err(failure) => return run.emitter.warn(format!("nobody was told of the result: {failure}")),
    };
    let work = send_all(run, notify, &poster, (validation, verdict), report);
    tokio::select! {
        biased;
        () = run.context.cancel.cancelled() => run.emitter.warn("stopped on request before everybody was told of the result"),
        () = work => {}
    }
}

async fn send_all(
    run: &Run<'_>,
    notify: &NoticeSpec,
    poster: &Poster,
    (validation, verdict): (&ValidationReport, ValidationVerdict),
    report: &Report,
) {
    let told = Told { name: &run.spec.name, namespace: &run.spec.namespace, run: &report.run, verdict, validation };
    let at = run.context.now_text();
    if let Some(spec) = &notify.slack {
        let sent = match secret(run, &spec.url_file).await {
            Ok(url) => post(poster, &url, &slack(&told, &at), PAUSE).await,
            Err(why) => Err(why),
        };
        if let Err(why) = sent {
            run.emitter.warn(format!("Slack was not told of the result: {why}"));
        }
    }
    if let Some(spec) = &notify.pagerduty {
        let sent = match secret(run, &spec.routing_key_file).await {
            Ok(key) => post(poster, &spec.url, &pagerduty(&told, &key, spec.severity, &at), PAUSE).await,
            Err(why) => Err(why),
        };
        if let Err(why) = sent {
            run.emitter.warn(format!("PagerDuty was not told of the result: {why}"));
        }
    }
}

/// What a file of a secret says.
async fn secret(run: &Run<'_>, file: &str) -> Result<String, String> {
    let path = run.context.paths.secret(file);
    let read = tokio::fs::read_to_string(&path).await;
    let text = read.map_err(|error| format!("{}: {}", path.display(), contract::words::of_system(&error)))?;
    let text = text.trim();
    if text.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(text.to_owned()) }
}

/// Posts a notice, again where the service may take it later.
async fn post(poster: &Poster, url: &str, document: &Value, pause: Duration) -> Result<(), String> {
    // What is not allowed now is not allowed later.
    poster.may_go(url)?;
    let mut pauses = Pauses::new(pause, LONGEST_PAUSE);
    let mut number = 1;
    loop {
        let (why, wanted) = match poster.post(url, document, LIMIT).await {
            Ok(Answered { status: 200..=299, .. }) => return Ok(()),
            Ok(Answered { status, retry_after, .. }) if status == 429 || status >= 500 => {
                (format!("it answered with status {status}"), retry_after.map(Duration::from_secs))
            }
            // Its words are not told: they may repeat what was sent.
            Ok(Answered { status, .. }) => return Err(format!("it answered with status {status}")),
            Err(why) => (why, None),
        };
        if number == TRIES {
            return Err(format!("{why}, {TRIES} times in a row"));
        }
        let own = pauses.step();
        tokio::time::sleep(wanted.unwrap_or(own).min(LONGEST_PAUSE)).await;
        number += 1;
    }
}

#[cfg(test)]
mod tests;
