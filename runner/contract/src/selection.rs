//! Which topics or groups a run is about: patterns, pure.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use regex::RegexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How patterns are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PatternSyntax {
    /// `*` and `?` over the whole name; a leading `~` makes it a regular expression that may match anywhere.
    #[default]
    Glob,
    /// A regular expression over the whole name.
    Regex,
}

/// Compiled include and exclude patterns.
#[derive(Debug, Clone)]
pub struct Selection {
    include: Matcher,
    exclude: Matcher,
    literals: Vec<String>,
    all: bool,
}

#[derive(Debug, Clone)]
struct Matcher {
    globs: GlobSet,
    regexes: RegexSet,
}

impl Matcher {
    fn matches(&self, name: &str) -> bool {
        self.globs.is_match(name) || self.regexes.is_match(name)
    }
}

impl Selection {
    /// Compiles patterns; an empty `include` selects everything.
    ///
    /// # Errors
    /// The pattern that does not compile, and why.
    pub fn new(include: &[String], exclude: &[String], syntax: PatternSyntax) -> Result<Self, String> {
        let is_literal = |p: &&String| syntax == PatternSyntax::Glob && !p.starts_with('~') && !p.contains(['*', '?']);
        Ok(Self {
            include: compile(include, syntax)?,
            exclude: compile(exclude, syntax)?,
            literals: include.iter().filter(is_literal).cloned().collect(),
            all: include.is_empty(),
        })
    }

    /// Whether this name is wanted.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        (self.all || self.include.matches(name)) && !self.exclude.matches(name)
    }

    /// Names that were given without wildcards: each must exist.
    #[must_use]
    pub fn literals(&self) -> &[String] {
        &self.literals
    }
}

fn compile(patterns: &[String], syntax: PatternSyntax) -> Result<Matcher, String> {
    let mut globs = GlobSetBuilder::new();
    let mut regexes = Vec::new();
    for pattern in patterns {
        match (syntax, pattern.strip_prefix('~')) {
            (_, None | Some(_)) if pattern.is_empty() => return Err("an empty pattern matches nothing".into()),
            (PatternSyntax::Regex, _) => {
                check_regex(pattern, pattern)?;
                regexes.push(format!("^(?:{pattern})$"));
            }
            (PatternSyntax::Glob, Some(regex)) => {
                check_regex(pattern, regex)?;
                regexes.push(regex.to_owned());
            }
            (PatternSyntax::Glob, None) => {
                globs.add(glob(pattern)?);
            }
        }
    }
    Ok(Matcher {
        globs: globs.build().map_err(|_| "the globs are too many or too long together; use fewer".to_owned())?,
        regexes: RegexSet::new(&regexes)
            .map_err(|_| "the regular expressions are too large together; use fewer or shorter ones".to_owned())?,
    })
}

/// One regular expression of a pattern, with the reason on one line where it does not compile.
fn check_regex(pattern: &str, regex: &str) -> Result<(), String> {
    regex::Regex::new(regex).map(drop).map_err(|error| {
        let words = error.to_string();
        let reason = words.lines().last().unwrap_or_default().trim().trim_start_matches("error: ");
        let reason = if words.lines().count() > 1 { reason } else { "it is too large" };
        format!("{pattern:?} does not compile as a regular expression ({reason}); mend it")
    })
}

/// Only `*` and `?` are special: topic names cannot hold the other characters, so they are taken literally.
fn glob(pattern: &str) -> Result<globset::Glob, String> {
    let mut escaped = String::new();
    for c in pattern.chars() {
        if "[]{}!\\".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    GlobBuilder::new(&escaped)
        .backslash_escape(true)
        .build()
        .map_err(|_| format!("{pattern:?} is no glob; write a name with * and ?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(include: &[&str], exclude: &[&str], syntax: PatternSyntax) -> Selection {
        let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
        Selection::new(&owned(include), &owned(exclude), syntax).unwrap()
    }

    #[test]
    fn globs_match_whole_names() {
        let s = select(&["orders", "events-*", "log.?"], &["events-old*"], PatternSyntax::Glob);
        for (name, wanted) in [
            ("orders", true),
            ("orders2", false),
            ("events-a.b", true),
            ("events-old1", false),
            ("log.1", true),
            ("log.12", false),
        ] {
            assert_eq!(s.matches(name), wanted, "{name}");
        }
        assert_eq!(s.literals(), ["orders"]);
    }

    #[test]
    fn a_tilde_makes_an_unanchored_regex_and_regex_syntax_is_anchored() {
        assert!(select(&["~^ord"], &[], PatternSyntax::Glob).matches("orders"));
        assert!(select(&["~der"], &[], PatternSyntax::Glob).matches("orders"));
        let s = select(&["orders.*", "a|b"], &[], PatternSyntax::Regex);
        assert!(s.matches("orders") && s.matches("b") && !s.matches("xorders") && !s.matches("ab"));
        assert!(s.literals().is_empty());
    }

    #[test]
    fn bad_patterns_are_refused_and_nothing_selects_everything() {
        assert!(Selection::new(&["~(".into()], &[], PatternSyntax::Glob).is_err());
        assert!(Selection::new(&[String::new()], &[], PatternSyntax::Glob).is_err());
        assert!(select(&[], &["b"], PatternSyntax::Glob).matches("a"));
    }
}
