//! Commands that are printed to be pasted: whole, and quoted as shells want it. Pure.

/// Flags of `restore plan` that `restore create` does not take in the same sense; each has a value.
const OF_PLANS: [&str; 3] = ["--output", "-o", "--timeout"];
/// What a name may be long, so that Jobs can carry it.
const NAME: usize = 40;

/// The `restore create` that does what a `restore plan` with these arguments showed; `None` when they are no such call.
pub(super) fn create_of(plan: &[String], from: &str, namespace: &str, fingerprint: &str) -> Option<String> {
    let restore = plan.iter().position(|word| word == "restore")?;
    let verb = restore + plan.get(restore..)?.iter().position(|word| word == "plan")?;
    let short: String = from.chars().take(NAME).collect();
    let name = format!("{}-back", short.trim_end_matches(['-', '.']));
    let mut words = vec!["kubectl".to_owned(), "kafka-backup".to_owned()];
    let mut given = plan.iter().enumerate().skip(1);
    let mut has_namespace = false;
    while let Some((place, word)) = given.next() {
        let is = |flag: &str| word == flag || (flag.starts_with("--") && word.starts_with(&format!("{flag}=")));
        if OF_PLANS.iter().any(|flag| is(flag)) {
            if !word.contains('=') {
                given.next();
            }
        } else if !word.starts_with("-o") {
            has_namespace |= is("--namespace") || (word.starts_with("-n") && !word.starts_with("--"));
            words.push(if place == verb { "create".to_owned() } else { word.clone() });
            if place == verb {
                words.push(name.clone());
            }
        }
    }
    if !has_namespace {
        words.extend(["-n".to_owned(), namespace.to_owned()]);
    }
    words.extend(["--plan-fingerprint".to_owned(), fingerprint.to_owned(), "--wait".to_owned()]);
    // Only a NUL cannot be quoted, and no argument holds one.
    shlex::try_join(words.iter().map(String::as_str)).ok()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn create(plan: &str) -> Option<String> {
        create_of(&shlex::split(plan).unwrap(), "nightly", "shop", "5d87")
    }

    #[test]
    fn a_plan_is_followed_by_the_create_of_the_same_flags() {
        let plain = create("plugin restore plan --from nightly --create-topics").unwrap();
        let expected = "kubectl kafka-backup restore create nightly-back --from nightly --create-topics -n shop --plan-fingerprint 5d87 --wait";
        assert_eq!(plain, expected);
        let more = create(
            "plugin -n other --context 'a b' restore plan -o wide --from nightly --map 'a=b c' --timeout=9m --output json -ojson",
        );
        let more = more.unwrap();
        let expected = "kubectl kafka-backup -n other --context 'a b' restore create nightly-back --from nightly --map 'a=b c' --plan-fingerprint 5d87 --wait";
        assert_eq!(more, expected);
        for command in [plain, more] {
            let words = shlex::split(&command).unwrap();
            Cli::try_parse_from(words.iter().skip(1)).unwrap();
        }
        assert_eq!(create("plugin status"), None);
    }
}
