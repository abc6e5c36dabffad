//! Every object key, in one place. Keys are derived from numbers, ids and checked names, never taken from
//! stored data or from the source cluster.

use contract::names::check_name;
use contract::stamp::split_point;
use object_store::path::Path;

use crate::Digest;

/// Entries per folder of the log.
pub(crate) const LOG_FOLDER: u64 = 4096;

/// The folder of what concerns committed offsets only; no set has such a name.
pub const OFFSETS_FOLDER: &str = "_offsets";

/// The folder of what concerns restores; no set has such a name.
pub const RESTORES_FOLDER: &str = "_restores";

/// The folder of evidence of validations; no set has such a name.
pub const EVIDENCE_FOLDER: &str = "_evidence";

/// The folder of what runs of retention leave for people; no set has such a name.
pub const PRUNE_FOLDER: &str = "_prune";

/// Names of the documents beside seals.
pub(crate) const SIDE_DOCUMENTS: [&str; 2] = ["configs.json", "groups.json"];

/// Names of the documents of a run.
pub(crate) const RUN_DOCUMENTS: [&str; 2] = ["report.json", "events.jsonl"];

/// Names of the summaries of a set.
pub(crate) const SUMMARIES: [&str; 2] = ["manifest.json", "consumer-groups-snapshot.json"];

/// The folder of the evidence of one validation. Outside Kubernetes there is no namespace, and none is called `_`.
pub(crate) fn evidence_folder(namespace: &str, name: &str) -> String {
    let namespace = if namespace.is_empty() { "_" } else { namespace };
    format!("{EVIDENCE_FOLDER}/{namespace}/{name}")
}

/// The keys of one backup set, relative to the store's prefix.
#[derive(Debug, Clone)]
pub struct Layout {
    set: String,
}

impl Layout {
    /// The keys of the set with this (checked) name.
    #[must_use]
    pub fn new(set: impl Into<String>) -> Self {
        Self { set: set.into() }
    }

    /// Name of the set.
    #[must_use]
    pub fn set(&self) -> &str {
        &self.set
    }

    /// The set's folder.
    #[must_use]
    pub fn root(&self) -> Path {
        Path::from(self.set.as_str())
    }

    fn key(&self, rest: &str) -> Path {
        Path::from(format!("{}/{rest}", self.set))
    }

    /// Who owns the set.
    pub(crate) fn set_document(&self) -> Path {
        self.key("set.json")
    }

    /// The folders of the log.
    pub(crate) fn log(&self) -> Path {
        self.key("log/main")
    }

    pub(crate) fn log_folder(&self, number: u64) -> Path {
        self.key(&format!("log/main/{:020}", number / LOG_FOLDER))
    }

    /// Entry `number` of the log.
    #[must_use]
    pub fn entry(&self, number: u64) -> Path {
        self.key(&format!("log/main/{:020}/{number:020}", number / LOG_FOLDER))
    }

    /// The roll-up of entries `from..=to`.
    #[must_use]
    pub fn rollup(&self, level: u32, from: u64, to: u64) -> Path {
        self.key(&format!("roll/{level}/{from:020}-{to:020}"))
    }

    /// Segment `seq` of a claim.
    #[must_use]
    pub fn segment(&self, claim: u64, nonce: &str, seq: u64) -> Path {
        self.key(&format!("data/{claim:020}-{nonce}/{seq:08}.seg"))
    }

    /// The folder of all segments.
    pub(crate) fn data(&self) -> Path {
        self.key("data")
    }

    /// Hint from a recovery point's stamp to its seal.
    pub(crate) fn point(&self, stamp: &str) -> Path {
        self.key(&format!("points/{stamp}"))
    }

    /// The folder of all roll-ups.
    pub(crate) fn rollups(&self) -> Path {
        self.key("roll")
    }

    /// A document beside seal `number`.
    pub(crate) fn side(&self, number: u64, name: &str) -> Path {
        self.key(&format!("side/{number:020}/{name}"))
    }

    /// A document of a run, for people.
    #[must_use]
    pub fn run(&self, run: &str, name: &str) -> Path {
        self.key(&format!("runs/{run}/{name}"))
    }

