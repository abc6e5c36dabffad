//! What services are told, in the form that each documents. Pure.

use contract::words::{count, cut, plural, safe, size};
use contract::{CheckVerdict, Severity, ValidationCheck, ValidationReport, ValidationVerdict};
use serde_json::{Value, json};

/// Most characters of a header of Slack, and of a section's text.
const SLACK_HEADER: usize = 147;
const SLACK_TEXT: usize = 2_900;
/// Most characters of a summary, and of a key, of `PagerDuty`.
const PAGER_SUMMARY: usize = 1_000;
const PAGER_KEY: usize = 255;
/// Checks that are named.
const NAMED: usize = 26;

/// What is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    pub(super) namespace: &'a str,
    pub(super) run: &'a str,
    pub(super) verdict: ValidationVerdict,
    pub(super) validation: &'a ValidationReport,
}

impl Told<'_> {
    fn who(&self) -> String {
        if self.namespace.is_empty() { self.name.to_owned() } else { format!("{}/{}", self.namespace, self.name) }
    }

    fn word(&self) -> &'static str {
        match self.verdict {
            ValidationVerdict::Pass => "passed",
            ValidationVerdict::Warn => "passed with warnings",
            ValidationVerdict::Fail => "FAILED",
        }
    }

    fn summary(&self) -> String {
        let point = self.validation.point.as_ref().map_or("a recovery point that cannot be read", |point| &point.id);
        format!("Validation {} of {point} {}", self.who(), self.word())
    }

    fn of(&self, verdict: CheckVerdict) -> impl Iterator<Item = &ValidationCheck> {
        self.validation.checks.iter().filter(move |check| check.verdict == verdict)
    }
}

/// A message of an incoming webhook of Slack: text for notifications, blocks for the channel.
pub(super) fn slack(told: &Told<'_>, at: &str) -> Value {
    let checks: Vec<_> = told.validation.checks.iter().take(NAMED).map(slack_line).collect();
    let read = format!(
        "{} read, {}, {} ms",
        size(told.validation.bytes_read),
        plural(told.validation.records_read, "record"),
        count(told.validation.read_millis)
    );
    json!({
        "text": escaped(&cut(told.summary(), SLACK_HEADER)),
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": cut(safe(&told.summary()), SLACK_HEADER), "emoji": false}},
            {"type": "section", "text": {"type": "mrkdwn", "text": cut(checks.join("\n"), SLACK_TEXT)}},
            {"type": "context", "elements": [
                {"type": "mrkdwn", "text": escaped(&format!("run {}, {at}, {read}", told.run))},
            ]},
        ],
    })
}

fn slack_line(check: &ValidationCheck) -> String {
    let message = escaped(&cut(safe(&check.message), 200));
    format!("*{}* {}: {message}", check.verdict.word(), escaped(&safe(&check.name)))
}

/// Slack reads these three as its own marks.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An event of `PagerDuty`: one incident for each validation, which begins when a check fails and ends when none does.
pub(super) fn pagerduty(told: &Told<'_>, routing_key: &str, severity: Severity, at: &str) -> Value {
    let action = if told.verdict == ValidationVerdict::Fail { "trigger" } else { "resolve" };
    let failed: Vec<_> = told.of(CheckVerdict::Fail).take(NAMED).collect();
    let details: serde_json::Map<String, Value> =
        failed.iter().map(|check| (check.name.clone(), cut(safe(&check.message), 300).into())).collect();
    let set = told.validation.point.as_ref().map(|point| point.set.clone());
    json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": cut(format!("kafka-backup-validation/{}", told.who()), PAGER_KEY - 3),
        "payload": {
            "summary": cut(safe(&told.summary()), PAGER_SUMMARY),
            "source": told.who(),
            "severity": severity,
            "timestamp": at,
            "component": "kafka-backup",
            "group": set,
            "class": "validation",
            "custom_details": {"run": told.run, "failed": details},
        },
        "client": "kafka-backup",
    })
}
