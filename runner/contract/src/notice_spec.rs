//! Who is told of the result of a validation: addresses and keys stand in files, never in the specification.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{http_target, paths};

/// Where `PagerDuty` takes events.
pub const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Who is told. A notice that cannot be sent is a warning; the result stays what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NoticeSpec {
    /// A channel of Slack: told of every result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slack: Option<SlackSpec>,
    /// A service of `PagerDuty`: an incident begins when a check fails, and is resolved when all pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pagerduty: Option<PagerDutySpec>,
}

/// An incoming webhook of Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlackSpec {
    /// File with the URL of the incoming webhook.
    pub url_file: String,
}

/// An integration of `PagerDuty` (Events API v2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PagerDutySpec {
    /// File with the integration's routing key.
    pub routing_key_file: String,
    /// How bad a failed check is.
    #[serde(default)]
    pub severity: Severity,
    /// Where events go: another service region, or a relay.
    #[serde(default = "pagerduty")]
    pub url: String,
}

fn pagerduty() -> String {
    PAGERDUTY.to_owned()
}

/// Severities of `PagerDuty`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Critical.
    #[default]
    Critical,
    /// Error.
    Error,
    /// Warning.
    Warning,
    /// Info.
    Info,
}

impl NoticeSpec {
    /// Broken rules: field below `notify`, and the rule.
    pub(crate) fn findings(&self) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        for (field, file) in self.files() {
            if let Err(rule) = paths::check_file(file) {
                out.push((field, format!("is {file:?}; it {rule}")));
            }
        }
        if let Some(rule) = self.pagerduty.as_ref().and_then(|pager| http_target::broken_rule(&pager.url)) {
            out.push(("pagerduty.url", rule.to_owned()));
        }
        out
    }

    fn files(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let slack = self.slack.as_ref().map(|slack| ("slack.urlFile", slack.url_file.as_str()));
        let pager = self.pagerduty.as_ref().map(|pager| ("pagerduty.routingKeyFile", pager.routing_key_file.as_str()));
        slack.into_iter().chain(pager)
    }

    /// Files with secrets that it names.
    pub fn secret_files(&self) -> impl Iterator<Item = &str> {
        self.files().map(|(_, file)| file)
    }
}
