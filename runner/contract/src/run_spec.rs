//! The specification of one run: everything resolved, nothing secret.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::allowed::{AllowedEndpoints, outside};
use crate::names;
use crate::odd;
use crate::paths;
use crate::stamp::split_point;
use crate::store_address::authority;
use crate::{
    BackupSpec, CircuitBreakerSpec, EvidenceSpec, KafkaSpec, MetricsSpec, NoticeSpec, OffsetResetSpec,
    OffsetRollbackSpec, PruneSpec, ResetTo, RestoreSpec, StoreSpec, TlsSpec, ValidationSpec, http_target,
};

/// The version of [`RunSpec`] that this code reads.
pub const FORMAT_VERSION: u32 = 1;

/// One run. Exactly one of `backup`, `restore`, `offsetReset`, `offsetRollback`, `validation` and `prune` is set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunSpec {
    /// Version of this document; 1.
    pub format_version: u32,
    /// Name of the backup set or of the restore.
    pub name: String,
    /// Namespace of the resource that asked for the run; empty outside Kubernetes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Which run this is. Absent: go on with the newest unfinished run of the same spec, else start one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRef>,
    /// The source of a backup, the target of a restore, the cluster of the groups, or the one that a validation asks. Only a
    /// validation may be without; a run of retention asks none.
    #[serde(default, skip_serializing_if = "KafkaSpec::is_absent")]
    pub kafka: KafkaSpec,
    /// Where the archive is; where committed offsets are saved.
    pub storage: StoreSpec,
    /// Hosts (`kafka.example.com`), domains (`*.example.com`) and networks (`10.0.0.0/8`), each with a port or without, that the
    /// run may connect to: brokers, also those that brokers advertise, and stores. All when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_endpoints: Vec<String>,
    /// How a failing store is treated.
    #[serde(default)]
    pub circuit_breaker: CircuitBreakerSpec,
    /// Serve metrics while the run works; absent: no listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<MetricsSpec>,
    /// Back up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSpec>,
    /// Restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreSpec>,
    /// Set committed offsets of consumer groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_reset: Option<OffsetResetSpec>,
    /// Put back committed offsets of consumer groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset_rollback: Option<OffsetRollbackSpec>,
    /// Check a recovery point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationSpec>,
    /// Take recovery points away, and delete what only they needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<PruneSpec>,
}

/// The identity of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunRef {
    /// The same id means the same run: it is resumed, or left alone when finished.
    pub id: String,
    /// UTC second that names the recovery point, RFC 3339.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Number of this attempt, from 1: the report repeats it. What the run does, does not depend on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
}

