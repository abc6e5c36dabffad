//! Every object key, in one place. Keys are derived from numbers, ids and checked names, never taken from
//! stored data or from the source cluster.

use object_store::path::Path;

use crate::Digest;

/// Entries per folder of the log.
pub(crate) const LOG_FOLDER: u64 = 4096;

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
    // Cluster ids are base64url text, but a broker may send anything: keep only what cannot leave the folder.
    let safe: String =
        cluster.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
    format!("_restores/{safe}")
}
