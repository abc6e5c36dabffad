//! Runs that are asked for by hand: an annotation whose new value is one run. Pure; the plugin writes what the operator reads.
//!
//! A value that the resource was made with asks for nothing: it came with a copy, from Git or from a backup of the cluster.
//! The operator may see a new resource only after somebody asked, so it cannot go by what it saw: the API server's own record
//! says which value came later.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};

use crate::oso;

/// The annotation of a KafkaBackup whose new value asks for a run of retention, by the rules of the resource.
pub const PRUNE: &str = "kafka-backup.dev/prune";

/// Most characters of a trigger that a status keeps.
const LONGEST: usize = 128;
/// Times of the API server's records are cut to seconds.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// The annotation of a kind.
#[must_use]
pub fn annotation(group: &str, kind: &str) -> String {
    match (group, kind) {
        (oso::GROUP, "KafkaBackupValidation") => "kafka.oso.sh/trigger-validation".to_owned(),
        (oso::GROUP, _) => "kafka.oso.sh/trigger-backup".to_owned(),
        (group, _) => format!("{group}/trigger"),
    }
}

/// A value that asks for a run of a resource now, whatever the clock here says: never of before the resource was made.
#[must_use]
pub fn value(now: Timestamp, meta: &ObjectMeta) -> String {
    created(meta).map_or(now, |created| now.max(created)).to_string()
}

/// A value as a status keeps it: one that is long is told apart by its beginning and a digest.
#[must_use]
pub fn kept(value: &str) -> String {
    if value.chars().count() <= LONGEST {
        return value.to_owned();
    }
    let digest = blake3::hash(value.as_bytes()).to_hex();
    let short = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    format!("{}...{}", short(value, LONGEST / 2), short(&digest, 16))
}

/// Whether a resource that no operator has looked at was made with the value that its annotation has. It was not if the
/// value is a time from its making on ([`value`]), or if others than the maker wrote it, or the maker wrote later.
#[must_use]
pub fn is_made_with(meta: &ObjectMeta, annotation: &str) -> bool {
    let Some(value) = meta.annotations.as_ref().and_then(|all| all.get(annotation)) else { return false };
    let Some(created) = created(meta) else { return true };
    if value.parse::<Timestamp>().is_ok_and(|asked| asked >= created) {
        return false;
    }
    let owns = |entry: &ManagedFieldsEntry, path: &[&str]| {
        let fields = entry.fields_v1.as_ref().filter(|_| entry.subresource.is_none());
        fields.is_some_and(|fields| path.iter().try_fold(&fields.0, |at, key| at.get(*key)).is_some())
    };
    let named = format!("f:{annotation}");
    let mut writers =
        meta.managed_fields.iter().flatten().filter(|entry| owns(entry, &["f:metadata", "f:annotations", &named]));
    let made = |entry: &ManagedFieldsEntry| {
        let at_once = entry.time.as_ref().is_none_or(|time| time.0.duration_since(created) < SECOND);
        at_once && owns(entry, &["f:spec"])
    };
    // Nobody is on record: nothing says that it came later.
    writers.next().is_none_or(|first| made(first) || writers.any(made))
}

fn created(meta: &ObjectMeta) -> Option<Timestamp> {
    meta.creation_timestamp.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = "kafka.oso.sh/trigger-backup";

    fn writer(manager: &str, at: &str, fields: &[&str]) -> Value {
        let mut owned = json!({});
        for field in fields {
            match *field {
                "spec" => owned["f:spec"] = json!({"f:topics": {}}),
                name => owned["f:metadata"]["f:annotations"][format!("f:{name}")] = json!({}),
            }
        }
        json!({"manager": manager, "operation": "Update", "time": format!("2026-11-29T{at}Z"), "fieldsV1": owned})
    }

    fn meta(value: &str, writers: &[Value]) -> ObjectMeta {
        serde_json::from_value(json!({
            "creationTimestamp": "2026-11-29T10:00:00Z", "annotations": {NAME: value}, "managedFields": writers,
        }))
        .unwrap()
    }

    #[test]
    fn only_what_came_with_the_resource_asks_for_nothing() {
        let alone = |value, at, fields: &[&str]| is_made_with(&meta(value, &[writer("apply", at, fields)]), NAME);
        assert!(alone("monday", "10:00:00", &["spec", NAME]), "a copy");
        assert!(alone("2026-11-28T10:00:00Z", "10:00:00", &["spec", NAME]), "a copy of what the plugin asked for");
        assert!(!alone("monday", "10:00:01", &["spec", NAME]), "the maker wrote again");
        assert!(!alone("2026-11-29T10:00:00.5Z", "10:00:00", &["spec", NAME]), "the plugin made it and asks");
        assert!(is_made_with(&meta("monday", &[]), NAME), "nobody is on record");
        let others = [writer("create", "10:00:00", &["spec"]), writer("annotate", "10:00:00", &[NAME])];
        assert!(!is_made_with(&meta("monday", &others), NAME), "somebody asked in the same second");
        let both = [writer("create", "10:00:00", &["spec", NAME]), writer("other", "10:00:05", &[NAME])];
        assert!(is_made_with(&meta("monday", &both), NAME), "the same value again is the same value");
        assert!(!is_made_with(&ObjectMeta::default(), NAME), "nothing is asked for");
    }

    #[test]
    fn a_clock_that_is_behind_asks_all_the_same() {
        let made = meta("-", &[]);
        let asked = |now: &str| value(now.parse().unwrap(), &made);
        assert_eq!(asked("2026-11-29T09:00:00Z"), "2026-11-29T10:00:00Z");
        assert_eq!(asked("2026-11-29T11:00:00Z"), "2026-11-29T11:00:00Z");
        let late = meta(&asked("2026-11-29T09:00:00Z"), &[writer("plugin", "10:00:00", &["spec", NAME])]);
        assert!(!is_made_with(&late, NAME));
    }

    #[test]
    fn a_long_value_is_kept_short_and_told_apart() {
        assert_eq!(kept("monday"), "monday");
        let long = |end: &str| kept(&format!("{}{end}", "x".repeat(200_000)));
        assert_ne!(long("a"), long("b"));
        assert!(long("a").len() <= LONGEST);
    }
}
