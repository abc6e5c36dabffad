//! `store-check`: what a store does right and wrong.

use std::path::Path;
use std::time::Duration;

use contract::{Code, ExitCode, Failure, OldPlace, StoreSpec};
use serde::Serialize;

use super::{Output, print};
use crate::connect;
use crate::context::Context;

/// A request that keeps failing is not sent again for longer.
const BUDGET: Duration = Duration::from_secs(4);
/// Who removes parts that were never put together.
const UPLOADS: &str = "the next run of a set ends the uploads in parts that a killed run left (s3:ListBucketMultipartUploads, s3:AbortMultipartUpload); those of sets that no run extends stay until the bucket's lifecycle rule AbortIncompleteMultipartUpload removes them: set it to 7 days. It never harms a run";

/// Tries out a store.
pub(crate) async fn store_check(
    context: &Context,
    place: &str,
    ca_file: Option<&Path>,
    output: Output,
) -> Result<ExitCode, Failure> {
    let (mut spec, set) = named(context, place).await?;
    if let Some(file) = ca_file {
        // It is shown only.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let wrong = |rule| Failure::new(Code::SpecInvalid, format!("--ca-file {rule}"));
        spec = spec.with_ca_file(file.display().to_string()).map_err(wrong)?;
    }
    let identity = archive::ambient_identity(&spec);
    if let (Some(identity), Output::Text) = (&identity, output) {
        print::line(&format!("  note  {:<18}no credentials are given: {identity} counts", "identity"));
    }
    let store = connect::briefly(context, &spec, BUDGET).await?;
    let mut findings = Vec::new();
    archive::probe(&store, &context.nonce(), || context.clock.now(), |finding| findings.push(finding)).await?;
    let good = findings.iter().all(archive::Finding::is_good);
    let old = old_sets(context, &spec, set.as_deref()).await;
    if output == Output::Json {
        let told: Vec<_> = findings.iter().map(document).collect();
        print::json(
            &serde_json::json!({"store": store.place(), "good": good, "identity": identity, "findings": told, "oldPlace": old}),
        )?;
    } else {
        print::line(store.place());
        for finding in &findings {
            print::line(&format!("  {:<4}  {:<18}{}", finding.verdict.mark(), finding.name, finding.detail));
        }
        if store.place().starts_with("s3://") {
            print::line(&format!("  note  {:<18}{UPLOADS}", "uploads"));
        }
        if let Some(old) = old {
            print::line(&format!("  note  {:<18}{}", "old place", old.words()));
        }
        print::line(if good { "fit for every kind of backup" } else { "not fit: see FAIL above" });
    }
    Ok(if good { ExitCode::Done } else { ExitCode::No })
}

/// A finding for programs.
fn document(finding: &archive::Finding) -> serde_json::Value {
    let archive::Finding { name, verdict, detail } = finding;
    serde_json::json!({"name": name, "good": finding.is_good(), "verdict": verdict, "detail": detail})
}

/// Backup sets where an earlier release took another place for this one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct OldSets {
    bucket: String,
    prefix: String,
    sets: Vec<String>,
    #[serde(skip)]
    place: OldPlace,
}

impl OldSets {
    fn words(&self) -> String {
        let Self { bucket, prefix, sets, place } = self;
        let begin = "an earlier release, which left the bucket out of requests, put";
        let sets = sets.join(", ");
        match place {
            OldPlace::Store(_) => format!(
                "{begin} {sets} into another place; to read it, set bucket: {bucket} and prefix: {prefix:?} with pathStyle: true, or copy it to where it belongs"
            ),
            OldPlace::Root(_) => format!(
                "{begin} the set {sets} at the root of bucket {bucket}; to read it, copy all that is in bucket {bucket} into the bucket of this store, below {sets}/"
            ),
            OldPlace::InHost(_) => format!(
                "an earlier release took bucket {bucket} from the host name of the endpoint, and {sets} is there; to read it, set pathStyle: false"
            ),
        }
    }
}

/// Looks where an earlier release would have put sets. What cannot be looked at there has none.
async fn old_sets(context: &Context, spec: &StoreSpec, set: Option<&str>) -> Option<OldSets> {
    for place in spec.old_places(set) {
        let (OldPlace::Store(old) | OldPlace::Root(old) | OldPlace::InHost(old)) = &place;
        let StoreSpec::S3 { bucket, prefix, .. } = old else { continue };
        let (bucket, prefix) = (bucket.clone(), prefix.clone());
        // The check of the store itself says what is wrong with it.
        let Ok(store) = connect::briefly(context, old, BUDGET).await else { continue };
        let catalog = archive::Catalog::new(store);
        let sets = match &place {
            OldPlace::Store(_) | OldPlace::InHost(_) => catalog.sets().await,
            OldPlace::Root(_) => catalog.is_a_set_itself().await.map(|is_set| {
                let here = is_set.then(|| bucket.clone());
                here.into_iter().collect()
            }),
        };
        // The same.
        if let Some(sets) = sets.ok().filter(|sets| !sets.is_empty()) {
            return Some(OldSets { bucket, prefix, sets, place });
        }
    }
    None
}

/// A URL, a directory, or the storage of a specification with the set that its run would extend.
async fn named(context: &Context, place: &str) -> Result<(StoreSpec, Option<String>), Failure> {
    if place.contains("://") || Path::new(place).is_dir() {
        let path = if place.contains('/') { place.to_owned() } else { format!("./{place}") };
        let spec = contract::store_url::parse(&path).map_err(|rule| Failure::new(Code::SpecInvalid, rule))?;
        return Ok((spec, None));
    }
    let spec = super::read(context, place).await?;
    Ok((spec.storage, Some(spec.name)))
}
