//! What the author of a resource must be allowed to do, because the resource does it for them. Pure: the webhook asks
//! the cluster (SubjectAccessReview).

use serde_json::{Value, json};

use crate::checked::Checked;
use crate::{inspection, oso};

const BACKUPS: &str = "kafkabackups";
const RESTORES: &str = "kafkarestores";
const RESETS: &str = "kafkaoffsetresets";

/// Most questions of a document: each is a request to the API server. A run takes fewer than ten Secrets.
pub const MOST: usize = 64;

/// What a refusal ends with where the run would read the storage of another resource.
const READS_IT: &str = "whose storage the run would read with the Secrets of that resource; ask for that right, or say where the file is \
                        and how it is read: a storage or a volume of your own";
/// What most refusals end with.
const LEAVE_OUT: &str = "which this field would do; ask for that right, or leave the field out";
/// What a refusal ends with where somebody else decides on the storage.
const OWN_STORAGE: &str = "and the storage of a KafkaBackup of another namespace may name any of them, now or later; ask for that \
                           right, or write a storage with Secrets of your own into backupRef.storage";

/// A question to the cluster: may the author do this?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Verb.
    pub verb: &'static str,
    /// API group.
    pub group: String,
    /// Resource, plural.
    pub resource: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name; all of them when empty.
    pub name: String,
    /// The field that asks for it.
    pub field: String,
    /// Whether releases before did not ask it: an installation may let it pass with a warning for a while.
    pub is_recent: bool,
    /// Why that is asked and what to do, as the end of a refusal.
    pub why: &'static str,
}

/// The questions that a document raises, whenever its specification changes: who changes what a field leads to does as much
/// as who sets it. `old` is the specification before.
#[must_use]
pub fn questions(document: &Value, old: Option<&Value>) -> Vec<Question> {
    let text = |path: &str| document.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let Some((group, _)) = text("/apiVersion").split_once('/') else { return Vec::new() };
    let (kind, namespace) = (text("/kind"), text("/metadata/namespace"));
    let spec = document.get("spec").unwrap_or(&Value::Null);
    if old == Some(spec) {
        return Vec::new();
    }
    if group == inspection::GROUP {
        // It cannot be changed.
        return match (old, field(spec, "/level")) {
            (Some(_), _) => Vec::new(),
            (None, Some("check")) => checks(namespace, spec),
            (None, _) => looks(namespace, spec),
        };
    }
    let mut out = secrets(namespace, spec);
    match kind {
        "KafkaRestore" => out.extend(restores(group, namespace, spec)),
        "KafkaBackupValidation" => out.extend(validations(group, namespace, spec)),
        // The others read no archive.
        _ => {}
    }
    if group == oso::GROUP {
        out.extend(storage_of_resource(kind, namespace, spec));
        out.extend(elsewhere(spec, "backupRef", namespace, (oso::GROUP, BACKUPS)));
        out.extend(storage_of_others(namespace, spec));
    } else {
        out.extend(elsewhere(spec, "strimziClusterRef", namespace, ("kafka.strimzi.io", "kafkas")));
        out.extend(shapes_of_pods(namespace, spec));
    }
    out
}

fn field<'a>(spec: &'a Value, path: &str) -> Option<&'a str> {
    spec.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A run takes the Secrets of its namespace to the hosts that the same document names.
fn secrets(namespace: &str, spec: &Value) -> Vec<Question> {
    let ask = |(name, field)| Question {
        verb: "get",
        group: String::new(),
        resource: "secrets",
        namespace: namespace.to_owned(),
        name,
        field,
        is_recent: true,
        why: LEAVE_OUT,
    };
    crate::secrets::named(spec).into_iter().map(ask).collect()
}

/// A restore shows every record to whoever reads its target. A storage that the restore names itself is reached by its
/// Secrets, which are asked about.
fn restores(group: &str, namespace: &str, spec: &Value) -> Option<Question> {
    let name = field(spec, "/backupRef/name")?;
    if has_storage(spec) {
        return None;
    }
    Some(Question {
        verb: "restore",
        group: group.to_owned(),
        resource: BACKUPS,
        namespace: field(spec, "/backupRef/namespace").unwrap_or(namespace).to_owned(),
        name: name.to_owned(),
        field: "spec.backupRef".to_owned(),
        is_recent: true,
        why: LEAVE_OUT,
    })
}

