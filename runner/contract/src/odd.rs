//! Characters and lengths that values of users must not have: they become headers, addresses and properties, and what
//! builds those may end a process over one line feed. Pure.

use serde_json::Value;

/// Longest text of a specification: that of Kafka's own strings.
const LONGEST: usize = 32_767;
/// Longest single value of a secret.
const LONGEST_VALUE: usize = 16 << 10;

/// The first control character of a text, with its name and place.
#[must_use]
pub fn control_character(text: &str) -> Option<String> {
    let place = text.chars().position(char::is_control)?;
    let name = match text.chars().nth(place)? {
        '\n' => "a line feed".to_owned(),
        '\r' => "a carriage return".to_owned(),
        '\t' => "a tab".to_owned(),
        '\0' => "a zero byte".to_owned(),
        other => format!("the control character U+{:04X}", u32::from(other)),
    };
    Some(format!("{name} at character {}", place + 1))
}

/// Every text of a document that no field can have: its path, and the rule that it breaks.
#[must_use]
pub fn texts(document: &Value) -> Vec<(String, String)> {
    let mut out = Vec::new();
    walk(document, "", &mut out);
    out
}

fn walk(value: &Value, at: &str, out: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => out.extend(rule(text).map(|rule| (at.to_owned(), rule))),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(number, value)| walk(value, &format!("{at}[{number}]"), out));
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
                match rule(name) {
                    Some(rule) => out.push((at.to_owned(), format!("has a key that {rule}"))),
                    None => walk(value, &inner, out),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn rule(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return Some(format!("has {} bytes; at most {LONGEST} are taken", text.len()));
    }
    control_character(text).map(|what| format!("has {what}; remove it"))
}

/// What is wrong with a single value out of a secret, which goes into a header of requests: a key id, a token.
#[must_use]
pub fn header_value(text: &str) -> Option<String> {
    one_line(text).or_else(|| {
        let odd = text.chars().position(|c| !c.is_ascii_graphic())?;
        let what = if text.chars().nth(odd) == Some(' ') { "a blank" } else { "a character that is not ASCII" };
        Some(format!("has {what} at character {}, and it can have none", odd + 1))
    })
}

/// What is wrong with a value out of a secret that stands on one line: a secret key, a password.
#[must_use]
pub fn one_line(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("is empty".to_owned());
    }
    if text.len() > LONGEST_VALUE {
        return Some(format!("has {} bytes, which is no such value but a whole file or more", text.len()));
    }
    if let Some(what) = control_character(text) {
        return Some(format!("has {what}; it must be the bare value on one line"));
    }
    kept(text)
}

/// What the reader of a credentials file takes as part of the value, and nobody means so.
fn kept(text: &str) -> Option<String> {
    let quoted = |quote: char| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote);
    if quoted('"') || quoted('\'') {
        return Some("has quotes around it, which count as a part of the value; remove them".to_owned());
    }
    let comment = text.contains(" #") || text.contains(" ;");
    comment.then(|| "has a comment behind it, which counts as a part of the value; remove it".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_characters_are_named_and_never_shown() {
        assert_eq!(control_character("ab\ncd").as_deref(), Some("a line feed at character 3"));
        assert_eq!(control_character("\u{1b}").as_deref(), Some("the control character U+001B at character 1"));
        assert_eq!(control_character("ä b"), None);
        let pasted = header_value("[default]\naws_access_key_id = AKIA").unwrap();
        assert!(pasted.contains("a line feed at character 10") && !pasted.contains("AKIA"), "{pasted}");
        for (bad, word) in [
            ("", "empty"),
            ("a b", "a blank"),
            ("ä", "ASCII"),
            ("\"AK\"", "quotes"),
            ("'AK'", "quotes"),
            ("AK # mine", "comment"),
        ] {
            assert!(header_value(bad).unwrap().contains(word), "{bad}");
        }
        assert_eq!(header_value("AKIA+/=${X}"), None);
        assert_eq!(one_line("pass wörd"), None);
        assert!(one_line(&"x".repeat(100_000)).unwrap().contains("100000 bytes"));
    }

    #[test]
    fn every_text_of_a_document_is_looked_at() {
        let document = serde_json::json!({"a": {"b": ["x", "y\n"]}, "c\t": 1, "d": "x".repeat(40_000)});
        let found = texts(&document);
        assert_eq!(found.iter().map(|(at, _)| at.as_str()).collect::<Vec<_>>(), ["a.b[1]", "", "d"], "{found:?}");
    }
}
