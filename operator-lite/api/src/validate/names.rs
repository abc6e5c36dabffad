//! Names, addresses and amounts as Kubernetes and Kafka write them. Pure.

use regex::{Error, RegexBuilder};

use crate::finding::Findings;

/// Longest name of most Kubernetes objects (RFC 1123 subdomain).
const NAME: usize = 253;
/// Longest name of a namespace (RFC 1123 label).
const LABEL: usize = 63;
/// Longest name of a Kafka topic.
const TOPIC: usize = 249;
/// Most regular expressions of a list: compiling one takes far longer than reading it.
const MOST_EXPRESSIONS: usize = 1_000;
/// Most bytes of a regular expression.
const LONGEST_EXPRESSION: usize = 4_096;
/// Most bytes that the regular expressions of a list may take once they are compiled, and one of them.
const COMPILED: (usize, usize) = (16 << 20, 1 << 20);

/// Whether a text is an RFC 1123 subdomain, as the names of Secrets and claims are.
pub(crate) fn is_object_name(text: &str) -> bool {
    text.len() <= NAME && text.split('.').all(is_part)
}

/// Whether a text is an RFC 1123 label, as the names of namespaces are.
#[must_use]
pub fn is_label(text: &str) -> bool {
    text.len() <= LABEL && is_part(text)
}

fn is_part(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.chars().all(|c| edge(c) || c == '-') && text.starts_with(edge) && text.ends_with(edge)
}

/// The name of an object in the cluster.
pub(crate) fn object_name(out: &mut Findings, field: &str, name: &str) {
    if !is_object_name(name) {
        let rule = "must be the name of an object: lower-case letters, digits, '-' and '.', at most 253, and a letter or \
                    a digit at both ends and beside each '.'";
        out.wrong(field, format!("{name:?}"), rule, "write such a name");
    }
}

/// The name of a namespace, which is shorter than that of another object, and has no dots.
pub(crate) fn namespace(out: &mut Findings, field: &str, name: &str) {
    if !is_label(name) {
        let rule = "must be the name of a namespace: lower-case letters, digits and '-', at most 63";
        out.wrong(field, format!("{name:?}"), rule, "write the name of a namespace");
    }
}

/// What the key of an id in a Secret is called, without capitals, blanks and marks: `AWS_ACCESS_KEY_ID`, `accessKey`, `rootUser`.
const IDS: [&str; 4] = ["id", "accesskey", "user", "username"];

/// The key of an id in a Secret. Ids go to `whom` in the open, beside what is signed or proved: another value of the Secret
/// must not stand in their place.
pub(crate) fn id_key(out: &mut Findings, field: &str, key: &str, whom: &str) {
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if !IDS.iter().any(|end| plain.ends_with(end)) {
        let rule = format!(
            "must be the key of an id: it goes to {whom} in the open, so its name must end in id, access-key, user or username"
        );
        out.wrong(field, format!("{key:?}"), &rule, "name the key of the id, and call it so in the Secret");
    }
}

/// A folder inside a volume.
pub(crate) fn sub_path(out: &mut Findings, field: &str, path: Option<&str>) {
    let Some(path) = path else { return };
    let inner = path.trim_end_matches('/');
    let has_gap = !inner.is_empty() && inner.split('/').any(str::is_empty);
    if path.starts_with('/') || has_gap || path.split('/').any(|part| part == "..") {
        let rule = "must stay inside the volume: a relative path without '..' and without an empty part";
        out.wrong(field, format!("{path:?}"), rule, "write a path like team/backups");
    }
}

/// A legal topic name, not a pattern.
pub(crate) fn is_topic(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=TOPIC).contains(&name.len()) && name.chars().all(legal) && name != "." && name != ".."
}

/// Regular expressions of one list, each of which has its share of what all may take.
pub(crate) struct Expressions {
    share: usize,
}

impl Expressions {
    /// Room for this many. Too many of them are an error, and none is looked at then.
    pub(crate) fn of(out: &mut Findings, field: &str, count: usize) -> Option<Self> {
        if count > MOST_EXPRESSIONS {
            let rule = format!("has more than {MOST_EXPRESSIONS} regular expressions");
            let fix = "join them with |, or write names and globs";
            out.wrong(field, format!("{count} regular expressions"), &rule, fix);
            return None;
        }
        let (all, one) = COMPILED;
        Some(Self { share: one.min(all / count.max(1)) })
    }

    /// Compiles one.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        if text.len() > LONGEST_EXPRESSION {
            return Err(format!("must have at most {LONGEST_EXPRESSION} bytes as a regular expression"));
        }
        RegexBuilder::new(text).size_limit(self.share).build().map(drop).map_err(|error| match error {
            Error::CompiledTooBig(most) => {
                format!("must take at most {most} bytes once it is compiled: fewer repetitions, and [a-z] in the place of \\w, take less")
            }
            other => {
                let reason = other.to_string().lines().last().unwrap_or_default().trim().to_owned();
                format!("must compile as a regular expression ({reason})")
            }
        })
    }
}

