//! What is wrong with a resource, or not as its author may think: field, value, rule and fix.

use std::fmt;

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The resource is refused.
    Error,
    /// The resource is taken, and its author is told.
    Warning,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it weighs.
    pub level: Level,
    /// Path of the field, for example `spec.storage.s3.endpoint`.
    pub field: String,
    /// The value as written; `None` for a field that is missing, or that must not be shown.
    pub value: Option<String>,
    /// What holds for the field.
    pub rule: String,
    /// What to do.
    pub fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.field)?;
        if let Some(value) = &self.value {
            write!(f, " ({value})")?;
        }
        write!(f, ": {}; {}", self.rule, self.fix)
    }
}

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    pub(crate) fn into_vec(self) -> Vec<Finding> {
        self.all
    }

    /// Adds an error where none is known that may say the same.
    pub(crate) fn once(&mut self, finding: Finding) {
        if self.all.iter().all(|known| known.level == Level::Warning) {
            self.all.push(finding);
        }
    }

    fn add(&mut self, level: Level, field: &str, value: Option<String>, rule: &str, fix: &str) {
        let (field, rule, fix) = (field.to_owned(), rule.to_owned(), fix.to_owned());
        self.all.push(Finding { level, field, value, rule, fix });
    }

    /// A value that is refused.
    pub(crate) fn wrong(&mut self, field: &str, value: impl fmt::Display, rule: &str, fix: &str) {
        self.add(Level::Error, field, Some(value.to_string()), rule, fix);
    }

    /// A field that is missing.
    pub(crate) fn missing(&mut self, field: &str, rule: &str, fix: &str) {
        self.add(Level::Error, field, None, rule, fix);
    }

    /// A value that its author should know more about.
    pub(crate) fn warn(&mut self, field: &str, value: Option<String>, rule: &str, fix: &str) {
        self.add(Level::Warning, field, value, rule, fix);
    }

    /// Refuses a value that is not one of `allowed`.
    pub(crate) fn one_of(&mut self, field: &str, value: &str, allowed: &[&str]) -> bool {
        let known = allowed.contains(&value);
        if !known {
            let list = allowed.join(", ");
            self.wrong(field, format!("{value:?}"), &format!("must be one of {list}"), "write one of them");
        }
        known
    }

    /// Refuses zero.
    pub(crate) fn above_zero(&mut self, field: &str, value: impl Into<i128>) {
        let value = value.into();
        if value <= 0 {
            self.wrong(field, value, "must be more than 0", "set a larger number or leave the field out");
        }
    }
}
