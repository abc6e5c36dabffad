//! `convert`: rewrites an archive that the OSO tool wrote as a backup set of ours.

use std::path::{Path, PathBuf};

use archive::{Owner, Store};
use clap::Args;
use contract::{
    BackupSpec, CircuitBreakerSpec, Code, Compression, ExitCode, Failure, ForeignRecords, RunSpec, StoreSpec, names,
};
use convert::{Place, Progress, Request};

use super::{Output, print};
use crate::VERSION;
use crate::connect;
use crate::context::Context;

/// Size of a segment where nobody says another one.
const SEGMENT: u64 = 128 << 20;
/// Level of zstd where nobody says another one.
const LEVEL: i32 = 3;

/// Flags of `convert`.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// The archive: a store and the name in it, as `s3://backups/kafka/nightly`; or the run specification of a restore from it
    from: String,
    /// The set to make: a store and the name in it; or the run specification of the backup that shall go on with it
    to: String,
    /// Namespace of the `KafkaBackup` that shall go on with it; absent outside Kubernetes
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Id of the source cluster, where it is known; else the first run that goes on finds it out
    #[arg(long, value_name = "ID")]
    cluster_id: Option<String>,
    /// What is done with records and headers that the backup added
    #[arg(long, value_enum)]
    records: Option<RecordsArg>,
    /// Trust the authority in this file (PEM or DER) for the certificates of stores of URLs, beside the system's
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// Form of the result
    #[arg(short, long, value_enum, default_value = "text")]
    pub(super) output: Output,
}

/// What is done with records.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RecordsArg {
    /// Markers and added headers are left out.
    Cleaned,
    /// All of them are taken as they are.
    AsWritten,
}

impl From<RecordsArg> for ForeignRecords {
    fn from(records: RecordsArg) -> Self {
        match records {
            RecordsArg::Cleaned => Self::Cleaned,
            RecordsArg::AsWritten => Self::AsWritten,
        }
    }
}

/// One side: its store, its name, and the specification that says them, where there is one.
struct Side {
    storage: StoreSpec,
    breaker: CircuitBreakerSpec,
    name: String,
    spec: Option<RunSpec>,
}

impl Side {
    /// Reads a word of the command line; `named` picks the name in a specification.
    async fn read(
        context: &Context,
        text: &str,
        ca_file: Option<&Path>,
        named: fn(&RunSpec) -> &str,
    ) -> Result<Self, Failure> {
        if text == "-" || (!text.contains("://") && Path::new(text).is_file()) {
            let spec = super::read(context, text).await?;
            let (storage, breaker, name) = (spec.storage.clone(), spec.circuit_breaker, named(&spec).to_owned());
            return Ok(Self { storage, breaker, name, spec: Some(spec) });
        }
        let invalid = |rule| Failure::new(Code::SpecInvalid, rule);
        let Place { mut store, name } = Place::parse(text).map_err(invalid)?;
        if let Some(file) = ca_file.filter(|_| !matches!(store, StoreSpec::Filesystem { .. })) {
            let file = std::path::absolute(file)
                .map_err(|error| invalid(format!("--ca-file: {}", contract::words::of_system(&error))))?;
            store =
                store.with_ca_file(file.display().to_string()).map_err(|rule| invalid(format!("--ca-file {rule}")))?;
        }
        Ok(Self { storage: store, breaker: CircuitBreakerSpec::default(), name, spec: None })
    }

    async fn open(&self, context: &Context) -> Result<Store, Failure> {
        connect::open(context, &self.storage, &self.breaker).await
    }
}

fn restored(spec: &RunSpec) -> &str {
    spec.restore.as_ref().map_or(&spec.name, |restore| &restore.from)
}

fn backed_up(spec: &RunSpec) -> &str {
    &spec.name
}

