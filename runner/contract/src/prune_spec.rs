//! A run of retention in a run specification: what goes of the backups of one name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::RetentionRules;

/// Longest times that may be asked for: a year.
const LONGEST_SECS: u64 = 366 * 86_400;

fn a_day() -> u64 {
    86_400
}

/// What goes of the backups that have the name and the namespace of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PruneSpec {
    /// What may go.
    pub rules: RetentionRules,
    /// Id of the source cluster whose backups are meant; needed where the storage has those of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// Seconds, by the store's clock, between the run that hides recovery points and the one that deletes what only they
    /// needed: whoever reads one of them then may take so long.
    #[serde(default = "a_day")]
    pub grace_secs: u64,
    /// Seconds for which a set is waited for that a backup writes to: nothing can be hidden until it has made its next
    /// recovery point.
    #[serde(default)]
    pub wait_secs: u64,
    /// Only say what would go.
    #[serde(default)]
    pub dry_run: bool,
}

impl PruneSpec {
    /// Broken rules, with their fields.
    pub(crate) fn check(&self, out: &mut Vec<(String, String)>) {
        if let Some(rule) = self.rules.finding() {
            out.push(("rules".to_owned(), rule));
        }
        if self.cluster_id.as_ref().is_some_and(String::is_empty) {
            out.push((
                "clusterId".to_owned(),
                "is empty; give the id of the source cluster, or leave it out".to_owned(),
            ));
        }
        if !(1..=LONGEST_SECS).contains(&self.grace_secs) {
            let rule = format!("is {}; it must be from 1 to {LONGEST_SECS}", self.grace_secs);
            out.push(("graceSecs".to_owned(), rule));
        }
        if self.wait_secs > LONGEST_SECS {
            out.push(("waitSecs".to_owned(), format!("is {}; it must be at most {LONGEST_SECS}", self.wait_secs)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_bounds_and_defaults() {
        let spec: PruneSpec = serde_json::from_value(serde_json::json!({"rules": {"least": 1, "most": 3}})).unwrap();
        assert_eq!((spec.grace_secs, spec.wait_secs, spec.dry_run), (86_400, 0, false));
        let fields = |spec: &PruneSpec| {
            let mut out = Vec::new();
            spec.check(&mut out);
            out.into_iter().map(|(field, _)| field).collect::<Vec<_>>()
        };
        assert!(fields(&spec).is_empty());
        let bad = PruneSpec { grace_secs: 0, wait_secs: u64::MAX, cluster_id: Some(String::new()), ..spec.clone() };
        assert_eq!(fields(&bad), ["clusterId", "graceSecs", "waitSecs"]);
        let none = RetentionRules { most: None, ..spec.rules };
        assert_eq!(fields(&PruneSpec { rules: none, ..spec }), ["rules"]);
    }
}
