//! The operator's settings: flags, each with a variable of the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use api::finding::Level;
use api::lower::job::Placement;
use api::oso::Storage;
use clap::Parser;
use contract::AllowedEndpoints;
use jiff::SignedDuration;

use crate::certificate::Lifetimes;
use crate::error::Error;
use crate::webhook::{Ambient, Rights};

/// Validates resources of Kafka backups at admission and launches one runner pod per run.
#[derive(Debug, Clone, Parser)]
#[command(name = "kafka-backup-operator", version)]
pub struct Settings {
    /// Namespace of the operator: its Lease and its Secret lie there
    #[arg(long, env = "POD_NAMESPACE", default_value = "kafka-backup")]
    pub namespace: String,
    /// Name of this replica
    #[arg(long, env = "POD_NAME", default_value = "kafka-backup-operator")]
    pub identity: String,
    /// Namespaces whose resources are run; all when none is named
    #[arg(long, env = "WATCH_NAMESPACES", value_delimiter = ',', value_parser = namespace)]
    pub watch_namespaces: Vec<String>,
    /// API groups whose kinds are installed
    #[arg(long, env = "API_GROUPS", value_delimiter = ',', default_value = "kafka.oso.sh")]
    pub groups: Vec<String>,
    /// File that says where pods of runs go (YAML): image, imagePullPolicy, imagePullSecrets, nodeSelector, tolerations,
    /// resources, labels, annotations, serviceAccountName, priorityClassName, topologySpreadConstraints, extraEnv,
    /// podSecurityContext, securityContext
    #[arg(long, env = "RUNNER_PLACEMENT")]
    pub placement: Option<PathBuf>,
    /// Image of the runner; wins over that of the placement
    #[arg(long, env = "RUNNER_IMAGE")]
    pub runner_image: Option<String>,
    /// Backups that work at once, restores likewise, and dry runs of restores; 0 is no limit
    #[arg(long, env = "MAX_CONCURRENT_RUNS", default_value_t = 10)]
    pub max_concurrent_runs: usize,
    /// The same in a namespace; 0 is no limit
    #[arg(long, env = "MAX_CONCURRENT_RUNS_PER_NAMESPACE", default_value_t = 0)]
    pub max_concurrent_runs_per_namespace: usize,
    /// Seconds after which an attempt of a backup whose node does not answer is given up for the next one; 0 is never.
    /// Restores wait for their node
    #[arg(long, env = "LOST_NODE_SECS", default_value_t = 600)]
    pub lost_node_secs: u32,
    /// What happens where the author of a resource lacks a right that earlier releases did not ask for: to get a Secret that
    /// the resource names, or to restore a KafkaBackup
    #[arg(long, env = "ADMISSION_RIGHTS", value_enum, default_value = "refuse")]
    pub admission_rights: Rights,
    /// What happens to a resource whose store has no credentials, and is reached with the identity of the pod or of its node
    #[arg(long, env = "AMBIENT_IDENTITY", value_enum, default_value = "warn")]
    pub ambient_identity: Ambient,
    /// Hosts (kafka.example.com), domains (*.example.com) and networks (10.0.0.0/8), each with a port or without, that resources
    /// may name and runs connect to: brokers, stores, webhooks; all when none is named
    #[arg(long, env = "ALLOWED_ENDPOINTS", value_delimiter = ',', value_parser = endpoint)]
    pub allowed_endpoints: Vec<String>,
    /// Storage block (JSON, as `spec.storage` of a KafkaBackup) in which a KafkaOffsetReset without stateStorage saves committed
    /// offsets; its Secrets and claims are those of the resource's namespace
    #[arg(long, env = "POSITIONS_STORAGE")]
    pub positions_storage: Option<String>,
    /// Address of the admission webhook
    #[arg(long, env = "WEBHOOK_ADDRESS", default_value = "0.0.0.0:9443")]
    pub webhook_address: SocketAddr,
    /// Address of metrics and health
    #[arg(long, env = "METRICS_ADDRESS", default_value = "0.0.0.0:8080")]
    pub metrics_address: SocketAddr,
    /// Names and addresses that the webhook's certificate is for
    #[arg(
        long,
        env = "WEBHOOK_NAMES",
        value_delimiter = ',',
        default_value = "kafka-backup-operator.kafka-backup.svc"
    )]
    pub webhook_names: Vec<String>,
    /// Secret of the webhook's certificate
    #[arg(long, env = "WEBHOOK_SECRET", default_value = "kafka-backup-webhook")]
    pub webhook_secret: String,
    /// The webhook configuration whose authorities are kept
    #[arg(long, env = "WEBHOOK_CONFIGURATION", default_value = "kafka-backup-operator")]
    pub webhook_configuration: String,
    /// Certificate that somebody else keeps (cert-manager); needs --webhook-key-file
    #[arg(long, env = "WEBHOOK_CERTIFICATE_FILE", requires = "webhook_key_file")]
    pub webhook_certificate_file: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, env = "WEBHOOK_KEY_FILE", requires = "webhook_certificate_file")]
    pub webhook_key_file: Option<PathBuf>,
    /// Seconds for which the webhook's own certificate holds; its authority holds eight times as long
    #[arg(long, env = "WEBHOOK_CERTIFICATE_SECS", default_value_t = 90 * 86_400)]
    pub webhook_certificate_secs: u32,
    /// Whether one replica at a time runs the controllers
    #[arg(long, env = "LEADER_ELECTION", default_value_t = true, action = clap::ArgAction::Set)]
    pub leader_election: bool,
    /// Seconds for which leadership holds without renewal
    #[arg(long, env = "LEASE_SECS", default_value_t = 15)]
    pub lease_secs: u32,
    /// Seconds for which a replica that was told to end still answers admission, until nobody asks it any more
    #[arg(long, env = "DRAIN_SECS", default_value_t = 8, value_parser = clap::value_parser!(u32).range(..=15))]
    pub drain_secs: u32,
    /// Form of log lines
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
}

