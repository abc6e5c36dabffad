//! The identity of a restore: the same work into the same cluster is the same restore.

use archive::Digest;
use contract::{Code, Failure, RestoreSpec, RunSpec};
use wire::Cluster;

/// Who a restore is.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    cluster: String,
    hex: String,
}

impl Identity {
    pub(crate) fn new(spec: &RunSpec, part: &RestoreSpec, cluster: &Cluster) -> Result<Self, Failure> {
        let missing = || Failure::new(Code::BrokerUnsupported, "the target cluster does not tell its id");
        let cluster = cluster.cluster_id().ok_or_else(missing)?;
        Ok(Self { hex: hex(spec, part, &cluster), cluster })
    }

    /// Id of the target cluster.
    pub(crate) fn cluster(&self) -> &str {
        &self.cluster
    }

    /// 32 hexadecimal digits.
    pub(crate) fn hex(&self) -> &str {
        &self.hex
    }

    /// The first 8 of them.
    pub(crate) fn short(&self) -> &str {
        self.hex.get(..8).unwrap_or(&self.hex)
    }

    /// The transactional id of the epoch with this number.
    pub(crate) fn transactional_id(&self, epoch: usize) -> String {
        format!("kafka-backup-restore-{}-{epoch}", self.hex)
    }
}

/// Rates, time-outs, the plan that was looked at, and whether it is a dry run do not make another restore.
fn hex(spec: &RunSpec, part: &RestoreSpec, cluster: &str) -> String {
    let work = RestoreSpec {
        dry_run: false,
        produce_timeout_ms: 0,
        state_storage: None,
        rate_limit: contract::RateLimit::default(),
        max_in_flight_bytes: 0,
        on_unreadable: contract::OnUnreadable::Fail,
        max_concurrent_partitions: None,
        plan_fingerprint: None,
        ..part.clone()
    };
    let text = serde_json::json!([spec.namespace, spec.name, cluster, work]).to_string();
    Digest::half_of(text.as_bytes()).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_follows_the_work() {
        let text = "formatVersion: 1\nname: r\nkafka: {bootstrapServers: ['h:1']}\nstorage: {type: filesystem, path: /x}\nrestore: {from: orders}\n";
        let spec = crate::spec_file::parse(text).unwrap();
        let part = spec.restore.clone().unwrap();
        let base = hex(&spec, &part, "c");
        assert_eq!(base.len(), 32);
        assert_eq!(base, hex(&spec, &RestoreSpec { dry_run: true, ..part.clone() }, "c"));
        assert_ne!(base, hex(&spec, &part, "d"));
        assert_ne!(base, hex(&spec, &RestoreSpec { topics: vec!["a".into()], ..part }, "c"));
    }
}