    /// An overwritten summary, for people.
    #[must_use]
    pub fn summary(&self, name: &str) -> Path {
        self.key(name)
    }
}

/// Whether a key relative to its set's folder is one that an archive can have. Volumes and people leave others: `.nfs0001`,
/// `.DS_Store`, `lost+found`, an editor's copy.
pub(crate) fn is_of_format(key: &str) -> bool {
    let number = |text: &str, digits: usize| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    let document = |text: &str| {
        let is_document = text.strip_suffix(".json").or_else(|| text.strip_suffix(".jsonl"));
        is_document.is_some_and(|name| plain(name) && name.starts_with(|c: char| c.is_ascii_alphanumeric()))
    };
    let parts: Vec<&str> = key.split('/').collect();
    match parts.as_slice() {
        [name] => document(name),
        ["log", "main", folder, entry] => number(folder, 20) && number(entry, 20),
        ["roll", level, range] => {
            let range = range.split_once('-');
            level.parse::<u32>().is_ok() && range.is_some_and(|(from, to)| number(from, 20) && number(to, 20))
        }
        ["data", claim, segment] => {
            let claim = claim.split_once('-').is_some_and(|(claim, nonce)| number(claim, 20) && plain(nonce));
            claim && segment.strip_suffix(".seg").is_some_and(|seq| seq.len() >= 8 && number(seq, seq.len()))
        }
        ["points", stamp] => split_point(&format!("x-{stamp}")).is_some(),
        ["side", seal, name] => number(seal, 20) && document(name),
        ["runs", run, name] => check_name(run).is_ok() && document(name),
        _ => false,
    }
}

/// The folder of a restore's state and plans.
pub(crate) fn restore_folder(cluster: &str, identity: &str) -> String {
    format!("{}/{identity}", cluster_folder(cluster))
}

/// The folder of the claims of one thing of a target cluster.
pub(crate) fn claim_folder(cluster: &str, thing: &Digest) -> String {
    format!("{}/claims/{thing}", cluster_folder(cluster))
}

/// What concerns restores into one cluster.
fn cluster_folder(cluster: &str) -> String {
    format!("{RESTORES_FOLDER}/{}", safe(cluster))
}

/// The folder of the state of a run that changes committed offsets only.
pub(crate) fn offset_run_folder(cluster: &str, identity: &str) -> String {
    format!("{OFFSETS_FOLDER}/{}/runs/{identity}", safe(cluster))
}

/// The folder of the committed offsets that were saved before a run changed them.
pub(crate) fn saved_offsets_folder(cluster: &str) -> String {
    format!("{OFFSETS_FOLDER}/{}/saved", safe(cluster))
}

/// Cluster ids are base64url text, but a broker may send anything: what cannot leave the folder is kept.
fn safe(cluster: &str) -> String {
    cluster.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_the_format_are_told_from_what_else_lies_there() {
        let layout = Layout::new("orders");
        let own = [
            layout.set_document(),
            layout.entry(5000),
            layout.rollup(2, 0, 4095),
            layout.segment(3, "0af", 12),
            layout.point("20261121-155803"),
            layout.side(3, "configs.json"),
            layout.run("orders-20261121-155803", "events.jsonl"),
            layout.summary("consumer-groups-snapshot.json"),
        ];
        for key in own {
            let key = key.to_string();
            assert!(is_of_format(key.strip_prefix("orders/").unwrap()), "{key}");
        }
        for name in [
            ".nfs0001",
            ".DS_Store",
            "._x",
            "Thumbs.db",
            "set.json~",
            ".set.json.swp",
            "lost+found/x",
            ".snapshot/a/set.json",
            "#x#",
        ] {
            for folder in [
                "",
                "log/",
                "log/main/",
                "log/main/00000000000000000000/",
                "points/",
                "side/",
                "data/",
                "runs/a/",
                "roll/1/",
            ] {
                assert!(!is_of_format(&format!("{folder}{name}")), "{folder}{name}");
            }
        }
    }
}
