//! What tells of a recovery point that the log does not have: an archive that was put back to an older state, or whose
//! newest entries are not there yet, as while a bucket is replicated.

use contract::stamp::split_point;
use object_store::path::Path;

use super::seals::{Newest, newest_seal};
use crate::layout::is_of_format;
use crate::problem::Problem;
use crate::{ArchiveError, Chain, Layout, Store};

/// What was found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traces {
    /// Objects that only exist where the log had more entries.
    pub(crate) evidence: Vec<Problem>,
    /// Objects that a run leaves as well which was ended just before its seal.
    pub(crate) doubtful: Vec<Problem>,
}

/// The fields of `manifest.json` that count here.
#[derive(serde::Deserialize)]
struct Manifest {
    entry: u64,
}

/// The fields of a run's report that count here.
#[derive(serde::Deserialize)]
struct Report {
    #[serde(default)]
    point: Option<String>,
    #[serde(default)]
    failure: Option<serde::de::IgnoredAny>,
}

/// Looks for objects that are newer than the end of the log.
pub(crate) async fn traces(store: &Store, layout: &Layout, newest: &Newest) -> Result<Traces, ArchiveError> {
    let found = look(store, layout, newest).await?;
    if found.evidence.is_empty() && found.doubtful.is_empty() {
        return Ok(found);
    }
    // A run may have sealed in the meantime.
    let again = newest_seal(&Chain::new(store.clone(), layout.clone())).await?;
    if again.end == newest.end { Ok(found) } else { look(store, layout, &again).await }
}

async fn look(store: &Store, layout: &Layout, newest: &Newest) -> Result<Traces, ArchiveError> {
    let stamp = newest.stamp();
    let next = newest.end.map_or(0, |end| end + 1);
    let after = |folder: &str, last: &Path| {
        let (folder, last) = (layout.summary(folder), last.clone());
        async move {
            let keys = store.keys_after(&folder, &last).await?;
            let set = format!("{}/", layout.set());
            let own = |key: &String| key.strip_prefix(&set).is_some_and(is_of_format);
            Ok::<_, ArchiveError>(keys.into_iter().filter(own).collect::<Vec<_>>())
        }
    };
    let manifest_key = layout.summary("manifest.json");
    let (hints, side, data, manifest) = futures::try_join!(
        after("points", &layout.point(stamp)),
        after("side", &layout.summary(&format!("side/{next:020}"))),
        after("data", &layout.summary(&format!("data/{next:020}"))),
        store.get(&manifest_key),
    )?;
    let mut out = Traces::default();
    let log = newest.end.map_or_else(|| "the log is empty".to_owned(), |end| format!("the log ends at entry {end}"));
    let mut evidence =
        |key: &str, what: String| out.evidence.push(Problem::new(format!("{}/{key}", store.place()), what));
    for key in &hints {
        evidence(key, format!("it names a recovery point after the newest seal, and {log}: the seal is missing"));
    }
    if let Some(first) = data.first() {
        evidence(first, format!("a claim after the end of the log wrote it, and {log}: entries are missing"));
    }
    // One that cannot be read names no entry; whoever follows the hints says so.
    if let Some(manifest) = manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok())
        && newest.end.is_none_or(|end| manifest.entry > end)
    {
        let key = manifest_key.to_string();
        evidence(&key, format!("it names entry {} as the newest seal, and {log}: entries are missing", manifest.entry));
    }
    for key in &side {
        // Side documents come before their seal: a run that was ended in between leaves them behind its claim.
        let number = key.rsplit('/').nth(1).and_then(|number| number.parse::<u64>().ok());
        let what = format!("it stands beside a seal after the end of the log, and {log}");
        let problem = Problem::new(format!("{}/{key}", store.place()), what);
        if number == Some(next) && !newest.sealed_last { &mut out.doubtful } else { &mut out.evidence }.push(problem);
    }
    Ok(out)
}

/// What lies in a set's folder and is no part of an archive: how much, and the first of it.
pub(crate) async fn strays(store: &Store, layout: &Layout) -> Result<Option<Problem>, ArchiveError> {
    let root = format!("{}/", store.path(&layout.root()));
    let count = |(found, first): &mut (u64, Option<String>), key: &str, _: u64| {
        let Some(own) = key.strip_prefix(&root) else { return };
        if !is_of_format(own) {
            *found += 1;
            first.get_or_insert_with(|| own.to_owned());
        }
    };
    let (found, first) = store.fold(&layout.root(), || (0, None), count).await?;
    Ok(first.map(|first| Problem::new(store.show(&layout.root()), no_part(found, &first))))
}

/// The same beside the sets: everything of an archive is in a folder.
pub(crate) async fn strays_at_root(store: &Store) -> Result<Option<Problem>, ArchiveError> {
    let files = store.objects(&Path::default()).await?;
    Ok(files.first().map(|first| Problem::new(store.place(), no_part(files.len() as u64, first))))
}

/// That files are strays.
fn no_part(found: u64, first: &str) -> String {
    format!(
        "{} no part of a backup (as {first:?}); nothing reads {}",
        if found == 1 { "1 file here is".to_owned() } else { format!("{found} files here are") },
        if found == 1 { "it" } else { "them" },
    )
}

/// Reports of runs that made a point after the newest seal. Runs that name themselves have the stamp in their id; only
/// those are looked for.
pub(crate) async fn reports(store: &Store, layout: &Layout, newest: &Newest) -> Result<Vec<Problem>, ArchiveError> {
    let stamp = newest.stamp();
    let base = split_point(layout.set()).map_or(layout.set(), |(base, _)| base);
    let after = layout.run(&format!("{base}-{stamp}"), "~");
    let mut out = Vec::new();
    for key in store.keys_after(&layout.summary("runs"), &after).await? {
        let Some(run) = key.strip_suffix("/report.json").and_then(|folder| folder.rsplit('/').next()) else { continue };
        if split_point(run).is_none_or(|(name, made)| name != base || made <= stamp) {
            continue;
        }
        let Some(bytes) = store.get(&Path::from(key.as_str())).await? else { continue };
        let Ok(Report { point: Some(point), failure: None }) = serde_json::from_slice(&bytes) else { continue };
        if split_point(&point).is_some_and(|(name, made)| name == base && made > stamp) {
            let what = format!("it tells of recovery point {point}, whose seal the log does not have");
            out.push(Problem::new(format!("{}/{key}", store.place()), what));
        }
    }
    Ok(out)
}
