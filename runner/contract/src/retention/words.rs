//! Why a point stays or goes, for people.

use super::{Goes, Hold, RetentionRules, Stays};
use crate::words::{duration, size};

impl Stays {
    /// The reason; `age_secs` is the age of the point, where it is known.
    #[must_use]
    pub fn words(&self, rules: &RetentionRules, age_secs: Option<u64>) -> String {
        match self {
            Self::Newest => "the newest".to_owned(),
            Self::NewestOfSet => "the newest of its set".to_owned(),
            Self::AmongNewest { least } => {
                match rules.max_age_secs.filter(|most| age_secs.is_some_and(|age| age <= *most)) {
                    Some(most) => format!("younger than {}, and one of the newest {least}", span(most)),
                    None => format!("one of the newest {least}"),
                }
            }
            Self::Held { hold } => hold.words(),
            Self::AgeUnknown => "nobody knows how old it is".to_owned(),
            Self::Young { .. } => match rules.max_age_secs {
                Some(most) => format!("younger than {}", span(most)),
                None => "young".to_owned(),
            },
            Self::Behind { .. } => "it follows a point that stays".to_owned(),
            Self::NoRule => match (rules.most, rules.max_total_bytes) {
                (Some(most), _) => format!("one of the newest {most}"),
                (None, Some(most)) => format!("there is room: all points may have {}", size(most)),
                (None, None) => "no rule takes it away".to_owned(),
            },
        }
    }
}

impl Goes {
    /// The reason.
    #[must_use]
    pub fn words(&self, rules: &RetentionRules) -> String {
        match self {
            Self::TooOld { age_secs } => format!("older than {}", span(rules.max_age_secs.unwrap_or(*age_secs))),
            Self::BeyondMost { newer } => format!("not one of the newest {}", rules.most.unwrap_or(*newer)),
            Self::OverBytes { total } => match rules.max_total_bytes {
                Some(most) => format!("all points have {}, and may have {}", size(*total), size(most)),
                None => format!("all points have {}", size(*total)),
            },
        }
    }
}

impl Hold {
    /// Who needs the point, and how that ends.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Restore { namespace, name, .. } if namespace.is_empty() => {
                format!("restore {name} has not ended (release)")
            }
            Self::Restore { namespace, name, .. } => format!("restore {namespace}/{name} has not ended (release)"),
            Self::Unread { key, .. } => format!("the state of a restore cannot be read: {key}"),
        }
    }
}

/// A length of time.
fn span(seconds: u64) -> String {
    duration(i64::try_from(seconds).unwrap_or(i64::MAX))
}
