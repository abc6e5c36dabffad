//! `evidence`: list the evidence that validations left behind, fetch it, and check its signature.

use std::path::{Path, PathBuf};

use api::oso::KafkaBackupValidation;
use clap::{Args, Subcommand, ValueHint};
use contract::words::of_system;
use evidence::Unproven;
use keys::PublicKey;
use tokio::io::AsyncWriteExt;

use crate::cluster::{Cluster, Connection};
use crate::error::Error;
use crate::exit::Exit;
use crate::forms::Output;
use crate::screen::Screen;
use crate::show;
use crate::source::{Evidence, Kept};
use crate::steps::print;
use crate::view::evidence::evidence as lines;

/// Most bytes of a file that is read.
const MOST: u64 = 16 << 20;
/// Digits of chance at the end of the name of a piece of evidence, with what stands before them.
const NONCE: usize = 9;

/// Commands about evidence.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the evidence that validations tell of: where it lies, of which result, and whether it is signed
    #[command(after_help = "\
Examples:
  kubectl kafka-backup evidence list -n shop
  kubectl kafka-backup evidence list weekly -n shop -o json")]
    List(List),
    /// Fetch the evidence of a validation from its store: the newest, or that of a run
    #[command(after_help = "\
Reads the store from here, with the credentials of this machine. Files that exist are not replaced.

Examples:
  kubectl kafka-backup evidence get weekly -n shop --store 's3://backups/kafka?region=eu-central-1' --to proofs
  kubectl kafka-backup evidence get weekly -n shop --store /mnt/backups --run weekly-20261129-060000")]
    Get(Get),
    /// Check that a file of evidence is what the holder of a key signed
    #[command(after_help = "\
FILE is the document (evidence.json), the pages (evidence.pdf) or the envelope (evidence.dsse.json). Needs no cluster.
`openssl dgst -sha256 -verify PUB -signature evidence.json.sig evidence.json` checks the same signature, and
docs/verify-evidence.py everything that this command does.

Examples:
  kubectl kafka-backup evidence verify evidence.json --key signing-key-pub.pem
  kubectl kafka-backup evidence verify evidence.pdf --key signing-key-pub.pem --signature evidence.pdf.sig

Exit code 1: the file is not what was signed, or was not signed by this key.")]
    Verify(Verify),
}

/// Flags of `evidence list`.
#[derive(Debug, Args)]
pub struct List {
    /// Validation; all of the namespace when absent
    name: Option<String>,
    /// Only of validations with these labels: `team=shop`, `tier!=test`
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "name")]
    selector: Option<String>,
    /// Form of the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Flags of `evidence get`.
#[derive(Debug, Args)]
pub struct Get {
    /// Validation
    name: String,
    /// Store of the evidence: a directory, or `s3://BUCKET/PREFIX`, `azure://ACCOUNT/CONTAINER`, `gs://BUCKET`
    #[arg(long, value_name = "URL", help_heading = "Source")]
    store: String,
    /// Trust the authority in this file (PEM or DER) for the store's certificate, beside the system's
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    ca_file: Option<PathBuf>,
    /// Evidence of a run outside Kubernetes, which has no namespace
    #[arg(long, help_heading = "Source")]
    outside: bool,
    /// Run whose evidence is meant; the newest when absent
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Folder to write to: a folder is made in it for the evidence
    #[arg(long, value_name = "FOLDER", default_value = ".", value_hint = ValueHint::DirPath)]
    to: PathBuf,
}

/// Flags of `evidence verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The document, the pages or the envelope
    #[arg(value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// The public key (PEM), from whom you trust: not from beside the evidence
    #[arg(long, value_name = "PUB", value_hint = ValueHint::FilePath)]
    key: PathBuf,
    /// The signature; FILE.sig when absent. An envelope has its own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    signature: Option<PathBuf>,
}

/// Lists, fetches or verifies evidence.
pub(crate) async fn evidence(command: Command, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    match command {
        Command::List(options) => list(&Cluster::connect(connection).await?, &options, screen).await,
        Command::Get(options) => get(&options, connection, screen).await,
        Command::Verify(options) => verify(&options, screen).await,
    }
}

async fn list(cluster: &Cluster, options: &List, screen: &mut Screen) -> Result<Exit, Error> {
    let objects = match &options.name {
        Some(name) => vec![cluster.get::<KafkaBackupValidation>(name).await?],
        None => cluster.list::<KafkaBackupValidation>(options.selector.as_deref()).await?,
    };
    let found = lines(&objects, options.name.as_deref());
    match options.output {
        Output::Table | Output::Wide if found.is_empty() => {
            screen.say("no validation tells of evidence; spec.evidence of a KafkaBackupValidation asks for it");
        }
        Output::Table | Output::Wide => {
            let text = show::evidence::list(&found, cluster.all, &screen.style);
            screen.text(&text)?;
        }
        Output::Name => print::names(found.iter().map(|line| line.path.clone()), screen)?,
        form => print::list("EvidenceList", &found, form, screen)?,
    }
    Ok(Exit::Done)
}

