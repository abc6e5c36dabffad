//! Whose backup set a reader expects. Whoever asks for the run fills it in, so that a reader of a shared store never takes
//! the set of another resource, or of another cluster, for the one that was meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The owner that a backup set must have on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetOwner {
    /// Name of the resource that backs up.
    pub name: String,
    /// Its namespace; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Id that the source cluster of the recovery point gives itself; any when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
}

impl std::fmt::Display for SetOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.name)?;
        if let Some(namespace) = &self.namespace {
            write!(f, " in namespace {namespace:?}")?;
        }
        if let Some(cluster) = &self.cluster_id {
            write!(f, " on cluster {cluster}")?;
        }
        Ok(())
    }
}