/// Converts.
pub(crate) async fn convert(context: &Context, flags: &Flags) -> Result<ExitCode, Failure> {
    let ca_file = flags.ca_file.as_deref();
    let from = Side::read(context, &flags.from, ca_file, restored).await?;
    let to = Side::read(context, &flags.to, ca_file, backed_up).await?;
    let backup = match &to.spec {
        Some(spec) => Some(backup_of(spec)?),
        None => None,
    };
    let request = request(context, flags, (&from, &to), backup)?;
    let source = from.open(context).await?;
    let target = to.open(context).await?;
    let is_json = flags.output == Output::Json;
    let tell = |progress| print::aside(&words(progress, is_json));
    let mut report = Box::pin(convert::convert((&source, &from.name), &target, &request, &tell)).await?;
    report.finished_at = context.now_text();
    print::report(&report, flags.output);
    Ok(ExitCode::Done)
}

fn backup_of(spec: &RunSpec) -> Result<&BackupSpec, Failure> {
    let invalid = |text: &str| Failure::new(Code::SpecInvalid, text);
    let backup = spec.backup.as_ref().ok_or_else(|| invalid("backup: convert needs the specification of a backup"))?;
    if backup.extends_set() {
        return Ok(backup);
    }
    Err(invalid(
        "backup.mode: a full backup never goes on with a set; convert into one that is incremental or continuous",
    ))
}

fn request(
    context: &Context,
    flags: &Flags,
    (from, to): (&Side, &Side),
    backup: Option<&BackupSpec>,
) -> Result<Request, Failure> {
    let said = to.spec.as_ref().map(|spec| spec.namespace.as_str());
    let namespace = match (&flags.namespace, said) {
        (Some(flag), Some(spec)) if flag != spec => {
            let text = format!("--namespace {flag}: the specification of the backup says {spec:?}; leave one out");
            return Err(Failure::new(Code::SpecInvalid, text));
        }
        (Some(flag), _) => flag.as_str(),
        (None, said) => said.unwrap_or_default(),
    };
    if !namespace.is_empty() {
        names::check_name(namespace)
            .map_err(|rule| Failure::new(Code::SpecInvalid, format!("--namespace {namespace:?}: {rule}")))?;
    }
    let restore = from.spec.as_ref().and_then(|spec| spec.restore.as_ref());
    let records = flags.records.map(ForeignRecords::from).or(restore.map(|restore| restore.foreign_records));
    Ok(Request {
        set: to.name.clone(),
        owner: Owner {
            namespace: namespace.to_owned(),
            name: to.name.clone(),
            cluster_id: flags.cluster_id.clone().unwrap_or_default(),
        },
        records: records.unwrap_or_default(),
        include_offset_headers: backup.is_some_and(|backup| backup.include_offset_headers),
        compression: backup.map_or(Compression::Zstd, |backup| backup.compression),
        level: backup.map_or(LEVEL, |backup| backup.compression_level),
        workers: context.workers,
        segment_max_bytes: backup.map_or(SEGMENT, |backup| backup.segment_max_bytes),
        nonce: context.nonce(),
        uuid: context.uuid(),
        release: format!("kafka-backup-runner {VERSION}"),
        now: context.now_text(),
    })
}

/// Where it is, for people or for programs.
fn words(progress: Progress, is_json: bool) -> String {
    if is_json {
        let (step, records, of) = match progress {
            Progress::Reading => ("reading", None, None),
            Progress::Stored { records, of } => ("stored", Some(records), Some(of)),
            Progress::Comparing => ("comparing", None, None),
        };
        return serde_json::json!({"event": "converting", "step": step, "records": records, "of": of}).to_string();
    }
    match progress {
        Progress::Reading => "reading all of the archive once".to_owned(),
        Progress::Stored { records, of } => format!("{records} of {of} records are stored"),
        Progress::Comparing => "reading back what is stored, and comparing it with the archive".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_to_people_and_programs() {
        let stored = Progress::Stored { records: 5, of: 9 };
        assert_eq!(words(stored, false), "5 of 9 records are stored");
        let told: serde_json::Value = serde_json::from_str(&words(stored, true)).unwrap();
        assert_eq!(told, serde_json::json!({"event": "converting", "step": "stored", "records": 5, "of": 9}));
    }
}