/// What a run does.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    /// Back up.
    Backup(&'a BackupSpec),
    /// Restore.
    Restore(&'a RestoreSpec),
    /// Set committed offsets.
    OffsetReset(&'a OffsetResetSpec),
    /// Put back committed offsets.
    OffsetRollback(&'a OffsetRollbackSpec),
    /// Check a recovery point.
    Validation(&'a ValidationSpec),
    /// Take recovery points away.
    Prune(&'a PruneSpec),
}

impl Action<'_> {
    /// The field of a run specification that asks for it.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::OffsetReset(_) => "offsetReset",
            Self::OffsetRollback(_) => "offsetRollback",
            Self::Validation(_) => "validation",
            Self::Prune(_) => "prune",
        }
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpecFinding {
    /// Path of the field.
    pub field: String,
    /// The value, the rule and the fix, in words.
    pub rule: String,
}

impl std::fmt::Display for SpecFinding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.rule)
    }
}

impl RunSpec {
    /// What this run does.
    ///
    /// # Errors
    /// When none of the fields that say it is set, or more than one.
    pub fn action(&self) -> Result<Action<'_>, SpecFinding> {
        const FIELDS: &str = "backup, restore, offsetReset, offsetRollback, validation, prune";
        let finding = |rule: &str| SpecFinding { field: FIELDS.into(), rule: rule.into() };
        let all = [
            self.backup.as_ref().map(Action::Backup),
            self.restore.as_ref().map(Action::Restore),
            self.offset_reset.as_ref().map(Action::OffsetReset),
            self.offset_rollback.as_ref().map(Action::OffsetRollback),
            self.validation.as_ref().map(Action::Validation),
            self.prune.as_ref().map(Action::Prune),
        ];
        let mut all = all.into_iter().flatten();
        match (all.next(), all.next()) {
            (Some(action), None) => Ok(action),
            (None, _) => Err(finding("one of them must be there: it says what the run does")),
            (Some(_), Some(_)) => Err(finding("a run does one thing; keep one of them")),
        }
    }

    /// Every broken rule at once; empty when the specification is good.
    #[must_use]
    pub fn findings(&self) -> Vec<SpecFinding> {
        // What has odd characters would show them in the messages of its other rules.
        let texts = match serde_json::to_value(self) {
            Ok(document) => odd::texts(&document),
            Err(error) => vec![(String::new(), format!("cannot be written as a document: {error}"))],
        };
        let mut out: Vec<_> = texts.into_iter().map(|(field, rule)| SpecFinding { field, rule }).collect();
        if !out.is_empty() {
            return out;
        }
        if self.format_version != FORMAT_VERSION {
            push(&mut out, "formatVersion", format!("is {}; this release reads {FORMAT_VERSION}", self.format_version));
        }
        if let Err(rule) = names::check_name(&self.name) {
            push(&mut out, "name", format!("is {:?}; {rule}", self.name));
        }
        // It names a folder of what is kept by namespace and name.
        let is_kept = self.validation.as_ref().is_some_and(|part| part.evidence.is_some());
        if is_kept
            && !self.namespace.is_empty()
            && let Err(rule) = names::check_name(&self.namespace)
        {
            push(&mut out, "namespace", format!("is {:?}; {rule}", self.namespace));
        }
        if let Some(run) = &self.run
            && let Err(rule) = names::check_name(&run.id)
        {
            push(&mut out, "run.id", format!("is {:?}; {rule}", run.id));
        }
        if self.prune.is_some() {
            if !self.kafka.is_absent() {
                push(&mut out, "kafka", "has no effect: a run of retention asks no cluster; remove it");
            }
        } else if self.validation.is_none() || !self.kafka.is_absent() {
            check_kafka(&self.kafka, &mut out);
        }
        for (field, rule) in self.storage.findings() {
            push(&mut out, &format!("storage.{field}"), rule);
        }
        self.check_endpoints(&mut out);
        for (field, rule) in self.metrics.iter().flat_map(MetricsSpec::findings) {
            push(&mut out, &format!("metrics.{field}"), rule);
        }
        for (field, rule) in self.circuit_breaker.findings() {
            push(&mut out, &format!("circuitBreaker.{field}"), rule);
        }
        let mut inner = Vec::new();
        let action = self.action();
        match &action {
            Ok(Action::Backup(backup)) => {
                if split_point(&self.name).is_some() {
                    let rule = "a backup's name must not end as recovery points do, in -YYYYMMDD-HHMMSS: it would stand for a point of another backup";
                    push(&mut out, "name", format!("is {:?}; {rule}", self.name));
                }
                backup.check(&mut inner);
            }
            Ok(Action::Restore(restore)) => restore.check(&mut inner),
            Ok(Action::OffsetReset(reset)) => reset.check(&mut inner),
            Ok(Action::OffsetRollback(rollback)) => rollback.check(&mut inner),
            Ok(Action::Validation(validation)) => validation.check(&self.kafka, &mut inner),
            Ok(Action::Prune(prune)) => {
                if split_point(&self.name).is_some() {
                    let rule = "it is the name of a backup, and none ends as recovery points do";
                    push(&mut out, "name", format!("is {:?}; {rule}", self.name));
                }
                prune.check(&mut inner);
            }
            Err(finding) => out.push(finding.clone()),
        }
        let block = action.as_ref().map_or("", Action::field);
        out.extend(inner.into_iter().map(|(field, rule)| SpecFinding { field: format!("{block}.{field}"), rule }));
        out
    }

    /// Whether everything that the specification names may be connected to. Addresses that are none are told elsewhere.
    fn check_endpoints(&self, out: &mut Vec<SpecFinding>) {
        let allowed = match AllowedEndpoints::parse(&self.allowed_endpoints) {
            Ok(allowed) => allowed,
            Err((place, rule)) => return push(out, &format!("allowedEndpoints[{place}]"), rule),
        };
        for server in &self.kafka.bootstrap_servers {
            if let Some((host, port)) =
                server.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)))
                && !allowed.allows(host, port)
            {
                push(out, "kafka.bootstrapServers", outside(server));
            }
        }
        for (field, store) in self.stores() {
            if let Some((host, port)) = store.authority()
                && !allowed.allows(&host, port)
            {
                push(out, field, outside(&format!("{host}:{port}")));
            }
        }
        for (field, url) in self.urls() {
            if let Some((host, port)) = authority(url)
                && !allowed.allows(&host, port)
            {
                push(out, &field, outside(&http_target::shown(url)));
            }
        }
    }

    /// Every address that is asked by HTTP and is no store's, with the path of its field. Those in files of secrets are judged
    /// when they are read.
    fn urls(&self) -> Vec<(String, &str)> {
        let Some(part) = &self.validation else { return Vec::new() };
        let hooks = part.checks.webhooks.iter().enumerate();
        let hooks = hooks.map(|(place, hook)| (format!("validation.checks.webhooks[{place}].url"), hook.url.as_str()));
        let pager = part.notify.as_ref().and_then(|notify| notify.pagerduty.as_ref());
        let pager = pager.map(|pager| ("validation.notify.pagerduty.url".to_owned(), pager.url.as_str()));
        hooks.chain(pager).collect()
    }

    /// Every store that the run uses, with the path of its field.
    pub fn stores(&self) -> impl Iterator<Item = (&'static str, &StoreSpec)> {
        let state = self.restore.as_ref().and_then(|restore| restore.state_storage.as_ref());
        let groups = self.restore.as_ref().and_then(|restore| restore.groups.as_ref());
        let saved = groups.and_then(|groups| groups.saving.storage.as_ref());
        let reset = self.offset_reset.as_ref().and_then(|reset| reset.saving.storage.as_ref());
        let mapping = self.offset_reset.as_ref().and_then(|reset| match &reset.to {
            ResetTo::Mapping(mapping) => mapping.storage.as_ref(),
            ResetTo::Earliest | ResetTo::Latest | ResetTo::Timestamp(_) | ResetTo::Offset(_) => None,
        });
        let restored = self.validation.as_ref().and_then(|part| part.restore.as_ref());
        let restored = restored.and_then(|restore| restore.state_storage.as_ref());
        let evidence = self.validation.as_ref().and_then(|part| part.evidence.as_ref());
        let evidence = evidence.and_then(|evidence| evidence.storage.as_ref());
        let all = [
            ("storage", Some(&self.storage)),
            ("restore.stateStorage", state),
            ("restore.groups.saving.storage", saved),
            ("offsetReset.saving.storage", reset),
            ("offsetReset.to.mapping.storage", mapping),
            ("validation.restore.stateStorage", restored),
            ("validation.evidence.storage", evidence),
        ];
        all.into_iter().filter_map(|(field, store)| Some((field, store?)))
    }

    /// Paths of all files with secrets that the run reads.
    #[must_use]
    pub fn secret_files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = self.stores().flat_map(|(_, store)| store.secret_files()).collect();
        files.extend(self.kafka_secret_files());
        let notify = self.validation.as_ref().and_then(|part| part.notify.as_ref());
        files.extend(notify.into_iter().flat_map(NoticeSpec::secret_files));
        let evidence = self.validation.as_ref().and_then(|part| part.evidence.as_ref());
        files.extend(evidence.into_iter().flat_map(EvidenceSpec::secret_files));
        files
    }

    /// Those among them that are for the brokers.
    #[must_use]
    pub fn kafka_secret_files(&self) -> Vec<&str> {
        kafka_files(&self.kafka).into_iter().map(|(_, file)| file).collect()
    }

    /// The JSON schema of this document.
    #[must_use]
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Self)
    }
}

