//! Checks that a service of the user makes: one POST, and the status and the words of its answer decide.

use std::time::Duration;

use contract::words::{cut, safe};
use contract::{CheckVerdict, Failure, ValidationCheck, ValidationReport, WebhookSpec};
use futures::future::join_all;
use serde_json::{Value, json};

use super::Run;
use super::asked::Asked;
use super::http::{Answered, Poster};
use crate::pace::millis;

/// Characters of a service's words that are kept.
const WORDS: usize = 300;

/// Asks all services at once.
///
/// # Errors
/// When no request can be made at all.
pub(super) async fn ask(run: &Run<'_>, asked: &mut Asked, out: &ValidationReport) -> Result<(), Failure> {
    let hooks = &run.part.checks.webhooks;
    if hooks.is_empty() {
        return Ok(());
    }
    let poster = Poster::new(&run.spec.allowed_endpoints)?;
    let document = question(run, asked, out);
    let work = join_all(hooks.iter().map(|hook| one(&poster, hook, &document)));
    let made = tokio::select! {
        biased;
        () = run.context.cancel.cancelled() => {
            return Err(Failure::new(contract::Code::Interrupted, "stopped on request while webhooks were asked"));
        }
        made = work => made,
    };
    for check in made {
        asked.made(check, run.emitter);
    }
    Ok(())
}

/// What the services are told.
fn question(run: &Run<'_>, asked: &Asked, out: &ValidationReport) -> Value {
    let point = out.point.as_ref();
    let checks: Vec<_> =
        asked.checks().iter().map(|check| json!({"name": check.name, "verdict": check.verdict})).collect();
    json!({
        "event": "kafka_backup_validation",
        "backup_id": point.map(|point| point.id.clone()),
        "pitr_timestamp": point.map(|point| point.at.clone()),
        "restored_cluster": {"bootstrap_servers": run.spec.kafka.bootstrap_servers, "cluster_id": out.cluster},
        "validation": {"name": run.spec.name, "namespace": run.spec.namespace, "digest": point.map(|point| point.digest.clone())},
        "checks": checks,
    })
}

async fn one(poster: &Poster, hook: &WebhookSpec, document: &Value) -> ValidationCheck {
    let began = tokio::time::Instant::now();
    let answered = poster.post(&hook.url, document, Duration::from_secs(hook.timeout_secs)).await;
    let (verdict, message) = judge(hook.expected_status_code, answered);
    let mut check = ValidationCheck::new(hook.name.as_str(), verdict, message);
    check.millis = millis(began.elapsed());
    check
}

/// What an answer means. No answer in time is a failure, as the user asked for one.
fn judge(expected: u16, answered: Result<Answered, String>) -> (CheckVerdict, String) {
    let answered = match answered {
        Ok(answered) => answered,
        Err(why) => return (CheckVerdict::Fail, why),
    };
    let status = answered.status;
    if status != expected {
        return (CheckVerdict::Fail, format!("the service answered with status {status} instead of {expected}"));
    }
    // A body that is no JSON, or has no result, says nothing: then the status alone decides.
    let body: Value = serde_json::from_slice(&answered.body).unwrap_or(Value::Null);
    let verdict = match body.get("result") {
        None | Some(Value::Null) => CheckVerdict::Pass,
        Some(result) => match result.as_str() {
            Some("passed") => CheckVerdict::Pass,
            Some("warning") => CheckVerdict::Warn,
            Some("skipped") => CheckVerdict::Skipped,
            Some("failed") => CheckVerdict::Fail,
            Some(_) | None => {
                let other = cut(safe(&result.to_string()), WORDS);
                let text =
                    format!("the service answered with result {other}; it must be passed, warning, skipped or failed");
                return (CheckVerdict::Fail, text);
            }
        },
    };
    let detail = body.get("detail").and_then(Value::as_str);
    let said = detail.map(|detail| cut(safe(detail), WORDS)).filter(|detail| !detail.is_empty());
    (verdict, said.unwrap_or_else(|| format!("the service answered with status {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> (CheckVerdict, String) {
        judge(200, Ok(Answered { status, body: body.as_bytes().to_vec(), retry_after: None }))
    }

    #[test]
    fn status_and_result_decide() {
        for (status, body, expected) in [
            (200, "", CheckVerdict::Pass),
            (200, "no JSON", CheckVerdict::Pass),
            (200, r#"{"result": "passed", "data": {"x": 1}}"#, CheckVerdict::Pass),
            (200, r#"{"result": "warning", "detail": "slow"}"#, CheckVerdict::Warn),
            (200, r#"{"result": "skipped"}"#, CheckVerdict::Skipped),
            (200, r#"{"result": "failed", "detail": "no"}"#, CheckVerdict::Fail),
            (200, r#"{"result": "maybe"}"#, CheckVerdict::Fail),
            (200, r#"{"result": 5}"#, CheckVerdict::Fail),
            (200, r#"{"result": null}"#, CheckVerdict::Pass),
            (200, r#"{"detail": 5}"#, CheckVerdict::Pass),
            (204, "", CheckVerdict::Fail),
            (301, "", CheckVerdict::Fail),
            (500, r#"{"result": "passed"}"#, CheckVerdict::Fail),
        ] {
            assert_eq!(of(status, body).0, expected, "{status} {body}");
        }
        assert_eq!(of(200, r#"{"result": "warning", "detail": "slow"}"#).1, "slow");
        assert_eq!(judge(200, Err("h:1 did not answer within 1 s".into())).0, CheckVerdict::Fail);
    }

    #[test]
    fn words_of_a_service_are_short_and_act_on_no_terminal() {
        let body = json!({"result": "failed", "detail": format!("\u{1b}[2J{}", "x".repeat(5_000))}).to_string();
        let (_, words) = of(200, &body);
        assert!(words.chars().count() < 400 && !words.contains('\u{1b}'), "{words}");
    }
}