/// Topics by name, glob or `~` and a regular expression.
pub(crate) fn topic_patterns(out: &mut Findings, field: &str, patterns: &[String]) {
    let count = patterns.iter().filter(|pattern| pattern.starts_with('~')).count();
    let Some(expressions) = Expressions::of(out, field, count) else { return };
    for (number, pattern) in patterns.iter().enumerate() {
        let field = format!("{field}[{number}]");
        if pattern.is_empty() {
            out.wrong(&field, "\"\"", "must not be empty", "write a topic, a glob, or ~ and a regular expression");
        } else if let Some(text) = pattern.strip_prefix('~') {
            if text.is_empty() {
                let rule = "is an empty regular expression, which every topic has: all topics are meant";
                out.warn(
                    &field,
                    Some(format!("{pattern:?}")),
                    rule,
                    "write * for every topic, or an expression behind the ~",
                );
            } else if let Err(rule) = expressions.check(text) {
                out.wrong(&field, format!("{pattern:?}"), &rule, "mend the expression behind the ~");
            }
        } else if !is_topic(&pattern.replace(['*', '?'], "x")) {
            let rule = "must be a topic name (letters, digits, '.', '_', '-', at most 249), with * and ? in a glob";
            out.wrong(&field, format!("{pattern:?}"), rule, "put ~ before a regular expression");
        }
    }
}

/// The value of a label (apimachinery): at most 63 letters, digits, '-', '_', '.', not at its edges; or nothing.
pub(crate) fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63 && text.chars().all(inner) && (text.is_empty() || text.starts_with(edge) && text.ends_with(edge))
}

/// The key of a label or an annotation: a name, behind an optional domain and a slash.
pub(crate) fn is_label_key(text: &str) -> bool {
    let (domain, name) = text.split_once('/').map_or((None, text), |(domain, name)| (Some(domain), name));
    domain.is_none_or(is_object_name) && !name.is_empty() && is_label_value(name)
}

/// A Kubernetes quantity: a number with an optional suffix (apimachinery, `resource.Quantity`).
pub(crate) fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let number_fits = number.chars().any(|c| c.is_ascii_digit()) && number.matches('.').count() <= 1;
    let exponent = suffix.strip_prefix(['e', 'E']).is_some_and(|power| power.parse::<i32>().is_ok());
    let known = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    number_fits && (exponent || known.contains(&suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities() {
        for good in ["100Gi", "1", "0.5", "500m", "1e3", "12E", "1.5Ti", "1E2"] {
            assert!(is_quantity(good), "{good}");
        }
        for bad in ["", "Gi", "100GiB", "1 Gi", "1.2.3", "ten", "5g", "1e"] {
            assert!(!is_quantity(bad), "{bad}");
        }
    }

    fn patterns(all: &[String]) -> Vec<String> {
        let mut out = Findings::default();
        topic_patterns(&mut out, "spec.topics", all);
        out.into_vec().iter().map(ToString::to_string).collect()
    }

    /// A list that takes long to compile is refused before it is compiled.
    #[test]
    fn expressions_are_bounded() {
        let honest: Vec<String> =
            (0..200).map(|number| format!(r"~^team-{number}-\w+\.(orders|bills)-v\d+$")).collect();
        assert!(patterns(&honest).is_empty(), "{:?}", patterns(&honest));
        let many = vec!["~a".to_owned(); MOST_EXPRESSIONS + 1];
        let said = patterns(&many);
        assert!(
            said.len() == 1 && said[0].starts_with("spec.topics (1001 regular expressions): has more than"),
            "{said:?}"
        );
        let long = patterns(&[format!("~{}", "a".repeat(LONGEST_EXPRESSION + 1))]);
        assert!(long[0].contains("at most 4096 bytes"), "{long:?}");
        // It takes more than 1 MiB; the limit of the runner is ten times that.
        let wide = patterns(&[r"~\w{200}".to_owned()]);
        assert!(wide.len() == 1 && wide[0].contains("at most 1048576 bytes once it is compiled"), "{wide:?}");
    }

    #[test]
    fn labels() {
        assert!(
            is_label_key("strimzi.io/cluster") && is_label_key("app") && is_label_value("") && is_label_value("a_b")
        );
        assert!(!is_label_key("a/b/c") && !is_label_key("") && !is_label_key("A.b/") && !is_label_key("-a"));
        assert!(!is_label_value("a b") && !is_label_value(&"x".repeat(64)) && !is_label_value("a-"));
    }

    #[test]
    fn topics_and_objects() {
        assert!(is_topic("orders.v1_x-2") && !is_topic("") && !is_topic("..") && !is_topic("a b"));
        assert!(
            is_object_name("my-secret.v1") && !is_object_name("My") && !is_object_name("-a") && !is_object_name("")
        );
        assert!(!is_object_name("a..b") && !is_object_name("a.-b") && !is_object_name("a-.b"));
        assert!(is_label("shop-2") && !is_label("a.b") && !is_label(&"x".repeat(64)));
    }
}
