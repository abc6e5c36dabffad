//! What is wrong with a resource, or not as its author may think: field, value, rule and fix.

use std::fmt;

use contract::words::cut;

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

/// Most findings of a level that are kept: nobody reads more at once, and a document may have one in every field.
const MOST: usize = 100;
/// Most characters of a value, a rule or a fix: each may repeat what its author wrote.
const LONGEST: usize = 1_000;

/// Most bytes of reasons in one text, as a status or the answer to a review has it.
const LONGEST_TEXT: usize = 8 << 10;

/// Reasons in one text: a line each, as far as there is room, and how many more there are; at least the beginning of the first.
#[must_use]
pub fn text(reasons: &[String]) -> String {
    let mut out = String::new();
    for (number, reason) in reasons.iter().enumerate() {
        if number > 0 && out.len() + reason.len() > LONGEST_TEXT {
            return format!("{out}\nand {} more", reasons.len() - number);
        }
        if number > 0 {
            out.push('\n');
        }
        out.extend(reason.chars().take(LONGEST_TEXT));
    }
    out
}

/// The first findings of each level, and a last one that says so where there are more.
#[must_use]
pub fn bounded(all: impl IntoIterator<Item = Finding>) -> Vec<Finding> {
    let mut out = Findings::default();
    for finding in all {
        out.add(finding);
    }
    out.into_vec()
}

/// Collects findings.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    all: Vec<Finding>,
    errors: usize,
    warnings: usize,
}

impl Findings {
    pub(crate) fn into_vec(mut self) -> Vec<Finding> {
        for (level, count) in [(Level::Error, self.errors), (Level::Warning, self.warnings)] {
            if count > MOST {
                self.all.push(more(level));
            }
        }
        self.all
    }

    /// Adds an error where none is known that may say the same.
    pub(crate) fn once(&mut self, finding: Finding) {
        if self.errors == 0 {
            self.add(finding);
        }
    }

    /// Whether nothing is refused so far.
    pub(crate) fn is_without_error(&self) -> bool {
        self.errors == 0
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        let count = if finding.level == Level::Error { &mut self.errors } else { &mut self.warnings };
        *count += 1;
        if *count <= MOST {
            self.all.push(shortened(finding));
        }
    }

    fn found(&mut self, level: Level, field: &str, value: Option<String>, rule: &str, fix: &str) {
        let (field, rule, fix) = (field.to_owned(), rule.to_owned(), fix.to_owned());
        self.add(Finding { level, field, value, rule, fix });
    }

    /// A value that is refused.
    pub(crate) fn wrong(&mut self, field: &str, value: impl fmt::Display, rule: &str, fix: &str) {
        self.found(Level::Error, field, Some(value.to_string()), rule, fix);
    }

    /// A field that is missing.
    pub(crate) fn missing(&mut self, field: &str, rule: &str, fix: &str) {
        self.found(Level::Error, field, None, rule, fix);
    }

    /// A value that its author should know more about.
    pub(crate) fn warn(&mut self, field: &str, value: Option<String>, rule: &str, fix: &str) {
        self.found(Level::Warning, field, value, rule, fix);
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

/// What stands in the place of all further findings.
fn more(level: Level) -> Finding {
    let word = if level == Level::Error { "more is wrong" } else { "there is more to know" };
    Finding {
        level,
        field: "spec".to_owned(),
        value: None,
        rule: format!("{word} than these {MOST} findings tell"),
        fix: "mend what is named, then look again".to_owned(),
    }
}

fn shortened(finding: Finding) -> Finding {
    let short = |text| cut(text, LONGEST);
    Finding { value: finding.value.map(short), rule: short(finding.rule), fix: short(finding.fix), ..finding }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many warnings there are, they keep no error out.
    #[test]
    fn findings_are_counted_and_what_is_left_out_is_told() {
        let mut out = Findings::default();
        for number in 0..MOST + 50 {
            out.warn(&format!("spec.a[{number}]"), None, "has no effect", "remove it");
        }
        out.wrong("spec.b", "x".repeat(1 << 20), "is wrong", "mend it");
        let all = out.into_vec();
        assert_eq!(all.len(), MOST + 2, "the warnings, the error, and that there are more warnings");
        assert_eq!(all.iter().filter(|finding| finding.level == Level::Error).count(), 1);
        assert!(all[MOST].to_string().len() < 1_100, "a value is cut");
        assert_eq!(
            all[MOST + 1].to_string(),
            "spec: there is more to know than these 100 findings tell; mend what is named, then look again"
        );
        // A list that was cut before stays one that says so.
        let again = bounded(all.clone());
        assert_eq!(again, all);
    }

    #[test]
    fn a_text_has_some_of_many_reasons_and_says_how_many_there_are() {
        assert_eq!((text(&[]), text(&["a".into(), "b".into()])), (String::new(), "a\nb".to_owned()));
        let many: Vec<String> = (0..1_000).map(|number| format!("{number}: {}", "x".repeat(1_000))).collect();
        let said = text(&many);
        assert!(said.len() <= LONGEST_TEXT + 100 && said.ends_with("and 992 more"), "{} {said:.20}", said.len());
        assert_eq!(text(&["x".repeat(1 << 20)]).len(), LONGEST_TEXT);
    }

    #[test]
    fn the_first_error_is_the_only_one_of_its_kind() {
        let mut out = Findings::default();
        out.warn("spec.a", None, "has no effect", "remove it");
        let error = |field: &str| Finding {
            level: Level::Error,
            field: field.to_owned(),
            value: None,
            rule: "is wrong".to_owned(),
            fix: "mend it".to_owned(),
        };
        out.once(error("spec.b"));
        out.once(error("spec.c"));
        let fields: Vec<_> = out.into_vec().into_iter().map(|finding| finding.field).collect();
        assert_eq!(fields, ["spec.a", "spec.b"]);
    }
}
