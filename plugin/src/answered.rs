//! What an answer of the API server says to programs: code, reason, details and causes. Words of an answer are for people: nothing
//! is decided by them. Pure.

use api::refusal::Why;
use kube::core::Status;
use kube::core::response::StatusDetails;

/// The causes that this product's admission gives, with their fields.
fn causes(status: &Status) -> impl Iterator<Item = (Why, &str)> {
    let all = status.details.iter().flat_map(|details: &StatusDetails| &details.causes);
    all.filter_map(|cause| Some((Why::read(&cause.reason)?, cause.field.as_str())))
}

/// Whether this product's admission refused.
pub(crate) fn is_ours(status: &Status) -> bool {
    causes(status).next().is_some()
}

/// Whether it refused because a rule for this field is broken.
pub(crate) fn breaks_rule(status: &Status, field: &str) -> bool {
    causes(status).any(|(why, of)| why == Why::Rule && of == field)
}

/// The rights that the author lacks, as admission says.
pub(crate) fn lacks(status: &Status) -> Vec<String> {
    let verb = |why| match why {
        Why::Right { verb } => Some(verb),
        Why::Rule | Why::Consent | Why::NotAsked => None,
    };
    causes(status).filter_map(|(why, _)| verb(why)).collect()
}

/// Whether an admission webhook refused, and not the API server itself, whose refusals name the kind that they are about.
pub(crate) fn is_of_a_webhook(status: &Status) -> bool {
    is_ours(status) || status.details.as_ref().is_none_or(|details| details.kind.is_empty())
}

/// Whether a 404 is about the kind: of an object that is not there, the API server tells the name.
pub(crate) fn is_kind_unknown(status: &Status) -> bool {
    status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

/// Whether the API server failed itself, as it does when it cannot reach a webhook. It has no reason of its own for that.
pub(crate) fn is_internal(status: &Status) -> bool {
    status.code == 500 && status.reason == "InternalError"
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(value: Value) -> Status {
        serde_json::from_value(value).unwrap()
    }

    /// The words say the opposite each time.
    #[test]
    fn nothing_is_read_from_words() {
        let peek = json!([{"reason": "kafka-backup.dev/Right.peek", "field": "spec.level"}]);
        let ours = status(json!({"code": 400, "message": "page not found", "details": {"causes": peek}}));
        assert!(is_ours(&ours) && is_of_a_webhook(&ours) && !is_kind_unknown(&ours));
        assert_eq!(lacks(&ours), ["peek"]);
        assert!(!breaks_rule(&ours, "spec.level"));

        let words = "admission webhook \"x\" denied the request: spec.topics: ann may not peek";
        let rule = json!([{"reason": "kafka-backup.dev/Rule", "field": "spec.topics"}]);
        let broken = status(json!({"code": 400, "message": "no", "details": {"causes": rule}}));
        assert!(breaks_rule(&broken, "spec.topics") && lacks(&broken).is_empty());
        // The schema's own refusal of the same field.
        let schema = json!([{"reason": "FieldValueInvalid", "field": "spec.topics"}]);
        let schema =
            status(json!({"code": 422, "message": words, "details": {"causes": schema, "kind": "KafkaBackup"}}));
        assert!(!breaks_rule(&schema, "spec.topics") && !is_ours(&schema) && lacks(&schema).is_empty());

        let rights = json!({"group": "kafka.oso.sh", "kind": "kafkabackups", "name": "orders"});
        let rights = status(json!({"code": 403, "reason": "Forbidden", "message": words, "details": rights}));
        assert!(!is_of_a_webhook(&rights));
        assert!(is_of_a_webhook(&status(json!({"code": 403, "reason": "Forbidden", "message": "policy"}))));
    }

    #[test]
    fn a_kind_that_is_not_there_is_no_object_that_is_not_there() {
        let details = json!({"group": "kafka.oso.sh", "kind": "kafkabackups", "name": "page not found"});
        let object =
            status(json!({"code": 404, "reason": "NotFound", "message": "page not found", "details": details}));
        assert!(!is_kind_unknown(&object));
        // As the client makes it of an answer in plain text, and as the API server writes it.
        assert!(is_kind_unknown(&status(json!({"code": 404, "reason": "Failed to parse error data", "message": "?"}))));
        assert!(is_kind_unknown(&status(json!({"code": 404, "reason": "NotFound", "message": "?", "details": {}}))));
    }
}
