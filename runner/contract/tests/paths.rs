//! Every field of a specification that is a path: none leads out of where it belongs, and none can be forgotten, because
//! the schema says which fields there are.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use contract::RunSpec;
use serde_json::{Value, json};

/// Leads to another folder, wherever it is taken from.
const LEADS_OUT: &str = "/a/../b";

/// Whether a field with this name is a path.
fn is_path(name: &str) -> bool {
    let whole = ["path", "file", "folder", "prefix"].contains(&name);
    whole || ["Path", "File", "Files", "Folder", "Prefix"].iter().any(|end| name.ends_with(end))
}

/// A storage block of each kind, with every path that it can have.
fn storages() -> Vec<Value> {
    let tls = json!({"caFile": "s/ca", "moreCaFiles": ["s/more"]});
    let s3 = |credentials: Value| json!({"type": "s3", "bucket": "bucket", "region": "r", "prefix": "p", "tls": tls, "credentials": credentials});
    let azure = |credentials: Value| json!({"type": "azure", "account": "account", "container": "container", "prefix": "p", "credentials": credentials});
    vec![
        json!({"type": "filesystem", "path": "volume", "prefix": "p"}),
        s3(json!({"keys": {"accessKeyIdFile": "s/id", "secretAccessKeyFile": "s/key"}})),
        s3(json!({"shared-file": {"file": "s/file"}})),
        azure(json!({"account-key": {"file": "s/key"}})),
        azure(json!({"sas-token": {"file": "s/token"}})),
        azure(json!({"service-principal": {"clientIdFile": "s/a", "tenantIdFile": "s/b", "clientSecretFile": "s/c"}})),
        json!({"type": "gcs", "bucket": "bucket", "prefix": "p", "credentials": {"service-account": {"file": "s/json"}}}),
    ]
}

/// Specifications that together have every path.
fn whole() -> Vec<Value> {
    let run = |storage: &Value, block: &str, work: Value| {
        json!({
            "formatVersion": 1, "name": "orders",
            "kafka": {"bootstrapServers": ["kafka:9092"], "securityProtocol": "SASL_SSL",
                "tls": {"caFile": "s/ca", "certificateFile": "s/chain", "keyFile": "s/key", "keyPasswordFile": "s/word"},
                "sasl": {"mechanism": "PLAIN", "usernameFile": "s/user", "passwordFile": "s/password"}},
            "storage": storage, "metrics": {"path": "/metrics"}, block: work,
        })
    };
    let mut out = Vec::new();
    for storage in storages() {
        out.push(run(&storage, "backup", json!({"topics": ["t"], "incremental": true, "checkpointFolder": "heads"})));
        let groups = json!({"saving": {"storage": storage}});
        out.push(run(&storage, "restore", json!({"from": "orders", "stateStorage": storage, "groups": groups})));
        let mapping = json!({"mapping": {"path": "a/offset-mapping.json", "storage": storage}});
        let reset = json!({"groups": ["g"], "to": mapping, "saving": {"storage": storage}});
        out.push(run(&storage, "offsetReset", reset));
        out.push(run(&storage, "offsetRollback", json!({"from": {"path": "a/saved.json"}})));
        let notify = json!({"slack": {"urlFile": "s/url"}, "pagerduty": {"routingKeyFile": "s/routing"}});
        let keys = json!({"privateKeyFile": "s/private", "publicKeyFile": "s/public"});
        let evidence = json!({"signing": keys, "storage": storage});
        out.push(run(
            &storage,
            "validation",
            json!({"from": "orders", "checks": {"structure": true}, "notify": notify, "evidence": evidence}),
        ));
    }
    out
}

/// Pointers of the paths in a document.
fn paths(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = format!("{at}/{name}");
                if value.is_string() && is_path(name) {
                    out.push(inner);
                } else if let (Value::Array(all), true) = (value, is_path(name)) {
                    out.extend((0..all.len()).map(|place| format!("{inner}/{place}")));
                } else {
                    paths(value, &inner, out);
                }
            }
        }
        Value::Array(all) => all.iter().enumerate().for_each(|(n, value)| paths(value, &format!("{at}/{n}"), out)),
        _ => {}
    }
}

/// Names of all fields that a schema knows and that are paths.
fn known(schema: &Value, out: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                let texts = properties.iter().filter(|(name, of)| is_path(name) && of["properties"].is_null());
                // A variant of a choice has the name of its kind.
                let texts = texts.filter(|(_, of)| of["type"] != "object");
                out.extend(texts.map(|(name, _)| name.clone()));
            }
            fields.values().for_each(|value| known(value, out));
        }
        Value::Array(all) => all.iter().for_each(|value| known(value, out)),
        _ => {}
    }
}

fn findings(document: &Value) -> Vec<contract::SpecFinding> {
    serde_json::from_value::<RunSpec>(document.clone()).unwrap().findings()
}

#[test]
fn no_path_of_a_specification_leads_out_of_its_folder() {
    let mut tried = BTreeSet::new();
    for document in whole() {
        assert_eq!(findings(&document), [], "{document:#}");
        let mut places = Vec::new();
        paths(&document, "", &mut places);
        for place in places {
            let mut bad = document.clone();
            *bad.pointer_mut(&place).unwrap() = LEADS_OUT.into();
            let place = place.trim_end_matches("/0");
            let field = place.trim_start_matches('/').replace('/', ".");
            let found = findings(&bad);
            assert!(found.iter().any(|finding| finding.field == field), "{field} may be {LEADS_OUT:?}: {found:?}");
            tried.insert(place.rsplit('/').next().unwrap().to_owned());
        }
    }
    let mut all = BTreeSet::new();
    known(&serde_json::to_value(RunSpec::schema()).unwrap(), &mut all);
    let forgotten: Vec<_> = all.difference(&tried).collect();
    assert!(forgotten.is_empty(), "paths of the schema that no document here has: {forgotten:?}");
}

/// The copy of a log's head stands below the folder of the volumes, and nowhere else.
#[test]
fn the_folder_of_checkpoints_is_one_of_a_volume() {
    let mut document = whole().swap_remove(0);
    for bad in ["", "/var/heads", "../heads", "heads/..", "heads//a", "heads/"] {
        document["backup"]["checkpointFolder"] = bad.into();
        let found = findings(&document);
        assert!(found.len() == 1 && found[0].field == "backup.checkpointFolder", "{bad:?}: {found:?}");
    }
}