/// A validation looks into an archive as an inspection does: it tells names, counts and whether all is whole, and no record.
/// With `restoreRef`, its pod takes the Secrets of that KafkaRestore to where its state lies, as a check does.
fn validations(group: &str, namespace: &str, spec: &Value) -> Vec<Question> {
    let ask = |verb, resource, namespace: &str, name: &str, at: &str| Question {
        verb,
        group: group.to_owned(),
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        field: at.to_owned(),
        is_recent: false,
        why: LEAVE_OUT,
    };
    let backup = field(spec, "/backupRef/name").filter(|_| !has_storage(spec)).map(|name| {
        let place = field(spec, "/backupRef/namespace").unwrap_or(namespace);
        ask("inspect", BACKUPS, place, name, "spec.backupRef")
    });
    let restore = field(spec, "/restoreRef/name");
    backup.into_iter().chain(restore.map(|name| ask("check", RESTORES, namespace, name, "spec.restoreRef"))).collect()
}

/// Whether a reference to a KafkaBackup has a storage of its own.
fn has_storage(spec: &Value) -> bool {
    spec.pointer("/backupRef/storage").is_some_and(|storage| !storage.is_null())
}

/// A KafkaBackup of another namespace says which Secrets of this one are used, and where; its owner may change that at any time. So
/// its author must be allowed to get all of them.
fn storage_of_others(namespace: &str, spec: &Value) -> Option<Question> {
    field(spec, "/backupRef/namespace").filter(|other| *other != namespace && !has_storage(spec))?;
    Some(Question {
        verb: "get",
        group: String::new(),
        resource: "secrets",
        namespace: namespace.to_owned(),
        name: String::new(),
        field: "spec.backupRef.namespace".to_owned(),
        is_recent: true,
        why: OWN_STORAGE,
    })
}

/// A reset by a mapping reads the storage of the restore that wrote it, and a rollback that of the resource that saved the
/// offsets, with that one's Secrets: its author was asked for these, and not the author of this one.
fn storage_of_resource(kind: &str, namespace: &str, spec: &Value) -> Option<Question> {
    let (resource, name, at) = match kind {
        "KafkaOffsetReset" => (RESTORES, mapped_by(spec)?, "spec.offsetMappingRef"),
        "KafkaOffsetRollback" => saved_by(spec)?,
        _ => return None,
    };
    Some(Question {
        verb: "restore",
        group: oso::GROUP.to_owned(),
        resource,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        field: at.to_owned(),
        is_recent: true,
        why: READS_IT,
    })
}

/// The restore whose storage a reset reads; any of the namespace when empty: the newest is taken then.
fn mapped_by(spec: &Value) -> Option<&str> {
    field(spec, "/resetStrategy").filter(|strategy| *strategy == "from-mapping")?;
    let named = field(spec, "/offsetMappingRef/restoreName");
    let has_place = |at| field(spec, at).is_some();
    if has_place("/offsetMappingRef/pvcName") || named.is_none() && has_place("/offsetMappingRef/path") {
        return None;
    }
    Some(named.unwrap_or_default())
}

/// The resource whose storage a rollback reads.
fn saved_by(spec: &Value) -> Option<(&'static str, &str, &'static str)> {
    // A storage of its own counts more.
    if spec.get("stateStorage").is_some_and(|storage| !storage.is_null()) {
        return None;
    }
    if let Some(name) = field(spec, "/snapshotRef/restoreRef") {
        return Some((RESTORES, name, "spec.snapshotRef.restoreRef"));
    }
    field(spec, "/snapshotRef/offsetResetRef").map(|name| (RESETS, name, "spec.snapshotRef.offsetResetRef"))
}

