//! `convert`: an archive that the OSO tool wrote becomes a backup set, with which a KafkaBackup goes on. Both stores are reached
//! from here, with the credentials of this machine.

use std::path::{Path, PathBuf};

use archive::{Owner, Store};
use clap::{Args, ValueEnum};
use contract::{Compression, ForeignRecords, Report};
use convert::{Place, Progress, Request};
use uuid::Uuid;

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::screen::Screen;
use crate::show;
use crate::source;
use crate::steps::print;
use crate::waiting::Telling;

/// Size of a segment.
const SEGMENT: u64 = 128 << 20;
/// Level of zstd.
const LEVEL: i32 = 3;

/// Flags of `convert`.
#[derive(Debug, Args)]
#[command(after_help = "\
The archive stays as it is. What is stored is read back and compared before it is sealed. A conversion
that was ended goes on where it stopped. The name of the set is the name of the KafkaBackup that goes
on with it, in the namespace of -n. Its first run compares the last records with those of the source:
what is the same topic goes on at its offsets, every other topic begins anew, and the run says why.
Credentials of both stores come from the environment of this machine.

Examples:
  kubectl kafka-backup convert s3://old/kafka/nightly s3://backups/kafka/orders -n shop
  kubectl kafka-backup convert ./old/nightly ./backups/orders -n shop --records as-written")]
pub struct ConvertFlags {
    /// The archive: a store and the name in it
    #[arg(value_name = "STORE/ARCHIVE")]
    from: String,
    /// The set to make: a store and the name in it
    #[arg(value_name = "STORE/SET")]
    to: String,
    /// Id of the source cluster, where it is known; else the first run that goes on finds it out
    #[arg(long, value_name = "ID", help_heading = "Source")]
    cluster_id: Option<String>,
    /// What is done with records and headers that the backup added
    #[arg(long, value_enum, default_value_t)]
    records: Records,
    /// Trust the authority in this file (PEM or DER) for the certificates of both stores, beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    ca_file: Option<PathBuf>,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// What is done with records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Records {
    /// Markers and added headers are left out.
    #[default]
    Cleaned,
    /// All of them are taken as they are.
    AsWritten,
}

/// Converts.
pub(crate) async fn convert(
    options: ConvertFlags,
    connection: &Connection,
    screen: &mut Screen,
) -> Result<Exit, Error> {
    let (from, to) = (place("STORE/ARCHIVE", &options.from)?, place("STORE/SET", &options.to)?);
    let namespace = match &connection.namespace {
        Some(namespace) => namespace.clone(),
        None => Cluster::connect(connection).await?.namespace,
    };
    let ca_file = options.ca_file.as_deref();
    let (source, _telling) = open(&from, ca_file, screen).await?;
    let (target, _telling_too) = open(&to, ca_file, screen).await?;
    let request = request(&options, namespace, to.name, screen);
    let say = screen.aside();
    let say = std::sync::Mutex::new(say);
    let quiet = screen.quiet;
    let tell = |progress| {
        if quiet {
            return;
        }
        let say = say.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        say(&words(progress));
    };
    let report = Box::pin(convert::convert((&source, &from.name), &target, &request, &tell)).await;
    let report = report.map_err(|error| Error::Archive(error.into()))?;
    told(&report, options.output, screen)?;
    Ok(Exit::Done)
}

fn place(argument: &str, text: &str) -> Result<Place, Error> {
    Place::parse(text)
        .map_err(|rule| Error::usage(format!("{argument}: {rule}"), "credentials come from the environment"))
}

async fn open(place: &Place, ca_file: Option<&Path>, screen: &Screen) -> Result<(Store, Telling), Error> {
    let is_folder = matches!(place.store, contract::StoreSpec::Filesystem { .. });
    source::store_of(&place.store, ca_file.filter(|_| !is_folder), screen).await
}

fn request(options: &ConvertFlags, namespace: String, set: String, screen: &Screen) -> Request {
    let (random, id) = (Uuid::new_v4(), Uuid::new_v4());
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    Request {
        owner: Owner { namespace, name: set.clone(), cluster_id: options.cluster_id.clone().unwrap_or_default() },
        set,
        records: match options.records {
            Records::Cleaned => ForeignRecords::Cleaned,
            Records::AsWritten => ForeignRecords::AsWritten,
        },
        include_offset_headers: false,
        compression: Compression::Zstd,
        level: LEVEL,
        workers,
        segment_max_bytes: SEGMENT,
        nonce: format!("{:016x}", random.as_u64_pair().0),
        uuid: id,
        release: format!("kubectl-kafka-backup {}", env!("CARGO_PKG_VERSION")),
        now: format!("{:.3}", screen.style.now),
    }
}

/// Where it is.
fn words(progress: Progress) -> String {
    match progress {
        Progress::Reading => "reading all of the archive once".to_owned(),
        Progress::Stored { records, of } => format!("{records} of {of} records are stored"),
        Progress::Comparing => "reading back what is stored, and comparing it with the archive".to_owned(),
    }
}

fn told(report: &Report, output: Output, screen: &mut Screen) -> Result<(), Error> {
    match output {
        Output::Table | Output::Wide => {
            let text = show::converted::converted(report, &screen.style);
            screen.text(&text)
        }
        Output::Name => print::names(report.point.clone(), screen),
        output => print::document("Conversion", report, output, screen),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: ConvertFlags,
    }

    fn read(line: &str) -> Result<ConvertFlags, clap::Error> {
        Line::try_parse_from(std::iter::once("convert").chain(line.split(' '))).map(|line| line.flags)
    }

    #[test]
    fn both_places_are_needed() {
        assert!(read("s3://old/nightly").is_err());
        let flags = read("s3://old/nightly ./backups/orders --records as-written --cluster-id abc").unwrap();
        assert_eq!((flags.records, flags.cluster_id.as_deref()), (Records::AsWritten, Some("abc")));
        assert!(place("STORE/SET", "s3://bucket").is_err());
    }

    #[test]
    fn progress_is_told_in_numbers() {
        assert_eq!(words(Progress::Stored { records: 5, of: 9 }), "5 of 9 records are stored");
    }
}
