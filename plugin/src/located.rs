//! YAML documents that know where each of their fields stands. Pure.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::Spanned;

/// A place in a file, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineColumn {
    /// Line.
    pub line: u64,
    /// Column.
    pub column: u64,
}

/// A document.
#[derive(Debug)]
pub struct Document {
    root: Spanned<Node>,
}

#[derive(Debug)]
enum Node {
    Scalar(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

/// Reads all documents of a file, those of a `List` one by one; empty ones are left out.
///
/// # Errors
/// What does not read, with its place.
pub fn read(text: &str) -> Result<Vec<Document>, String> {
    let nodes: Vec<Spanned<Node>> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let full = nodes.into_iter().filter(|node| !matches!(node.value, Node::Scalar(Value::Null)));
    Ok(full.flat_map(|root| Document { root }.items()).collect())
}

impl Document {
    /// The documents of a `List`, as kubectl takes them apart; any other document is itself.
    fn items(self) -> Vec<Self> {
        if !self.is_list() {
            return vec![self];
        }
        let Node::Map(fields) = self.root.value else { return Vec::new() };
        let lists = fields.into_iter().filter_map(|(name, child)| match child.value {
            Node::List(items) if name.value == "items" => Some(items),
            // Only `items` of a `List` holds documents.
            _ => None,
        });
        lists.flatten().flat_map(|root| Self { root }.items()).collect()
    }

    fn is_list(&self) -> bool {
        let value = self.value();
        let text = |field: &str| value.get(field).and_then(Value::as_str);
        text("kind") == Some("List")
            && text("apiVersion") == Some("v1")
            && value.get("items").is_some_and(Value::is_array)
    }

    /// The document without its places.
    #[must_use]
    pub fn value(&self) -> Value {
        value(&self.root.value)
    }

    /// Where a field stands, written like `spec.topics[0]`; where it is missing, the nearest field above it.
    #[must_use]
    pub fn place(&self, path: &str) -> LineColumn {
        let mut node = &self.root;
        let mut at = place(node);
        let mut rest = path;
        while !rest.is_empty() {
            let Some((next, begins, left)) = step(node, rest) else { break };
            (node, at, rest) = (next, begins, left);
        }
        at
    }
}

fn place<T>(spanned: &Spanned<T>) -> LineColumn {
    LineColumn { line: spanned.referenced.line(), column: spanned.referenced.column() }
}

/// The child that the beginning of a path names, where it begins, and the rest of the path. Keys may hold dots, so the longest
/// one that fits counts.
fn step<'a, 'b>(node: &'a Spanned<Node>, path: &'b str) -> Option<(&'a Spanned<Node>, LineColumn, &'b str)> {
    match &node.value {
        Node::Map(fields) => {
            let fits = fields.iter().filter_map(|(name, child)| {
                let rest = path.strip_prefix(name.value.as_str())?;
                let ends = rest.is_empty() || rest.starts_with(['.', '[']);
                ends.then(|| (name, child, rest.strip_prefix('.').unwrap_or(rest)))
            });
            let (name, child, rest) = fits.max_by_key(|(name, ..)| name.value.len())?;
            Some((child, place(name), rest))
        }
        Node::List(items) => {
            let (number, rest) = path.strip_prefix('[')?.split_once(']')?;
            let item = items.get(number.parse::<usize>().ok()?)?;
            Some((item, place(item), rest.strip_prefix('.').unwrap_or(rest)))
        }
        Node::Scalar(_) => None,
    }
}

fn value(node: &Node) -> Value {
    match node {
        Node::Scalar(value) => value.clone(),
        Node::List(items) => items.iter().map(|item| value(&item.value)).collect(),
        Node::Map(fields) => {
            let fields = fields.iter().map(|(name, child)| (name.value.clone(), value(&child.value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(Number::from_f64(value).map_or(Value::Null, Value::Number)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.into()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Scalar(Value::Null))
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut out = Vec::new();
        while let Some(item) = items.next_element()? {
            out.push(item);
        }
        Ok(Node::List(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut out = Vec::new();
        while let Some(field) = fields.next_entry()? {
            out.push(field);
        }
        Ok(Node::Map(out))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "\
kind: KafkaBackup
spec:
  topics:
    - orders
    - 'pay.*'
  topicMapping:
    a.b: c
  count: 3
---
---
kind: Other
";

    #[test]
    fn a_list_is_taken_apart_and_its_items_know_their_place() {
        let text = "apiVersion: v1\nkind: List\nitems:\n  - kind: A\n    spec: {x: 1}\n  - kind: B\n---\nkind: List\n";
        let documents = read(text).unwrap();
        let kinds: Vec<_> = documents.iter().map(|document| document.value()["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B", "List"], "a List of another version is a document of its own");
        assert_eq!(documents.first().unwrap().place("spec.x"), LineColumn { line: 5, column: 12 });
    }

    #[test]
    fn fields_know_their_place() {
        let documents = read(TEXT).unwrap();
        assert_eq!(documents.len(), 2);
        let first = documents.first().unwrap();
        assert_eq!(
            first.value(),
            json!({"kind": "KafkaBackup", "spec": {"topics": ["orders", "pay.*"], "topicMapping": {"a.b": "c"}, "count": 3}})
        );
        for (path, line, column) in [
            ("kind", 1, 1),
            ("spec.topics", 3, 3),
            ("spec.topics[1]", 5, 7),
            ("spec.topicMapping.a.b", 7, 5),
            ("spec.count", 8, 3),
            ("spec.storage.s3", 2, 1),
        ] {
            assert_eq!(first.place(path), LineColumn { line, column }, "{path}");
        }
        assert_eq!(documents.last().unwrap().place("kind").line, 11);
    }

    #[test]
    fn what_does_not_read_is_placed() {
        let error = read("a: [1\nb: 2\n").unwrap_err();
        assert!(error.contains("line"), "{error}");
    }
}
