//! The identity of a restore: its name, the target cluster, and what goes where. The same identity goes on with the
//! same state; another one of that name is another restore.

use archive::Digest;
use contract::{Code, Failure, ForeignRecords, RestoreSpec, RunSpec};
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

    /// The transactional id of the epoch with this number in this life of the restore.
    pub(crate) fn transactional_id(&self, life: &str, epoch: usize) -> String {
        format!("kafka-backup-restore-{}-{life}-{epoch}", self.hex)
    }
}

/// Every field is named here, so that a new one is decided on.
fn hex(spec: &RunSpec, part: &RestoreSpec, cluster: &str) -> String {
    let RestoreSpec {
        // Which records, and what they look like in the target.
        from,
        topics,
        exclude,
        pattern_syntax,
        lineages,
        timelines,
        source_partitions,
        start_time,
        end_time,
        before_end_secs,
        include_offset_headers,
        strip_offset_headers,
        on_unreadable,
        foreign_records,
        // Where they go, and what becomes of what is there.
        topic_mapping,
        partition_mapping,
        repartitioning,
        existing_topics,
        // How created topics are made: the saved plan says it, a restore that is under way does not change it.
        create_topics: _,
        default_replication_factor: _,
        accept: _,
        // What is left to do once all records are in the target; the state says which of it is done.
        groups: _,
        // Who is expected: looked at by every attempt.
        owner: _,
        // How fast and how safely: an attempt may do it in another way than the one before.
        produce_acks: _,
        produce_batch_size: _,
        produce_timeout_ms: _,
        rate_limit: _,
        max_in_flight_bytes: _,
        max_concurrent_partitions: _,
        // Where the state is, what was looked at, what happens when nothing is left to do: no part of the work.
        state_storage: _,
        plan_fingerprint: _,
        when_newer: _,
        dry_run: _,
        undo_offsets: _,
        // What is read before anything is written.
        header_preflight: _,
    } = part;
    let records = serde_json::json!([
        from,
        topics,
        exclude,
        pattern_syntax,
        lineages,
        timelines,
        source_partitions,
        start_time,
        end_time,
        include_offset_headers,
        on_unreadable
    ]);
    // Restores that began before the field was there keep their identity.
    let records = match foreign_records {
        ForeignRecords::Cleaned => records,
        ForeignRecords::AsWritten => serde_json::json!([records, foreign_records]),
    };
    let records = if *strip_offset_headers { serde_json::json!([records, "stripped"]) } else { records };
    let records = match before_end_secs {
        None => records,
        Some(secs) => serde_json::json!([records, {"beforeEndSecs": secs}]),
    };
    let places = serde_json::json!([topic_mapping, partition_mapping, repartitioning, existing_topics]);
    let text = serde_json::json!([spec.namespace, spec.name, cluster, records, places]).to_string();
    Digest::half_of(text.as_bytes()).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{ExistingTopics, RateLimit};

    #[test]
    fn the_identity_follows_the_work_and_not_its_pace() {
        let text = "formatVersion: 1\nname: r\nkafka: {bootstrapServers: ['h:1']}\nstorage: {type: filesystem, path: /x}\nrestore: {from: orders}\n";
        let spec = crate::spec_file::parse(text).unwrap();
        let part = || spec.restore.clone().unwrap();
        let base = hex(&spec, &part(), "c");
        assert_eq!(base.len(), 32);
        let same = [
            RestoreSpec { dry_run: true, ..part() },
            RestoreSpec { header_preflight: contract::HeaderPreflight::Full, ..part() },
            RestoreSpec { undo_offsets: Some("away".into()), ..part() },
            RestoreSpec { produce_batch_size: 500, ..part() },
            RestoreSpec { produce_acks: 1, ..part() },
            RestoreSpec { rate_limit: RateLimit { records_per_sec: 1, bytes_per_sec: 0 }, ..part() },
            RestoreSpec { max_concurrent_partitions: Some(1), ..part() },
            RestoreSpec { default_replication_factor: Some(1), ..part() },
        ];
        assert!(same.iter().all(|part| hex(&spec, part, "c") == base));
        let others = [
            RestoreSpec { topics: vec!["a".into()], ..part() },
            RestoreSpec { existing_topics: ExistingTopics::Append, ..part() },
            RestoreSpec { end_time: Some("2026-01-01T00:00:00Z".into()), ..part() },
            RestoreSpec { include_offset_headers: Some(false), ..part() },
            RestoreSpec { strip_offset_headers: true, ..part() },
            RestoreSpec { before_end_secs: Some(60), ..part() },
            RestoreSpec { foreign_records: ForeignRecords::AsWritten, ..part() },
            RestoreSpec { partition_mapping: [(0, 1)].into(), ..part() },
        ];
        assert!(others.iter().all(|part| hex(&spec, part, "c") != base));
        assert_ne!(base, hex(&spec, &part(), "d"));
    }
}