/// A reference into another namespace.
fn elsewhere(
    spec: &Value,
    reference: &str,
    namespace: &str,
    (group, resource): (&str, &'static str),
) -> Option<Question> {
    let other = field(spec, &format!("/{reference}/namespace")).filter(|other| *other != namespace)?;
    Some(Question {
        verb: "get",
        group: group.to_owned(),
        resource,
        namespace: other.to_owned(),
        name: field(spec, &format!("/{reference}/name")).unwrap_or_default().to_owned(),
        field: format!("spec.{reference}.namespace"),
        is_recent: false,
        why: LEAVE_OUT,
    })
}

/// These decide what the pod runs and sees: who may not make pods must not make them through us.
fn shapes_of_pods(namespace: &str, spec: &Value) -> Vec<Question> {
    let is_set = |name: &&str| spec.get(name).is_some_and(|value| !value.is_null());
    let ask = |name: &str| Question {
        verb: "create",
        group: String::new(),
        resource: "pods",
        namespace: namespace.to_owned(),
        name: String::new(),
        field: format!("spec.{name}"),
        is_recent: false,
        why: LEAVE_OUT,
    };
    ["image", "env", "template"].iter().filter(|name| is_set(name)).map(|name| ask(name)).collect()
}

fn looks(namespace: &str, spec: &Value) -> Vec<Question> {
    let ask = |verb, at: &str| Question {
        verb,
        group: oso::GROUP.to_owned(),
        resource: BACKUPS,
        namespace: namespace.to_owned(),
        name: field(spec, "/backupRef/name").unwrap_or_default().to_owned(),
        field: at.to_owned(),
        is_recent: false,
        why: LEAVE_OUT,
    };
    let mut out = vec![ask("inspect", "spec.backupRef")];
    // For `compare` and `diff`, the pod takes the KafkaBackup's Secrets to its brokers, as a run does.
    let more = ["peek", "compare", "diff"].into_iter().filter(|level| field(spec, "/level") == Some(*level));
    out.extend(more.map(|level| ask(level, "spec.level")));
    out
}

/// A check takes the resource's Secrets to the hosts that it names, and shows names of topics and groups. Of a resource that
/// is in the cluster, its author was asked for the Secrets. One that is not takes all that making it takes.
fn checks(namespace: &str, spec: &Value) -> Vec<Question> {
    let ask = |verb, (group, resource): (&str, &'static str), name: Option<&str>, at: &str| Question {
        verb,
        group: group.to_owned(),
        resource,
        namespace: namespace.to_owned(),
        name: name.unwrap_or_default().to_owned(),
        field: at.to_owned(),
        is_recent: false,
        why: LEAVE_OUT,
    };
    if let Some(resource) = spec.get("resource").filter(|resource| resource.is_object()) {
        // Of what cannot be checked, the rule of the field says so; nothing is asked that could be granted by chance.
        let kind = Checked::of_document(resource).map_or((oso::GROUP, BACKUPS), |known| (known.group, known.plural));
        let name = field(resource, "/metadata/name");
        let mut out = vec![ask("check", kind, name, "spec.resource"), ask("create", kind, name, "spec.resource")];
        let mut made = resource.clone();
        if let Some(fields) = made.as_object_mut() {
            fields.insert("metadata".to_owned(), json!({"namespace": namespace}));
        }
        out.extend(questions(&made, None).into_iter().map(|asked| {
            // Nobody has checked files before this right was there: no installation needs time for it.
            Question { field: format!("spec.resource.{}", asked.field), is_recent: false, ..asked }
        }));
        return out;
    }
    if let Some(reference) = spec.get("resourceRef").filter(|reference| reference.is_object()) {
        let kind = Checked::of_document(reference).map_or((oso::GROUP, BACKUPS), |known| (known.group, known.plural));
        return vec![ask("check", kind, field(reference, "/name"), "spec.resourceRef")];
    }
    match field(spec, "/restoreRef/name") {
        Some(name) => vec![ask("check", (oso::GROUP, RESTORES), Some(name), "spec.restoreRef")],
        None => vec![ask("check", (oso::GROUP, BACKUPS), field(spec, "/backupRef/name"), "spec.backupRef")],
    }
}

impl Question {
    /// What to tell an author who may not.
    #[must_use]
    pub fn refusal(&self, user: &str) -> String {
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        let object = if self.name.is_empty() { String::new() } else { format!(" {:?}", self.name) };
        format!(
            "{}: {user} may not {} {}{group}{object} in namespace {:?}, {}",
            self.field, self.verb, self.resource, self.namespace, self.why
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(version: &str, kind: &str, spec: &Value, old: Option<&Value>) -> Vec<String> {
        let document = json!({
            "apiVersion": version, "kind": kind, "metadata": {"name": "a", "namespace": "dev"}, "spec": spec,
        });
        let line = |q: &Question| format!("{}: {} {} {}/{}", q.field, q.verb, q.resource, q.namespace, q.name);
        questions(&document, old).iter().map(line).collect()
    }

    const OSO: &str = "kafka.oso.sh/v1alpha1";

    #[test]
    fn a_restore_takes_the_right_to_restore_and_the_one_to_look_elsewhere() {
        let spec = json!({"backupRef": {"name": "orders", "namespace": "prod"}});
        let both = [
            "spec.backupRef: restore kafkabackups prod/orders",
            "spec.backupRef.namespace: get kafkabackups prod/orders",
            "spec.backupRef.namespace: get secrets dev/",
        ];
        assert_eq!(asked(OSO, "KafkaRestore", &spec, None), both);
        // What leads to it changes as much as the reference itself.
        let before = json!({"backupRef": {"name": "orders", "namespace": "prod"}, "topics": ["a"]});
        assert_eq!(asked(OSO, "KafkaRestore", &spec, Some(&before)), both);
        assert!(asked(OSO, "KafkaRestore", &spec, Some(&spec)).is_empty());
        let own = json!({"backupRef": {"name": "orders"}});
        assert_eq!(asked(OSO, "KafkaRestore", &own, None), ["spec.backupRef: restore kafkabackups dev/orders"]);
        let direct = json!({"backupRef": {"name": "", "backupId": "a-1", "storage": {
            "s3": {"bucket": "b", "credentialsSecret": {"name": "keys"}}}}});
        assert_eq!(
            asked(OSO, "KafkaRestore", &direct, None),
            ["spec.backupRef.storage.s3.credentialsSecret: get secrets dev/keys"]
        );
    }

    /// A KafkaBackup of another namespace names Secrets, and they are those of the reader's namespace: which ones, its owner decides.
    #[test]
    fn a_storage_that_others_decide_on_takes_the_right_to_all_secrets() {
        let all = |spec: &Value, kind: &str| {
            let lines = asked(OSO, kind, spec, None);
            lines.iter().filter(|line| line.contains("get secrets dev/")).cloned().collect::<Vec<_>>()
        };
        let foreign = json!({"backupRef": {"name": "orders", "namespace": "prod"}});
        for kind in ["KafkaRestore", "KafkaBackupValidation"] {
            assert_eq!(all(&foreign, kind), ["spec.backupRef.namespace: get secrets dev/"], "{kind}");
        }
        for own in [
            json!({"backupRef": {"name": "orders"}}),
            json!({"backupRef": {"name": "orders", "namespace": "dev"}}),
            json!({"backupRef": {"name": "orders", "namespace": "prod", "storage": {"pvc": {"claimName": "a"}}}}),
        ] {
            assert!(all(&own, "KafkaRestore").is_empty(), "{own}");
        }
        let document =
            json!({"apiVersion": OSO, "kind": "KafkaRestore", "metadata": {"namespace": "dev"}, "spec": foreign});
        let refusal = questions(&document, None)[2].refusal("ann");
        let words = "ann may not get secrets in namespace \"dev\", and the storage of a KafkaBackup of another namespace may name any";
        assert!(refusal.contains(words) && refusal.ends_with("into backupRef.storage"), "{refusal}");
    }

    #[test]
    fn whoever_reads_the_storage_of_another_resource_must_be_allowed_to_restore_from_it() {
        let reset = |mapping: Value| {
            let spec = json!({"consumerGroups": ["a"], "resetStrategy": "from-mapping", "offsetMappingRef": mapping});
            asked(OSO, "KafkaOffsetReset", &spec, None)
        };
        let named = "spec.offsetMappingRef: restore kafkarestores dev/nightly";
        assert_eq!(reset(json!({"restoreName": "nightly"})), [named]);
        assert_eq!(reset(json!({"restoreName": "nightly", "path": "a.json"})), [named]);
        for any in [Value::Null, json!({}), json!({"restoreName": ""})] {
            assert_eq!(reset(any), ["spec.offsetMappingRef: restore kafkarestores dev/"]);
        }
        for own in [
            json!({"path": "a.json"}),
            json!({"pvcName": "kept"}),
            json!({"pvcName": "kept", "restoreName": "nightly"}),
        ] {
            assert!(reset(own).is_empty());
        }
        let other = json!({"resetStrategy": "to-latest", "offsetMappingRef": {"restoreName": "nightly"}});
        assert!(asked(OSO, "KafkaOffsetReset", &other, None).is_empty(), "it is not read");
        let rollback = |spec: Value| asked(OSO, "KafkaOffsetRollback", &spec, None);
        assert_eq!(
            rollback(json!({"snapshotRef": {"restoreRef": "nightly"}})),
            ["spec.snapshotRef.restoreRef: restore kafkarestores dev/nightly"]
        );
        assert_eq!(
            rollback(json!({"snapshotRef": {"offsetResetRef": "back"}})),
            ["spec.snapshotRef.offsetResetRef: restore kafkaoffsetresets dev/back"]
        );
        let own = json!({"storageType": "pvc", "pvc": {"claimName": "kept"}});
        for spec in [
            json!({"snapshotRef": {"restoreRef": "nightly"}, "stateStorage": own}),
            json!({"snapshotRef": {"name": "before-1"}, "stateStorage": own}),
            json!({"snapshotRef": {"pvcName": "kept", "path": "a.json"}}),
        ] {
            assert!(rollback(spec).is_empty());
        }
    }

    #[test]
    fn a_validation_takes_the_right_to_look() {
        let kind = "KafkaBackupValidation";
        let own = json!({"backupRef": {"name": "orders"}, "restoreRef": {"name": "back"}});
        assert_eq!(
            asked(OSO, kind, &own, None),
            ["spec.backupRef: inspect kafkabackups dev/orders", "spec.restoreRef: check kafkarestores dev/back"]
        );
        let foreign = json!({"backupRef": {"name": "orders", "namespace": "prod"}});
        assert_eq!(
            asked(OSO, kind, &foreign, None),
            [
                "spec.backupRef: inspect kafkabackups prod/orders",
                "spec.backupRef.namespace: get kafkabackups prod/orders",
                "spec.backupRef.namespace: get secrets dev/",
            ]
        );
        // What it tells, and to whom, are Secrets of its own.
        let told = json!({
            "backupRef": {"name": "", "storage": {"pvc": {"claimName": "b"}}},
            "notifications": {"slack": {"webhookSecret": {"name": "chat"}},
                              "pagerduty": {"routingKeySecret": {"name": "pager"}}},
        });
        assert_eq!(
            asked(OSO, kind, &told, None),
            [
                "spec.notifications.slack.webhookSecret: get secrets dev/chat",
                "spec.notifications.pagerduty.routingKeySecret: get secrets dev/pager",
            ]
        );
    }

    #[test]
    fn each_secret_is_asked_for_once() {
        let spec = json!({
            "kafkaCluster": {"saslSecret": {"name": "kafka"}, "caSecret": {"name": "kafka"}},
            "storage": {"s3": {"credentialsSecret": {"name": "s3"}}},
        });
        let lines = asked(OSO, "KafkaBackup", &spec, None);
        assert_eq!(
            lines,
            [
                "spec.kafkaCluster.caSecret: get secrets dev/kafka",
                "spec.storage.s3.credentialsSecret: get secrets dev/s3"
            ]
        );
    }

    #[test]
    fn looking_and_reading_are_two_rights() {
        let lines = |level: &str| {
            let spec = json!({"backupRef": {"name": "orders"}, "level": level});
            asked("kafka-backup.dev/v1alpha1", "KafkaBackupInspection", &spec, None)
        };
        assert_eq!(lines("inspect"), ["spec.backupRef: inspect kafkabackups dev/orders"]);
        assert_eq!(lines("peek")[1..], ["spec.level: peek kafkabackups dev/orders"]);
        assert_eq!(
            lines("compare"),
            ["spec.backupRef: inspect kafkabackups dev/orders", "spec.level: compare kafkabackups dev/orders"]
        );
        assert_eq!(lines("diff")[1..], ["spec.level: diff kafkabackups dev/orders"]);
    }

    #[test]
    fn a_check_takes_a_right_of_its_own_and_one_of_a_file_what_making_it_takes() {
        let lines = |mut spec: Value| {
            spec["level"] = "check".into();
            asked("kafka-backup.dev/v1alpha1", "KafkaBackupInspection", &spec, None)
        };
        assert_eq!(lines(json!({"backupRef": {"name": "a"}})), ["spec.backupRef: check kafkabackups dev/a"]);
        assert_eq!(lines(json!({"restoreRef": {"name": "a"}})), ["spec.restoreRef: check kafkarestores dev/a"]);
        let validation = json!({"apiVersion": OSO, "kind": "KafkaBackupValidation", "name": "v"});
        assert_eq!(lines(json!({"resourceRef": validation})), ["spec.resourceRef: check kafkabackupvalidations dev/v"]);
        let theirs = json!({"apiVersion": "backup.strimzi.io/v1alpha1", "kind": "KafkaRestore", "name": "r"});
        let spec = json!({"resourceRef": theirs, "level": "check"});
        let document =
            json!({"apiVersion": "kafka-backup.dev/v1alpha1", "kind": "KafkaBackupInspection", "spec": spec});
        let asked_for = questions(&document, None);
        assert_eq!((asked_for[0].group.as_str(), asked_for[0].resource), ("backup.strimzi.io", "kafkarestores"));
        // Another namespace in the file changes nothing: the pod is in this one.
        let resource = json!({
            "apiVersion": OSO, "kind": "KafkaRestore", "metadata": {"name": "r", "namespace": "other"},
            "spec": {"backupRef": {"name": "orders", "namespace": "prod"}, "kafkaCluster": {"saslSecret": {"name": "kafka"}}},
        });
        assert_eq!(
            lines(json!({"resource": resource})),
            [
                "spec.resource: check kafkarestores dev/r",
                "spec.resource: create kafkarestores dev/r",
                "spec.resource.spec.kafkaCluster.saslSecret: get secrets dev/kafka",
                "spec.resource.spec.backupRef: restore kafkabackups prod/orders",
                "spec.resource.spec.backupRef.namespace: get kafkabackups prod/orders",
                "spec.resource.spec.backupRef.namespace: get secrets dev/",
            ]
        );
    }

    #[test]
    fn what_shapes_the_pod_is_asked_for() {
        let spec = json!({"strimziClusterRef": {"name": "events", "namespace": "kafka"}, "image": "mine", "env": [], "template": {}});
        let lines = asked("kafkabackup.com/v1alpha1", "KafkaBackup", &spec, None);
        assert_eq!(lines[0], "spec.strimziClusterRef.namespace: get kafkas kafka/events");
        assert_eq!(lines.len(), 4, "{lines:?}");
        let before = json!({"image": "other"});
        assert_eq!(asked("backup.strimzi.io/v1alpha1", "KafkaBackup", &spec, Some(&before)), lines);
    }

    #[test]
    fn a_refusal_names_field_user_verb_and_object() {
        let spec = json!({"backupRef": {"name": "orders", "namespace": "prod"}});
        let document =
            json!({"apiVersion": OSO, "kind": "KafkaRestore", "metadata": {"namespace": "dev"}, "spec": spec});
        let refusal = questions(&document, None)[0].refusal("ann");
        assert!(
            refusal.contains("spec.backupRef: ann may not restore kafkabackups.kafka.oso.sh \"orders\""),
            "{refusal}"
        );
    }
}
