//! The condition `EngineVersionSupported` of the Strimzi groups: what the tag of a run's image says of the runner in it. Pure: the
//! image itself is asked nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::Moment;
use super::conditions::put;

/// Its type.
pub(super) const ENGINE: &str = "EngineVersionSupported";
/// The oldest runner that reads the specifications of this operator: one of its own release.
const OLDEST: &str = env!("CARGO_PKG_VERSION");

type Version = (u64, u64, u64);

/// Tells of the image of the newest run, last of all conditions; nothing before the first run.
pub(super) fn tell(all: &mut Vec<Condition>, old: &[Condition], image: Option<&str>, moment: Moment) {
    let before = old.iter().find(|condition| condition.type_ == ENGINE);
    let Some(image) = image else {
        all.extend(before.cloned());
        return;
    };
    let (status, reason, message) = match (release(image), version(OLDEST)) {
        (Some(tag), Some(oldest)) if tag < oldest => {
            let message = format!(
                "image {image} is older than {OLDEST}, which is the oldest that reads the runs of this operator: it may refuse them; use \
                 a newer one"
            );
            ("False", "EngineOlderThanMinimum", message)
        }
        (Some(_), Some(_)) => ("True", ENGINE, format!("image {image} is {OLDEST} or newer")),
        (None, _) | (_, None) => ("True", "EngineVersionUnknown", format!("the tag of image {image} names no release")),
    };
    // Its time is that of the last change.
    all.extend(before.cloned());
    put(all, ENGINE, status, (reason, &message), moment);
}

/// The release that the tag of an image names; a digest behind it says nothing of that.
fn release(image: &str) -> Option<Version> {
    let named = image.split('@').next()?;
    let (_, tag) = named.rsplit('/').next()?.rsplit_once(':')?;
    version(tag.strip_prefix('v').unwrap_or(tag))
}

/// Three numbers, and nothing else.
fn version(text: &str) -> Option<Version> {
    let mut numbers = text.split('.').map(|part| {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse::<u64>().ok() } else { None } // too large to be a release
    });
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn told(image: &str) -> (String, String) {
        let mut all = Vec::new();
        tell(&mut all, &[], Some(image), Moment::new(1, Timestamp::UNIX_EPOCH));
        (all[0].status.clone(), all[0].reason.clone())
    }

    #[test]
    fn a_tag_is_judged_and_what_is_none_is_unknown() {
        let is = |status: &str, reason: &str| (status.to_owned(), reason.to_owned());
        for image in
            [format!("runner:{OLDEST}"), format!("r.example.com:5000/a/runner:v{OLDEST}"), "runner:99.0.0".into()]
        {
            assert_eq!(told(&image), is("True", ENGINE), "{image}");
        }
        assert_eq!(told(&format!("runner:v{OLDEST}@sha256:abc")), is("True", ENGINE));
        for image in ["runner:0.0.9", "runner:v0.0.1@sha256:abc"] {
            assert_eq!(told(image), is("False", "EngineOlderThanMinimum"), "{image}");
        }
        for image in
            ["runner", "runner:latest", "runner@sha256:abc", "runner:1.2", "runner:1.2.3-rc1", "r:5000/runner", "a:v"]
        {
            assert_eq!(told(image), is("True", "EngineVersionUnknown"), "{image}");
        }
    }

    #[test]
    fn it_keeps_its_time_and_is_there_without_a_run() {
        let mut first = Vec::new();
        tell(&mut first, &[], None, Moment::new(1, Timestamp::UNIX_EPOCH));
        assert!(first.is_empty());
        tell(&mut first, &[], Some("runner:99.0.0"), Moment::new(1, Timestamp::UNIX_EPOCH));
        let later = Moment::new(1, Timestamp::from_second(9).unwrap());
        for image in [Some("runner:99.0.1"), None] {
            let mut second = Vec::new();
            tell(&mut second, &first, image, later);
            assert_eq!(second[0].last_transition_time, first[0].last_transition_time);
        }
    }
}
