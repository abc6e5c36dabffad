//! `version`: of this program and of what runs in the cluster.

use api::lower::job::RUNNER_IMAGE_ANNOTATION;
use clap::Args;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use serde::Serialize;

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::operator::Operator;
use crate::screen::{Screen, Tone};
use crate::steps::print;

/// Flags of `version`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kubectl kafka-backup version
  kubectl kafka-backup version --client     asks no cluster")]
pub struct VersionFlags {
    /// This program only
    #[arg(long)]
    client: bool,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Versions.
#[derive(Debug, Serialize)]
struct Versions {
    client: &'static str,
    #[serde(rename = "archiveFormat")]
    archive_format: u32,
    operator: Option<String>,
    /// The image that runs get.
    runner: Option<String>,
    /// The image that they get once the operator starts anew, while that is another one.
    #[serde(rename = "nextRunner", skip_serializing_if = "Option::is_none")]
    next_runner: Option<String>,
    verdict: String,
}

/// Shows versions.
pub(crate) async fn version(
    options: VersionFlags,
    connection: &Connection,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    let client = env!("CARGO_PKG_VERSION");
    let (mut operator, mut runner, mut next_runner) = (None, None, None);
    let (mut verdict, mut exit) = (Skew { words: "not asked".to_owned(), fits: false }, Exit::Done);
    if !options.client {
        match images(connection).await {
            Ok((found, (used, next))) => {
                verdict = skew(client, found.as_deref());
                (operator, runner, next_runner) = (found, used, next);
            }
            Err(error) => {
                verdict.words = format!("the cluster could not be asked: {error}");
                exit = error.exit();
            }
        }
    }
    let Skew { words: verdict, fits } = verdict;
    let versions = Versions { client, archive_format: archive::FORMAT, operator, runner, next_runner, verdict };
    match options.output {
        Output::Table | Output::Wide | Output::Name => {
            let unknown = || "unknown".to_owned();
            screen.text(&format!("client    {client}\nformat    {}\n", versions.archive_format))?;
            if !options.client {
                screen.text(&format!("operator  {}\n", versions.operator.clone().unwrap_or_else(unknown)))?;
                screen.text(&format!("runner    {}\n", versions.runner.clone().unwrap_or_else(unknown)))?;
                if let Some(next) = &versions.next_runner {
                    screen.text(&format!("          then {next}, once the operator starts anew\n"))?;
                }
                let tone = if fits { Tone::Good } else { Tone::Warn };
                let text = screen.style.paint(tone, &versions.verdict);
                screen.text(&format!("verdict   {text}\n"))?;
            }
        }
        output => print::document("Version", &versions, output, screen)?,
    }
    Ok(exit)
}

/// The image of the operator, and those of its runs.
async fn images(connection: &Connection) -> Result<(Option<String>, (Option<String>, Option<String>)), Error> {
    let cluster = Cluster::connect(connection).await?;
    let (place, found) = Operator::look(&cluster).await;
    let found = found.map_err(|error| crate::cluster::failed("read the operator's deployment", error))?;
    let image = found.as_ref().and_then(image);
    let leases: Api<Lease> = Api::namespaced(cluster.client.clone(), &place.namespace);
    // Who may not look is shown no image.
    let lease = leases.get_opt(&place.name).await.ok().flatten();
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &place.namespace);
    // The same.
    let map = maps.get_opt(&format!("{}-runner", place.name)).await.ok().flatten();
    Ok((image, runner_images(lease.as_ref(), map.as_ref())))
}

/// The image that runs get: what the operator that leads says of itself, else what is asked for. Then the image that is
/// asked for, while it is another one.
fn runner_images(lease: Option<&Lease>, map: Option<&ConfigMap>) -> (Option<String>, Option<String>) {
    let used = lease.and_then(|lease| lease.metadata.annotations.as_ref()?.get(RUNNER_IMAGE_ANNOTATION).cloned());
    let placement = map.and_then(|map| map.data.as_ref()?.get("placement.yaml"));
    let asked = placement.and_then(|text| text.lines().find_map(|line| line.strip_prefix("image: ")));
    let asked = asked.map(|image| image.trim_matches('"').to_owned());
    let next = asked.clone().filter(|asked| used.as_ref().is_some_and(|used| used != asked));
    (used.or(asked), next)
}

/// The image of the operator.
pub(crate) fn image(operator: &Deployment) -> Option<String> {
    operator.spec.as_ref()?.template.spec.as_ref()?.containers.first()?.image.clone()
}

/// How the versions of client and operator are to each other.
pub(crate) struct Skew {
    /// In words.
    pub(crate) words: String,
    /// Whether they work together, as far as one can tell.
    pub(crate) fits: bool,
}

/// Whether client and operator fit.
pub(crate) fn skew(client: &str, image: Option<&str>) -> Skew {
    let Some(image) = image else {
        return Skew { words: "no operator is installed: `kubectl kafka-backup install`".to_owned(), fits: false };
    };
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag).trim_start_matches('v');
    let minor = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.').map(str::parse);
        // A tag may be any text.
        Some((parts.next()?.ok()?, parts.next()?.ok()?))
    };
    // A digest, or a tag of somebody's own.
    if minor(tag).is_none() {
        return Skew { words: format!("{client} here; the image `{image}` does not tell the cluster's"), fits: true };
    }
    let fits = minor(tag) == minor(client);
    let words = if tag == client {
        "the same version".to_owned()
    } else if fits {
        format!("the same minor version: {client} and {tag} work together")
    } else {
        format!("other versions: {client} here, {tag} in the cluster; fields and screens may differ")
    };
    Skew { words, fits }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_the_one_that_runs_get() {
        let lease = |image: &str| -> Lease {
            let noted = serde_json::json!({"metadata": {"annotations": {RUNNER_IMAGE_ANNOTATION: image}}});
            serde_json::from_value(noted).unwrap()
        };
        let text = "image: runner:2\nimagePullPolicy: IfNotPresent\n";
        let map: ConfigMap = serde_json::from_value(serde_json::json!({"data": {"placement.yaml": text}})).unwrap();
        let image = |text: &str| Some(text.to_owned());
        assert_eq!(runner_images(Some(&lease("runner:2")), Some(&map)), (image("runner:2"), None));
        assert_eq!(runner_images(None, Some(&map)), (image("runner:2"), None), "no Lease: one replica, or none");
        assert_eq!(runner_images(Some(&lease("runner:1")), Some(&map)), (image("runner:1"), image("runner:2")));
        assert_eq!(runner_images(None, None), (None, None));
    }

    #[test]
    fn versions_are_compared() {
        let words = |image| skew("0.1.0", image).words;
        assert_eq!(words(Some("host:5000/x/operator:0.1.0")), "the same version");
        assert!(words(Some("operator:v0.1.3")).starts_with("the same minor"));
        assert!(words(Some("operator:0.2.0")).starts_with("other versions"));
        assert!(words(None).contains("install"));
        for other in ["operator:test", "operator@sha256:0123", "operator"] {
            assert!(skew("0.1.0", Some(other)).words.contains("does not tell"), "{other}");
        }
        assert!(skew("0.1.0", Some("operator:v0.1.3")).fits && !skew("0.1.0", Some("operator:0.2.0")).fits);
    }
}
