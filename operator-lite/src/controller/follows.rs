//! Which restore a reset by an offset mapping follows where it names none: the one into the same cluster that ended last. Pure.

use std::collections::BTreeSet;

/// Restores that a message names.
const NAMED: usize = 3;

/// A finished restore that wrote an offset mapping.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) name: String,
    /// Its bootstrap servers.
    pub(super) servers: BTreeSet<String>,
    /// Where the mapping is.
    pub(super) path: String,
    /// When it ended.
    pub(super) ended: Option<String>,
}

impl Candidate {
    /// The id of its target, which stands in the path of what a restore writes beside its state:
    /// `<cluster>/<restore>/mappings/<number>/offset-mapping.json`.
    fn cluster(&self) -> Option<&str> {
        let mut parts = self.path.rsplit('/');
        let (_, _, mappings) = (parts.next()?, parts.next()?, parts.next()?);
        let cluster = parts.nth(1)?;
        (mappings == "mappings").then_some(cluster)
    }

    /// Whether it has one of these addresses. One address is of one cluster; lists of the same cluster may differ.
    fn shares(&self, here: &BTreeSet<String>) -> bool {
        !self.servers.is_disjoint(here)
    }
}

/// The newest one into the cluster that is reached at these addresses. A restore that reached the cluster at others counts where
/// the id of its target is known to be the same. The run holds the id in the mapping against that of the cluster.
pub(super) fn newest<'a>(all: &'a [Candidate], here: &BTreeSet<String>) -> Option<&'a Candidate> {
    let ids: BTreeSet<&str> =
        all.iter().filter(|restore| restore.shares(here)).filter_map(Candidate::cluster).collect();
    let is_here = |restore: &&Candidate| restore.shares(here) || restore.cluster().is_some_and(|id| ids.contains(id));
    all.iter().filter(is_here).max_by(|a, b| (&a.ended, &a.name).cmp(&(&b.ended, &b.name)))
}

/// Why there is none, with what was compared.
pub(super) fn none(all: &[Candidate], here: &BTreeSet<String>) -> String {
    let servers = |servers: &BTreeSet<String>| servers.iter().cloned().collect::<Vec<_>>().join(",");
    let named: Vec<_> =
        all.iter().take(NAMED).map(|restore| format!("{:?} at {}", restore.name, servers(&restore.servers))).collect();
    let compared = match (named.is_empty(), all.len().saturating_sub(NAMED)) {
        (true, _) => String::new(),
        (false, 0) => format!(" (not into this one: {})", named.join("; ")),
        (false, more) => format!(" (not into this one: {}; and {more} more)", named.join("; ")),
    };
    format!(
        "spec.offsetMappingRef: no finished KafkaRestore of kafka.oso.sh in this namespace wrote an offset mapping and has an address of \
         spec.kafkaCluster.bootstrapServers ({}), or the same cluster id as one that has{compared}; name the restore with \
         restoreName, or the file with path",
        servers(here)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    fn restore(name: &str, at: &[&str], cluster: Option<&str>, ended: &str) -> Candidate {
        let path = match cluster {
            Some(id) => format!("backups/_restores/{id}/0123/mappings/l-1/offset-mapping.json"),
            None => "somewhere/offset-mapping.json".to_owned(),
        };
        Candidate { name: name.to_owned(), servers: servers(at), path, ended: Some(ended.to_owned()) }
    }

    #[test]
    fn the_same_cluster_at_another_listener_counts() {
        let all = [
            restore("plain", &["k:9092", "k:9093"], Some("id-1"), "2026-11-21T09:00:00Z"),
            restore("tls", &["k:9094"], Some("id-1"), "2026-11-21T10:00:00Z"),
            restore("other", &["x:9092"], Some("id-2"), "2026-11-21T11:00:00Z"),
            restore("foreign", &["y:9092"], None, "2026-11-21T12:00:00Z"),
        ];
        let found = |here: &[&str]| newest(&all, &servers(here)).map(|restore| restore.name.as_str());
        assert_eq!(found(&["k:9092"]), Some("tls"), "one of the addresses, and the id that its restore had");
        assert_eq!(found(&["k:9094"]), Some("tls"));
        assert_eq!(found(&["y:9092"]), Some("foreign"), "without an id the address counts");
        assert_eq!(found(&["z:9092"]), None);
        let text = none(&all, &servers(&["z:9092"]));
        assert!(
            text.contains("(z:9092)") && text.contains("\"plain\" at k:9092,k:9093") && text.contains("1 more"),
            "{text}"
        );
        assert!(!none(&[], &servers(&["z:9092"])).contains("not into this one"));
    }
}