/// A name of a namespace, without the blanks beside it.
fn namespace(text: &str) -> Result<String, String> {
    let name = text.trim();
    if api::validate::is_label(name) {
        return Ok(name.to_owned());
    }
    Err("a namespace has lower-case letters, digits and '-', at most 63; leave the list out for all namespaces"
        .to_owned())
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// How long the API server may take to trust a new authority.
const SETTLE: SignedDuration = SignedDuration::from_mins(10);

fn endpoint(text: &str) -> Result<String, String> {
    let one = text.trim().to_owned();
    AllowedEndpoints::parse(std::slice::from_ref(&one)).map(|_| one).map_err(|(_, rule)| rule)
}

impl Settings {
    /// Where resources may point to.
    ///
    /// # Errors
    /// An entry that is no endpoint.
    pub fn allowed(&self) -> Result<AllowedEndpoints, Error> {
        AllowedEndpoints::parse(&self.allowed_endpoints)
            .map_err(|(place, rule)| Error::Setting(format!("--allowed-endpoints, entry {place}: {rule}")))
    }

    /// Where committed offsets are saved by resources that name no place.
    ///
    /// # Errors
    /// When the block does not read, or breaks a rule.
    pub fn positions(&self) -> Result<Option<Storage>, Error> {
        let Some(text) = self.positions_storage.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let bad = |error: String| Error::Setting(format!("--positions-storage: {error}"));
        let storage: Storage = serde_json::from_str(text).map_err(|error| bad(error.to_string()))?;
        let findings = api::validate::storage_block("positions.storage", &storage);
        let error = findings.iter().find(|finding| finding.level == Level::Error);
        error.map_or(Ok(()), |finding| Err(bad(finding.to_string())))?;
        Ok(Some(storage))
    }

    /// Where pods of runs go.
    ///
    /// # Errors
    /// When the file does not read, or no image is named.
    pub fn placement(&self) -> Result<Placement, Error> {
        let mut placement = match &self.placement {
            None => Placement::default(),
            Some(path) => {
                let io = |source| Error::Io { what: format!("reading {}", path.display()), source };
                let text = std::fs::read_to_string(path).map_err(io)?;
                let bad = |error| Error::Setting(format!("--placement {}: {error}", path.display()));
                serde_saphyr::from_str(&text).map_err(bad)?
            }
        };
        if let Some(image) = &self.runner_image {
            placement.image.clone_from(image);
        }
        if placement.image.is_empty() {
            let text = "no image of the runner: set --runner-image (RUNNER_IMAGE), or image in --placement";
            return Err(Error::Setting(text.to_owned()));
        }
        Ok(placement)
    }

    /// How long the webhook's own certificates hold.
    #[must_use]
    pub fn lifetimes(&self) -> Lifetimes {
        let leaf = SignedDuration::from_secs(i64::from(self.webhook_certificate_secs));
        let settle = SETTLE.min(leaf / 12);
        Lifetimes { authority: leaf * 8, leaf, settle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_beside_namespaces_are_cut_and_what_is_no_name_is_refused() {
        let read = |list: &str| Settings::try_parse_from(["operator", &format!("--watch-namespaces={list}")]);
        assert_eq!(read("shop, billing ,x").unwrap().watch_namespaces, ["shop", "billing", "x"]);
        let read_allowed = |list: &str| Settings::try_parse_from(["operator", &format!("--allowed-endpoints={list}")]);
        let allowed = read_allowed("kafka.shop.svc, *.example.com:9093,10.0.0.0/8").unwrap().allowed().unwrap();
        assert!(allowed.allows("a.example.com", 9093) && !allowed.allows("a.example.com", 9092));
        for wrong in ["kafka,", "https://kafka", "10.0.0.0/40"] {
            assert!(read_allowed(wrong).is_err(), "{wrong}");
        }
        let read_place = |text: &str| {
            Settings::try_parse_from(["operator", &format!("--positions-storage={text}")]).unwrap().positions()
        };
        assert_eq!(read_place("").unwrap(), None);
        assert!(read_place(r#"{"storageType": "pvc", "pvc": {"claimName": "kept"}}"#).unwrap().is_some());
        for wrong in ["{", r#"{"storageType": "nfs"}"#, r#"{"storageType": "pvc", "pvc": {"claimName": ""}}"#] {
            assert!(read_place(wrong).is_err(), "{wrong}");
        }
        for wrong in ["shop,", "Shop", "shop billing", "*"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
