//! Patterns of topics and groups as the two groups write them, and as runs read them. Pure.
//!
//! Runs read one form: names, globs, and regular expressions behind a `~` that may match anywhere. A pattern that means a whole
//! name is anchored. A plain name stays a name: a run asks that the topic is there.

use contract::names::check_topic;
use regex::Regex;

/// How a group writes patterns of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patterns {
    /// Regular expressions over the whole name; what is none and reads as a glob is one (`backup.strimzi.io`).
    Regex,
    /// Globs, or `~` and a regular expression (`kafkabackup.com`).
    Glob,
}

/// Whether a pattern reads as a glob.
pub(crate) fn is_glob(pattern: &str) -> bool {
    check_topic(&pattern.replace(['*', '?'], "x")).is_ok()
}

/// Whether a pattern is read as a regular expression. A name is one that stands for itself.
pub(crate) fn is_expression(pattern: &str, kind: Patterns) -> bool {
    let is_name = check_topic(pattern).is_ok();
    !is_name && (kind == Patterns::Regex || pattern.starts_with('~') || !is_glob(pattern))
}

/// A pattern of topics as runs read it.
pub(crate) fn of_topics(pattern: &str, kind: Patterns) -> String {
    if !is_expression(pattern, kind) || (kind == Patterns::Glob && pattern.starts_with('~')) {
        return pattern.to_owned();
    }
    if is_glob(pattern) && Regex::new(pattern).is_err() {
        return pattern.to_owned();
    }
    whole(pattern)
}

/// A pattern of consumer groups, which is a regular expression over the whole name in both groups, as runs read it.
pub(crate) fn of_groups(pattern: &str) -> String {
    if check_topic(pattern).is_ok() { pattern.to_owned() } else { whole(pattern) }
}

/// The name of a consumer group as runs read it: nothing in it stands for something else.
pub(crate) fn group(name: &str) -> String {
    if check_topic(name).is_ok() { name.to_owned() } else { whole(&regex::escape(name)) }
}

fn whole(expression: &str) -> String {
    format!("~^(?:{expression})$")
}

#[cfg(test)]
mod tests {
    use contract::{PatternSyntax, Selection};

    use super::*;

    fn meant(pattern: &str, kind: Patterns, name: &str) -> bool {
        let patterns = [of_topics(pattern, kind)];
        Selection::new(&patterns, &[], PatternSyntax::Glob).unwrap().matches(name)
    }

    #[test]
    fn a_pattern_means_in_a_run_what_its_group_says() {
        for (pattern, kind, name, matches) in [
            ("orders.*", Patterns::Regex, "orders", true),
            ("orders.*", Patterns::Regex, "my-orders", false),
            ("orders.eu", Patterns::Regex, "orders.eu", true),
            ("orders.eu", Patterns::Regex, "orders-eu", false),
            ("a|b", Patterns::Regex, "b", true),
            ("a|b", Patterns::Regex, "ab", false),
            ("__.*", Patterns::Regex, "__consumer_offsets", true),
            ("*", Patterns::Regex, "anything", true),
            ("orders.*", Patterns::Glob, "orders", false),
            ("orders.*", Patterns::Glob, "orders.eu", true),
            ("~^ord", Patterns::Glob, "orders", true),
            ("~ord", Patterns::Glob, "my-orders", true),
            ("(a|b)", Patterns::Glob, "a", true),
            ("(a|b)", Patterns::Glob, "ab", false),
        ] {
            assert_eq!(meant(pattern, kind, name), matches, "{pattern} {kind:?} {name}");
        }
        let names = [of_topics("orders.eu", Patterns::Regex)];
        let read = Selection::new(&names, &[], PatternSyntax::Glob).unwrap();
        assert_eq!(read.literals(), ["orders.eu"], "a name must be there");
    }

    #[test]
    fn a_group_is_never_taken_for_another() {
        for name in ["app", "~app", "a*", "(x)", "a b"] {
            let patterns = [group(name)];
            let read = Selection::new(&patterns, &[], PatternSyntax::Glob).unwrap();
            for other in ["app", "~app", "a*", "ab", "(x)", "x", "a b"] {
                assert_eq!(read.matches(other), name == other, "{name} {other}");
            }
        }
        let patterns = [of_groups("shop-.*")];
        let read = Selection::new(&patterns, &[], PatternSyntax::Glob).unwrap();
        assert!(read.matches("shop-1") && !read.matches("a-shop-1"));
    }
}