async fn get(options: &Get, connection: &Connection, screen: &mut Screen) -> Result<Exit, Error> {
    // A store needs no cluster: only a name that nobody gave comes from the kubeconfig.
    let namespace = match connection.namespace.clone().filter(|name| !name.is_empty()) {
        _ if options.outside => String::new(),
        Some(namespace) => namespace,
        None => Cluster::connect(connection).await?.namespace,
    };
    let of = (namespace.as_str(), options.name.as_str());
    let place = Evidence::open(&options.store, options.ca_file.as_deref(), of, screen).await?;
    let all = place.list().await?;
    let Some(kept) = wanted(all, options.run.as_deref()) else {
        let what = match &options.run {
            Some(run) => format!("the store has no evidence of the run {run} of {}", options.name),
            None => format!("the store has no evidence of {}", options.name),
        };
        let place =
            if namespace.is_empty() { "outside Kubernetes".to_owned() } else { format!("in namespace `{namespace}`") };
        let hint = "`kubectl kafka-backup evidence list` tells where evidence lies";
        return Err(Error::usage(format!("{what} {place}"), hint));
    };
    let folder = options.to.join(&kept.id);
    let failed = |path: &Path, error: &std::io::Error| {
        Error::usage(format!("{}: {}", path.display(), of_system(error)), "name another folder with --to")
    };
    tokio::fs::create_dir_all(&folder).await.map_err(|error| failed(&folder, &error))?;
    for name in &kept.files {
        let Some(bytes) = place.read(&kept.id, name, MOST).await? else { continue };
        let path = folder.join(name);
        let file = tokio::fs::OpenOptions::new().write(true).create_new(true).open(&path).await;
        let mut file = file.map_err(|error| failed(&path, &error))?;
        file.write_all(&bytes).await.map_err(|error| failed(&path, &error))?;
        file.flush().await.map_err(|error| failed(&path, &error))?;
        screen.text(&format!("{}\n", path.display()))?;
    }
    Ok(Exit::Done)
}

/// The evidence of a run, or the newest: of several attempts of a run, the newest.
fn wanted(all: Vec<Kept>, run: Option<&str>) -> Option<Kept> {
    let is_of = |kept: &Kept| {
        run.is_none_or(|run| {
            let cut = kept.id.len().checked_sub(NONCE);
            cut.and_then(|cut| kept.id.split_at_checked(cut))
                .is_some_and(|(name, nonce)| name == run && nonce.starts_with('-'))
        })
    };
    all.into_iter().filter(is_of).max_by(|one, other| one.at.cmp(&other.at).then_with(|| one.id.cmp(&other.id)))
}

async fn verify(options: &Verify, screen: &mut Screen) -> Result<Exit, Error> {
    let key = PublicKey::read(&read(&options.key).await?)
        .map_err(|why| Error::usage(format!("--key {} {why}", options.key.display()), ""))?;
    let bytes = read(&options.file).await?;
    let beside = options.signature.clone().unwrap_or_else(|| {
        let mut name = options.file.clone().into_os_string();
        name.push(evidence::SIGNATURE);
        name.into()
    });
    let has_own = options.signature.is_some() || beside.exists();
    let signature = if has_own { Some(read(&beside).await?) } else { None };
    let file = options.file.display().to_string();
    match evidence::verify(&bytes, signature.as_deref(), &key) {
        Ok(found) => {
            let text = show::evidence::proven(&file, &found, &screen.style);
            screen.text(&text)?;
            Ok(Exit::Done)
        }
        Err(Unproven::NoSignature) => {
            let what = format!("{file} is checked with a signature, and {} is not there", beside.display());
            Err(Error::usage(what, "name it with --signature"))
        }
        Err(why) => {
            screen.text(&format!("NOT VERIFIED   {file}: {why}\n"))?;
            Ok(Exit::No)
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let read = async {
        let about = tokio::fs::metadata(path).await?;
        if about.len() > MOST { Ok(None) } else { tokio::fs::read(path).await.map(Some) }
    };
    match read.await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => {
            Err(Error::usage(format!("{} is larger than evidence is", path.display()), "name a file of evidence"))
        }
        Err(error) => Err(Error::usage(format!("{}: {}", path.display(), of_system(&error)), "name a file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_a_run_is_meant() {
        let kept = |id: &str, at: &str| Kept { id: id.into(), at: at.parse().ok(), files: Vec::new() };
        let all = || {
            vec![
                kept("weekly-20261129-060000-aaaaaaaa", "2026-11-29T06:01:00Z"),
                kept("weekly-20261129-060000-00000000", "2026-11-29T06:05:00Z"),
                kept("weekly-20261130-060000-bbbbbbbb", "2026-11-30T06:01:00Z"),
                kept("x", "2026-11-28T06:01:00Z"),
            ]
        };
        let id = |run: Option<&str>| wanted(all(), run).map(|kept| kept.id);
        assert_eq!(id(None).as_deref(), Some("weekly-20261130-060000-bbbbbbbb"));
        assert_eq!(id(Some("weekly-20261129-060000")).as_deref(), Some("weekly-20261129-060000-00000000"));
        assert_eq!(id(Some("weekly-20261129")), None);
    }
}
