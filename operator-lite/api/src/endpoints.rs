//! The addresses that a specification names, found in the document as it is written: runs take passwords and keys there. A test
//! goes through all definitions, so that no field with an address is forgotten. Pure.

use contract::store_address::{authority, shown};
use contract::{AllowedEndpoints, PAGERDUTY, allowed, http_target};
use serde_json::{Map, Value};

use crate::finding::{Finding, Level, bounded};
use crate::visit::each_field;

/// A finding for each address that is not allowed. Stores without an address are those of their provider.
#[must_use]
pub fn outside(spec: &Value, allowed: &AllowedEndpoints) -> Vec<Finding> {
    let mut named = Vec::new();
    each_field("spec", spec, &mut |at, name, value| match value {
        Value::String(text) if is_url(name) => {
            // The path of a webhook may be a password.
            let told = if name == "url" { http_target::shown(text) } else { text.clone() };
            named.push(Named { field: at.to_owned(), text: told, place: authority(text) });
        }
        Value::Array(items) if is_list(name) => servers(at, items, &mut named),
        Value::Object(_) if name == "pagerduty" => {
            named.push(Named {
                field: at.to_owned(),
                text: http_target::shown(PAGERDUTY),
                place: authority(PAGERDUTY),
            });
        }
        Value::Object(store) => named.extend(provider(at, name, store)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
    });
    bounded(named.into_iter().filter(|one| !one.is_in(allowed)).map(Named::finding))
}

/// An address, and where it stands.
#[derive(Debug, PartialEq, Eq)]
struct Named {
    field: String,
    text: String,
    /// Absent where the text is no address: then nothing allows it.
    place: Option<(String, u16)>,
}

impl Named {
    fn is_in(&self, allowed: &AllowedEndpoints) -> bool {
        let everything = *allowed == AllowedEndpoints::default();
        everything || self.place.as_ref().is_some_and(|(host, port)| allowed.allows(host, *port))
    }

    fn finding(self) -> Finding {
        Finding {
            level: Level::Error,
            field: self.field,
            value: Some(format!("{:?}", shown(&self.text))),
            rule: allowed::RULE.to_owned(),
            fix: allowed::FIX.to_owned(),
        }
    }
}

/// Whether a text of this name is a URL.
fn is_url(field: &str) -> bool {
    matches!(field, "endpoint" | "url")
}

/// Whether a list of this name has addresses of brokers.
fn is_list(field: &str) -> bool {
    field == "bootstrapServers"
}

fn servers(at: &str, items: &[Value], out: &mut Vec<Named>) {
    for (place, item) in items.iter().enumerate() {
        let Some(text) = item.as_str() else { continue };
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
        out.push(Named { field: format!("{at}[{place}]"), text: text.to_owned(), place: parts });
    }
}

/// The address of a store's provider, where the block names none of its own.
fn provider(at: &str, name: &str, store: &Map<String, Value>) -> Option<Named> {
    let text = |field: &str| store.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    if text("endpoint").is_some() {
        return None;
    }
    let host = match name {
        // Without a region it is the first one's, as the run has it.
        "s3" => format!("s3.{}.amazonaws.com", text("region").unwrap_or("us-east-1")),
        "azure" => format!("{}.blob.core.windows.net", text("accountName").or_else(|| text("storageAccount"))?),
        "gcs" => "storage.googleapis.com".to_owned(),
        _ => return None,
    };
    Some(Named { field: at.to_owned(), text: host.clone(), place: Some((host, 443)) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(spec: &Value, entries: &[&str]) -> Vec<String> {
        let entries: Vec<String> = entries.iter().map(|entry| (*entry).to_owned()).collect();
        let allowed = AllowedEndpoints::parse(&entries).unwrap();
        outside(spec, &allowed).into_iter().map(|finding| finding.field).collect()
    }

    #[test]
    fn brokers_stores_and_webhooks_are_found_wherever_they_stand() {
        let spec = json!({
            "kafkaCluster": {"bootstrapServers": ["kafka.shop.svc:9092", "evil.example.com:9092", "nothing"]},
            "storage": {"storageType": "s3", "s3": {"bucket": "b", "region": "eu-central-1"}},
            "stateStorage": {"azure": {"accountName": "acc", "container": "c"}},
            "backupRef": {"storage": {"s3": {"bucket": "b", "endpoint": "http://minio.shop.svc:9000"}}},
            "evidence": {"storage": {"gcs": {"bucket": "b"}}},
            "checks": {"customWebhooks": [{"url": "https://hook.example.com/a?b=c"}]},
            "notifications": {"slack": {"webhookSecret": {"name": "s"}}, "pagerduty": {"routingKeySecret": {"name": "p"}}},
        });
        assert!(found(&spec, &[]).is_empty(), "everything is allowed");
        let all = found(&spec, &["nowhere"]);
        assert_eq!(
            all,
            [
                "spec.backupRef.storage.s3.endpoint",
                "spec.checks.customWebhooks[0].url",
                "spec.evidence.storage.gcs",
                "spec.kafkaCluster.bootstrapServers[0]",
                "spec.kafkaCluster.bootstrapServers[1]",
                "spec.kafkaCluster.bootstrapServers[2]",
                "spec.notifications.pagerduty",
                "spec.stateStorage.azure",
                "spec.storage.s3",
            ]
        );
        let allowed = [
            "*.shop.svc",
            "*.amazonaws.com:443",
            "acc.blob.core.windows.net",
            "storage.googleapis.com",
            "hook.example.com:443",
            "events.pagerduty.com",
        ];
        let bad = ["spec.kafkaCluster.bootstrapServers[1]", "spec.kafkaCluster.bootstrapServers[2]"];
        assert_eq!(found(&spec, &allowed), bad);
    }

    /// Every field of every kind that may hold an address is one that is looked at.
    #[test]
    fn no_field_of_a_definition_is_forgotten() {
        let mut seen = 0;
        crate::visit::definitions::each_field(|at, field, schema| {
            let lower = field.to_ascii_lowercase();
            let kind = schema.type_.as_deref();
            let words = ["endpoint", "url", "server", "address", "webhook"];
            if words.iter().any(|word| lower.contains(word)) && matches!(kind, Some("string" | "array")) {
                let listens = field == "bindAddress";
                let known = is_url(field) || is_list(field) || field == "customWebhooks";
                assert!(known || listens, "{at} may name an address that nobody looks at");
                seen += u32::from(known);
            }
        });
        assert!(seen > 15, "{seen}");
    }
}
