//! Flags that say which Kafka and which storage, and the parts of a resource that they make. Pure.

use clap::Args;
use contract::StoreSpec;
use serde_json::{Map, Value, json};

use crate::error::Error;

/// Which Kafka cluster.
#[derive(Debug, Clone, Default, Args)]
pub struct Kafka {
    /// Bootstrap servers, HOST:PORT; separated by commas, or repeated
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', help_heading = "Kafka")]
    pub bootstrap_servers: Vec<String>,
    /// PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
    #[arg(long, value_name = "NAME", help_heading = "Kafka")]
    pub security_protocol: Option<String>,
    /// Secret with the CA certificate in its key ca.crt
    #[arg(long, value_name = "SECRET", help_heading = "Kafka")]
    pub ca_secret: Option<String>,
    /// Secret with the client's certificate in its keys tls.crt and tls.key
    #[arg(long, value_name = "SECRET", help_heading = "Kafka")]
    pub tls_secret: Option<String>,
    /// Secret with username and password
    #[arg(long, value_name = "SECRET", requires = "sasl_mechanism", help_heading = "Kafka")]
    pub sasl_secret: Option<String>,
    /// PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
    #[arg(long, value_name = "NAME", requires = "sasl_secret", help_heading = "Kafka")]
    pub sasl_mechanism: Option<String>,
}

impl Kafka {
    /// The `kafkaCluster` block; `None` without bootstrap servers.
    #[must_use]
    pub fn block(&self) -> Option<Value> {
        if self.bootstrap_servers.is_empty() {
            return None;
        }
        let mut block = Map::from_iter([("bootstrapServers".to_owned(), json!(self.bootstrap_servers))]);
        if let Some(protocol) = &self.security_protocol {
            block.insert("securityProtocol".to_owned(), protocol.clone().into());
        }
        if let Some(name) = &self.ca_secret {
            block.insert("caSecret".to_owned(), json!({"name": name}));
        }
        if let Some(name) = &self.tls_secret {
            block.insert("tlsSecret".to_owned(), json!({"name": name, "certKey": "tls.crt", "keyKey": "tls.key"}));
        }
        if let (Some(name), Some(mechanism)) = (&self.sasl_secret, &self.sasl_mechanism) {
            block.insert("saslSecret".to_owned(), json!({"name": name, "mechanism": mechanism}));
        }
        Some(Value::Object(block))
    }
}

/// The `storage` block of a URL: of an object store, or `pvc://CLAIM/SUBPATH`.
///
/// # Errors
/// When the URL does not read, or the store needs a Secret.
pub(crate) fn storage(url: &str, secret: Option<&str>) -> Result<Value, Error> {
    if let Some(rest) = url.strip_prefix("pvc://") {
        let (claim, path) = rest.split_once('/').unwrap_or((rest, ""));
        let mut pvc = Map::from_iter([("claimName".to_owned(), claim.into())]);
        put(&mut pvc, "subPath", path);
        return Ok(json!({"storageType": "pvc", "pvc": pvc}));
    }
    let wrong = |rule: String| Error::usage(format!("--storage {rule}\n  pvc://CLAIM/SUBPATH"), "");
    let named = || {
        let what = "--storage of this kind needs --storage-secret: the Secret with its credentials";
        secret
            .ok_or_else(|| Error::usage(what, "`kubectl kafka-backup explain kafkabackup.spec.storage` names the keys"))
    };
    let block = match contract::store_url::parse(url).map_err(wrong)? {
        StoreSpec::S3 { bucket, region, prefix, endpoint, path_style, allow_http, .. } => {
            let mut s3 = Map::from_iter([("bucket".to_owned(), bucket.into()), ("region".to_owned(), region.into())]);
            put(&mut s3, "prefix", &prefix);
            put(&mut s3, "endpoint", endpoint.as_deref().unwrap_or_default());
            if let Some(path_style) = path_style {
                s3.insert("pathStyle".to_owned(), path_style.into());
            }
            flag(&mut s3, "allowHttp", allow_http);
            if let Some(secret) = secret {
                s3.insert("credentialsSecret".to_owned(), json!({"name": secret}));
            }
            json!({"storageType": "s3", "s3": s3})
        }
        StoreSpec::Azure { account, container, prefix, endpoint, .. } => {
            let mut azure = Map::from_iter([
                ("accountName".to_owned(), account.into()),
                ("container".to_owned(), container.into()),
            ]);
            put(&mut azure, "prefix", &prefix);
            put(&mut azure, "endpoint", endpoint.as_deref().unwrap_or_default());
            match secret {
                Some(secret) => azure.insert("credentialsSecret".to_owned(), json!({"name": secret})),
                None => azure.insert("useWorkloadIdentity".to_owned(), true.into()),
            };
            json!({"storageType": "azure", "azure": azure})
        }
        StoreSpec::Gcs { bucket, prefix, .. } => {
            let mut gcs = Map::from_iter([("bucket".to_owned(), bucket.into())]);
            put(&mut gcs, "prefix", &prefix);
            gcs.insert("credentialsSecret".to_owned(), json!({"name": named()?}));
            json!({"storageType": "gcs", "gcs": gcs})
        }
        StoreSpec::Filesystem { .. } => {
            return Err(Error::usage(
                "--storage: a directory of this machine is nothing for a pod",
                "write pvc://CLAIM/SUBPATH",
            ));
        }
    };
    Ok(block)
}

fn put(block: &mut Map<String, Value>, name: &str, value: &str) {
    if !value.is_empty() {
        block.insert(name.to_owned(), value.into());
    }
}

fn flag(block: &mut Map<String, Value>, name: &str, value: bool) {
    if value {
        block.insert(name.to_owned(), true.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_blocks() {
        assert_eq!(
            storage("s3://b/a?region=eu-west-1&endpoint=http://m:9000&pathStyle=true&allowHttp=true", Some("s"))
                .unwrap(),
            json!({"storageType": "s3", "s3": {
                "bucket": "b", "prefix": "a", "region": "eu-west-1", "endpoint": "http://m:9000", "pathStyle": true,
                "allowHttp": true, "credentialsSecret": {"name": "s"},
            }})
        );
        assert_eq!(
            storage("pvc://claim/a/b", None).unwrap(),
            json!({"storageType": "pvc", "pvc": {"claimName": "claim", "subPath": "a/b"}})
        );
        assert_eq!(
            storage("azure://acct/box", None).unwrap(),
            json!({"storageType": "azure", "azure": {"accountName": "acct", "container": "box", "useWorkloadIdentity": true}})
        );
        assert!(
            storage("gs://b", None).is_err() && storage("/srv/x", None).is_err() && storage("ftp://x", None).is_err()
        );
    }
}
