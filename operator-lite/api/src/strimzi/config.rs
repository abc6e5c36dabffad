//! `backup.config` and `restore.config`: keys of the OSO engine in its own spelling, beside the typed fields. A key that has a typed
//! twin takes that field's place, whole: it wins. Some keys have a meaning here and no typed field ([`Own`]). What any other key
//! gets is decided in `validate/strimzi/config`. Pure.

mod twins;

use std::borrow::Cow;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(crate) use twins::{BACKUP, RESTORE, Twin};

use super::{KafkaBackupSpec, KafkaRestoreSpec};
use contract::{CircuitBreakerSpec, HeaderPreflight, OnMissingTopic};

/// Keys and their values.
pub type Config = Map<String, Value>;

/// An object that holds whatever its author writes.
pub(super) fn open(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A specification that may have such a block.
pub(crate) trait Configured: Clone + Serialize + DeserializeOwned {
    /// Where the block is.
    const AT: &'static str;
    /// Its keys that stand for typed fields.
    const TWINS: &'static [Twin];

    /// The block.
    fn config(&self) -> Option<&Config>;
}

impl Configured for KafkaBackupSpec {
    const AT: &'static str = "spec.backup.config";
    const TWINS: &'static [Twin] = BACKUP;

    fn config(&self) -> Option<&Config> {
        self.backup.as_ref()?.config.as_ref()
    }
}

impl Configured for KafkaRestoreSpec {
    const AT: &'static str = "spec.restore.config";
    const TWINS: &'static [Twin] = RESTORE;

    fn config(&self) -> Option<&Config> {
        self.restore.as_ref()?.config.as_ref()
    }
}

/// The twins that a block names, with their values. A null names nothing.
pub(crate) fn named<T: Configured>(spec: &T) -> impl Iterator<Item = (&'static Twin, &Value)> {
    let config = spec.config();
    let value = move |twin: &'static Twin| Some((twin, config?.get(twin.key).filter(|value| !value.is_null())?));
    T::TWINS.iter().filter_map(value)
}

/// The specification with one key in the place of its typed field; `None` where the value is none of that field.
pub(crate) fn with<T: Configured>(spec: &T, twin: &Twin, value: &Value) -> Option<T> {
    let mut document = serde_json::to_value(spec).ok()?; // it was JSON before
    put(&mut document, twin.field, (twin.read)(value)?);
    // Whoever validates says which value it is.
    serde_json::from_value(document).ok()
}

/// The specification with all keys in the places of their typed fields. A value that is none of its field is left out: it was refused.
fn merged<T: Configured>(spec: &T) -> Cow<'_, T> {
    let mut out = Cow::Borrowed(spec);
    for (twin, value) in named(spec) {
        if let Some(with) = with(out.as_ref(), twin, value) {
            out = Cow::Owned(with);
        }
    }
    out
}

/// Sets a field below `document`; blocks on the way are made.
fn put(document: &mut Value, field: &str, value: Value) {
    let mut place = document;
    for name in field.split('.') {
        let Value::Object(fields) = place else { return };
        place = fields.entry(name).or_insert_with(|| Value::Object(Map::new()));
    }
    *place = value;
}

/// A field of a document, by names with dots.
pub(crate) fn get<'a>(document: &'a Value, field: &str) -> Option<&'a Value> {
    field.split('.').try_fold(document, |place, name| place.get(name))
}

impl KafkaBackupSpec {
    /// The specification with what `backup.config` says in the places of typed fields.
    #[must_use]
    pub fn merged(&self) -> Cow<'_, Self> {
        merged(self)
    }
}

impl KafkaRestoreSpec {
    /// The specification with what `restore.config` says in the places of typed fields.
    #[must_use]
    pub fn merged(&self) -> Cow<'_, Self> {
        merged(self)
    }
}

/// Keys that have a meaning here and no typed field. A value that does not read counts as absent: it was refused.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Own<'a>(pub(crate) Option<&'a Config>);

impl Own<'_> {
    fn read<T: DeserializeOwned>(self, key: &str) -> Option<T> {
        let value = self.0?.get(key).filter(|value| !value.is_null())?;
        serde_json::from_value(value.clone()).ok() // whoever validates says why
    }

    /// `on_missing_topic` of a backup.
    pub(crate) fn on_missing_topic(self) -> OnMissingTopic {
        self.read("on_missing_topic").unwrap_or(OnMissingTopic::Fail)
    }

    /// `header_preflight` of a restore.
    pub(crate) fn header_preflight(self) -> HeaderPreflight {
        self.read("header_preflight").unwrap_or(HeaderPreflight::Auto)
    }

    /// `circuit_breaker` of both; where it is absent, the breaker of every run.
    pub(crate) fn circuit_breaker(self) -> CircuitBreakerSpec {
        self.read::<Breaker>("circuit_breaker").map_or_else(CircuitBreakerSpec::default, CircuitBreakerSpec::from)
    }
}

/// The engine's block of that name, with its defaults.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Breaker {
    pub(crate) enabled: bool,
    pub(crate) failure_threshold: u32,
    pub(crate) reset_timeout_ms: u64,
    pub(crate) success_threshold: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { enabled: true, failure_threshold: 5, reset_timeout_ms: 30_000, success_threshold: 2 }
    }
}

impl From<Breaker> for CircuitBreakerSpec {
    fn from(block: Breaker) -> Self {
        if !block.enabled {
            // The numbers of one that is off mean nothing.
            return Self { enabled: false, ..Self::default() };
        }
        Self {
            enabled: true,
            failure_threshold: block.failure_threshold,
            reset_timeout_secs: block.reset_timeout_ms.div_ceil(1_000),
            success_threshold: block.success_threshold,
            ..Self::default()
        }
    }
}
