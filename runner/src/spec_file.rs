//! Reading a run specification from a file or standard input, YAML or JSON, with messages that name the place.

use std::io::Read;

use archive::Digest;
use contract::allowed::{AllowedEndpoints, outside};
use contract::{Code, Failure, RunSpec, StoreSpec, words};

/// Reads and checks a specification; `-` is standard input. What the environment adds to it is judged, too.
///
/// # Errors
/// [`Code::SpecUnreadable`] with the position, or [`Code::SpecInvalid`] with every broken rule.
pub fn read(file: &str) -> Result<RunSpec, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::new(Code::SpecUnreadable, format!("{file}: {}", words::of_system(&error)));
    let text = if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        text
    } else {
        std::fs::read_to_string(file).map_err(unreadable)?
    };
    let spec = parse(&text).map_err(|failure| Failure::new(failure.code, format!("{file}: {}", failure.message)))?;
    check_environment(spec.stores(), &spec.allowed_endpoints)?;
    Ok(spec)
}

/// Refuses stores that the environment leads to an endpoint that is not allowed. Nothing is asked where all are.
///
/// # Errors
/// [`Code::SpecInvalid`] with the field, the variables and the endpoint.
pub fn check_environment<'a>(
    stores: impl Iterator<Item = (&'static str, &'a StoreSpec)>,
    allowed: &[String],
) -> Result<(), Failure> {
    if allowed.is_empty() {
        return Ok(());
    }
    let allowed = AllowedEndpoints::parse(allowed)
        .map_err(|(place, rule)| Failure::new(Code::SpecInvalid, format!("allowedEndpoints[{place}]: {rule}")))?;
    for (field, store) in stores {
        let Some((led, variables)) = archive::led_by_environment(store)? else { continue };
        if let Some((host, port)) = led.authority().filter(|(host, port)| !allowed.allows(host, *port)) {
            let rule = outside(&format!("{host}:{port}"));
            let text = format!("{field}: the environment ({variables}) leads to a store whose endpoint {rule}");
            return Err(Failure::new(Code::SpecInvalid, text));
        }
    }
    Ok(())
}

/// Parses and checks a specification.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str) -> Result<RunSpec, Failure> {
    let spec: RunSpec = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| Failure::new(Code::SpecUnreadable, error.to_string()))?
    } else {
        serde_saphyr::from_str(text).map_err(|error| Failure::new(Code::SpecUnreadable, error.to_string()))?
    };
    let findings = spec.findings();
    if findings.is_empty() {
        return Ok(spec);
    }
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    Err(Failure::new(Code::SpecInvalid, lines.join("; ")))
}

/// The digest that tells whether two runs mean the same work: the run's own name, credentials, addresses and
/// tuning do not count.
#[must_use]
pub fn work_digest(spec: &RunSpec) -> Digest {
    let work = serde_json::json!({
        "name": spec.name, "namespace": spec.namespace, "restore": spec.restore,
        "backup": spec.backup.as_ref().map(contract::BackupSpec::work),
    });
    Digest::of(work.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "formatVersion: 1\nname: orders\nkafka: {bootstrapServers: ['h:1']}\nstorage: {type: filesystem, path: /x}\nbackup: {topics: [orders]}\n";

    #[test]
    fn yaml_and_json_give_the_same_specification() {
        let yaml = parse(GOOD).unwrap();
        let json = parse(&serde_json::to_string(&yaml).unwrap()).unwrap();
        assert_eq!(yaml, json);
    }

    #[test]
    fn a_wrong_field_is_named_with_its_line() {
        let failure = parse(&GOOD.replace("{topics: [orders]}", "\n  topicz: [orders]")).unwrap_err();
        assert_eq!(failure.code, Code::SpecUnreadable);
        assert!(failure.message.contains("topicz") && failure.message.contains('6'), "{}", failure.message);
        let failure = parse(&GOOD.replace("h:1", "h")).unwrap_err();
        assert!(failure.message.contains("kafka.bootstrapServers"), "{}", failure.message);
    }

    #[test]
    fn only_the_work_counts_for_the_digest() {
        let spec = parse(GOOD).unwrap();
        let mut other = spec.clone();
        other.kafka.bootstrap_servers = vec!["elsewhere:2".into()];
        other.run = Some(contract::RunRef { id: "x".into(), at: jiff::Timestamp::UNIX_EPOCH, attempt: Some(2) });
        assert_eq!(work_digest(&spec), work_digest(&other));
        other.name = "payments".into();
        assert_ne!(work_digest(&spec), work_digest(&other));
    }
}
