//! Why admission refuses, as programs read it: the causes in the `details` of the API server's answer, beside the words for
//! people. The webhook writes them and the plugin reads them, so that neither looks for words in a message. Pure.

use contract::words::cut;

use crate::finding::Finding;

/// What the `reason` of a cause begins with: the API server and other webhooks give reasons, too.
const OURS: &str = "kafka-backup.dev/";
/// Most characters of a field: a path may hold names that the author chose.
const LONGEST_FIELD: usize = 200;
/// Most causes of an answer: a program looks for one, and the words have all.
const MOST: usize = 32;

/// What kind of refusal it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The document breaks a rule.
    Rule,
    /// Its author lacks the right to do this with what the field names.
    Right {
        /// The verb of the right: `peek`, `restore`, `get`.
        verb: String,
    },
    /// The owner of another namespace has not said yes, or nobody knows whether they did.
    Consent,
    /// The API server did not say whether the author has a right.
    NotAsked,
}

impl Why {
    /// The `reason` of the cause.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Rule => format!("{OURS}Rule"),
            Self::Right { verb } => format!("{OURS}Right.{verb}"),
            Self::Consent => format!("{OURS}Consent"),
            Self::NotAsked => format!("{OURS}NotAsked"),
        }
    }

    /// The kind that a `reason` stands for; `None` for one that is not of this operator.
    #[must_use]
    pub fn read(reason: &str) -> Option<Self> {
        let name = reason.strip_prefix(OURS)?;
        if let Some(verb) = name.strip_prefix("Right.") {
            return Some(Self::Right { verb: verb.to_owned() });
        }
        let known = [Self::Rule, Self::Consent, Self::NotAsked];
        known.into_iter().find(|why| why.reason() == reason)
    }
}

/// One reason against a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// In words: field, value, rule and fix.
    pub text: String,
    /// The field.
    pub field: String,
    /// Its kind.
    pub why: Why,
}

impl From<&Finding> for Refusal {
    fn from(finding: &Finding) -> Self {
        Self { text: finding.to_string(), field: finding.field.clone(), why: Why::Rule }
    }
}

/// Reason and field of each cause, once each and as many as an answer has room for.
#[must_use]
pub fn causes(refusals: &[Refusal]) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for refusal in refusals {
        let cause = (refusal.why.reason(), cut(refusal.field.clone(), LONGEST_FIELD));
        if out.len() < MOST && !out.contains(&cause) {
            out.push(cause);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_read_as_it_was_written_and_those_of_others_are_not() {
        let right = Why::Right { verb: "peek".into() };
        for why in [Why::Rule, right, Why::Consent, Why::NotAsked] {
            assert_eq!(Why::read(&why.reason()), Some(why));
        }
        for other in ["FieldValueInvalid", "", "Rule", "kafka-backup.dev/", "kafka-backup.dev/Other"] {
            assert_eq!(Why::read(other), None, "{other}");
        }
    }

    #[test]
    fn causes_are_few_short_and_there_once() {
        let refusal = |field: String| Refusal { text: "no".into(), field, why: Why::Rule };
        let many: Vec<Refusal> = (0..200).map(|number| refusal(format!("spec.topics[{number}]"))).collect();
        assert_eq!(causes(&many).len(), MOST);
        let same = [refusal("spec.a".into()), refusal("spec.a".into()), refusal("x".repeat(10_000))];
        let found = causes(&same);
        assert!(found.len() == 2 && found[1].1.len() < 300, "{found:?}");
    }
}
