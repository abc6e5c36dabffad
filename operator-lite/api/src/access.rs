//! What the author of a resource must be allowed to do, because the resource does it for them. Pure: the webhook asks
//! the cluster (SubjectAccessReview).

use serde_json::Value;

use crate::{inspection, oso, strimzi};

/// A question to the cluster: may the author do this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Verb.
    pub verb: &'static str,
    /// API group.
    pub group: &'static str,
    /// Resource, plural.
    pub resource: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name; any when empty.
    pub name: String,
    /// The field that asks for it.
    pub field: &'static str,
}

/// The questions that a resource of `group` in `namespace` raises. `old` is its specification before an update: what
/// stood there already was asked before.
#[must_use]
pub fn questions(group: &str, namespace: &str, spec: &Value, old: Option<&Value>) -> Vec<Question> {
    let mut out = Vec::new();
    let text = |spec: &Value, path: &[&str]| {
        let found = path.iter().try_fold(spec, |value, name| value.get(name));
        found.and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let is_new = |path: &[&str]| {
        let at = |spec: &Value| path.iter().try_fold(spec, |value, name| value.get(name)).cloned();
        at(spec).filter(|value| !value.is_null()) != old.and_then(at)
    };
    if group == oso::GROUP {
        if let Some(other) = text(spec, &["backupRef", "namespace"]).filter(|other| other != namespace)
            && is_new(&["backupRef"])
        {
            out.push(Question {
                verb: "get",
                group: oso::GROUP,
                resource: "kafkabackups",
                namespace: other,
                name: text(spec, &["backupRef", "name"]).unwrap_or_default(),
                field: "spec.backupRef.namespace",
            });
        }
        return out;
    }
    if group == inspection::GROUP && old.is_none() {
        let ask = |verb, field| Question {
            verb,
            group: oso::GROUP,
            resource: "kafkabackups",
            namespace: namespace.to_owned(),
            name: text(spec, &["backupRef", "name"]).unwrap_or_default(),
            field,
        };
        out.push(ask("inspect", "spec.backupRef"));
        if text(spec, &["level"]).as_deref() == Some("peek") {
            out.push(ask("peek", "spec.level"));
        }
        return out;
    }
    if group != strimzi::GROUP && group != strimzi::RELEASED_GROUP {
        return out;
    }
    if let Some(other) = text(spec, &["strimziClusterRef", "namespace"]).filter(|other| other != namespace)
        && is_new(&["strimziClusterRef"])
    {
        out.push(Question {
            verb: "get",
            group: "kafka.strimzi.io",
            resource: "kafkas",
            namespace: other,
            name: text(spec, &["strimziClusterRef", "name"]).unwrap_or_default(),
            field: "spec.strimziClusterRef.namespace",
        });
    }
    // These decide what the pod runs and sees: who may not make pods must not make them through us.
    for (field, path) in [("spec.image", "image"), ("spec.env", "env"), ("spec.template", "template")] {
        if spec.get(path).is_some_and(|value| !value.is_null()) && is_new(&[path]) {
            out.push(Question {
                verb: "create",
                group: "",
                resource: "pods",
                namespace: namespace.to_owned(),
                name: String::new(),
                field,
            });
        }
    }
    out
}

impl Question {
    /// What to tell an author who may not.
    #[must_use]
    pub fn refusal(&self, user: &str) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let object = if self.name.is_empty() { String::new() } else { format!(" {:?}", self.name) };
        format!(
            "{}: {user} may not {} {}{group}{object} in namespace {:?}, which this field would do; ask for that right, or \
             leave the field out",
            self.field, self.verb, self.resource, self.namespace
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn another_namespace_is_asked_for() {
        let spec = json!({"backupRef": {"name": "orders", "namespace": "prod"}});
        let asked = questions(oso::GROUP, "dev", &spec, None);
        assert_eq!(asked.len(), 1);
        assert_eq!((asked[0].verb, asked[0].resource, asked[0].namespace.as_str()), ("get", "kafkabackups", "prod"));
        assert!(
            asked[0].refusal("ann").contains("spec.backupRef.namespace: ann may not get kafkabackups.kafka.oso.sh")
        );
        assert!(questions(oso::GROUP, "prod", &spec, None).is_empty());
        assert!(questions(oso::GROUP, "dev", &spec, Some(&spec)).is_empty());
    }

    #[test]
    fn looking_and_reading_are_two_rights() {
        let spec = |level: &str| json!({"backupRef": {"name": "orders"}, "level": level});
        let verbs = |level: &str| {
            let asked = questions(inspection::GROUP, "prod", &spec(level), None);
            asked.iter().map(|q| (q.verb, q.resource, q.name.clone())).collect::<Vec<_>>()
        };
        assert_eq!(verbs("inspect"), [("inspect", "kafkabackups", "orders".to_owned())]);
        assert_eq!(verbs("peek").iter().map(|q| q.0).collect::<Vec<_>>(), ["inspect", "peek"]);
    }

    #[test]
    fn what_shapes_the_pod_is_asked_for() {
        let spec =
            json!({"strimziClusterRef": {"name": "events"}, "image": "mine", "env": [{"name": "A"}], "template": {}});
        let asked = questions(strimzi::RELEASED_GROUP, "kafka", &spec, None);
        assert_eq!(asked.iter().map(|q| q.field).collect::<Vec<_>>(), ["spec.image", "spec.env", "spec.template"]);
        let before = json!({"image": "other", "env": [{"name": "A"}], "template": {}});
        let asked = questions(strimzi::GROUP, "kafka", &spec, Some(&before));
        assert_eq!(asked.iter().map(|q| q.field).collect::<Vec<_>>(), ["spec.image"]);
    }
}
