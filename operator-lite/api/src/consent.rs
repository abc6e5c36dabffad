//! What a KafkaBackup lets restores of other namespaces do. The right of an author is one thing: accounts that apply for every
//! tenant have it everywhere. Whoever owns the backup says who may read it. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::finding::Findings;
use crate::oso;
use crate::validate::names::is_label;

/// Namespaces whose restores may read the KafkaBackup, by commas; `*` is every one. Its own needs no word.
pub const RESTORE_ANNOTATION: &str = "kafka.oso.sh/restore-namespaces";

/// A KafkaBackup of another namespace that a resource reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The namespace of whoever reads it.
    pub reader: String,
}

impl Consent {
    /// The consent that a document needs, if any. A storage that stands in the document itself is nobody's backup.
    #[must_use]
    pub fn needed(document: &Value) -> Option<Self> {
        let text = |path: &str| document.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (group, _) = text("/apiVersion")?.split_once('/')?;
        let is_stored_here = document.pointer("/spec/backupRef/storage").is_some_and(|storage| !storage.is_null());
        if group != oso::GROUP || is_stored_here {
            return None;
        }
        Self::between(text("/spec/backupRef/namespace")?, text("/spec/backupRef/name")?, text("/metadata/namespace")?)
    }

    /// The same of a reference that was read; `None` where both are in one namespace.
    #[must_use]
    pub fn between(namespace: &str, name: &str, reader: &str) -> Option<Self> {
        let own = |text: &str| text.to_owned();
        (namespace != reader).then(|| Self { namespace: own(namespace), name: own(name), reader: own(reader) })
    }

    /// Whether a KafkaBackup with these annotations gives it.
    #[must_use]
    pub fn is_given(&self, annotations: &BTreeMap<String, String>) -> bool {
        let list = annotations.get(RESTORE_ANNOTATION);
        list.is_some_and(|list| entries(list).any(|entry| entry == "*" || entry == self.reader))
    }

    /// What to tell whoever reads it without.
    #[must_use]
    pub fn refusal(&self) -> String {
        format!(
            "spec.backupRef.namespace: KafkaBackup {:?} in namespace {:?} does not let restores of namespace {:?} read it; have \
             its owner add {:?} to its annotation {RESTORE_ANNOTATION}",
            self.name, self.namespace, self.reader, self.reader
        )
    }

    /// What to tell where the KafkaBackup is not there, or may not be read by the operator.
    #[must_use]
    pub fn unknown(&self, why: &str) -> String {
        format!(
            "spec.backupRef: whether KafkaBackup {:?} in namespace {:?} lets restores of namespace {:?} read it \
             ({RESTORE_ANNOTATION}) is not known: {why}",
            self.name, self.namespace, self.reader
        )
    }
}

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// Judges the annotation of a KafkaBackup.
pub(crate) fn check(out: &mut Findings, annotation: &Value) {
    let good = |list: &str| entries(list).all(|entry| entry == "*" || is_label(entry));
    if !annotation.as_str().is_some_and(good) {
        let rule = "must be names of namespaces by commas, or *";
        let fix = "write them like team-a, team-b";
        out.wrong(&format!("metadata.annotations[{RESTORE_ANNOTATION}]"), annotation, rule, fix);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn restore(spec: &Value) -> Value {
        json!({"apiVersion": "kafka.oso.sh/v1alpha1", "kind": "KafkaRestore", "metadata": {"namespace": "dev"},
               "spec": {"backupRef": spec}})
    }

    #[test]
    fn a_backup_of_another_namespace_must_say_yes() {
        let consent = Consent::needed(&restore(&json!({"name": "orders", "namespace": "prod"}))).unwrap();
        let given = |list: &str| consent.is_given(&BTreeMap::from([(RESTORE_ANNOTATION.to_owned(), list.to_owned())]));
        assert!(given("dev") && given("test, dev") && given("*"));
        assert!(!given("") && !given("prod") && !given("development") && !given("dev*") && !given("DEV"));
        assert!(!consent.is_given(&BTreeMap::new()), "nobody said yes");
        let text = consent.refusal();
        assert!(text.contains("\"orders\" in namespace \"prod\"") && text.contains("restore-namespaces"), "{text}");
    }

    #[test]
    fn ones_own_backup_and_ones_own_storage_need_no_word() {
        for own in [
            json!({"name": "orders"}),
            json!({"name": "orders", "namespace": "dev"}),
            json!({"name": "orders", "namespace": ""}),
            json!({"name": "orders", "namespace": "prod", "storage": {"pvc": {"claimName": "a"}}}),
        ] {
            assert_eq!(Consent::needed(&restore(&own)), None, "{own}");
        }
    }

    #[test]
    fn what_is_no_list_of_namespaces_is_refused() {
        let errors = |value: Value| {
            let mut out = Findings::default();
            check(&mut out, &value);
            out.into_vec().len()
        };
        assert_eq!(errors(json!("a, b-c,*")), 0);
        for wrong in [json!("A"), json!("a b"), json!("a,,b"), json!(1), json!("")] {
            assert_eq!(errors(wrong.clone()), 1, "{wrong}");
        }
    }
}