fn push(out: &mut Vec<SpecFinding>, field: &str, rule: impl Into<String>) {
    out.push(SpecFinding { field: field.into(), rule: rule.into() });
}

/// Files with secrets for the brokers, with their fields.
fn kafka_files(kafka: &KafkaSpec) -> Vec<(&'static str, &str)> {
    let tls = kafka.tls.iter().flat_map(|tls| {
        [
            ("kafka.tls.caFile", &tls.ca_file),
            ("kafka.tls.certificateFile", &tls.certificate_file),
            ("kafka.tls.keyFile", &tls.key_file),
            ("kafka.tls.keyPasswordFile", &tls.key_password_file),
        ]
    });
    let mut files: Vec<_> = tls.filter_map(|(field, file)| Some((field, file.as_deref()?))).collect();
    if let Some(sasl) = &kafka.sasl {
        files.extend(sasl.username_file.iter().map(|file| ("kafka.sasl.usernameFile", file.as_str())));
        files.push(("kafka.sasl.passwordFile", sasl.password_file.as_str()));
    }
    files
}

fn check_kafka(kafka: &KafkaSpec, out: &mut Vec<SpecFinding>) {
    for (field, file) in kafka_files(kafka) {
        if let Err(rule) = paths::check_file(file) {
            push(out, field, format!("is {file:?}; it {rule}"));
        }
    }
    if kafka.bootstrap_servers.is_empty() {
        push(out, "kafka.bootstrapServers", "must name at least one host:port");
    }
    for server in &kafka.bootstrap_servers {
        if let Err(fix) = names::check_server(server) {
            let rule = format!("{server:?} must be host:port, an IPv6 address in brackets; {fix}");
            push(out, "kafka.bootstrapServers", rule);
        }
    }
    if kafka.security_protocol.uses_sasl() && kafka.sasl.is_none() {
        push(out, "kafka.sasl", "must be there: the security protocol asks for a login");
    }
    if !kafka.security_protocol.uses_sasl() && kafka.sasl.is_some() {
        push(
            out,
            "kafka.sasl",
            "has no effect with this security protocol; use SASL_SSL or SASL_PLAINTEXT, or remove it",
        );
    }
    if let Some(sasl) = &kafka.sasl
        && (sasl.username_file.is_some() == sasl.username.is_some() || sasl.username.as_deref() == Some(""))
    {
        push(out, "kafka.sasl", "usernameFile or username must be there, and not both; a user name is not empty");
    }
    if !kafka.security_protocol.uses_tls() && kafka.tls.is_some() {
        push(out, "kafka.tls", "has no effect with this security protocol; use SSL or SASL_SSL, or remove it");
    }
    if let Some(tls) = &kafka.tls {
        let has_key = tls.certificate_file.as_deref().is_some_and(TlsSpec::may_hold_a_key);
        if tls.certificate_file.is_some() != tls.key_file.is_some() && !has_key {
            push(out, "kafka.tls", "certificateFile and keyFile belong together; give both or none");
        }
        if tls.ca_file.is_some() && !tls.ca_certificates.is_empty() {
            push(out, "kafka.tls.caCertificates", "does not go with caFile; give one of them");
        }
        let is_base64 = |text: &String| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '='))
        };
        if let Some(place) = tls.ca_certificates.iter().position(|text| !is_base64(text)) {
            let rule = "must be base64 of a certificate, as between the lines of a PEM file, on one line";
            push(out, &format!("kafka.tls.caCertificates[{place}]"), rule);
        }
        if tls.key_password_file.is_some() && tls.certificate_file.is_none() {
            push(out, "kafka.tls.keyPasswordFile", "has no effect without certificateFile; give both or none");
        }
    }
    let c = &kafka.connection;
    for (field, value) in [
        ("connectionsPerBroker", u64::from(c.connections_per_broker)),
        ("keepaliveTimeSecs", c.keepalive_time_secs),
        ("keepaliveIntervalSecs", c.keepalive_interval_secs),
        ("connectTimeoutMs", c.connect_timeout_ms),
        ("requestTimeoutMs", c.request_timeout_ms),
        ("retryDeadlineMs", c.retry_deadline_ms),
    ] {
        if value == 0 {
            push(out, &format!("kafka.connection.{field}"), "must be greater than 0");
        }
    }
}

#[cfg(test)]
mod tests;
