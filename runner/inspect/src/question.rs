//! What may be asked.

use contract::RetentionRules;
use contract::stamp::split_point;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Payload;

/// A question about an archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "question", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Question {
    /// The sets of the store and their recovery points.
    Points {
        /// Only sets of this name, and full backups made under it; all when absent.
        name: Option<String>,
        /// Only points from this time on (RFC 3339).
        since: Option<String>,
    },
    /// What one recovery point holds.
    Point {
        /// A point, or a set: then its newest.
        name: String,
    },
    /// Where the consumer groups of a recovery point stood.
    Groups {
        /// A point, or a set: then its newest.
        name: String,
        /// Groups by id or pattern; all when empty.
        include: Vec<String>,
    },
    /// Where consumer groups stand in the source now. A pod that may ask its brokers answers.
    GroupsNow {
        /// The backup of that source, or one of its points.
        name: String,
        /// Groups by id or pattern; all when empty.
        include: Vec<String>,
    },
    /// How the source differs from a recovery point now. A pod that may read from its brokers answers.
    Live {
        /// A point, or a set: then its newest.
        name: String,
        /// Topics by name or pattern; all of the point when empty.
        include: Vec<String>,
    },
    /// What a run said, as it was kept beside its set.
    Log {
        /// A point of the run, or its set.
        name: String,
        /// Id of the run.
        run: String,
    },
    /// Records of a recovery point.
    Peek(Peek),
    /// Whether everything of a recovery point is there and unchanged.
    Verify {
        /// A point, or a set: then its newest.
        name: String,
        /// How deep to look.
        depth: Depth,
    },
    /// What the rules of retention would take away of a backup; nothing is changed.
    Retention(RetentionQuestion),
}

impl Question {
    /// Whether the answers hold what records hold.
    #[must_use]
    pub fn shows_records(&self) -> bool {
        matches!(self, Self::Peek(_))
    }
}

impl Question {
    /// The question about backup `backup` alone: what names nothing means it; `None` when it is about another one.
    #[must_use]
    pub fn confined_to(mut self, backup: &str) -> Option<Self> {
        let is_it = |name: &str| name == backup || split_point(name).is_some_and(|(base, _)| base == backup);
        let name = match &mut self {
            Self::Points { name, .. } => name.get_or_insert_with(String::new),
            Self::Point { name }
            | Self::Groups { name, .. }
            | Self::GroupsNow { name, .. }
            | Self::Live { name, .. }
            | Self::Log { name, .. }
            | Self::Verify { name, .. }
            | Self::Retention(RetentionQuestion { name, .. })
            | Self::Peek(Peek { name, .. }) => name,
        };
        if name.is_empty() {
            backup.clone_into(name);
        }
        is_it(name).then_some(self)
    }
}

/// Which records to show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peek {
    /// A point, or a set: then its newest.
    pub name: String,
    /// Topic, by name or by the id of one of its lineages.
    pub topic: String,
    /// Partition; all when absent.
    pub partition: Option<i32>,
    /// First offset.
    pub offset: Option<i64>,
    /// First timestamp (milliseconds).
    pub at: Option<i64>,
    /// Only records with this key.
    pub key: Option<Payload>,
    /// Most records.
    pub limit: u64,
}

/// Which points the rules would take away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RetentionQuestion {
    /// The backup.
    pub name: String,
    /// Its namespace; the only one that has sets of this name when absent. Whoever may ask about one backup only is answered
    /// about its own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_namespace: Option<String>,
    /// Id of its source cluster; the one that is known of the backup when absent, else the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    /// The rules.
    pub rules: RetentionRules,
    /// The clock of the one who asks: times of the store that lie further ahead are not believed.
    pub reader: Timestamp,
}

/// How deep a verification looks; each includes those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Depth {
    /// Chain, sizes, headers and footers.
    Structure,
    /// The digest of every block.
    Checksum,
    /// Every batch and record.
    Decode,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_stays_with_its_backup() {
        let point = |name: &str| Question::Point { name: name.into() };
        assert_eq!(point("").confined_to("a"), Some(point("a")));
        assert_eq!(point("a-20260101-000000").confined_to("a"), Some(point("a-20260101-000000")));
        assert_eq!(point("ab").confined_to("a"), None);
        assert_eq!(point("a-b-20260101-000000").confined_to("a"), None);
        let all = Question::Points { name: None, since: None };
        assert_eq!(all.confined_to("a"), Some(Question::Points { name: Some("a".into()), since: None }));
        let now = |name: &str| Question::GroupsNow { name: name.into(), include: Vec::new() };
        assert_eq!((now("").confined_to("a"), now("b").confined_to("a")), (Some(now("a")), None));
        assert_eq!(Question::Peek(Peek { name: "b".into(), ..Peek::default() }).confined_to("a"), None);
    }
}
